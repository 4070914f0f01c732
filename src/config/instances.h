/* SPDX-License-Identifier: MIT */
#pragma once

/* How many instances this host has, which /etc/default/shortener says to systemd's generator. */

#include "basic/buffer.h"

#define INSTANCES_FILE    "/etc/default/shortener"
#define INSTANCES_MAX     32u /* half the slots of the host page */
#define INSTANCES_DEFAULT 1u  /* without the file, or when it does not say */

/* The last INSTANCES= of the file counts, as in a shell; that the file is missing is no error.
 * -EINVAL if a value is no number in range, -errno if the file cannot be read: problems, which the
 * caller owns, then has a line for each, with the file and the value. */
int instances_read(const char *path, Buffer *problems, unsigned *ret) _must_check_;
