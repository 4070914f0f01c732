/* SPDX-License-Identifier: MIT */

/* No memory: the 1st, 2nd, 3rd ... allocation of each verb fails, ours and sqlite3's. The verb says
 * so and has done nothing, or does without. */

#include <errno.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "unit/store/operations.h"

static unsigned countdown; /* allocations until one fails; 0: none does */
static bool fired;

static bool fails_now(void) {
        if (countdown == 0 || --countdown > 0)
                return false;
        fired = true;
        return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *place, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *place, size_t n, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t size) {
        return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *place, size_t n, size_t size) {
        return fails_now() ? NULL : __real_reallocarray(place, n, size);
}

char *__wrap_strdup(const char *s) {
        return fails_now() ? NULL : __real_strdup(s);
}

/* ---- sqlite3's ---- */

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int size) {
        return fails_now() ? NULL : sqlite_memory.xMalloc(size);
}

static void *sqlite_realloc(void *place, int size) {
        return fails_now() ? NULL : sqlite_memory.xRealloc(place, size);
}

static int configure_sqlite(void **state _unused_) {
        sqlite3_mem_methods methods;

        assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory), SQLITE_OK);
        methods = sqlite_memory;
        methods.xMalloc = sqlite_malloc;
        methods.xRealloc = sqlite_realloc;
        assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
        return 0;
}

/* ---- driving ---- */

static unsigned drive(Store *store, StoreSession *session, const Operation *operation) {
        unsigned n_failures = 0;
        Arena arena;
        int r;

        arena_init(&arena, 0);
        for (unsigned n = 1;; n++) {
                assert_true(n < 5000);
                arena_reset(&arena);
                fired = false;
                countdown = n;
                r = operation->run(session, &arena);
                countdown = 0;
                if (!fired)
                        break;
                if (r < 0 && r != -ENOMEM)
                        fail_msg("%s: allocation %u: %d (%s)", operation->name, n, r,
                                 store_session_error(session));
                n_failures += r < 0;
        }
        assert_true(r >= 0);
        arena_done(&arena);
        assert_sound(store, operation->name);
        return n_failures;
}

/* One session for all runs: prepared statements are there. */
static void test_fake(void **state _unused_) {
        Store *store = open_store("fake:", true);
        StoreSession *session = open_session(store);
        Arena arena;

        arena_init(&arena, 0);
        make_base(session, &arena);
        for (size_t i = 0; i < n_operations; i++)
                (void)drive(store, session, &operations[i]);
        arena_done(&arena);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void test_sqlite(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);

        make_base(session, &place->arena);
        for (size_t i = 0; i < n_operations; i++)
                (void)drive(store, session, &operations[i]);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* A new session for each run: connecting and preparing fail too. */
static void test_sqlite_from_the_start(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        unsigned n_failures;
        int r;

        make_base(session, &place->arena);
        (void)store_session_free(session);
        for (size_t i = 0; i < n_operations; i++) {
                n_failures = 0;
                for (unsigned n = 1;; n++) {
                        assert_true(n < 5000);
                        fired = false;
                        countdown = n;
                        r = store_session_new(store, NULL, &session);
                        if (r == 0) {
                                r = operations[i].run(session, &place->arena);
                                countdown = 0;
                                (void)store_session_free(session);
                        }
                        countdown = 0;
                        if (!fired)
                                break;
                        if (r < 0 && r != -ENOMEM)
                                fail_msg("%s: allocation %u: %d", operations[i].name, n, r);
                        n_failures += r < 0;
                        arena_reset(&place->arena);
                        n += n / 16; /* the first ones one by one, then with gaps */
                }
                assert_true(r >= 0);
                assert_true(n_failures > 10);
                assert_sound(store, operations[i].name);
        }
        (void)store_free(store);
}

static void test_making_stores(void **state) {
        Place *place = *state;
        const char *const urls[] = {"fake:", place->url};
        const StoreOptions options = {.create = true};
        Store *store = NULL;

        for (size_t i = 0; i < ELEMENTSOF(urls); i++)
                for (unsigned n = 1;; n++) {
                        fired = false;
                        countdown = n;
                        int r = store_new(urls[i], &options, &store);
                        countdown = 0;
                        if (!fired) {
                                assert_int_equal(r, 0);
                                store = store_free(store);
                                break;
                        }
                        assert_int_equal(r, -ENOMEM);
                        assert_null(store);
                }
}

/* A new file is made wholly or not at all. */
static void test_making_the_file(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        int r;

        for (unsigned n = 1;; n++) {
                assert_true(n < 5000);
                fired = false;
                countdown = n;
                r = store_ping(session);
                countdown = 0;
                if (r == 0)
                        break;
                assert_int_equal(r, -ENOMEM);
        }
        assert_int_equal(query_sql(place, "SELECT count(*) FROM totals"), 1);
        (void)store_session_free(session);
        (void)store_free(store);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        PLACE_TEST(test_making_stores),
                        PLACE_TEST(test_making_the_file),
                        cmocka_unit_test(test_fake),
                        PLACE_TEST(test_sqlite),
                        PLACE_TEST(test_sqlite_from_the_start),
        };

        return cmocka_run_group_tests(tests, configure_sqlite, NULL);
}
