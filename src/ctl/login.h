/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/*
 * Who runs this program, for the audit: the user who logged in, as the kernel keeps it through
 * su(1) and sudo(8); where nobody did (a timer, a container), the real user. A number when the user
 * has no name. Cut to size, bytes with the NUL.
 */
void login_name(char *out, size_t size);
