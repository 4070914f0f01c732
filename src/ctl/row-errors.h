/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What was wrong with rows: the first ones on standard error, all of them in a CSV file of line and
 * reason beside the input. Nothing reaches the file before row_errors_flush(), so that it agrees
 * with what is in the store.
 */

#include "ctl/batch.h"

typedef struct RowError {
        uint64_t line;
        const char *problem; /* static */
} RowError;

typedef struct RowErrors {
        const char *input; /* the name of the file that has the rows */
        const char *path;  /* where they are kept; NULL: only shown */
        int fd;            /* -1: not opened yet */
        uint64_t size;     /* bytes of the file that are true */
        uint64_t n_shown;
        uint64_t n_hidden; /* not shown because there were too many */
        RowError pending[2 * BATCH_ROWS];
        size_t n_pending;
} RowErrors;

/* size: of a resumed import's errors, else 0; then a file that an earlier import left goes, unless
 * this is a dry run. */
int row_errors_begin(RowErrors *errors, const char *input, const char *path, uint64_t size,
                     bool dry_run) _must_check_;

/* problem: static text. At most 2 * BATCH_ROWS between two flushes. */
void row_errors_add(RowErrors *errors, uint64_t line, const char *problem);

/* Shows and writes those added, by line. */
int row_errors_flush(RowErrors *errors) _must_check_;
void row_errors_end(RowErrors *errors);
