/* SPDX-License-Identifier: MIT */

/* Links: update and retire, their events, and what the hooks are told. */

#include <errno.h>

#include "contract/fixture.h"

static int update(Fixture *f, int64_t id, const StoreUrlChange *change, Url *ret) {
        return store_url_update(f->session, &f->arena, id, change, ret);
}

static void test_update_target(void **state) {
        Fixture *f = *state;
        int64_t id = make_url(f, "abc", 0);
        StoreUrlChange change = {.has_target = true,
                                 .target = S("https://\xc3\xbc.example/"),
                                 .location = S("https://xn--tda.example/"),
                                 .target_details = S("{\"t\":1}"),
                                 .now_sec = NOW_SEC + 5};
        Event *events;
        Url url;

        assert_int_equal(update(f, id, &change, &url), 0);
        assert_diary(f, "w+ C(abc) c w- ");
        assert_slice(url.target, "https://\xc3\xbc.example/");
        assert_slice(url.location, "https://xn--tda.example/");
        assert_slice(url.code, "abc");
        assert_int_equal(url.created_sec, NOW_SEC);
        assert_int_equal(url.updated_sec, NOW_SEC + 5);
        url = get_url(f, id);
        assert_slice(url.location, "https://xn--tda.example/");
        get_events(f, id, 2, &events);
        assert_slice(events[0].type, "updated");
        assert_slice(events[0].details, "{\"t\":1}");
        assert_int_equal(events[0].timestamp_sec, NOW_SEC + 5);
        /* And back to one whose location is the same text. */
        change.target = change.location = S("https://same.example/");
        assert_int_equal(update(f, id, &change, &url), 0);
        url = get_url(f, id);
        assert_slice(url.target, "https://same.example/");
        assert_slice(url.location, "https://same.example/");
}

static void test_update_title(void **state) {
        Fixture *f = *state;
        int64_t id = make_url(f, "abc", 0);
        StoreUrlChange change = {.has_title = true, .title = S("New"), .title_details = S("{}")};
        Url url;

        assert_int_equal(update(f, id, &change, &url), 0);
        assert_diary(f, "w+ w- "); /* no redirect changes */
        assert_slice(url.title, "New");
        assert_slice(get_url(f, id).title, "New");
        change.title = SLICE_NONE;
        assert_int_equal(update(f, id, &change, &url), 0);
        assert_slice(url.title, NULL);
        assert_slice(get_url(f, id).title, NULL);
}

static void test_update_active(void **state) {
        Fixture *f = *state;
        int64_t id = make_url(f, "abc", 0);
        StoreUrlChange change = {.has_active = true, .active_details = S("{}")};
        Url url;

        assert_int_equal(update(f, id, &change, &url), 0);
        assert_diary(f, "w+ C(abc) c w- ");
        assert_false(url.is_active);
        assert_false(get_url(f, id).is_active);
        assert_int_equal(totals_of(f).active_urls, 0);
        assert_int_equal(update(f, id, &change, &url), 0);
        assert_int_equal(totals_of(f).active_urls, 0);
        change.is_active = true;
        assert_int_equal(update(f, id, &change, &url), 0);
        assert_true(get_url(f, id).is_active);
        assert_int_equal(totals_of(f).active_urls, 1);
        assert_int_equal(totals_of(f).urls, 1);
}

static void test_update_all_fields_in_order(void **state) {
        Fixture *f = *state;
        int64_t user_id = make_user(f, "anna");
        int64_t id = make_url(f, "abc", user_id);
        const StoreUrlChange change = {.has_target = true,
                                       .target = S("https://b.example/"),
                                       .location = S("https://b.example/"),
                                       .has_title = true,
                                       .title = S("T"),
                                       .has_active = true,
                                       .now_sec = NOW_SEC,
                                       .target_details = S("{\"n\":1}"),
                                       .title_details = S("{\"n\":2}"),
                                       .active_details = S("{\"n\":3}")};
        Event *events;
        Url url;

        assert_int_equal(update(f, id, &change, &url), 0);
        get_events(f, id, 4, &events);
        assert_slice(events[2].details, "{\"n\":1}");
        assert_slice(events[1].details, "{\"n\":2}");
        assert_slice(events[0].details, "{\"n\":3}");
        for (size_t i = 0; i < 3; i++) {
                assert_slice(events[i].type, "updated");
                assert_int_equal(events[i].user_id, user_id);
        }
        assert_int_equal(totals_of(f).events, 4);
        assert_audit_clean(f);
}

static void test_update_of_nothing_moves_updated(void **state) {
        Fixture *f = *state;
        int64_t id = make_url(f, "abc", 0);
        Event *events;
        Url url;

        assert_int_equal(update(f, id, &(StoreUrlChange){.now_sec = NOW_SEC + 9}, &url), 0);
        assert_diary(f, "w+ w- ");
        assert_int_equal(get_url(f, id).updated_sec, NOW_SEC + 9);
        assert_slice(get_url(f, id).target, "https://x.example/abc");
        get_events(f, id, 1, &events);
}

static void test_update_missing(void **state) {
        Fixture *f = *state;
        Url url;

        assert_int_equal(update(f, MISSING_ID, &(StoreUrlChange){.has_title = true}, &url),
                         STORE_NOT_FOUND);
        assert_diary(f, "w+ w- ");
        assert_int_equal(totals_of(f).events, 0);
}

static void test_retire(void **state) {
        Fixture *f = *state;
        int64_t user_id = make_user(f, "anna");
        int64_t id = make_url(f, "abc", user_id);
        Event *events;

        assert_int_equal(store_url_retire(f->session, id, NOW_SEC + 3, S("{\"reason\":\"x\"}")), 0);
        assert_diary(f, "w+ C(abc) c w- ");
        assert_false(get_url(f, id).is_active);
        assert_int_equal(get_url(f, id).updated_sec, NOW_SEC + 3);
        assert_slice(get_url(f, id).target, "https://x.example/abc");
        get_events(f, id, 2, &events);
        assert_slice(events[0].type, "deleted");
        assert_slice(events[0].details, "{\"reason\":\"x\"}");
        assert_int_equal(events[0].user_id, user_id);
        assert_int_equal(events[0].timestamp_sec, NOW_SEC + 3);
        assert_int_equal(totals_of(f).active_urls, 0);
        assert_int_equal(totals_of(f).urls, 1);
}

static void test_retire_twice(void **state) {
        Fixture *f = *state;
        int64_t id = make_url(f, "abc", 0);
        Event *events;

        assert_int_equal(store_url_retire(f->session, id, NOW_SEC, S("{}")), 0);
        diary_clear(f);
        assert_int_equal(store_url_retire(f->session, id, NOW_SEC, S("{}")), STORE_NOT_FOUND);
        assert_diary(f, "w+ w- ");
        assert_int_equal(store_url_retire(f->session, MISSING_ID, NOW_SEC, S("{}")),
                         STORE_NOT_FOUND);
        get_events(f, id, 2, &events);
        assert_audit_clean(f);
}

static void test_create_tells_its_code(void **state) {
        Fixture *f = *state;
        const Url url = {.code = S("new1"),
                         .target = S("https://x.example/"),
                         .location = S("https://x.example/")};
        Url made;

        assert_int_equal(store_url_create(f->session, &url, S("{}"), &made), 0);
        assert_diary(f, "w+ M(new1) c w- ");
        assert_int_equal(store_url_create(f->session, &url, S("{}"), &made), STORE_CODE_TAKEN);
        assert_diary(f, "w+ w- ");
}

/* The outcome of a change that found no memory is known: nothing was done. */
static void test_no_memory_changes_nothing(void **state) {
        Fixture *f = *state;
        int64_t id = make_url(f, "abc", 0);
        const StoreUrlChange change = {.has_target = true,
                                       .target = S("https://a-much-longer.example/path"),
                                       .location = S("https://a-much-longer.example/path"),
                                       .has_title = true,
                                       .title = S("A title that wants memory"),
                                       .target_details = S("{}"),
                                       .title_details = S("{}"),
                                       .now_sec = 1};
        size_t n_failures = 0;
        Arena small;
        Event *events;
        Url url;

        for (size_t limit = 1; limit < 4096; limit += 16) {
                arena_init(&small, limit);
                int r = store_url_update(f->session, &small, id, &change, &url);
                arena_done(&small);
                if (r == 0)
                        break;
                assert_int_equal(r, -ENOMEM);
                assert_diary(f, "w+ w- ");
                assert_slice(get_url(f, id).target, "https://x.example/abc");
                get_events(f, id, 1, &events);
                n_failures++;
        }
        assert_true(n_failures >= 3);
        get_events(f, id, 3, &events);
        assert_audit_clean(f);
}

int run_url_changes(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_update_target),
                        CONTRACT_TEST(test_update_title),
                        CONTRACT_TEST(test_update_active),
                        CONTRACT_TEST(test_update_all_fields_in_order),
                        CONTRACT_TEST(test_update_of_nothing_moves_updated),
                        CONTRACT_TEST(test_update_missing),
                        CONTRACT_TEST(test_retire),
                        CONTRACT_TEST(test_retire_twice),
                        CONTRACT_TEST(test_create_tells_its_code),
                        CONTRACT_TEST(test_no_memory_changes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
