/* SPDX-License-Identifier: MIT */

/*
 * What is done once, in PostgreSQL: keys and their answers. Who is at it has an advisory lock until
 * its transaction is over, so that others need not wait to see that. They see the row in a
 * statement of its own behind the lock: the snapshot of one that takes the lock is older.
 */

#include <errno.h>

#include "store/postgres/session.h"

static Slice digest_of(const uint8_t digest[STORE_KEY_SIZE]) {
        return slice_make((const char *)digest, STORE_KEY_SIZE);
}

static int find(PgSession *s, const StoreKey *key, PGresult **ret) {
        static const char sql[] = "SELECT request, status, body FROM idempotency_keys"
                                  " WHERE name = $1::bytea AND expires > $2::bigint";
        PgParams params = {.n = 0};
        int r;

        pg_add_bytes(&params, digest_of(key->name));
        pg_add_number(&params, key->now_sec);
        r = pg_run(s, STMT_KEY_FIND, sql, &params, ret);
        if (r < 0)
                return r;
        return PQntuples(*ret) == 0 ? STORE_NOT_FOUND : 0;
}

int pg_key_find(StoreSession *session, Arena *arena, const StoreKey *key, StoreAnswer *ret) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgSession *s = pg_session(session);
        StoreAnswer answer;
        int r;

        r = pg_ready(s);
        if (r == 0)
                r = find(s, key, &result);
        if (r != 0)
                return r;
        if (!slice_equal(pg_text(result, 0, 0), digest_of(key->request)))
                return STORE_KEY_OTHER;
        answer = (StoreAnswer){.status = (int)pg_number(result, 0, 1),
                               .body = arena_dup(arena, pg_text(result, 0, 2))};
        if (!answer.body.data)
                return -ENOMEM;
        *ret = answer;
        return 0;
}

static int lock(PgSession *s, const StoreKey *key) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        int64_t number;
        int r;

        memcpy(&number, key->name, sizeof number);
        pg_add_number(&params, number);
        r = pg_run(s, STMT_KEY_LOCK, "SELECT pg_try_advisory_xact_lock($1::bigint)", &params,
                   &result);
        if (r < 0)
                return r;
        return pg_number(result, 0, 0) ? 0 : STORE_KEY_BUSY;
}

int pg_key_take(PgSession *s, const StoreKey *key) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        int r;

        if (!key)
                return 0;
        r = lock(s, key);
        if (r != 0)
                return r;
        r = find(s, key, &result);
        if (r == 0)
                return STORE_KEY_USED;
        return r == STORE_NOT_FOUND ? 0 : r;
}

int pg_key_keep(PgSession *s, const StoreKey *key, const void *row) {
        /* One that is there is past its time. */
        static const char sql[] =
                        "INSERT INTO idempotency_keys (name, request, expires, status, body)"
                        " VALUES ($1::bytea, $2::bytea, $3::bigint, $4::integer, $5::text)"
                        " ON CONFLICT (name) DO UPDATE SET request = excluded.request,"
                        " expires = excluded.expires, status = excluded.status,"
                        " body = excluded.body";
        PgParams params = {.n = 0};
        StoreAnswer answer;
        int r;

        if (!key)
                return 0;
        r = key->answer(key->userdata, row, &answer);
        if (r < 0)
                return r;
        pg_add_bytes(&params, digest_of(key->name));
        pg_add_bytes(&params, digest_of(key->request));
        pg_add_number(&params, key->expires_sec);
        pg_add_int(&params, answer.status);
        pg_add_text(&params, answer.body);
        return pg_run(s, STMT_KEY_KEEP, sql, &params, NULL);
}

/* Rows that somebody else is about to delete or renew are left to him. */
int pg_keys_tidy(StoreSession *session, int64_t now_sec, bool *ret_more) {
        static const char sql[] =
                        "WITH gone AS (DELETE FROM idempotency_keys WHERE name = ANY (ARRAY"
                        " (SELECT name FROM idempotency_keys WHERE expires <= $1::bigint"
                        " ORDER BY expires LIMIT $2::bigint FOR UPDATE SKIP LOCKED)) RETURNING 1)"
                        " SELECT count(*) FROM gone";
        const PgDrop drop = {STMT_KEY_DROP, sql, STORE_KEYS_TIDY_ROWS};

        return pg_drop_rows(session, &drop, now_sec, ret_more);
}
