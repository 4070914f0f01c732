/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Targets that nobody may be sent to: a set of hosts, domains and URLs, read from files. Once made
 * it does not change, so that any thread may ask. An entry is 64 bits of a keyed hash: a million of
 * them take 11 MB, and the odds that any other target is taken for one are one in 10^13.
 *
 * A line is a comment (#, !), nothing, or one of
 *   0.0.0.0 name...       a hosts file: these hosts, exactly
 *   example.com           a domain, and all below it; *.example.com and .example.com are the same
 *   http://host/path      a URL, whatever its credentials and fragment, and however it is escaped,
 *                         but for the escapes that mean something else (location.c)
 *
 * A line over 4,096 bytes is none of these.
 */

#include <stdbool.h>

#include "basic/slice.h"

typedef struct Blocklist Blocklist;

typedef struct BlocklistStats {
        size_t n_entries;
        size_t n_bytes;
        size_t n_bad; /* lines that are none of these */
} BlocklistStats;

/* files: NULL terminated. -errno: a file cannot be read, *ret_bad is its index; -ESPIPE: it is a
 * pipe, and each is read twice; -EAGAIN: it grew meanwhile; -ENOMEM. */
int blocklist_load(char *const *files, Blocklist **ret, size_t *ret_bad) _must_check_;
Blocklist *blocklist_free(Blocklist *blocklist);
DEFINE_CLEANUP(Blocklist, blocklist_free)

/* location: what target_parse() made. NULL is an empty list. */
bool blocklist_has(const Blocklist *blocklist, Slice location);

void blocklist_stats(const Blocklist *blocklist, BlocklistStats *ret);
