/* SPDX-License-Identifier: MIT */

/* The fixture of the contract tests. */

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "basic/clock.h"
#include "contract/fixture.h"
#include "contract/postgres.h"

/* ---- the diary ---- */

static void diary_add(Diary *diary, const char *word, size_t len) {
        size_t used = strlen(diary->text);

        CHECK(used + len + 1 < sizeof(diary->text));
        memcpy(diary->text + used, word, len);
        diary->text[used + len] = 0;
}

static void on_waiting(void *userdata, int delta) {
        diary_add(userdata, delta > 0 ? "w+ " : "w- ", 3);
}

static unsigned on_n_waiting(void *userdata) {
        return ((const Diary *)userdata)->n_waiting;
}

static void add_codes(void *userdata, const char *word, const Slice *codes, size_t n_codes) {
        diary_add(userdata, word, 2);
        if (!codes)
                diary_add(userdata, "*", 1);
        for (size_t i = 0; i < n_codes; i++) {
                if (i > 0)
                        diary_add(userdata, ",", 1);
                diary_add(userdata, codes[i].data, codes[i].len);
        }
        diary_add(userdata, ") ", 2);
}

static void on_committing(void *userdata, const Slice *codes, size_t n_codes) {
        add_codes(userdata, "C(", codes, n_codes);
}

static void on_making(void *userdata, const Slice *codes, size_t n_codes) {
        add_codes(userdata, "M(", codes, n_codes);
}

static void on_committed(void *userdata) {
        diary_add(userdata, "c ", 2);
}

void diary_clear(Fixture *f) {
        f->diary = (Diary){.text = ""};
}

void assert_diary(Fixture *f, const char *expected) {
        assert_string_equal(f->diary.text, expected);
        diary_clear(f);
}

/* ---- setup ---- */

StoreSession *fixture_session(Fixture *f, bool with_hooks) {
        const StoreHooks hooks = {.userdata = &f->diary,
                                  .waiting = on_waiting,
                                  .n_waiting = on_n_waiting,
                                  .committing = on_committing,
                                  .making = on_making,
                                  .committed = on_committed};
        StoreSession *session = NULL;

        assert_int_equal(store_session_new(f->store, with_hooks ? &hooks : NULL, &session), 0);
        store_session_deadline(session, clock_monotonic_usec() + FAR_USEC);
        return session;
}

/* In memory where there is such a folder: each write is synced. */
static char *make_directory(void) {
        char *path = NULL;

        CHECK(asprintf(&path, "%s/shortener-contract-XXXXXX",
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") > 0);
        assert_non_null(mkdtemp(path));
        return path;
}

int fixture_setup(void **state) {
        const StoreOptions options = {.connect_usec = FAR_USEC,
                                      .create = true,
                                      .unprepared = getenv("SHORTENER_CONTRACT_UNPREPARED")};
        const char *kind = getenv("SHORTENER_CONTRACT_STORE");
        Fixture *f = calloc(1, sizeof(*f));
        char *url = NULL;

        CHECK(f && kind);
        if (strcmp(kind, "sqlite") == 0) {
                f->directory = make_directory();
                CHECK(asprintf(&url, "sqlite:%s/test.db", f->directory) > 0);
        } else if (strcmp(kind, "postgres") == 0) {
                f->database = postgres_database();
                url = postgres_store_url(f->database);
        } else {
                CHECK(asprintf(&url, "%s:", kind) > 0);
        }
        f->one_writer = !f->database;
        assert_int_equal(store_new(url, &options, &f->store), 0);
        free(url);
        f->session = fixture_session(f, true);
        f->other = fixture_session(f, false);
        arena_init(&f->arena, 0);
        *state = f;
        return 0;
}

static int remove_entry(const char *path, const struct stat *info _unused_, int type _unused_,
                        struct FTW *walk _unused_) {
        return remove(path);
}

int fixture_teardown(void **state) {
        Fixture *f = *state;

        arena_done(&f->arena);
        (void)store_session_free(f->session);
        (void)store_session_free(f->other);
        (void)store_free(f->store);
        if (f->directory)
                (void)nftw(f->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(f->directory);
        free(f);
        return 0;
}

/* ---- rows ---- */

void assert_slice(Slice s, const char *expected) {
        if (!expected) {
                assert_null(s.data);
                return;
        }
        assert_non_null(s.data);
        assert_int_equal(s.len, strlen(expected));
        assert_memory_equal(s.data, expected, s.len);
}

int64_t make_user(Fixture *f, const char *username) {
        Slice email = arena_printf(&f->arena, "%s@x.example", username);
        User user;

        assert_int_equal(store_user_create(f->session, &f->arena, slice_from_string(username),
                                           email, NOW_SEC, &user),
                         0);
        diary_clear(f);
        return user.id;
}

int64_t make_url(Fixture *f, const char *code, int64_t user_id) {
        Slice target = arena_printf(&f->arena, "https://x.example/%s", code);
        const Url url = {.user_id = user_id,
                         .code = slice_from_string(code),
                         .target = target,
                         .location = target,
                         .created_sec = NOW_SEC,
                         .updated_sec = NOW_SEC};
        Url made;

        assert_int_equal(store_url_create(f->session, &url, S("{}"), &made), 0);
        diary_clear(f);
        return made.id;
}

int64_t make_event(Fixture *f, int64_t url_id, const char *type) {
        const Event event = {.url_id = url_id,
                             .type = slice_from_string(type),
                             .timestamp_sec = NOW_SEC};
        Event made;

        assert_int_equal(store_event_create(f->session, &event, &made), 0);
        diary_clear(f);
        return made.id;
}

Url get_url(Fixture *f, int64_t id) {
        Url url;

        assert_int_equal(store_url_get(f->session, &f->arena, id, &url), 0);
        return url;
}

int64_t redirects_of(Fixture *f, int64_t url_id) {
        int64_t redirects = -1;
        Url url;

        assert_int_equal(store_url_stats(f->session, &f->arena, url_id, &url, &redirects), 0);
        assert_int_equal(url.id, url_id);
        return redirects;
}

StoreTotals totals_of(Fixture *f) {
        StoreTotals totals;

        assert_int_equal(store_totals(f->session, &totals), 0);
        return totals;
}

void get_events(Fixture *f, int64_t url_id, size_t n, Event **ret) {
        const StoreQuery query = {.has_url_id = true, .url_id = url_id, .limit = 1000};
        size_t n_found = 0;

        assert_int_equal(store_event_list(f->session, &f->arena, &query, ret, &n_found, NULL), 0);
        assert_int_equal(n_found, n);
}

void list_all_events(Fixture *f, Event **ret, size_t *ret_n) {
        assert_int_equal(store_event_list(f->session, &f->arena, &(StoreQuery){.limit = 20000}, ret,
                                          ret_n, NULL),
                         0);
}

void assert_audit_clean(Fixture *f) {
        StoreAudit audit;

        assert_int_equal(store_audit(f->session, &f->arena, &audit), 0);
        assert_int_equal(audit.duplicates, 0);
        assert_int_equal(audit.total_drift, 0);
        assert_int_equal(audit.list_drift, 0);
}
