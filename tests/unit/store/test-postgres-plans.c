/* SPDX-License-Identifier: MIT */

/* The generic plan of each statement that a PostgreSQL session keeps, on tables with rows and
 * statistics: it uses the index that was made for it, and walks no table whole but a small one. */

#include <stdio.h>

#include "unit/store/operations.h"
#include "unit/store/pg-support.h"

#define PLAN_SIZE 65536u

/* Statements are known by a part of their text; the first that fits counts. The plan has all of
 * these. events_..._idx are the partitions' indexes, named after their columns. */
typedef struct Expected {
        const char *sql;
        const char *plans[3];
} Expected;

static const Expected expected[] = {
                {"FROM idempotency_keys WHERE name = $1", {"idempotency_keys_pkey"}},
                {"FROM idempotency_keys WHERE expires <= $1",
                 {"idempotency_keys_pkey", "idempotency_keys_expires"}},
                {"e.url_id = $5::bigint AND coalesce(e.user_id = $6::bigint",
                 {"_url_id_type_id_idx", "users_pkey"}},
                {"e.url_id = $5::bigint AND e.type = (SELECT",
                 {"_url_id_type_id_idx", "Index Only Scan Backward"}},
                {"(e.url_id, e.id) < ($5::bigint, $1::bigint)",
                 {"_url_id_id_idx", "ROW(url_id, id) < ROW($5, $1)", "Merge Append"}},
                {"e.user_id = $6::bigint AND EXISTS (SELECT 1 FROM users WHERE id = $6::bigint)"
                 " AND e.type = (SELECT",
                 {"_user_id_type_id_idx", "Index Only Scan Backward"}},
                {"(e.user_id, e.id) < ($6::bigint, $1::bigint)",
                 {"_user_id_id_idx", "ROW(user_id, id) < ROW($6, $1)", "Merge Append"}},
                {"(e.type, e.id) < (1, $1::bigint)",
                 {"_type_id_idx", "ROW(type, id) < ROW(1, $1)", "Merge Append"}},
                {"(e.type, e.id) < (coalesce(", {"_type_id_idx", "ROW(type, id) < ROW(COALESCE("}},
                {"FROM events AS e WHERE e.id < ", {"_pkey"}},
                {"u.user_id <= $5::bigint AND EXISTS (SELECT 1 FROM users WHERE id = $5::bigint)"
                 " AND NOT u.is_active",
                 {"urls_user_inactive", "ROW(user_id, id) > ROW($5, $1)"}},
                {"(u.user_id, u.id) > ($5::bigint, $1::bigint)",
                 {"urls_user", "ROW(user_id, id) > ROW($5, $1)"}},
                {"FROM urls WHERE (user_id, id) > ($1", {"Index Only Scan using urls_user"}},
                {"FROM urls AS u WHERE u.id > $1::bigint AND NOT u.is_active", {"urls_inactive"}},
                {"FROM urls AS u WHERE u.id > ", {"urls_pkey"}},
                {"JOIN urls AS u ON u.code = w.code", {"urls_code"}},
                {"INSERT INTO urls", {"urls_code", "users_pkey"}},
                {"WHERE u.code = $1::text", {"urls_code"}},
                {"UPDATE urls", {"urls_pkey"}},
                {"FROM urls AS u WHERE u.id = ANY", {"urls_pkey", "users_pkey"}},
                {"FROM url_totals WHERE url_id = u.id", {"url_totals_pkey", "urls_pkey"}},
                {"FROM urls AS u WHERE u.code = w.code", {"urls_code", "urls_pkey"}},
                {"FROM urls AS u WHERE u.id = ", {"urls_pkey"}},
                {"EXISTS (SELECT 1 FROM urls WHERE code", {"urls_code"}},
                {"FROM users AS u WHERE u.username = w.username",
                 {"users_username", "users_email", "users_pkey"}},
                {"INSERT INTO users", {"users_username", "users_email"}},
                {"FROM users WHERE username = $1::text", {"users_username", "users_email"}},
                {"UPDATE users", {"users_pkey"}},
                {"DELETE FROM users", {"users_pkey"}},
                {"FROM users WHERE id > $1::bigint", {"users_pkey"}},
                {"FROM users WHERE id = $1::bigint", {"users_pkey"}},
                {"INSERT INTO events (url_id, user_id, timestamp, type, day, details, request_id)",
                 {"urls_pkey", "users_pkey"}},
                {"SELECT 1 FROM urls WHERE id = $1::bigint", {"urls_pkey"}},
                {"FROM events AS e WHERE e.id = ANY", {"_pkey", "urls_pkey"}},
                {"FROM audit WHERE kind = $9::text", {"Index Scan Backward using audit_object"}},
                {"DELETE FROM audit", {"audit_pkey", "Tid Scan on audit"}},
                {"FROM audit WHERE (time, id) < ", {"Index Scan Backward using audit_pkey"}},
                {"UPDATE audit", {"audit_pkey"}},
};

/* These have no table worth an index. */
static const char *const others[] = {
                "SELECT 1",           "set_config('statement_timeout'",
                "advisory_xact_lock", "nextval($1",
                "ids_reach",          "FROM totals",
                "UPDATE totals",      "tokens",
                "url_hours",          "idempotency_keys",
                "spool_offset",       "SELECT EXISTS (SELECT 1 FROM urls AS u",
                "INSERT INTO audit",
};

static const Expected *find(const char *sql) {
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                if (strstr(sql, expected[i].sql))
                        return &expected[i];
        return NULL;
}

static bool is_other(const char *sql) {
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (strstr(sql, others[i]))
                        return true;
        return false;
}

static void get_plan(PgSession *s, const char *name, int n_params, char *plan) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        char sql[256];
        size_t len = 0;

        (void)snprintf(sql, sizeof(sql), "EXPLAIN (COSTS off) EXECUTE %s%s", name,
                       n_params > 0 ? "(" : "");
        for (int i = 0; i < n_params; i++)
                (void)snprintf(sql + strlen(sql), sizeof(sql) - strlen(sql), "NULL%s",
                               i + 1 < n_params ? "," : ")");
        if (pg_run(s, STMT_NONE, sql, NULL, &result) != 0)
                fail_msg("%s: %s", sql, store_session_error(&s->session));
        plan[0] = 0;
        for (int i = 0; i < PQntuples(result); i++) {
                Slice line = pg_text(result, i, 0);

                len += (size_t)snprintf(plan + len, PLAN_SIZE - len, "%.*s\n", SLICE_ARG(line));
                CHECK(len < PLAN_SIZE);
        }
}

static unsigned count_of(const char *text, const char *part) {
        unsigned n = 0;

        while ((text = strstr(text, part))) {
                text += strlen(part);
                n++;
        }
        return n;
}

/* Rows of a list are had in order, not all at once and then sorted, whatever the limit. What a page
 * passes over, and what is counted, is had from the index alone, in each partition. */
static void check_list(const char *sql, const char *plan) {
        bool is_range = strstr(sql, ".id) < (") || strstr(sql, ".id) > (");
        unsigned n_rows, n_counts;

        if ((is_range || strstr(sql, "(time, id) < (")) && strstr(plan, "->  Sort"))
                fail_msg("%s\nsorts:\n%s", sql, plan);
        if (!strstr(sql, " LIMIT 1 OFFSET ") || strstr(sql, "e.type = (SELECT"))
                return;
        n_rows = count_of(plan, "Index Scan using urls_") +
                 count_of(plan, "Index Scan Backward using events_");
        n_counts = count_of(plan, "Index Only Scan using urls_") +
                   count_of(plan, "Index Only Scan Backward using events_");
        if (n_rows == 0 || n_counts != (strstr(sql, "FROM totals") ? 1 : 2) * n_rows)
                fail_msg("%s\nreads rows that it does not show:\n%s", sql, plan);
}

static void check_plan(PgSession *s, const char *name, int n_params, const char *sql) {
        static const char *const large[] = {"Seq Scan on events",          "Seq Scan on urls",
                                            "Seq Scan on users",           "Seq Scan on url_totals",
                                            "Seq Scan on url_hours",       "Seq Scan on audit",
                                            "Seq Scan on idempotency_keys"};
        static char plan[PLAN_SIZE];
        const Expected *e = find(sql);

        if (!e && !is_other(sql))
                fail_msg("a statement that this test does not know: %s", sql);
        /* Nearly all links are active: of those, the first 10,001 that come are as good as any,
         * which the statistics decide. */
        if (strstr(sql, "WHERE true AND u.is_active LIMIT 10001"))
                return;
        if (strstr(sql, "event_type(name)")) /* each type of an import's rows is looked up */
                return;
        get_plan(s, name, n_params, plan);
        for (size_t i = 0; e && i < ELEMENTSOF(e->plans) && e->plans[i]; i++)
                if (!strstr(plan, e->plans[i]))
                        fail_msg("%s\nis not planned with %s:\n%s", sql, e->plans[i], plan);
        check_list(sql, plan);
        for (size_t i = 0; i < ELEMENTSOF(large); i++)
                if (strstr(plan, large[i]))
                        fail_msg("%s\nwalks a table:\n%s", sql, plan);
}

/* Enough rows that an index is worth it, and statistics. Two users have all links; two users and
 * links have nearly all events and rows of the audit: an index by which half of them would be found
 * seems worth little. */
static const char SQL_FILL[] =
                "INSERT INTO users SELECT 1000 + i, 'u' || i, 'e' || i, 1"
                " FROM generate_series(1, 20000) AS i;"
                "INSERT INTO urls SELECT 1000 + i, 1000 + i % 2, 'code' || i, "
                "'https://x.example/'"
                " || i, NULL, NULL, i % 10 <> 0, 1, 1 FROM generate_series(1, 20000) AS i;"
                "INSERT INTO events (url_id, user_id, timestamp, type, day) SELECT 1000 + i % 2,"
                " 1000 + i % 2, 1, CASE WHEN i % 10 = 0 THEN 2 ELSE 1 END, current_date - 1 + i "
                "% 9"
                " FROM generate_series(1, 180000) AS i;"
                "INSERT INTO events (url_id, user_id, timestamp, type, day) SELECT 1000 + i % 500,"
                " 1000 + i % 300, 1, 2 + i % 3, '-infinity' FROM generate_series(1, 20000) AS i;"
                "INSERT INTO idempotency_keys SELECT sha256(i::text::bytea), '', 1000000 + i, 201, "
                "''"
                " FROM generate_series(1, 20000) AS i;"
                "INSERT INTO url_totals SELECT 2000 + i, 1 FROM generate_series(1, 20000) AS i;"
                "INSERT INTO audit (time, actor, action, kind, object_id)"
                " SELECT 1000 + i / 10, 'token', 'update', 'url', 1000 + i % 2"
                " FROM generate_series(1, 50000) AS i;"
                "ANALYZE";

static void run_lists(StoreSession *session, Arena *arena) {
        const Slice types[] = {SLICE_NONE, SLICE("redirect"), SLICE("created")};
        int64_t total;
        Event *events;
        Url *urls;
        size_t n;

        for (unsigned i = 0; i < 12; i++) {
                const StoreQuery query = {.limit = 5,
                                          .has_url_id = i >= 6,
                                          .url_id = 1001,
                                          .has_user_id = i / 3 % 2 == 1,
                                          .user_id = 1001,
                                          .type = types[i % 3]};

                assert_int_equal(store_event_list(session, arena, &query, &events, &n, &total), 0);
        }
        for (unsigned i = 0; i < 6; i++) {
                const StoreQuery query = {.limit = 5,
                                          .has_user_id = i >= 3,
                                          .user_id = 1001,
                                          .has_active = i % 3 != 0,
                                          .is_active = i % 3 == 2};

                assert_int_equal(store_url_list(session, arena, &query, &urls, &n, &total), 0);
        }
}

static void test_plans(void **state _unused_) {
        const char *database = postgres_database();
        Store *store = pg_open_store(postgres_url(database), false);
        StoreSession *session = open_session(store);
        PgSession *s = pg_session(session);
        _cleanup_(pg_clear_p) PGresult *statements = NULL;
        Arena arena;
        User user;

        arena_init(&arena, 0);
        make_base(session, &arena);
        free(postgres_sql(database, SQL_FILL));
        deadline_in(session, 60000000);
        for (size_t i = 0; i < n_operations; i++)
                assert_true(operations[i].run(session, &arena) >= 0);
        run_lists(session, &arena);
        assert_int_equal(store_user_create(session, &arena, S("u1"), S("e1"), 1, &user),
                         STORE_USERNAME_TAKEN);
        assert_int_equal(pg_ready(s), 0);
        assert_int_equal(pg_run(s, STMT_NONE,
                                "SELECT name, statement, cardinality(parameter_types)"
                                " FROM pg_prepared_statements WHERE name <> ''",
                                NULL, &statements),
                         0);
        assert_true(PQntuples(statements) >= 40);
        for (int i = 0; i < PQntuples(statements); i++)
                check_plan(s, PQgetvalue(statements, i, 0), (int)pg_number(statements, i, 2),
                           PQgetvalue(statements, i, 1));
        arena_done(&arena);
        (void)store_session_free(session);
        (void)store_free(store);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_plans),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
