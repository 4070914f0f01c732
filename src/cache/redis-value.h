/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is kept in Redis for a link, as text, so that redis-cli shows it:
 *
 *   key    shortener:1:CODE
 *   value  1 CRC READ ID CODE LOCATION
 *
 * 1 is the version of both; CRC is the CRC-32C of what follows it, in hex; READ the second (Unix
 * time) in which the store was read; LOCATION what goes into the header. Whoever finds a value
 * checks all of it before use: it came from outside.
 */

#include "basic/arena.h"
#include "basic/buffer.h"
#include "model/types.h"

#define REDIS_KEY_PREFIX "shortener:1:"
#define REDIS_VALUE_MAX  (MODEL_TARGET_MAX + MODEL_CODE_MAX + 64u) /* bytes */

/* A clock of another host may be ahead by this much; the quiet time of a counter allows for it. */
#define REDIS_CLOCK_SEC 60

/* Appends the key of code to out. */
void redis_key_append(Buffer *out, Slice code);

/* Appends the value. 0; -EMSGSIZE: the link is not kept in Redis, because its location is longer
 * than what is taken back, or not in the form that is taken back. arena: scratch. */
int redis_value_append(Buffer *out, Arena *arena, const Link *link, int64_t read_sec) _must_check_;

/* link->code is what was asked for; fills the rest, active, its location in the arena.
 * -EBADMSG: not a value of this link, or damaged, or from the future. -ESTALE: read over ttl_sec
 * ago. -ENOMEM. */
int redis_value_parse(Slice value, int64_t now_sec, int64_t ttl_sec, Arena *arena,
                      Link *link) _must_check_;
