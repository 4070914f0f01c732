/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The queue on disk: batches of alerts that are still to be forwarded, in segment files that are
 * only appended to. Alerts are numbered from 1, batches too, for ever. A batch is one record with a
 * CRC: after a crash it is there whole, or not at all. How far each target has come is in files of
 * their own (position.h); a segment that all have passed is removed.
 *
 * Opened by the main thread, then used by one other.
 */

#include <stdint.h>

#include "basic/buffer.h"
#include "basic/list.h"

/* A batch in memory. Freed with alert_batch_free(). */
typedef struct AlertBatch {
        ListNode node; /* of the queue that has it */
        uint64_t number;
        uint64_t first_seq; /* of its first alert */
        uint64_t received_usec;
        uint64_t body_hash; /* of the POST's body, to know a repetition */
        uint64_t body_size; /* bytes */
        uint32_t n_alerts;
        Slice *texts; /* of the alerts: JSON, in bytes */
        char *bytes;
        size_t size;
} AlertBatch;

AlertBatch *alert_batch_free(AlertBatch *batch);
DEFINE_CLEANUP(AlertBatch, alert_batch_free)

static inline uint64_t alert_batch_last(const AlertBatch *batch) {
        return batch->first_seq + batch->n_alerts - 1;
}

typedef struct Journal Journal;

typedef struct JournalMark {
        uint64_t size, next_seq, next_number;
} JournalMark;

typedef struct JournalFound {
        ListNode batches;  /* AlertBatch.node, in order; the caller's to free */
        uint64_t last_seq; /* 0: none yet */
        uint64_t damaged;  /* bytes that were skipped in the midst */
        uint64_t torn;     /* bytes of a record at the end that a crash left unfinished */
} JournalFound;

/* Makes the folder if only it is missing; -EADDRINUSE: another process has it. found->batches must
 * be initialised, and is filled also on failure. */
int journal_open(const char *folder, JournalFound *found, Journal **ret) _must_check_;
Journal *journal_free(Journal *journal);
DEFINE_CLEANUP(Journal, journal_free)

/* The folder, for what else lies in it. */
int journal_folder(const Journal *journal);

/* A new segment if the present one has grown; before journal_mark(). */
int journal_rotate(Journal *journal) _must_check_;
JournalMark journal_mark(const Journal *journal);
/* n texts, one behind the other in bytes (the batch takes them over), as a batch: numbers it and
 * writes it. On failure nothing has changed. */
int journal_append(Journal *journal, AlertBatch *batch) _must_check_;
/* Takes back what was appended since the mark. */
void journal_cut(Journal *journal, JournalMark mark);
int journal_sync(Journal *journal) _must_check_;
/* Removes segments whose alerts are all at most seq, but never the last one. */
void journal_trim(Journal *journal, uint64_t seq);

/* Slices bytes into texts: `lengths` of n alerts. -ENOMEM. */
int alert_batch_slice(AlertBatch *batch, const uint32_t *lengths) _must_check_;
