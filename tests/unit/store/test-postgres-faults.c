/* SPDX-License-Identifier: MIT */

/* Each verb on PostgreSQL while something fails under it: the 1st, 2nd, 3rd ... allocation, or the
 * connection at the 1st, 2nd, 3rd ... message. The verb says so, and nothing is half done. */

#include <errno.h>
#include <stdlib.h>

#include "unit/store/operations.h"
#include "unit/store/pg-support.h"

static unsigned countdown; /* allocations of ours until one fails; 0: none does */
static bool fired;

static bool fails_now(void) {
        if (countdown == 0 || --countdown > 0)
                return false;
        fired = true;
        return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *place, size_t size);
void *__real_reallocarray(void *place, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *place, size_t size);
void *__wrap_reallocarray(void *place, size_t n, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t size) {
        return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *place, size_t size) {
        return fails_now() ? NULL : __real_realloc(place, size);
}

void *__wrap_reallocarray(void *place, size_t n, size_t size) {
        return fails_now() ? NULL : __real_reallocarray(place, n, size);
}

char *__wrap_strdup(const char *s) {
        return fails_now() ? NULL : __real_strdup(s);
}

/* ---- no memory ---- */

static void drive_memory(Store *store, const Operation *operation) {
        StoreSession *session;
        Arena arena;
        int r;

        arena_init(&arena, 0);
        for (unsigned n = 1;; n++) {
                assert_true(n < 1000);
                arena_reset(&arena);
                fired = false;
                countdown = n;
                r = store_session_new(store, NULL, &session);
                if (r == 0) {
                        store_session_deadline(session, 0);
                        r = operation->run(session, &arena);
                        countdown = 0;
                        (void)store_session_free(session);
                }
                countdown = 0;
                if (!fired)
                        break;
                if (r < 0 && r != -ENOMEM)
                        fail_msg("%s: allocation %u: %d", operation->name, n, r);
        }
        assert_true(r >= 0);
        arena_done(&arena);
        assert_sound(store, operation->name);
}

static void test_no_memory(void **state _unused_) {
        Store *store = pg_open_store(postgres_url(postgres_database()), false);
        StoreSession *session = open_session(store);
        Arena arena;

        arena_init(&arena, 0);
        make_base(session, &arena);
        arena_done(&arena);
        (void)store_session_free(session);
        for (size_t i = 0; i < n_operations; i++)
                drive_memory(store, &operations[i]);
        (void)store_free(store);
}

static void test_making_a_store(void **state _unused_) {
        const StoreOptions options = {.connect_usec = 1};
        Store *store = NULL;
        int r;

        for (unsigned n = 1;; n++) {
                fired = false;
                countdown = n;
                r = store_new("postgresql://u:secret@h:1/db?password=x", &options, &store);
                countdown = 0;
                if (!fired)
                        break;
                assert_int_equal(r, -ENOMEM);
                assert_null(store);
        }
        assert_int_equal(r, 0);
        (void)store_free(store);
}

/* ---- connections that break ---- */

/* The whole verb again and again, each time cut a message later, until it passes. */
static unsigned drive_cuts(Store *store, Proxy *proxy, StoreSession *session,
                           const Operation *operation) {
        unsigned n_failures = 0;
        Arena arena;
        int r;

        arena_init(&arena, 0);
        for (unsigned n = 1;; n++) {
                assert_true(n < 100);
                arena_reset(&arena);
                atomic_store(&store->n_failures, 0);
                atomic_store(&store->next_probe_usec, 0);
                atomic_store(&((PgStore *)store->data)->next_try_usec, 0);
                deadline_in(session, 20000000);
                assert_int_equal(store_ping(session), 0);
                proxy_cut_at(proxy, n);
                r = operation->run(session, &arena);
                if (!proxy_has_cut(proxy))
                        break;
                /* A verb that does two things may have lost the connection between them. */
                if (r < 0 && r != -EHOSTDOWN && r != -EINVAL)
                        fail_msg("%s: message %u: %d (%s)", operation->name, n, r,
                                 store_session_error(session));
                n_failures += r < 0;
        }
        proxy_cut_at(proxy, 0);
        if (r < 0)
                fail_msg("%s: %d (%s)", operation->name, r, store_session_error(session));
        arena_done(&arena);
        assert_sound(store, operation->name);
        return n_failures;
}

static void drive_all_cuts(bool unprepared) {
        Proxy *proxy = proxy_new();
        Store *store = pg_open_store(proxy_url(proxy, postgres_database()), unprepared);
        StoreSession *session = open_session(store);
        Arena arena;

        arena_init(&arena, 0);
        make_base(session, &arena);
        arena_done(&arena);
        for (size_t i = 0; i < n_operations; i++)
                assert_true(drive_cuts(store, proxy, session, &operations[i]) > 0);
        (void)store_session_free(session);
        (void)store_free(store);
        (void)proxy_free(proxy);
}

static void test_cut_at_each_message(void **state _unused_) {
        drive_all_cuts(false);
}

static void test_cut_at_each_message_unprepared(void **state _unused_) {
        drive_all_cuts(true);
}

/* While it connects, too: nothing is left behind. */
static void test_cut_while_connecting(void **state _unused_) {
        Proxy *proxy = proxy_new();
        Store *store = pg_open_store(proxy_url(proxy, postgres_database()), false);
        StoreSession *session = open_session(store);
        int r;

        for (unsigned n = 1;; n++) {
                assert_true(n < 20);
                atomic_store(&store->n_failures, 0);
                atomic_store(&store->next_probe_usec, 0);
                atomic_store(&((PgStore *)store->data)->next_try_usec, 0);
                proxy_cut_at(proxy, n);
                deadline_in(session, 20000000);
                r = store_ping(session);
                if (!proxy_has_cut(proxy))
                        break;
                assert_int_equal(r, -EHOSTDOWN);
                assert_int_equal(store_n_connected(store), 0);
        }
        assert_int_equal(r, 0);
        (void)store_session_free(session);
        (void)store_free(store);
        (void)proxy_free(proxy);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_making_a_store),
                        cmocka_unit_test(test_no_memory),
                        cmocka_unit_test(test_cut_at_each_message),
                        cmocka_unit_test(test_cut_at_each_message_unprepared),
                        cmocka_unit_test(test_cut_while_connecting),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
