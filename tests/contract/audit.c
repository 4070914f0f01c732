/* SPDX-License-Identifier: MIT */

/* The audit: each change and its row are one, a change that was not made has none. */

#include "basic/clock.h"
#include "contract/fixture.h"

static const StoreActor with_token = {
                .token_id = 5, .user_id = 3, .name = SLICE("token"), .request_id = SLICE("req-1")};
static const StoreActor by_ctl = {.name = SLICE("shortenerctl:root")};

static size_t list(Fixture *f, const StoreAuditQuery *query, Audit **ret) {
        size_t n = 0;

        assert_int_equal(store_audit_list(f->other, &f->arena, query, ret, &n), 0);
        return n;
}

static Audit *all(Fixture *f, size_t n) {
        Audit *rows = NULL;

        assert_int_equal(list(f, &(StoreAuditQuery){.limit = 5000}, &rows), n);
        return rows;
}

static void assert_row(const Audit *row, const char *action, const char *kind, int64_t object_id,
                       const char *old, const char *new) {
        assert_slice(row->action, action);
        assert_slice(row->kind, kind);
        assert_int_equal(row->object_id, object_id);
        assert_slice(row->old_fields, old);
        assert_slice(row->new_fields, new);
}

static void import_user(StoreSession *session, Slice name, StoreResult result) {
        StoreUserRow row = {.user = {.username = name, .email = name}};

        assert_int_equal(store_users_import(session, &row, 1), 0);
        assert_int_equal(row.result, result);
}

/* ---- what is written ---- */

static void test_who_and_when(void **state) {
        Fixture *f = *state;
        int64_t began_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
        Audit *rows;

        (void)make_user(f, "a");
        store_session_actor(f->session, &with_token);
        (void)make_user(f, "b");
        store_session_actor(f->session, &by_ctl);
        (void)make_user(f, "c");
        rows = all(f, 3);
        assert_true(rows[0].id > rows[1].id && rows[1].id > rows[2].id);
        for (size_t i = 0; i < 3; i++)
                assert_in_range(rows[i].time_sec, began_sec, clock_realtime_usec() / USEC_PER_SEC);
        assert_slice(rows[0].actor, "shortenerctl:root");
        assert_int_equal(rows[0].token_id, 0);
        assert_int_equal(rows[0].user_id, 0);
        assert_slice(rows[0].request_id, NULL);
        assert_slice(rows[1].actor, "token");
        assert_int_equal(rows[1].token_id, 5);
        assert_int_equal(rows[1].user_id, 3);
        assert_slice(rows[1].request_id, "req-1");
        assert_slice(rows[2].actor, "unknown"); /* nobody said */
}

static void test_user(void **state) {
        Fixture *f = *state;
        int64_t id = make_user(f, "anna");
        Audit *rows;
        User user;

        assert_int_equal(store_user_update(f->session, &f->arena, id,
                                           &(StoreUserChange){.email = S("new@x.example")}, &user),
                         0);
        /* Nothing is asked for: nothing is changed. */
        assert_int_equal(store_user_update(f->session, &f->arena, id, &(StoreUserChange){}, &user),
                         0);
        assert_int_equal(store_user_delete(f->session, id), 0);
        rows = all(f, 3);
        assert_row(&rows[2], "create", "user", id, NULL,
                   "{\"email\":\"anna@x.example\",\"username\":\"anna\"}");
        assert_row(&rows[1], "update", "user", id, "{\"email\":\"anna@x.example\"}",
                   "{\"email\":\"new@x.example\"}");
        assert_row(&rows[0], "delete", "user", id,
                   "{\"email\":\"new@x.example\",\"username\":\"anna\"}", NULL);
}

static void test_url(void **state) {
        Fixture *f = *state;
        int64_t user = make_user(f, "anna"), id = make_url(f, "abc", user);
        const StoreUrlChange both = {.has_target = true,
                                     .target = S("https://y.example/\xc3\xa4\""),
                                     .location = S("https://y.example/%C3%A4%22"),
                                     .has_title = true,
                                     .title = S("T")};
        const StoreUrlChange untitled = {.has_title = true, .title = SLICE_NONE};
        Audit *rows;
        Url url;

        assert_int_equal(store_url_update(f->session, &f->arena, id, &both, &url), 0);
        assert_int_equal(store_url_update(f->session, &f->arena, id, &untitled, &url), 0);
        assert_int_equal(store_url_update(f->session, &f->arena, id, &untitled, &url), 0);
        assert_int_equal(store_url_retire(f->session, id, NOW_SEC, S("{}")), 0);
        rows = all(f, 6);
        assert_row(&rows[4], "create", "url", id, NULL,
                   "{\"is_active\":true,\"original_url\":\"https://x.example/abc\","
                   "\"short_code\":\"abc\",\"user_id\":1}");
        assert_row(&rows[3], "update", "url", id,
                   "{\"original_url\":\"https://x.example/abc\",\"title\":null}",
                   "{\"original_url\":\"https://y.example/\\u00E4\\\"\",\"title\":\"T\"}");
        assert_row(&rows[2], "update", "url", id, "{\"title\":\"T\"}", "{\"title\":null}");
        assert_row(&rows[1], "update", "url", id, "{}", "{}"); /* it moves updated_at */
        assert_row(&rows[0], "delete", "url", id, "{\"is_active\":true}", "{\"is_active\":false}");
}

static void test_token(void **state) {
        Fixture *f = *state;
        Token token = {.user_id = make_user(f, "anna"),
                       .digest = {'s', 'e', 'c', 'r', 'e', 't'},
                       .name = S("deploy"),
                       .scopes = TOKEN_READ | TOKEN_ADMIN,
                       .created_sec = NOW_SEC,
                       .expires_sec = NOW_SEC + 60};
        Audit *rows;

        assert_int_equal(store_token_create(f->session, &token, &token.id), 0);
        assert_int_equal(store_token_use(f->session, token.id, NOW_SEC), 0); /* no change */
        assert_int_equal(store_token_revoke(f->session, token.id, NOW_SEC), 0);
        rows = all(f, 3);
        /* All that is kept of it: neither its text nor its digest. */
        assert_row(&rows[1], "create", "token", token.id, NULL,
                   "{\"expires_at\":\"2026-01-01T00:01:00\",\"name\":\"deploy\","
                   "\"scopes\":\"read,admin\",\"user_id\":1}");
        assert_row(&rows[0], "revoke", "token", token.id, "{\"revoked_at\":null}",
                   "{\"revoked_at\":\"2026-01-01T00:00:00\"}");
}

static void test_events(void **state) {
        Fixture *f = *state;
        int64_t url = make_url(f, "abc", 0);
        int64_t id = make_event(f, url, "redirect");
        Audit *rows;

        (void)make_event(f, url, "note"); /* moves no total: it is its own record */
        rows = all(f, 2);
        assert_row(&rows[0], "create", "event", id, NULL,
                   "{\"event_type\":\"redirect\",\"url_id\":1}");
}

/* ---- what is not done leaves nothing ---- */

static void test_refused(void **state) {
        Fixture *f = *state;
        int64_t anna = make_user(f, "anna"), berta = make_user(f, "berta");
        const Url taken = {.code = S("abc"), .target = S("t"), .location = S("t")};
        const Url ownerless = {
                        .code = S("def"), .target = S("t"), .location = S("t"), .user_id = 77};
        const Token token = {.user_id = 77, .name = S("x")};
        Event event;
        int64_t id;
        User user;
        Url url;

        (void)make_url(f, "abc", anna);
        assert_int_equal(store_url_create(f->session, &taken, S("{}"), &url), STORE_CODE_TAKEN);
        assert_int_equal(store_url_create(f->session, &ownerless, S("{}"), &url), STORE_NO_USER);
        assert_int_equal(store_url_update(f->session, &f->arena, MISSING_ID,
                                          &(StoreUrlChange){.has_title = true}, &url),
                         STORE_NOT_FOUND);
        assert_int_equal(store_url_retire(f->session, MISSING_ID, NOW_SEC, S("{}")),
                         STORE_NOT_FOUND);
        assert_int_equal(store_user_create(f->session, &f->arena, S("anna"), S("x"), 1, &user),
                         STORE_USERNAME_TAKEN);
        assert_int_equal(store_user_update(f->session, &f->arena, berta,
                                           &(StoreUserChange){.username = S("anna")}, &user),
                         STORE_USERNAME_TAKEN);
        assert_int_equal(store_user_delete(f->session, MISSING_ID), STORE_NOT_FOUND);
        assert_int_equal(store_token_create(f->session, &token, &id), STORE_NO_USER);
        assert_int_equal(store_token_revoke(f->session, MISSING_ID, NOW_SEC), STORE_NOT_FOUND);
        assert_int_equal(store_event_create(f->session,
                                            &(Event){.url_id = MISSING_ID, .type = S("redirect")},
                                            &event),
                         STORE_NO_URL);
        import_user(f->session, S("anna"), STORE_USERNAME_TAKEN);
        (void)all(f, 3);
}

static void test_rolled_back(void **state) {
        Fixture *f = *state;
        StoreSession *killed;

        (void)make_user(f, "anna");
        assert_int_equal(store_load_begin(f->session, true), 0);
        import_user(f->session, S("berta"), STORE_OK);
        (void)all(f, 1); /* nor may others see it before */
        assert_int_equal(store_load_end(f->session, false), 0);
        (void)all(f, 1);
        /* The connection ends in the middle, as that of a killed process. */
        killed = fixture_session(f, false);
        assert_int_equal(store_load_begin(killed, true), 0);
        import_user(killed, S("berta"), STORE_OK);
        (void)store_session_free(killed);
        (void)all(f, 1);
        /* What comes then does not go on with the row that is not there. */
        import_user(f->session, S("berta"), STORE_OK);
        assert_row(&all(f, 2)[0], "import", "store", 0, NULL,
                   "{\"events\":0,\"urls\":0,\"users\":1}");
}

/* ---- imports ---- */

static void test_import(void **state) {
        Fixture *f = *state;
        StoreUrlRow url = {.url = {.code = S("abc"),
                                   .target = S("https://x.example/"),
                                   .location = S("https://x.example/")}};
        StoreEventRow event = {.event = {.type = S("redirect")}};
        Audit *rows;

        store_session_actor(f->session, &by_ctl);
        import_user(f->session, S("a"), STORE_OK);
        import_user(f->session, S("a"), STORE_USERNAME_TAKEN);
        import_user(f->session, S("b"), STORE_OK);
        rows = all(f, 1);
        assert_row(&rows[0], "import", "store", 0, NULL, "{\"events\":0,\"urls\":0,\"users\":2}");
        assert_int_equal(store_urls_import(f->session, &url, 1, true), 0);
        event.event.url_id = url.url.id;
        assert_int_equal(store_events_import(f->session, &event, 1), 0);
        rows = all(f, 1);
        assert_row(&rows[0], "import", "store", 0, NULL, "{\"events\":1,\"urls\":1,\"users\":2}");
        assert_slice(rows[0].actor, "shortenerctl:root");
        /* Another one's import. */
        store_session_actor(f->session, &with_token);
        import_user(f->session, S("c"), STORE_OK);
        rows = all(f, 2);
        assert_row(&rows[0], "import", "store", 0, NULL, "{\"events\":0,\"urls\":0,\"users\":1}");
        assert_slice(rows[0].request_id, "req-1");
}

static void test_load(void **state) {
        Fixture *f = *state;
        Audit *rows;

        (void)make_url(f, "abc", make_user(f, "anna"));
        store_session_actor(f->session, &by_ctl);
        assert_int_equal(store_load_begin(f->session, true), 0);
        import_user(f->session, S("a"), STORE_OK);
        import_user(f->session, S("b"), STORE_OK);
        assert_int_equal(store_load_end(f->session, true), 0);
        rows = all(f, 3); /* the audit is not emptied */
        assert_row(&rows[0], "load", "store", 0, "{\"events\":1,\"urls\":1,\"users\":1}",
                   "{\"events\":0,\"urls\":0,\"users\":2}");
        /* It is over: what is imported now is not part of it. */
        import_user(f->session, S("c"), STORE_OK);
        (void)all(f, 4);
}

/* ---- lists ---- */

static void test_filters(void **state) {
        Fixture *f = *state;
        int64_t anna = make_user(f, "anna"), url;
        int64_t now_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
        Audit *rows;

        store_session_actor(f->session, &with_token);
        url = make_url(f, "abc", anna);
        assert_int_equal(store_url_retire(f->session, url, NOW_SEC, S("{}")), 0);
        store_session_actor(f->session, &by_ctl);
        assert_int_equal(store_user_delete(f->session, anna), 0);

#define N(...) list(f, &(StoreAuditQuery){__VA_ARGS__, .limit = 100}, &rows)
        assert_int_equal(N(.kind = S("url"), .object_id = url), 2);
        assert_slice(rows[0].action, "delete");
        assert_int_equal(N(.kind = S("user"), .object_id = anna), 2);
        assert_int_equal(N(.kind = S("user"), .object_id = MISSING_ID), 0);
        assert_int_equal(N(.token_id = 5), 2);
        assert_int_equal(N(.token_id = 6), 0);
        assert_int_equal(N(.user_id = 3), 2);
        assert_int_equal(N(.user_id = 5), 0);
        assert_int_equal(N(.actor = S("shortenerctl:root")), 1);
        assert_int_equal(N(.actor = S("shortenerctl")), 0);
        assert_int_equal(N(.request_id = S("req-1")), 2);
        assert_int_equal(N(.request_id = S("req")), 0);
        assert_int_equal(N(.since_sec = now_sec - 5), 4);
        assert_int_equal(N(.since_sec = now_sec + 100), 0);
        assert_int_equal(N(.until_sec = now_sec + 100), 4);
        assert_int_equal(N(.until_sec = now_sec - 5), 0);
        assert_int_equal(N(.kind = S("url"), .object_id = url, .token_id = 5,
                           .request_id = S("req-1"), .actor = S("token"), .since_sec = now_sec - 5,
                           .until_sec = now_sec + 100),
                         2);
        assert_int_equal(N(.kind = S("url"), .object_id = url, .actor = S("open")), 0);
#undef N
}

/* Page by page, most rows within one second: each once, in the order of the whole. */
static void test_pages(void **state) {
        Fixture *f = *state;
        StoreAuditQuery query = {.limit = 3,
                                 .until_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC) +
                                              100};
        Audit *rows, *page;
        size_t n, at = 0;

        for (unsigned i = 0; i < 10; i++)
                (void)make_user(f, arena_printf(&f->arena, "u%u", i).data);
        rows = all(f, 10);
        while ((n = list(f, &query, &page)) > 0) {
                for (size_t i = 0; i < n; i++)
                        assert_int_equal(page[i].id, rows[at++].id);
                query.has_after = true;
                query.after_sec = page[n - 1].time_sec;
                query.after_id = page[n - 1].id;
        }
        assert_int_equal(at, 10);
}

/* ---- tidying ---- */

static void test_tidy(void **state) {
        Fixture *f = *state;
        int64_t anna = make_user(f, "anna"), before_sec = all(f, 1)[0].time_sec, last_id;
        Audit *rows;
        bool more = true;
        User user;

        for (unsigned i = 0; i < 1000; i++) {
                const StoreUserChange change = {.email = i % 2 ? S("a") : S("b")};

                assert_int_equal(store_user_update(f->other, &f->arena, anna, &change, &user), 0);
        }
        last_id = all(f, 1001)[0].id;
        assert_int_equal(store_audit_tidy(f->other, before_sec, &more), 0);
        assert_false(more); /* there is none from before */
        (void)all(f, 1001);
        before_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC) + 100;
        assert_int_equal(store_audit_tidy(f->other, before_sec, &more), 0);
        assert_true(more); /* a thousand at a time, the oldest first */
        assert_int_equal(all(f, 1)[0].id, last_id);
        assert_int_equal(store_audit_tidy(f->other, before_sec, &more), 0);
        assert_false(more);
        (void)all(f, 0);
        /* No id is used twice. */
        assert_int_equal(store_user_delete(f->session, anna), 0);
        rows = all(f, 1);
        assert_true(rows[0].id > last_id);
}

/* The row of an import that goes on may be old enough to be dropped. */
static void test_tidy_in_an_import(void **state) {
        Fixture *f = *state;
        int64_t before_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC) + 100;
        bool more;

        import_user(f->session, S("a"), STORE_OK);
        assert_int_equal(store_audit_tidy(f->other, before_sec, &more), 0);
        (void)all(f, 0);
        import_user(f->session, S("b"), STORE_OK);
        import_user(f->session, S("c"), STORE_OK);
        assert_row(&all(f, 1)[0], "import", "store", 0, NULL,
                   "{\"events\":0,\"urls\":0,\"users\":3}");
}

int run_audit(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_who_and_when),
                        CONTRACT_TEST(test_user),
                        CONTRACT_TEST(test_url),
                        CONTRACT_TEST(test_token),
                        CONTRACT_TEST(test_events),
                        CONTRACT_TEST(test_refused),
                        CONTRACT_TEST(test_rolled_back),
                        CONTRACT_TEST(test_import),
                        CONTRACT_TEST(test_load),
                        CONTRACT_TEST(test_filters),
                        CONTRACT_TEST(test_pages),
                        CONTRACT_TEST(test_tidy),
                        CONTRACT_TEST(test_tidy_in_an_import),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
