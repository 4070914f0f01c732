/* SPDX-License-Identifier: MIT */
#pragma once

/* Rules for the texts of users, links and events; the same for the API, imports and shortenerctl.
 */

#include "basic/arena.h"
#include "basic/slice.h"
#include "model/problem.h"

typedef enum TextResult {
        TEXT_OK,
        TEXT_BLANK,    /* empty after trimming */
        TEXT_TOO_LONG, /* over MODEL_TEXT_MAX characters */
        TEXT_INVALID,  /* not UTF-8, or a control character */
} TextResult;

/* Trims s (ASCII and Unicode White_Space) into *ret and judges it. *ret is set in every case. */
TextResult text_check(Slice s, Slice *ret);

/* Exactly one @, a non-empty local part, a dot in the domain (neither first nor last character of
 * it), no white space. Length is text_check()'s. */
bool text_email_valid(Slice s) _pure_;
