/* SPDX-License-Identifier: MIT */

/* Budgets: how exact, how they age, what a flood of clients does to them, and who shares them. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "failing-malloc.h"
#include "limit/limiter.h"

#define START   (1000 * USEC_PER_SEC)
#define MIB     (1024u * 1024)
#define CLIENTS 10000u
#define MINUTES 2u

static LimitClient client_v4(uint32_t n) {
        unsigned char address[16] = {[10] = 0xff, [11] = 0xff, [12] = 10};

        address[13] = (unsigned char)(n >> 16);
        address[14] = (unsigned char)(n >> 8);
        address[15] = (unsigned char)n;
        return limit_client_address(address);
}

static LimitClient client_v6(uint32_t prefix, uint64_t host) {
        unsigned char address[16] = {0x20, 0x01, 0x0d, 0xb8};

        memcpy(address + 4, &prefix, sizeof prefix);
        memcpy(address + 8, &host, sizeof host);
        return limit_client_address(address);
}

static Limiter *make(size_t size, const char *path, const char *rate) {
        Limiter *limiter;
        LimitRate parsed;

        assert_int_equal(limit_rate_parse(slice_from_string(rate), &parsed), 0);
        assert_int_equal(limiter_new(size, path, &limiter), 0);
        for (unsigned i = 0; i < LIMIT_BUDGETS; i++)
                limiter_set(limiter, (LimitBudget)i, &parsed);
        return limiter;
}

static bool take(Limiter *limiter, LimitClient client, uint64_t now) {
        LimitAnswer answer;

        return limiter_take(limiter, LIMIT_CREATE, &client, now, &answer);
}

static unsigned take_all(Limiter *limiter, LimitClient client, uint64_t now) {
        unsigned n = 0;

        while (take(limiter, client, now))
                n++;
        return n;
}

static void test_burst_and_return(void **state) {
        Limiter *limiter = make(MIB, NULL, "60/1min:10");
        LimitClient client = client_v4(1);

        (void)state;
        assert_int_equal(take_all(limiter, client, START), 10);
        assert_int_equal(take_all(limiter, client, START + USEC_PER_SEC - 1), 0);
        assert_int_equal(take_all(limiter, client, START + USEC_PER_SEC), 1);
        assert_int_equal(take_all(limiter, client, START + 4 * USEC_PER_SEC), 3);
        /* What is not used does not add up beyond the burst. */
        assert_int_equal(take_all(limiter, client, START + 1000 * USEC_PER_SEC), 10);
        limiter_free(limiter);
}

static void test_answer(void **state) {
        Limiter *limiter = make(MIB, NULL, "60/1min:10");
        LimitClient client = client_v4(1);
        LimitAnswer answer;

        (void)state;
        assert_true(limiter_look(limiter, LIMIT_CREATE, &client, START, &answer));
        assert_int_equal(answer.remaining, 10);
        assert_int_equal(answer.reset_usec, 0);
        assert_true(limiter_take(limiter, LIMIT_CREATE, &client, START, &answer));
        assert_int_equal(answer.limit, 60);
        assert_int_equal(answer.span_usec, 60 * USEC_PER_SEC);
        assert_int_equal(answer.remaining, 9);
        assert_int_equal(answer.reset_usec, USEC_PER_SEC);
        assert_int_equal(answer.retry_usec, 0);
        (void)take_all(limiter, client, START);
        assert_false(limiter_take(limiter, LIMIT_CREATE, &client, START, &answer));
        assert_int_equal(answer.remaining, 0);
        assert_int_equal(answer.reset_usec, 10 * USEC_PER_SEC);
        assert_true(answer.retry_usec >= USEC_PER_SEC && answer.retry_usec <= USEC_PER_SEC + 1);
        assert_false(limiter_look(limiter, LIMIT_CREATE, &client, START, &answer));
        assert_false(limiter_take(limiter, LIMIT_CREATE, &client, START + answer.retry_usec - 2,
                                  &answer));
        assert_true(limiter_take(limiter, LIMIT_CREATE, &client, START + USEC_PER_SEC, &answer));
        limiter_free(limiter);
}

/* Ten thousand clients that ask as fast as they can get what is configured, within 5 %, in each
 * minute that one looks at, the first one too; and the memory stays what it was. */
static void test_exact_with_many_clients(void **state) {
        Limiter *limiter = make(2 * MIB, NULL, "600/1min");
        static unsigned granted[CLIENTS][MINUTES];
        LimitStats before, after;

        (void)state;
        limiter_stats(limiter, &before);
        for (unsigned minute = 0; minute < MINUTES; minute++)
                for (unsigned step = 0; step < 750; step++) {
                        uint64_t now = START + minute * 60 * USEC_PER_SEC + step * 80000;

                        for (uint32_t i = 0; i < CLIENTS; i++)
                                granted[i][minute] += take(limiter, client_v4(i), now);
                }
        limiter_stats(limiter, &after);
        for (uint32_t i = 0; i < CLIENTS; i++)
                for (unsigned minute = 0; minute < MINUTES; minute++)
                        assert_in_range(granted[i][minute], 570, 630);
        assert_int_equal(before.n_bytes, after.n_bytes);
        assert_in_range(after.n_bytes, MIB, 2 * MIB);
        assert_int_equal(after.n_evicted, 0);
        assert_true(after.n_refused[LIMIT_CREATE] > 0);
        limiter_free(limiter);
}

static void test_budgets_and_clients_apart(void **state) {
        Limiter *limiter = make(MIB, NULL, "10/1min");
        LimitClient client = client_v4(7), unknown = limit_client_unknown(),
                    token = limit_client_token((const unsigned char *)"0123456789abcdef");
        LimitAnswer answer;

        (void)state;
        assert_int_equal(take_all(limiter, client, START), 10);
        assert_true(limiter_take(limiter, LIMIT_READ, &client, START, &answer));
        assert_true(limiter_look(limiter, LIMIT_MISSES, &client, START, &answer));
        assert_int_equal(take_all(limiter, client_v4(8), START), 10);
        assert_int_equal(take_all(limiter, token, START), 10);
        assert_int_equal(take_all(limiter, unknown, START), 10);
        limiter_free(limiter);
}

/* Whoever has a /64 has 2^64 addresses: they are one client. */
static void test_ipv6_rotation(void **state) {
        Limiter *limiter = make(MIB, NULL, "10/1min");
        unsigned n = 0;

        (void)state;
        for (uint64_t host = 0; host < 1000; host++)
                n += take(limiter, client_v6(1, host * 0x9e3779b97f4a7c15ULL), START);
        assert_int_equal(n, 10);
        assert_int_equal(take_all(limiter, client_v6(2, 0), START), 10);
        limiter_free(limiter);
}

/* A flood of other clients neither gives a client its budget back nor takes anybody's away, and
 * takes no more memory. */
static void test_flood(void **state) {
        Limiter *limiter = make(64 * 1024, NULL, "100/1min:100");
        LimitStats stats;
        unsigned n = 0;

        (void)state;
        for (uint32_t i = 0; i < 50; i++)
                assert_int_equal(take_all(limiter, client_v4(i), START), 100);
        for (uint32_t i = 0; i < 1000000; i++)
                assert_true(take(limiter, client_v6(i, 0), START));
        for (uint32_t i = 0; i < 50; i++)
                n += take(limiter, client_v4(i), START);
        assert_int_equal(n, 0);
        limiter_stats(limiter, &stats);
        assert_true(stats.n_evicted > 900000);
        assert_true(stats.n_bytes <= 64 * 1024);
        limiter_free(limiter);
}

static void test_no_limit(void **state) {
        Limiter *limiter = make(MIB, NULL, "off");
        LimitClient client = client_v4(1);
        LimitAnswer answer;

        (void)state;
        assert_false(limiter_limits(limiter, LIMIT_CREATE));
        for (unsigned i = 0; i < 10000; i++)
                assert_true(take(limiter, client, START));
        assert_true(limiter_look(limiter, LIMIT_CREATE, &client, START, &answer));
        limiter_free(limiter);
}

/* A lower limit counts at once; what was noted under a higher one does not shut anybody out. */
static void test_changed_limit(void **state) {
        Limiter *limiter = make(MIB, NULL, "1000/1h:1000");
        LimitRate low;

        (void)state;
        assert_int_equal(take_all(limiter, client_v4(1), START), 1000);
        assert_int_equal(limit_rate_parse(SLICE("10/10s:10"), &low), 0);
        limiter_set(limiter, LIMIT_CREATE, &low);
        assert_false(take(limiter, client_v4(1), START));
        assert_true(take(limiter, client_v4(1), START + USEC_PER_SEC));
        limiter_free(limiter);
}

/* The clock of another boot was far ahead. */
static void test_clock_back(void **state) {
        Limiter *limiter = make(MIB, NULL, "10/10s");

        (void)state;
        assert_int_equal(take_all(limiter, client_v4(1), START * 1000), 10);
        assert_false(take(limiter, client_v4(1), START));
        assert_true(take(limiter, client_v4(1), START + USEC_PER_SEC));
        limiter_free(limiter);
}

static char *make_folder(void) {
        static char folder[64];

        (void)snprintf(folder, sizeof folder, "/tmp/limit-test-XXXXXX");
        assert_non_null(mkdtemp(folder));
        return folder;
}

/* Two that open one file share the budgets; another size begins anew. */
static void test_shared(void **state) {
        char *folder = make_folder(), path[96];
        Limiter *one, *two;
        struct stat st;

        (void)state;
        (void)snprintf(path, sizeof path, "%s/limits", folder);
        one = make(MIB, path, "10/1min");
        two = make(MIB, path, "10/1min");
        assert_int_equal(take_all(one, client_v4(1), START), 10);
        assert_int_equal(take_all(two, client_v4(1), START), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        limiter_free(two);
        two = make(MIB, path, "10/1min");
        assert_int_equal(take_all(two, client_v4(1), START), 0);
        limiter_free(two);
        two = make(2 * MIB, path, "10/1min");
        assert_int_equal(take_all(two, client_v4(1), START), 10);
        limiter_free(one);
        limiter_free(two);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(folder), 0);
}

static void test_damaged_file(void **state) {
        char *folder = make_folder(), path[96];
        Limiter *limiter;
        FILE *file;

        (void)state;
        (void)snprintf(path, sizeof path, "%s/limits", folder);
        file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs("not a table", file) >= 0);
        assert_int_equal(fclose(file), 0);
        limiter = make(MIB, path, "10/1min");
        assert_int_equal(take_all(limiter, client_v4(1), START), 10);
        limiter_free(limiter);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(folder), 0);
        assert_int_equal(limiter_new(MIB, path, &limiter), -ENOENT);
        assert_int_equal(limiter_new(100, NULL, &limiter), -EINVAL);
}

static void test_no_memory(void **state) {
        Limiter *limiter = NULL;

        (void)state;
        failing_malloc_arm(1);
        assert_int_equal(limiter_new(MIB, NULL, &limiter), -ENOMEM);
        failing_malloc_arm(0);
        assert_null(limiter);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_burst_and_return),
                        cmocka_unit_test(test_answer),
                        cmocka_unit_test(test_exact_with_many_clients),
                        cmocka_unit_test(test_budgets_and_clients_apart),
                        cmocka_unit_test(test_ipv6_rotation),
                        cmocka_unit_test(test_flood),
                        cmocka_unit_test(test_no_limit),
                        cmocka_unit_test(test_changed_limit),
                        cmocka_unit_test(test_clock_back),
                        cmocka_unit_test(test_shared),
                        cmocka_unit_test(test_damaged_file),
                        cmocka_unit_test(test_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
