/* SPDX-License-Identifier: MIT */

/* The SQLite file itself: missing, made, damaged, replaced, another program's; schema versions. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/sqlite/session.h"
#include "unit/store/support.h"

static bool exists(const char *path) {
        return access(path, F_OK) == 0;
}

static void assert_says(const StoreSession *session, const char *what) {
        if (!strstr(store_session_error(session), what))
                fail_msg("\"%s\" does not say \"%s\"", store_session_error(session), what);
}

/* ---- making and finding the file ---- */

static void test_missing_is_made(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        StoreSchema schema;
        struct stat info;

        assert_false(exists(place->path)); /* only when a verb needs it */
        assert_int_equal(store_schema(session, &schema), 0);
        assert_int_equal(schema.version, schema.supported);
        assert_int_equal(schema.oldest, schema.supported);
        assert_int_equal(stat(place->path, &info), 0);
        assert_int_equal(info.st_mode & 0137, 0); /* not for everybody */
        assert_int_equal(add_user(session, &place->arena, "anna"), 1);
        (void)store_session_free(session);
        (void)store_free(store);
        /* And found again. */
        store = open_store(place->url, true);
        session = open_session(store);
        assert_int_equal(add_user(session, &place->arena, "berta"), 2);
        (void)store_session_free(session);
        (void)store_free(store);
        assert_int_equal(query_sql(place, "SELECT count(*) FROM users"), 2);
}

static void test_missing_is_away(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, false);
        StoreSession *session = open_session(store);

        assert_int_equal(store_ping(session), -EHOSTDOWN);
        assert_says(session, place->path);
        assert_says(session, "No such file");
        assert_false(exists(place->path));
        /* It comes: the same session finds it. */
        run_sql(place, "CREATE TABLE t (x)");
        assert_int_equal(store_ping(session), 0);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void test_missing_folder(void **state) {
        Place *place = *state;
        char *url = NULL;

        CHECK(asprintf(&url, "%s/no/such.db", place->url) > 0);
        Store *store = open_store(url, true);
        StoreSession *session = open_session(store);
        assert_int_equal(store_ping(session), -EHOSTDOWN);
        assert_says(session, "cannot make");
        assert_says(session, "No such file or directory");
        (void)store_session_free(session);
        (void)store_free(store);
        free(url);
}

/* One that came after the start. */
static void test_folder_as_file(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);

        assert_int_equal(mkdir(place->path, 0700), 0);
        assert_int_equal(store_ping(session), -EHOSTDOWN);
        assert_says(session, place->path);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* An empty file is one that somebody is about to make. */
static void test_empty_file(void **state) {
        Place *place = *state;
        int fd = open(place->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        Store *store = open_store(place->url, false);
        StoreSession *session = open_session(store);
        StoreSchema schema;
        int n = 0;

        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
        assert_int_equal(store_schema(session, &schema), 0);
        assert_int_equal(schema.version, 0);
        assert_int_equal(store_migrate(session, &n), 0);
        assert_int_equal(n, schema.supported);
        assert_int_equal(store_schema(session, &schema), 0);
        assert_int_equal(schema.version, schema.supported);
        assert_int_equal(add_user(session, &place->arena, "anna"), 1);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void remove_file(const Place *place) {
        char name[256];

        for (size_t i = 0; i < 3; i++) {
                (void)snprintf(name, sizeof(name), "%s%s", place->path,
                               (const char *[]){"", "-wal", "-shm"}[i]);
                assert_true(unlink(name) == 0 || errno == ENOENT);
        }
}

static void make_as_child(Place *place, size_t number) {
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        char name[16];
        User user;
        int r;

        (void)snprintf(name, sizeof(name), "user%zu", number);
        r = store_user_create(session, &place->arena, slice_from_string(name),
                              slice_from_string(name), 1, &user);
        if (r != 0)
                (void)fprintf(stderr, "child %zu: %d: %s\n", number, r,
                              store_session_error(session));
        (void)store_session_free(session);
        _exit(r == 0 ? 0 : 1);
}

/* Eight processes make the file at the same time, and again: two that changed its journal at once
 * used to fail one of them now and then ("database is locked"). */
static void test_made_by_many(void **state) {
        Place *place = *state;
        pid_t pids[8];
        int status;

        for (unsigned round = 0; round < 20; round++) {
                remove_file(place);
                for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
                        pids[i] = fork();
                        assert_true(pids[i] >= 0);
                        if (pids[i] == 0)
                                make_as_child(place, i);
                }
                for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
                        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                        assert_int_equal(status, 0);
                }
                assert_int_equal(query_sql(place, "SELECT count(*) FROM users"), ELEMENTSOF(pids));
                assert_int_equal(query_sql(place, "SELECT users FROM totals"), ELEMENTSOF(pids));
        }
}

/* ---- what may be wrong with it ---- */

static void write_file(const Place *place, const char *text) {
        FILE *file = fopen(place->path, "w");

        assert_non_null(file);
        for (int i = 0; i < 1000; i++)
                assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void test_no_database(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);

        write_file(place, "this is no database\n");
        assert_int_equal(store_ping(session), -EIO);
        assert_says(session, "not a database");
        /* Repaired: the same session goes on. */
        assert_int_equal(unlink(place->path), 0);
        assert_int_equal(store_ping(session), 0);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void test_damaged_page(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        StoreQuery query = {.limit = 1000};
        char junk[4096];
        Event *events;
        size_t n;
        int fd;

        for (int i = 0; i < 20; i++)
                add_url(session, &place->arena, arena_printf(&place->arena, "c%d", i).data);
        (void)store_session_free(session);
        memset(junk, 0x5a, sizeof(junk));
        fd = open(place->path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        for (off_t page = 1; page < 40; page++)
                if (page * 4096 < lseek(fd, 0, SEEK_END))
                        assert_int_equal(pwrite(fd, junk, sizeof(junk), page * 4096), 4096);
        assert_int_equal(close(fd), 0);
        session = open_session(store);
        assert_int_equal(store_event_list(session, &place->arena, &query, &events, &n, NULL), -EIO);
        assert_says(session, "malformed");
        (void)store_session_free(session);
        (void)store_free(store);
}

/* Removed or replaced while we have it open: what we wrote nobody would find. */
static void test_file_taken_away(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        char *aside = NULL;
        User user;

        CHECK(asprintf(&aside, "%s.aside", place->path) > 0);
        add_user(session, &place->arena, "anna");
        run_sql(place, "PRAGMA wal_checkpoint(TRUNCATE)");
        assert_int_equal(rename(place->path, aside), 0);
        assert_int_equal(store_user_create(session, &place->arena, S("b"), S("b"), 1, &user),
                         -EHOSTDOWN);
        assert_says(session, "No such file");
        assert_false(exists(place->path)); /* not made anew: the old one may come back */
        assert_int_equal(rename(aside, place->path), 0);
        assert_int_equal(store_user_get(session, &place->arena, 1, &user), 0);
        assert_int_equal(add_user(session, &place->arena, "berta"), 2);
        free(aside);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void test_totals_row_missing(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        StoreTotals totals;

        assert_int_equal(store_ping(session), 0);
        run_sql(place, "DELETE FROM totals");
        assert_int_equal(store_totals(session, &totals), -EIO);
        assert_says(session, "totals");
        (void)store_session_free(session);
        (void)store_free(store);
}

/* A full disk: nothing is done, and it is said. */
static void test_no_more_room(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        SqliteSession *s = sqlite_session(session);
        static char long_title[4096];
        Url url = {.code = S("x"), .target = S("https://x.example/"), .location = S("y")};
        Url made;
        int r = 0;

        add_user(session, &place->arena, "anna");
        assert_int_equal(sqlite3_exec(s->db, "PRAGMA max_page_count = 40", NULL, NULL, NULL), 0);
        memset(long_title, 'x', sizeof(long_title));
        url.title = slice_make(long_title, sizeof(long_title));
        for (int i = 0; i < 100 && r == 0; i++) {
                url.code = arena_printf(&place->arena, "c%d", i);
                r = store_url_create(session, &url, S("{}"), &made);
        }
        assert_int_equal(r, -EHOSTDOWN);
        assert_says(session, "full");
        assert_int_equal(query_sql(place, "SELECT count(*) - (SELECT urls FROM totals) FROM urls"),
                         0);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* ---- schema ---- */

static void test_too_new(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        StoreSchema schema;
        int n = 99;

        assert_int_equal(store_ping(session), 0);
        run_sql(place, "PRAGMA user_version = 1000");
        assert_int_equal(store_schema(session, &schema), 0);
        assert_int_equal(schema.version, 1000);
        assert_true(schema.supported < 1000);
        assert_int_equal(store_migrate(session, &n), STORE_BAD_SCHEMA);
        assert_says(session, "newer");
        assert_int_equal(n, 99);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void test_of_another_program(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        StoreSchema schema;
        User user;
        int n;

        run_sql(place, "CREATE TABLE bookmarks (x)");
        assert_int_equal(store_schema(session, &schema), STORE_BAD_SCHEMA);
        assert_says(session, "another program");
        assert_int_equal(store_migrate(session, &n), STORE_BAD_SCHEMA);
        assert_says(session, "another program");
        assert_int_equal(store_user_get(session, &place->arena, 1, &user), -EPROTO);
        assert_int_equal(query_sql(place, "SELECT count(*) FROM sqlite_master"), 1);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* A series of three, of which this file has the first. */
static const SchemaMigration series[] = {
                {1, "0001-one", "CREATE TABLE one (x);"},
                {2, "0002-two", "CREATE TABLE two (x); INSERT INTO two VALUES (2);"},
                {3, "0003-three", "CREATE TABLE three (x); INSERT INTO nowhere VALUES (3);"},
};

static void use_series(Store *store, size_t n) {
        SqliteStore *shared = store->data;

        shared->series = (SchemaSeries){series, n, 1};
}

static void test_migrates_step_by_step(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        StoreSchema schema;
        int n = 99;

        use_series(store, 1);
        assert_int_equal(store_schema(session, &schema), 0);
        assert_int_equal(schema.version, 1);
        use_series(store, 2);
        assert_int_equal(store_schema(session, &schema), 0);
        assert_int_equal(schema.version, 1); /* an older file is not touched unasked */
        assert_int_equal(schema.supported, 2);
        assert_int_equal(store_migrate(session, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(store_migrate(session, &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(query_sql(place, "SELECT x FROM two"), 2);
        assert_int_equal(query_sql(place, "PRAGMA user_version"), 2);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* A step that fails leaves the one before it. */
static void test_broken_step(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        int n;

        use_series(store, 1);
        assert_int_equal(store_ping(session), 0);
        use_series(store, 3);
        assert_int_equal(store_migrate(session, &n), -EPROTO);
        assert_says(session, "nowhere");
        assert_int_equal(query_sql(place, "PRAGMA user_version"), 2);
        assert_int_equal(
                        query_sql(place, "SELECT count(*) FROM sqlite_master WHERE name = 'three'"),
                        0);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* Making a new file is all or nothing. */
static void test_broken_making(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);

        use_series(store, 3);
        assert_int_equal(store_ping(session), -EPROTO);
        assert_int_equal(query_sql(place, "PRAGMA user_version"), 0);
        assert_int_equal(query_sql(place, "SELECT count(*) FROM sqlite_master"), 0);
        use_series(store, 2);
        assert_int_equal(store_ping(session), 0);
        assert_int_equal(query_sql(place, "PRAGMA user_version"), 2);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* A store from before a migration, with rows in it, is migrated. */
static void migrate_from_before(const Place *place, StoreSession *session, const char *name) {
        SqliteStore *shared = session->store->data;
        size_t n_before = 0;
        int n_run;

        while (!strstr(schema_sqlite[n_before].name, name))
                n_before++;
        shared->series = (SchemaSeries){schema_sqlite, n_before, 1};
        assert_int_equal(store_ping(session), 0);
        run_sql(place, "INSERT INTO users VALUES (1, 'anna', 'a@x.example', 1);"
                       "UPDATE totals SET users = 1, last_user = 1");
        shared->series.n = n_schema_sqlite;
        assert_int_equal(store_migrate(session, &n_run), 0);
        assert_int_equal(n_run, n_schema_sqlite - n_before);
}

static int answer_nothing(void *userdata _unused_, const void *row _unused_, StoreAnswer *ret) {
        *ret = (StoreAnswer){201, S("{}")};
        return 0;
}

static void test_keys_are_added(void **state) {
        const StoreKey key = {.now_sec = 1, .expires_sec = 2, .answer = answer_nothing};
        const User user = {.username = S("berta"), .email = S("b")};
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        StoreAnswer answer;
        User made;

        migrate_from_before(place, session, "idempotency-keys");
        assert_int_equal(store_key_find(session, &place->arena, &key, &answer), STORE_NOT_FOUND);
        assert_int_equal(store_user_create_once(session, &place->arena, &user, &key, &made), 0);
        assert_int_equal(made.id, 2);
        assert_int_equal(store_key_find(session, &place->arena, &key, &answer), 0);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void test_audit_is_added(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        Audit *rows;
        User user;
        size_t n;

        migrate_from_before(place, session, "audit");
        assert_int_equal(store_user_update(session, &place->arena, 1,
                                           &(StoreUserChange){.username = S("berta")}, &user),
                         0);
        assert_int_equal(store_audit_list(session, &place->arena, &(StoreAuditQuery){.limit = 5},
                                          &rows, &n),
                         0);
        assert_int_equal(n, 1);
        assert_int_equal(rows[0].id, 1);
        assert_true(slice_equal(rows[0].old_fields, S("{\"username\":\"anna\"}")));
        (void)store_session_free(session);
        (void)store_free(store);
}

/* What the embedded files bring is what the program says. */
static void test_embedded_series(void **state _unused_) {
        assert_true(n_schema_sqlite >= 1);
        for (size_t i = 0; i < n_schema_sqlite; i++) {
                assert_int_equal(schema_sqlite[i].version, i + 1);
                assert_true(strlen(schema_sqlite[i].name) > 5);
                assert_non_null(strstr(schema_sqlite[i].sql, ";"));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        PLACE_TEST(test_missing_is_made),
                        PLACE_TEST(test_missing_is_away),
                        PLACE_TEST(test_missing_folder),
                        PLACE_TEST(test_folder_as_file),
                        PLACE_TEST(test_empty_file),
                        PLACE_TEST(test_made_by_many),
                        PLACE_TEST(test_no_database),
                        PLACE_TEST(test_damaged_page),
                        PLACE_TEST(test_file_taken_away),
                        PLACE_TEST(test_totals_row_missing),
                        PLACE_TEST(test_no_more_room),
                        PLACE_TEST(test_too_new),
                        PLACE_TEST(test_of_another_program),
                        PLACE_TEST(test_migrates_step_by_step),
                        PLACE_TEST(test_broken_step),
                        PLACE_TEST(test_broken_making),
                        PLACE_TEST(test_audit_is_added),
                        PLACE_TEST(test_keys_are_added),
                        cmocka_unit_test(test_embedded_series),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
