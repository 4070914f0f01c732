/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The alerts log: lines that are only ever appended. When the file at its path is another one, or
 * gone (rotation), the next line opens it again. Belongs to one thread.
 */

#include <sys/types.h>

#include "basic/check.h"
#include "basic/slice.h"

typedef struct AlertLog AlertLog;

/* Makes the file, and its folder if only that is missing. */
int alert_log_open(const char *path, AlertLog **ret) _must_check_;
AlertLog *alert_log_free(AlertLog *log);
DEFINE_CLEANUP(AlertLog, alert_log_free)

int alert_log_reopen(AlertLog *log) _must_check_;
/* Before a group of lines: opens the file again if it was rotated. */
int alert_log_follow(AlertLog *log) _must_check_;

/* Where the next line will begin; alert_log_cut() takes back what was appended since. */
off_t alert_log_end(const AlertLog *log);
int alert_log_append(AlertLog *log, Slice line) _must_check_;
void alert_log_cut(AlertLog *log, off_t end);
int alert_log_sync(AlertLog *log) _must_check_;
