/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Memory of one request: allocations are bumped off chunks, nothing is freed singly, arena_reset()
 * takes all back at once and keeps the first chunk. Not thread safe; moves with its Call.
 * A failed allocation sets the overflow flag, which stays until the reset, so that a chain of
 * calls needs one check at its end.
 */

#include <stdbool.h>
#include <stddef.h>

#include "basic/check.h"
#include "basic/slice.h"

typedef struct ArenaChunk ArenaChunk;

typedef struct Arena {
        ArenaChunk *chunk; /* newest first; each owns its bytes */
        char *next;        /* first free byte of the newest chunk */
        char *end;
        size_t n_bytes; /* handed out since the reset, with the gaps that alignment leaves between
                         */
        size_t limit;   /* of n_bytes; 0: no limit */
        bool overflow;  /* an allocation failed since the reset */
} Arena;

/* limit: bytes between two resets, 0 for none. Allocates nothing yet. */
void arena_init(Arena *arena, size_t limit);

/* Frees everything. The arena may be used again after arena_init(). */
void arena_done(Arena *arena);

/* All memory handed out so far is invalid; the first chunk is kept for the next round. */
void arena_reset(Arena *arena);

/* size bytes, aligned to 16, not zeroed; NULL (and overflow) when memory or the limit is out. */
void *arena_alloc(Arena *arena, size_t size) _must_check_;

/* The same, zeroed, for n objects; checks n * size for overflow. */
void *arena_alloc_zero(Arena *arena, size_t n, size_t size) _must_check_;

/* A copy of s in the arena (NUL terminated for C callers, the NUL not counted).
 * On overflow the result has data == NULL. An empty s yields a non-NULL empty slice. */
Slice arena_dup(Arena *arena, Slice s);

/* printf into the arena; data == NULL on overflow. */
Slice arena_printf(Arena *arena, const char *format, ...) _printf_(2, 3);

#define arena_new(arena, T, n) ((T *)arena_alloc_zero((arena), (n), sizeof(T)))
