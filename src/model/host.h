/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The host of a URL: the host parser of the WHATWG URL Standard for special schemes. A domain
 * becomes ASCII, an address in any of its spellings (0x7f.1, [0:0::1]) its canonical text.
 */

#include "basic/slice.h"

#define HOST_MAX  253u           /* bytes of a domain, a dot at its end not counted */
#define HOST_SIZE (HOST_MAX + 2) /* room for any result */

/* text: valid UTF-8 without port and credentials; an IPv6 address in brackets. 0: ret holds
 * *ret_len bytes of lower-case ASCII, no NUL. -EINVAL: no host, or one of a single character.
 * -ENOMEM. */
int host_parse(Slice text, char ret[HOST_SIZE], size_t *ret_len) _must_check_;
