/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Up to a thousand rows on their way into the store in one transaction: what `seed` and `import`
 * share.
 */

#include "ctl/row-reader.h"
#include "store/store.h"

#define BATCH_ROWS STORE_IMPORT_ROWS_MAX /* there is room for */

typedef struct Batch Batch;

/* -ENOMEM. */
int batch_new(RecordType type, Batch **ret) _must_check_;
Batch *batch_free(Batch *batch);
DEFINE_CLEANUP(Batch, batch_free)

/* Rows are read into this arena; batch_clear() empties it with the batch. */
Arena *batch_arena(Batch *batch);
size_t batch_n(const Batch *batch);
void batch_clear(Batch *batch);

/* Adds a good row of the arena; there must be room. */
void batch_add(Batch *batch, const ReadRow *row);

/* Takes the rows out that are marked, in order. */
void batch_drop(Batch *batch, const bool marked[BATCH_ROWS]);

/* Of row i: for changes before it is sent, and for what the store made of it. */
User *batch_user(Batch *batch, size_t i);
Url *batch_url(Batch *batch, size_t i);
Event *batch_event(Batch *batch, size_t i);
uint64_t batch_line(const Batch *batch, size_t i);
uint64_t batch_offset(const Batch *batch, size_t i);

/* Sends all rows in one transaction. with_events: links leave their event "created". 0 or the
 * store's negative result; what became of each row says batch_result(). */
int batch_send(Batch *batch, StoreSession *session, bool with_events) _must_check_;
/* Row i alone, again. */
int batch_send_one(Batch *batch, StoreSession *session, bool with_events, size_t i) _must_check_;
StoreResult batch_result(const Batch *batch, size_t i);
int64_t batch_id(const Batch *batch, size_t i); /* 0: it has none (yet) */

/* Why a row was refused, for people. */
const char *batch_refusal(StoreResult result);
