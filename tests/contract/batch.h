/* SPDX-License-Identifier: MIT */
#pragma once

/* Batches of clicks for the tests of visits and positions. */

#include "contract/fixture.h"

#define BATCH_MAX 2000u /* clicks */

typedef struct TestBatch {
        StoreBatch batch;
        StoreClick clicks[BATCH_MAX];
} TestBatch;

/* n clicks on the url, seq from_seq and up, of the spool whose uuid is all this byte; the spool
 * begins at seq 1. */
void batch_fill(TestBatch *b, uint8_t spool, uint64_t from_seq, size_t n, int64_t url_id);
/* Appends all of it in as many calls as it takes; returns how many those were. */
unsigned batch_append(Fixture *f, const TestBatch *b);
StoreOffset offset_of(Fixture *f, uint8_t spool);
/* How many rows of the offset's spool an audit found; its offset must be this one. -1: none such.
 */
int64_t rows_of(const StoreAudit *audit, const StoreOffset *offset);
/* next - first = rows + shed + bad + damaged, and that many rows are there. */
void assert_proof(Fixture *f, uint8_t spool);
