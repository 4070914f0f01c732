/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What spool.c (the loop's side), spool_recover.c (the loop, after a failure) and spool_helper.c
 * (the helper's side) share.
 *
 * Files change hands in one direction. The helper makes the next segment and puts its descriptor
 * into next_fd; the loop takes it from there, writes it, and when it is full pushes it into the
 * retired ring, from which only the helper takes, syncs and closes. current_fd tells the helper
 * which one to sync meanwhile; since only the helper closes, it is never stale.
 *
 * What is synced is one atomic word, epoch << SPOOL_EPOCH_SHIFT | seq. The loop adds one to the
 * epoch when it abandons a file, the helper moves the word by compare-and-swap from what it read
 * before it began to sync: so a sync that overlaps an abandonment never counts for the file that
 * was written instead, and the loop knows exactly from where it must write again.
 */

#include <stdalign.h>
#include <stdatomic.h>

#include "clicks/record.h"
#include "clicks/segment.h"
#include "clicks/spool.h"

#define SPOOL_RETIRED     64u /* places in the ring */
#define SPOOL_EPOCH_SHIFT 55u
#define SPOOL_SEQ_MASK    (RECORD_SEQ_END - 1)
#define SPOOL_HISTORY     (256u * 1024) /* bytes of each half */

/* Left free at the end of each segment: a shed marker fits even when nothing else does. */
#define SPOOL_RESERVE RECORD_SHED_SIZE

/* Spool.helper_state */
#define HELPER_RUNS    0u
#define HELPER_IDLE    1u /* sleeps until anything is to be done */
#define HELPER_GATHERS 2u /* sleeps until the next sync is due; only urgent things wake it */

/* Spool.next_fd when it is none */
#define NEXT_WANTED (-1)
#define NEXT_TAKEN  (-2) /* the loop has it, its name is still that of the next one */

typedef struct SpoolFile {
        int fd;        /* -1: none */
        uint64_t size; /* bytes allocated */
        uint64_t len;  /* bytes written: where the next record goes */
} SpoolFile;

typedef struct SpoolRetired {
        int fd;
        uint64_t len;   /* the file is cut to it */
        bool abandoned; /* not to be synced or cut */
} SpoolRetired;

/* The last records written, in two halves that are filled in turn: what a failed file may have lost
 * and the kernel no longer shows. */
typedef struct SpoolHistory {
        uint8_t *half[2]; /* NULL: none is kept (Sync=off) */
        size_t len[2];
        unsigned filling;
} SpoolHistory;

struct Spool {
        /* Constant. */
        SpoolSync sync;
        SpoolOnFull on_full;
        uint64_t sync_interval_usec;
        uint64_t segment_size;
        uint64_t max_size;
        uint64_t retry_every_usec;
        HostSlot *slot; /* or NULL */
        int directory_fd;
        int lock_fd;
        int durable_fd; /* eventfd */
        uint8_t id[SPOOL_ID_SIZE];
        uint32_t crc_start;

        /* The loop's. */
        uint8_t *batch;
        size_t batch_size; /* bytes */
        size_t batch_len;
        uint64_t batch_first; /* seq of the batch's first record */
        uint64_t next_seq;
        int batch_result;      /* of what was flushed early because the buffer was full */
        SpoolFile file;        /* fd -1: abandoned, or none yet */
        bool full;             /* nowhere to write to ... */
        uint64_t retry_usec;   /* ... and no use to try before, CLOCK_MONOTONIC */
        uint64_t salvage_from; /* these up to written_seq are to be written again; 0: none */
        uint64_t shed_first;   /* [shed_first, shed_first + n_shed) has no marker yet */
        uint64_t n_shed;
        uint64_t released_seq; /* Sync=always, OnFull=shed: durability given up below it */
        SpoolHistory history;

        /* Moved by the loop, read by others. */
        alignas(64) _Atomic uint64_t written_seq;
        _Atomic uint64_t n_switches; /* of segments */
        atomic_int current_fd;       /* -1: none */
        atomic_uint n_retired;       /* pushed */
        SpoolRetired retired[SPOOL_RETIRED];
        _Atomic uint64_t stat_appended, stat_shed, stat_bytes, stat_errors, stat_segments;

        /* Moved by the helper (synced: its epoch by the loop), read by others. */
        alignas(64) _Atomic uint64_t synced;
        atomic_bool sync_failed; /* the loop takes it back when it abandons the file */
        atomic_int next_fd;      /* the next segment, or NEXT_... */
        atomic_int make_error;   /* why there is none: -errno; 0: not made yet */
        atomic_uint n_taken;     /* retired ones that are closed */
        _Atomic uint64_t stat_syncs;
        uint64_t n_switches_synced; /* the helper's: the directory is synced since */

        alignas(64) uint32_t helper_state; /* futex word; __atomic */
        atomic_bool helper_stop;

        alignas(64) atomic_bool shipper_idle;
};

/* A segment that is allocated and not in use yet. */
typedef struct SpoolFresh {
        SpoolFile file;
        char name[SEGMENT_NAME_SIZE];
} SpoolFresh;

/* spool.c */
/* The current file goes to the helper, which closes it. */
void spool_retire(Spool *spool, bool abandoned);
/* The visits below next_seq are where the promise says. */
void spool_acknowledge(Spool *spool);
/* 0, or -ENOSPC: the batch's numbers were given back. */
int spool_flush_batch(Spool *spool) _must_check_;
int spool_append_bytes(Spool *spool, SpoolFile *file, const uint8_t *data, size_t len) _must_check_;
/* One of at least size bytes. It ends in spool_switch() or spool_fresh_drop(). */
int spool_take_segment(Spool *spool, uint64_t size, SpoolFresh *ret) _must_check_;
void spool_fresh_drop(Spool *spool, SpoolFresh *fresh);
/* Makes it the current one, with this first record. */
int spool_switch(Spool *spool, SpoolFresh *fresh, uint64_t first_seq) _must_check_;

/* spool_recover.c: writes what is to be salvaged, the shed marker and the batch into a new segment
 * and makes it the current one. */
int spool_recover(Spool *spool) _must_check_;
void spool_history_keep(SpoolHistory *history, const uint8_t *data, size_t len);

/* spool_helper.c */
/* Not urgent: there is something to sync, which a helper that gathers knows already. */
void spool_helper_wake(Spool *spool, bool urgent);
/* One round: closes what is retired, syncs (if sync) and moves synced. */
void spool_helper_round(Spool *spool, bool sync);
