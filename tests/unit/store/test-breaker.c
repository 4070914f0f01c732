/* SPDX-License-Identifier: MIT */

/* The circuit breaker, deadlines and busy marks, over the in-memory store that fails on demand. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "basic/clock.h"
#include "store/fake.h"
#include "unit/store/support.h"

#define PATIENCE_USEC (10 * USEC_PER_SEC)

typedef struct Fixture {
        Store *store;
        StoreSession *session;
        Arena arena;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        CHECK(f);
        f->store = open_store("fake:", true);
        f->session = open_session(f->store);
        arena_init(&f->arena, 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        arena_done(&f->arena);
        (void)store_session_free(f->session);
        (void)store_free(f->store);
        free(f);
        return 0;
}

#define FAKE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void fail_times(Fixture *f, int result, unsigned n) {
        store_fake_fail(f->store, result, n);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(store_ping(f->session), result);
}

/* Asks until the answer is another one than "away"; returns it. */
static int ping_until_asked(Fixture *f) {
        uint64_t end_usec = clock_monotonic_usec() + PATIENCE_USEC;
        int r;

        do {
                r = store_ping(f->session);
                (void)sched_yield();
        } while (r == -EHOSTDOWN && clock_monotonic_usec() < end_usec);
        return r;
}

static void wait_for_probe(void) {
        uint64_t end_usec = clock_monotonic_usec() + STORE_BREAKER_USEC;

        while (clock_monotonic_usec() <= end_usec)
                (void)sched_yield();
}

static void test_opens_and_closes(void **state) {
        Fixture *f = *state;
        uint64_t opened_usec;

        assert_true(store_is_up(f->store));
        fail_times(f, -EHOSTDOWN, STORE_BREAKER_FAILURES - 1);
        assert_true(store_is_up(f->store));
        fail_times(f, -EHOSTDOWN, 1);
        opened_usec = clock_monotonic_usec();
        assert_false(store_is_up(f->store));
        /* The store would answer, but is not asked before the time of a probe has come. */
        assert_int_equal(store_ping(f->session), -EHOSTDOWN);
        assert_non_null(strstr(store_session_error(f->session), "breaker"));
        assert_int_equal(ping_until_asked(f), 0);
        assert_true(clock_monotonic_usec() - opened_usec >= STORE_BREAKER_USEC - 1000);
        assert_true(store_is_up(f->store));
        assert_int_equal(store_ping(f->session), 0);
}

static void test_which_results_count(void **state) {
        Fixture *f = *state;
        const int failures[] = {-EHOSTDOWN, -EBUSY, -ETIMEDOUT};
        const int others[] = {-ENOMEM, -EPROTO};

        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                fail_times(f, others[i], 2 * STORE_BREAKER_FAILURES);
                assert_true(store_is_up(f->store));
        }
        for (size_t i = 0; i < ELEMENTSOF(failures); i++) {
                fail_times(f, failures[i], STORE_BREAKER_FAILURES);
                assert_false(store_is_up(f->store));
                assert_int_equal(ping_until_asked(f), 0);
        }
}

/* Of a damaged table the rest of the store knows nothing; a ping that fails is about all of it. */
static void test_damage(void **state) {
        Fixture *f = *state;
        User user;

        store_fake_fail(f->store, -EIO, 2 * STORE_BREAKER_FAILURES);
        for (unsigned i = 0; i < 2 * STORE_BREAKER_FAILURES; i++)
                assert_int_equal(store_user_get(f->session, &f->arena, 5, &user), -EIO);
        assert_true(store_is_up(f->store));

        fail_times(f, -EIO, STORE_BREAKER_FAILURES);
        assert_false(store_is_up(f->store));
        /* Whoever is the probe has the same answer as the rest, and does not close the breaker. */
        store_fake_fail(f->store, -EIO, 1);
        wait_for_probe();
        assert_int_equal(store_user_get(f->session, &f->arena, 5, &user), -EHOSTDOWN);
        assert_null(strstr(store_session_error(f->session), "breaker"));
        assert_false(store_is_up(f->store));
        assert_int_equal(ping_until_asked(f), 0);
        assert_true(store_is_up(f->store));
}

static void test_in_a_row_only(void **state) {
        Fixture *f = *state;
        User user;

        for (int i = 0; i < 4; i++) {
                fail_times(f, -EBUSY, STORE_BREAKER_FAILURES - 1);
                /* A client's mistake is an answer too. */
                assert_int_equal(store_user_get(f->session, &f->arena, 5, &user), STORE_NOT_FOUND);
        }
        assert_true(store_is_up(f->store));
        /* No memory says nothing, neither way. */
        fail_times(f, -EBUSY, STORE_BREAKER_FAILURES - 1);
        fail_times(f, -ENOMEM, 1);
        fail_times(f, -EBUSY, 1);
        assert_false(store_is_up(f->store));
}

static void test_failed_probe_keeps_it_open(void **state) {
        Fixture *f = *state;

        fail_times(f, -EHOSTDOWN, STORE_BREAKER_FAILURES);
        store_fake_fail(f->store, -EBUSY, 1);
        assert_int_equal(ping_until_asked(f), -EBUSY);
        assert_false(store_is_up(f->store));
        assert_int_equal(store_ping(f->session), -EHOSTDOWN);
        assert_int_equal(ping_until_asked(f), 0);
}

static void test_shared_by_sessions(void **state) {
        Fixture *f = *state;
        StoreSession *other = open_session(f->store);

        fail_times(f, -EHOSTDOWN, STORE_BREAKER_FAILURES - 1);
        store_fake_fail(f->store, -EHOSTDOWN, 1);
        assert_int_equal(store_ping(other), -EHOSTDOWN);
        assert_false(store_is_up(f->store));
        (void)store_session_free(other);
}

/* ---- a store that hangs ---- */

typedef struct Hanging {
        StoreSession *session;
        pthread_t thread;
        int result;
} Hanging;

static void *hang(void *userdata) {
        Hanging *hanging = userdata;

        hanging->result = store_ping(hanging->session);
        return NULL;
}

static void start_hanging(Hanging *hanging, Store *store) {
        hanging->session = open_session(store);
        assert_int_equal(pthread_create(&hanging->thread, NULL, hang, hanging), 0);
        while (store_session_busy_since(hanging->session) == 0)
                (void)sched_yield();
}

static void test_busy_mark_of_a_hanging_verb(void **state) {
        Fixture *f = *state;
        uint64_t before_usec = clock_monotonic_usec();
        Hanging hanging;

        store_fake_block(f->store, true);
        start_hanging(&hanging, f->store);
        assert_true(store_session_busy_since(hanging.session) >= before_usec);
        store_fake_block(f->store, false);
        assert_int_equal(pthread_join(hanging.thread, NULL), 0);
        assert_int_equal(hanging.result, 0);
        assert_int_equal(store_session_busy_since(hanging.session), 0);
        (void)store_session_free(hanging.session);
}

static void test_one_probe_at_a_time(void **state) {
        Fixture *f = *state;
        Hanging probe;

        fail_times(f, -EHOSTDOWN, STORE_BREAKER_FAILURES);
        store_fake_block(f->store, true);
        while (store_is_up(f->store))
                (void)sched_yield();
        /* The probe is whoever comes first once the time has come. */
        uint64_t end_usec = clock_monotonic_usec() + STORE_BREAKER_USEC;
        while (clock_monotonic_usec() < end_usec)
                (void)sched_yield();
        start_hanging(&probe, f->store);
        assert_int_equal(store_ping(f->session), -EHOSTDOWN);
        store_fake_block(f->store, false);
        assert_int_equal(pthread_join(probe.thread, NULL), 0);
        assert_int_equal(probe.result, 0);
        assert_true(store_is_up(f->store));
        (void)store_session_free(probe.session);
}

static void test_deadline_while_hanging(void **state) {
        Fixture *f = *state;
        uint64_t before_usec = clock_monotonic_usec();

        store_fake_block(f->store, true);
        deadline_in(f->session, 20000);
        assert_int_equal(store_ping(f->session), -ETIMEDOUT);
        assert_true(clock_monotonic_usec() - before_usec >= 20000);
        store_fake_block(f->store, false);
}

/* ---- every verb passes a failure on ---- */

static void test_each_verb_fails(void **state) {
        Fixture *f = *state;
        const uint8_t spool[STORE_SPOOL_ID_SIZE] = {0};
        const StoreQuery query = {.limit = 1};
        const StoreBatch batch = {.first_seq = 1, .from_seq = 1, .upto_seq = 1};
        union {
                User user, *users;
                Url url, *urls;
                Event event, *events;
                StoreSchema schema;
                StoreTotals totals;
                StoreOffset offset, *offsets;
                StoreAudit audit;
        } out;
        int64_t number = 0;
        uint64_t seq;
        size_t n;
        int some;

#define ASSERT_FAILS(call)            \
 do {                                 \
  store_fake_fail(f->store, -EIO, 1); \
  assert_int_equal(call, -EIO);       \
 } while (0)
        ASSERT_FAILS(store_schema(f->session, &out.schema));
        ASSERT_FAILS(store_migrate(f->session, &some));
        ASSERT_FAILS(store_user_create(f->session, &f->arena, S("a"), S("b"), 1, &out.user));
        ASSERT_FAILS(store_user_get(f->session, &f->arena, 1, &out.user));
        ASSERT_FAILS(store_user_update(f->session, &f->arena, 1,
                                       &(StoreUserChange){.username = S("x")}, &out.user));
        ASSERT_FAILS(store_user_delete(f->session, 1));
        ASSERT_FAILS(store_user_list(f->session, &f->arena, &query, &out.users, &n, NULL));
        ASSERT_FAILS(store_users_import(f->session, NULL, 0));
        ASSERT_FAILS(store_url_create(f->session, &(Url){.code = S("a")}, S("{}"), &out.url));
        ASSERT_FAILS(store_url_get(f->session, &f->arena, 1, &out.url));
        ASSERT_FAILS(store_url_get_by_code(f->session, &f->arena, S("a"), &out.url));
        ASSERT_FAILS(store_url_update(f->session, &f->arena, 1, &(StoreUrlChange){.now_sec = 1},
                                      &out.url));
        ASSERT_FAILS(store_url_retire(f->session, 1, 1, S("{}")));
        ASSERT_FAILS(store_url_list(f->session, &f->arena, &query, &out.urls, &n, NULL));
        ASSERT_FAILS(store_url_stats(f->session, &f->arena, 1, &out.url, &number));
        ASSERT_FAILS(store_urls_by_codes(f->session, &f->arena, NULL, 0));
        ASSERT_FAILS(store_codes_each(f->session, 1, NULL, NULL));
        ASSERT_FAILS(store_urls_import(f->session, NULL, 0, true));
        ASSERT_FAILS(store_event_create(f->session, &(Event){.url_id = 1}, &out.event));
        ASSERT_FAILS(store_event_list(f->session, &f->arena, &query, &out.events, &n, NULL));
        ASSERT_FAILS(store_events_import(f->session, NULL, 0));
        ASSERT_FAILS(store_load_begin(f->session, false));
        ASSERT_FAILS(store_totals(f->session, &out.totals));
        ASSERT_FAILS(store_clicks_append(f->session, &batch, &seq));
        ASSERT_FAILS(store_offset_get(f->session, spool, &out.offset));
        ASSERT_FAILS(store_offset_list(f->session, &f->arena, &out.offsets, &n));
        ASSERT_FAILS(store_offset_delete(f->session, spool));
        ASSERT_FAILS(store_audit(f->session, &f->arena, &out.audit));
}

/* ---- stores and sessions ---- */

static void test_unknown_urls(void **state _unused_) {
        const char *const urls[] = {"",        "fake",           "fake:x", "mysql://localhost/x",
                                    "sqlite:", "sqlite:file:x",  "sqlite", "/var/lib/x.db",
                                    "FAKE:",   "sqlite::memory:"};
        const StoreOptions options = {.create = true};
        Store *store = NULL;

        for (size_t i = 0; i < ELEMENTSOF(urls); i++) {
                assert_int_equal(store_new(urls[i], &options, &store), -EINVAL);
                assert_null(store);
        }
}

/* What can be no file, and never will be. */
static void test_hopeless_paths(void **state _unused_) {
        char name[64] = "/tmp/store-XXXXXX", urls[6][512];
        const int results[] = {-EISDIR, -EISDIR, -ENXIO, -ENOTDIR, -ELOOP, -ENAMETOOLONG};
        const StoreOptions options = {.create = true};
        Store *store = NULL;

        assert_non_null(mkdtemp(name));
        (void)snprintf(urls[0], sizeof(urls[0]), "sqlite:%s", name);
        (void)snprintf(urls[1], sizeof(urls[1]), "sqlite:%s/new/", name);
        (void)snprintf(urls[2], sizeof(urls[2]), "sqlite:/dev/null");
        (void)snprintf(urls[3], sizeof(urls[3]), "sqlite:/dev/null/x.db");
        (void)snprintf(urls[4], sizeof(urls[4]), "sqlite:%s/loop", name);
        (void)snprintf(urls[5], sizeof(urls[5]), "sqlite:/%0300d", 0);
        assert_int_equal(symlink("loop", urls[4] + strlen("sqlite:")), 0);
        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                assert_int_equal(store_new(urls[i], &options, &store), results[i]);
                assert_null(store);
                assert_string_not_equal(store_refusal(results[i]), strerror(-results[i]));
        }
        assert_int_equal(unlink(urls[4] + strlen("sqlite:")), 0);
        assert_int_equal(rmdir(name), 0);
}

static void test_known_urls(void **state _unused_) {
        Store *store = open_store("sqlite:/nowhere/x.db", false);

        assert_string_equal(store_url_shown(store), "sqlite:/nowhere/x.db");
        assert_true(store_is_up(store));
        assert_null(store_free(store));
        assert_null(store_free(NULL));
        assert_null(store_session_free(NULL));
}

static void test_hooks_may_be_absent(void **state) {
        Fixture *f = *state;
        const StoreHooks none = {.userdata = f};
        StoreSession *session = NULL;

        assert_int_equal(store_session_new(f->store, &none, &session), 0);
        assert_int_equal(add_url(session, &f->arena, "abc"), 1);
        assert_int_equal(store_url_retire(session, 1, 1, S("{}")), 0);
        (void)store_session_free(session);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        FAKE_TEST(test_opens_and_closes),
                        FAKE_TEST(test_which_results_count),
                        FAKE_TEST(test_damage),
                        FAKE_TEST(test_in_a_row_only),
                        FAKE_TEST(test_failed_probe_keeps_it_open),
                        FAKE_TEST(test_shared_by_sessions),
                        FAKE_TEST(test_busy_mark_of_a_hanging_verb),
                        FAKE_TEST(test_one_probe_at_a_time),
                        FAKE_TEST(test_deadline_while_hanging),
                        FAKE_TEST(test_each_verb_fails),
                        cmocka_unit_test(test_unknown_urls),
                        cmocka_unit_test(test_hopeless_paths),
                        cmocka_unit_test(test_known_urls),
                        FAKE_TEST(test_hooks_may_be_absent),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
