/* SPDX-License-Identifier: MIT */

/*
 * The arena of one request. Chunks double in size up to CHUNK_MAX; a request larger than that gets
 * a chunk of its own size. The limit counts bytes as one endless chunk would lay them out: each
 * allocation begins at the next multiple of 16, so that many tiny ones cannot cost 16 times the
 * limit. With AddressSanitizer, bytes that are not handed out (any more) are poisoned, so that a
 * slice that outlived the reset is found. Not thread safe.
 */

#include <stdarg.h>
#include <stdio.h>

#include "basic/arena.h"

#ifdef __has_feature
# if __has_feature(address_sanitizer)
#  define POISONING 1
# endif
#endif
#ifdef __SANITIZE_ADDRESS__
# define POISONING 1
#endif
#ifdef POISONING
# include <sanitizer/asan_interface.h>
#else
# define ASAN_POISON_MEMORY_REGION(data, size)   ((void)(data), (void)(size))
# define ASAN_UNPOISON_MEMORY_REGION(data, size) ((void)(data), (void)(size))
#endif

#define ALIGNMENT ((size_t)16)
#define CHUNK_MIN ((size_t)4096) /* bytes, the header included */
#define CHUNK_MAX ((size_t)256 * 1024)

struct ArenaChunk {
        ArenaChunk *older;
        size_t size; /* bytes, the header included */
        _Alignas(16) char data[];
};

/* size must be at most SIZE_MAX - ALIGNMENT. */
static size_t align(size_t size) {
        return (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

static ArenaChunk *chunk_free(ArenaChunk *chunk) {
        ArenaChunk *older = chunk->older;

        ASAN_UNPOISON_MEMORY_REGION(chunk->data, chunk->size - sizeof(*chunk));
        free(chunk);
        return older;
}

static void use_chunk(Arena *arena, ArenaChunk *chunk) {
        arena->chunk = chunk;
        arena->next = chunk ? chunk->data : NULL;
        arena->end = chunk ? (char *)chunk + chunk->size : NULL;
        if (chunk)
                ASAN_POISON_MEMORY_REGION(chunk->data, chunk->size - sizeof(*chunk));
}

/* A chunk with room for size (aligned) bytes becomes the newest one. */
static bool add_chunk(Arena *arena, size_t size) {
        size_t wanted = arena->chunk ? MIN(arena->chunk->size * 2, CHUNK_MAX) : CHUNK_MIN;
        ArenaChunk *chunk;

        if (size > SIZE_MAX - sizeof(ArenaChunk))
                return false;
        wanted = MAX(wanted, size + sizeof(ArenaChunk));
        chunk = malloc(wanted);
        if (!chunk)
                return false;
        chunk->older = arena->chunk;
        chunk->size = wanted;
        use_chunk(arena, chunk);
        return true;
}

void arena_init(Arena *arena, size_t limit) {
        *arena = (Arena){.limit = limit};
}

void arena_done(Arena *arena) {
        while (arena->chunk)
                arena->chunk = chunk_free(arena->chunk);
        arena_init(arena, arena->limit);
}

void arena_reset(Arena *arena) {
        ArenaChunk *first = arena->chunk;

        while (first && first->older)
                first = chunk_free(first);
        /* One huge request must not stay with a pooled arena for ever. */
        if (first && first->size > CHUNK_MIN)
                first = chunk_free(first);
        use_chunk(arena, first);
        arena->n_bytes = 0;
        arena->overflow = false;
}

void *arena_alloc(Arena *arena, size_t size) {
        size_t limit = arena->limit ? arena->limit : SIZE_MAX - ALIGNMENT;
        size_t start = align(arena->n_bytes);
        size_t room;
        void *place;

        size = size ? size : 1;
        if (start > limit || size > limit - start || size > SIZE_MAX - ALIGNMENT)
                goto overflow;
        room = align(size);
        if (room > (size_t)(arena->end - arena->next) && !add_chunk(arena, room))
                goto overflow;
        place = arena->next;
        ASAN_UNPOISON_MEMORY_REGION(place, size);
        arena->next += room;
        arena->n_bytes = start + size;
        return place;

overflow:
        arena->overflow = true;
        return NULL;
}

void *arena_alloc_zero(Arena *arena, size_t n, size_t size) {
        size_t total;
        void *place;

        if (__builtin_mul_overflow(n, size, &total)) {
                arena->overflow = true;
                return NULL;
        }
        place = arena_alloc(arena, total);
        if (place)
                memset(place, 0, total);
        return place;
}

Slice arena_dup(Arena *arena, Slice s) {
        char *copy = arena_alloc(arena, s.len < SIZE_MAX ? s.len + 1 : s.len);

        if (!copy)
                return SLICE_NONE;
        if (s.len)
                memcpy(copy, s.data, s.len);
        copy[s.len] = '\0';
        return slice_make(copy, s.len);
}

Slice arena_printf(Arena *arena, const char *format, ...) {
        va_list arguments;
        char *text;
        int len;

        va_start(arguments, format);
        len = vsnprintf(NULL, 0, format, arguments);
        va_end(arguments);
        if (len < 0) {
                arena->overflow = true;
                return SLICE_NONE;
        }
        text = arena_alloc(arena, (size_t)len + 1);
        if (!text)
                return SLICE_NONE;
        va_start(arguments, format);
        (void)vsnprintf(text, (size_t)len + 1, format, arguments);
        va_end(arguments);
        return slice_make(text, (size_t)len);
}
