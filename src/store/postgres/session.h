/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The one place that deals with libpq as such: connections, statements, transactions, results. The
 * files of verbs beside it are SQL and the moving of columns.
 *
 * libpq is never called blocking. Each wait is a poll() with what is left of the deadline; when
 * that has passed the connection is closed, and the server rolls back what was not committed.
 *
 * A verb calls pg_ready() (one reading statement), pg_begin_read() (several) or pg_begin_write()
 * first. Parameters and results travel in binary form: numbers as 8 bytes, texts as they are.
 */

#include "basic/buffer.h"
#include "basic/hash.h"
#include "store/ops.h"
#include "store/postgres/libpq.h"
#include "store/schema/schema.h"

/* A name for each statement that a session prepares at its first use. */
typedef enum PgStatement {
        STMT_NONE, /* not kept */
        STMT_PING,
        STMT_LIMIT,
        STMT_TOTALS,
        STMT_USER_GET,
        STMT_USER_LOCK,
        STMT_USER_CLASH,
        STMT_USER_CREATE,
        STMT_USER_UPDATE,
        STMT_USER_DELETE,
        STMT_USER_LIST,
        STMT_USER_FOUND,
        STMT_URL_GET,
        STMT_URL_LOCK,
        STMT_URL_BY_CODE,
        STMT_URL_STATS,
        STMT_URL_LINKS,
        STMT_URL_CREATE,
        STMT_URL_CLASH,
        STMT_URL_OWNER,
        STMT_URL_OWNED,
        STMT_URL_UPDATE,
        STMT_URL_FOUND,
        STMT_URL_OWNERS,
        STMT_URL_LIST, /* 6: user or not, active or not or any */
        STMT_EVENT_CREATE = STMT_URL_LIST + 6,
        STMT_EVENT_CLASH,
        STMT_EVENT_FOUND,
        STMT_EVENT_LIST, /* 12: url, user, type none, redirect, rare */
        STMT_IDS_NEXT = STMT_EVENT_LIST + 12,
        STMT_IDS_REACH,
        STMT_TYPES,
        STMT_COUNT,
        STMT_REDIRECTS,
        STMT_SPOOL_LOCK,
        STMT_SPOOL_TAKE,
        STMT_SPOOL_MOVE,
        STMT_SPOOL_GET,
        STMT_SPOOL_DELETE,
        STMT_SPOOL_LIST,
        STMT_OWNERS,
        STMT_TOKEN_INSERT,
        STMT_TOKEN_FIND,
        STMT_TOKEN_USE,
        STMT_TOKEN_REVOKE,
        STMT_TOKEN_END,
        STMT_TOKEN_LIST,
        STMT_AUDIT_INSERT,
        STMT_AUDIT_COUNT,
        STMT_AUDIT_BEGIN,
        STMT_AUDIT_IMPORT,
        STMT_AUDIT_LIST,
        STMT_AUDIT_OBJECT,
        STMT_AUDIT_TIDY,
        STMT_KEY_LOCK,
        STMT_KEY_FIND,
        STMT_KEY_KEEP,
        STMT_KEY_DROP,
        STMT_N,
} PgStatement;

#define PG_TIMEOUT_UNKNOWN UINT64_MAX

/* Who changes something. */
typedef enum PgWriter {
        WRITER_CLIENT,  /* a client waits */
        WRITER_SHIPPER, /* visits */
        WRITER_IMPORT,  /* may be part of a load */
} PgWriter;

typedef enum PgTransaction {
        TRANSACTION_NONE,
        TRANSACTION_WANTED, /* BEGIN goes with the next statement */
        TRANSACTION_OPEN,
} PgTransaction;

typedef struct PgSession {
        StoreSession session;
        PGconn *db;                /* NULL: not connected */
        uint64_t until_usec;       /* CLOCK_MONOTONIC at which the connection is old */
        uint64_t limit_usec;       /* CLOCK_MONOTONIC at which to give up; 0: never */
        uint64_t timeline;         /* of the server, 0: it is no primary ... */
        uint64_t system;           /* ... and its system identifier */
        unsigned n_outages;        /* of the store, when this connection was begun */
        unsigned n_unfit;          /* likewise */
        uint64_t timeout_msec;     /* lock_timeout that the server knows of this session */
        bool prepared[STMT_N];     /* in this connection */
        PgTransaction transaction; /* what the next statement runs in */
        bool read_only;            /* of it */
        PgWriter writer;           /* of it, if it is not read_only */
        bool committing;           /* COMMIT was sent */
        bool connected;            /* and greeted */
        bool lost;                 /* the connection is of no more use */
        bool unheard;              /* the last one did not answer in time */
        bool looking;              /* the last one was well; others are asked what they are */
        bool heard;                /* the last host that was asked said what it is */
        bool in_load;
        bool load_failed;        /* only a rollback is left */
        bool listening;          /* LISTEN was sent over this connection */
        unsigned slot;           /* of the totals that this session moves */
        Buffer scratch;          /* arrays and rows on their way to the server */
        int64_t held_key;        /* of a spool's lock that another has */
        uint64_t held_usec;      /* CLOCK_MONOTONIC since when */
        uint64_t held_seen_usec; /* and when that was seen last */
        char sqlstate[6];        /* of the last failed statement, or of the server's refusal */
        char constraint[64];     /* that it violated */
} PgSession;

/* What all sessions of one Store share; store->data. */
typedef struct PgStore {
        PQconninfoOption *conninfo; /* what the URL and the defaults say */
        char *shown;                /* the URL without a password */
        SchemaSeries series;
        _Atomic uint64_t next_try_usec; /* CLOCK_MONOTONIC before which nobody connects; 0 */
        atomic_bool crowded;            /* the last try failed for lack of room */
        atomic_bool ran;                /* its schema was of use once */
        atomic_uint n_unfit;            /* times that it was found to be of none */
        atomic_uint n_made;             /* connections, ever */
        size_t n_hosts;                 /* in the URL */
        atomic_uint n_outages;          /* times that pg_doubt() was called, and one; 0: one host */
        atomic_uint n_looked;           /* of them, when all hosts had last said what they are */
        _Atomic uint64_t next_look_usec, look_usec; /* until then: see pg_look_again() */
        _Atomic uint64_t timeline;                  /* the highest seen, of system */
        _Atomic uint64_t system; /* the server's system identifier; 0: none chosen yet */
        atomic_uint n_sessions;  /* for their slots */
} PgStore;

static inline PgSession *pg_session(StoreSession *session) {
        return CONTAINER_OF(session, PgSession, session);
}

static inline PgStore *pg_store(const PgSession *s) {
        return s->session.store->data;
}

/* ---- connection strings (conninfo.c) ---- */

/* -EINVAL: libpq does not understand the URL. */
int pg_conninfo_parse(const char *url, PgStore *store) _must_check_;
void pg_conninfo_done(PgStore *store);
/* Does it have an item for each host? */
bool pg_conninfo_is_list(const char *keyword);

/* ---- connection (connection.c) ---- */

/* For a SELECT: to answer no COMMIT that a crash would undo, whatever the database's defaults are;
 * to let writers of one row wait for each other; and to end a transaction whose client is frozen,
 * for it holds locks. local: of a transaction, not of the session. */
#define PG_SETTINGS(local)                                                    \
 "set_config('synchronous_commit', coalesce(nullif("                          \
 "current_setting('synchronous_commit'), 'off'), 'on'), " local "),"          \
 " set_config('default_transaction_isolation', 'read committed', " local ")," \
 " set_config('idle_in_transaction_session_timeout', '15000', " local ")"

/* Connected to a server that takes changes, and the limit is set. */
int pg_ready(PgSession *s) _must_check_;
void pg_disconnect(PgSession *s);
/* Connects to the host of this number within limit_usec, and asks what it is (heard); sqlstate: of
 * its refusal. */
int pg_connect_host(PgSession *s, size_t host, const char *password) _must_check_;
/* Another session has seen a later timeline since: this server is an old primary. Or it may be. */
bool pg_is_passed(const PgSession *s);
/* Did the server end the connection while it was idle? Does not wait. */
bool pg_has_ended(PgSession *s);
/* Waits until the socket is ready for events (POLLIN, POLLOUT); a connection whose time is over is
 * closed. */
int pg_wait(PgSession *s, short events) _must_check_;
/* Lets some time pass, or the connection end: then -EHOSTDOWN. */
int pg_pause(PgSession *s, uint64_t usec) _must_check_;
/* Sends all that libpq has queued. */
int pg_flush(PgSession *s) _must_check_;
/* The connection broke: keeps libpq's text. */
int pg_broken(PgSession *s) _must_check_;
/* Adds to the error what helps against its state (query.c). */
void pg_advise(PgSession *s);
/* Of the server that s->system and s->timeline are of (timeline.c): -EHOSTDOWN if a higher timeline
 * of this system was seen. */
int pg_timeline_check(PgSession *s) _must_check_;
/* Of several hosts: the system that they must be of; 0: any. */
uint64_t pg_system_wanted(const PgSession *s);
/* Keeps what was seen. -EHOSTDOWN: of several hosts, one of another system was seen before. */
int pg_timeline_note(PgSession *s, uint64_t system, uint64_t timeline) _must_check_;

/* Of a new connection: is the schema of use (schema.c), if anybody wants to know? Otherwise it is
 * closed: STORE_BAD_SCHEMA, and why; -errno: it did not say. */
int pg_ask_fit(PgSession *s, char ret_why[STORE_ERROR_SIZE]) _must_check_;
/* What that means for the store: -EHOSTDOWN. */
void pg_set_fit(PgSession *s);
int pg_set_unfit(PgSession *s, const char *why) _must_check_;

/* ---- several hosts (hosts.c) ---- */

/* Connects to the primary among the hosts. */
int pg_connect_any(PgSession *s) _must_check_;
bool pg_is_crowded(const PgSession *s); /* by the last refusal */
/* The server may have been frozen, and another promoted: of several hosts all are asked before any
 * connection is believed again. */
void pg_doubt(PgStore *store);
/* Not all hosts had said what they are when this session connected: is it time to ask them once
 * more? By who is not in a hurry. */
void pg_look_again(PgSession *s);

/* ---- parameters and results (values.c) ---- */

#define PG_PARAMS_MAX 16

typedef struct PgParams {
        int n;
        const char *values[PG_PARAMS_MAX];
        int lengths[PG_PARAMS_MAX];
        uint64_t numbers[PG_PARAMS_MAX]; /* big-endian; values point here */
} PgParams;

void pg_add_number(PgParams *params, int64_t value); /* bigint */
void pg_add_id(PgParams *params, int64_t id);        /* bigint; 0 is NULL */
void pg_add_int(PgParams *params, int32_t value);    /* integer */
void pg_add_bool(PgParams *params, bool value);
void pg_add_text(PgParams *params, Slice text);   /* data == NULL is NULL */
void pg_add_bytes(PgParams *params, Slice bytes); /* of an array, a uuid */
/* date: the day of a time, in the years 1 to 9999. */
void pg_add_day(PgParams *params, int64_t time_sec);
int32_t pg_day(int64_t time_sec); /* days since 2000-01-01, as the server has them */

/* An array, one dimension: its head, then n elements. */
#define PG_BIGINT  20u
#define PG_INTEGER 23u
#define PG_TEXT    25u
void pg_array(Buffer *buffer, unsigned type, size_t n);
void pg_put_number(Buffer *buffer, int64_t value); /* with its length: of arrays and COPY rows */
void pg_put_id(Buffer *buffer, int64_t id);
void pg_put_int(Buffer *buffer, int32_t value);
void pg_put_bool(Buffer *buffer, bool value);
void pg_put_text(Buffer *buffer, Slice text);
void pg_put_u16(Buffer *buffer, uint16_t value); /* without: the head of a COPY row */

/* Can the server store this text? */
bool pg_storable(Slice text);

int64_t pg_number(const PGresult *result, int row, int column); /* any size; NULL is 0 */
Slice pg_text(const PGresult *result, int row, int column);     /* borrowed; data == NULL: NULL */

static inline void pg_clear_p(PGresult **result) {
        PQclear(*result);
}

/* ---- statements (query.c) ---- */

/* Runs a statement, BEGIN and what else is due before it in the same trip. *ret: PQclear(). ret may
 * be NULL. */
int pg_run(PgSession *s, PgStatement statement, const char *sql, const PgParams *params,
           PGresult **ret) _must_check_;
/* The same for a statement that alone may take longer than there is time for, outside of a
 * transaction: the server ends it, which is -ETIMEDOUT and says nothing about the server. */
int pg_run_list(PgSession *s, PgStatement statement, const char *sql, const PgParams *params,
                PGresult **ret) _must_check_;
/* The first column of the first row; STORE_NOT_FOUND: no row, or NULL. ret may be NULL. */
int pg_run_number(PgSession *s, PgStatement statement, const char *sql, const PgParams *params,
                  int64_t *ret) _must_check_;
/* Several statements without parameters, as psql would send them. */
int pg_execute(PgSession *s, const char *sql) _must_check_;
/* COPY ... FROM STDIN (FORMAT binary); rows: n of them, without the head of the file. */
int pg_copy(PgSession *s, const char *sql, Slice rows) _must_check_;

/* ---- transactions (transaction.c) ---- */

int pg_begin_read(PgSession *s) _must_check_;
void pg_end_read(PgSession *s);

/* Inside a load, imports become part of it and others are -EINVAL. */
int pg_begin_write(PgSession *s, PgWriter writer) _must_check_;
/* result == 0 commits, everything else rolls back (but not out of a load). The redirects of these
 * codes change; codes == NULL: any may; &SLICE_NONE, 0: none does. Returns result or the commit's
 * failure. */
int pg_end_write(PgSession *s, int result, const Slice *codes, size_t n) _must_check_;
/* Of a transaction that has made the links of these codes, and changed none. */
int pg_end_making(PgSession *s, int result, const Slice *codes, size_t n) _must_check_;
/* Ends whatever transaction is open; keeps the session's error text. */
void pg_rollback(PgSession *s);
/* A verb lost a race that a second look decides: rolls back and begins again. */
int pg_begin_again(PgSession *s) _must_check_;
#define PG_TRIES 5

/* Moves the totals; the last statement of a change, for its row is the one that others wait for. */
int pg_count(PgSession *s, const StoreTotals *change) _must_check_;

/* ---- rows of lists (transaction.c) ---- */

typedef struct PgRows {
        Arena *arena;
        size_t row_size; /* bytes */
        int (*read)(const PGresult *result, int row, int column, Arena *arena, void *ret_row);
        void *rows; /* in the arena */
        size_t n;
} PgRows;
/* Rows from this column on; a row whose first column is NULL is none. */
int pg_collect(const PGresult *result, int column, PgRows *rows) _must_check_;

/* ---- schema (schema.c) ---- */

int pg_schema(StoreSession *session, StoreSchema *ret);
int pg_migrate(StoreSession *session, int *ret_n);

/* ---- the server's room (capacity.c) ---- */

int pg_capacity(StoreSession *session, StoreCapacity *ret);

/* ---- shared by topics ---- */

/* Ids of event_types that the schema brings. */
enum { TYPE_REDIRECT = 1, TYPE_CREATED, TYPE_UPDATED, TYPE_DELETED };

/* Redirects of links, in an hour since 1970: what the kept totals move by. */
typedef struct PgRedirects {
        int64_t url_id;
        int32_t hour;
        int64_t n;
} PgRedirects;
/* Sorts them and writes both counters in key order. */
int pg_redirects_add(PgSession *s, PgRedirects *redirects, size_t n) _must_check_;
int32_t pg_hour(int64_t time_sec);

/* ---- imports (import.c) ---- */

/* Texts and ids that earlier rows of the same import have taken. */
typedef struct PgTaken {
        struct PgTakenEntry *table; /* open addressing, at most half full */
        size_t mask;
        HashKey key;
} PgTaken;
/* Room for n entries. */
int pg_taken_init(PgTaken *taken, size_t n) _must_check_;
void pg_taken_done(PgTaken *taken);
/* kind: keeps usernames, emails and codes apart. */
bool pg_taken_has(const PgTaken *taken, char kind, Slice text);
void pg_taken_add(PgTaken *taken, char kind, Slice text);

/* Hands out ids of one sequence: rows that bring none wait until it is known how many they are. */
typedef struct PgIds {
        PgSession *s;
        const char *sequence;
        PgTaken taken;     /* by kind 'i': ids of rows; the rest is the caller's */
        int64_t **waiting; /* where ids are missing */
        size_t n_waiting;
        int64_t reach; /* the highest that a row brought since the sequence was moved; 0: none */
} PgIds;
/* For n rows with at most n_keys entries of the caller in taken. */
int pg_ids_init(PgIds *ids, PgSession *s, const char *sequence, size_t n,
                size_t n_keys) _must_check_;
void pg_ids_done(PgIds *ids);
/* May a row have this id? 0: the next one, which *id gets later. STORE_REFUSED. */
int pg_ids_look(PgIds *ids, const int64_t *id, bool in_store) _must_check_;
/* The row goes in. */
int pg_ids_take(PgIds *ids, int64_t *id) _must_check_;
int pg_ids_flush(PgIds *ids) _must_check_; /* before the rows go in */

/* The rows of an import that is tried again when another transaction was first. */
typedef int (*PgImport)(PgSession *s, void *rows, size_t n, void *userdata);
int pg_import(PgSession *s, PgImport import, void *rows, size_t n, void *userdata) _must_check_;

/* The advisory lock of a spool. */
int64_t pg_spool_key(const uint8_t spool[STORE_SPOOL_ID_SIZE]);

int pg_url_read(const PGresult *result, int row, int column, Arena *arena, void *ret_row);

/* ---- the audit's row of a change (audit.c): see store_note_...() ---- */

/* moved: the totals, in the same statement, so it is the last one; NULL: they stay. */
int pg_audit_url(PgSession *s, const char *action, const Url *old, const Url *new,
                 const StoreTotals *moved) _must_check_;
int pg_audit_user(PgSession *s, const char *action, const User *old, const User *new,
                  const StoreTotals *moved) _must_check_;
int pg_audit_token(PgSession *s, const char *action, const Token *old,
                   const Token *new) _must_check_;
int pg_audit_event(PgSession *s, const Event *event, const StoreTotals *moved) _must_check_;
/* Makes or moves the row of the import that runs. */
int pg_audit_import(PgSession *s, const StoreTotals *moved) _must_check_;
int pg_audit_load(PgSession *s, const StoreTotals *was) _must_check_;
/* May it be done? First in the transaction; key may be NULL. 0, STORE_KEY_USED, STORE_KEY_BUSY. */
int pg_key_take(PgSession *s, const StoreKey *key) _must_check_;
/* It was done, and made this row. Before the totals are moved. */
int pg_key_keep(PgSession *s, const StoreKey *key, const void *row) _must_check_;

/* ---- the verbs, by topic ---- */

int pg_user_create(StoreSession *session, Arena *arena, const User *user, const StoreKey *key,
                   User *ret);
int pg_user_get(StoreSession *session, Arena *arena, int64_t id, User *ret);
int pg_user_update(StoreSession *session, Arena *arena, int64_t id, const StoreUserChange *change,
                   User *ret);
int pg_user_delete(StoreSession *session, int64_t id, const StoreCondition *condition);
int pg_user_list(StoreSession *session, Arena *arena, const StoreQuery *query, User **ret_rows,
                 size_t *ret_n, int64_t *ret_total);
int pg_users_import(StoreSession *session, StoreUserRow *rows, size_t n);

int pg_url_create(StoreSession *session, const StoreUrlNew *new, const StoreKey *key, Url *ret);
int pg_url_get(StoreSession *session, Arena *arena, int64_t id, Url *ret);
int pg_url_get_by_code(StoreSession *session, Arena *arena, Slice code, Url *ret);
int pg_url_update(StoreSession *session, Arena *arena, int64_t id, const StoreUrlChange *change,
                  Url *ret);
int pg_url_retire(StoreSession *session, int64_t id, int64_t now_sec, Slice details,
                  const StoreCondition *condition);
int pg_url_list(StoreSession *session, Arena *arena, const StoreQuery *query, Url **ret_rows,
                size_t *ret_n, int64_t *ret_total);
int pg_url_stats(StoreSession *session, Arena *arena, int64_t id, Url *ret, int64_t *ret_redirects);
int pg_urls_by_codes(StoreSession *session, Arena *arena, Link *links, size_t n);
int pg_codes_each(StoreSession *session, int64_t limit,
                  int (*each)(void *userdata, const Link *link), void *userdata);
int pg_urls_import(StoreSession *session, StoreUrlRow *rows, size_t n, bool with_events);

int pg_event_create(StoreSession *session, const Event *event, const StoreKey *key, Event *ret);
int pg_event_list(StoreSession *session, Arena *arena, const StoreQuery *query, Event **ret_rows,
                  size_t *ret_n, int64_t *ret_total);
int pg_events_import(StoreSession *session, StoreEventRow *rows, size_t n);

int pg_key_find(StoreSession *session, Arena *arena, const StoreKey *key, StoreAnswer *ret);
/* tidy.c: one transaction of deletions. */
typedef struct PgDrop {
        PgStatement statement;
        const char *sql; /* $1: a time, $2: n_max; gives how many rows it has deleted */
        unsigned n_max;
} PgDrop;
int pg_drop_rows(StoreSession *session, const PgDrop *drop, int64_t time_sec, bool *ret_more);
int pg_keys_tidy(StoreSession *session, int64_t now_sec, bool *ret_more);

int pg_token_create(StoreSession *session, const Token *token, int64_t *ret_id);
int pg_token_find(StoreSession *session, Arena *arena, const uint8_t *digest, Token *ret);
int pg_token_use(StoreSession *session, int64_t id, int64_t now_sec);
int pg_token_revoke(StoreSession *session, int64_t id, int64_t now_sec);
/* In the caller's transaction, those of a user who goes (0: of all), with their rows of the audit:
 * whoever has the id later is somebody else. */
int pg_tokens_end(PgSession *s, int64_t user_id);
int pg_token_list(StoreSession *session, Arena *arena, const StoreQuery *query, Token **ret_rows,
                  size_t *ret_n);

int pg_audit_list(StoreSession *session, Arena *arena, const StoreAuditQuery *query,
                  Audit **ret_rows, size_t *ret_n);
int pg_audit_tidy(StoreSession *session, int64_t before_sec, bool *ret_more);

int pg_load_begin(StoreSession *session, bool replace);
int pg_load_end(StoreSession *session, bool commit);
int pg_totals(StoreSession *session, StoreTotals *ret);

int pg_clicks_append(StoreSession *session, const StoreBatch *batch, uint64_t *ret_next_seq);
int pg_offset_get(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE],
                  StoreOffset *ret);
int pg_offset_list(StoreSession *session, Arena *arena, StoreOffset **ret, size_t *ret_n);
int pg_offset_delete(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE]);
/* Of all spools, in the order of their coming. */
int pg_spool_offsets(PgSession *s, Arena *arena, StoreOffset **ret, size_t *ret_n) _must_check_;
int pg_audit(StoreSession *session, Arena *arena, StoreAudit *ret);

int pg_events_tidy(StoreSession *session, int64_t before_sec, bool *ret_more);
int pg_watch(StoreSession *session, uint64_t timeout_usec,
             void (*changed)(void *userdata, Slice code, bool made), void *userdata,
             bool *ret_began);
