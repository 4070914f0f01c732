/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What verbs print: the API's objects as JSON (keys sorted, compact, ASCII), aligned tables for
 * people, and the fields of one object as lines.
 */

#include "basic/buffer.h"
#include "model/types.h"

void output_user_json(Buffer *out, const User *user);
void output_url_json(Buffer *out, const Url *url);
void output_event_json(Buffer *out, const Event *event);

/* A JSON string, or null when its data is NULL; invalid UTF-8 (file names) is replaced. */
void output_string_json(Buffer *out, Slice s);

/* Aligns lines of fields that tabs separate; columns whose bit is set in `right` (0: the first) are
 * set to the right. The last column is not padded. */
void output_align(Buffer *out, Slice lines, unsigned right);

/* "2026-01-02 03:04:05" */
void output_time(Buffer *out, int64_t seconds);

/* "1,234,567" */
void output_number(Buffer *out, uint64_t value);

/* "12.3 MiB" */
void output_size(Buffer *out, uint64_t bytes);
