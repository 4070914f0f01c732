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
#define CLIENTS (10000u / TEST_ONE_OF)
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

/* ---- several hosts ---- */

#define HOSTS        3u
#define TURN_USEC    (100 * USEC_PER_MSEC)
#define DELAY_TURNS  2u /* until others know: a host's turn, and theirs */
#define SETTLE_USEC  (20 * USEC_PER_SEC)
#define MEASURE_USEC (60 * USEC_PER_SEC)

typedef struct Host {
        Limiter *limiter;
        unsigned given;                   /* since the last turn */
        unsigned on_way[DELAY_TURNS + 1]; /* the oldest last */
} Host;

static void on_given(void *userdata, LimitBudget budget, const LimitClient *client) {
        Host *host = userdata;

        assert_int_equal(budget, LIMIT_CREATE);
        assert_int_equal(client->bytes[0], client_v4(1).bytes[0]);
        host->given++;
}

/* As if it were this thread's. */
static void add(Limiter *limiter, LimitBudget budget, const LimitClient *client, uint64_t n,
                uint64_t now) {
        LimitTerms terms;

        limiter_terms(limiter, &terms);
        limiter_add(limiter, &terms, budget, client, n, now);
}

static void turn(Host hosts[HOSTS], uint64_t now) {
        LimitClient client = client_v4(1);

        for (unsigned i = 0; i < HOSTS; i++) {
                memmove(hosts[i].on_way + 1, hosts[i].on_way,
                        DELAY_TURNS * sizeof hosts[i].on_way[0]);
                hosts[i].on_way[0] = hosts[i].given;
                hosts[i].given = 0;
                for (unsigned other = 0; other < HOSTS; other++)
                        if (other != i)
                                add(hosts[other].limiter, LIMIT_CREATE, &client,
                                    hosts[i].on_way[DELAY_TURNS], now);
        }
}

/* A client that asks host i every pause[i] usec. How many requests it gets through in total from
 * the begin, and of those while it is measured. */
static void play(const char *rate, const uint64_t pauses[HOSTS], unsigned *ret_all,
                 unsigned *ret_measured) {
        Host hosts[HOSTS] = {{.limiter = NULL}};
        uint64_t end = SETTLE_USEC + MEASURE_USEC;

        *ret_all = *ret_measured = 0;
        for (unsigned i = 0; i < HOSTS; i++) {
                hosts[i].limiter = make(MIB, NULL, rate);
                limiter_share(hosts[i].limiter, on_given, hosts + i);
        }
        for (uint64_t t = 0; t < end; t += USEC_PER_MSEC) {
                for (unsigned i = 0; i < HOSTS; i++) {
                        bool asks = pauses[i] > 0 && t % pauses[i] == 0;

                        if (!asks || !take(hosts[i].limiter, client_v4(1), START + t))
                                continue;
                        ++*ret_all;
                        *ret_measured += t >= SETTLE_USEC;
                }
                if (t % TURN_USEC == 0)
                        turn(hosts, START + t);
        }
        for (unsigned i = 0; i < HOSTS; i++)
                limiter_free(hosts[i].limiter);
}

/* Three hosts that hear of each other 200 to 300 ms late give, in the long run, what one may. */
static void test_hosts_keep_the_pace(void **state) {
        static const struct {
                const char *rate;
                uint64_t pauses[HOSTS];           /* usec */
                unsigned per_minute, burst, late; /* requests; late: what 300 ms are good for */
        } cases[] = {
                        {"100/1s:10", {1000, 1000, 1000}, 6000, 10, 60},
                        {"100/1s:1", {1000, 1000, 1000}, 6000, 1, 60},
                        {"100/1s:10", {20000, 20000, 20000}, 6000, 10, 60},
                        {"100/1s:10", {1000, 50000, 400000}, 6000, 10, 60},
                        {"100/1s:10", {1000, 0, 0}, 6000, 10, 60},
                        {"600/1min", {1000, 1000, 1000}, 600, 30, 6},
                        {"600/1min:60", {1000, 1000, 1000}, 600, 60, 6},
                        {"120/1min", {7000, 11000, 13000}, 120, 10, 3},
                        {"1000/1s", {1000, 1000, 1000}, 60000, 50, 600},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                unsigned expected = cases[i].per_minute, all, measured;

                play(cases[i].rate, cases[i].pauses, &all, &measured);
                if (measured < expected - expected / 20 || measured > expected + expected / 20)
                        fail_msg("%zu: %s: %u a minute", i, cases[i].rate, measured);
                /* What all gave at once at the begin is paid. */
                if (all > expected * 4 / 3 + cases[i].burst + 2 * cases[i].late)
                        fail_msg("%zu: %s: %u in 80 s", i, cases[i].rate, all);
        }
}

/* More than there is, is a debt: nothing until it is paid, and that is told. */
static void test_debt(void **state) {
        Limiter *limiter = make(MIB, NULL, "60/1min:10");
        LimitClient client = client_v4(1);
        Host host = {.limiter = NULL};
        LimitAnswer answer;

        (void)state;
        limiter_share(limiter, on_given, &host);
        add(limiter, LIMIT_CREATE, &client, 25, START);
        assert_false(limiter_take(limiter, LIMIT_CREATE, &client, START, &answer));
        assert_int_equal(answer.remaining, 0);
        assert_int_equal(answer.reset_usec, 25 * USEC_PER_SEC);
        assert_int_equal(answer.retry_usec, 16 * USEC_PER_SEC + 1);
        assert_false(limiter_peek(limiter, LIMIT_CREATE, &client, START, &answer));
        assert_int_equal(answer.retry_usec, 16 * USEC_PER_SEC + 1);
        assert_false(take(limiter, client, START + 16 * USEC_PER_SEC - 1));
        assert_int_equal(take_all(limiter, client, START + 16 * USEC_PER_SEC), 1);
        assert_int_equal(host.given, 1);
        /* Others' budgets are theirs. */
        assert_int_equal(take_all(limiter, client_v4(2), START), 10);
        add(limiter, LIMIT_READ, &client, 5, START + 100 * USEC_PER_SEC);
        assert_int_equal(take_all(limiter, client, START + 100 * USEC_PER_SEC), 10);
        /* It ends somewhere, whatever is heard: a minute after a burst of 10 s. */
        for (unsigned i = 0; i < 1000; i++)
                add(limiter, LIMIT_CREATE, &client, UINT64_MAX, START);
        assert_false(take(limiter, client, START + 61 * USEC_PER_SEC - 1));
        assert_true(take(limiter, client, START + 61 * USEC_PER_SEC));
        /* Alone again: what is still owed shuts nobody out for longer than a burst. */
        add(limiter, LIMIT_CREATE, &client, 1000, START);
        limiter_share(limiter, NULL, NULL);
        assert_false(take(limiter, client, START));
        assert_true(take(limiter, client, START + USEC_PER_SEC));
        limiter_free(limiter);
}

/* Whatever is heard, the next request may come after one span and one request's time; for short
 * spans, for which hosts hear late, it may be 10 s. */
static void count_given(void *userdata, LimitBudget budget, const LimitClient *client) {
        (void)budget;
        (void)client;
        ++*(unsigned *)userdata;
}

/* What costs something by its outcome: whoever had more under way than he may, waits for it. */
static void test_owed(void **state) {
        Limiter *limiter = make(MIB, NULL, "60/1min:5");
        LimitClient client = client_v4(1), other = client_v4(2);
        unsigned n_given = 0;
        LimitAnswer answer;
        LimitStats stats;

        (void)state;
        for (unsigned i = 0; i < 30; i++)
                assert_int_equal(limiter_owe(limiter, LIMIT_MISSES, &client, START, &answer),
                                 i < 5);
        assert_int_equal(answer.remaining, 0);
        assert_int_equal(answer.reset_usec, 30 * USEC_PER_SEC);
        assert_true(answer.retry_usec >= 26 * USEC_PER_SEC &&
                    answer.retry_usec <= 26 * USEC_PER_SEC + 1);
        limiter_stats(limiter, &stats);
        assert_int_equal(stats.n_refused[LIMIT_MISSES], 25);
        assert_false(limiter_peek(limiter, LIMIT_MISSES, &client, START + 25 * USEC_PER_SEC,
                                  &answer));
        assert_true(limiter_peek(limiter, LIMIT_MISSES, &client, START + 26 * USEC_PER_SEC,
                                 &answer));
        assert_true(limiter_owe(limiter, LIMIT_MISSES, &other, START, &answer));
        /* Others hear of it, too. */
        limiter_share(limiter, count_given, &n_given);
        assert_false(limiter_owe(limiter, LIMIT_MISSES, &client, START, &answer));
        assert_true(limiter_owe(limiter, LIMIT_MISSES, &other, START, &answer));
        assert_int_equal(n_given, 2);
        limiter_share(limiter, NULL, NULL);
        /* It ends at a span of the rate. */
        for (unsigned i = 0; i < 1000; i++)
                (void)limiter_owe(limiter, LIMIT_FAILED_AUTH, &client, START, &answer);
        assert_int_equal(answer.reset_usec, 65 * USEC_PER_SEC);
        assert_true(limiter_peek(limiter, LIMIT_FAILED_AUTH, &client, START + 61 * USEC_PER_SEC,
                                 &answer));
        limiter_free(limiter);
}

static void test_a_debt_ends(void **state) {
        static const struct {
                const char *rate;
                uint64_t wait_usec;
        } cases[] = {
                        {"1/1d", 2 * 86400 * USEC_PER_SEC},
                        {"10/1d:10", (86400 + 8640) * USEC_PER_SEC},
                        {"24/1d:1", (16 * 3600 + 10 + 3600) * USEC_PER_SEC},
                        {"60/1min:60", 61 * USEC_PER_SEC},
                        {"10/1s:10", 10100 * USEC_PER_MSEC},
                        {"1000/1s:1", 10001 * USEC_PER_MSEC},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Limiter *limiter = make(MIB, NULL, cases[i].rate);
                LimitClient client = client_v4(1);
                Host host = {.limiter = NULL};
                uint64_t end = START + cases[i].wait_usec;
                LimitAnswer answer;

                limiter_share(limiter, on_given, &host);
                add(limiter, LIMIT_CREATE, &client, UINT64_MAX, START);
                assert_false(limiter_take(limiter, LIMIT_CREATE, &client, START, &answer));
                if (answer.retry_usec != cases[i].wait_usec + 1)
                        fail_msg("%s: %ju", cases[i].rate, (uintmax_t)answer.retry_usec);
                assert_false(take(limiter, client, end - 1));
                assert_true(take(limiter, client, end));
                limiter_free(limiter);
        }
}

/* Of those that share a file one leads, until it is gone. */
/* By all that share the file. */
static void test_somebody_is_refused(void **state) {
        char path[] = "/tmp/test-limiter-XXXXXX";
        int fd = mkstemp(path);
        Limiter *one, *two;

        (void)state;
        assert_true(fd >= 0);
        close(fd);
        one = make(MIB, path, "60/1min:5");
        two = make(MIB, path, "60/1min:5");
        assert_int_equal(*limiter_refused_until(two), 0);
        limiter_refuse(one, START + 2);
        limiter_refuse(one, START + 1);
        assert_int_equal(*limiter_refused_until(two), START + 2);
        limiter_forget_refused(two, START + 1);
        assert_int_equal(*limiter_refused_until(one), START + 2);
        limiter_forget_refused(two, START + 2);
        assert_int_equal(*limiter_refused_until(one), 0);
        /* From before the clock began anew. */
        limiter_refuse(one, START * 1000);
        limiter_forget_refused(two, START);
        assert_int_equal(*limiter_refused_until(one), 0);
        limiter_free(one);
        limiter_free(two);
        unlink(path);
}

static void test_who_leads(void **state) {
        char *folder = make_folder(), path[96];
        Limiter *one, *two, *alone = make(MIB, NULL, "10/1min");

        (void)state;
        (void)snprintf(path, sizeof path, "%s/limits", folder);
        one = make(MIB, path, "10/1min");
        two = make(MIB, path, "10/1min");
        assert_true(limiter_leads(two));
        assert_false(limiter_leads(one));
        assert_true(limiter_leads(two));
        assert_true(limiter_leads(alone));
        assert_true(limiter_host(one) == limiter_host(two));
        assert_false(limiter_host(one) == limiter_host(alone));
        limiter_free(two);
        assert_true(limiter_leads(one));
        limiter_free(one);
        limiter_free(alone);
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
                        cmocka_unit_test(test_hosts_keep_the_pace),
                        cmocka_unit_test(test_debt),
                        cmocka_unit_test(test_owed),
                        cmocka_unit_test(test_a_debt_ends),
                        cmocka_unit_test(test_somebody_is_refused),
                        cmocka_unit_test(test_who_leads),
                        cmocka_unit_test(test_damaged_file),
                        cmocka_unit_test(test_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
