/* SPDX-License-Identifier: MIT */
#pragma once

/* Domain names to ASCII: UTS #46, non-transitional, as the WHATWG URL Standard asks for it. */

#include "basic/slice.h"
#include "model/host.h"

/* domain: valid UTF-8 without control characters. 0: ret holds *ret_len bytes of lower-case ASCII,
 * no NUL; whether they may all stand in a host is not checked. -EINVAL: no such name, or one too
 * long (labels of 63 bytes, HOST_MAX in all). -ENOMEM. */
int idna_to_ascii(Slice domain, char ret[HOST_SIZE], size_t *ret_len) _must_check_;
