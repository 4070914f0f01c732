/* SPDX-License-Identifier: MIT */
#pragma once

/* Secrets, which never stand in a configuration file or in a program's arguments. */

#include "basic/check.h"

#define CREDENTIAL_MAX 4096u /* bytes */

/* The secret of this id in $CREDENTIALS_DIRECTORY (systemd's LoadCredential=); else the contents of
 * the file that the environment variable names. Without the line end at its end; the caller frees
 * it. -ENOENT: neither is there; -E2BIG: longer than CREDENTIAL_MAX; or why it cannot be read. */
int credential_read(const char *id, const char *variable, char **ret) _must_check_;
