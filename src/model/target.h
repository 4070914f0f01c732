/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A redirect's target: the URL rules of the API and the form that goes into Location. The grammar
 * is the WHATWG URL Standard's for http and https, and stricter where the API says so: no blanks or
 * control characters anywhere, no credentials, no host of one character.
 */

#include "basic/arena.h"
#include "basic/slice.h"

/* text: trimmed by the caller. 0: *ret_location is the serialised URL in the arena: scheme lower
 * case, host in ASCII form (IDNA by libidn2, IPv4 and IPv6 in canonical text), default port
 * dropped, dot segments resolved, path, query and fragment percent-encoded; pure printable ASCII.
 * -EINVAL: not a valid target; -ENOMEM. A text over MODEL_TARGET_MAX bytes, or whose location would
 * exceed 3 times that, is -EINVAL. */
int target_parse(Arena *arena, Slice text, Slice *ret_location) _must_check_;

/* The same, but that credentials in front of the host are taken, and stay. */
int target_parse_credentials(Arena *arena, Slice text, Slice *ret_location) _must_check_;
