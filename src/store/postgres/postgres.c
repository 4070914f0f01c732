/* SPDX-License-Identifier: MIT */

/*
 * The PostgreSQL driver, "postgresql://..." and "postgres://...", any URL that libpq knows: for the
 * instances of one host or of many, version 13 and newer.
 */

#include <errno.h>

#include "store/postgres/session.h"

#define OLDEST_SCHEMA 5   /* the audit counts days that are being dropped */
#define SLOTS         16u /* rows of totals */

static int pg_open(Store *store) {
        PgStore *pg;
        int r;

        r = libpq_load();
        if (r < 0)
                return r;
        pg = calloc(1, sizeof(*pg));
        if (!pg)
                return -ENOMEM;
        r = pg_conninfo_parse(store->url, pg);
        if (r < 0) {
                pg_conninfo_done(pg);
                free(pg);
                return r;
        }
        pg->series = (SchemaSeries){schema_postgres, n_schema_postgres, OLDEST_SCHEMA};
        store->data = pg;
        store->shown = pg->shown;
        return 0;
}

static void pg_close(Store *store) {
        PgStore *pg = store->data;

        pg_conninfo_done(pg);
        free(pg);
}

static int pg_session_new(Store *store, StoreSession **ret) {
        PgStore *pg = store->data;
        PgSession *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        /* Processes begin at different rows. */
        if (atomic_load(&pg->n_sessions) == 0)
                atomic_store(&pg->n_sessions, (unsigned)hash_key_random().k0 % SLOTS);
        s->slot = atomic_fetch_add(&pg->n_sessions, 1) % SLOTS;
        s->timeout_msec = PG_TIMEOUT_UNKNOWN;
        *ret = &s->session;
        return 0;
}

static void pg_session_free(StoreSession *session) {
        PgSession *s = pg_session(session);

        pg_disconnect(s);
        buffer_done(&s->scratch);
        free(s);
}

static int pg_ping(StoreSession *session) {
        PgSession *s = pg_session(session);
        int r;

        pg_look_again(s);
        r = pg_ready(s);
        return r < 0 ? r : pg_run(s, STMT_PING, "SELECT 1", NULL, NULL);
}

static bool pg_is_connected(const StoreSession *session) {
        return CONTAINER_OF(session, const PgSession, session)->connected;
}

static void pg_look(StoreSession *session) {
        PgSession *s = pg_session(session);

        if (s->db && !s->in_load && (s->lost || pg_has_ended(s)))
                pg_disconnect(s);
}

static int pg_session_ready(StoreSession *session) {
        return pg_ready(pg_session(session));
}

static void pg_expect_up(Store *store) {
        PgStore *pg = store->data;

        atomic_store(&pg->next_try_usec, 0);
}

#define POSTGRES_OPS(name)                                                                      \
 {                                                                                              \
  .scheme = name, .open = pg_open, .close = pg_close, .session_new = pg_session_new,            \
  .session_free = pg_session_free, .ping = pg_ping, .schema = pg_schema, .migrate = pg_migrate, \
  .user_create = pg_user_create, .user_get = pg_user_get, .user_update = pg_user_update,        \
  .user_delete = pg_user_delete, .user_list = pg_user_list, .users_import = pg_users_import,    \
  .url_create = pg_url_create, .url_get = pg_url_get, .url_get_by_code = pg_url_get_by_code,    \
  .url_update = pg_url_update, .url_retire = pg_url_retire, .url_list = pg_url_list,            \
  .url_stats = pg_url_stats, .urls_by_codes = pg_urls_by_codes, .codes_each = pg_codes_each,    \
  .urls_import = pg_urls_import, .event_create = pg_event_create, .event_list = pg_event_list,  \
  .events_import = pg_events_import, .load_begin = pg_load_begin, .load_end = pg_load_end,      \
  .totals = pg_totals, .clicks_append = pg_clicks_append, .offset_get = pg_offset_get,          \
  .offset_list = pg_offset_list, .offset_delete = pg_offset_delete, .audit = pg_audit,          \
  .events_tidy = pg_events_tidy, .watch = pg_watch, .token_create = pg_token_create,            \
  .token_find = pg_token_find, .token_use = pg_token_use, .token_revoke = pg_token_revoke,      \
  .token_list = pg_token_list, .audit_list = pg_audit_list, .audit_tidy = pg_audit_tidy,        \
  .key_find = pg_key_find, .keys_tidy = pg_keys_tidy, .import_rows = STORE_IMPORT_ROWS_MAX,     \
  .capacity = pg_capacity, .expect_up = pg_expect_up, .is_connected = pg_is_connected,          \
  .look = pg_look, .ready = pg_session_ready,                                                   \
 }

const StoreOps store_postgres_ops[] = {POSTGRES_OPS("postgresql:"), POSTGRES_OPS("postgres:")};
