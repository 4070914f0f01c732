/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What store.c and the drivers (fake/, sqlite/, postgres/) share: the table of verbs that a driver
 * fills, and the parts of Store and StoreSession that all drivers have. Nobody outside src/store
 * includes it, but its tests.
 *
 * verb.c does what is the same for every driver: the breaker, the check of the deadline at the
 * verb's begin, the mark that the session is busy. A driver's function has the contract of its verb
 * in store.h and never sees a deadline that has passed already.
 */

#include <stdatomic.h>

#include "basic/buffer.h"
#include "model/audit.h"
#include "store/store.h"
#include "store/watch.h"

#define STORE_ONGOING    256u           /* places for keys; more than there are workers */
#define STORE_ERROR_SIZE STORE_WHY_SIZE /* bytes of a session's error text, NUL included */

/* One transaction of clicks: at most so many rows, or so long; how many rows go in whoever waits,
 * so that a shipper beside busy writers still moves; how often it looks. */
#define STORE_APPEND_ROWS      500u
#define STORE_APPEND_USEC      5000ULL
#define STORE_APPEND_ROWS_MIN  128u
#define STORE_APPEND_ROWS_LOOK 16u

#define STORE_EVENT_REDIRECT SLICE("redirect")
#define STORE_EVENT_CREATED  SLICE("created")
#define STORE_EVENT_UPDATED  SLICE("updated")
#define STORE_EVENT_DELETED  SLICE("deleted")

#define STORE_ID_MAX MODEL_ID_MAX

typedef struct StoreOps {
        const char *scheme; /* of the URL, with its colon */
        size_t import_rows; /* see store_import_rows() */

        /* store->place is what follows the scheme. Results as of store_new(). */
        int (*open)(Store *store);
        void (*close)(Store *store);
        void (*expect_up)(Store *store); /* NULL: it connects whenever it is asked to */
        int (*session_new)(Store *store, StoreSession **ret);
        void (*session_free)(StoreSession *session);
        /* NULL, all: whoever wants a connection has one. */
        bool (*is_connected)(const StoreSession *session);
        void (*look)(StoreSession *session); /* gives up a connection that was ended */
        int (*ready)(StoreSession *session); /* connects; 0, or what a verb would be */

        int (*ping)(StoreSession *session);
        int (*schema)(StoreSession *session, StoreSchema *ret);
        int (*migrate)(StoreSession *session, int *ret_n);
        int (*capacity)(StoreSession *session, StoreCapacity *ret); /* NULL: without limits */

        int (*user_create)(StoreSession *session, Arena *arena, const User *user,
                           const StoreKey *key, User *ret);
        int (*user_get)(StoreSession *session, Arena *arena, int64_t id, User *ret);
        int (*user_update)(StoreSession *session, Arena *arena, int64_t id,
                           const StoreUserChange *change, User *ret);
        int (*user_delete)(StoreSession *session, int64_t id, const StoreCondition *condition);
        int (*user_list)(StoreSession *session, Arena *arena, const StoreQuery *query,
                         User **ret_rows, size_t *ret_n, int64_t *ret_total);
        int (*users_import)(StoreSession *session, StoreUserRow *rows, size_t n);

        int (*url_create)(StoreSession *session, const StoreUrlNew *new, const StoreKey *key,
                          Url *ret);
        int (*url_get)(StoreSession *session, Arena *arena, int64_t id, Url *ret);
        int (*url_get_by_code)(StoreSession *session, Arena *arena, Slice code, Url *ret);
        int (*url_update)(StoreSession *session, Arena *arena, int64_t id,
                          const StoreUrlChange *change, Url *ret);
        int (*url_retire)(StoreSession *session, int64_t id, int64_t now_sec, Slice details,
                          const StoreCondition *condition);
        int (*url_list)(StoreSession *session, Arena *arena, const StoreQuery *query,
                        Url **ret_rows, size_t *ret_n, int64_t *ret_total);
        int (*url_stats)(StoreSession *session, Arena *arena, int64_t id, Url *ret,
                         int64_t *ret_redirects);
        int (*urls_by_codes)(StoreSession *session, Arena *arena, Link *links, size_t n);
        int (*codes_each)(StoreSession *session, int64_t limit,
                          int (*each)(void *userdata, const Link *link), void *userdata);
        int (*urls_import)(StoreSession *session, StoreUrlRow *rows, size_t n, bool with_events);

        int (*event_create)(StoreSession *session, const Event *event, const StoreKey *key,
                            Event *ret);
        int (*event_list)(StoreSession *session, Arena *arena, const StoreQuery *query,
                          Event **ret_rows, size_t *ret_n, int64_t *ret_total);
        int (*events_import)(StoreSession *session, StoreEventRow *rows, size_t n);

        int (*token_create)(StoreSession *session, const Token *token, int64_t *ret_id);
        int (*token_find)(StoreSession *session, Arena *arena, const uint8_t *digest, Token *ret);
        int (*token_use)(StoreSession *session, int64_t id, int64_t now_sec);
        int (*token_revoke)(StoreSession *session, int64_t id, int64_t now_sec);
        int (*token_list)(StoreSession *session, Arena *arena, const StoreQuery *query,
                          Token **ret_rows, size_t *ret_n);

        /* has_after is set, and until_sec of no more interest. */
        int (*audit_list)(StoreSession *session, Arena *arena, const StoreAuditQuery *query,
                          Audit **ret_rows, size_t *ret_n);
        int (*audit_tidy)(StoreSession *session, int64_t before_sec, bool *ret_more);
        int (*key_find)(StoreSession *session, Arena *arena, const StoreKey *key, StoreAnswer *ret);
        int (*keys_tidy)(StoreSession *session, int64_t now_sec, bool *ret_more);

        int (*load_begin)(StoreSession *session, bool replace);
        int (*load_end)(StoreSession *session, bool commit);
        int (*totals)(StoreSession *session, StoreTotals *ret);

        int (*clicks_append)(StoreSession *session, const StoreBatch *batch,
                             uint64_t *ret_next_seq);
        int (*offset_get)(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE],
                          StoreOffset *ret);
        int (*offset_list)(StoreSession *session, Arena *arena, StoreOffset **ret, size_t *ret_n);
        int (*offset_delete)(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE]);
        int (*audit)(StoreSession *session, Arena *arena, StoreAudit *ret);

        /* NULL: nothing to do. */
        int (*events_tidy)(StoreSession *session, int64_t before_sec, bool *ret_more);

        /* NULL: the driver cannot watch. Outside of the breaker. */
        int (*watch)(StoreSession *session, uint64_t timeout_usec,
                     void (*changed)(void *userdata, Slice code, bool made), void *userdata,
                     bool *ret_began);
} StoreOps;

struct Store {
        const StoreOps *ops;
        char *url;
        const char *place; /* what follows the scheme in url */
        const char *shown; /* the URL without a password; the driver's, NULL: url */
        StoreOptions options;
        void *data; /* the driver's */

        atomic_uint n_connected; /* sessions; the driver counts */
        atomic_uint n_crowded;   /* sessions that have none, for lack of room */

        /* The breaker; any thread. */
        atomic_uint n_failures;           /* verbs in a row that found the store away */
        _Atomic uint64_t next_probe_usec; /* CLOCK_MONOTONIC; 0: closed */

        /* What it last said to a verb that found it away. */
        atomic_flag cause_lock; /* held while it, or unfit, is copied */
        char cause[STORE_ERROR_SIZE];

        /* Why its schema is of no use; see fit.c. */
        atomic_bool is_unfit;
        char unfit[STORE_ERROR_SIZE];

        /* Keys of what is being done just now; see once.c. */
        _Atomic uint64_t ongoing[STORE_ONGOING];

        /* Whether changes of other hosts are heard of; see store_sight(). */
        atomic_int sight;
        _Atomic uint64_t seen_usec; /* CLOCK_MONOTONIC */
};

/* The one audit row of an import that may be many transactions. */
typedef struct StoreImport {
        int64_t audit_id;  /* 0: there is none yet */
        int64_t audit_sec; /* its time */
        AuditCounts counts;
} StoreImport;

/* The first member of each driver's session. */
struct StoreSession {
        Store *store;
        StoreHooks hooks;
        void *pass; /* of hooks.enter(); NULL: none */
        StoreActor actor;
        Buffer old_fields, new_fields;    /* of the audit row that is being made */
        StoreImport import;               /* what is committed (in a load: done) */
        StoreImport import_next;          /* by the verb that runs */
        bool crowded;                     /* counted in n_crowded */
        bool not_asked;                   /* error is not what the store said */
        bool spared;                      /* the failure is this call's alone: others go on */
        uint64_t deadline_usec;           /* CLOCK_MONOTONIC; 0: none */
        _Atomic uint64_t busy_since_usec; /* CLOCK_MONOTONIC; 0: outside a verb */
        char error[STORE_ERROR_SIZE];
};

extern const StoreOps store_fake_ops;
extern const StoreOps store_sqlite_ops;
extern const StoreOps store_postgres_ops[2]; /* one for each scheme */

/* Keeps the reason for store_session_error(). */
void store_session_set_error(StoreSession *session, const char *format, ...) _printf_(2, 3);

/* The session's error is what the store says to all who ask just now. */
void store_session_keep_cause(StoreSession *session);

/* What store_unfit() says from now on; the breaker opens, or closes again. Any thread. */
void store_set_unfit(Store *store, const char *why);
void store_set_fit(Store *store);

/* The server has no connection for this session, or: it has one, or another reason not to. */
void store_session_set_crowded(StoreSession *session, bool crowded);

/* Has the session's deadline passed? */
bool store_session_expired(const StoreSession *session);

/* Does the condition, which may be NULL, hold for the row? 0, STORE_UNMET, or negative. */
int store_condition_check(const StoreCondition *condition, const void *row) _must_check_;
/* ---- the audit (audit.c) ---- */

/* Rows that one tidying transaction drops, so that it is short. */
#define STORE_AUDIT_TIDY_ROWS 1000u
#define STORE_KEYS_TIDY_ROWS  500u

/* The row of the audit for a change by this session, but for its id. Fields are borrowed from the
 * session until the next one is made. -ENOMEM. old NULL: it was made; new NULL: it is gone; both:
 * what they differ in. */
int store_note_url(StoreSession *session, const char *action, const Url *old, const Url *new,
                   Audit *ret) _must_check_;
int store_note_user(StoreSession *session, const char *action, const User *old, const User *new,
                    Audit *ret) _must_check_;
int store_note_token(StoreSession *session, const char *action, const Token *old, const Token *new,
                     Audit *ret) _must_check_;
int store_note_event(StoreSession *session, const Event *event, Audit *ret) _must_check_;
/* The row of the running import with these rows added; id 0: it is to be made, and its id goes into
 * session->import_next. */
int store_note_import(StoreSession *session, const AuditCounts *more, Audit *ret) _must_check_;
/* A load that replaces all there was. */
int store_note_load(StoreSession *session, const StoreTotals *was, Audit *ret) _must_check_;

/* ---- hooks, which may be absent ---- */

/* The hooks, where the session has them. Enter: 0 or -ETIMEDOUT (CLOCK_MONOTONIC; 0: never), with
 * its reason set. Leave: what was entered, if anything was. */
int store_hook_enter(StoreSession *session, uint64_t deadline_usec) _must_check_;
void store_hook_leave(StoreSession *session);
void store_hook_waiting(StoreSession *session, int delta);
unsigned store_hook_n_waiting(const StoreSession *session);
/* n == 0 with codes != NULL: no redirect changes, nothing is called. */
void store_hook_committing(StoreSession *session, const Slice *codes, size_t n);
void store_hook_making(StoreSession *session, const Slice *codes, size_t n);
void store_hook_committed(StoreSession *session, const Slice *codes, size_t n);

/* ---- batches of clicks, the same rules for every driver ---- */

/* Is what the batch says of its own range true? */
bool store_batch_valid(const StoreBatch *batch);

/* A row that no database takes: its numbers or its details are out of range. */
bool store_click_refused(const StoreClick *click);

/* The seq from which on nothing of the batch is accounted for, when its first n_rows clicks went in
 * (0 < n_rows < n_clicks), and how many of shed, bad and damaged lie before it; false when that
 * cannot be told because the gaps before it may be of several kinds: then go on with the next row.
 */
bool store_batch_cut(const StoreBatch *batch, size_t n_rows, StoreBatch *ret);
