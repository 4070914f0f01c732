/* SPDX-License-Identifier: MIT */

/* Links: create, get, by code, stats. */

#include <errno.h>
#include <stdio.h>

#include "contract/fixture.h"

static Url sample(int64_t user_id) {
        return (Url){.user_id = user_id,
                     .code = S("abc123"),
                     .target = S("https://ex\xc3\xa4mple.org/a"),
                     .location = S("https://xn--exmple-cua.org/a"),
                     .title = S("A title"),
                     .created_sec = NOW_SEC,
                     .updated_sec = NOW_SEC};
}

static void assert_sample(const Url *url, int64_t id, int64_t user_id) {
        assert_int_equal(url->id, id);
        assert_int_equal(url->user_id, user_id);
        assert_slice(url->code, "abc123");
        assert_slice(url->target, "https://ex\xc3\xa4mple.org/a");
        assert_slice(url->location, "https://xn--exmple-cua.org/a");
        assert_slice(url->title, "A title");
        assert_true(url->is_active);
        assert_int_equal(url->created_sec, NOW_SEC);
        assert_int_equal(url->updated_sec, NOW_SEC);
}

static void test_create_and_get(void **state) {
        Fixture *f = *state;
        int64_t user_id = make_user(f, "anna");
        Url url = sample(user_id), made, again;

        assert_int_equal(store_url_create(f->session, &url, S("{\"a\":1}"), &made), 0);
        assert_sample(&made, 1, user_id);
        assert_int_equal(store_url_get(f->other, &f->arena, 1, &again), 0);
        assert_sample(&again, 1, user_id);
        assert_int_equal(store_url_get_by_code(f->other, &f->arena, S("abc123"), &again), 0);
        assert_sample(&again, 1, user_id);
        assert_int_equal(totals_of(f).urls, 1);
        assert_int_equal(totals_of(f).active_urls, 1);
}

static void test_create_leaves_its_event(void **state) {
        Fixture *f = *state;
        int64_t user_id = make_user(f, "anna");
        Url url = sample(user_id), made;
        Event *events;

        assert_int_equal(store_url_create(f->session, &url, S("{\"a\":1}"), &made), 0);
        get_events(f, made.id, 1, &events);
        assert_int_equal(events[0].id, 1);
        assert_int_equal(events[0].url_id, made.id);
        assert_int_equal(events[0].user_id, user_id);
        assert_slice(events[0].type, "created");
        assert_slice(events[0].details, "{\"a\":1}");
        assert_slice(events[0].request_id, NULL);
        assert_int_equal(events[0].timestamp_sec, NOW_SEC);
        assert_int_equal(totals_of(f).events, 1);
        assert_int_equal(totals_of(f).redirects, 0);
}

static void test_create_refused(void **state) {
        Fixture *f = *state;
        Url url = sample(0), made;
        Event *events;
        size_t n;

        assert_int_equal(store_url_create(f->session, &url, S("{}"), &made), 0);
        assert_int_equal(store_url_create(f->session, &url, S("{}"), &made), STORE_CODE_TAKEN);
        url.code = S("other");
        url.user_id = 5;
        assert_int_equal(store_url_create(f->session, &url, S("{}"), &made), STORE_NO_USER);
        assert_int_equal(store_event_list(f->session, &f->arena, &(StoreQuery){.limit = 10},
                                          &events, &n, NULL),
                         0);
        assert_int_equal(n, 1);
        assert_int_equal(totals_of(f).urls, 1);
}

static void test_minimal_url(void **state) {
        Fixture *f = *state;
        int64_t id = make_url(f, "min", 0);
        Url url = get_url(f, id);

        assert_int_equal(url.user_id, 0);
        assert_slice(url.title, NULL);
        assert_slice(url.target, "https://x.example/min");
        assert_slice(url.location, "https://x.example/min");
}

static void test_get_missing(void **state) {
        Fixture *f = *state;
        int64_t redirects;
        Url url;

        make_url(f, "abc", 0);
        assert_int_equal(store_url_get(f->session, &f->arena, MISSING_ID, &url), STORE_NOT_FOUND);
        assert_int_equal(store_url_get_by_code(f->session, &f->arena, S("ABC"), &url),
                         STORE_NOT_FOUND);
        assert_int_equal(store_url_get_by_code(f->session, &f->arena, S("ab"), &url),
                         STORE_NOT_FOUND);
        assert_int_equal(store_url_stats(f->session, &f->arena, MISSING_ID, &url, &redirects),
                         STORE_NOT_FOUND);
}

static void test_by_codes(void **state) {
        Fixture *f = *state;
        int64_t first = make_url(f, "one", 0);
        int64_t second = make_url(f, "two", 0);
        Link links[] = {{.code = S("two")},
                        {.code = S("nope"), .id = 7},
                        {.code = S("one")},
                        {.code = S("two")}};

        assert_int_equal(store_url_retire(f->session, second, NOW_SEC, S("{}")), 0);
        assert_int_equal(store_urls_by_codes(f->other, &f->arena, links, 4), 0);
        assert_int_equal(links[0].id, second);
        assert_false(links[0].is_active);
        assert_slice(links[0].code, "two");
        assert_slice(links[0].location, "https://x.example/two");
        assert_int_equal(links[1].id, 0);
        assert_slice(links[1].code, "nope");
        assert_int_equal(links[2].id, first);
        assert_true(links[2].is_active);
        assert_int_equal(links[3].id, second);
        assert_int_equal(store_urls_by_codes(f->other, &f->arena, links, 0), 0);
        assert_int_equal(store_urls_by_codes(f->other, &f->arena, links, 1), 0);
        assert_int_equal(links[0].id, second);
}

typedef struct Codes {
        char text[128];
        unsigned n, stop_at;
} Codes;

static int note_code(void *userdata, const Link *link) {
        Codes *codes = userdata;
        size_t used;

        assert_true(link->is_active);
        assert_true(link->id > 0 && link->location.len > 0);
        used = strlen(codes->text);
        (void)snprintf(codes->text + used, sizeof(codes->text) - used, "%.*s ",
                       SLICE_ARG(link->code));
        return ++codes->n == codes->stop_at;
}

static void test_codes_each_hottest_first(void **state) {
        Fixture *f = *state;
        int64_t ids[5];
        Codes codes = {.text = ""};
        const char *const names[] = {"a", "b", "c", "d", "e"};

        for (size_t i = 0; i < 5; i++)
                ids[i] = make_url(f, names[i], 0);
        make_event(f, ids[1], "redirect");
        for (int i = 0; i < 3; i++)
                make_event(f, ids[3], "redirect");
        for (int i = 0; i < 9; i++)
                make_event(f, ids[2], "redirect");
        make_event(f, ids[4], "other");
        assert_int_equal(store_url_retire(f->session, ids[2], NOW_SEC, S("{}")), 0);
        assert_int_equal(store_codes_each(f->session, 100, note_code, &codes), 0);
        assert_string_equal(codes.text, "d b e a ");
        codes = (Codes){.text = ""};
        assert_int_equal(store_codes_each(f->session, 3, note_code, &codes), 0);
        assert_string_equal(codes.text, "d b e ");
        codes = (Codes){.stop_at = 1};
        assert_int_equal(store_codes_each(f->session, 100, note_code, &codes), 0);
        assert_string_equal(codes.text, "d ");
        codes = (Codes){.stop_at = 3};
        assert_int_equal(store_codes_each(f->session, 100, note_code, &codes), 0);
        assert_string_equal(codes.text, "d b e ");
        codes = (Codes){.stop_at = 0};
        assert_int_equal(store_codes_each(f->session, 0, note_code, &codes), 0);
        assert_string_equal(codes.text, "");
}

static int create_within(Fixture *f, const char *code, int64_t user_id, int64_t max, Url *ret) {
        Url url = sample(user_id);

        url.code = slice_from_string(code);
        return store_url_create_once(
                        f->session,
                        &(StoreUrlNew){.url = &url, .details = S("{}"), .user_max = max}, NULL,
                        ret);
}

/* Links of others, and without a user, do not count; inactive and imported ones do. */
static void test_user_max(void **state) {
        Fixture *f = *state;
        int64_t anna = make_user(f, "anna"), bert = make_user(f, "bert");
        StoreUrlRow row = {.url = {.user_id = anna,
                                   .code = S("im"),
                                   .target = S("https://x.example/"),
                                   .location = S("https://x.example/")}};
        Event *events;
        Url url;

        make_url(f, "b1", bert);
        make_url(f, "b2", bert);
        assert_int_equal(create_within(f, "a1", anna, 2, &url), 0);
        assert_int_equal(store_url_retire(f->session, url.id, NOW_SEC, S("{}")), 0);
        assert_int_equal(create_within(f, "a2", anna, 2, &url), 0);
        diary_clear(f);
        assert_int_equal(create_within(f, "a3", anna, 2, &url), STORE_FULL);
        assert_int_equal(create_within(f, "a3", anna, 1, &url), STORE_FULL);
        assert_int_equal(create_within(f, "a2", anna, 2, &url), STORE_FULL);
        assert_int_equal(create_within(f, "a3", MISSING_ID, 2, &url), STORE_NO_USER);
        assert_int_equal(store_url_get_by_code(f->session, &f->arena, S("a3"), &url),
                         STORE_NOT_FOUND);
        get_events(f, 4, 1, &events);
        assert_int_equal(totals_of(f).urls, 4);
        assert_audit_clean(f);

        assert_int_equal(create_within(f, "n1", 0, 1, &url), 0);
        assert_int_equal(create_within(f, "n2", 0, 1, &url), 0);
        assert_int_equal(create_within(f, "a3", anna, 0, &url), 0);
        assert_int_equal(create_within(f, "a4", anna, 3, &url), STORE_FULL);
        assert_int_equal(create_within(f, "a4", anna, 4, &url), 0);
        assert_int_equal(store_urls_import(f->session, &row, 1, true), 0);
        assert_int_equal(row.result, STORE_OK);
        assert_int_equal(create_within(f, "a5", anna, 5, &url), STORE_FULL);
        assert_int_equal(create_within(f, "b3", bert, 3, &url), 0);
}

static void test_no_memory(void **state) {
        Fixture *f = *state;
        int64_t redirects;
        Arena small;
        Link link = {.code = S("abc")};
        Url url;

        make_url(f, "abc", 0);
        arena_init(&small, 8);
        assert_int_equal(store_url_get(f->session, &small, 1, &url), -ENOMEM);
        arena_reset(&small);
        assert_int_equal(store_url_get_by_code(f->session, &small, S("abc"), &url), -ENOMEM);
        arena_reset(&small);
        assert_int_equal(store_url_stats(f->session, &small, 1, &url, &redirects), -ENOMEM);
        arena_reset(&small);
        assert_int_equal(store_urls_by_codes(f->session, &small, &link, 1), -ENOMEM);
        arena_done(&small);
}

int run_urls(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_create_and_get),
                        CONTRACT_TEST(test_create_leaves_its_event),
                        CONTRACT_TEST(test_create_refused),
                        CONTRACT_TEST(test_minimal_url),
                        CONTRACT_TEST(test_get_missing),
                        CONTRACT_TEST(test_by_codes),
                        CONTRACT_TEST(test_codes_each_hottest_first),
                        CONTRACT_TEST(test_user_max),
                        CONTRACT_TEST(test_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
