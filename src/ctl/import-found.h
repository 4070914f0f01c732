/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which rows of a batch are in the store already, because the run that was killed had committed
 * them before it could note so.
 */

#include "ctl/batch.h"
#include "ctl/import-state.h"

/* The code of a link that has none, made from the import's key and the row's offset, so that it is
 * the same one when the row is sent again; attempt: the how manieth, when others are taken.
 * data == NULL: no memory. */
Slice import_code(const ImportState *state, uint64_t offset, unsigned attempt, Arena *arena);

/* Marks them in found, and moves state->last_id behind them. 0, or the store's result. */
int import_find(StoreSession *session, ImportState *state, Batch *batch,
                bool found[BATCH_ROWS]) _must_check_;

/* The highest id of the type's rows, 0 when there are none. */
int import_last_id(StoreSession *session, RecordType type, int64_t *ret) _must_check_;
