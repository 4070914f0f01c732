/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl seed`: users.csv, urls.csv and events.csv of one folder in one transaction, all or
 * nothing. Users whose name or address is taken are skipped and named; what they owned then belongs
 * to nobody, as if they had been deleted.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/clock.h"
#include "ctl/batch.h"
#include "ctl/output.h"
#include "ctl/verbs.h"

#ifndef SHORTENER_SEED_DIRECTORY
# error "the build must say where the seed data is"
#endif

#define N_FILES 3

typedef struct Seed {
        Ctl *ctl;
        const char *directory;
        char *paths[N_FILES];
        int fds[N_FILES];
        uint64_t n_rows[N_FILES]; /* loaded */
        uint64_t n_skipped;
        int64_t *skipped; /* ids of users that were skipped */
        size_t n_ids, size;
        int64_t now_sec;
} Seed;

static const RecordType file_types[N_FILES] = {RECORD_USERS, RECORD_URLS, RECORD_EVENTS};

static int open_files(Seed *seed) {
        for (size_t i = 0; i < N_FILES; i++) {
                if (asprintf(&seed->paths[i], "%s/%s.csv", seed->directory,
                             record_type_name(file_types[i])) < 0) {
                        seed->paths[i] = NULL;
                        ctl_error("seed", "out of memory");
                        return EXIT_AGAIN;
                }
                seed->fds[i] = open(seed->paths[i], O_RDONLY | O_CLOEXEC);
                if (seed->fds[i] < 0) {
                        ctl_error(seed->paths[i],
                                  "%s: name a folder with users.csv, urls.csv and "
                                  "events.csv",
                                  strerror(errno));
                        return EXIT_FAILED;
                }
        }
        return EXIT_DONE;
}

static int add_skipped(Seed *seed, int64_t id) {
        seed->n_skipped++;
        if (id == 0)
                return 0;
        if (seed->n_ids == seed->size) {
                size_t size = MAX(seed->size * 2, (size_t)64);
                int64_t *ids = reallocarray(seed->skipped, size, sizeof(*ids));

                if (!ids)
                        return -ENOMEM;
                seed->skipped = ids;
                seed->size = size;
        }
        seed->skipped[seed->n_ids++] = id;
        return 0;
}

static int64_t owner_or_nobody(const Seed *seed, int64_t user_id) {
        for (size_t i = 0; i < seed->n_ids; i++)
                if (seed->skipped[i] == user_id)
                        return 0;
        return user_id;
}

static void drop_skipped_owners(const Seed *seed, RecordType type, Record *record) {
        if (type == RECORD_URLS)
                record->url.user_id = owner_or_nobody(seed, record->url.user_id);
        else if (type == RECORD_EVENTS)
                record->event.user_id = owner_or_nobody(seed, record->event.user_id);
}

static int refuse_row(const Seed *seed, size_t file, uint64_t line, const char *problem) {
        ctl_error(NULL, "%s:%" PRIu64 ": %s: nothing was loaded", seed->paths[file], line, problem);
        return EXIT_FAILED;
}

static int take_results(Seed *seed, size_t file, Batch *batch) {
        for (size_t i = 0; i < batch_n(batch); i++) {
                StoreResult result = batch_result(batch, i);

                if (result == STORE_OK) {
                        seed->n_rows[file]++;
                } else if (result == STORE_USERNAME_TAKEN || result == STORE_EMAIL_TAKEN) {
                        ctl_error(NULL, "%s:%" PRIu64 ": %s: skipped", seed->paths[file],
                                  batch_line(batch, i), batch_refusal(result));
                        if (add_skipped(seed, batch_user(batch, i)->id) < 0)
                                return ctl_store_failed(seed->ctl, -ENOMEM);
                } else {
                        return refuse_row(seed, file, batch_line(batch, i), batch_refusal(result));
                }
        }
        return EXIT_DONE;
}

static int send_batch(Seed *seed, size_t file, Batch *batch) {
        int r;

        ctl_deadline(seed->ctl, CTL_LONG_DEADLINE_USEC);
        r = batch_send(batch, seed->ctl->session, false);
        if (r != 0)
                return ctl_store_failed(seed->ctl, r);
        r = take_results(seed, file, batch);
        batch_clear(batch);
        return r;
}

static int load_rows(Seed *seed, size_t file, RowReader *reader, Batch *batch) {
        for (;;) {
                ReadRow row;
                int r;

                r = row_reader_next(reader, batch_arena(batch), seed->now_sec, &row);
                if (r < 0) {
                        ctl_error(seed->paths[file], "%s", strerror(-r));
                        return EXIT_FAILED;
                }
                if (r == 0)
                        return send_batch(seed, file, batch);
                if (!row.problem && file_types[file] == RECORD_URLS && !row.record.url.code.data)
                        row.problem = "short_code is required";
                if (row.problem)
                        return refuse_row(seed, file, row.line, row.problem);
                drop_skipped_owners(seed, file_types[file], &row.record);
                batch_add(batch, &row);
                if (batch_n(batch) == BATCH_ROWS) {
                        r = send_batch(seed, file, batch);
                        if (r != EXIT_DONE)
                                return r;
                }
        }
}

static int load_file(Seed *seed, size_t file) {
        _cleanup_(row_reader_free_p) RowReader *reader = NULL;
        _cleanup_(batch_free_p) Batch *batch = NULL;
        _cleanup_free_ char *problem = NULL;
        int r;

        r = row_reader_new(seed->fds[file], false, &reader);
        if (r == 0)
                r = batch_new(file_types[file], &batch);
        if (r == 0)
                r = row_reader_begin(reader, file_types[file], &problem);
        if (r < 0) {
                ctl_error(seed->paths[file], "%s", problem ? problem : strerror(-r));
                return EXIT_FAILED;
        }
        return load_rows(seed, file, reader, batch);
}

/* Says what --force is about to replace. */
static int say_replaced(const Seed *seed) {
        StoreTotals totals;
        int r;

        r = store_totals(seed->ctl->session, &totals);
        if (r != 0)
                return ctl_store_failed(seed->ctl, r);
        if (totals.users + totals.urls + totals.events > 0)
                ctl_error("seed",
                          "%s %" PRId64 " users, %" PRId64 " URLs, %" PRId64 " events in %s",
                          command_flag(&seed->ctl->command, "dry-run") ? "would replace"
                                                                       : "replacing",
                          totals.users, totals.urls, totals.events,
                          store_url_shown(seed->ctl->store));
        return EXIT_DONE;
}

static int begin_load(const Seed *seed) {
        bool force = command_flag(&seed->ctl->command, "force");
        int r = EXIT_DONE;

        if (force)
                r = say_replaced(seed);
        if (r != EXIT_DONE)
                return r;
        r = store_load_begin(seed->ctl->session, force);
        if (r == STORE_NOT_EMPTY) {
                ctl_error(store_url_shown(seed->ctl->store), "it holds data already: nothing was "
                                                             "loaded; --force replaces all of it");
                return EXIT_FAILED;
        }
        return r == 0 ? EXIT_DONE : ctl_store_failed(seed->ctl, r);
}

static int load(Seed *seed) {
        bool dry_run = command_flag(&seed->ctl->command, "dry-run");
        int r;

        r = begin_load(seed);
        for (size_t i = 0; i < N_FILES && r == EXIT_DONE; i++)
                r = load_file(seed, i);
        if (r != EXIT_DONE)
                return r; /* closing the session rolls back */
        r = store_load_end(seed->ctl->session, !dry_run);
        return r == 0 ? EXIT_DONE : ctl_store_failed(seed->ctl, r);
}

static int report(Seed *seed) {
        bool dry_run = command_flag(&seed->ctl->command, "dry-run");
        Buffer *out = &seed->ctl->out;

        if (seed->ctl->command.json)
                buffer_printf(out,
                              "{\"dry_run\":%s,\"events\":%" PRIu64 ",\"skipped\":%" PRIu64
                              ",\"urls\":%" PRIu64 ",\"users\":%" PRIu64 "}\n",
                              dry_run ? "true" : "false", seed->n_rows[2], seed->n_skipped,
                              seed->n_rows[1], seed->n_rows[0]);
        else
                buffer_printf(out, "%s %" PRIu64 " users, %" PRIu64 " URLs, %" PRIu64 " events\n",
                              dry_run ? "Would load" : "Loaded", seed->n_rows[0], seed->n_rows[1],
                              seed->n_rows[2]);
        return ctl_print(seed->ctl);
}

int verb_seed(Ctl *ctl) {
        Seed seed = {
                        .ctl = ctl,
                        .directory = ctl->command.n_arguments > 0 ? ctl->command.arguments[0]
                                                                  : SHORTENER_SEED_DIRECTORY,
                        .fds = {-1, -1, -1},
                        .now_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC),
        };
        int r;

        r = open_files(&seed);
        if (r == EXIT_DONE)
                r = ctl_open(ctl, command_flag(&ctl->command, "dry-run") ? CTL_WRITE | CTL_TRY
                                                                         : CTL_WRITE | CTL_CREATE);
        if (r == EXIT_DONE)
                r = load(&seed);
        if (r == EXIT_DONE)
                r = report(&seed);
        for (size_t i = 0; i < N_FILES; i++) {
                if (seed.fds[i] >= 0)
                        (void)close(seed.fds[i]);
                free(seed.paths[i]);
        }
        free(seed.skipped);
        return r;
}
