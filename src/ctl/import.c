/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl import`: a file of any size into the store, thousands of rows a transaction. Behind
 * each transaction FILE.state notes the row that the next one begins with, so that a second run
 * with --resume goes on there (import-rows.h says why no row goes in twice).
 *
 * Two batches take turns: where the next transaction begins is known only when the row behind a
 * full batch was read.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "basic/clock.h"
#include "ctl/import.h"
#include "ctl/output.h"
#include "ctl/owner.h"
#include "ctl/verbs.h"

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

/* ---- rows ---- */

static void on_refused(void *userdata, uint64_t line, const char *problem) {
        Import *import = userdata;

        import->state.n_skipped++;
        row_errors_add(&import->errors, line, problem);
}

/* Are there rows that nothing would refuse a second time? */
static bool has_no_keys(Batch *batch, RecordType type) {
        for (size_t i = 0; type == RECORD_EVENTS && i < batch_n(batch); i++)
                if (batch_id(batch, i) == 0)
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

/* Notes that the next transaction begins at the row; sync: on disk before this returns. */
static int note(Import *import, uint64_t offset, uint64_t line, bool sync) {
        int r;

        r = row_errors_flush(&import->errors);
        if (r < 0) {
                ctl_error(import->errors_path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
        import->state.errors_size = import->errors.size;
        import->state.offset = offset;
        import->state.line = line;
        return write_state(import, sync);
}

/* Behind last_id a resumed import looks for the rows of the transaction that follows. Other
 * writers' events do not matter there, but it must be on disk before a row goes in that would go in
 * again. */
static int note_keyless(Import *import, Batch *batch) {
        return has_no_keys(batch, import->state.type) ? write_state(import, true) : EXIT_DONE;
}

static int send_rows(Import *import, Batch *batch, size_t *ret_imported) {
        int r;

        ctl_deadline(import->ctl, CTL_LONG_DEADLINE_USEC);
        r = note_keyless(import, batch);
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
        import->state.n_skipped += import->n_bad;
        import->n_read = import->n_bad = 0;
        batch_clear(batch);
        r = note(import, offset, line, false);
        if (r != EXIT_DONE)
                return r;
        progress_update(&import->progress, offset, import->state.n_rows);
        return EXIT_DONE;
}

/* The first note is on disk before a row goes in: codes are made from its key. */
static int take_row(Import *import, const ReadRow *row) {
        if (import->state.line == 0) {
                int r = note(import, row->offset, row->line, true);

                if (r != EXIT_DONE)
                        return r;
        }
        import->n_read++;
        if (!row->problem) {
                batch_add(import->batches[import->current], row);
                return EXIT_DONE;
        }
        import->n_bad++;
        row_errors_add(&import->errors, row->line, row->problem);
        return EXIT_DONE;
}

static int read_rows(Import *import) {
        int r;

        for (;;) {
                Batch *full = NULL;
                ReadRow row;

                if (import->n_read == import->batch_rows) {
                        full = import->batches[import->current];
                        import->current ^= 1;
                }
                r = row_reader_next(import->reader, batch_arena(import->batches[import->current]),
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

/* The state goes last, when the report is out and the store is closed: who was killed before that
 * finds it, and --resume reports. */
static int remove_state(Import *import) {
        int r;

        if (!import->file)
                return EXIT_DONE;
        ctl_close_store(import->ctl);
        owner_suspend();
        r = import_file_remove(import->file);
        owner_resume();
        if (r < 0) {
                ctl_error(import->state_path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
        return EXIT_DONE;
}

static int finish(Import *import, int result, uint64_t usec) {
        int r;

        row_errors_end(&import->errors);
        if (result != EXIT_DONE || interrupted) {
                if (import->file)
                        ctl_error(import->path,
                                  "%" PRIu64 " rows are done; --resume goes on behind them",
                                  import->state.n_rows);
                return result != EXIT_DONE ? result : EXIT_AGAIN;
        }
        report(import, usec);
        r = ctl_print(import->ctl);
        if (r == EXIT_DONE)
                r = remove_state(import);
        return r == EXIT_DONE && import->state.n_skipped > 0 ? EXIT_FAILED : r;
}

int verb_import(Ctl *ctl) {
        Import *import = calloc(1, sizeof(*import));
        uint64_t began = clock_monotonic_usec();
        int r;

        if (!import)
                return ctl_store_failed(ctl, -ENOMEM);
        import->ctl = ctl;
        import->path = ctl->command.arguments[0];
        import->fd = -1;
        import->errors.fd = -1;
        r = import_begin(import);
        if (r == EXIT_DONE) {
                catch_signals();
                progress_begin(&import->progress, STDERR_FILENO, import->path,
                               import->state.file_size, import->state.offset, import->state.n_rows);
                r = read_rows(import);
                progress_end(&import->progress);
                r = finish(import, r, clock_monotonic_usec() - began);
        }
        import_done(import);
        return r;
}
