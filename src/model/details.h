/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The details of events as canonical JSON text: keys sorted, compact, ASCII (\uXXXX, upper-case
 * surrogate pairs beyond the BMP). Everything that writes an event makes its details here.
 */

#include "basic/arena.h"
#include "basic/buffer.h"
#include "basic/slice.h"

/* Appends s, which must be valid UTF-8, as a JSON string with its quotes. */
void details_append_string(Buffer *out, Slice s);

/* Each returns text in the arena; data == NULL when it is full. */
Slice details_created(Arena *arena, Slice target, Slice code); /* {original_url, short_code} */
Slice details_updated(Arena *arena, const char *field, Slice new_value); /* {field, new_value} */
Slice details_deleted(Arena *arena, const char *reason);                 /* {reason} */
/* {ip, referrer?, user_agent}; referrer is left out when its data is NULL. */
Slice details_redirect(Arena *arena, Slice ip, Slice user_agent, Slice referrer);
