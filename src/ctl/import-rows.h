/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Sending the rows of an import so that each goes in once, also when the process was killed between
 * a transaction's commit and the note of it:
 *   - rows with ids, usernames or codes of their own are refused the second time;
 *   - links without a code get one that is made from the import's key and the row's offset, so the
 *     second time it is the same code;
 *   - events without an id are looked for among those that are newer than the transaction.
 * While a resumed import has not had a new row accepted, a row that is there already is one that
 * this import sent.
 */

#include "ctl/batch.h"
#include "ctl/import-state.h"

typedef struct ImportTarget {
        StoreSession *session;
        size_t code_length; /* of codes that are made */
        bool with_events;   /* links leave their event "created" */
        bool unsettled;     /* a resumed import that has not had a row accepted */
} ImportTarget;

/* A row that was not taken over; problem is static. */
typedef void (*ImportRefused)(void *userdata, uint64_t line, const char *problem);

/* One transaction (more when made codes are taken). *ret_imported: rows that are in because of this
 * import. 0, or the store's negative result. */
int import_send(ImportTarget *target, const ImportState *state, Batch *batch, ImportRefused refused,
                void *userdata, size_t *ret_imported) _must_check_;

/* The newest event's id, 0 when there is none. */
int import_last_event(StoreSession *session, int64_t *ret) _must_check_;
