/* SPDX-License-Identifier: MIT */

/*
 * The store as its callers see it: finds the driver by the URL's scheme and passes each verb on to
 * it. Knows no database, and logs nothing.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "basic/clock.h"
#include "store/verb.h"
#include "store/watch.h"

#define SEEN_ALWAYS (UINT64_MAX / 2) /* a store that only this host can change */

static const StoreOps *const drivers[] = {
                &store_sqlite_ops,
                &store_postgres_ops[0],
                &store_postgres_ops[1],
                &store_fake_ops,
};

/* ---- for the drivers ---- */

void store_session_set_error(StoreSession *session, const char *format, ...) {
        va_list args;

        va_start(args, format);
        (void)vsnprintf(session->error, sizeof(session->error), format, args);
        va_end(args);
}

void store_session_set_crowded(StoreSession *session, bool crowded) {
        if (session->crowded == crowded)
                return;
        session->crowded = crowded;
        if (crowded)
                atomic_fetch_add(&session->store->n_crowded, 1);
        else
                atomic_fetch_sub(&session->store->n_crowded, 1);
}

bool store_session_expired(const StoreSession *session) {
        return session->deadline_usec != 0 && clock_monotonic_usec() >= session->deadline_usec;
}

int store_hook_enter(StoreSession *session, uint64_t deadline_usec) {
        int r;

        if (!session->hooks.enter)
                return 0;
        r = session->hooks.enter(session->hooks.userdata, deadline_usec, &session->pass);
        if (r < 0)
                store_session_set_error(session, "the turn to write did not come in time");
        return r;
}

void store_hook_leave(StoreSession *session) {
        if (session->pass)
                session->hooks.leave(session->hooks.userdata, session->pass);
        session->pass = NULL;
}

void store_hook_waiting(StoreSession *session, int delta) {
        if (session->hooks.waiting)
                session->hooks.waiting(session->hooks.userdata, delta);
}

unsigned store_hook_n_waiting(const StoreSession *session) {
        return session->hooks.n_waiting ? session->hooks.n_waiting(session->hooks.userdata) : 0;
}

void store_hook_committing(StoreSession *session, const Slice *codes, size_t n) {
        if ((n > 0 || !codes) && session->hooks.committing)
                session->hooks.committing(session->hooks.userdata, codes, n);
}

void store_hook_making(StoreSession *session, const Slice *codes, size_t n) {
        if (n > 0 && codes && session->hooks.making)
                session->hooks.making(session->hooks.userdata, codes, n);
        else
                store_hook_committing(session, codes, n);
}

void store_hook_committed(StoreSession *session, const Slice *codes, size_t n) {
        if ((n > 0 || !codes) && session->hooks.committed)
                session->hooks.committed(session->hooks.userdata);
}

/* ---- store and session ---- */

int store_new(const char *url, const StoreOptions *options, Store **ret) {
        _cleanup_(store_free_p) Store *store = NULL;
        int r;

        store = calloc(1, sizeof(*store));
        if (!store)
                return -ENOMEM;
        store->url = strdup(url);
        if (!store->url)
                return -ENOMEM;
        store->options = *options;
        for (size_t i = 0; i < ELEMENTSOF(drivers); i++) {
                size_t len = strlen(drivers[i]->scheme);

                if (strncmp(store->url, drivers[i]->scheme, len) != 0)
                        continue;
                store->place = store->url + len;
                r = drivers[i]->open(store);
                if (r < 0)
                        return r;
                store->ops = drivers[i];
                atomic_init(&store->sight, drivers[i]->watch ? STORE_SIGHT_NONE : STORE_SIGHT_ALL);
                atomic_init(&store->seen_usec, drivers[i]->watch ? 0 : SEEN_ALWAYS);
                *ret = TAKE_PTR(store);
                return 0;
        }
        return -EINVAL;
}

const char *store_refusal(int result) {
        switch (result) {
        case -EINVAL:
                return "names no store that is known: sqlite:/path or postgresql://...";
        case -EISDIR:
                return "is a folder: name a file, such as shortener.db in it";
        case -ENOTDIR:
                return "can be no file: a part of its path is one, where a folder should be";
        case -ENXIO:
                return "is a device, a pipe or a socket: name a file";
        case -ENAMETOOLONG:
                return "can be no file: its path, or a name in it, is too long";
        case -ELOOP:
                return "can be no file: its symbolic links go in a circle";
        default:
                return strerror(-result);
        }
}

Store *store_free(Store *store) {
        if (!store)
                return NULL;
        if (store->ops)
                store->ops->close(store);
        free(store->url);
        free(store);
        return NULL;
}

const char *store_url_shown(const Store *store) {
        return store->shown ? store->shown : store->url;
}

int store_session_new(Store *store, const StoreHooks *hooks, StoreSession **ret) {
        StoreSession *session;
        int r;

        r = store->ops->session_new(store, &session);
        if (r < 0)
                return r;
        session->store = store;
        if (hooks)
                session->hooks = *hooks;
        *ret = session;
        return 0;
}

StoreSession *store_session_free(StoreSession *session) {
        if (!session)
                return NULL;
        buffer_done(&session->old_fields);
        buffer_done(&session->new_fields);
        store_session_set_crowded(session, false);
        session->store->ops->session_free(session);
        return NULL;
}

void store_session_actor(StoreSession *session, const StoreActor *actor) {
        session->actor = actor ? *actor : (StoreActor){.token_id = 0};
        session->import = (StoreImport){.audit_id = 0};
}

void store_session_deadline(StoreSession *session, uint64_t deadline_usec) {
        session->deadline_usec = deadline_usec;
}

uint64_t store_session_busy_since(const StoreSession *session) {
        return atomic_load_explicit(&session->busy_since_usec, memory_order_relaxed);
}

const char *store_session_error(const StoreSession *session) {
        return session->error;
}

void store_note_hang(Store *store) {
        store_note(store, -ETIMEDOUT);
}

size_t store_import_rows(const Store *store) {
        return store->ops->import_rows;
}

bool store_is_up(const Store *store) {
        return atomic_load_explicit(&store->next_probe_usec, memory_order_relaxed) == 0;
}

bool store_is_reachable(const Store *store) {
        return store_is_up(store) && store_sight(store, 0) != STORE_SIGHT_NONE;
}

int store_ping(StoreSession *session) {
        int r = VERB(session, ping(session));

        /* Not even this can be read: the store is of no use to anybody. */
        if (r == -EIO)
                store_note(session->store, -EHOSTDOWN);
        return r;
}

int store_schema(StoreSession *session, StoreSchema *ret) {
        return VERB(session, schema(session, ret));
}

unsigned store_n_connected(const Store *store) {
        return atomic_load_explicit(&store->n_connected, memory_order_relaxed);
}

unsigned store_n_crowded(const Store *store) {
        return atomic_load_explicit(&store->n_crowded, memory_order_relaxed);
}

bool store_session_is_connected(const StoreSession *session) {
        const StoreOps *ops = session->store->ops;

        return !ops->is_connected || ops->is_connected(session);
}

void store_session_look(StoreSession *session) {
        if (session->store->ops->look)
                session->store->ops->look(session);
}

bool store_session_has_room(StoreSession *session) {
        if (store_session_is_connected(session) || store_n_crowded(session->store) == 0)
                return true;
        (void)VERB(session, ready(session));
        return !store_session_is_crowded(session);
}

int store_capacity(StoreSession *session, StoreCapacity *ret) {
        return session->store->ops->capacity ? VERB(session, capacity(session, ret))
                                             : STORE_NOT_FOUND;
}

int store_migrate(StoreSession *session, int *ret_n) {
        return VERB(session, migrate(session, ret_n));
}

/* ---- imports and their row of the audit ---- */

static void import_begin(StoreSession *session) {
        session->import_next = session->import;
}

/* When nobody knows what became of a batch, what follows has a row of its own. */
static int import_end(StoreSession *session, int result) {
        if (result == 0)
                session->import = session->import_next;
        else if (result == -ETIMEDOUT || result == -EHOSTDOWN)
                session->import = (StoreImport){.audit_id = 0};
        return result;
}

/* ---- users ---- */

int store_user_create(StoreSession *session, Arena *arena, Slice username, Slice email,
                      int64_t created_sec, User *ret) {
        const User user = {.username = username, .email = email, .created_sec = created_sec};

        return store_user_create_once(session, arena, &user, NULL, ret);
}

int store_user_get(StoreSession *session, Arena *arena, int64_t id, User *ret) {
        return VERB(session, user_get(session, arena, id, ret));
}

int store_user_update(StoreSession *session, Arena *arena, int64_t id,
                      const StoreUserChange *change, User *ret) {
        return VERB(session, user_update(session, arena, id, change, ret));
}

int store_user_delete(StoreSession *session, int64_t id) {
        return store_user_delete_if(session, id, NULL);
}

int store_user_list(StoreSession *session, Arena *arena, const StoreQuery *query, User **ret_rows,
                    size_t *ret_n, int64_t *ret_total) {
        return VERB(session, user_list(session, arena, query, ret_rows, ret_n, ret_total));
}

int store_users_import(StoreSession *session, StoreUserRow *rows, size_t n) {
        import_begin(session);
        return import_end(session, VERB(session, users_import(session, rows, n)));
}

/* ---- urls ---- */

int store_url_create(StoreSession *session, const Url *url, Slice details, Url *ret) {
        const StoreUrlNew new = {.url = url, .details = details};

        return store_url_create_once(session, &new, NULL, ret);
}

int store_url_get(StoreSession *session, Arena *arena, int64_t id, Url *ret) {
        return VERB(session, url_get(session, arena, id, ret));
}

int store_url_get_by_code(StoreSession *session, Arena *arena, Slice code, Url *ret) {
        return VERB(session, url_get_by_code(session, arena, code, ret));
}

int store_url_update(StoreSession *session, Arena *arena, int64_t id, const StoreUrlChange *change,
                     Url *ret) {
        return VERB(session, url_update(session, arena, id, change, ret));
}

int store_url_retire(StoreSession *session, int64_t id, int64_t now_sec, Slice details) {
        return store_url_retire_if(session, id, now_sec, details, NULL);
}

int store_url_list(StoreSession *session, Arena *arena, const StoreQuery *query, Url **ret_rows,
                   size_t *ret_n, int64_t *ret_total) {
        return VERB(session, url_list(session, arena, query, ret_rows, ret_n, ret_total));
}

int store_url_stats(StoreSession *session, Arena *arena, int64_t id, Url *ret,
                    int64_t *ret_redirects) {
        return VERB(session, url_stats(session, arena, id, ret, ret_redirects));
}

int store_urls_by_codes(StoreSession *session, Arena *arena, Link *links, size_t n) {
        return VERB(session, urls_by_codes(session, arena, links, n));
}

int store_codes_each(StoreSession *session, int64_t limit,
                     int (*each)(void *userdata, const Link *link), void *userdata) {
        return VERB(session, codes_each(session, limit, each, userdata));
}

int store_urls_import(StoreSession *session, StoreUrlRow *rows, size_t n, bool with_events) {
        import_begin(session);
        return import_end(session, VERB(session, urls_import(session, rows, n, with_events)));
}

/* ---- events ---- */

int store_event_create(StoreSession *session, const Event *event, Event *ret) {
        return store_event_create_once(session, event, NULL, ret);
}

int store_event_list(StoreSession *session, Arena *arena, const StoreQuery *query, Event **ret_rows,
                     size_t *ret_n, int64_t *ret_total) {
        return VERB(session, event_list(session, arena, query, ret_rows, ret_n, ret_total));
}

int store_events_import(StoreSession *session, StoreEventRow *rows, size_t n) {
        import_begin(session);
        return import_end(session, VERB(session, events_import(session, rows, n)));
}

int store_events_tidy(StoreSession *session, int64_t before_sec, bool *ret_more) {
        *ret_more = false;
        if (!session->store->ops->events_tidy)
                return 0;
        return VERB(session, events_tidy(session, before_sec, ret_more));
}

bool store_can_drop(const Store *store) {
        return store->ops->events_tidy != NULL;
}

/* ---- tokens ---- */

int store_token_create(StoreSession *session, const Token *token, int64_t *ret_id) {
        return VERB(session, token_create(session, token, ret_id));
}

int store_token_find(StoreSession *session, Arena *arena, const uint8_t digest[TOKEN_DIGEST_SIZE],
                     Token *ret) {
        return VERB(session, token_find(session, arena, digest, ret));
}

int store_token_use(StoreSession *session, int64_t id, int64_t now_sec) {
        return VERB(session, token_use(session, id, now_sec));
}

int store_token_revoke(StoreSession *session, int64_t id, int64_t now_sec) {
        return VERB(session, token_revoke(session, id, now_sec));
}

int store_token_list(StoreSession *session, Arena *arena, const StoreQuery *query, Token **ret_rows,
                     size_t *ret_n) {
        return VERB(session, token_list(session, arena, query, ret_rows, ret_n));
}

/* ---- everything at once, totals ---- */

int store_load_begin(StoreSession *session, bool replace) {
        session->import_next = (StoreImport){.audit_id = 0};
        return import_end(session, VERB(session, load_begin(session, replace)));
}

int store_load_end(StoreSession *session, bool commit) {
        session->import = (StoreImport){.audit_id = 0};
        /* A rollback must not fail because the deadline passed or the breaker is open. */
        if (!commit)
                return session->store->ops->load_end(session, false);
        return VERB(session, load_end(session, true));
}

int store_totals(StoreSession *session, StoreTotals *ret) {
        return VERB(session, totals(session, ret));
}

/* ---- visits ---- */

int store_clicks_append(StoreSession *session, const StoreBatch *batch, uint64_t *ret_next_seq) {
        if (!store_batch_valid(batch)) {
                store_session_set_error(session, "the batch's counts contradict its range");
                return -EINVAL;
        }
        return VERB(session, clicks_append(session, batch, ret_next_seq));
}

int store_offset_get(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE],
                     StoreOffset *ret) {
        return VERB(session, offset_get(session, spool, ret));
}

int store_offset_list(StoreSession *session, Arena *arena, StoreOffset **ret, size_t *ret_n) {
        return VERB(session, offset_list(session, arena, ret, ret_n));
}

int store_offset_delete(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        return VERB(session, offset_delete(session, spool));
}

int store_audit(StoreSession *session, Arena *arena, StoreAudit *ret) {
        return VERB(session, audit(session, arena, ret));
}

/* ---- changes of others ---- */

bool store_can_watch(const Store *store) {
        return store->ops->watch && !store->options.unprepared;
}

StoreSight store_sight(const Store *store, uint64_t now_usec) {
        StoreSight sight = (StoreSight)atomic_load_explicit(&store->sight, memory_order_relaxed);
        uint64_t seen_usec = atomic_load_explicit(&store->seen_usec, memory_order_relaxed);

        if (sight == STORE_SIGHT_ALL && UNLIKELY(now_usec > seen_usec + STORE_SIGHT_USEC))
                return STORE_SIGHT_LOST;
        return sight;
}

uint64_t store_seen_usec(const Store *store) {
        return store->ops->watch ? atomic_load(&store->seen_usec) : clock_monotonic_usec();
}

/* The server has answered: with the breaker still open each entry that the moved epoch made unsure
 * would be a 503. */
void store_saw(Store *store, uint64_t usec) {
        atomic_store(&store->seen_usec, usec);
        atomic_store(&store->sight, STORE_SIGHT_ALL);
        store_note(store, 0);
}

void store_expect_up(Store *store) {
        store_note(store, 0);
        if (store->ops->expect_up)
                store->ops->expect_up(store);
}

void store_lost_sight(Store *store, bool reached) {
        atomic_store(&store->sight, reached ? STORE_SIGHT_LOST : STORE_SIGHT_NONE);
}

int store_probe(StoreSession *session) {
        return session->store->ops->ping(session);
}

int store_watch(StoreSession *session, uint64_t timeout_usec,
                void (*changed)(void *userdata, Slice code, bool made), void *userdata,
                bool *ret_began) {
        CHECK(store_can_watch(session->store));
        return session->store->ops->watch(session, timeout_usec, changed, userdata, ret_began);
}
