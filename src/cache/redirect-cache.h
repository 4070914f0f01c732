/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The redirect cache: short code -> preformatted rest of a 302's head, in fixed memory. Loop thread
 * only: no lock, no malloc after creation.
 *
 * Open addressing over 8-byte slots (32 bits of the keyed hash and the entry's place), and one log
 * of entries that wraps around: an insert goes to the log's head, and what lies there is dropped,
 * or, if it was hit since it was written, moved to the head once more (CLOCK in the form of a log:
 * no fragments, no size classes). Its cost does not depend on the number of links.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/slice.h"

/* When the store was read for an entry, in the host page's terms (host/page.h); the cache only
 * keeps it. */
typedef struct CacheMark {
        uint64_t generation;
        uint64_t epoch;
} CacheMark;

#define CACHE_TICKS 16u /* a second */

/* CLOCK_MONOTONIC usec as the cache keeps it. It wraps after 8 years: compare differences. */
static inline uint32_t cache_tick(uint64_t usec) {
        return (uint32_t)(usec * CACHE_TICKS / 1000000);
}

/* What a find yields; the slices point into the cache and are valid until the next insert. */
typedef struct CacheHit {
        int64_t link_id;    /* 0: the code is known not to redirect */
        CacheMark mark;     /* taken before the fill read the store */
        uint32_t counter;   /* of the code in the host page, below 65,536 */
        uint32_t read_tick; /* when what it says was known to be right, see cache_tick() */
        Slice location;     /* the target */
        Slice tail;         /* "Location: <target>\r\n\r\n": ends a response's head */
} CacheHit;

typedef struct CacheFill {
        Slice code;
        int64_t link_id; /* 0: negative entry; location is then not kept */
        Slice location;
        CacheMark mark;
        uint32_t counter;
        uint32_t read_tick;
} CacheFill;

typedef struct CacheStats {
        uint64_t n_entries;
        uint64_t n_bytes; /* of the log, in use */
        uint64_t n_evictions;
} CacheStats;

typedef struct RedirectCache RedirectCache;

#define REDIRECT_CACHE_SIZE_MIN (256u * 1024) /* bytes */

/* size: bytes for slots and log together. The memory is mapped, and touched as it fills. */
int redirect_cache_new(uint64_t size, RedirectCache **ret) _must_check_;
RedirectCache *redirect_cache_free(RedirectCache *cache);
DEFINE_CLEANUP(RedirectCache, redirect_cache_free)

/* Finds code; freshness is the caller's to judge (host_page_fresh(), read_tick). A hit counts as
 * a use for the eviction. */
bool redirect_cache_find(RedirectCache *cache, Slice code, CacheHit *ret);

/* Adds or replaces. */
void redirect_cache_insert(RedirectCache *cache, const CacheFill *fill);

/* Is there room for more without dropping anything? */
bool redirect_cache_roomy(const RedirectCache *cache);

void redirect_cache_clear(RedirectCache *cache);
void redirect_cache_stats(const RedirectCache *cache, CacheStats *ret);
