/* SPDX-License-Identifier: MIT */

/* Events that the API makes, and the totals that they move. */

#include <errno.h>

#include "contract/fixture.h"

static void test_create(void **state) {
        Fixture *f = *state;
        int64_t user_id = make_user(f, "anna");
        int64_t url_id = make_url(f, "abc", 0);
        const Event event = {.url_id = url_id,
                             .user_id = user_id,
                             .type = S("click"),
                             .timestamp_sec = 1234567,
                             .details = S("{\"k\":\"v\"}")};
        Event made, *events;

        assert_int_equal(store_event_create(f->session, &event, &made), 0);
        assert_diary(f, "w+ w- ");
        assert_int_equal(made.id, 2);
        assert_int_equal(made.url_id, url_id);
        assert_slice(made.type, "click");
        get_events(f, url_id, 2, &events);
        assert_int_equal(events[0].id, 2);
        assert_int_equal(events[0].user_id, user_id);
        assert_slice(events[0].type, "click");
        assert_int_equal(events[0].timestamp_sec, 1234567);
        assert_slice(events[0].details, "{\"k\":\"v\"}");
        assert_slice(events[0].request_id, NULL);
        assert_int_equal(totals_of(f).events, 2);
        assert_int_equal(totals_of(f).redirects, 0);
}

static void test_create_without_user_and_details(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        Event *events;

        make_event(f, url_id, "click");
        get_events(f, url_id, 2, &events);
        assert_int_equal(events[0].user_id, 0);
        assert_slice(events[0].details, NULL);
}

static void test_create_refused(void **state) {
        Fixture *f = *state;
        Event event = {.url_id = MISSING_ID, .user_id = MISSING_ID, .type = S("click")};
        Event made;

        assert_int_equal(store_event_create(f->session, &event, &made), STORE_NO_URL);
        event.url_id = make_url(f, "abc", 0);
        assert_int_equal(store_event_create(f->session, &event, &made), STORE_NO_USER);
        assert_int_equal(totals_of(f).events, 1);
        assert_audit_clean(f);
}

static void test_create_on_inactive_url(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);

        assert_int_equal(store_url_retire(f->session, url_id, NOW_SEC, S("{}")), 0);
        assert_int_equal(make_event(f, url_id, "click"), 3);
}

static void test_redirects_move_the_total(void **state) {
        Fixture *f = *state;
        int64_t one = make_url(f, "one", 0), two = make_url(f, "two", 0);

        assert_int_equal(redirects_of(f, one), 0);
        make_event(f, one, "redirect");
        make_event(f, one, "redirect");
        make_event(f, two, "redirect");
        make_event(f, two, "Redirect"); /* another type */
        assert_int_equal(redirects_of(f, one), 2);
        assert_int_equal(redirects_of(f, two), 1);
        assert_int_equal(totals_of(f).redirects, 3);
        assert_int_equal(store_url_retire(f->session, one, NOW_SEC, S("{}")), 0);
        assert_int_equal(redirects_of(f, one), 2);
        assert_audit_clean(f);
}

/* A type may be any text of up to 255 characters. */
static void test_long_type(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        char type[4 * MODEL_TEXT_MAX + 1];
        Event *events;

        for (size_t i = 0; i + 1 < sizeof(type); i++)
                type[i] = "\xf0\x9f\x98\x80"[i % 4];
        type[sizeof(type) - 1] = 0;
        make_event(f, url_id, type);
        make_event(f, url_id, type);
        get_events(f, url_id, 3, &events);
        assert_slice(events[0].type, type);
        assert_slice(events[1].type, type);
}

int run_events(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_create),
                        CONTRACT_TEST(test_create_without_user_and_details),
                        CONTRACT_TEST(test_create_refused),
                        CONTRACT_TEST(test_create_on_inactive_url),
                        CONTRACT_TEST(test_redirects_move_the_total),
                        CONTRACT_TEST(test_long_type),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
