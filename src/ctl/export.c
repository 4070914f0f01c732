/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl export`: all rows of one kind by ascending id, page after page by id, so that
 * memory and cost per row stay the same however many there are. Each page is one read: rows that
 * change meanwhile are exported as they were or as they are, and none twice.
 *
 * A file appears under its name when it is complete; until then it is NAME.part. What is there and
 * is no file (a pipe, a terminal, /dev/null) is written to as it is; a link stays one.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/csv.h"
#include "ctl/output.h"
#include "ctl/owner.h"
#include "ctl/progress.h"
#include "ctl/record.h"
#include "ctl/verbs.h"

#define PAGE_ROWS 1000 /* rows of one read */

typedef struct Export {
        Ctl *ctl;
        RecordType type;
        bool json_lines;
        const char *path; /* NULL: standard output */
        char *real_path;  /* where a link leads to */
        char *part_path;  /* NULL: no file, written to as it is */
        FILE *file;
        uint64_t n_rows;
        Progress progress;
} Export;

static const char *final_path(const Export *export) {
        return export->real_path ? export->real_path : export->path;
}

static const char *written_path(const Export *export) {
        return export->part_path ? export->part_path : export->path;
}

/* ---- rows ---- */

static void csv_id(Buffer *out, int64_t id) {
        if (id > 0)
                buffer_append_i64(out, id);
}

static void csv_text(Buffer *out, Slice text) {
        buffer_append_byte(out, ',');
        csv_write_field(out, text);
}

static void csv_time(Buffer *out, int64_t seconds) {
        buffer_append_byte(out, ',');
        output_time(out, seconds);
}

static void csv_user(Buffer *out, const User *user) {
        csv_id(out, user->id);
        csv_text(out, user->username);
        csv_text(out, user->email);
        csv_time(out, user->created_sec);
}

static void csv_url(Buffer *out, const Url *url) {
        csv_id(out, url->id);
        buffer_append_byte(out, ',');
        csv_id(out, url->user_id);
        csv_text(out, url->code);
        csv_text(out, url->target);
        csv_text(out, url->title);
        buffer_append(out, url->is_active ? SLICE(",True") : SLICE(",False"));
        csv_time(out, url->created_sec);
        csv_time(out, url->updated_sec);
}

static void csv_event(Buffer *out, const Event *event) {
        csv_id(out, event->id);
        buffer_append_byte(out, ',');
        csv_id(out, event->url_id);
        buffer_append_byte(out, ',');
        csv_id(out, event->user_id);
        csv_text(out, event->type);
        csv_time(out, event->timestamp_sec);
        csv_text(out, event->details);
}

static void csv_header(Buffer *out, RecordType type) {
        size_t n;
        const RecordField *columns = record_columns(type, &n);

        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        buffer_append_byte(out, ',');
                buffer_append(out, slice_from_string(record_field_name(columns[i])));
        }
        buffer_append_byte(out, '\n');
}

static void add_user(Export *export, const User *user) {
        Buffer *out = &export->ctl->out;

        export->json_lines ? output_user_json(out, user) : csv_user(out, user);
        buffer_append_byte(out, '\n');
        export->n_rows++;
}

static void add_url(Export *export, const Url *url) {
        Buffer *out = &export->ctl->out;

        export->json_lines ? output_url_json(out, url) : csv_url(out, url);
        buffer_append_byte(out, '\n');
        export->n_rows++;
}

static void add_event(Export *export, const Event *event) {
        Buffer *out = &export->ctl->out;

        export->json_lines ? output_event_json(out, event) : csv_event(out, event);
        buffer_append_byte(out, '\n');
        export->n_rows++;
}

/* Writes what was added since the last time. */
static int write_page(Export *export) {
        Buffer *out = &export->ctl->out;

        arena_reset(&export->ctl->arena);
        if (out->failed) {
                ctl_error("export", "out of memory");
                return EXIT_AGAIN;
        }
        if (out->len > 0 && fwrite(out->data, out->len, 1, export->file) != 1) {
                ctl_error(export->path ? written_path(export) : "standard output", "%s",
                          strerror(errno));
                return EXIT_FAILED;
        }
        buffer_clear(out);
        progress_update(&export->progress, export->n_rows, export->n_rows);
        return EXIT_DONE;
}

/* ---- pages ---- */

static int export_users(Export *export) {
        StoreQuery query = {.limit = PAGE_ROWS};
        size_t n;

        do {
                User *users;
                int r;

                ctl_deadline(export->ctl, CTL_LONG_DEADLINE_USEC);
                r = store_user_list(export->ctl->session, &export->ctl->arena, &query, &users, &n,
                                    NULL);
                if (r != 0)
                        return ctl_store_failed(export->ctl, r);
                for (size_t i = 0; i < n; i++)
                        add_user(export, &users[i]);
                query.has_after = true;
                query.after = n > 0 ? users[n - 1].id : 0;
                r = write_page(export);
                if (r != EXIT_DONE)
                        return r;
        } while (n == PAGE_ROWS);
        return EXIT_DONE;
}

static int export_urls(Export *export) {
        StoreQuery query = {.limit = PAGE_ROWS};
        size_t n;

        do {
                Url *urls;
                int r;

                ctl_deadline(export->ctl, CTL_LONG_DEADLINE_USEC);
                r = store_url_list(export->ctl->session, &export->ctl->arena, &query, &urls, &n,
                                   NULL);
                if (r != 0)
                        return ctl_store_failed(export->ctl, r);
                for (size_t i = 0; i < n; i++)
                        add_url(export, &urls[i]);
                query.has_after = true;
                query.after = n > 0 ? urls[n - 1].id : 0;
                r = write_page(export);
                if (r != EXIT_DONE)
                        return r;
        } while (n == PAGE_ROWS);
        return EXIT_DONE;
}

/* The events of ids [from, upto), of which the newest PAGE_ROWS, in *ret_events newest first;
 * *ret_n counts those that are not below from. */
static int read_window(Export *export, int64_t from, int64_t upto, Event **ret_events,
                       size_t *ret_n) {
        StoreQuery query = {.has_after = true, .after = upto, .limit = PAGE_ROWS};
        size_t n;
        int r;

        ctl_deadline(export->ctl, CTL_LONG_DEADLINE_USEC);
        r = store_event_list(export->ctl->session, &export->ctl->arena, &query, ret_events, &n,
                             NULL);
        if (r != 0)
                return ctl_store_failed(export->ctl, r);
        while (n > 0 && (*ret_events)[n - 1].id < from)
                n--;
        *ret_n = n;
        return EXIT_DONE;
}

static int newest_event(Export *export, int64_t *ret) {
        StoreQuery query = {.limit = 1};
        Event *events;
        size_t n;
        int r;

        r = store_event_list(export->ctl->session, &export->ctl->arena, &query, &events, &n, NULL);
        if (r != 0)
                return ctl_store_failed(export->ctl, r);
        *ret = n > 0 ? events[0].id : 0;
        return EXIT_DONE;
}

/*
 * The store lists events newest first. Ascending order comes out of windows of ids: one of
 * PAGE_ROWS ids never holds more rows than a page; where ids are sparse the windows double, and a
 * window that proves too full is halved again.
 */
static int export_events(Export *export) {
        int64_t from = 1, width = PAGE_ROWS, newest = 0;
        int r;

        r = newest_event(export, &newest);
        if (r != EXIT_DONE)
                return r;
        while (from <= newest) {
                int64_t upto = width > newest - from ? newest + 1 : from + width;
                Event *events;
                size_t n = 0;

                r = read_window(export, from, upto, &events, &n);
                if (r != EXIT_DONE)
                        return r;
                if (n == PAGE_ROWS && upto - from > PAGE_ROWS) {
                        width = MAX((upto - from) / 2, (int64_t)PAGE_ROWS);
                        continue;
                }
                for (size_t i = n; i > 0; i--)
                        add_event(export, &events[i - 1]);
                from = upto;
                if (n < PAGE_ROWS / 2 && width < INT64_MAX / 2)
                        width *= 2;
                r = write_page(export);
                if (r != EXIT_DONE)
                        return r;
        }
        return EXIT_DONE;
}

/* ---- the file ---- */

static int open_output(Export *export) {
        struct stat st;

        export->file = stdout;
        if (!export->path)
                return EXIT_DONE;
        if (stat(export->path, &st) < 0 || S_ISREG(st.st_mode)) {
                export->real_path = realpath(export->path, NULL);
                if (asprintf(&export->part_path, "%s.part", final_path(export)) < 0) {
                        export->part_path = NULL;
                        ctl_error("export", "out of memory");
                        return EXIT_AGAIN;
                }
        }
        export->file = fopen(written_path(export), "we");
        if (!export->file) {
                ctl_error(written_path(export), "%s", strerror(errno));
                return EXIT_FAILED;
        }
        return EXIT_DONE;
}

/* Reaches the disk, and the file its name. */
static bool complete(Export *export) {
        bool failed = fflush(export->file) == EOF;

        if (!failed && export->part_path)
                failed = fdatasync(fileno(export->file)) < 0;
        return fclose(export->file) == 0 && !failed &&
               (!export->part_path || rename(export->part_path, final_path(export)) == 0);
}

static int close_output(Export *export, int result) {
        if (!export->path) {
                if (result == EXIT_DONE && fflush(stdout) == EOF) {
                        ctl_error("standard output", "%s", strerror(errno));
                        return EXIT_FAILED;
                }
                return result;
        }
        owner_suspend();
        if (result != EXIT_DONE) {
                (void)fclose(export->file);
        } else if (!complete(export)) {
                ctl_error(export->path, "%s", strerror(errno));
                result = EXIT_FAILED;
        }
        if (result != EXIT_DONE && export->part_path)
                (void)unlink(export->part_path);
        owner_resume();
        return result;
}

static int export_rows(Export *export) {
        StoreTotals totals;
        int r;

        r = store_totals(export->ctl->session, &totals);
        if (r != 0)
                return ctl_store_failed(export->ctl, r);
        progress_begin(&export->progress, export->path ? STDERR_FILENO : -1,
                       record_type_name(export->type),
                       (uint64_t)(export->type == RECORD_USERS  ? totals.users
                                  : export->type == RECORD_URLS ? totals.urls
                                                                : totals.events),
                       0, 0);
        if (!export->json_lines)
                csv_header(&export->ctl->out, export->type);
        r = write_page(export);
        if (r == EXIT_DONE)
                r = export->type == RECORD_USERS  ? export_users(export)
                    : export->type == RECORD_URLS ? export_urls(export)
                                                  : export_events(export);
        progress_end(&export->progress);
        return r;
}

int verb_export(Ctl *ctl) {
        const char *format = command_value(&ctl->command, "format");
        Export export = {
                        .ctl = ctl,
                        .type = record_type(ctl->command.arguments[0]),
                        .json_lines = format ? strcmp(format, "jsonl") == 0 : ctl->command.json,
                        .path = command_value(&ctl->command, "output"),
        };
        int r;

        if (export.type == RECORD_NONE)
                return ctl_usage(ctl, "%s: users, urls or events", ctl->command.arguments[0]);
        if (format && strcmp(format, "jsonl") != 0 && strcmp(format, "csv") != 0)
                return ctl_usage(ctl, "--format=%s: csv or jsonl", format);
        r = open_output(&export);
        if (r == EXIT_DONE) {
                r = ctl_open(ctl, CTL_READ);
                if (r == EXIT_DONE)
                        r = export_rows(&export);
                r = close_output(&export, r);
        }
        free(export.real_path);
        free(export.part_path);
        return r;
}
