/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The blocklist in use, and the thread that reads its files again when they have changed and do so
 * no more. Readers take the whole list by a reference; what is replaced lives until the last of
 * them lets go.
 */

#include <stdint.h>

#include "policy/blocklist.h"

typedef struct Blocklists Blocklists;

typedef struct BlocklistsState {
        BlocklistStats list;
        uint64_t generation; /* moves with each list that is taken into use */
        int error;           /* of the last reading: -errno; 0: it went well */
        char file[256];      /* which file it was */
} BlocklistsState;

/* Reads the files (NULL terminated, copied) and starts the thread. -errno as blocklist_load():
 * *ret_bad is the file's index. */
int blocklists_new(char *const *files, Blocklists **ret, size_t *ret_bad) _must_check_;
Blocklists *blocklists_free(Blocklists *blocklists);
DEFINE_CLEANUP(Blocklists, blocklists_free)

/* Other files from now on; they are read soon, and the old list stays until they are. -ENOMEM. */
int blocklists_set(Blocklists *blocklists, char *const *files) _must_check_;

/* Any thread. blocklists NULL: nothing is blocked. */
bool blocklists_has(Blocklists *blocklists, Slice location);
void blocklists_state(Blocklists *blocklists, BlocklistsState *ret);
