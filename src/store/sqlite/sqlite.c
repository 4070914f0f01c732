/* SPDX-License-Identifier: MIT */

/*
 * The SQLite driver, "sqlite:/path": one file, used by all instances and tools of a host at once,
 * with a write-ahead log that is synced after each commit: what a verb answered survives a power
 * cut.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/sqlite/session.h"

#define OLDEST_SCHEMA 4 /* changes write the audit and look for keys */

/* A file that is missing, or that may not be looked at, is away: it may come. What is something
 * else goes on being that. */
static int check_place(const char *path) {
        size_t len = strlen(path);
        struct stat st;

        if (len > 0 && path[len - 1] == '/')
                return -EISDIR;
        if (stat(path, &st) == 0) {
                if (S_ISDIR(st.st_mode))
                        return -EISDIR;
                return S_ISREG(st.st_mode) ? 0 : -ENXIO;
        }
        return errno == ENOTDIR || errno == ENAMETOOLONG || errno == ELOOP ? -errno : 0;
}

static int sqlite_open(Store *store) {
        SqliteStore *shared;
        int r;

        /* sqlite3 would take the one for a URI, the other for a private database in memory. */
        if (*store->place == 0 || *store->place == ':' || strncmp(store->place, "file:", 5) == 0)
                return -EINVAL;
        r = check_place(store->place);
        if (r < 0)
                return r;
        shared = calloc(1, sizeof(*shared));
        if (!shared)
                return -ENOMEM;
        shared->series = (SchemaSeries){schema_sqlite, n_schema_sqlite, OLDEST_SCHEMA};
        store->data = shared;
        return 0;
}

static void sqlite_close(Store *store) {
        free(store->data);
}

static int sqlite_session_new(Store *store _unused_, StoreSession **ret) {
        SqliteSession *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        *ret = &s->session;
        return 0;
}

static void sqlite_session_free(StoreSession *session) {
        SqliteSession *s = sqlite_session(session);

        sqlite_disconnect(s);
        free(s->owners);
        free(s);
}

/* Reads the file's first page. */
static int sqlite_ping(StoreSession *session) {
        SqliteSession *s = sqlite_session(session);
        int version;
        int r;

        r = sqlite_ready(s);
        return r < 0 ? r : sqlite_version(s, &version);
}

const StoreOps store_sqlite_ops = {
                .scheme = "sqlite:",
                .import_rows = 1000,
                .open = sqlite_open,
                .close = sqlite_close,
                .session_new = sqlite_session_new,
                .session_free = sqlite_session_free,
                .ping = sqlite_ping,
                .schema = sqlite_schema,
                .migrate = sqlite_migrate,
                .user_create = sqlite_user_create,
                .user_get = sqlite_user_get,
                .user_update = sqlite_user_update,
                .user_delete = sqlite_user_delete,
                .user_list = sqlite_user_list,
                .users_import = sqlite_users_import,
                .key_find = sqlite_key_find,
                .keys_tidy = sqlite_keys_tidy,
                .token_create = sqlite_token_create,
                .token_find = sqlite_token_find,
                .token_use = sqlite_token_use,
                .token_revoke = sqlite_token_revoke,
                .token_list = sqlite_token_list,
                .audit_list = sqlite_audit_list,
                .audit_tidy = sqlite_audit_tidy,
                .url_create = sqlite_url_create,
                .url_get = sqlite_url_get,
                .url_get_by_code = sqlite_url_get_by_code,
                .url_update = sqlite_url_update,
                .url_retire = sqlite_url_retire,
                .url_list = sqlite_url_list,
                .url_stats = sqlite_url_stats,
                .urls_by_codes = sqlite_urls_by_codes,
                .codes_each = sqlite_codes_each,
                .urls_import = sqlite_urls_import,
                .event_create = sqlite_event_create,
                .event_list = sqlite_event_list,
                .events_import = sqlite_events_import,
                .load_begin = sqlite_load_begin,
                .load_end = sqlite_load_end,
                .totals = sqlite_totals,
                .clicks_append = sqlite_clicks_append,
                .offset_get = sqlite_offset_get,
                .offset_list = sqlite_offset_list,
                .offset_delete = sqlite_offset_delete,
                .audit = sqlite_audit,
};
