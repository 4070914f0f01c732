/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The domain's verbs over a database: what api/, clicks/, work/ and ctl/ call. A Store is the
 * process-wide object (URL, options, circuit breaker; thread safe); a StoreSession is one
 * connection, which lives and dies on one thread. Every verb is one transaction; a change and its
 * event are one. Slices of results live in the Arena that was passed.
 *
 * Results of every verb: 0 done; a positive StoreResult that the direct caller handles; negative
 * -errno, of which these have a meaning:
 *   -EHOSTDOWN  the store is away (cannot be reached, or the breaker is open): 503
 *   -ETIMEDOUT  the deadline passed before the store answered: 503; for a change the outcome is
 *               unknown unless the verb says otherwise
 *   -EBUSY      the change was not to be had before the deadline, for a lock or, with PostgreSQL,
 * for want of an answer to what came before COMMIT: 503, nothing was done -ENOMEM     503 Anything
 * else is our fault or a damaged store: 500.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/arena.h"
#include "basic/slice.h"
#include "model/types.h"

typedef enum StoreResult {
        STORE_OK = 0,
        STORE_NOT_FOUND = 1,      /* the row that the verb is about does not exist */
        STORE_NO_USER = 2,        /* the named user does not exist */
        STORE_NO_URL = 3,         /* the named url does not exist */
        STORE_USERNAME_TAKEN = 4, /* named first when both clash */
        STORE_EMAIL_TAKEN = 5,
        STORE_CODE_TAKEN = 6, /* make another code and call again */
        STORE_NOT_EMPTY = 7,  /* a load was asked for and rows exist */
        STORE_REFUSED = 8,    /* the database refused a row for what is in it */
        STORE_BAD_SCHEMA = 9, /* another program's, newer than ours, or not of UTF-8 */
        STORE_UNMET = 10,     /* the change's StoreCondition does not hold */
        STORE_KEY_USED = 11,  /* it was done already: store_key_find() has the answer */
        STORE_KEY_OTHER = 12, /* the key is remembered, with another request */
        STORE_KEY_BUSY = 13,  /* a request with this key is being done just now */
        STORE_FULL = 14,      /* the user has as many links as a user may have */
} StoreResult;

typedef struct Store Store;
typedef struct StoreSession StoreSession;

/*
 * What the host page (host/) needs to know of a change, see design: coherence. Called on the
 * session's thread, each may be NULL. Order of one changing transaction: waiting(+1),
 * enter(), BEGIN IMMEDIATE, ..., committing() or making(), COMMIT, committed(), leave(),
 * waiting(-1). committed() is called whatever COMMIT answered, and only when one of these was.
 */
typedef struct StoreHooks {
        void *userdata;
        /* A writer that clients wait for is about to want (+1) or has done with (-1) the write
         * lock. */
        void (*waiting)(void *userdata, int delta);
        /* How many such writers there are on this host: the shipper's transactions get shorter. */
        unsigned (*n_waiting)(void *userdata);
        /* SQLite: waits for the turn to write until deadline_usec (CLOCK_MONOTONIC; 0: for ever).
         * 0: *ret_pass is for leave(), on the same thread, if it is not NULL; -ETIMEDOUT. */
        int (*enter)(void *userdata, uint64_t deadline_usec, void **ret_pass);
        void (*leave)(void *userdata, void *pass);
        /* The redirects of these codes change with the next COMMIT. codes == NULL: any may. */
        void (*committing)(void *userdata, const Slice *codes, size_t n_codes);
        /* With the next COMMIT there are links of these codes, which the store has never had.
         * NULL: committing() is called. */
        void (*making)(void *userdata, const Slice *codes, size_t n_codes);
        void (*committed)(void *userdata);
} StoreHooks;

typedef struct StoreOptions {
        uint64_t connect_usec; /* how long a connection attempt may take */
        bool create;           /* SQLite: make a missing file and migrate it */
        /* PostgreSQL, behind a pooler that gives each transaction another connection: keep nothing
         * there, neither prepared statements nor settings. */
        bool unprepared;
        /* PostgreSQL: each new connection looks whether the schema and the encoding are of use to
         * this program; if not, the store counts as away, and store_unfit() says why. */
        bool check_fit;
        /* PostgreSQL: folders in which a file `timeline` keeps the highest one seen, so that an old
         * primary that comes back counts as away. Valid as long as the store; each may be NULL. */
        const char *timeline_folders[2];
        bool timeline_read_only; /* these files are gone by, and left as they are */
} StoreOptions;

/* url: "sqlite:/path", "postgresql://..." or "postgres://..." as libpq has them, or "fake:" (in
 * memory, tests). Opens no connection yet.
 * -EINVAL: the URL names no known store. -ELIBACC: libpq, which it needs, cannot be loaded. A path
 * that no file can have, however long one waits: -EISDIR (a folder), -ENOTDIR (a file is taken for
 * one), -ENXIO (a device, pipe or socket), -ENAMETOOLONG, -ELOOP. */
int store_new(const char *url, const StoreOptions *options, Store **ret) _must_check_;
/* What is wrong with the URL, to be read behind it, by store_new()'s result. */
const char *store_refusal(int result);
Store *store_free(Store *store); /* after its last session */
DEFINE_CLEANUP(Store, store_free)

/* The URL as it may be shown: without a password. Valid as long as the store. */
const char *store_url_shown(const Store *store);

/* -ENOMEM. Connects at the first verb, and again after a connection was lost: a store that is away
 * shows as -EHOSTDOWN of the verbs, with its reason in store_session_error(). STORE_BAD_SCHEMA is
 * not checked here. hooks are copied; NULL: none. */
int store_session_new(Store *store, const StoreHooks *hooks, StoreSession **ret) _must_check_;
StoreSession *store_session_free(StoreSession *session);
/* How many sessions are connected now: to the server, or with the file open. Any thread. */
unsigned store_n_connected(const Store *store);
/* And how many are not, because the server has as many connections as it takes. Any thread. */
unsigned store_n_crowded(const Store *store);
bool store_session_is_connected(const StoreSession *session);
/* For a session that has had nothing to do for a while: was its connection ended meanwhile? Then it
 * is none any more, and keeps nobody else from saying that the server is away. Does not wait. */
void store_session_look(StoreSession *session);
/* Tries to connect a session that has no connection, if the last ones who tried were told that
 * there are too many. false: there still are, and other sessions of this process have theirs: what
 * is to be done had best be left to them. What else is wrong, the next verb says. */
bool store_session_has_room(StoreSession *session) _must_check_;
DEFINE_CLEANUP(StoreSession, store_session_free)

/* Who changes something by the next verbs, for the audit. */
typedef struct StoreActor {
        int64_t token_id, user_id; /* of the token; 0: none */
        Slice name;                /* see Audit.actor */
        Slice request_id;          /* data == NULL: none */
} StoreActor;
/* Each change of a link, user or token, and each created event of type redirect, leaves a row of
 * the audit in its transaction. NULL: somebody "unknown". Texts are borrowed until the next call.
 * All imports until then are one, with one row. */
void store_session_actor(StoreSession *session, const StoreActor *actor);

/* CLOCK_MONOTONIC usec at which the next verbs give up; 0: none. Stays until set again. */
void store_session_deadline(StoreSession *session, uint64_t deadline_usec);

/* Since when (CLOCK_MONOTONIC usec) the session is inside a verb; 0: it is not. Any thread may ask.
 */
uint64_t store_session_busy_since(const StoreSession *session);

/* Why the last verb of this session failed, for the log; never NULL. */
const char *store_session_error(const StoreSession *session);
/* The same; if it did not even ask (the breaker, a pause between tries to connect), what the store
 * last said to anybody. */
void store_session_cause(const StoreSession *session, char *ret, size_t size);

/* The breaker opens after STORE_BREAKER_FAILURES verbs in a row that ended in -EHOSTDOWN, -EBUSY or
 * -ETIMEDOUT, or pings that ended in -EIO; then every verb answers -EHOSTDOWN at once, but one
 * probe each STORE_BREAKER_USEC. A session that the server has no connection for, while others of
 * this process have theirs, is -EHOSTDOWN too, but says nothing about the server. Nor does what the
 * server itself ended because it took too long: it is there. */
#define STORE_BREAKER_FAILURES 3u
#define STORE_BREAKER_USEC     250000ULL
bool store_is_up(const Store *store); /* any thread; true until the breaker opens */
/* And not only because nobody has asked since the server fell silent; see store_sight(). Any
 * thread. */
bool store_is_reachable(const Store *store);
/* A verb has not come back in its time (a driver or the kernel hangs) and its caller was answered
 * without it: for the breaker that is a failure. Any thread. */
void store_note_hang(Store *store);

/* -EIO: nothing can be read, the store is damaged (or no database): it counts as away. */
int store_ping(StoreSession *session) _must_check_;

/* What the server has room for, in connections. */
typedef struct StoreCapacity {
        int64_t max;      /* that it takes at all */
        int64_t reserved; /* of those, for superusers */
        int64_t limit;    /* of our role or database; -1: none of its own */
        int64_t in_use;   /* by whomever */
} StoreCapacity;
/* STORE_NOT_FOUND: this store has no such limits. */
int store_capacity(StoreSession *session, StoreCapacity *ret) _must_check_;

/* ---- schema ---- */

typedef struct StoreSchema {
        int version;   /* 0: none */
        int supported; /* what this program brings */
        int oldest;    /* the oldest it can run on */
} StoreSchema;

/* STORE_BAD_SCHEMA: another program's database. */
int store_schema(StoreSession *session, StoreSchema *ret) _must_check_;
/* Can this program run on it? If not, why, to be read behind the name of the store. ran: it has run
 * on this store before; then a newer schema is one that a later release has brought meanwhile, and
 * leaves what this one needs. */
#define STORE_WHY_SIZE 256 /* bytes that hold any of these reasons, NUL included */
bool store_schema_fits(const StoreSchema *schema, bool ran, char *ret_why, size_t size);
/* Has the store been seen with a schema or encoding that is of no use (check_fit), and not been
 * seen with a better one since? Then it counts as away. Any thread. */
bool store_unfit(Store *store, char *ret_why, size_t size);
/* Applies the migrations up to store's newest; each is one transaction. *ret_n: how many ran. */
int store_migrate(StoreSession *session, int *ret_n) _must_check_;

/* ---- conditions ---- */

/* What must be true of the row that is changed (a User or a Url, as its verb "get" returns it).
 * Asked once, in the transaction of the change, when nobody else can change the row any more.
 * holds() answers 1; 0: the verb does nothing and is STORE_UNMET; or -errno, which the verb then
 * is. A row that is not there is STORE_NOT_FOUND without asking. */
typedef struct StoreCondition {
        int (*holds)(void *userdata, const void *row);
        void *userdata;
} StoreCondition;

/* ---- what is done once ---- */

#define STORE_KEY_SIZE 32u /* bytes of a digest */

typedef struct StoreAnswer {
        int status;
        Slice body;
} StoreAnswer;

/* A request that is done once: as long as its key is remembered, it has the answer that it had.
 * Only what was done is remembered, in the transaction of the change. */
typedef struct StoreKey {
        uint8_t name[STORE_KEY_SIZE];    /* SHA-256 of who asks, for what, and the key */
        uint8_t request[STORE_KEY_SIZE]; /* SHA-256 of what is asked */
        int64_t now_sec, expires_sec;
        /* The answer with the row (User, Url or Event) that was made; its body is the callee's and
         * stays until the verb has ended. 0 or -errno, with which the verb fails. */
        int (*answer)(void *userdata, const void *row, StoreAnswer *ret);
        void *userdata;
} StoreKey;

/* The answer, in the arena; answer() is not called. STORE_NOT_FOUND, STORE_KEY_OTHER. */
int store_key_find(StoreSession *session, Arena *arena, const StoreKey *key,
                   StoreAnswer *ret) _must_check_;
/* Forgets some of those whose time is over. *ret_more: there may be more of them. */
int store_keys_tidy(StoreSession *session, int64_t now_sec, bool *ret_more) _must_check_;

/* ---- lists ---- */

/* Filters and window of a list. Set a filter's has_ flag for it to count. */
typedef struct StoreQuery {
        bool has_after;
        int64_t after;  /* rows behind this id in the list's order; offset is then 0 */
        int64_t offset; /* rows skipped */
        int64_t limit;  /* 0 to 100 by the API; any for exports */
        bool has_user_id, has_url_id, has_active;
        int64_t user_id, url_id;
        bool is_active;
        Slice type; /* event_type; data == NULL: any */
} StoreQuery;

/* Rows that match without window: exact for an unfiltered list (a kept counter); with a filter
 * exact up to STORE_TOTAL_EXACT, beyond that -1. */
#define STORE_TOTAL_EXACT 10000

/* ---- users ---- */

int store_user_create(StoreSession *session, Arena *arena, Slice username, Slice email,
                      int64_t created_sec, User *ret) _must_check_;
/* key may be NULL. As above with user's username, email and created_sec, and STORE_KEY_USED,
 * STORE_KEY_BUSY. */
int store_user_create_once(StoreSession *session, Arena *arena, const User *user,
                           const StoreKey *key, User *ret) _must_check_;
int store_user_get(StoreSession *session, Arena *arena, int64_t id, User *ret) _must_check_;

/* data == NULL: unchanged. Nothing set: the row as it is. */
typedef struct StoreUserChange {
        Slice username;
        Slice email;
        const StoreCondition *condition; /* NULL: none */
} StoreUserChange;
/* STORE_NOT_FOUND, STORE_UNMET, STORE_USERNAME_TAKEN, STORE_EMAIL_TAKEN. */
int store_user_update(StoreSession *session, Arena *arena, int64_t id,
                      const StoreUserChange *change, User *ret) _must_check_;
int store_user_delete(StoreSession *session, int64_t id) _must_check_;
/* condition may be NULL. STORE_NOT_FOUND, STORE_UNMET. */
int store_user_delete_if(StoreSession *session, int64_t id,
                         const StoreCondition *condition) _must_check_;
/* Ascending id. *ret_rows in the arena. ret_total may be NULL (then it is not counted). */
int store_user_list(StoreSession *session, Arena *arena, const StoreQuery *query, User **ret_rows,
                    size_t *ret_n, int64_t *ret_total) _must_check_;

/* Rows that one transaction of an import had best have, at most STORE_IMPORT_ROWS_MAX: SQLite lets
 * nobody else write meanwhile; for PostgreSQL a transaction's round trips and its sync are what
 * costs (tests/bench/postgres.py imports: with 1,000 it takes 4.5 times as long as psql). */
#define STORE_IMPORT_ROWS_MAX 10000u
size_t store_import_rows(const Store *store);

/* Rows of an import. result is set for each: STORE_OK, STORE_USERNAME_TAKEN, STORE_EMAIL_TAKEN,
 * STORE_REFUSED (id taken or out of range). A row that went in has its id. */
typedef struct StoreUserRow {
        User user; /* id 0: the next one; else this id (imports by shortenerctl) */
        StoreResult result;
} StoreUserRow;
/* One transaction for all n; the others go in when some are refused. */
int store_users_import(StoreSession *session, StoreUserRow *rows, size_t n) _must_check_;

/* ---- urls ---- */

/* url: user_id, code, target, location, title, created_sec = updated_sec; is_active is true.
 * details: of the event "created". STORE_NO_USER, STORE_CODE_TAKEN. ret->id is set; the rest of
 * *ret is copied from *url. */
int store_url_create(StoreSession *session, const Url *url, Slice details, Url *ret) _must_check_;

/* A link that is to be made. */
typedef struct StoreUrlNew {
        const Url *url; /* as above */
        Slice details;
        int64_t user_max; /* links, active or not, that its user may have with it; 0: any number */
} StoreUrlNew;
/* key may be NULL. As above, and STORE_KEY_USED, STORE_KEY_BUSY, STORE_FULL. The user's links are
 * counted in the transaction, up to user_max, by nobody else at the same time. */
int store_url_create_once(StoreSession *session, const StoreUrlNew *new, const StoreKey *key,
                          Url *ret) _must_check_;
int store_url_get(StoreSession *session, Arena *arena, int64_t id, Url *ret) _must_check_;
int store_url_get_by_code(StoreSession *session, Arena *arena, Slice code, Url *ret) _must_check_;

typedef struct StoreUrlChange {
        bool has_target, has_title, has_active;
        Slice target, location;
        Slice title; /* data == NULL: null */
        bool is_active;
        int64_t now_sec;
        /* Details of the events "updated", one per named field: target, title, active. */
        Slice target_details, title_details, active_details;
        const StoreCondition *condition; /* NULL: none */
} StoreUrlChange;
/* Only the named columns are written, so that parallel changes of others survive. Event order: as
 * the fields above. updated_at moves always. STORE_NOT_FOUND, STORE_UNMET. */
int store_url_update(StoreSession *session, Arena *arena, int64_t id, const StoreUrlChange *change,
                     Url *ret) _must_check_;
/* Soft delete and event "deleted"; STORE_NOT_FOUND also when it was inactive already. */
int store_url_retire(StoreSession *session, int64_t id, int64_t now_sec,
                     Slice details) _must_check_;
/* condition may be NULL. STORE_NOT_FOUND, STORE_UNMET. */
int store_url_retire_if(StoreSession *session, int64_t id, int64_t now_sec, Slice details,
                        const StoreCondition *condition) _must_check_;
int store_url_list(StoreSession *session, Arena *arena, const StoreQuery *query, Url **ret_rows,
                   size_t *ret_n, int64_t *ret_total) _must_check_;
/* Events of type redirect of the url (a kept total), with the url. STORE_NOT_FOUND. */
int store_url_stats(StoreSession *session, Arena *arena, int64_t id, Url *ret,
                    int64_t *ret_redirects) _must_check_;

/* links[i].code is given; the rest is filled (id 0 where there is none); one query for all. */
int store_urls_by_codes(StoreSession *session, Arena *arena, Link *links, size_t n) _must_check_;

/* Active links for a warm-up, hottest first, at most limit; each() returning non-zero ends it. */
int store_codes_each(StoreSession *session, int64_t limit,
                     int (*each)(void *userdata, const Link *link), void *userdata) _must_check_;

/* An import row. id 0: the next one. redirects: 0. result: STORE_OK, STORE_CODE_TAKEN,
 * STORE_NO_USER, STORE_REFUSED (id taken or out of range). A row that went in has its id. */
typedef struct StoreUrlRow {
        Url url;
        StoreResult result;
} StoreUrlRow;
/* One transaction; each row that goes in also leaves its event "created" when
 * with_events (an export brings its own events). */
int store_urls_import(StoreSession *session, StoreUrlRow *rows, size_t n,
                      bool with_events) _must_check_;

/* ---- events ---- */

/* event: url_id, user_id, type, timestamp_sec, details. STORE_NO_URL, STORE_NO_USER. A type of
 * "redirect" moves the url's total. ret->id is set, the rest copied. */
int store_event_create(StoreSession *session, const Event *event, Event *ret) _must_check_;
/* key may be NULL. As above, and STORE_KEY_USED, STORE_KEY_BUSY. */
int store_event_create_once(StoreSession *session, const Event *event, const StoreKey *key,
                            Event *ret) _must_check_;
/* Newest id first; after = ids below it. */
int store_event_list(StoreSession *session, Arena *arena, const StoreQuery *query, Event **ret_rows,
                     size_t *ret_n, int64_t *ret_total) _must_check_;

typedef struct StoreEventRow {
        Event event;        /* id 0: the next one */
        StoreResult result; /* STORE_OK, STORE_NO_URL, STORE_REFUSED (id taken or out of range) */
} StoreEventRow;
int store_events_import(StoreSession *session, StoreEventRow *rows, size_t n) _must_check_;

/* A step of what has to be done from time to time, by one of all processes: partitions for the days
 * to come are made, and visits from before a time are dropped (0: none); the totals of links and
 * lists stay exact. *ret_more: there is more to do. -EAGAIN: others are at it, or in
 * the way: later. Without partitions (SQLite) it does nothing. */
int store_events_tidy(StoreSession *session, int64_t before_sec, bool *ret_more) _must_check_;
/* Can it drop visits? */
bool store_can_drop(const Store *store);

/* ---- tokens ---- */

/* token: all but id, used_sec and revoked_sec. STORE_NO_USER. A load leaves tokens as they are. */
int store_token_create(StoreSession *session, const Token *token, int64_t *ret_id) _must_check_;
/* Also one that is revoked or expired. STORE_NOT_FOUND: none, or its user is gone. */
int store_token_find(StoreSession *session, Arena *arena, const uint8_t digest[TOKEN_DIGEST_SIZE],
                     Token *ret) _must_check_;
/* It was used. STORE_NOT_FOUND. */
int store_token_use(StoreSession *session, int64_t id, int64_t now_sec) _must_check_;
/* STORE_NOT_FOUND also when it was revoked already. */
int store_token_revoke(StoreSession *session, int64_t id, int64_t now_sec) _must_check_;
/* Ascending id; the query's after, limit and user_id count. */
int store_token_list(StoreSession *session, Arena *arena, const StoreQuery *query, Token **ret_rows,
                     size_t *ret_n) _must_check_;

/* ---- audit ---- */

typedef struct StoreAuditQuery {
        bool has_after; /* rows behind this one in the list's order, the last one of a page */
        int64_t after_sec, after_id;
        int64_t since_sec;         /* this time or later; 0: any */
        int64_t until_sec;         /* before this time; 0: any */
        Slice actor;               /* Audit.actor; data == NULL: any */
        int64_t token_id, user_id; /* of the actor; 0: any */
        Slice kind;                /* data == NULL: any object */
        int64_t object_id;         /* of kind */
        Slice request_id;          /* data == NULL: any */
        int64_t limit;
} StoreAuditQuery;
/* Newest first: by time, then id, both falling. Times and objects are found by an index; what an
 * actor or a request did is looked for from the newest row on. */
int store_audit_list(StoreSession *session, Arena *arena, const StoreAuditQuery *query,
                     Audit **ret_rows, size_t *ret_n) _must_check_;
/* Drops some of the rows from before a time, the oldest first; *ret_more: there may be more. */
int store_audit_tidy(StoreSession *session, int64_t before_sec, bool *ret_more) _must_check_;

/* ---- everything at once (seed) ---- */

/* The imports between begin and commit become ONE transaction. begin: STORE_NOT_EMPTY unless
 * replace, which empties all tables first (the sequences go on; spools keep their position, with
 * nothing counted before it). Rollback is store_session_free() or store_load_end(commit = false).
 * Meanwhile the session may read; other changes are -EINVAL. After an import that ended in a
 * negative result only the rollback is left. */
int store_load_begin(StoreSession *session, bool replace) _must_check_;
int store_load_end(StoreSession *session, bool commit) _must_check_;

typedef struct StoreTotals {
        int64_t users, urls, active_urls, events, redirects;
} StoreTotals;
/* The kept counters; O(1). */
int store_totals(StoreSession *session, StoreTotals *ret) _must_check_;

/* ---- visits ---- */

#define STORE_SPOOL_ID_SIZE 16 /* bytes of a spool's uuid */

typedef struct StoreClick {
        uint64_t seq;
        int64_t url_id;
        int64_t time_sec;
        Slice details;    /* details_redirect() */
        Slice request_id; /* may be empty */
} StoreClick;

/* How far a spool is shipped; the proof is next_seq - first_seq = rows + shed + bad + damaged. */
typedef struct StoreOffset {
        uint8_t spool[STORE_SPOOL_ID_SIZE];
        uint64_t first_seq, next_seq;
        uint64_t rows, shed, bad, damaged;
} StoreOffset;

typedef struct StoreBatch {
        uint8_t spool[STORE_SPOOL_ID_SIZE];
        uint64_t first_seq; /* of the spool: the row's value when it is new */
        uint64_t from_seq;  /* the batch covers [from_seq, upto_seq): clicks and the counts below */
        uint64_t upto_seq;
        const StoreClick *clicks; /* seq ascending */
        size_t n_clicks;
        uint64_t shed, bad, damaged; /* from_seq + n_clicks + shed + bad + damaged == upto_seq */
} StoreBatch;

/* One transaction: rows, totals and position. If the kept next_seq is not from_seq, nothing is
 * written, *ret_next_seq is the kept one and the result is STORE_CONFLICT_POSITION: read on from
 * there. STORE_REFUSED: a row was refused for what is in it (nothing was written; halve the batch).
 * An unknown url_id is no reason to refuse: the row is kept. The owner is looked up here.
 * Ends early when n_waiting() says so: then fewer rows were written; *ret_next_seq tells.
 * It can only do so where it knows what the missing seqs before that place are: give each batch one
 * kind of shed, bad and damaged. -EINVAL: the counts contradict the range. -EAGAIN: another process
 * ships this spool just now; nothing was done. */
#define STORE_CONFLICT_POSITION 20
int store_clicks_append(StoreSession *session, const StoreBatch *batch,
                        uint64_t *ret_next_seq) _must_check_;

/* STORE_NOT_FOUND: never shipped. */
int store_offset_get(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE],
                     StoreOffset *ret) _must_check_;
int store_offset_list(StoreSession *session, Arena *arena, StoreOffset **ret,
                      size_t *ret_n) _must_check_;
/* When the last segment of the spool is gone. */
int store_offset_delete(StoreSession *session,
                        const uint8_t spool[STORE_SPOOL_ID_SIZE]) _must_check_;

/* For `clicks verify`; has nothing to do with who changed what. */
typedef struct StoreAudit {
        int64_t duplicates;      /* rows beyond the first of one (spool, seq) */
        int64_t rows_per_spools; /* events that came from spools */
        int64_t total_drift;     /* links whose kept total is not the count of their events */
        int64_t list_drift;      /* kept list counters that are off, summed absolute */
        StoreOffset *offsets;    /* all, in the arena; of the moment that is counted */
        int64_t *rows_of_spool;  /* events that are there of offsets[i] */
        size_t n_offsets;
} StoreAudit;
/* Counts everything again; slow. */
int store_audit(StoreSession *session, Arena *arena, StoreAudit *ret) _must_check_;
