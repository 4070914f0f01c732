/* SPDX-License-Identifier: MIT */
#pragma once

/* [0-9A-Za-z]: the alphabet of short codes and tokens. */

#include <stdbool.h>
#include <stddef.h>

#include "basic/slice.h"

/* n characters, uniform (rejection sampling) from getrandom(2). No NUL is written. Aborts if the
 * kernel has no randomness. */
void base62_random(char *ret, size_t n);

bool base62_valid(Slice s) _pure_;
