/* SPDX-License-Identifier: MIT */

/* A PostgreSQL server that is there and does not want us: what it says, and what that means for the
 * sessions that it has taken. */

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "basic/clock.h"
#include "unit/store/pg-support.h"

static void sql(const char *database, const char *text) {
        free(postgres_sql(database, text));
}

/* Of a role that may have so many connections, and may do nothing with them. */
static Store *store_with_room(const char *database, unsigned n) {
        char *text = NULL, *url = NULL;

        sql(database, "DO $$ BEGIN CREATE ROLE few LOGIN; EXCEPTION WHEN duplicate_object THEN "
                      "NULL; END $$");
        CHECK(asprintf(&text, "ALTER ROLE few CONNECTION LIMIT %u", n) > 0);
        sql(database, text);
        free(text);
        CHECK(asprintf(&url, "postgresql://few@/%s?host=%s", database,
                       getenv("SHORTENER_TEST_POSTGRES")) > 0);
        return pg_open_store(url, false);
}

/* ---- too few connections ---- */

static void test_breaker_is_for_those_without_any(void **state _unused_) {
        Store *store = store_with_room(postgres_database(), 0);
        StoreSession *session = open_session(store);

        assert_int_equal(store_ping(session), -EHOSTDOWN);
        assert_non_null(strstr(store_session_error(session), "53300"));
        assert_non_null(strstr(store_session_error(session), "too many connections"));
        assert_null(strstr(store_session_error(session), "LOCATION"));
        assert_int_equal(store_n_crowded(store), 1);
        for (unsigned i = 1; i < STORE_BREAKER_FAILURES; i++)
                assert_int_equal(store_ping(session), -EHOSTDOWN);
        assert_false(store_is_up(store));
        (void)store_session_free(session);
        assert_int_equal(store_n_crowded(store), 0);
        (void)store_free(store);
}

static void test_those_with_a_connection_go_on(void **state _unused_) {
        Store *store = store_with_room(postgres_database(), 2);
        StoreSession *one = open_session(store), *two = open_session(store);
        StoreSession *other = open_session(store);
        uint64_t end_usec = clock_monotonic_usec() + 30 * USEC_PER_SEC;

        assert_true(store_session_has_room(one)); /* nobody knows otherwise */
        assert_false(store_session_is_connected(one));
        assert_int_equal(store_ping(one), 0);
        assert_int_equal(store_ping(two), 0);
        for (unsigned i = 0; i < 2 * STORE_BREAKER_FAILURES; i++) {
                assert_int_equal(store_ping(other), -EHOSTDOWN);
                assert_non_null(strstr(store_session_error(other),
                                       i == 0 ? "53300" : "no connection left"));
                assert_true(store_is_up(store));
                assert_false(store_session_has_room(other));
        }
        assert_int_equal(store_ping(one), 0);
        assert_true(store_session_has_room(one));
        assert_int_equal(store_n_crowded(store), 1);

        /* Room again: it is found without anybody being asked to do something. */
        two = store_session_free(two);
        while (!store_session_has_room(other) && clock_monotonic_usec() < end_usec)
                (void)sched_yield();
        assert_int_equal(store_n_crowded(store), 0);
        assert_int_equal(store_ping(other), 0);
        (void)store_session_free(one);
        (void)store_session_free(other);
        (void)store_free(store);
}

/* One that nobody uses knows that its connection is gone when it looks. */
static void test_breaker_opens_beside_an_idle_one(void **state _unused_) {
        const char *database = postgres_database();
        Store *store = store_with_room(database, 1);
        StoreSession *idle = open_session(store), *session = open_session(store);
        uint64_t end_usec = clock_monotonic_usec() + 30 * USEC_PER_SEC;

        assert_int_equal(store_ping(idle), 0);
        store_session_look(idle);
        assert_true(store_session_is_connected(idle));
        assert_int_equal(store_ping(session), -EHOSTDOWN);
        assert_true(store_is_up(store));
        sql(database, "ALTER ROLE few CONNECTION LIMIT 0");
        sql(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                      " WHERE usename = 'few'");
        while (store_session_is_connected(idle) && clock_monotonic_usec() < end_usec)
                store_session_look(idle);
        assert_int_equal(store_n_connected(store), 0);
        for (unsigned i = 0; i < STORE_BREAKER_FAILURES; i++)
                assert_int_equal(store_ping(session), -EHOSTDOWN);
        assert_false(store_is_up(store));
        (void)store_session_free(session);
        (void)store_session_free(idle);
        (void)store_free(store);
}

/* ---- too little memory, or too few locks ---- */

/* A list of events locks each day and its indexes; when there are too many of them for the server's
 * table of locks the rest of the store is there all the same. */
static void test_breaker_is_not_for_lack_of_locks(void **state _unused_) {
        const char *database = postgres_database();
        Store *store = pg_open_store(postgres_url(database), false);
        StoreSession *session = open_session(store);
        Arena arena;
        User user;

        arena_init(&arena, 0);
        sql(database, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                      " RAISE 'out of shared memory' USING ERRCODE = '53200'; END $$;"
                      " CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW"
                      " EXECUTE FUNCTION refuse()");
        for (unsigned i = 0; i < 2 * STORE_BREAKER_FAILURES; i++) {
                deadline_in(session, 30 * USEC_PER_SEC);
                assert_int_equal(store_user_create(session, &arena, S("u"), S("e"), 1, &user),
                                 -EBUSY);
                assert_non_null(strstr(store_session_error(session), "max_locks_per_transaction"));
                assert_true(store_is_up(store));
        }
        sql(database, "DROP FUNCTION refuse CASCADE");
        assert_int_equal(store_ping(session), 0);
        arena_done(&arena);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* ---- too little time ---- */

/* Of a database in which a list of users takes a minute, and all else what it takes. */
static Store *slow_store(const char *database, bool unprepared) {
        char *url = NULL;

        sql(database, "CREATE SCHEMA IF NOT EXISTS slow;"
                      " CREATE OR REPLACE VIEW slow.users AS SELECT u.* FROM public.users AS u"
                      " WHERE pg_sleep(60) IS NOT NULL");
        CHECK(asprintf(&url,
                       "postgresql:///%s?host=%s&user=postgres"
                       "&options=-csearch_path%%3Dslow,public",
                       database, getenv("SHORTENER_TEST_POSTGRES")) > 0);
        return pg_open_store(url, unprepared);
}

/* Who asks for a list that takes too long is told so by the server, which is there for the rest. */
static void check_slow_lists(bool unprepared) {
        const char *database = postgres_database();
        const StoreQuery query = {.limit = 1};
        Store *store = slow_store(database, unprepared);
        StoreSession *session = open_session(store);
        Arena arena;
        User *users;
        size_t n;
        Url url;

        arena_init(&arena, 0);
        sql(database, "INSERT INTO users VALUES (1, 'u', 'e', 1)");
        for (unsigned i = 0; i < 2 * STORE_BREAKER_FAILURES; i++) {
                deadline_in(session, USEC_PER_SEC / 2);
                assert_int_equal(store_user_list(session, &arena, &query, &users, &n, NULL),
                                 -ETIMEDOUT);
                assert_non_null(strstr(store_session_error(session), "57014"));
                assert_true(store_is_up(store));
                assert_true(store_session_is_connected(session));
        }
        /* What came before does not shorten what comes now. */
        deadline_in(session, 30 * USEC_PER_SEC);
        assert_int_equal(store_url_get(session, &arena, 1, &url), STORE_NOT_FOUND);
        assert_int_equal(atomic_load(&pg_store(pg_session(session))->n_made), 1);
        arena_done(&arena);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void test_breaker_is_not_for_slow_lists(void **state _unused_) {
        check_slow_lists(false);
        check_slow_lists(true);
}

/* A server that says nothing is another matter. */
static void test_breaker_is_for_lists_of_a_frozen_server(void **state _unused_) {
        Store *store = pg_open_store(postgres_url(postgres_database()), false);
        StoreSession *sessions[STORE_BREAKER_FAILURES];
        const StoreQuery query = {.limit = 1};
        Arena arena;
        User *users;
        size_t n;

        arena_init(&arena, 0);
        for (unsigned i = 0; i < STORE_BREAKER_FAILURES; i++) {
                sessions[i] = open_session(store);
                deadline_in(sessions[i], 30 * USEC_PER_SEC);
                assert_int_equal(store_ping(sessions[i]), 0);
        }
        server_freeze();
        for (unsigned i = 0; i < STORE_BREAKER_FAILURES; i++) {
                assert_true(store_is_up(store));
                deadline_in(sessions[i], USEC_PER_SEC / 2);
                assert_int_equal(store_user_list(sessions[i], &arena, &query, &users, &n, NULL),
                                 -ETIMEDOUT);
        }
        assert_false(store_is_up(store));
        server_thaw();
        for (unsigned i = 0; i < STORE_BREAKER_FAILURES; i++)
                (void)store_session_free(sessions[i]);
        arena_done(&arena);
        (void)store_free(store);
}

/* Nothing good is said of a store that has not answered yet. */
static void test_reachable_once_it_answered(void **state _unused_) {
        Store *store = pg_open_store(postgres_url(postgres_database()), false);
        StoreSession *session = open_session(store);

        assert_false(store_is_reachable(store));
        assert_int_equal(store_sight(store, 0), STORE_SIGHT_NONE);
        deadline_in(session, 30 * USEC_PER_SEC);
        assert_int_equal(store_ping(session), 0);
        assert_true(store_is_reachable(store));
        assert_int_equal(store_sight(store, 0), STORE_SIGHT_LOST);
        (void)store_session_free(session);
        (void)store_free(store);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_reachable_once_it_answered),
                        cmocka_unit_test(test_breaker_is_for_those_without_any),
                        cmocka_unit_test(test_those_with_a_connection_go_on),
                        cmocka_unit_test(test_breaker_opens_beside_an_idle_one),
                        cmocka_unit_test(test_breaker_is_not_for_lack_of_locks),
                        cmocka_unit_test(test_breaker_is_not_for_slow_lists),
                        cmocka_unit_test(test_breaker_is_for_lists_of_a_frozen_server),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
