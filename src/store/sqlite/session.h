/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The one place that deals with sqlite3 as such: connections, prepared statements, transactions,
 * results. The files of verbs beside it are SQL and the moving of columns.
 *
 * A verb calls sqlite_ready() (one reading statement), sqlite_begin_read() (several) or
 * sqlite_begin_write() first. A statement in use is held in a `_cleanup_(sqlite_done_p)` variable,
 * which resets it, before the transaction ends.
 */

#include <sqlite3.h>

#include "store/ops.h"
#include "store/schema/schema.h"

/* A place for each prepared statement of a session. Lists take as many as they have variants. */
typedef enum SqliteStatement {
        STMT_BEGIN_READ,
        STMT_BEGIN_WRITE,
        STMT_COMMIT,
        STMT_ROLLBACK,
        STMT_VERSION,
        STMT_TOTALS_LOAD,
        STMT_TOTALS_SAVE,
        STMT_USER_GET,
        STMT_USER_BY_NAME,
        STMT_USER_BY_EMAIL,
        STMT_USER_INSERT,
        STMT_USER_UPDATE,
        STMT_USER_DELETE,
        STMT_USER_LIST,
        STMT_URL_GET,
        STMT_URL_BY_CODE,
        STMT_URL_INSERT,
        STMT_URL_UPDATE,
        STMT_URL_EXISTS,
        STMT_URL_OWNED,
        STMT_URL_REDIRECTS,
        STMT_URL_LINK,
        STMT_URL_LINK_BY_ID,
        STMT_URL_HOTTEST,
        STMT_URL_COLD,
        STMT_URL_LIST,                      /* 6: user or not, active or not or any */
        STMT_URL_COUNT = STMT_URL_LIST + 6, /* the same */
        STMT_EVENT_INSERT = STMT_URL_COUNT + 6,
        STMT_EVENT_TYPE,
        STMT_EVENT_TYPE_INSERT,
        STMT_EVENT_LIST,                         /* 12: url, user, type none, redirect, rare */
        STMT_EVENT_COUNT = STMT_EVENT_LIST + 12, /* the same */
        STMT_CLICK_INSERT = STMT_EVENT_COUNT + 12,
        STMT_CLICK_INSERT_MANY,
        STMT_CLICK_OWNER,
        STMT_REDIRECTS_ADD,
        STMT_REDIRECTS_FIRST,
        STMT_SPOOL_GET,
        STMT_SPOOL_INSERT,
        STMT_SPOOL_UPDATE,
        STMT_SPOOL_DELETE,
        STMT_SPOOL_LIST,
        STMT_TOKEN_INSERT,
        STMT_TOKEN_FIND,
        STMT_TOKEN_USE,
        STMT_TOKEN_REVOKE,
        STMT_TOKEN_END,
        STMT_TOKEN_LIST,
        STMT_AUDIT_INSERT,
        STMT_AUDIT_ID,
        STMT_AUDIT_IMPORT,
        STMT_AUDIT_LIST,
        STMT_AUDIT_OBJECT,
        STMT_AUDIT_TIDY,
        STMT_KEY_FIND,
        STMT_KEY_KEEP,
        STMT_KEY_EXPIRED,
        STMT_KEY_DROP,
        STMT_N,
} SqliteStatement;

/* Who wants the write lock. */
typedef enum SqliteWriter {
        WRITER_CLIENT, /* a client waits: the shipper's transactions are short meanwhile */
        WRITER_SHIPPER,
        WRITER_IMPORT, /* may be part of a load */
} SqliteWriter;

typedef struct SqliteOwners SqliteOwners; /* clicks.c */

typedef struct SqliteSession {
        StoreSession session;
        sqlite3 *db; /* NULL: not connected */
        sqlite3_stmt *statements[STMT_N];
        uint64_t limit_usec; /* CLOCK_MONOTONIC at which sqlite3 gives up; 0: never */
        uint64_t wait_usec;  /* CLOCK_MONOTONIC since when it waits for a lock */
        int wal_pages;       /* in the write-ahead log after the last commit */
        SqliteWriter writer; /* of the write transaction that is open */
        bool must_finish;    /* inside COMMIT or ROLLBACK: do not interrupt */
        bool lost;           /* the connection is of no more use */
        bool in_load;
        bool load_failed;     /* only a rollback is left */
        SqliteOwners *owners; /* scratch of clicks_append, made when it is first needed */
} SqliteSession;

/* What all sessions of one Store share; store->data. */
typedef struct SqliteStore {
        SchemaSeries series;
        atomic_bool seen;         /* the file was there: if it vanishes it is not made again */
        atomic_bool log_doubtful; /* a sync failed: see sqlite_sync_log() */
} SqliteStore;

static inline SqliteSession *sqlite_session(StoreSession *session) {
        return CONTAINER_OF(session, SqliteSession, session);
}

/* ---- connection (connection.c) ---- */

/* Connected, to the file that is now at the path. */
int sqlite_ready(SqliteSession *s) _must_check_;
void sqlite_disconnect(SqliteSession *s);
/* Turns a result of sqlite3 into ours, and keeps its text; marks a lost connection. */
int sqlite_fail(SqliteSession *s, int rc) _must_check_;
/* Runs SQL text without parameters or rows. */
int sqlite_execute(SqliteSession *s, const char *sql) _must_check_;

/* ---- statements (session.c) ---- */

/* The prepared statement of this place, made from sql at its first use. */
int sqlite_statement(SqliteSession *s, unsigned place, const char *sql,
                     sqlite3_stmt **ret) _must_check_;
/* The same for a statement whose text is put together out of three parts. */
int sqlite_composed(SqliteSession *s, unsigned place, const char *const parts[3],
                    sqlite3_stmt **ret) _must_check_;
/* Resets a statement; for _cleanup_. */
void sqlite_done_p(sqlite3_stmt **statement);
/* 1: a row is there; 0: no more; negative. */
int sqlite_row(SqliteSession *s, sqlite3_stmt *statement) _must_check_;
/* Runs a changing statement to its end and resets it. */
int sqlite_run(SqliteSession *s, sqlite3_stmt *statement) _must_check_;
/* The two above for a statement with up to one number bound: its only row's first column.
 * STORE_NOT_FOUND: no row. ret may be NULL. */
int sqlite_number(SqliteSession *s, sqlite3_stmt *statement, int64_t *ret) _must_check_;

/* The first column of the first row of a statement that is rare and not kept. */
int sqlite_query(SqliteSession *s, const char *sql, int64_t *ret) _must_check_;

void sqlite_bind_number(sqlite3_stmt *statement, int i, int64_t value);
void sqlite_bind_id(sqlite3_stmt *statement, int i, int64_t id);   /* 0 is NULL */
void sqlite_bind_text(sqlite3_stmt *statement, int i, Slice text); /* data == NULL is NULL */
/* Valid until the next step; data == NULL for NULL. */
Slice sqlite_text(sqlite3_stmt *statement, int column);

/* ---- transactions (session.c) ---- */

int sqlite_begin_read(SqliteSession *s) _must_check_;
void sqlite_end_read(SqliteSession *s);

/* Inside a load, imports become part of it and others are -EINVAL. */
int sqlite_begin_write(SqliteSession *s, SqliteWriter writer) _must_check_;
/* result == 0 commits, everything else rolls back (but not out of a load). The redirects of these
 * codes change; codes == NULL: any may; &SLICE_NONE, 0: none does. Returns result or the commit's
 * failure. */
int sqlite_end_write(SqliteSession *s, int result, const Slice *codes, size_t n) _must_check_;
/* Of a transaction that has made the links of these codes, and changed none. */
int sqlite_end_making(SqliteSession *s, int result, const Slice *codes, size_t n) _must_check_;

/* After a commit: what is in the write-ahead log is on the disk. On failure nobody knows whether
 * the change survives a power cut. */
int sqlite_sync_log(SqliteSession *s) _must_check_;

/* Ends whatever transaction is open; keeps the session's error text. */
void sqlite_rollback(SqliteSession *s);

/* The row of totals, under the write lock: load, change, save. */
typedef struct SqliteTotals {
        StoreTotals n;
        int64_t last_user, last_url, last_event;
} SqliteTotals;
int sqlite_totals_load(SqliteSession *s, SqliteTotals *ret) _must_check_;
int sqlite_totals_save(SqliteSession *s, const SqliteTotals *totals) _must_check_;

/* ---- rows of lists (session.c) ---- */

typedef struct SqliteRows {
        Arena *arena;
        size_t row_size;                                                   /* bytes */
        int (*read)(sqlite3_stmt *statement, Arena *arena, void *ret_row); /* 0 or -ENOMEM */
        int64_t limit;                                                     /* rows at most */
        void *rows;                                                        /* in the arena */
        size_t n;
} SqliteRows;
int sqlite_collect(SqliteSession *s, sqlite3_stmt *statement, SqliteRows *rows) _must_check_;

/* ---- schema (schema.c) ---- */

int sqlite_version(SqliteSession *s, int *ret) _must_check_;
/* Brings an empty file to the newest schema; leaves every other one alone. While connecting. */
int sqlite_make_schema(SqliteSession *s) _must_check_;
int sqlite_schema(StoreSession *session, StoreSchema *ret);
int sqlite_migrate(StoreSession *session, int *ret_n);

/* ---- shared by topics ---- */

/* Ids of event_types that the schema brings. */
enum { TYPE_REDIRECT = 1, TYPE_CREATED, TYPE_UPDATED, TYPE_DELETED };

/* event->id is set; the totals are moved, not saved. type: of event_types. */
int sqlite_event_insert(SqliteSession *s, SqliteTotals *totals, const Event *event,
                        int64_t type) _must_check_;
int sqlite_redirects_add(SqliteSession *s, int64_t url_id, int64_t n) _must_check_;
/* Of all spools, in the order of their coming. */
int sqlite_spool_offsets(SqliteSession *s, Arena *arena, StoreOffset **ret,
                         size_t *ret_n) _must_check_;
/* STORE_NOT_FOUND */
int sqlite_user_exists(SqliteSession *s, int64_t id) _must_check_;
int sqlite_url_exists(SqliteSession *s, int64_t id) _must_check_;
/* STORE_NOT_FOUND. A user that is gone is 0. */
int sqlite_url_row(SqliteSession *s, Arena *arena, int64_t id, Url *ret) _must_check_;

/* The audit's row of a change: see store_note_...(). */
int sqlite_audit_url(SqliteSession *s, const char *action, const Url *old,
                     const Url *new) _must_check_;
int sqlite_audit_user(SqliteSession *s, const char *action, const User *old,
                      const User *new) _must_check_;
int sqlite_audit_token(SqliteSession *s, const char *action, const Token *old,
                       const Token *new) _must_check_;
int sqlite_audit_event(SqliteSession *s, const Event *event) _must_check_;
/* Makes or moves the row of the import that runs; with no rows it does nothing. */
int sqlite_audit_import(SqliteSession *s, const AuditCounts *more) _must_check_;
int sqlite_audit_load(SqliteSession *s, const StoreTotals *was) _must_check_;
/* May it be done? First in the transaction; key may be NULL. 0, STORE_KEY_USED. */
int sqlite_key_take(SqliteSession *s, const StoreKey *key) _must_check_;
/* It was done, and made this row. */
int sqlite_key_keep(SqliteSession *s, const StoreKey *key, const void *row) _must_check_;

/* ---- the verbs, by topic ---- */

int sqlite_user_create(StoreSession *session, Arena *arena, const User *user, const StoreKey *key,
                       User *ret);
int sqlite_user_get(StoreSession *session, Arena *arena, int64_t id, User *ret);
int sqlite_user_update(StoreSession *session, Arena *arena, int64_t id,
                       const StoreUserChange *change, User *ret);
int sqlite_user_delete(StoreSession *session, int64_t id, const StoreCondition *condition);
int sqlite_user_list(StoreSession *session, Arena *arena, const StoreQuery *query, User **ret_rows,
                     size_t *ret_n, int64_t *ret_total);
int sqlite_users_import(StoreSession *session, StoreUserRow *rows, size_t n);

int sqlite_url_create(StoreSession *session, const StoreUrlNew *new, const StoreKey *key, Url *ret);
int sqlite_url_get(StoreSession *session, Arena *arena, int64_t id, Url *ret);
int sqlite_url_get_by_code(StoreSession *session, Arena *arena, Slice code, Url *ret);
int sqlite_url_update(StoreSession *session, Arena *arena, int64_t id, const StoreUrlChange *change,
                      Url *ret);
int sqlite_url_retire(StoreSession *session, int64_t id, int64_t now_sec, Slice details,
                      const StoreCondition *condition);
int sqlite_url_list(StoreSession *session, Arena *arena, const StoreQuery *query, Url **ret_rows,
                    size_t *ret_n, int64_t *ret_total);
int sqlite_url_stats(StoreSession *session, Arena *arena, int64_t id, Url *ret,
                     int64_t *ret_redirects);
int sqlite_urls_by_codes(StoreSession *session, Arena *arena, Link *links, size_t n);
int sqlite_codes_each(StoreSession *session, int64_t limit,
                      int (*each)(void *userdata, const Link *link), void *userdata);
int sqlite_urls_import(StoreSession *session, StoreUrlRow *rows, size_t n, bool with_events);

int sqlite_event_create(StoreSession *session, const Event *event, const StoreKey *key, Event *ret);
int sqlite_event_list(StoreSession *session, Arena *arena, const StoreQuery *query,
                      Event **ret_rows, size_t *ret_n, int64_t *ret_total);
int sqlite_events_import(StoreSession *session, StoreEventRow *rows, size_t n);

int sqlite_key_find(StoreSession *session, Arena *arena, const StoreKey *key, StoreAnswer *ret);
/* tidy.c: one transaction of deletions. */
typedef struct SqliteDrop {
        SqliteStatement statement;
        const char *sql; /* ?1: a time, ?2: n_max */
        unsigned n_max;
} SqliteDrop;
int sqlite_drop_rows(SqliteSession *s, const SqliteDrop *drop, int64_t time_sec, bool *ret_more);
int sqlite_keys_tidy(StoreSession *session, int64_t now_sec, bool *ret_more);

int sqlite_token_create(StoreSession *session, const Token *token, int64_t *ret_id);
int sqlite_token_find(StoreSession *session, Arena *arena, const uint8_t *digest, Token *ret);
int sqlite_token_use(StoreSession *session, int64_t id, int64_t now_sec);
int sqlite_token_revoke(StoreSession *session, int64_t id, int64_t now_sec);
/* In the caller's transaction, those of a user who goes (0: of all), with their rows of the audit:
 * whoever has the id later is somebody else. */
int sqlite_tokens_end(SqliteSession *s, int64_t user_id);
int sqlite_token_list(StoreSession *session, Arena *arena, const StoreQuery *query,
                      Token **ret_rows, size_t *ret_n);

int sqlite_audit_list(StoreSession *session, Arena *arena, const StoreAuditQuery *query,
                      Audit **ret_rows, size_t *ret_n);
int sqlite_audit_tidy(StoreSession *session, int64_t before_sec, bool *ret_more);

int sqlite_load_begin(StoreSession *session, bool replace);
int sqlite_load_end(StoreSession *session, bool commit);
int sqlite_totals(StoreSession *session, StoreTotals *ret);

int sqlite_clicks_append(StoreSession *session, const StoreBatch *batch, uint64_t *ret_next_seq);
int sqlite_offset_get(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE],
                      StoreOffset *ret);
int sqlite_offset_list(StoreSession *session, Arena *arena, StoreOffset **ret, size_t *ret_n);
int sqlite_offset_delete(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE]);
int sqlite_audit(StoreSession *session, Arena *arena, StoreAudit *ret);
