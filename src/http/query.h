/* SPDX-License-Identifier: MIT */
#pragma once

/* Query strings (application/x-www-form-urlencoded): find the first value of a name. */

#include "basic/arena.h"
#include "basic/buffer.h"

/* 1: found; *ret is the decoded value ('+' is a blank, %XX; a broken escape stays as it is).
 * 0: not there. -ENOMEM. Names are compared decoded. The result may hold any byte, NUL too. */
int http_query_get(Arena *arena, Slice query, Slice name, Slice *ret) _must_check_;

/* Appends value percent-encoded as a query value. */
void http_query_escape(Buffer *out, Slice value);
