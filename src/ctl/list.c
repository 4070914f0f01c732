/* SPDX-License-Identifier: MIT */

/*
 * Lists. A page is printed before the next one is read, so that memory does not grow with a list.
 */

#include <inttypes.h>
#include <stdio.h>

#include "basic/number.h"
#include "ctl/list.h"
#include "ctl/output.h"

#define LIMIT_USUAL 100
#define PAGE_ROWS   1000

static int parse_number(const Ctl *ctl, const char *name, int64_t *ret) {
        const char *value = command_value(&ctl->command, name);

        if (!value)
                return EXIT_DONE;
        if (number_parse_i64(slice_from_string(value), ret) < 0 || *ret < 0)
                return ctl_usage(ctl, "--%s=%s: a number is wanted", name, value);
        return EXIT_DONE;
}

int list_window(const Ctl *ctl, StoreQuery *query) {
        int r;

        query->limit = LIMIT_USUAL;
        r = parse_number(ctl, "limit", &query->limit);
        if (r != EXIT_DONE)
                return r;
        query->has_after = command_value(&ctl->command, "after") != NULL;
        return parse_number(ctl, "after", &query->after);
}

void list_separate(Ctl *ctl) {
        if (ctl->n_listed++ > 0)
                buffer_append_byte(&ctl->out, ',');
}

static int print_page(Ctl *ctl, Buffer *lines) {
        if (!ctl->command.json)
                output_align(&ctl->out, buffer_slice(lines), 1);
        if (lines->failed)
                ctl->out.failed = true;
        buffer_clear(lines);
        arena_reset(&ctl->arena);
        return ctl_print(ctl);
}

/* *ret_more: the list ended at the limit, not at its end. */
static int print_pages(Ctl *ctl, const ListKind *kind, StoreQuery *query, Buffer *lines,
                       bool *ret_more) {
        int64_t limit = query->limit, n_printed = 0;

        for (;;) {
                size_t n;
                int r;

                query->limit = limit == 0 ? PAGE_ROWS : MIN(limit - n_printed, (int64_t)PAGE_ROWS);
                if (n_printed == 0)
                        buffer_append(lines, slice_from_string(kind->header));
                ctl_deadline(ctl, CTL_DEADLINE_USEC);
                r = kind->page(ctl, query, lines, &n, &query->after);
                if (r != EXIT_DONE)
                        return r;
                n_printed += (int64_t)n;
                if (n > 0 || n_printed == 0) {
                        r = print_page(ctl, lines);
                        if (r != EXIT_DONE)
                                return r;
                }
                *ret_more = (int64_t)n == query->limit && n_printed == limit;
                if ((int64_t)n < query->limit || n_printed == limit)
                        return EXIT_DONE;
                query->has_after = true;
        }
}

int list_print(Ctl *ctl, const ListKind *kind, StoreQuery *query) {
        Buffer lines = BUFFER_EMPTY;
        bool more = false;
        int r;

        ctl->n_listed = 0;
        if (ctl->command.json)
                buffer_append_byte(&ctl->out, '[');
        r = print_pages(ctl, kind, query, &lines, &more);
        buffer_done(&lines);
        if (r != EXIT_DONE)
                return r;
        if (ctl->command.json)
                buffer_append(&ctl->out, SLICE("]\n"));
        else if (more)
                (void)fprintf(stderr,
                              "There may be more: --after=%" PRId64 ", or --limit=0 for "
                              "all.\n",
                              query->after);
        return ctl_print(ctl);
}
