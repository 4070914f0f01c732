/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of alertd/ share: CMocka, a folder of their own, batches. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "alertd/queue.h"

/* *state becomes the path of a new folder; the tear-down removes it and what is in it. */
int folder_setup(void **state);
int folder_teardown(void **state);

/* A batch of these texts, which end with NULL; its numbers are 0. */
AlertBatch *make_batch(const char *const *texts);
