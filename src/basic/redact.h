/* SPDX-License-Identifier: MIT */
#pragma once

/* Connection strings as they may be shown. */

#include "basic/buffer.h"

/*
 * Appends a URL ("postgresql://user:secret@host/db?password=secret") or keywords with their values
 * ("host=h password=secret") with *** in place of each password. What it cannot tell from a
 * password, it hides: the text may be none that anything would accept. "sqlite:" and "unix:" are
 * followed by a path, which stays as it is.
 */
void redact_append(Buffer *out, Slice text);
