/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The memory of a limiter: a fixed number of entries, in this process or in a file that the
 * instances of one host map. An entry is a hash and a time; the file needs no lock, and whoever
 * dies in the middle of a change leaves nothing that is wrong.
 */

#include <stdatomic.h>

#include "basic/hash.h"

#define LIMIT_WAYS 8u /* entries of a set: two cache lines */

typedef struct LimitEntry {
        _Atomic uint64_t hash;      /* of who and what; 0: free */
        _Atomic uint64_t full_nsec; /* when all of the budget is back, CLOCK_MONOTONIC */
} LimitEntry;

typedef struct LimitTable {
        HashKey key;
        size_t n_sets;
        LimitEntry *entries;
        void *memory;
        size_t size; /* bytes mapped */
        /* CLOCK_MONOTONIC, in the memory: see limiter_refused_until(). */
        _Atomic uint64_t *refused_until_usec;
        int fd; /* of the file; -1: none */
} LimitTable;

/* At most size bytes. path: the file to share, made if it is not there, and made anew if it has
 * another size; NULL: memory of this process. -errno. */
int limit_table_open(LimitTable *table, size_t size, const char *path) _must_check_;
/* Takes the file's lock, which one process has until it closes the table or dies. Of memory that
 * nobody shares it is always had. */
bool limit_table_lock(const LimitTable *table);
void limit_table_close(LimitTable *table);
