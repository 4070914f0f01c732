/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How a verb of the in-memory store gets at the data: one lock for all, taken at its begin and let
 * go at its end. A load works on a copy that replaces the data when it is committed; until then
 * other sessions read what was there, and their writes are -EBUSY.
 */

#include "store/fake/data.h"
#include "store/ops.h"

typedef struct Fake {
        atomic_flag lock;
        FakeData *data;             /* what is committed; under the lock */
        const StoreSession *loader; /* inside a load; under the lock */

        /* Faults on demand. */
        atomic_int fail_result;
        atomic_uint n_fail;
        atomic_bool blocked;
} Fake;

typedef struct FakeSession {
        StoreSession session;
        FakeData *draft; /* of a load; NULL: none runs */
} FakeSession;

/* Takes the lock. On success a fake_end_...() must follow. */
int fake_begin_read(StoreSession *session, FakeData **ret) _must_check_;
void fake_end_read(StoreSession *session);

/* A writer that clients wait for, with its hooks. */
int fake_begin_write(StoreSession *session, FakeData **ret) _must_check_;
/* result == 0 is the commit: the redirects of these codes change. Returns result. */
int fake_end_write(StoreSession *session, int result, const Slice *codes, size_t n);
/* Of a transaction that has made the links of these codes, and changed none. */
int fake_end_making(StoreSession *session, int result, const Slice *codes, size_t n);

/* As fake_begin_write(), and STORE_KEY_USED, which has ended. key may be NULL. */
int fake_begin_once(StoreSession *session, const StoreKey *key, FakeData **ret) _must_check_;
/* As fake_end_making(), and keeps the key with row. */
int fake_end_once(StoreSession *session, FakeData *data, const StoreKey *key, int result,
                  const void *row, const Slice *codes, size_t n);

/* The shipper. */
int fake_begin_ship(StoreSession *session, FakeData **ret) _must_check_;

/* Imports work on a copy: all of it or nothing. end() takes the copy. */
int fake_begin_import(StoreSession *session, FakeData **ret) _must_check_;
int fake_end_import(StoreSession *session, FakeData *draft, int result, const Slice *codes,
                    size_t n);

/* ---- the audit's row of a change (audit.c) ----
 * It goes in first, since the change itself cannot fail any more; fake_pop_audit() if it does. */

int fake_audit_url(StoreSession *session, FakeData *data, const char *action, const Url *old,
                   const Url *new) _must_check_;
int fake_audit_user(StoreSession *session, FakeData *data, const char *action, const User *old,
                    const User *new) _must_check_;
int fake_audit_token(StoreSession *session, FakeData *data, const char *action, const Token *old,
                     const Token *new) _must_check_;
int fake_audit_event(StoreSession *session, FakeData *data, const Event *event) _must_check_;
/* Makes or moves the row of the import that runs, in the import's draft. */
int fake_audit_import(StoreSession *session, FakeData *data, const AuditCounts *more) _must_check_;
int fake_audit_load(StoreSession *session, FakeData *data, const StoreTotals *was) _must_check_;

/* ---- the verbs, by topic ---- */

int fake_user_create(StoreSession *session, Arena *arena, const User *user, const StoreKey *key,
                     User *ret);
int fake_user_get(StoreSession *session, Arena *arena, int64_t id, User *ret);
int fake_user_update(StoreSession *session, Arena *arena, int64_t id, const StoreUserChange *change,
                     User *ret);
int fake_user_delete(StoreSession *session, int64_t id, const StoreCondition *condition);
int fake_user_list(StoreSession *session, Arena *arena, const StoreQuery *query, User **ret_rows,
                   size_t *ret_n, int64_t *ret_total);
int fake_users_import(StoreSession *session, StoreUserRow *rows, size_t n);

int fake_url_create(StoreSession *session, const StoreUrlNew *new, const StoreKey *key, Url *ret);
int fake_url_get(StoreSession *session, Arena *arena, int64_t id, Url *ret);
int fake_url_get_by_code(StoreSession *session, Arena *arena, Slice code, Url *ret);
int fake_url_update(StoreSession *session, Arena *arena, int64_t id, const StoreUrlChange *change,
                    Url *ret);
int fake_url_retire(StoreSession *session, int64_t id, int64_t now_sec, Slice details,
                    const StoreCondition *condition);
int fake_url_list(StoreSession *session, Arena *arena, const StoreQuery *query, Url **ret_rows,
                  size_t *ret_n, int64_t *ret_total);
int fake_url_stats(StoreSession *session, Arena *arena, int64_t id, Url *ret,
                   int64_t *ret_redirects);
int fake_urls_by_codes(StoreSession *session, Arena *arena, Link *links, size_t n);
int fake_codes_each(StoreSession *session, int64_t limit,
                    int (*each)(void *userdata, const Link *link), void *userdata);
int fake_urls_import(StoreSession *session, StoreUrlRow *rows, size_t n, bool with_events);

int fake_event_create(StoreSession *session, const Event *event, const StoreKey *key, Event *ret);
int fake_event_list(StoreSession *session, Arena *arena, const StoreQuery *query, Event **ret_rows,
                    size_t *ret_n, int64_t *ret_total);
int fake_events_import(StoreSession *session, StoreEventRow *rows, size_t n);

int fake_key_find(StoreSession *session, Arena *arena, const StoreKey *key, StoreAnswer *ret);
int fake_keys_tidy(StoreSession *session, int64_t now_sec, bool *ret_more);

int fake_token_create(StoreSession *session, const Token *token, int64_t *ret_id);
int fake_token_find(StoreSession *session, Arena *arena, const uint8_t *digest, Token *ret);
int fake_token_use(StoreSession *session, int64_t id, int64_t now_sec);
int fake_token_revoke(StoreSession *session, int64_t id, int64_t now_sec);
/* In the caller's change, those of a user who goes (0: of all). */
int fake_tokens_end(StoreSession *session, FakeData *data, int64_t user_id);
int fake_token_list(StoreSession *session, Arena *arena, const StoreQuery *query, Token **ret_rows,
                    size_t *ret_n);

int fake_audit_list(StoreSession *session, Arena *arena, const StoreAuditQuery *query,
                    Audit **ret_rows, size_t *ret_n);
int fake_audit_tidy(StoreSession *session, int64_t before_sec, bool *ret_more);

int fake_clicks_append(StoreSession *session, const StoreBatch *batch, uint64_t *ret_next_seq);
int fake_offset_get(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE],
                    StoreOffset *ret);
int fake_offset_list(StoreSession *session, Arena *arena, StoreOffset **ret, size_t *ret_n);
int fake_offset_delete(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE]);
int fake_audit(StoreSession *session, Arena *arena, StoreAudit *ret);

/* ---- windows of lists ---- */

/* Walks through a list: which of the matching rows are in the window, and how many match. */
typedef struct FakeWindow {
        int64_t skip, room; /* rows to leave out, rows that may still come in */
        int64_t n_matches;
} FakeWindow;

FakeWindow fake_window(const StoreQuery *query);
/* How many rows the window can hold at most; at least 1. */
size_t fake_window_rows(const FakeWindow *window, const FakeTable *table);
/* One more row matches, behind `after` or not; is it in the window? */
bool fake_window_admits(FakeWindow *window, bool behind);
/* The total as the list's verb answers it. */
int64_t fake_window_total(const FakeWindow *window, bool filtered);
