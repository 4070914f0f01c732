/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Root must leave no file in the state folder that the service cannot write (a database, its -wal,
 * the host page): before shortenerctl touches one it becomes the folder's owner. Files that the
 * caller named (the input of an import, the output of an export) are opened as who called.
 */

#include "basic/check.h"

/* Becomes the owner of the folder that path lies in, when this is root and the owner is not. A
 * folder that does not exist changes nothing. 0, or -errno. */
int owner_become(const char *path) _must_check_;

/* For the caller's own files: back to who called, and again to the owner. They pair; without
 * owner_become() they do nothing. Losing privileges cannot fail half way: the process aborts. */
void owner_suspend(void);
void owner_resume(void);
