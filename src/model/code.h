/* SPDX-License-Identifier: MIT */
#pragma once

/* Short codes: shape and generation. */

#include <stdbool.h>

#include "basic/arena.h"
#include "basic/slice.h"

/* 1 to 64 characters of [A-Za-z0-9_-]: what may be stored (imports may bring codes of others'). */
bool code_valid(Slice code) _pure_;

/* length (4 to 32) random characters of [A-Za-z0-9]; data == NULL when the arena is full.
 * Reserved words (first segments of routes) are the caller's concern: it knows the routes. */
Slice code_generate(Arena *arena, size_t length);
