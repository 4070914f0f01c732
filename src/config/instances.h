/* SPDX-License-Identifier: MIT */
#pragma once

/* How many instances this host has, which /etc/default/shortener says to systemd's generator. */

#include "basic/buffer.h"

#define INSTANCES_FILE    "/etc/default/shortener"
#define INSTANCES_MAX     32u /* half the slots of the host page */
#define INSTANCES_DEFAULT 1u  /* without the file, or when it says nothing that can be read */

/* The last INSTANCES= of the file counts, as in a shell. What is wrong with the file is said in a
 * line of problems; it is no error that it is missing. */
unsigned instances_read(const char *path, Buffer *problems);
