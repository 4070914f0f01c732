/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Sending the rows of an import, so that each goes in once, also when the process was killed
 * between a transaction's commit and the note of it: a resumed import looks for the rows of its
 * first batch in the store (import-found.h) and sends those that are not there. When some are, or
 * none of it went in, the next batch is looked for as well: a power cut may have taken back more
 * than one note.
 */

#include "ctl/batch.h"
#include "ctl/import-state.h"

typedef struct ImportTarget {
        StoreSession *session;
        bool with_events; /* links leave their event "created" */
        bool unsettled;   /* a resumed import: rows may be there already */
} ImportTarget;

/* A row that was not taken over; problem is static. */
typedef void (*ImportRefused)(void *userdata, uint64_t line, const char *problem);

/* One transaction (more when made codes are taken); the batch loses the rows that were there.
 * state->last_id moves. *ret_imported: rows that are in because of this import. 0, or the store's
 * negative result. */
int import_send(ImportTarget *target, ImportState *state, Batch *batch, ImportRefused refused,
                void *userdata, size_t *ret_imported) _must_check_;
