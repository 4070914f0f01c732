/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A growing run of bytes that owns its memory. Appending never reports an error at once: a failure
 * (memory) sets `failed`, later appends do nothing, and the caller checks once at the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/check.h"
#include "basic/slice.h"

typedef struct Buffer {
        char *data;  /* malloc'ed, or NULL */
        size_t len;  /* bytes in use */
        size_t size; /* bytes allocated */
        bool failed; /* an append found no memory; contents are incomplete */
} Buffer;

#define BUFFER_EMPTY ((Buffer){NULL, 0, 0, false})

/* Frees the bytes; the buffer is empty and usable again. */
void buffer_done(Buffer *buffer);

/* Keeps the memory, forgets contents and failure. */
static inline void buffer_clear(Buffer *buffer) {
        buffer->len = 0;
        buffer->failed = false;
}

/* Room for extra bytes behind len; returns the place to write at, or NULL (failed is then set).
 * The caller adds what it wrote to len. */
char *buffer_reserve(Buffer *buffer, size_t extra);

void buffer_append(Buffer *buffer, Slice s);
void buffer_append_byte(Buffer *buffer, char c);
void buffer_append_u64(Buffer *buffer, uint64_t value);
void buffer_append_i64(Buffer *buffer, int64_t value);
void buffer_printf(Buffer *buffer, const char *format, ...) _printf_(2, 3);

/* Drops n bytes at the front (n <= len) by moving the rest down. */
void buffer_consume(Buffer *buffer, size_t n);

static inline Slice buffer_slice(const Buffer *buffer) {
        return slice_make(buffer->data, buffer->len);
}
