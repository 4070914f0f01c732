/* SPDX-License-Identifier: MIT */

/* The growing buffer: doubles, starts at SIZE_MIN. Not thread safe. What is appended must not point
 * into the buffer itself, which may move. */

#include <stdarg.h>
#include <stdio.h>

#include "basic/buffer.h"
#include "basic/number.h"

#define SIZE_MIN ((size_t)256) /* bytes of the first allocation */

void buffer_done(Buffer *buffer) {
        free(buffer->data);
        *buffer = BUFFER_EMPTY;
}

char *buffer_reserve(Buffer *buffer, size_t extra) {
        size_t wanted, size;
        char *data;

        if (buffer->failed)
                return NULL;
        if (LIKELY(buffer->data && extra <= buffer->size - buffer->len))
                return buffer->data + buffer->len;
        if (__builtin_add_overflow(buffer->len, extra, &wanted))
                goto fail;
        size = buffer->size <= SIZE_MAX / 2 ? buffer->size * 2 : SIZE_MAX;
        size = MAX(size, SIZE_MIN);
        size = MAX(size, wanted);
        data = realloc(buffer->data, size);
        if (!data)
                goto fail;
        buffer->data = data;
        buffer->size = size;
        return data + buffer->len;

fail:
        buffer->failed = true;
        return NULL;
}

void buffer_append(Buffer *buffer, Slice s) {
        char *place = s.len ? buffer_reserve(buffer, s.len) : NULL;

        if (!place)
                return;
        memcpy(place, s.data, s.len);
        buffer->len += s.len;
}

void buffer_append_byte(Buffer *buffer, char c) {
        char *place = buffer_reserve(buffer, 1);

        if (!place)
                return;
        *place = c;
        buffer->len++;
}

void buffer_append_u64(Buffer *buffer, uint64_t value) {
        char text[NUMBER_U64_SIZE];

        buffer_append(buffer, slice_make(text, number_format_u64(value, text)));
}

void buffer_append_i64(Buffer *buffer, int64_t value) {
        if (value < 0)
                buffer_append_byte(buffer, '-');
        buffer_append_u64(buffer, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buffer_printf(Buffer *buffer, const char *format, ...) {
        va_list arguments;
        char *place;
        int len;

        va_start(arguments, format);
        len = vsnprintf(NULL, 0, format, arguments);
        va_end(arguments);
        if (len < 0) {
                buffer->failed = true;
                return;
        }
        place = buffer_reserve(buffer, (size_t)len + 1);
        if (!place)
                return;
        va_start(arguments, format);
        (void)vsnprintf(place, (size_t)len + 1, format, arguments);
        va_end(arguments);
        buffer->len += (size_t)len;
}

void buffer_consume(Buffer *buffer, size_t n) {
        CHECK(n <= buffer->len);
        buffer->len -= n;
        if (n && buffer->len)
                memmove(buffer->data, buffer->data + n, buffer->len);
}
