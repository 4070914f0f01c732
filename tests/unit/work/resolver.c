/* SPDX-License-Identifier: MIT */

/* The resolver with the in-memory store and a real host page: batches, equal codes, marks taken
 * before the read. */

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "work/resolver.h"

typedef struct Fixture {
        char directory[64];
        HostPage *page;
        Store *store;
        StoreSession *session;
        Outbox *done;
        Resolver *resolver;
} Fixture;

static int setup(void **state) {
        StoreOptions options = {.connect_usec = USEC_PER_SEC, .create = true};
        Fixture *fixture = calloc(1, sizeof *fixture);

        assert_non_null(fixture);
        (void)snprintf(fixture->directory, sizeof fixture->directory,
                       "/tmp/shortener-resolver-XXXXXX");
        assert_non_null(mkdtemp(fixture->directory));
        assert_int_equal(host_page_open(fixture->directory, &fixture->page), 0);
        assert_int_equal(store_new("fake:", &options, &fixture->store), 0);
        assert_int_equal(store_session_new(fixture->store, NULL, &fixture->session), 0);
        assert_int_equal(outbox_new(&fixture->done), 0);
        assert_int_equal(resolver_new(100, USEC_PER_SEC, fixture->store, fixture->page,
                                      fixture->done, &fixture->resolver),
                         0);
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

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_pings, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
