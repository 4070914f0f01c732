/* SPDX-License-Identifier: MIT */

/*
 * The in-memory store, "fake:": what tests of handlers run over, and the plainest statement of what
 * each verb means. All sessions of one Store share its data under one lock. It keeps every promise
 * of store.h but the one of durability.
 *
 * The lock spins and yields: it is held for the length of one verb over small data, and C11's mtx_t
 * is invisible to the thread sanitizer.
 */

#include <errno.h>
#include <sched.h>
#include <time.h>

#include "store/fake.h"
#include "store/fake/session.h"

#define SCHEMA_VERSION 1
#define BLOCKED_NSEC   1000000L /* between two looks whether the block is over */

static Fake *fake_of(const StoreSession *session) {
        return session->store->data;
}

static FakeSession *fake_session(StoreSession *session) {
        return CONTAINER_OF(session, FakeSession, session);
}

/* ---- faults on demand ---- */

void store_fake_fail(Store *store, int result, unsigned n) {
        Fake *fake = store->data;

        CHECK(store->ops == &store_fake_ops && result < 0);
        atomic_store(&fake->fail_result, result);
        atomic_store(&fake->n_fail, n);
}

void store_fake_block(Store *store, bool blocked) {
        Fake *fake = store->data;

        CHECK(store->ops == &store_fake_ops);
        atomic_store(&fake->blocked, blocked);
}

static int wait_while_blocked(StoreSession *session) {
        while (atomic_load(&fake_of(session)->blocked)) {
                (void)nanosleep(&(struct timespec){.tv_nsec = BLOCKED_NSEC}, NULL);
                if (store_session_expired(session)) {
                        store_session_set_error(session, "the fake store is blocked");
                        return -ETIMEDOUT;
                }
        }
        return 0;
}

static int fail_on_demand(StoreSession *session) {
        Fake *fake = fake_of(session);
        unsigned n = atomic_load(&fake->n_fail);

        while (n > 0)
                if (atomic_compare_exchange_weak(&fake->n_fail, &n, n - 1)) {
                        store_session_set_error(session, "the fake store fails on demand");
                        return atomic_load(&fake->fail_result);
                }
        return 0;
}

/* ---- the lock ---- */

static void lock(Fake *fake) {
        while (atomic_flag_test_and_set_explicit(&fake->lock, memory_order_acquire))
                (void)sched_yield();
}

static void unlock(Fake *fake) {
        atomic_flag_clear_explicit(&fake->lock, memory_order_release);
}

int fake_begin_read(StoreSession *session, FakeData **ret) {
        int r;

        r = wait_while_blocked(session);
        if (r < 0)
                return r;
        r = fail_on_demand(session);
        if (r < 0)
                return r;
        lock(fake_of(session));
        *ret = fake_session(session)->draft ? fake_session(session)->draft : fake_of(session)->data;
        return 0;
}

void fake_end_read(StoreSession *session) {
        unlock(fake_of(session));
}

/* The write lock: not to be had while another session loads. */
static int begin_exclusive(StoreSession *session, FakeData **ret) {
        Fake *fake = fake_of(session);
        int r;

        r = fake_begin_read(session, ret);
        if (r < 0)
                return r;
        if (fake->loader && fake->loader != session) {
                unlock(fake);
                store_session_set_error(session, "another session loads");
                return -EBUSY;
        }
        return 0;
}

int fake_begin_ship(StoreSession *session, FakeData **ret) {
        if (fake_session(session)->draft) {
                store_session_set_error(session, "only imports may be part of a load");
                return -EINVAL;
        }
        return begin_exclusive(session, ret);
}

int fake_begin_write(StoreSession *session, FakeData **ret) {
        int r;

        store_hook_waiting(session, 1);
        r = fake_begin_ship(session, ret);
        if (r < 0)
                store_hook_waiting(session, -1);
        return r;
}

int fake_end_write(StoreSession *session, int result, const Slice *codes, size_t n) {
        if (result == 0) {
                store_hook_committing(session, codes, n);
                store_hook_committed(session, codes, n);
        }
        unlock(fake_of(session));
        store_hook_waiting(session, -1);
        return result;
}

int fake_end_making(StoreSession *session, int result, const Slice *codes, size_t n) {
        if (result == 0) {
                store_hook_making(session, codes, n);
                store_hook_committed(session, codes, n);
        }
        return fake_end_write(session, result, &SLICE_NONE, 0);
}

int fake_begin_import(StoreSession *session, FakeData **ret) {
        FakeData *data;
        int r;

        r = begin_exclusive(session, &data);
        if (r < 0)
                return r;
        *ret = fake_data_copy(data);
        if (!*ret) {
                unlock(fake_of(session));
                return -ENOMEM;
        }
        return 0;
}

int fake_end_import(StoreSession *session, FakeData *draft, int result, const Slice *codes,
                    size_t n) {
        FakeData **place;

        if (result < 0) {
                (void)fake_data_free(draft);
                unlock(fake_of(session));
                return result;
        }
        place = fake_session(session)->draft ? &fake_session(session)->draft
                                             : &fake_of(session)->data;
        if (!fake_session(session)->draft)
                store_hook_making(session, codes, n);
        (void)fake_data_free(*place);
        *place = draft;
        if (!fake_session(session)->draft)
                store_hook_committed(session, codes, n);
        unlock(fake_of(session));
        return result;
}

/* ---- windows of lists ---- */

FakeWindow fake_window(const StoreQuery *query) {
        return (FakeWindow){.skip = query->offset, .room = query->limit};
}

size_t fake_window_rows(const FakeWindow *window, const FakeTable *table) {
        size_t n = window->room > 0 ? (size_t)window->room : 0;

        return MIN(n, table->n) + 1;
}

bool fake_window_admits(FakeWindow *window, bool behind) {
        window->n_matches++;
        if (!behind)
                return false;
        if (window->skip > 0) {
                window->skip--;
                return false;
        }
        return window->room-- > 0;
}

int64_t fake_window_total(const FakeWindow *window, bool filtered) {
        return filtered && window->n_matches > STORE_TOTAL_EXACT ? -1 : window->n_matches;
}

/* ---- store and session ---- */

static int fake_open(Store *store) {
        Fake *fake;

        if (*store->place != 0)
                return -EINVAL;
        fake = calloc(1, sizeof(*fake));
        if (!fake)
                return -ENOMEM;
        fake->data = fake_data_new();
        if (!fake->data) {
                free(fake);
                return -ENOMEM;
        }
        store->data = fake;
        return 0;
}

static void fake_close(Store *store) {
        Fake *fake = store->data;

        (void)fake_data_free(fake->data);
        free(fake);
}

static int fake_session_new(Store *store, StoreSession **ret) {
        FakeSession *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        atomic_fetch_add(&store->n_connected, 1);
        *ret = &s->session;
        return 0;
}

static int fake_load_end(StoreSession *session, bool commit) {
        FakeSession *s = fake_session(session);
        Fake *fake = fake_of(session);

        if (!s->draft)
                return -EINVAL;
        lock(fake);
        if (commit) {
                FakeData *old = fake->data;

                store_hook_committing(session, NULL, 0);
                fake->data = s->draft;
                s->draft = old;
                store_hook_committed(session, NULL, 0);
        }
        s->draft = fake_data_free(s->draft);
        fake->loader = NULL;
        unlock(fake);
        return 0;
}

static void fake_session_free(StoreSession *session) {
        (void)fake_load_end(session, false);
        atomic_fetch_sub(&session->store->n_connected, 1);
        free(fake_session(session));
}

static int fake_ping(StoreSession *session) {
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r == 0)
                fake_end_read(session);
        return r;
}

static int fake_schema(StoreSession *session, StoreSchema *ret) {
        int r;

        r = fake_ping(session);
        if (r == 0)
                *ret = (StoreSchema){SCHEMA_VERSION, SCHEMA_VERSION, SCHEMA_VERSION};
        return r;
}

static int fake_migrate(StoreSession *session, int *ret_n) {
        FakeData *data;
        int r;

        r = fake_begin_ship(session, &data);
        if (r < 0)
                return r;
        fake_end_read(session);
        *ret_n = 0;
        return 0;
}

/* ---- loads and totals ---- */

/* Empties the draft, which the audit keeps. */
static int empty_draft(StoreSession *session, FakeData *draft) {
        const StoreTotals was = {.users = (int64_t)draft->users.n,
                                 .urls = (int64_t)draft->urls.n,
                                 .events = (int64_t)draft->events.n};

        int r;

        fake_data_clear(draft);
        r = fake_tokens_end(session, draft, 0);
        return r < 0 ? r : fake_audit_load(session, draft, &was);
}

static int fake_load_begin(StoreSession *session, bool replace) {
        FakeSession *s = fake_session(session);
        FakeData *data;
        int r;

        r = fake_begin_ship(session, &data);
        if (r < 0)
                return r;
        if (!replace && data->users.n + data->urls.n + data->events.n > 0)
                r = STORE_NOT_EMPTY;
        else if (!(s->draft = fake_data_copy(data)))
                r = -ENOMEM;
        else if (replace)
                r = empty_draft(session, s->draft);
        if (r == 0)
                fake_of(session)->loader = session;
        else
                s->draft = fake_data_free(s->draft);
        fake_end_read(session);
        return r;
}

static int fake_totals(StoreSession *session, StoreTotals *ret) {
        StoreTotals totals = {.users = 0};
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        totals.users = (int64_t)data->users.n;
        totals.urls = (int64_t)data->urls.n;
        totals.events = (int64_t)data->events.n;
        for (size_t i = 0; i < data->urls.n; i++) {
                const FakeUrl *url = fake_row(&data->urls, i);

                totals.active_urls += url->url.is_active;
        }
        for (size_t i = 0; i < data->events.n; i++) {
                const FakeEvent *event = fake_row(&data->events, i);

                totals.redirects += slice_equal(event->event.type, STORE_EVENT_REDIRECT);
        }
        fake_end_read(session);
        *ret = totals;
        return 0;
}

const StoreOps store_fake_ops = {
                .scheme = "fake:",
                .import_rows = 1000,
                .open = fake_open,
                .close = fake_close,
                .session_new = fake_session_new,
                .session_free = fake_session_free,
                .ping = fake_ping,
                .schema = fake_schema,
                .migrate = fake_migrate,
                .user_create = fake_user_create,
                .user_get = fake_user_get,
                .user_update = fake_user_update,
                .user_delete = fake_user_delete,
                .user_list = fake_user_list,
                .users_import = fake_users_import,
                .key_find = fake_key_find,
                .keys_tidy = fake_keys_tidy,
                .token_create = fake_token_create,
                .token_find = fake_token_find,
                .token_use = fake_token_use,
                .token_revoke = fake_token_revoke,
                .token_list = fake_token_list,
                .audit_list = fake_audit_list,
                .audit_tidy = fake_audit_tidy,
                .url_create = fake_url_create,
                .url_get = fake_url_get,
                .url_get_by_code = fake_url_get_by_code,
                .url_update = fake_url_update,
                .url_retire = fake_url_retire,
                .url_list = fake_url_list,
                .url_stats = fake_url_stats,
                .urls_by_codes = fake_urls_by_codes,
                .codes_each = fake_codes_each,
                .urls_import = fake_urls_import,
                .event_create = fake_event_create,
                .event_list = fake_event_list,
                .events_import = fake_events_import,
                .load_begin = fake_load_begin,
                .load_end = fake_load_end,
                .totals = fake_totals,
                .clicks_append = fake_clicks_append,
                .offset_get = fake_offset_get,
                .offset_list = fake_offset_list,
                .offset_delete = fake_offset_delete,
                .audit = fake_audit,
};
