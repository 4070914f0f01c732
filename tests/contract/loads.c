/* SPDX-License-Identifier: MIT */

/* Loads: the imports between begin and end are one transaction. */

#include <errno.h>

#include "basic/clock.h"
#include "contract/batch.h"

#define SHORT_USEC 30000ULL

static void import_user(StoreSession *session, Slice name) {
        StoreUserRow row = {.user = {.username = name, .email = name}};

        assert_int_equal(store_users_import(session, &row, 1), 0);
        assert_int_equal(row.result, STORE_OK);
}

static void import_url(StoreSession *session, Slice code) {
        StoreUrlRow row = {.url = {.code = code,
                                   .target = S("https://x.example/"),
                                   .location = S("https://x.example/"),
                                   .is_active = true}};

        assert_int_equal(store_urls_import(session, &row, 1, false), 0);
        assert_int_equal(row.result, STORE_OK);
}

static StoreTotals totals_by(StoreSession *session) {
        StoreTotals totals;

        assert_int_equal(store_totals(session, &totals), 0);
        return totals;
}

static void test_commit(void **state) {
        Fixture *f = *state;

        assert_int_equal(store_load_begin(f->session, false), 0);
        import_user(f->session, S("anna"));
        import_url(f->session, S("abc"));
        assert_diary(f, ""); /* not yet */
        assert_int_equal(totals_by(f->session).users, 1);
        assert_int_equal(totals_by(f->other).users, 0);
        assert_int_equal(store_load_end(f->session, true), 0);
        assert_diary(f, "C(*) c ");
        assert_int_equal(totals_by(f->other).users, 1);
        assert_int_equal(totals_by(f->other).urls, 1);
        assert_audit_clean(f);
}

static void test_rollback(void **state) {
        Fixture *f = *state;

        assert_int_equal(store_load_begin(f->session, false), 0);
        import_user(f->session, S("anna"));
        assert_int_equal(store_load_end(f->session, false), 0);
        assert_diary(f, "");
        assert_int_equal(totals_of(f).users, 0);
        make_user(f, "anna");
}

static void test_free_is_a_rollback(void **state) {
        Fixture *f = *state;
        StoreSession *session = fixture_session(f, false);

        assert_int_equal(store_load_begin(session, false), 0);
        import_user(session, S("anna"));
        (void)store_session_free(session);
        assert_int_equal(totals_of(f).users, 0);
        make_user(f, "anna");
}

/* reference-faults 20: a store with data is not replaced unless that is asked for. */
static void test_not_empty(void **state) {
        Fixture *f = *state;

        make_user(f, "anna");
        assert_int_equal(store_load_begin(f->session, false), STORE_NOT_EMPTY);
        assert_int_equal(store_load_end(f->session, true), -EINVAL);
        assert_int_equal(totals_of(f).users, 1);
        make_user(f, "berta");
}

static void test_replace(void **state) {
        Fixture *f = *state;
        static TestBatch b;
        int64_t url_id = make_url(f, "abc", make_user(f, "anna"));
        StoreOffset offset;

        batch_fill(&b, 7, 1, 5, url_id);
        batch_append(f, &b);
        assert_int_equal(store_load_begin(f->session, true), 0);
        import_user(f->session, S("anna"));
        assert_int_equal(totals_by(f->other).events, 6);
        assert_int_equal(store_load_end(f->session, true), 0);
        assert_int_equal(totals_of(f).users, 1);
        assert_int_equal(totals_of(f).urls, 0);
        assert_int_equal(totals_of(f).active_urls, 0);
        assert_int_equal(totals_of(f).events, 0);
        assert_int_equal(totals_of(f).redirects, 0);
        /* Ids are not used again, and what was shipped is not shipped again. */
        assert_int_equal(make_user(f, "berta"), 3);
        assert_int_equal(make_url(f, "abc", 0), url_id + 1);
        offset = offset_of(f, 7);
        assert_int_equal(offset.next_seq, 6);
        assert_int_equal(offset.first_seq, 6);
        assert_proof(f, 7);
        assert_int_equal(redirects_of(f, url_id + 1), 0);
}

static void test_replace_rolled_back(void **state) {
        Fixture *f = *state;

        make_url(f, "abc", make_user(f, "anna"));
        assert_int_equal(store_load_begin(f->session, true), 0);
        assert_int_equal(store_load_end(f->session, false), 0);
        assert_int_equal(totals_of(f).users, 1);
        assert_int_equal(totals_of(f).urls, 1);
        assert_audit_clean(f);
}

/* Others read what was there; their changes end at their deadline with nothing done. */
static void test_others_meanwhile(void **state) {
        Fixture *f = *state;
        User user;

        make_user(f, "anna");
        assert_int_equal(store_load_begin(f->session, true), 0);
        assert_int_equal(store_user_get(f->other, &f->arena, 1, &user), 0);
        store_session_deadline(f->other, clock_monotonic_usec() + SHORT_USEC);
        assert_int_equal(store_user_create(f->other, &f->arena, S("x"), S("x@x.example"), 1, &user),
                         -EBUSY);
        assert_int_equal(store_load_end(f->session, true), 0);
        assert_int_equal(totals_of(f).users, 0);
}

static void test_only_imports_inside(void **state) {
        Fixture *f = *state;
        static TestBatch b;
        uint64_t next_seq;
        User user;
        int n;

        assert_int_equal(store_load_begin(f->session, false), 0);
        assert_int_equal(store_load_begin(f->session, false), -EINVAL);
        assert_int_equal(store_user_create(f->session, &f->arena, S("x"), S("x"), 1, &user),
                         -EINVAL);
        batch_fill(&b, 7, 1, 1, 1);
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), -EINVAL);
        assert_int_equal(store_offset_delete(f->session, b.batch.spool), -EINVAL);
        assert_int_equal(store_migrate(f->session, &n), -EINVAL);
        import_user(f->session, S("anna"));
        assert_int_equal(store_user_get(f->session, &f->arena, 1, &user), 0);
        assert_int_equal(store_load_end(f->session, true), 0);
        assert_int_equal(totals_of(f).users, 1);
        assert_int_equal(store_load_end(f->session, true), -EINVAL);
        assert_int_equal(store_load_end(f->session, false), -EINVAL);
}

/* A rollback works whatever the time is. */
static void test_rollback_after_the_deadline(void **state) {
        Fixture *f = *state;

        assert_int_equal(store_load_begin(f->session, false), 0);
        import_user(f->session, S("anna"));
        store_session_deadline(f->session, 1);
        assert_int_equal(store_load_end(f->session, true), -ETIMEDOUT);
        assert_int_equal(store_load_end(f->session, false), 0);
        assert_int_equal(totals_by(f->other).users, 0);
}

int run_loads(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_commit),
                        CONTRACT_TEST(test_rollback),
                        CONTRACT_TEST(test_free_is_a_rollback),
                        CONTRACT_TEST(test_not_empty),
                        CONTRACT_TEST(test_replace),
                        CONTRACT_TEST(test_replace_rolled_back),
                        CONTRACT_TEST(test_others_meanwhile),
                        CONTRACT_TEST(test_only_imports_inside),
                        CONTRACT_TEST(test_rollback_after_the_deadline),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
