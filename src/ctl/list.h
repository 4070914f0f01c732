/* SPDX-License-Identifier: MIT */
#pragma once

/* What the verbs that list rows share: --limit= and --after=, pages, tables and JSON arrays. */

#include "ctl/context.h"

/* Reads one page: appends rows to lines (fields between tabs), or with --json to ctl->out, each
 * behind list_separate(). Returns an ExitStatus. */
typedef int (*ListPage)(Ctl *ctl, const StoreQuery *query, Buffer *lines, size_t *ret_n,
                        int64_t *ret_last);

typedef struct ListKind {
        const char *header; /* of the table, a line */
        ListPage page;
} ListKind;

/* Fills limit and after of the query from the options; limit 0: all. */
int list_window(const Ctl *ctl, StoreQuery *query) _must_check_;

/* Prints rows until the limit, and on standard error how to see those behind it. */
int list_print(Ctl *ctl, const ListKind *kind, StoreQuery *query) _must_check_;

/* The comma between two rows of the array. */
void list_separate(Ctl *ctl);
