/* SPDX-License-Identifier: MIT */

/* Changes under a condition: when it is asked, with which row, and what follows. */

#include <errno.h>

#include "contract/fixture.h"

typedef struct Asked {
        int answer;
        unsigned n;
        int64_t id;
        int64_t user_id;
        bool is_active;
        char text[64]; /* target or email */
} Asked;

static int ask_url(void *userdata, const void *row) {
        Asked *asked = userdata;
        const Url *url = row;

        asked->n++;
        asked->id = url->id;
        asked->user_id = url->user_id;
        asked->is_active = url->is_active;
        CHECK(url->target.len < sizeof asked->text);
        memcpy(asked->text, url->target.data, url->target.len);
        return asked->answer;
}

static int ask_user(void *userdata, const void *row) {
        Asked *asked = userdata;
        const User *user = row;

        asked->n++;
        asked->id = user->id;
        CHECK(user->email.len < sizeof asked->text);
        memcpy(asked->text, user->email.data, user->email.len);
        return asked->answer;
}

static int update_url(Fixture *f, int64_t id, Asked *asked) {
        const StoreCondition condition = {ask_url, asked};
        const StoreUrlChange change = {.has_target = true,
                                       .target = S("https://new.example/"),
                                       .location = S("https://new.example/"),
                                       .target_details = S("{}"),
                                       .now_sec = NOW_SEC + 5,
                                       .condition = &condition};
        Url url;

        return store_url_update(f->session, &f->arena, id, &change, &url);
}

static void test_url_update(void **state) {
        Fixture *f = *state;
        int64_t user = make_user(f, "anna"), id = make_url(f, "abc", user);
        Asked no = {.answer = 0}, yes = {.answer = 1}, broken = {.answer = -ENOMEM},
              unasked = {.answer = 1};
        Event *events;

        diary_clear(f);
        assert_int_equal(update_url(f, id, &no), STORE_UNMET);
        assert_int_equal(no.n, 1);
        assert_int_equal(no.id, id);
        assert_int_equal(no.user_id, user);
        assert_true(no.is_active);
        assert_string_equal(no.text, "https://x.example/abc");
        assert_int_equal(update_url(f, id, &broken), -ENOMEM);
        assert_diary(f, "w+ w- w+ w- "); /* nobody was told of a change */
        assert_slice(get_url(f, id).target, "https://x.example/abc");
        assert_int_equal(get_url(f, id).updated_sec, NOW_SEC);
        get_events(f, id, 1, &events);

        /* A user that is gone is none, as it is where the row is read. */
        assert_int_equal(store_user_delete(f->session, user), 0);
        assert_int_equal(update_url(f, id, &yes), 0);
        assert_int_equal(yes.user_id, 0);
        assert_slice(get_url(f, id).target, "https://new.example/");
        get_events(f, id, 2, &events);
        assert_int_equal(update_url(f, MISSING_ID, &unasked), STORE_NOT_FOUND);
        assert_int_equal(unasked.n, 0);
        assert_audit_clean(f);
}

static int retire(Fixture *f, int64_t id, Asked *asked) {
        return store_url_retire_if(f->session, id, NOW_SEC + 5, S("{}"),
                                   &(StoreCondition){ask_url, asked});
}

static void test_url_retire(void **state) {
        Fixture *f = *state;
        int64_t id = make_url(f, "abc", 0);
        Asked no = {.answer = 0}, yes = {.answer = 1}, unasked = {.answer = 0};
        Event *events;

        assert_int_equal(retire(f, id, &no), STORE_UNMET);
        assert_int_equal(no.id, id);
        assert_true(no.is_active);
        assert_true(get_url(f, id).is_active);
        get_events(f, id, 1, &events);
        assert_int_equal(totals_of(f).active_urls, 1);
        assert_int_equal(retire(f, id, &yes), 0);
        assert_false(get_url(f, id).is_active);
        /* Gone already: there is nothing to ask about. */
        assert_int_equal(retire(f, id, &unasked), STORE_NOT_FOUND);
        assert_int_equal(unasked.n, 0);
        get_events(f, id, 2, &events);
        assert_audit_clean(f);
}

static int update_user(Fixture *f, int64_t id, Slice email, Asked *asked) {
        const StoreCondition condition = {ask_user, asked};
        const StoreUserChange change = {.email = email, .condition = &condition};
        User user;

        return store_user_update(f->session, &f->arena, id, &change, &user);
}

static void test_user_update(void **state) {
        Fixture *f = *state;
        int64_t id = make_user(f, "anna"), other = make_user(f, "bert");
        Asked no = {.answer = 0}, yes = {.answer = 1}, broken = {.answer = -ENOMEM},
              unasked = {.answer = 1};
        User user;

        assert_int_equal(update_user(f, id, S("new@x.example"), &no), STORE_UNMET);
        assert_int_equal(no.n, 1);
        assert_int_equal(no.id, id);
        assert_string_equal(no.text, "anna@x.example");
        assert_int_equal(update_user(f, id, S("new@x.example"), &broken), -ENOMEM);
        /* The condition comes before the clash. */
        assert_int_equal(update_user(f, id, S("bert@x.example"), &no), STORE_UNMET);
        assert_int_equal(update_user(f, id, S("bert@x.example"), &yes), STORE_EMAIL_TAKEN);
        assert_int_equal(store_user_get(f->other, &f->arena, id, &user), 0);
        assert_slice(user.email, "anna@x.example");
        assert_int_equal(update_user(f, id, S("new@x.example"), &yes), 0);
        assert_int_equal(store_user_get(f->other, &f->arena, id, &user), 0);
        assert_slice(user.email, "new@x.example");
        /* A change of nothing has a condition, too. */
        assert_int_equal(update_user(f, other, SLICE_NONE, &no), STORE_UNMET);
        assert_string_equal(no.text, "bert@x.example");
        assert_int_equal(update_user(f, other, SLICE_NONE, &yes), 0);
        assert_int_equal(update_user(f, MISSING_ID, S("x@x.example"), &unasked), STORE_NOT_FOUND);
        assert_int_equal(update_user(f, MISSING_ID, SLICE_NONE, &unasked), STORE_NOT_FOUND);
        assert_int_equal(unasked.n, 0);
}

static void test_user_delete(void **state) {
        Fixture *f = *state;
        int64_t id = make_user(f, "anna");
        Asked no = {.answer = 0}, yes = {.answer = 1}, unasked = {.answer = 1};
        User user;

        assert_int_equal(store_user_delete_if(f->session, id, &(StoreCondition){ask_user, &no}),
                         STORE_UNMET);
        assert_int_equal(store_user_get(f->other, &f->arena, id, &user), 0);
        assert_int_equal(totals_of(f).users, 1);
        assert_int_equal(store_user_delete_if(f->session, id, &(StoreCondition){ask_user, &yes}),
                         0);
        assert_string_equal(yes.text, "anna@x.example");
        assert_int_equal(
                        store_user_delete_if(f->session, id, &(StoreCondition){ask_user, &unasked}),
                        STORE_NOT_FOUND);
        assert_int_equal(unasked.n, 0);
        assert_int_equal(totals_of(f).users, 0);
}

int run_conditions(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_url_update),
                        CONTRACT_TEST(test_url_retire),
                        CONTRACT_TEST(test_user_update),
                        CONTRACT_TEST(test_user_delete),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
