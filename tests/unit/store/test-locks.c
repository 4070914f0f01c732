/* SPDX-License-Identifier: MIT */

/* SQLite's locks: who waits for whom, how long, and what others see meanwhile. */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "basic/clock.h"
#include "store/sqlite/session.h"
#include "unit/store/support.h"

#define SHORT_USEC 60000ULL

/* A database with a user, and somebody else's connection that holds the write lock. */
typedef struct Locked {
        Place *place;
        Store *store;
        StoreSession *session;
        sqlite3 *holder;
} Locked;

static void lock_open(Locked *l, Place *place, const char *begin) {
        *l = (Locked){.place = place, .store = open_store(place->url, true)};
        l->session = open_session(l->store);
        add_user(l->session, &place->arena, "anna");
        assert_int_equal(sqlite3_open(place->path, &l->holder), SQLITE_OK);
        if (begin)
                assert_int_equal(sqlite3_exec(l->holder, begin, NULL, NULL, NULL), SQLITE_OK);
}

static void lock_close(Locked *l) {
        assert_int_equal(sqlite3_close(l->holder), SQLITE_OK);
        (void)store_session_free(l->session);
        (void)store_free(l->store);
}

static int create_user(StoreSession *session, Place *place, const char *name) {
        Slice slice = slice_from_string(name);
        User user;

        return store_user_create(session, &place->arena, slice, slice, 1, &user);
}

static void test_busy_at_the_deadline(void **state) {
        Place *place = *state;
        uint64_t before_usec, took_usec;
        Locked l;
        User user;

        lock_open(&l, place, "BEGIN IMMEDIATE");
        deadline_in(l.session, SHORT_USEC);
        before_usec = clock_monotonic_usec();
        assert_int_equal(create_user(l.session, place, "berta"), -EBUSY);
        took_usec = clock_monotonic_usec() - before_usec;
        assert_true(took_usec >= SHORT_USEC - 1000 && took_usec < 20 * SHORT_USEC);
        assert_true(strlen(store_session_error(l.session)) > 0);
        /* Reads go on. */
        deadline_in(l.session, 10 * USEC_PER_SEC);
        assert_int_equal(store_user_get(l.session, &place->arena, 1, &user), 0);
        assert_int_equal(sqlite3_exec(l.holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(create_user(l.session, place, "berta"), 0);
        lock_close(&l);
}

/* The lock of 30 s: the first writers wait, the others are told at once. */
static void test_breaker_beside_a_locked_file(void **state) {
        Place *place = *state;
        uint64_t end_usec;
        Locked l;
        int r;

        lock_open(&l, place, "BEGIN IMMEDIATE");
        for (unsigned i = 0; i < STORE_BREAKER_FAILURES; i++) {
                deadline_in(l.session, 5000);
                assert_int_equal(create_user(l.session, place, "berta"), -EBUSY);
        }
        assert_false(store_is_up(l.store));
        deadline_in(l.session, USEC_PER_SEC);
        end_usec = clock_monotonic_usec() + STORE_BREAKER_USEC / 2;
        assert_int_equal(create_user(l.session, place, "berta"), -EHOSTDOWN);
        assert_true(clock_monotonic_usec() < end_usec);
        assert_int_equal(sqlite3_exec(l.holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        deadline_in(l.session, 20 * USEC_PER_SEC);
        do
                r = create_user(l.session, place, "berta");
        while (r == -EHOSTDOWN);
        assert_int_equal(r, 0);
        assert_true(store_is_up(l.store));
        lock_close(&l);
}

typedef struct Release {
        sqlite3 *holder;
        const StoreSession *waiter;
        uint64_t after_usec;
} Release;

/* Lets go once the waiter has waited so long. */
static void *release_thread(void *userdata) {
        Release *release = userdata;
        uint64_t since_usec;

        do {
                since_usec = store_session_busy_since(release->waiter);
                usleep(1000);
        } while (since_usec == 0 || clock_monotonic_usec() < since_usec + release->after_usec);
        assert_int_equal(sqlite3_exec(release->holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        return NULL;
}

static void test_gets_the_lock_when_it_is_free(void **state) {
        Place *place = *state;
        Release release;
        pthread_t thread;
        Locked l;

        lock_open(&l, place, "BEGIN IMMEDIATE");
        /* Longer than the lock of a transaction of ours, so that all ways of waiting are seen. */
        release = (Release){l.holder, l.session, 150000};
        assert_int_equal(pthread_create(&thread, NULL, release_thread, &release), 0);
        assert_int_equal(create_user(l.session, place, "berta"), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        lock_close(&l);
}

/* Not even reading is possible: an exclusive lock in a file that had no log yet. */
static void test_connecting_to_an_exclusively_locked_file(void **state) {
        Place *place = *state;
        sqlite3 *holder = NULL;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);

        run_sql(place, "CREATE TABLE t (x)");
        assert_int_equal(sqlite3_open(place->path, &holder), SQLITE_OK);
        assert_int_equal(sqlite3_exec(holder, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
        deadline_in(session, SHORT_USEC);
        assert_int_equal(store_ping(session), -EBUSY);
        assert_int_equal(sqlite3_exec(holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        deadline_in(session, 10 * USEC_PER_SEC);
        assert_int_equal(store_ping(session), 0);
        assert_int_equal(sqlite3_close(holder), SQLITE_OK);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void test_connection_takes_no_longer_than_allowed(void **state) {
        Place *place = *state;
        const StoreOptions options = {.connect_usec = SHORT_USEC};
        StoreSession *session = NULL;
        sqlite3 *holder = NULL;
        Store *store = NULL;

        run_sql(place, "CREATE TABLE t (x)");
        assert_int_equal(sqlite3_open(place->path, &holder), SQLITE_OK);
        assert_int_equal(sqlite3_exec(holder, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(store_new(place->url, &options, &store), 0);
        assert_int_equal(store_session_new(store, NULL, &session), 0);
        assert_int_equal(store_ping(session), -EBUSY); /* without any deadline */
        assert_int_equal(sqlite3_exec(holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(holder), SQLITE_OK);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* A read that takes too long ends at its deadline, and the session is as good as before. */
static void test_long_read_is_interrupted(void **state) {
        Place *place = *state;
        uint64_t before_usec;
        StoreAudit audit;
        User user;
        Locked l;

        lock_open(&l, place, NULL);
        assert_int_equal(sqlite3_exec(l.holder,
                                      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                                      "FROM n"
                                      " WHERE i < 400000) INSERT INTO events (url_id, type, "
                                      "timestamp,"
                                      " spool, seq) SELECT i, 1, 1, 1, i * 7919 % 400009 FROM n",
                                      NULL, NULL, NULL),
                         SQLITE_OK);
        deadline_in(l.session, 5000);
        before_usec = clock_monotonic_usec();
        assert_int_equal(store_audit(l.session, &place->arena, &audit), -ETIMEDOUT);
        assert_true(clock_monotonic_usec() - before_usec < USEC_PER_SEC);
        deadline_in(l.session, 20 * USEC_PER_SEC);
        assert_int_equal(store_user_get(l.session, &place->arena, 1, &user), 0);
        assert_int_equal(create_user(l.session, place, "berta"), 0);
        lock_close(&l);
}

/* An import that its deadline ends is undone. */
static void test_long_import_is_undone(void **state) {
        Place *place = *state;
        static StoreUserRow rows[1000];
        static char names[1000][16];
        StoreTotals totals;
        unsigned n_ended = 0;
        Locked l;
        int r;

        lock_open(&l, place, NULL);
        for (size_t i = 0; i < 1000; i++) {
                (void)snprintf(names[i], sizeof(names[i]), "name%zu", i);
                rows[i].user.username = rows[i].user.email = slice_from_string(names[i]);
                rows[i].user.id = 0;
        }
        for (uint64_t usec = 200; usec < USEC_PER_SEC; usec += usec / 2) {
                deadline_in(l.session, usec);
                r = store_users_import(l.session, rows, 1000);
                deadline_in(l.session, 20 * USEC_PER_SEC);
                if (r == 0)
                        break;
                assert_true(r == -ETIMEDOUT || r == -EBUSY || r == -EHOSTDOWN);
                n_ended += r == -ETIMEDOUT;
                do
                        r = store_totals(l.session, &totals);
                while (r == -EHOSTDOWN); /* the breaker's probe */
                assert_int_equal(r, 0);
                assert_int_equal(totals.users, 1);
        }
        assert_true(n_ended > 0);
        assert_int_equal(query_sql(place, "SELECT count(*) FROM users"), 1001);
        lock_close(&l);
}

/* ---- what others see ---- */

typedef struct Visible {
        StoreSession *other;
        int before, after; /* results of looking for the code */
        Arena arena;
} Visible;

static void look_before(void *userdata, const Slice *codes, size_t n) {
        Visible *visible = userdata;
        Url url;

        assert_int_equal(n, 1);
        visible->before = store_url_get_by_code(visible->other, &visible->arena, codes[0], &url);
}

static void look_after(void *userdata) {
        Visible *visible = userdata;
        Url url;

        visible->after = store_url_get_by_code(visible->other, &visible->arena, S("abc"), &url);
}

/* committing() comes before anybody can see the change, committed() when everybody can. */
static void test_hooks_bracket_the_commit(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        Visible visible = {.other = open_session(store), .before = -1, .after = -1};
        const StoreHooks hooks = {
                        .userdata = &visible, .committing = look_before, .committed = look_after};
        StoreSession *session = NULL;

        arena_init(&visible.arena, 0);
        assert_int_equal(store_session_new(store, &hooks, &session), 0);
        deadline_in(session, 20 * USEC_PER_SEC);
        add_url(session, &place->arena, "abc");
        assert_int_equal(visible.before, STORE_NOT_FOUND);
        assert_int_equal(visible.after, STORE_OK);
        arena_done(&visible.arena);
        (void)store_session_free(session);
        (void)store_session_free(visible.other);
        (void)store_free(store);
}

/* One snapshot for a whole verb, however long it walks. */
static int add_while_walking(void *userdata, const Link *link) {
        Visible *visible = userdata;

        (void)link;
        visible->before++;
        if (visible->before == 1)
                add_url(visible->other, &visible->arena, "new");
        return 0;
}

static void test_walk_sees_one_moment(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        Visible visible = {.other = open_session(store)};

        arena_init(&visible.arena, 0);
        add_url(session, &place->arena, "a");
        add_url(session, &place->arena, "b");
        assert_int_equal(store_codes_each(session, 100, add_while_walking, &visible), 0);
        assert_int_equal(visible.before, 2);
        visible.before = 1;
        assert_int_equal(store_codes_each(session, 100, add_while_walking, &visible), 0);
        assert_int_equal(visible.before, 4);
        arena_done(&visible.arena);
        (void)store_session_free(session);
        (void)store_session_free(visible.other);
        (void)store_free(store);
}

/* The log does not grow for ever: whoever commits behind many pages moves them into the file. */
static void test_log_is_moved_into_the_file(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        SqliteSession *s = sqlite_session(session);
        const SqliteWriter writers[] = {WRITER_IMPORT, WRITER_CLIENT};

        assert_int_equal(store_ping(session), 0);
        for (size_t i = 0; i < ELEMENTSOF(writers); i++) {
                int n_before = -1, n_after = -1;

                add_user(session, &place->arena, i == 0 ? "a" : "b");
                assert_true(s->wal_pages > 0);
                /* As if there were so many. */
                s->writer = writers[i];
                assert_int_equal(sqlite_begin_write(s, writers[i]), 0);
                assert_int_equal(sqlite_execute(s, "UPDATE totals SET users = users"), 0);
                (void)sqlite3_wal_hook(s->db, NULL, NULL);
                s->wal_pages = 1 << 20;
                assert_int_equal(sqlite_end_write(s, 0, &SLICE_NONE, 0), 0);
                assert_int_equal(s->wal_pages, 0);
                assert_int_equal(sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                                           &n_before, &n_after),
                                 SQLITE_OK);
                assert_int_equal(n_before, n_after);
                sqlite_disconnect(s);
        }
        (void)store_session_free(session);
        (void)store_free(store);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        PLACE_TEST(test_busy_at_the_deadline),
                        PLACE_TEST(test_breaker_beside_a_locked_file),
                        PLACE_TEST(test_gets_the_lock_when_it_is_free),
                        PLACE_TEST(test_connecting_to_an_exclusively_locked_file),
                        PLACE_TEST(test_connection_takes_no_longer_than_allowed),
                        PLACE_TEST(test_long_read_is_interrupted),
                        PLACE_TEST(test_long_import_is_undone),
                        PLACE_TEST(test_hooks_bracket_the_commit),
                        PLACE_TEST(test_walk_sees_one_moment),
                        PLACE_TEST(test_log_is_moved_into_the_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
