/* SPDX-License-Identifier: MIT */
#pragma once

/* Punycode (RFC 3492): one label of a domain name, without its "xn--". */

#include <stddef.h>
#include <stdint.h>

#include "basic/slice.h"

#define PUNYCODE_MAX 63u /* characters or code points of a label */

/* 0: *ret_n code points; -EINVAL: no Punycode, or over PUNYCODE_MAX. */
int punycode_decode(Slice text, uint32_t ret[PUNYCODE_MAX], size_t *ret_n) _must_check_;

/* 0: *ret_len characters, no NUL; -EINVAL: over PUNYCODE_MAX. */
int punycode_encode(const uint32_t *points, size_t n_points, char ret[PUNYCODE_MAX],
                    size_t *ret_len) _must_check_;
