/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Tokens as text: "sht_", 256 random bits in base62, and a checksum by which scanners of source
 * code know one. The text is shown once and never kept: the store has its SHA-256. Nothing here
 * branches on, or looks up memory by, what is secret of a token.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/slice.h"
#include "model/types.h"

#define TOKEN_PREFIX   "sht_"
#define TOKEN_SECRET   43u /* characters; 62^43 > 2^256 */
#define TOKEN_CHECKSUM 6u
#define TOKEN_SIZE     (sizeof TOKEN_PREFIX - 1 + TOKEN_SECRET + TOKEN_CHECKSUM)

/* A new one, without a NUL. Aborts if the kernel has no randomness. */
void token_make(char ret[TOKEN_SIZE]);

/* Is the checksum that of the rest? For people's typing; not for a request's token. */
bool token_checksum_good(Slice text);

/* Of the value of an Authorization field: false if it is not "Bearer", a prefix and as many
 * characters. */
bool token_of_field(Slice field, Slice *ret);

/* SHA-256. */
void token_digest(Slice text, uint8_t ret[TOKEN_DIGEST_SIZE]);

/* In a time that does not tell how much of them is equal. */
bool token_digest_equal(const uint8_t a[TOKEN_DIGEST_SIZE], const uint8_t b[TOKEN_DIGEST_SIZE]);
