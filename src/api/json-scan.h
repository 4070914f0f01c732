/* SPDX-License-Identifier: MIT */
#pragma once

/* What has to be seen of a JSON text before jansson sees it. */

#include <stdbool.h>

#include "basic/buffer.h"

/* A number is handed to jansson as a string whose first character is NUL, behind which stands the
 * number as it was sent. No text of a client can begin like this, because NUL is refused. */
#define JSON_NUMBER_MARK '\0'

/* Copies text to out for jansson's JSON_ALLOW_NUL: numbers become strings, and escapes that stand
 * for no character (NUL, half a surrogate pair) U+FFFD; *ret_bad_text says whether there were any.
 * false: objects and arrays lie more than depth_max deep in each other, or a number is malformed.
 * Other mistakes of the text are left in it. */
bool json_scan(Slice text, size_t depth_max, Buffer *out, bool *ret_bad_text);
