/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The proof that no visit was lost or repeated (design: clicks), for `shortenerctl clicks verify`
 * and the fault tests: for each spool next_seq - first_seq = rows + shed + bad + damaged, with rows
 * counted again, no (spool, seq) twice, and no kept total off. Counts everything; slow. Prints
 * nothing.
 */

#include "basic/arena.h"
#include "clicks/segment.h"
#include "store/store.h"

typedef struct VerifySpool {
        char id[SPOOL_ID_TEXT_SIZE];
        StoreOffset offset;
        int64_t rows_found; /* events in the store */
        bool sound;
} VerifySpool;

typedef struct Verify {
        VerifySpool *spools; /* in the arena */
        size_t n_spools;
        StoreAudit audit;
        bool sound; /* all of it */
} Verify;

/* 0, or the store's result. */
int clicks_verify(StoreSession *session, Arena *arena, Verify *ret) _must_check_;
