/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Idempotency-Key: a POST that is sent again, because nobody knows what became of the first, is
 * done once and has the first one's answer. The store remembers key and answer with the row that
 * was made, in one transaction; what was refused made nothing, and is not remembered. A key is of
 * one token (or of all who need none) and one route.
 */

#include "api/if-match.h"

#define ONCE_KEY_MAX  255u           /* characters */
#define ONCE_KEEP_SEC (24 * 60 * 60) /* how long a key is remembered */

typedef struct Once {
        StoreKey key;
        IfMatchShow show; /* the row that is made */
        bool has_tag;     /* the answer has ETag */
        Buffer body;      /* owned; the answer's, until it is in the store */
} Once;

/* once: zeroed, with show and has_tag; must stay where it is. *ret: NULL if no key was sent. 0: go
 * on; API_REFUSED: answered (400, 422, or what was answered the first time); negative. */
int once_begin(Call *call, Once *once, const StoreKey **ret) _must_check_;
void once_done(Once *once);

/* The answer to a result of a verb with the key, other than STORE_OK. */
int once_reply(Call *call, const Once *once, int result) _must_check_;
