/* SPDX-License-Identifier: MIT */

/* The plan of each statement that a SQLite session keeps: it uses the index that was made for it,
 * walks no table whole and sorts nothing, but where the table below says so. */

#include <stdio.h>
#include <string.h>

#include "store/sqlite/session.h"
#include "unit/store/support.h"

/* Statements are known by a part of their text; the plan has all of `plan`. */
typedef struct Expected {
        const char *sql;
        const char *plan;
        bool may_scan; /* walks everything, and is meant to */
} Expected;

#define BY_ID     "USING INTEGER PRIMARY KEY"
#define AFTER_ID  "USING INTEGER PRIMARY KEY (rowid>?)"
#define BEFORE_ID "USING INTEGER PRIMARY KEY (rowid<?)"

/* The first that fits counts. */
static const Expected expected[] = {
                /* Lists of links. */
                {"u.id > ?1 AND u.user_id = ?2 AND EXISTS (SELECT 1 FROM users WHERE id = ?2)"
                 " AND u.is_active = 0",
                 "INDEX urls_user_inactive (user_id=? AND rowid>?)", false},
                {"u.id > ?1 AND u.user_id = ?2 AND EXISTS (SELECT 1 FROM users WHERE id = ?2)",
                 "INDEX urls_user (user_id=? AND rowid>?)", false},
                {"u.id > ?1 AND u.is_active = 0", "INDEX urls_inactive (is_active=? AND rowid>?)",
                 false},
                {"u.id > ?1", AFTER_ID, false},
                /* Lists of events. */
                {"e.url_id = ?2 AND +e.user_id = ?3 AND EXISTS (SELECT 1 FROM users WHERE id = ?3)"
                 " AND e.type = ?4",
                 "INDEX events_url_rare (url_id=? AND type=? AND rowid<?)", false},
                {"e.url_id = ?2 AND e.type = ?4",
                 "INDEX events_url_rare (url_id=? AND type=? AND rowid<?)", false},
                {"e.url_id = ?2", "INDEX events_url (url_id=? AND rowid<?)", false},
                {"e.user_id = ?3 AND EXISTS (SELECT 1 FROM users WHERE id = ?3) AND e.type = ?4",
                 "INDEX events_user_rare (user_id=? AND type=? AND rowid<?)", false},
                {"e.user_id = ?3", "INDEX events_user (user_id=? AND rowid<?)", false},
                {"e.type = ", "INDEX events_type (type=? AND rowid<?)", false},
                {"FROM events AS e", BEFORE_ID, false},
                /* Rows. */
                {"FROM users WHERE username = ?1", "USING COVERING INDEX users_username", false},
                {"FROM users WHERE email = ?1", "USING COVERING INDEX users_email", false},
                {"FROM users WHERE id > ?1", AFTER_ID, false},
                {"users WHERE id = ?1", BY_ID, false},
                {"UPDATE users", BY_ID, false},
                {"DELETE FROM users", BY_ID, false},
                {"WHERE u.code = ?1", "USING INDEX urls_code (code=?)", false},
                {"FROM urls WHERE code = ?1", "USING INDEX urls_code (code=?)", false},
                {"FROM urls AS u WHERE is_active = 1", "SCAN u", true},
                {"FROM urls WHERE user_id = ?1", "USING COVERING INDEX urls_user (user_id=?)",
                 false},
                {"FROM urls", BY_ID, false},
                {"UPDATE urls", BY_ID, false},
                {"ORDER BY redirects DESC", "USE TEMP B-TREE FOR ORDER BY", true},
                {"url_totals WHERE url_id = ?1", BY_ID, false},
                {"UPDATE url_totals", BY_ID, false},
                {"FROM event_types WHERE name = ?1", "USING COVERING INDEX", false},
                {"FROM totals", BY_ID, false},
                {"UPDATE totals", BY_ID, false},
                {"FROM spools WHERE uuid = ?1", "INDEX sqlite_autoindex_spools_1 (uuid=?)", false},
                {"UPDATE spools", BY_ID, false},
                {"FROM spools ORDER BY id", "SCAN spools", true},
                {"FROM tokens WHERE digest = ?1", "INDEX sqlite_autoindex_tokens_1 (digest=?)",
                 false},
                {"FROM tokens WHERE id > ?1", AFTER_ID, false},
                /* Of a user who is deleted, which is seldom; and tokens are few. */
                {"UPDATE tokens SET revoked = ?2 WHERE revoked IS NULL", "SCAN tokens", true},
                {"UPDATE tokens", BY_ID, false},
                /* The audit. */
                {"FROM audit WHERE kind = ?9",
                 "INDEX audit_object (kind=? AND object_id=? AND time>? AND time<?)", false},
                {"DELETE FROM audit", "INDEX audit_time (time<?)", false},
                {"FROM audit WHERE", "INDEX audit_time (time>? AND time<?)", false},
                {"UPDATE audit", BY_ID, false},
                {"FROM idempotency_keys WHERE name = ?1", "USING PRIMARY KEY (name=?)", false},
                {"FROM idempotency_keys WHERE expires <= ?1",
                 "COVERING INDEX idempotency_keys_expires (expires<?)", false},
                /* What has no plan to speak of. */
                {"INSERT", "", true},
                {"BEGIN", "", false},
                {"COMMIT", "", false},
                {"ROLLBACK", "", false},
                {"PRAGMA user_version", "", false},
};

static void read_plan(sqlite3 *db, const char *sql, char *out, size_t size) {
        sqlite3_stmt *statement = NULL;
        char *explain = NULL;
        size_t used = 0;

        CHECK(asprintf(&explain, "EXPLAIN QUERY PLAN %s", sql) > 0);
        assert_int_equal(sqlite3_prepare_v2(db, explain, -1, &statement, NULL), SQLITE_OK);
        out[0] = 0;
        while (sqlite3_step(statement) == SQLITE_ROW)
                used += (size_t)snprintf(out + used, size - used, "%s\n",
                                         (const char *)sqlite3_column_text(statement, 3));
        assert_true(used < size);
        assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
        free(explain);
}

static const Expected *find_expected(const char *sql) {
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                if (strstr(sql, expected[i].sql))
                        return &expected[i];
        fail_msg("no plan is expected for: %s", sql);
        return NULL;
}

static void check_plan(sqlite3 *db, const char *sql) {
        const Expected *e = find_expected(sql);
        char plan[2048];
        bool scans;

        read_plan(db, sql, plan, sizeof(plan));
        if (!strstr(plan, e->plan))
                fail_msg("%s\nhas the plan\n%s\nwithout \"%s\"", sql, plan, e->plan);
        scans = strstr(plan, "SCAN u") || strstr(plan, "SCAN e") || strstr(plan, "SCAN s") ||
                strstr(plan, "SCAN a") || strstr(plan, "TEMP B-TREE");
        if (scans && !e->may_scan)
                fail_msg("%s\nhas the plan\n%s", sql, plan);
}

/* ---- every statement is used once ---- */

static int ignore_link(void *userdata _unused_, const Link *link _unused_) {
        return 0;
}

static void use_lists(StoreSession *session, Arena *arena) {
        int64_t total;
        Event *events;
        User *users;
        Url *urls;
        size_t n;

        for (unsigned i = 0; i < 24; i++) {
                StoreQuery query = {.limit = 3,
                                    .has_user_id = i & 1,
                                    .user_id = 1,
                                    .has_url_id = i & 2,
                                    .url_id = 1,
                                    .has_active = i & 4,
                                    .is_active = i & 8};

                query.type = i < 8 ? SLICE_NONE : i < 16 ? S("redirect") : S("created");
                assert_int_equal(store_event_list(session, arena, &query, &events, &n, &total), 0);
                assert_int_equal(store_url_list(session, arena, &query, &urls, &n, &total), 0);
        }
        assert_int_equal(store_user_list(session, arena, &(StoreQuery){.limit = 3}, &users, &n,
                                         &total),
                         0);
}

static void use_changes(StoreSession *session, Arena *arena) {
        const Event event = {.url_id = 1, .user_id = 1, .type = S("redirect")};
        const Url taken = {.code = S("one"), .target = S("t"), .location = S("l"), .user_id = 1};
        StoreUserRow user_row = {.user = {.username = S("anna"), .email = S("x")}};
        Event made_event;
        User user;
        Url url;

        add_user(session, arena, "anna");
        add_url(session, arena, "one");
        assert_int_equal(store_url_create_once(session,
                                               &(StoreUrlNew){&taken, S("{}"), .user_max = 100},
                                               NULL, &url),
                         STORE_CODE_TAKEN);
        assert_int_equal(store_users_import(session, &user_row, 1), 0);
        for (unsigned i = 0; i < 2; i++) { /* the second batch moves the first one's row */
                user_row.user.username = user_row.user.email = i == 0 ? S("p") : S("q");
                assert_int_equal(store_users_import(session, &user_row, 1), 0);
                user_row.user.id = 0;
        }
        assert_int_equal(store_event_create(session, &event, &made_event), 0);
        assert_int_equal(store_event_create(session, &(Event){.url_id = 1, .type = S("new")},
                                            &made_event),
                         0);
        assert_int_equal(store_url_update(session, arena, 1,
                                          &(StoreUrlChange){.has_title = true, .title = S("t")},
                                          &url),
                         0);
        assert_int_equal(store_url_retire(session, 1, 1, S("{}")), 0);
        assert_int_equal(store_user_update(session, arena, 1,
                                           &(StoreUserChange){.username = S("a"), .email = S("b")},
                                           &user),
                         0);
        assert_int_equal(store_user_get(session, arena, 1, &user), 0);
        assert_int_equal(store_user_delete(session, 1), 0);
}

static void use_clicks(StoreSession *session, Arena *arena) {
        StoreClick clicks[20];
        StoreBatch batch = {.first_seq = 1,
                            .from_seq = 1,
                            .upto_seq = 21,
                            .clicks = clicks,
                            .n_clicks = 20};
        StoreOffset *offsets;
        uint64_t next_seq;
        size_t n;

        for (size_t i = 0; i < ELEMENTSOF(clicks); i++)
                clicks[i] = (StoreClick){.seq = i + 1, .url_id = 1, .details = S("{}")};
        assert_int_equal(store_clicks_append(session, &batch, &next_seq), 0);
        assert_int_equal(next_seq, 21);
        assert_int_equal(store_offset_list(session, arena, &offsets, &n), 0);
        assert_int_equal(store_offset_delete(session, batch.spool), 0);
}

static void use_tokens(StoreSession *session, Arena *arena) {
        Token token = {.name = S("token"), .digest = {1}}, *rows;
        const StoreQuery query = {.limit = 10};
        size_t n;

        assert_int_equal(store_token_create(session, &token, &token.id), 0);
        assert_int_equal(store_token_find(session, arena, token.digest, &token), 0);
        assert_int_equal(store_token_use(session, token.id, 2), 0);
        assert_int_equal(store_token_revoke(session, token.id, 3), 0);
        assert_int_equal(store_token_list(session, arena, &query, &rows, &n), 0);
}

static void use_audit(StoreSession *session, Arena *arena) {
        const StoreAuditQuery every = {.limit = 5},
                              ones = {.limit = 5, .kind = S("url"), .object_id = 1};
        Audit *rows;
        bool more;
        size_t n;

        assert_int_equal(store_audit_list(session, arena, &every, &rows, &n), 0);
        assert_int_equal(n, 5);
        assert_int_equal(store_audit_list(session, arena, &ones, &rows, &n), 0);
        assert_int_equal(store_audit_tidy(session, 1, &more), 0);
}

static int answer(void *userdata _unused_, const void *row _unused_, StoreAnswer *ret) {
        *ret = (StoreAnswer){201, S("{}")};
        return 0;
}

static void use_keys(StoreSession *session, Arena *arena) {
        const StoreKey key = {.now_sec = 1, .expires_sec = 2, .answer = answer};
        const Event event = {.url_id = 1, .type = S("redirect")};
        StoreAnswer found;
        Event made;
        bool more;

        assert_int_equal(store_event_create_once(session, &event, &key, &made), 0);
        assert_int_equal(store_key_find(session, arena, &key, &found), 0);
        assert_int_equal(store_keys_tidy(session, 2, &more), 0);
}

static void use_everything(StoreSession *session, Arena *arena) {
        Link link = {.code = S("one")};
        int64_t redirects;
        Url url;

        assert_int_equal(store_ping(session), 0);
        use_changes(session, arena);
        use_clicks(session, arena);
        use_lists(session, arena);
        use_tokens(session, arena);
        use_audit(session, arena);
        use_keys(session, arena);
        add_url(session, arena, "two");
        assert_int_equal(store_urls_by_codes(session, arena, &link, 1), 0);
        assert_int_equal(store_url_get_by_code(session, arena, S("one"), &url), 0);
        assert_int_equal(store_url_stats(session, arena, 1, &url, &redirects), 0);
        assert_int_equal(redirects, 22);
        assert_int_equal(store_codes_each(session, 10, ignore_link, NULL), 0);
}

static void test_plans(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        SqliteSession *s = sqlite_session(session);

        use_everything(session, &place->arena);
        for (size_t i = 0; i < STMT_N; i++) {
                /* The counts of unfiltered lists are in the totals. */
                if (i == STMT_URL_COUNT || i == STMT_EVENT_COUNT) {
                        assert_null(s->statements[i]);
                        continue;
                }
                if (!s->statements[i])
                        fail_msg("statement %zu was not used", i);
                check_plan(s->db, sqlite3_sql(s->statements[i]));
        }
        (void)store_session_free(session);
        (void)store_free(store);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        PLACE_TEST(test_plans),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
