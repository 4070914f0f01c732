/* SPDX-License-Identifier: MIT */

/* Streams, against a real server: who hears what, and what else may stand there. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "cache/redis-internal.h"
#include "cache/redis-stream.h"
#include "redis-server.h"

#define WAIT_USEC    (20 * USEC_PER_SEC)
#define TIMEOUT_USEC (300 * USEC_PER_MSEC)
#define KEY          REDIS_KEY_PREFIX " test"

typedef struct Fixture {
        RedisServer server;
        Redis *redis;
        RedisCursor cursor;
        char heard[4096]; /* "one|two|" */
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof *f);
        RedisOptions options = {.timeout_usec = TIMEOUT_USEC};

        assert_non_null(f);
        redis_server_start(&f->server, NULL);
        options.place = f->server.place;
        assert_int_equal(redis_new(&options, &f->redis), 0);
        assert_int_equal(redis_connect(f->redis, WAIT_USEC), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void)redis_free(f->redis);
        redis_server_end(&f->server);
        free(f);
        return 0;
}

static void on_value(void *userdata, Slice value) {
        Fixture *f = userdata;
        size_t len = strlen(f->heard);

        assert_true(len + value.len + 2 <= sizeof f->heard);
        memcpy(f->heard + len, value.data, value.len);
        memcpy(f->heard + len + value.len, "|", 2);
}

static int hear(Fixture *f) {
        f->heard[0] = '\0';
        return redis_stream_read(f->redis, "test", &f->cursor, on_value, f);
}

static void tell(Fixture *f, const char *text) {
        redis_stream_write(f->redis, "test", slice_from_string(text));
}

static long long number(const Fixture *f, const char *format) {
        redisReply *reply = redis_server_command(&f->server, format, KEY);
        long long n;

        assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
        n = reply->integer;
        freeReplyObject(reply);
        return n;
}

static void test_what_comes_behind_the_begin(void **state) {
        Fixture *f = *state;

        tell(f, "before");
        assert_int_equal(hear(f), 0);
        assert_string_equal(f->heard, "");
        assert_int_equal(hear(f), 0);
        tell(f, "one");
        tell(f, "two");
        assert_int_equal(hear(f), 2);
        assert_string_equal(f->heard, "one|two|");
        assert_int_equal(hear(f), 0);
        assert_in_range(number(f, "TTL %s"), 50, 60);
}

static void test_empty_at_first(void **state) {
        Fixture *f = *state;

        assert_int_equal(hear(f), 0);
        tell(f, "one");
        assert_int_equal(hear(f), 1);
        assert_string_equal(f->heard, "one|");
}

static void test_many(void **state) {
        Fixture *f = *state;
        int n = 0, r;

        assert_int_equal(hear(f), 0);
        for (unsigned i = 0; i < 40; i++) {
                tell(f, "x");
                assert_int_equal(redis_settle(f->redis, WAIT_USEC), 0);
        }
        while ((r = hear(f)) == (int)REDIS_STREAM_READ)
                n += r;
        assert_int_equal(n + r, 40);
        for (unsigned i = 0; i < 3000; i++) {
                tell(f, "x");
                assert_int_equal(redis_settle(f->redis, WAIT_USEC), 0);
        }
        assert_in_range(number(f, "XLEN %s"), REDIS_STREAM_ENTRIES, 2 * REDIS_STREAM_ENTRIES);
}

/* Another type, entries of another form, one that is too large to be written. */
static void test_what_else_stands_there(void **state) {
        static char large[REDIS_STREAM_MAX + 1];
        Fixture *f = *state;
        RedisStats stats;

        freeReplyObject(redis_server_command(&f->server, "SET %s x", KEY));
        tell(f, "one");
        assert_int_equal(hear(f), 0);
        freeReplyObject(redis_server_command(&f->server, "DEL %s", KEY));
        tell(f, "before");
        assert_int_equal(hear(f), 0);
        freeReplyObject(redis_server_command(&f->server, "XADD %s * a b c d", KEY));
        redis_stream_write(f->redis, "test", slice_make(large, sizeof large));
        tell(f, "two");
        assert_int_equal(hear(f), 2);
        assert_string_equal(f->heard, "two|");
        redis_stats(f->redis, &stats);
        assert_int_equal(stats.n_bad, 1);
        assert_true(stats.n_refused > 0);
}

/* It costs one timeout, and the circuit is open. */
static void test_frozen(void **state) {
        Fixture *f = *state;
        uint64_t start;

        assert_int_equal(hear(f), 0);
        redis_server_signal(&f->server, SIGSTOP);
        start = clock_monotonic_usec();
        tell(f, "one");
        assert_true(clock_monotonic_usec() - start < TIMEOUT_USEC);
        assert_int_equal(hear(f), -EHOSTDOWN);
        assert_false(redis_is_up(f->redis));
        tell(f, "two");
        assert_int_equal(hear(f), -EHOSTDOWN);
        redis_server_signal(&f->server, SIGCONT);
        assert_int_equal(redis_connect(f->redis, 0), -EHOSTDOWN);
}

int main(void) {
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        static const struct CMUnitTest tests[] = {
                        WITH_SERVER(test_what_comes_behind_the_begin),
                        WITH_SERVER(test_empty_at_first),
                        WITH_SERVER(test_many),
                        WITH_SERVER(test_what_else_stands_there),
                        WITH_SERVER(test_frozen),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
