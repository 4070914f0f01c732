/* SPDX-License-Identifier: MIT */

/* Imports: many rows in one transaction, each with its own result. */

#include <errno.h>

#include "contract/fixture.h"

static StoreUserRow user_row(int64_t id, Slice username, Slice email) {
        return (StoreUserRow){
                        .user = {.id = id, .username = username, .email = email, .created_sec = 5},
                        .result = (StoreResult)99};
}

static void test_users(void **state) {
        Fixture *f = *state;
        StoreUserRow rows[] = {
                        user_row(0, S("anna"), S("a@x.example")),
                        user_row(0, S("berta"), S("b@x.example")),
                        user_row(0, S("anna"), S("new@x.example")), /* within the import itself */
                        user_row(0, S("new"), S("b@x.example")),
                        user_row(0, S("carla"), S("old@x.example")), /* in the store already */
                        user_row(0, S("old"), S("old@x.example")),
                        user_row(0, S("dora"), S("d@x.example")),
        };
        User user;

        make_user(f, "old");
        assert_int_equal(store_users_import(f->session, rows, ELEMENTSOF(rows)), 0);
        assert_diary(f, "");
        assert_int_equal(rows[0].result, STORE_OK);
        assert_int_equal(rows[1].result, STORE_OK);
        assert_int_equal(rows[2].result, STORE_USERNAME_TAKEN);
        assert_int_equal(rows[3].result, STORE_EMAIL_TAKEN);
        assert_int_equal(rows[4].result, STORE_EMAIL_TAKEN);
        assert_int_equal(rows[5].result, STORE_USERNAME_TAKEN);
        assert_int_equal(rows[6].result, STORE_OK);
        assert_int_equal(rows[0].user.id, 2);
        assert_int_equal(rows[6].user.id, 4);
        assert_int_equal(totals_of(f).users, 4);
        assert_int_equal(store_user_get(f->other, &f->arena, 4, &user), 0);
        assert_slice(user.username, "dora");
        assert_int_equal(user.created_sec, 5);
        assert_audit_clean(f);
}

static void test_users_with_ids(void **state) {
        Fixture *f = *state;
        StoreUserRow rows[] = {
                        user_row(50, S("a"), S("a@x.example")),
                        user_row(7, S("b"), S("b@x.example")),
                        user_row(7, S("c"), S("c@x.example")),
                        user_row(-1, S("d"), S("d@x.example")),
                        user_row(INT64_MAX, S("e"), S("e@x.example")),
                        user_row(0, S("f"), S("f@x.example")),
        };

        assert_int_equal(store_users_import(f->session, rows, ELEMENTSOF(rows)), 0);
        assert_int_equal(rows[0].result, STORE_OK);
        assert_int_equal(rows[1].result, STORE_OK);
        assert_int_equal(rows[2].result, STORE_REFUSED);
        assert_int_equal(rows[3].result, STORE_REFUSED);
        assert_int_equal(rows[4].result, STORE_REFUSED);
        assert_int_equal(rows[5].result, STORE_OK);
        assert_int_equal(rows[5].user.id, 51);
        /* The sequence goes on behind the highest. */
        assert_int_equal(make_user(f, "next"), 52);
}

static StoreUrlRow url_row(int64_t id, Slice code, int64_t user_id, bool is_active) {
        return (StoreUrlRow){.url = {.id = id,
                                     .code = code,
                                     .user_id = user_id,
                                     .target = S("https://x.example/"),
                                     .location = S("https://x.example/"),
                                     .is_active = is_active,
                                     .created_sec = 5,
                                     .updated_sec = 9},
                             .result = (StoreResult)99};
}

static void test_urls(void **state) {
        Fixture *f = *state;
        int64_t user_id = make_user(f, "anna");
        StoreUrlRow rows[] = {
                        url_row(0, S("a"), user_id, true), url_row(0, S("b"), 0, false),
                        url_row(0, S("a"), 0, true),       url_row(0, S("c"), MISSING_ID, true),
                        url_row(0, S("old"), 0, true),     url_row(90, S("d"), 0, true),
                        url_row(90, S("e"), 0, true),      url_row(-5, S("f"), 0, true),
                        url_row(0, S("g"), 0, true),
        };
        Event *events;
        Url url;

        make_url(f, "old", 0);
        assert_int_equal(store_urls_import(f->session, rows, ELEMENTSOF(rows), false), 0);
        assert_diary(f, "M(a,b,d,g) c ");
        assert_int_equal(rows[0].result, STORE_OK);
        assert_int_equal(rows[1].result, STORE_OK);
        assert_int_equal(rows[2].result, STORE_CODE_TAKEN);
        assert_int_equal(rows[3].result, STORE_NO_USER);
        assert_int_equal(rows[4].result, STORE_CODE_TAKEN);
        assert_int_equal(rows[5].result, STORE_OK);
        assert_int_equal(rows[6].result, STORE_REFUSED);
        assert_int_equal(rows[7].result, STORE_REFUSED);
        assert_int_equal(rows[8].result, STORE_OK);
        assert_int_equal(rows[8].url.id, 91);
        url = get_url(f, rows[1].url.id);
        assert_slice(url.code, "b");
        assert_false(url.is_active);
        assert_int_equal(url.created_sec, 5);
        assert_int_equal(url.updated_sec, 9);
        assert_int_equal(totals_of(f).urls, 5);
        assert_int_equal(totals_of(f).active_urls, 4);
        get_events(f, rows[0].url.id, 0, &events);
        assert_int_equal(make_url(f, "next", 0), 92);
        assert_audit_clean(f);
}

/* A large batch, where a driver may hope that nothing clashes: it must get over it. */
static void test_many_urls(void **state) {
        static StoreUrlRow rows[1000];
        Fixture *f = *state;

        make_url(f, "taken", 0);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                rows[i] = url_row(0, arena_printf(&f->arena, "m%zu", i), 0, true);
        assert_int_equal(store_urls_import(f->other, rows, ELEMENTSOF(rows) / 2, true), 0);
        rows[600].url.code = S("taken");
        rows[700].url.code = S("m499");
        rows[800].url.code = S("m799");
        rows[900].url.user_id = MISSING_ID;
        assert_int_equal(store_urls_import(f->other, rows + 500, 500, true), 0);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                assert_int_equal(rows[i].result, i == 600 || i == 700 || i == 800 ? STORE_CODE_TAKEN
                                                 : i == 900                       ? STORE_NO_USER
                                                                                  : STORE_OK);
        assert_int_equal(totals_of(f).urls, 1 + 996);
        assert_int_equal(totals_of(f).events, 1 + 996);
        assert_int_equal(get_url(f, rows[999].url.id).id, rows[999].url.id);
        assert_audit_clean(f);
}

static void test_urls_with_events(void **state) {
        Fixture *f = *state;
        int64_t user_id = make_user(f, "anna");
        StoreUrlRow rows[] = {url_row(0, S("a"), user_id, true), url_row(0, S("a"), 0, true)};
        Event *events;

        assert_int_equal(store_urls_import(f->session, rows, 2, true), 0);
        get_events(f, rows[0].url.id, 1, &events);
        assert_slice(events[0].type, "created");
        assert_slice(events[0].details,
                     "{\"original_url\":\"https://x.example/\",\"short_code\":\"a\"}");
        assert_int_equal(events[0].user_id, user_id);
        assert_int_equal(events[0].timestamp_sec, 5);
        assert_int_equal(totals_of(f).events, 1);
}

/* When no row goes in no redirect changes. */
static void test_urls_all_refused(void **state) {
        Fixture *f = *state;
        StoreUrlRow row = url_row(0, S("a"), MISSING_ID, true);

        assert_int_equal(store_urls_import(f->session, &row, 1, true), 0);
        assert_diary(f, "");
        assert_int_equal(totals_of(f).urls, 0);
        assert_int_equal(totals_of(f).events, 0);
}

static StoreEventRow event_row(int64_t id, int64_t url_id, Slice type) {
        return (StoreEventRow){.event = {.id = id,
                                         .url_id = url_id,
                                         .user_id = 12345, /* need not exist any more */
                                         .type = type,
                                         .timestamp_sec = 5,
                                         .details = S("{}"),
                                         .request_id = S("r")},
                               .result = (StoreResult)99};
}

static void test_events(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0); /* event 1 */
        StoreEventRow rows[] = {
                        event_row(0, url_id, S("redirect")),
                        event_row(70, url_id, S("redirect")),
                        event_row(70, url_id, S("redirect")),
                        event_row(0, MISSING_ID, S("redirect")),
                        event_row(-1, url_id, S("x")),
                        event_row(0, url_id, S("x")),
        };
        Event *events;

        assert_int_equal(store_events_import(f->session, rows, ELEMENTSOF(rows)), 0);
        assert_diary(f, "");
        assert_int_equal(rows[0].result, STORE_OK);
        assert_int_equal(rows[1].result, STORE_OK);
        assert_int_equal(rows[2].result, STORE_REFUSED);
        assert_int_equal(rows[3].result, STORE_NO_URL);
        assert_int_equal(rows[4].result, STORE_REFUSED);
        assert_int_equal(rows[5].result, STORE_OK);
        assert_int_equal(rows[5].event.id, 71);
        assert_int_equal(redirects_of(f, url_id), 2);
        get_events(f, url_id, 4, &events);
        assert_int_equal(events[0].id, 71);
        assert_int_equal(events[0].user_id, 0);
        assert_slice(events[0].request_id, "r");
        assert_slice(events[0].details, "{}");
        assert_int_equal(make_event(f, url_id, "y"), 72);
        assert_audit_clean(f);
}

static void test_nothing(void **state) {
        Fixture *f = *state;

        assert_int_equal(store_users_import(f->session, NULL, 0), 0);
        assert_int_equal(store_urls_import(f->session, NULL, 0, true), 0);
        assert_int_equal(store_events_import(f->session, NULL, 0), 0);
        assert_diary(f, "");
}

int run_imports(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_users),
                        CONTRACT_TEST(test_users_with_ids),
                        CONTRACT_TEST(test_urls),
                        CONTRACT_TEST(test_many_urls),
                        CONTRACT_TEST(test_urls_with_events),
                        CONTRACT_TEST(test_urls_all_refused),
                        CONTRACT_TEST(test_events),
                        CONTRACT_TEST(test_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
