/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl import`: a file of any size into the store, a thousand rows a transaction. Behind
 * each transaction FILE.state notes the row that the next one begins with, so that a second run
 * with --resume goes on there (import-rows.h says why no row goes in twice).
 *
 * Two batches take turns: where the next transaction begins is known only when the row behind a
 * full batch was read.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "ctl/import-rows.h"
#include "ctl/output.h"
#include "ctl/owner.h"
#include "ctl/progress.h"
#include "ctl/row-errors.h"
#include "ctl/verbs.h"

#define HEAD_SIZE (64 * 1024) /* bytes that tell one file from another */

typedef struct Import {
        Ctl *ctl;
        const char *path; /* "-": standard input */
        char *state_path; /* NULL: nothing is kept */
        char *errors_path;
        int fd;
        bool is_file; /* has a size and can be resumed */
        bool dry_run;
        bool resumed;
        Reader *reader;
        Batch *batches[2];
        unsigned current; /* the batch that rows are read into */
        size_t n_read;    /* rows since the last transaction, bad ones included */
        ImportFile *file;
        ImportState state;
        ImportTarget target;
        RowErrors errors;
        Progress progress;
} Import;

/* ---- interruption ---- */

static volatile sig_atomic_t interrupted;

static void on_signal(int signal) {
        (void)signal;
        interrupted = 1;
}

/* A second signal ends the process at once. */
static void catch_signals(void) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGTERM, &action, NULL);
}

/* ---- opening ---- */

static int out_of_memory(void) {
        ctl_error("import", "out of memory");
        return EXIT_AGAIN;
}

static bool ends_with(const char *text, const char *end) {
        size_t len = strlen(text), end_len = strlen(end);

        return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static int open_input(Import *import) {
        struct stat st;

        if (strcmp(import->path, "-") == 0) {
                import->fd = STDIN_FILENO;
                return EXIT_DONE;
        }
        import->fd = open(import->path, O_RDONLY | O_CLOEXEC);
        if (import->fd < 0 || fstat(import->fd, &st) < 0) {
                ctl_error(import->path, "%s", strerror(errno));
                return EXIT_FAILED;
        }
        if (S_ISDIR(st.st_mode)) {
                ctl_error(import->path, "%s", strerror(EISDIR));
                return EXIT_FAILED;
        }
        import->is_file = S_ISREG(st.st_mode);
        if (import->is_file)
                import->state.file_size = (uint64_t)st.st_size;
        (void)posix_fadvise(import->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        return EXIT_DONE;
}

/* What tells this file from another of the same name. */
static int read_head(Import *import) {
        _cleanup_free_ char *head = malloc(HEAD_SIZE);
        ssize_t n;

        if (!head)
                return out_of_memory();
        n = pread(import->fd, head, HEAD_SIZE, 0);
        if (n < 0) {
                ctl_error(import->path, "%s", strerror(errno));
                return EXIT_FAILED;
        }
        import->state.file_head = hash_crc32c(0, head, (size_t)n);
        return EXIT_DONE;
}

static int begin_reader(Import *import) {
        const char *type = command_value(&import->ctl->command, "type");
        _cleanup_free_ char *problem = NULL;
        RecordType wanted = type ? record_type(type) : RECORD_NONE;
        int r;

        if (type && wanted == RECORD_NONE)
                return ctl_usage(import->ctl, "--type=%s: users, urls or events", type);
        r = reader_new(import->fd,
                       ends_with(import->path, ".jsonl") || ends_with(import->path, ".ndjson"),
                       &import->reader);
        if (r == 0)
                r = reader_begin(import->reader, wanted, &problem);
        if (r == -EINVAL) {
                ctl_error(import->path, "%s", problem);
                return EXIT_FAILED;
        }
        if (r < 0) {
                ctl_error(import->path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
        import->state.type = reader_type(import->reader);
        for (size_t i = 0; i < ELEMENTSOF(import->batches); i++)
                if (batch_new(import->state.type, &import->batches[i]) < 0)
                        return out_of_memory();
        return EXIT_DONE;
}

/* ---- the state's file ---- */

static bool same_import(const ImportState *a, const ImportState *b) {
        return a->file_size == b->file_size && a->file_head == b->file_head &&
               a->store == b->store && a->type == b->type;
}

static int state_failed(const Import *import, int r) {
        switch (r) {
        case -EEXIST:
                ctl_error(import->path,
                          "an import of it was interrupted: go on with --resume, or "
                          "remove %s to begin again",
                          import->state_path);
                return EXIT_FAILED;
        case -ENOENT:
                ctl_error(import->path, "there is nothing to resume: %s is not there",
                          import->state_path);
                return EXIT_FAILED;
        case -EWOULDBLOCK:
                ctl_error(import->path, "another shortenerctl is importing it");
                return EXIT_AGAIN;
        case -EBADMSG:
                ctl_error(import->state_path, "damaged: remove it and import without --resume; "
                                              "rows that are in already are then refused");
                return EXIT_FAILED;
        default:
                ctl_error(import->state_path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
}

static int resume(Import *import, const ImportState *kept) {
        int r;

        if (!same_import(&import->state, kept)) {
                ctl_error(import->path,
                          "this is not the file or the store that was imported: "
                          "remove %s and import without --resume",
                          import->state_path);
                return EXIT_FAILED;
        }
        import->state = *kept;
        import->resumed = true;
        import->target.unsettled = true;
        r = reader_seek(import->reader, kept->offset, kept->line);
        if (r < 0) {
                ctl_error(import->path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
        return EXIT_DONE;
}

static int open_state(Import *import, bool wants_resume) {
        ImportState kept = {};
        int r;

        owner_suspend();
        r = import_file_open(import->state_path, wants_resume, &import->file, &kept);
        owner_resume();
        if (r < 0)
                return state_failed(import, r);
        if (r == 1)
                return resume(import, &kept);
        return EXIT_DONE;
}

static int make_paths(Import *import) {
        const char *errors = command_value(&import->ctl->command, "errors");
        bool beside = import->is_file && !import->dry_run;

        if (beside && asprintf(&import->state_path, "%s.state", import->path) < 0)
                import->state_path = NULL;
        if (errors)
                import->errors_path = strdup(errors);
        else if (beside && asprintf(&import->errors_path, "%s.errors", import->path) < 0)
                import->errors_path = NULL;
        return (beside && !import->state_path) || ((beside || errors) && !import->errors_path)
                               ? out_of_memory()
                               : EXIT_DONE;
}

static int open_store(Import *import) {
        const char *url;
        int r;

        r = ctl_open(import->ctl, CTL_WRITE | CTL_BACKGROUND);
        if (r != EXIT_DONE)
                return r;
        url = store_url_shown(import->ctl->store);
        import->state.store = hash_crc32c(0, url, strlen(url));
        import->state.key = hash_key_random();
        import->target = (ImportTarget){
                        .session = import->ctl->session,
                        .code_length = import->ctl->options.links.code_length,
                        .with_events = !reader_has(import->reader, FIELD_ID),
        };
        return EXIT_DONE;
}

static int begin(Import *import) {
        bool wants_resume = command_flag(&import->ctl->command, "resume");
        int r;

        import->dry_run = command_flag(&import->ctl->command, "dry-run");
        if (import->dry_run && wants_resume)
                return ctl_usage(import->ctl, "--dry-run keeps nothing to --resume");
        r = open_input(import);
        if (r == EXIT_DONE && import->is_file)
                r = read_head(import);
        if (r == EXIT_DONE && wants_resume && !import->is_file)
                return ctl_usage(import->ctl, "%s is no file: it cannot be resumed", import->path);
        if (r == EXIT_DONE)
                r = begin_reader(import);
        if (r == EXIT_DONE)
                r = make_paths(import);
        if (r == EXIT_DONE && !import->dry_run)
                r = open_store(import);
        if (r == EXIT_DONE && import->state_path)
                r = open_state(import, wants_resume);
        if (r == EXIT_DONE && !import->resumed)
                import->state.now_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
        if (r != EXIT_DONE)
                return r;
        r = row_errors_begin(&import->errors, import->path, import->errors_path,
                             import->state.errors_size);
        if (r < 0) {
                ctl_error(import->errors_path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
        return EXIT_DONE;
}

/* ---- rows ---- */

static void on_refused(void *userdata, uint64_t line, const char *problem) {
        Import *import = userdata;

        import->state.n_skipped++;
        row_errors_add(&import->errors, line, problem);
}

static bool has_no_keys(Batch *batch, RecordType type) {
        if (type != RECORD_EVENTS)
                return false;
        for (size_t i = 0; i < batch_n(batch); i++)
                if (batch_event(batch, i)->id == 0)
                        return true;
        return false;
}

static int write_state(Import *import, bool sync) {
        int r;

        if (!import->file)
                return EXIT_DONE;
        r = import_file_write(import->file, &import->state, sync);
        if (r < 0) {
                ctl_error(import->state_path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
        return EXIT_DONE;
}

/* Notes that the next transaction begins at the row. */
static int note(Import *import, uint64_t offset, uint64_t line) {
        int r;

        r = row_errors_flush(&import->errors);
        if (r < 0) {
                ctl_error(import->errors_path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
        import->state.errors_size = import->errors.size;
        import->state.offset = offset;
        import->state.line = line;
        return write_state(import, false);
}

/* Rows that nothing would refuse a second time wait until the note of them is on disk. A resumed
 * import's first ones have theirs from the run that was killed. */
static int note_last_event(Import *import, Batch *batch) {
        int r;

        if (!import->file || import->target.unsettled || !has_no_keys(batch, import->state.type))
                return EXIT_DONE;
        r = import_last_event(import->target.session, &import->state.last_event);
        if (r != 0)
                return ctl_store_failed(import->ctl, r);
        return write_state(import, true);
}

static int send_rows(Import *import, Batch *batch, size_t *ret_imported) {
        int r;

        ctl_deadline(import->ctl, CTL_LONG_DEADLINE_USEC);
        r = note_last_event(import, batch);
        if (r != EXIT_DONE)
                return r;
        r = import_send(&import->target, &import->state, batch, on_refused, import, ret_imported);
        return r == 0 ? EXIT_DONE : ctl_store_failed(import->ctl, r);
}

/* Sends the batch; the next one begins at the row. */
static int send_batch(Import *import, Batch *batch, uint64_t offset, uint64_t line) {
        size_t n_imported = batch_n(batch);
        int r;

        if (!import->dry_run) {
                r = send_rows(import, batch, &n_imported);
                if (r != EXIT_DONE)
                        return r;
        }
        import->state.n_imported += n_imported;
        import->state.n_rows += import->n_read;
        import->n_read = 0;
        batch_clear(batch);
        r = note(import, offset, line);
        if (r != EXIT_DONE)
                return r;
        progress_update(&import->progress, offset, import->state.n_rows);
        return EXIT_DONE;
}

static int take_row(Import *import, const ReaderRow *row) {
        if (import->state.line == 0) {
                int r = note(import, row->offset, row->line);

                if (r != EXIT_DONE)
                        return r;
        }
        import->n_read++;
        if (row->problem)
                on_refused(import, row->line, row->problem);
        else
                batch_add(import->batches[import->current], row);
        return EXIT_DONE;
}

static int read_rows(Import *import) {
        int r;

        for (;;) {
                Batch *full = NULL;
                ReaderRow row;

                if (import->n_read == BATCH_ROWS) {
                        full = import->batches[import->current];
                        import->current ^= 1;
                }
                r = reader_next(import->reader, batch_arena(import->batches[import->current]),
                                import->state.now_sec, &row);
                if (r < 0) {
                        ctl_error(import->path, "%s", strerror(-r));
                        return EXIT_FAILED;
                }
                if (r == 0)
                        return send_batch(import, full ? full : import->batches[import->current],
                                          import->state.file_size, import->state.line);
                if (full) {
                        r = send_batch(import, full, row.offset, row.line);
                        if (r != EXIT_DONE || interrupted)
                                return r;
                }
                r = take_row(import, &row);
                if (r != EXIT_DONE)
                        return r;
        }
}

/* ---- reporting ---- */

static void report_json(Import *import) {
        const ImportState *state = &import->state;
        Buffer *out = &import->ctl->out;

        buffer_append(out, SLICE("{\"errors\":"));
        output_string_json(out, import->errors.size > 0 ? slice_from_string(import->errors_path)
                                                        : SLICE_NONE);
        buffer_printf(out, ",\"imported\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"skipped\":%" PRIu64,
                      import->dry_run ? 0 : state->n_imported, state->n_rows, state->n_skipped);
        buffer_printf(out, ",\"type\":\"%s\"}\n", record_type_name(state->type));
}

static void report(Import *import, uint64_t usec) {
        const ImportState *state = &import->state;
        Buffer *out = &import->ctl->out;
        uint64_t n_sent = state->n_rows - import->progress.first_rows;

        if (import->ctl->command.json) {
                report_json(import);
                return;
        }
        buffer_printf(out, "%s %" PRIu64 " %s", import->dry_run ? "Would import" : "Imported",
                      state->n_imported, record_type_name(state->type));
        if (state->n_skipped > 0)
                buffer_printf(out, ", skipped %" PRIu64 " rows", state->n_skipped);
        if (import->errors.size > 0)
                buffer_printf(out, " (%s)", import->errors_path);
        if (usec >= USEC_PER_SEC) {
                buffer_printf(out, ": %.1f s, ", (double)usec / (double)USEC_PER_SEC);
                output_number(out, n_sent * USEC_PER_SEC / usec);
                buffer_append(out, SLICE(" rows/s"));
        }
        buffer_append_byte(out, '\n');
}

static int finish(Import *import, int result, uint64_t usec) {
        int r;

        row_errors_end(&import->errors);
        if (result != EXIT_DONE || interrupted) {
                if (import->file)
                        ctl_error(import->path,
                                  "%" PRIu64 " rows are done; --resume goes on "
                                  "behind them",
                                  import->state.n_rows);
                return result != EXIT_DONE ? result : EXIT_AGAIN;
        }
        if (import->file) {
                owner_suspend();
                r = import_file_remove(import->file);
                owner_resume();
                if (r < 0) {
                        ctl_error(import->state_path, "%s", strerror(-r));
                        return EXIT_FAILED;
                }
        }
        report(import, usec);
        r = ctl_print(import->ctl);
        return r == EXIT_DONE && import->state.n_skipped > 0 ? EXIT_FAILED : r;
}

static void done(Import *import) {
        (void)import_file_close(import->file);
        for (size_t i = 0; i < ELEMENTSOF(import->batches); i++)
                (void)batch_free(import->batches[i]);
        (void)reader_free(import->reader);
        if (import->fd > STDERR_FILENO)
                (void)close(import->fd);
        free(import->state_path);
        free(import->errors_path);
        free(import);
}

int verb_import(Ctl *ctl) {
        Import *import = calloc(1, sizeof(*import));
        uint64_t began = clock_monotonic_usec();
        int r;

        if (!import)
                return out_of_memory();
        import->ctl = ctl;
        import->path = ctl->command.arguments[0];
        import->fd = -1;
        import->errors.fd = -1;
        r = begin(import);
        if (r == EXIT_DONE) {
                catch_signals();
                progress_begin(&import->progress, STDERR_FILENO, import->path,
                               import->state.file_size, import->state.offset, import->state.n_rows);
                r = read_rows(import);
                progress_end(&import->progress);
                r = finish(import, r, clock_monotonic_usec() - began);
        }
        done(import);
        return r;
}
