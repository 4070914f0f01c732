/* SPDX-License-Identifier: MIT */
#pragma once

/* Symbolic links that have shortener.target want the sockets and services of instances 1 to n. */

#include "basic/check.h"

/* Below directory, which must exist. 0, or -errno. */
int wants_write(const char *directory, unsigned n_instances) _must_check_;
