/* SPDX-License-Identifier: MIT */

/* What all verbs share: ping, schema, deadlines, the busy mark. */

#include <errno.h>
#include <string.h>

#include "basic/clock.h"
#include "contract/fixture.h"

static void test_ping(void **state) {
        Fixture *f = *state;

        assert_int_equal(store_ping(f->session), 0);
        assert_true(store_is_up(f->store));
        assert_non_null(store_session_error(f->session));
        assert_true(strlen(store_url_shown(f->store)) > 0);
}

static void test_schema(void **state) {
        Fixture *f = *state;
        StoreSchema schema;
        int n = 99;

        assert_int_equal(store_schema(f->session, &schema), 0);
        assert_int_equal(schema.version, schema.supported);
        assert_true(schema.oldest >= 1 && schema.oldest <= schema.version);
        assert_int_equal(store_migrate(f->session, &n), 0);
        assert_int_equal(n, 0);
}

/* A session connects at its first verb at the latest, and no more than once. */
static void test_connections_are_counted(void **state) {
        Fixture *f = *state;
        StoreSession *session;
        unsigned n;

        assert_int_equal(store_ping(f->session), 0);
        assert_int_equal(store_ping(f->other), 0);
        n = store_n_connected(f->store);
        assert_int_equal(n, 2);
        session = fixture_session(f, false);
        for (int i = 0; i < 3; i++)
                assert_int_equal(store_ping(session), 0);
        assert_int_equal(store_n_connected(f->store), n + 1);
        (void)store_session_free(session);
        assert_int_equal(store_n_connected(f->store), n);
}

/* For those who share a server, which has an end. */
static void test_capacity(void **state) {
        StoreCapacity capacity = {.in_use = -1};
        Fixture *f = *state;
        int r = store_capacity(f->session, &capacity);

        if (!f->database) {
                assert_int_equal(r, STORE_NOT_FOUND);
                return;
        }
        assert_int_equal(r, 0);
        assert_int_equal(capacity.max, 100); /* as tests/lib/postgres.py has it */
        assert_int_equal(capacity.reserved, 3);
        assert_int_equal(capacity.limit, -1);
        assert_true(capacity.in_use >= 1 && capacity.in_use <= capacity.max);
}

static void test_deadline_that_passed(void **state) {
        Fixture *f = *state;
        User user;

        store_session_deadline(f->session, clock_monotonic_usec() - 1);
        for (int i = 0; i < 10; i++)
                assert_int_equal(store_user_create(f->session, &f->arena, S("x"), S("x"), 1, &user),
                                 -ETIMEDOUT);
        assert_true(strlen(store_session_error(f->session)) > 0);
        assert_diary(f, "");
        /* The store was never asked: that says nothing about it. */
        assert_true(store_is_up(f->store));
        store_session_deadline(f->session, 0);
        assert_int_equal(store_user_get(f->session, &f->arena, 1, &user), STORE_NOT_FOUND);
}

typedef struct BusyProbe {
        const StoreSession *session;
        uint64_t seen_usec;
} BusyProbe;

static int note_busy(void *userdata, const Link *link _unused_) {
        BusyProbe *probe = userdata;

        probe->seen_usec = store_session_busy_since(probe->session);
        return 1;
}

static void test_busy_inside_verbs_only(void **state) {
        Fixture *f = *state;
        BusyProbe probe = {.session = f->session};
        uint64_t before_usec = clock_monotonic_usec();

        make_url(f, "abc", 0);
        assert_int_equal(store_session_busy_since(f->session), 0);
        assert_int_equal(store_codes_each(f->session, 10, note_busy, &probe), 0);
        assert_true(probe.seen_usec >= before_usec && probe.seen_usec <= clock_monotonic_usec());
        assert_int_equal(store_session_busy_since(f->session), 0);
        /* After a failure too. */
        assert_int_equal(store_url_retire(f->session, MISSING_ID, 1, S("{}")), STORE_NOT_FOUND);
        assert_int_equal(store_session_busy_since(f->session), 0);
}

/* What clients do wrong says nothing about the store. */
static void test_results_are_no_failures(void **state) {
        Fixture *f = *state;
        Url url;

        for (unsigned i = 0; i < 2 * STORE_BREAKER_FAILURES; i++)
                assert_int_equal(store_url_get(f->session, &f->arena, MISSING_ID, &url),
                                 STORE_NOT_FOUND);
        assert_true(store_is_up(f->store));
}

/* What one session wrote the next reads, at once. */
static void test_fresh_for_other_sessions(void **state) {
        Fixture *f = *state;
        Link link = {.code = S("abc")};
        const StoreUrlChange change = {.has_target = true,
                                       .target = S("https://b.example/"),
                                       .location = S("https://b.example/")};
        int64_t id;
        Url url;

        assert_int_equal(store_urls_by_codes(f->other, &f->arena, &link, 1), 0);
        assert_int_equal(link.id, 0);
        id = make_url(f, "abc", 0);
        assert_int_equal(store_urls_by_codes(f->other, &f->arena, &link, 1), 0);
        assert_int_equal(link.id, id);
        assert_int_equal(store_url_update(f->session, &f->arena, id, &change, &url), 0);
        assert_int_equal(store_urls_by_codes(f->other, &f->arena, &link, 1), 0);
        assert_slice(link.location, "https://b.example/");
        assert_int_equal(store_url_retire(f->session, id, 1, S("{}")), 0);
        assert_int_equal(store_urls_by_codes(f->other, &f->arena, &link, 1), 0);
        assert_false(link.is_active);
}

int run_sessions(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_ping),
                        CONTRACT_TEST(test_schema),
                        CONTRACT_TEST(test_connections_are_counted),
                        CONTRACT_TEST(test_capacity),
                        CONTRACT_TEST(test_deadline_that_passed),
                        CONTRACT_TEST(test_busy_inside_verbs_only),
                        CONTRACT_TEST(test_results_are_no_failures),
                        CONTRACT_TEST(test_fresh_for_other_sessions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
