/* SPDX-License-Identifier: MIT */
#pragma once

/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */

#include <stdbool.h>
#include <stdint.h>

#include "basic/slice.h"

bool utf8_valid(Slice s) _pure_;

/* Has a control character (U+0000 to U+001F, U+007F to U+009F)? s must be valid UTF-8. */
bool utf8_has_control(Slice s) _pure_;

/* Code points in s, which must be valid. */
size_t utf8_length(Slice s) _pure_;

/* The longest prefix of s of at most max bytes that does not cut a character. s must be valid. */
Slice utf8_cut(Slice s, size_t max) _pure_;

/* Copies s to out (room for max bytes), each invalid byte and each control character replaced by
 * '?', never more than max bytes, never half a character. Returns the bytes written. */
size_t utf8_clean(Slice s, char *out, size_t max);

/* Decodes the character at *offset and moves the offset behind it; -EILSEQ if it is invalid. */
int utf8_next(Slice s, size_t *offset, uint32_t *ret) _must_check_;

/* Writes the UTF-8 form of c (a scalar value) to out (4 bytes); returns its length. */
size_t utf8_encode(uint32_t c, char out[4]);
