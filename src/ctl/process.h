/* SPDX-License-Identifier: MIT */
#pragma once

/* Other programs as child processes. */

#include <stdint.h>

#include "basic/buffer.h"

/* Runs argv (NULL terminated; argv[0] is looked for in $PATH); standard error is ours, standard
 * output goes to out, or nowhere, standard input is empty. Its exit status, 128 and the signal's
 * number when one ended it; -ENOENT: there is no such program; -ETIMEDOUT: it took longer than
 * timeout_usec (0: any time) and was ended. */
int process_run(const char *const *argv, uint64_t timeout_usec, Buffer *out) _must_check_;
