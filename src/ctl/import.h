/* SPDX-License-Identifier: MIT */
#pragma once

/* One run of `shortenerctl import`: what its parts share. */

#include "ctl/context.h"
#include "ctl/import-rows.h"
#include "ctl/progress.h"
#include "ctl/row-errors.h"

typedef struct Import {
        Ctl *ctl;
        const char *path; /* "-": standard input */
        char *state_path; /* NULL: nothing is kept */
        char *errors_path;
        int fd;
        bool is_file; /* has a size and can be resumed */
        bool dry_run;
        bool resumed;
        RowReader *reader;
        Batch *batches[2];
        unsigned current;  /* the batch that rows are read into */
        size_t batch_rows; /* of one transaction */
        size_t n_read;     /* rows since the last transaction, bad ones included */
        size_t n_bad;      /* of them, bad */
        ImportFile *file;
        ImportState state;
        ImportTarget target;
        RowErrors errors;
        Progress progress;
} Import;

/* Opens the input, the store and, for a file, its state; with --resume goes to the row where the
 * last run ended. Returns an ExitStatus. */
int import_begin(Import *import) _must_check_;

/* Releases what import_begin() got, and import itself; it may be half done. */
void import_done(Import *import);
