/* SPDX-License-Identifier: MIT */

/* Users: create, get, update, delete, and what a deleted user leaves behind. */

#include <errno.h>

#include "contract/fixture.h"

static void test_create_and_get(void **state) {
        Fixture *f = *state;
        User user, again;

        assert_int_equal(store_user_create(f->session, &f->arena, S("anna"), S("a@x.example"), 7,
                                           &user),
                         0);
        assert_int_equal(user.id, 1);
        assert_slice(user.username, "anna");
        assert_slice(user.email, "a@x.example");
        assert_int_equal(user.created_sec, 7);
        assert_int_equal(store_user_get(f->other, &f->arena, 1, &again), 0);
        assert_slice(again.username, "anna");
        assert_slice(again.email, "a@x.example");
        assert_int_equal(again.created_sec, 7);
        assert_int_equal(make_user(f, "berta"), 2);
        assert_int_equal(totals_of(f).users, 2);
}

static void test_get_missing(void **state) {
        Fixture *f = *state;
        User user;

        assert_int_equal(store_user_get(f->session, &f->arena, 1, &user), STORE_NOT_FOUND);
        assert_int_equal(store_user_get(f->session, &f->arena, INT64_MAX, &user), STORE_NOT_FOUND);
}

static void test_clashes(void **state) {
        Fixture *f = *state;
        User user;

        make_user(f, "anna");
        make_user(f, "berta");
        assert_int_equal(store_user_create(f->session, &f->arena, S("anna"), S("new@x.example"), 1,
                                           &user),
                         STORE_USERNAME_TAKEN);
        assert_int_equal(store_user_create(f->session, &f->arena, S("new"), S("anna@x.example"), 1,
                                           &user),
                         STORE_EMAIL_TAKEN);
        /* The username is named when both clash, even with two different users. */
        assert_int_equal(store_user_create(f->session, &f->arena, S("anna"), S("berta@x.example"),
                                           1, &user),
                         STORE_USERNAME_TAKEN);
        /* Case counts. */
        assert_int_equal(store_user_create(f->session, &f->arena, S("Anna"), S("Anna@x.example"), 1,
                                           &user),
                         0);
        assert_int_equal(user.id, 3);
        assert_int_equal(totals_of(f).users, 3);
}

static void test_update(void **state) {
        Fixture *f = *state;
        int64_t id = make_user(f, "anna");
        User user;

        make_user(f, "berta");
        assert_int_equal(store_user_update(f->session, &f->arena, id,
                                           &(StoreUserChange){.username = S("anne")}, &user),
                         0);
        assert_slice(user.username, "anne");
        assert_slice(user.email, "anna@x.example");
        assert_int_equal(user.created_sec, NOW_SEC);
        assert_int_equal(store_user_update(f->session, &f->arena, id,
                                           &(StoreUserChange){.email = S("e@x.example")}, &user),
                         0);
        assert_slice(user.username, "anne");
        assert_slice(user.email, "e@x.example");
        /* The freed name may be used again. */
        make_user(f, "anna");
        assert_int_equal(store_user_update(f->session, &f->arena, id,
                                           &(StoreUserChange){.email = {0}}, &user),
                         0);
        assert_slice(user.username, "anne");
        assert_int_equal(user.id, id);
}

static void test_update_refused(void **state) {
        Fixture *f = *state;
        int64_t id = make_user(f, "anna");
        User user;

        make_user(f, "berta");
        assert_int_equal(store_user_update(f->session, &f->arena, MISSING_ID,
                                           &(StoreUserChange){.username = S("x")}, &user),
                         STORE_NOT_FOUND);
        assert_int_equal(store_user_update(f->session, &f->arena, id,
                                           &(StoreUserChange){.username = S("berta"),
                                                              .email = S("new@x.example")},
                                           &user),
                         STORE_USERNAME_TAKEN);
        assert_int_equal(store_user_update(f->session, &f->arena, id,
                                           &(StoreUserChange){.username = S("new"),
                                                              .email = S("berta@x.example")},
                                           &user),
                         STORE_EMAIL_TAKEN);
        /* No partial effect. */
        assert_int_equal(store_user_get(f->session, &f->arena, id, &user), 0);
        assert_slice(user.username, "anna");
        assert_slice(user.email, "anna@x.example");
        /* The own values are no clash. */
        assert_int_equal(store_user_update(f->session, &f->arena, id,
                                           &(StoreUserChange){.username = S("anna"),
                                                              .email = S("anna@x.example")},
                                           &user),
                         0);
}

static void test_delete(void **state) {
        Fixture *f = *state;
        int64_t id = make_user(f, "anna");
        User user;

        assert_int_equal(store_user_delete(f->session, id), 0);
        assert_int_equal(store_user_delete(f->session, id), STORE_NOT_FOUND);
        assert_int_equal(store_user_get(f->session, &f->arena, id, &user), STORE_NOT_FOUND);
        assert_int_equal(totals_of(f).users, 0);
        /* The name is free, the id is not. */
        assert_int_equal(make_user(f, "anna"), id + 1);
}

static void test_deleted_user_reads_as_none(void **state) {
        Fixture *f = *state;
        int64_t id = make_user(f, "anna");
        int64_t url_id = make_url(f, "abc", id);
        StoreQuery query = {.has_user_id = true, .user_id = id, .limit = 10};
        Event *events;
        Url *urls;
        size_t n = 99;
        int64_t total = 99;

        get_events(f, url_id, 1, &events);
        assert_int_equal(events[0].user_id, id);
        assert_int_equal(store_user_delete(f->session, id), 0);
        assert_int_equal(get_url(f, url_id).user_id, 0);
        assert_true(get_url(f, url_id).is_active);
        get_events(f, url_id, 1, &events);
        assert_int_equal(events[0].user_id, 0);
        assert_int_equal(store_url_list(f->session, &f->arena, &query, &urls, &n, &total), 0);
        assert_int_equal(n, 0);
        assert_int_equal(total, 0);
        n = 99;
        total = 99;
        assert_int_equal(store_event_list(f->session, &f->arena, &query, &events, &n, &total), 0);
        assert_int_equal(n, 0);
        assert_int_equal(total, 0);
}

static void test_user_changes_touch_no_redirect(void **state) {
        Fixture *f = *state;
        User user;

        diary_clear(f);
        assert_int_equal(store_user_create(f->session, &f->arena, S("a"), S("b"), 1, &user), 0);
        assert_diary(f, "w+ w- ");
        assert_int_equal(store_user_create(f->session, &f->arena, S("a"), S("b"), 1, &user),
                         STORE_USERNAME_TAKEN);
        assert_diary(f, "w+ w- ");
        assert_int_equal(store_user_update(f->session, &f->arena, 1,
                                           &(StoreUserChange){.username = S("c")}, &user),
                         0);
        assert_diary(f, "w+ w- ");
        assert_int_equal(store_user_delete(f->session, 1), 0);
        assert_diary(f, "w+ w- ");
        assert_int_equal(store_user_get(f->session, &f->arena, 1, &user), STORE_NOT_FOUND);
        assert_diary(f, "");
}

static void test_no_memory_changes_nothing(void **state) {
        Fixture *f = *state;
        Arena small;
        User user;

        make_user(f, "anna");
        arena_init(&small, 8);
        assert_int_equal(store_user_get(f->session, &small, 1, &user), -ENOMEM);
        arena_reset(&small);
        assert_int_equal(store_user_create(f->session, &small, S("berta"), S("b"), 1, &user),
                         -ENOMEM);
        arena_reset(&small);
        assert_int_equal(store_user_update(f->session, &small, 1,
                                           &(StoreUserChange){.username = S("x")}, &user),
                         -ENOMEM);
        arena_done(&small);
        assert_int_equal(totals_of(f).users, 1);
        assert_int_equal(store_user_get(f->session, &f->arena, 1, &user), 0);
        assert_slice(user.username, "anna");
        assert_true(store_is_up(f->store));
}

/* Verbs that do not come back are failures too, and one that does ends the outage. */
static void test_hangs_open_the_breaker(void **state) {
        Fixture *f = *state;
        int r;

        for (unsigned i = 0; i < STORE_BREAKER_FAILURES; i++) {
                assert_true(store_is_up(f->store));
                store_note_hang(f->store);
        }
        assert_false(store_is_up(f->store));
        assert_int_equal(store_ping(f->session), -EHOSTDOWN);
        do
                r = store_ping(f->session);
        while (r == -EHOSTDOWN);
        assert_int_equal(r, 0);
        assert_true(store_is_up(f->store));
}

int run_users(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_create_and_get),
                        CONTRACT_TEST(test_get_missing),
                        CONTRACT_TEST(test_clashes),
                        CONTRACT_TEST(test_update),
                        CONTRACT_TEST(test_update_refused),
                        CONTRACT_TEST(test_delete),
                        CONTRACT_TEST(test_deleted_user_reads_as_none),
                        CONTRACT_TEST(test_user_changes_touch_no_redirect),
                        CONTRACT_TEST(test_no_memory_changes_nothing),
                        CONTRACT_TEST(test_hangs_open_the_breaker),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
