/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The older spools that are shipped whole, and how far the store had come with each: a store that
 * knows less of one now was restored from a backup, or is a standby that had not heard of the last
 * transactions. Nobody else would notice while no visits come. One thread. Private to clicks/.
 */

#include "clicks/stream.h"

typedef struct EndedSpool {
        uint8_t id[SPOOL_ID_SIZE];
        uint64_t position;
} EndedSpool;

typedef struct Ended {
        EndedSpool *items;
        size_t n;
        size_t at; /* looked at next */
} Ended;

/* Without memory it is not looked at again before the next start. */
void ended_note(Ended *ended, const uint8_t *id, uint64_t position);
/* Asks for one of them, in turn. 1: the store knows less of it than it did, and segments of it are
 * left to ship again; 0; or the store's or the folder's negative result. */
int ended_check(Ended *ended, int directory_fd, StreamShared *shared) _must_check_;
void ended_done(Ended *ended);
