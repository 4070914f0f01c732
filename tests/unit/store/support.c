/* SPDX-License-Identifier: MIT */

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "basic/clock.h"
#include "unit/store/support.h"

/* A test that hangs is ended by ctest. */
#define FAR_USEC (600 * USEC_PER_SEC)

int place_setup(void **state) {
        Place *place = calloc(1, sizeof(*place));

        CHECK(place);
        CHECK(asprintf(&place->directory, "%s/shortener-store-XXXXXX",
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") > 0);
        assert_non_null(mkdtemp(place->directory));
        CHECK(asprintf(&place->path, "%s/test.db", place->directory) > 0);
        CHECK(asprintf(&place->url, "sqlite:%s", place->path) > 0);
        arena_init(&place->arena, 0);
        *state = place;
        return 0;
}

static int remove_entry(const char *path, const struct stat *info _unused_, int type _unused_,
                        struct FTW *walk _unused_) {
        return remove(path);
}

int place_teardown(void **state) {
        Place *place = *state;

        (void)nftw(place->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        arena_done(&place->arena);
        free(place->directory);
        free(place->path);
        free(place->url);
        free(place);
        return 0;
}

Store *open_store(const char *url, bool create) {
        const StoreOptions options = {.connect_usec = 20 * USEC_PER_SEC, .create = create};
        Store *store = NULL;

        assert_int_equal(store_new(url, &options, &store), 0);
        return store;
}

StoreSession *open_session(Store *store) {
        StoreSession *session = NULL;

        assert_int_equal(store_session_new(store, NULL, &session), 0);
        deadline_in(session, FAR_USEC);
        return session;
}

void deadline_in(StoreSession *session, uint64_t usec) {
        store_session_deadline(session, clock_monotonic_usec() + usec);
}

int64_t add_user(StoreSession *session, Arena *arena, const char *name) {
        Slice slice = slice_from_string(name);
        User user;

        assert_int_equal(store_user_create(session, arena, slice, slice, 1, &user), 0);
        return user.id;
}

int64_t add_url(StoreSession *session, Arena *arena, const char *code) {
        Slice target = arena_printf(arena, "https://x.example/%s", code);
        const Url url = {.code = slice_from_string(code), .target = target, .location = target};
        Url made;

        assert_int_equal(store_url_create(session, &url, S("{}"), &made), 0);
        return made.id;
}

void run_sql(const Place *place, const char *sql) {
        sqlite3 *db = NULL;

        assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int64_t query_sql(const Place *place, const char *sql) {
        sqlite3_stmt *statement = NULL;
        sqlite3 *db = NULL;
        int64_t number;

        assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        number = sqlite3_column_int64(statement, 0);
        assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        return number;
}
