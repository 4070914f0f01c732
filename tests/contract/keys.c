/* SPDX-License-Identifier: MIT */

/* What is done once: the key and its answer go in with the row, and only with it. */

#include <errno.h>
#include <stdio.h>

#include "contract/fixture.h"

#define KEEP_SEC 100

/* A key with its answer: {"id":N}, or the error of `fails`. */
typedef struct Once {
        StoreKey key;
        Fixture *f;
        int fails;
        unsigned n_asked;
        int inner; /* what the same key was answered while this one was being done */
        bool tries_inner;
        char body[64];
} Once;

static int create_user(StoreSession *session, Arena *arena, const char *name, const StoreKey *key) {
        const User user = {.username = slice_from_string(name),
                           .email = slice_from_string(name),
                           .created_sec = NOW_SEC};
        User made;

        return store_user_create_once(session, arena, &user, key, &made);
}

static int answer(void *userdata, const void *row, StoreAnswer *ret) {
        Once *once = userdata;

        once->n_asked++;
        if (once->tries_inner)
                once->inner = create_user(once->f->other, &once->f->arena, "inner", &once->key);
        if (once->fails != 0)
                return once->fails;
        (void)snprintf(once->body, sizeof once->body, "{\"id\":%lld}\n",
                       (long long)*(const int64_t *)row);
        *ret = (StoreAnswer){201, slice_from_string(once->body)};
        return 0;
}

static void init(Once *once, Fixture *f, uint8_t name, uint8_t request) {
        *once = (Once){.f = f,
                       .key = {.name = {name, 0, 7, [31] = 1},
                               .request = {request, 0, 7, [31] = 2},
                               .now_sec = NOW_SEC,
                               .expires_sec = NOW_SEC + KEEP_SEC,
                               .answer = answer,
                               .userdata = once}};
}

static int find(Fixture *f, const Once *once, StoreAnswer *ret) {
        return store_key_find(f->other, &f->arena, &once->key, ret);
}

static void assert_kept(Fixture *f, const Once *once, const char *expected) {
        StoreAnswer kept;

        assert_int_equal(find(f, once, &kept), 0);
        assert_int_equal(kept.status, 201);
        assert_slice(kept.body, expected);
}

static void assert_not_kept(Fixture *f, const Once *once) {
        StoreAnswer kept;

        assert_int_equal(find(f, once, &kept), STORE_NOT_FOUND);
}

static void test_user(void **state) {
        Fixture *f = *state;
        StoreAnswer kept;
        Once once, other;

        init(&once, f, 1, 1);
        assert_not_kept(f, &once);
        assert_int_equal(create_user(f->session, &f->arena, "anna", &once.key), 0);
        assert_int_equal(once.n_asked, 1);
        assert_kept(f, &once, "{\"id\":1}\n");
        /* Again, whatever the name is by now. */
        assert_int_equal(create_user(f->session, &f->arena, "anna", &once.key), STORE_KEY_USED);
        assert_int_equal(create_user(f->session, &f->arena, "bert", &once.key), STORE_KEY_USED);
        assert_int_equal(totals_of(f).users, 1);
        assert_int_equal(once.n_asked, 1);
        /* The same key of another request, and another key. */
        init(&other, f, 1, 2);
        assert_int_equal(find(f, &other, &kept), STORE_KEY_OTHER);
        assert_int_equal(create_user(f->session, &f->arena, "bert", &other.key), STORE_KEY_USED);
        init(&other, f, 2, 1);
        assert_not_kept(f, &other);
        assert_int_equal(create_user(f->session, &f->arena, "bert", &other.key), 0);
        assert_kept(f, &other, "{\"id\":2}\n");
        assert_kept(f, &once, "{\"id\":1}\n");
        /* The answer outlives what was made. */
        assert_int_equal(store_user_delete(f->session, 1), 0);
        assert_kept(f, &once, "{\"id\":1}\n");
        assert_int_equal(create_user(f->session, &f->arena, "anna", &once.key), STORE_KEY_USED);
}

static int create_url(Fixture *f, const char *code, int64_t user_id, const StoreKey *key,
                      Url *ret) {
        const Url url = {.code = slice_from_string(code),
                         .user_id = user_id,
                         .target = S("https://x.example/"),
                         .location = S("https://x.example/"),
                         .created_sec = NOW_SEC};

        return store_url_create_once(f->session, &(StoreUrlNew){.url = &url, .details = S("{}")},
                                     key, ret);
}

static void test_url(void **state) {
        Fixture *f = *state;
        Event *events;
        Once once;
        Url url;

        init(&once, f, 1, 1);
        assert_int_equal(create_url(f, "abc", MISSING_ID, &once.key, &url), STORE_NO_USER);
        assert_not_kept(f, &once); /* what was refused is not remembered */
        diary_clear(f);
        assert_int_equal(create_url(f, "abc", 0, &once.key, &url), 0);
        assert_diary(f, "w+ M(abc) c w- ");
        assert_slice(get_url(f, url.id).code, "abc");
        assert_int_equal(create_url(f, "abd", 0, &once.key, &url), STORE_KEY_USED);
        assert_diary(f, "w+ w- ");
        assert_kept(f, &once, "{\"id\":1}\n");
        get_events(f, url.id, 1, &events);
        init(&once, f, 2, 1);
        assert_int_equal(create_url(f, "abc", 0, &once.key, &url), STORE_CODE_TAKEN);
        assert_not_kept(f, &once);
        assert_int_equal(create_url(f, "abe", 0, &once.key, &url), 0);
        assert_int_equal(totals_of(f).urls, 2);
        assert_int_equal(totals_of(f).events, 2);
        assert_audit_clean(f);
}

static void test_event(void **state) {
        Fixture *f = *state;
        Event event = {.url_id = MISSING_ID, .type = S("redirect"), .timestamp_sec = NOW_SEC}, made;
        int64_t id = make_url(f, "abc", 0);
        Once once;

        init(&once, f, 1, 1);
        assert_int_equal(store_event_create_once(f->session, &event, &once.key, &made),
                         STORE_NO_URL);
        assert_not_kept(f, &once);
        event.url_id = id;
        assert_int_equal(store_event_create_once(f->session, &event, &once.key, &made), 0);
        assert_int_equal(store_event_create_once(f->session, &event, &once.key, &made),
                         STORE_KEY_USED);
        assert_int_equal(redirects_of(f, id), 1);
        (void)snprintf(once.body, sizeof once.body, "{\"id\":%lld}\n", (long long)made.id);
        assert_kept(f, &once, once.body);
        assert_audit_clean(f);
}

/* Without its answer the row does not go in either. */
static void test_no_answer(void **state) {
        Fixture *f = *state;
        Once once;
        Url url;

        init(&once, f, 1, 1);
        once.fails = -ENOMEM;
        diary_clear(f);
        assert_int_equal(create_user(f->session, &f->arena, "anna", &once.key), -ENOMEM);
        assert_int_equal(create_url(f, "abc", 0, &once.key, &url), -ENOMEM);
        assert_diary(f, "w+ w- w+ w- ");
        assert_not_kept(f, &once);
        assert_int_equal(totals_of(f).users, 0);
        assert_int_equal(totals_of(f).urls, 0);
        assert_int_equal(totals_of(f).events, 0);
        once.fails = 0;
        assert_int_equal(create_user(f->session, &f->arena, "anna", &once.key), 0);
        assert_audit_clean(f);
}

static void test_refused_is_not_remembered(void **state) {
        Fixture *f = *state;
        Once once;

        (void)make_user(f, "anna");
        init(&once, f, 1, 1);
        assert_int_equal(create_user(f->session, &f->arena, "anna", &once.key),
                         STORE_USERNAME_TAKEN);
        assert_int_equal(once.n_asked, 0);
        assert_not_kept(f, &once);
        assert_int_equal(create_user(f->session, &f->arena, "bert", &once.key), 0);
}

static void test_while_it_is_done(void **state) {
        Fixture *f = *state;
        Once once;

        init(&once, f, 1, 1);
        once.tries_inner = true;
        assert_int_equal(create_user(f->session, &f->arena, "anna", &once.key), 0);
        assert_int_equal(once.inner, STORE_KEY_BUSY);
        once.tries_inner = false;
        assert_int_equal(create_user(f->other, &f->arena, "inner", &once.key), STORE_KEY_USED);
        assert_int_equal(totals_of(f).users, 1);
}

static void tidy(Fixture *f, int64_t now_sec) {
        bool more = true;

        while (more)
                assert_int_equal(store_keys_tidy(f->other, now_sec, &more), 0);
}

static void test_time(void **state) {
        Fixture *f = *state;
        Once once, late, other;

        init(&once, f, 1, 1);
        init(&other, f, 2, 1);
        other.key.expires_sec++;
        assert_int_equal(create_user(f->session, &f->arena, "anna", &once.key), 0);
        assert_int_equal(create_user(f->session, &f->arena, "other", &other.key), 0);
        init(&late, f, 1, 9);
        late.key.now_sec = NOW_SEC + KEEP_SEC;
        late.key.expires_sec = NOW_SEC + 2 * KEEP_SEC;
        assert_not_kept(f, &late); /* though its row is still there */
        assert_int_equal(create_user(f->session, &f->arena, "bert", &late.key), 0);
        assert_kept(f, &late, "{\"id\":3}\n");

        tidy(f, NOW_SEC + KEEP_SEC);
        assert_kept(f, &late, "{\"id\":3}\n");
        assert_kept(f, &other, "{\"id\":2}\n");
        tidy(f, NOW_SEC + KEEP_SEC + 1);
        assert_not_kept(f, &other);
        assert_kept(f, &late, "{\"id\":3}\n");
        tidy(f, NOW_SEC + 2 * KEEP_SEC);
        late.key.now_sec = NOW_SEC;
        assert_not_kept(f, &late);
        assert_int_equal(totals_of(f).users, 3);
}

/* Tidying is done some at a time, and comes to its end. */
static void test_tidy_of_many(void **state) {
        Fixture *f = *state;
        char name[32];
        Once once;

        for (unsigned i = 0; i < 501; i++) {
                init(&once, f, (uint8_t)i, 1);
                once.key.name[1] = (uint8_t)(i >> 8);
                (void)snprintf(name, sizeof name, "user%u", i);
                assert_int_equal(create_user(f->other, &f->arena, name, &once.key), 0);
        }
        tidy(f, NOW_SEC + KEEP_SEC);
        for (unsigned i = 0; i < 501; i++) {
                init(&once, f, (uint8_t)i, 1);
                once.key.name[1] = (uint8_t)(i >> 8);
                assert_not_kept(f, &once);
        }
}

static void test_a_load_leaves_them(void **state) {
        Fixture *f = *state;
        StoreUserRow row = {.user = {.username = S("x"), .email = S("y")}};
        Once once;

        init(&once, f, 1, 1);
        assert_int_equal(create_user(f->session, &f->arena, "anna", &once.key), 0);
        assert_int_equal(store_load_begin(f->session, true), 0);
        assert_int_equal(store_users_import(f->session, &row, 1), 0);
        assert_int_equal(store_load_end(f->session, true), 0);
        assert_kept(f, &once, "{\"id\":1}\n");
}

int run_keys(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_user),
                        CONTRACT_TEST(test_url),
                        CONTRACT_TEST(test_event),
                        CONTRACT_TEST(test_no_answer),
                        CONTRACT_TEST(test_refused_is_not_remembered),
                        CONTRACT_TEST(test_while_it_is_done),
                        CONTRACT_TEST(test_time),
                        CONTRACT_TEST(test_tidy_of_many),
                        CONTRACT_TEST(test_a_load_leaves_them),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
