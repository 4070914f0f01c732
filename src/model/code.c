/* SPDX-License-Identifier: MIT */

/* Short codes. Any thread. Whether a code is taken is the store's to say. */

#include "model/code.h"
#include "basic/base62.h"
#include "model/types.h"

#define LENGTH_MIN 4 /* characters of a generated code */
#define LENGTH_MAX 32

bool code_valid(Slice code) {
        if (code.len == 0 || code.len > MODEL_CODE_MAX)
                return false;
        for (size_t i = 0; i < code.len; i++)
                if (code.data[i] != '_' && code.data[i] != '-' &&
                    !base62_valid(slice_make(code.data + i, 1)))
                        return false;
        return true;
}

Slice code_generate(Arena *arena, size_t length) {
        char *text;

        CHECK(length >= LENGTH_MIN && length <= LENGTH_MAX);
        text = arena_alloc(arena, length + 1);
        if (!text)
                return SLICE_NONE;
        base62_random(text, length);
        text[length] = '\0';
        return slice_make(text, length);
}
