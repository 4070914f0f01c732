/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The API's rules for fields, with its texts, for what shortenerctl writes: user, link, seed,
 * import. Each returns NULL, or what is wrong (static text). Results are trimmed and borrowed from
 * the argument.
 */

#include <stdbool.h>

#include "basic/arena.h"
#include "model/types.h"

const char *rules_username(Slice text, Slice *ret);
const char *rules_email(Slice text, Slice *ret);
const char *rules_title(Slice text, Slice *ret); /* blank: data == NULL */
const char *rules_event_type(Slice text, Slice *ret);

/* Fills ret->target (borrowed) and ret->location (in the arena). credentials: those in front of a
 * host are taken ([Links] Credentials=). 0, with *ret_problem as above; -ENOMEM. */
int rules_target(Slice text, bool credentials, Arena *arena, Url *ret,
                 const char **ret_problem) _must_check_;

/* Is the word a route's first segment? No code may be one; tests/lint/ctl.py checks
 * this list against the routes. */
bool rules_code_reserved(Slice code) _pure_;
