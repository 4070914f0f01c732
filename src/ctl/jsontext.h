/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * JSON input of imports: the members of one object, and objects as canonical text (keys sorted,
 * compact, ASCII). Numbers stay the text that they were, so that an export comes back digit by
 * digit; a library that turns them into doubles could not promise that.
 */

#include "basic/arena.h"
#include "basic/slice.h"

#define JSONTEXT_DEPTH_MAX 16u /* objects and arrays inside each other, the outermost included */

typedef enum JsonTextKind {
        JSONTEXT_NULL,
        JSONTEXT_FALSE,
        JSONTEXT_TRUE,
        JSONTEXT_NUMBER,
        JSONTEXT_STRING,
        JSONTEXT_ARRAY,
        JSONTEXT_OBJECT,
} JsonTextKind;

typedef struct JsonTextMember {
        Slice key;
        JsonTextKind kind;
        Slice text; /* string: decoded; number: as it was; array and object: canonical */
} JsonTextMember;

/* The members of the one object that text is, by key; of several with one key the last. In the
 * arena. 0; -EINVAL: no such object (NUL and half a surrogate pair among its escapes included);
 * -ENOMEM. */
int jsontext_members(Slice text, Arena *arena, JsonTextMember **ret, size_t *ret_n) _must_check_;

/* The same object as canonical text. */
int jsontext_canonical(Slice text, Arena *arena, Slice *ret) _must_check_;
