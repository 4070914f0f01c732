/* SPDX-License-Identifier: MIT */

/* The resolver with the in-memory store, a real host page and a real Redis: batches, equal codes,
 * marks taken before the read, Redis only for what has not changed lately. */

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "cache/redis-value.h"
#include "host/internal.h"
#include "redis-server.h"
#include "store/fake.h"
#include "work/resolver.h"

#define TTL_USEC (20 * USEC_PER_SEC)

typedef struct Fixture {
        char directory[64];
        HostPage *page;
        Store *store;
        StoreSession *session;
        Outbox *done;
        Resolver *resolver;
        RedisServer server;
        Redis *redis;
} Fixture;

static void start(Fixture *fixture) {
        StoreOptions options = {.connect_usec = USEC_PER_SEC, .create = true};
        ResolverOptions resolver = {.queue_max = 100,
                                    .timeout_usec = USEC_PER_SEC,
                                    .redis = fixture->redis,
                                    .redis_ttl_usec = TTL_USEC};

        (void)snprintf(fixture->directory, sizeof fixture->directory,
                       "/tmp/shortener-resolver-XXXXXX");
        assert_non_null(mkdtemp(fixture->directory));
        assert_int_equal(host_page_open(fixture->directory, &fixture->page), 0);
        assert_int_equal(store_new("fake:", &options, &fixture->store), 0);
        assert_int_equal(store_session_new(fixture->store, NULL, &fixture->session), 0);
        assert_int_equal(outbox_new(&fixture->done), 0);
        resolver.store = fixture->store;
        resolver.page = fixture->page;
        resolver.done = fixture->done;
        assert_int_equal(resolver_new(&resolver, &fixture->resolver), 0);
}

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof *fixture);

        assert_non_null(fixture);
        start(fixture);
        *state = fixture;
        return 0;
}

static int setup_redis(void **state) {
        Fixture *fixture = calloc(1, sizeof *fixture);
        RedisOptions options = {.ttl_usec = TTL_USEC, .timeout_usec = USEC_PER_SEC};

        assert_non_null(fixture);
        redis_server_start(&fixture->server, NULL);
        options.place = fixture->server.place;
        assert_int_equal(redis_new(&options, &fixture->redis), 0);
        assert_int_equal(redis_connect(fixture->redis, 20 * USEC_PER_SEC), 0);
        start(fixture);
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;
        char path[128];

        (void)resolver_free(fixture->resolver);
        (void)outbox_free(fixture->done);
        (void)store_session_free(fixture->session);
        (void)store_free(fixture->store);
        (void)snprintf(path, sizeof path, "%s", host_page_path(fixture->page));
        (void)host_page_free(fixture->page);
        (void)unlink(path);
        (void)rmdir(fixture->directory);
        if (fixture->redis) {
                (void)redis_free(fixture->redis);
                redis_server_end(&fixture->server);
        }
        free(fixture);
        return 0;
}

static void add_link(Fixture *fixture, const char *code, const char *location, Url *ret) {
        Url url = {.code = slice_from_string(code),
                   .target = slice_from_string(location),
                   .location = slice_from_string(location)};

        assert_int_equal(store_url_create(fixture->session, &url, SLICE("{}"), ret), 0);
}

static Lookup *lookup_new(HttpExchange *exchange, const char *code) {
        Lookup *lookup;

        arena_init(&exchange->arena, 0);
        lookup = arena_new(&exchange->arena, Lookup, 1);
        assert_non_null(lookup);
        lookup->exchange = exchange;
        lookup->code = arena_dup(&exchange->arena, slice_from_string(code));
        return lookup;
}

static void wait_back(Fixture *fixture, size_t n) {
        ListNode head;

        list_init(&head);
        while (n > 0) {
                struct pollfd poll_fd = {.fd = outbox_fd(fixture->done), .events = POLLIN};

                assert_int_equal(poll(&poll_fd, 1, 10000), 1);
                outbox_take_all(fixture->done, &head);
                for (; !list_empty(&head); n--)
                        list_remove(list_first(&head));
        }
}

static void test_answers(void **state) {
        static const char *const codes[] = {"two", "none", "one", "two", "off", "one"};
        Fixture *fixture = *state;
        HttpExchange exchanges[6];
        Lookup *lookups[6];
        ResolverStats stats;
        Url one, two, off;

        add_link(fixture, "one", "https://one.example/", &one);
        add_link(fixture, "two", "https://two.example/", &two);
        add_link(fixture, "off", "https://off.example/", &off);
        assert_int_equal(store_url_retire(fixture->session, off.id, 1, SLICE("{}")), 0);
        for (size_t i = 0; i < 6; i++) {
                lookups[i] = lookup_new(&exchanges[i], codes[i]);
                assert_int_equal(resolver_push(fixture->resolver, lookups[i]), 0);
        }
        wait_back(fixture, 6);
        for (size_t i = 0; i < 6; i++) {
                uint32_t counter = host_counter(lookups[i]->code);

                assert_int_equal(lookups[i]->result, 0);
                assert_int_equal(lookups[i]->counter, counter);
                assert_true(host_page_fresh(fixture->page, counter, lookups[i]->mark));
        }
        assert_int_equal(lookups[0]->link_id, two.id);
        assert_int_equal(lookups[3]->link_id, two.id);
        assert_true(slice_equal(lookups[3]->location, SLICE("https://two.example/")));
        assert_int_equal(lookups[1]->link_id, 0);
        assert_int_equal(lookups[4]->link_id, 0);
        assert_int_equal(lookups[5]->link_id, one.id);
        resolver_stats(fixture->resolver, &stats);
        assert_true(stats.n_queries >= 1 && stats.n_queries <= 6);
        for (size_t i = 0; i < 6; i++)
                arena_done(&exchanges[i].arena);
}

static void test_full(void **state) {
        enum { N = 1500 };
        Fixture *fixture = *state;
        HttpExchange *exchanges = calloc(N, sizeof *exchanges);
        size_t n = 0;

        assert_non_null(exchanges);
        for (size_t i = 0; i < N; i++) {
                char code[16];

                (void)snprintf(code, sizeof code, "c%zu", i % 700);
                n += resolver_push(fixture->resolver, lookup_new(exchanges + i, code)) == 0;
        }
        wait_back(fixture, n);
        for (size_t i = 0; i < N; i++)
                arena_done(&exchanges[i].arena);
        free(exchanges);
}

static void test_pings(void **state) {
        uint64_t end = clock_monotonic_usec() + 10 * USEC_PER_SEC;
        Fixture *fixture = *state;
        ResolverStats stats;
        Url url;

        add_link(fixture, "one", "https://one.example/", &url);
        do {
                (void)usleep(10000);
                resolver_stats(fixture->resolver, &stats);
                assert_true(clock_monotonic_usec() < end);
        } while (stats.active_urls != 1);
}

/* ---- Redis ---- */

/* As if nothing had changed on this host for long. The clock is the kernel's: young machines wait.
 */
static void age_page(Fixture *fixture) {
        PageLayout *page = fixture->page->page;

        __atomic_store_n(&page->header.epoch_moved_usec, 1, __ATOMIC_SEQ_CST);
        for (size_t i = 0; i < HOST_COUNTERS; i++)
                __atomic_store_n(&page->counters[i].moved_usec, 0, __ATOMIC_SEQ_CST);
        while (host_page_quiet_usec(fixture->page, 0) <=
               TTL_USEC + TTL_USEC / 10 + REDIS_CLOCK_SEC * USEC_PER_SEC)
                (void)usleep(100000);
}

static Lookup *look_up(Fixture *fixture, HttpExchange *exchange, const char *code) {
        Lookup *lookup = lookup_new(exchange, code);

        assert_int_equal(resolver_push(fixture->resolver, lookup), 0);
        wait_back(fixture, 1);
        assert_int_equal(lookup->result, 0);
        return lookup;
}

/* Puts come behind the answers: until Redis has it. */
static void wait_kept(Fixture *fixture, const char *code) {
        uint64_t end = clock_monotonic_usec() + 20 * USEC_PER_SEC;
        bool kept = false;

        while (!kept) {
                redisReply *reply = redis_server_command(&fixture->server, "EXISTS %s%s",
                                                         REDIS_KEY_PREFIX, code);

                kept = reply->integer == 1;
                freeReplyObject(reply);
                assert_true(clock_monotonic_usec() < end);
        }
}

static bool is_from_redis(Fixture *fixture, const char *code, const char *location) {
        HttpExchange exchange;
        Lookup *lookup = look_up(fixture, &exchange, code);
        bool from_redis = lookup->from_redis;

        assert_true(slice_equal(lookup->location, slice_from_string(location)));
        assert_true(host_page_fresh(fixture->page, lookup->counter, lookup->mark));
        assert_in_range(clock_monotonic_usec() - lookup->read_usec, 0, 5 * USEC_PER_SEC);
        arena_done(&exchange.arena);
        return from_redis;
}

static void test_redis_only_when_quiet(void **state) {
        Fixture *fixture = *state;
        ResolverStats stats;
        Url url;

        add_link(fixture, "one", "https://one.example/", &url);
        assert_false(is_from_redis(fixture, "one", "https://one.example/"));
        wait_kept(fixture, "one");
        /* The page is new: not asked. */
        assert_false(is_from_redis(fixture, "one", "https://one.example/"));
        age_page(fixture);
        assert_true(is_from_redis(fixture, "one", "https://one.example/"));
        resolver_stats(fixture->resolver, &stats);
        assert_int_equal(stats.n_queries, 2);
        host_page_touch(fixture->page, host_counter(SLICE("one")));
        assert_false(is_from_redis(fixture, "one", "https://one.example/"));
        age_page(fixture);
        assert_true(is_from_redis(fixture, "one", "https://one.example/"));
        host_page_touch_all(fixture->page);
        assert_false(is_from_redis(fixture, "one", "https://one.example/"));
}

/* In one batch: one from Redis, one from the store, one that does not exist. */
static void test_redis_and_store(void **state) {
        static const char *const codes[] = {"two", "one", "none", "one", "two"};
        Fixture *fixture = *state;
        HttpExchange exchanges[5];
        Lookup *lookups[5];
        Url one, two;

        add_link(fixture, "one", "https://one.example/", &one);
        add_link(fixture, "two", "https://two.example/", &two);
        (void)is_from_redis(fixture, "one", "https://one.example/");
        wait_kept(fixture, "one");
        age_page(fixture);
        for (size_t i = 0; i < 5; i++) {
                lookups[i] = lookup_new(&exchanges[i], codes[i]);
                assert_int_equal(resolver_push(fixture->resolver, lookups[i]), 0);
        }
        wait_back(fixture, 5);
        for (size_t i = 0; i < 5; i++)
                assert_int_equal(lookups[i]->result, 0);
        assert_int_equal(lookups[0]->link_id, two.id);
        assert_int_equal(lookups[1]->link_id, one.id);
        assert_true(lookups[1]->from_redis);
        assert_int_equal(lookups[2]->link_id, 0);
        assert_false(lookups[2]->from_redis);
        assert_int_equal(lookups[3]->link_id, one.id);
        for (size_t i = 0; i < 5; i++)
                arena_done(&exchanges[i].arena);
}

/* What Redis has is answered while the store hangs. */
static void test_redis_without_store(void **state) {
        Fixture *fixture = *state;
        HttpExchange exchange;
        Lookup *lookup;
        Url url;

        add_link(fixture, "one", "https://one.example/", &url);
        (void)is_from_redis(fixture, "one", "https://one.example/");
        wait_kept(fixture, "one");
        age_page(fixture);
        store_fake_block(fixture->store, true);
        assert_true(is_from_redis(fixture, "one", "https://one.example/"));
        lookup = lookup_new(&exchange, "two");
        assert_int_equal(resolver_push(fixture->resolver, lookup), 0);
        wait_back(fixture, 1);
        assert_true(lookup->result < 0);
        arena_done(&exchange.arena);
        store_fake_block(fixture->store, false);
}

/* No failed lookup, whatever becomes of it. */
static void test_redis_breaks(void **state) {
        Fixture *fixture = *state;
        Url url;

        add_link(fixture, "one", "https://one.example/", &url);
        (void)is_from_redis(fixture, "one", "https://one.example/");
        wait_kept(fixture, "one");
        age_page(fixture);
        redis_server_signal(&fixture->server, SIGSTOP);
        assert_false(is_from_redis(fixture, "one", "https://one.example/"));
        redis_server_kill(&fixture->server);
        assert_false(is_from_redis(fixture, "one", "https://one.example/"));
        redis_server_restart(&fixture->server);
        assert_false(is_from_redis(fixture, "one", "https://one.example/"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_pings, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_redis_only_when_quiet, setup_redis,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_redis_and_store, setup_redis,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_redis_without_store, setup_redis,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_redis_breaks, setup_redis, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
