/* SPDX-License-Identifier: MIT */
#pragma once

/* One option's value: text to field and back. Used by config.c only. */

#include "basic/buffer.h"
#include "basic/slice.h"
#include "config/config.h"

/* Sets the option's field. A list takes the value's words behind those that it has; an empty value
 * resets it. -EINVAL: *why has got the reason; -ENOMEM. The field is untouched on failure. */
int config_value_set(const ConfigOption *option, void *options, Slice value,
                     Buffer *why) _must_check_;

/* Forgets what a list has got so far; other types are left alone. -ENOMEM. */
int config_value_reset_list(const ConfigOption *option, void *options) _must_check_;

void config_value_free(const ConfigOption *option, void *options);

/* The lines "Key=Value" that set the field to what it is. */
void config_value_dump(const ConfigOption *option, const void *options, Buffer *out);

bool config_value_equal(const ConfigOption *option, const void *a, const void *b) _must_check_;

/* What the option takes, for people: "a number from 1 to 64". */
void config_value_allowed(const ConfigOption *option, Buffer *out);
