/* SPDX-License-Identifier: MIT */
#pragma once

/* The syntax of one configuration file, on libinih. Used by config.c only. */

#include "basic/slice.h"
#include "config/config.h"

#define CONFIG_FILE_MAX (1024u * 1024) /* bytes */

/* One assignment; line is that of its key. Negative ends the parse and is its result. */
typedef int (*ConfigAssign)(void *userdata, const char *section, const char *key, Slice value,
                            unsigned line);

/* -EINVAL for bad syntax: *ret_line and *ret_why (static) say where and what; an error of assign()
 * leaves *ret_why alone. -ENOMEM. */
int config_file_parse(Slice text, ConfigAssign assign, void *userdata, unsigned *ret_line,
                      const char **ret_why) _must_check_;
