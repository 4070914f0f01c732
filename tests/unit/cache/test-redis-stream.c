/* SPDX-License-Identifier: MIT */

/* Streams, against a real server: who hears what, and what else may stand there. */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

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

/* Its clock was ahead, nobody wrote for a minute, and now its entries are older than the last. */
static void test_begun_anew_with_a_clock_behind(void **state) {
        Fixture *f = *state;
        unsigned n = 0;
        int r;

        assert_int_equal(hear(f), 0);
        freeReplyObject(redis_server_command(&f->server, "XADD %s 99999999999999-7 v old", KEY));
        assert_int_equal(hear(f), 1);
        assert_int_equal(number(f, "DEL %s"), 1);
        tell(f, "one");
        do
                r = hear(f);
        while (r == 0 && ++n <= REDIS_STREAM_SILENT);
        assert_int_equal(r, 1);
        assert_string_equal(f->heard, "one|");

        /* Silence alone is none, and nothing is heard twice. */
        for (n = 0; n < 2 * REDIS_STREAM_SILENT + 2; n++)
                assert_int_equal(hear(f), 0);
        tell(f, "two");
        assert_int_equal(hear(f), 1);
        assert_string_equal(f->heard, "two|");
}

/* ---- a network that brings little at a time ---- */

#define PIECE 1000u /* bytes */

typedef struct Slow {
        const Fixture *fixture;
        int listener;
} Slow;

/* false: that was all. */
static bool pass_on(int from, int to, size_t piece) {
        char bytes[64 * 1024];
        ssize_t n = recv(from, bytes, sizeof bytes, 0);

        for (ssize_t at = 0; at < n; at += (ssize_t)piece) {
                const struct timespec moment = {.tv_nsec = 20000};

                if (send(to, bytes + at, MIN(piece, (size_t)(n - at)), MSG_NOSIGNAL) <= 0)
                        return false;
                (void)nanosleep(&moment, NULL);
        }
        return n > 0;
}

static void *run_slow(void *userdata) {
        const Slow *slow = userdata;
        int client = accept(slow->listener, NULL, NULL);
        redisContext *server = redisConnectUnix(slow->fixture->server.place + strlen("unix:"));
        struct pollfd fds[2] = {{.fd = client, .events = POLLIN},
                                {.fd = server->fd, .events = POLLIN}};
        bool more = true;

        while (more && poll(fds, 2, -1) > 0) {
                if (fds[0].revents)
                        more = pass_on(client, server->fd, 64 * 1024);
                if (more && fds[1].revents)
                        more = pass_on(server->fd, client, PIECE);
        }
        (void)close(client);
        redisFree(server);
        return NULL;
}

static void on_large(void *userdata, Slice value) {
        size_t *n = userdata;

        *n += value.len;
}

/* The largest answer there is, in a thousand pieces. */
static void test_many_small_pieces(void **state) {
        static char large[REDIS_STREAM_MAX];
        Fixture *f = *state;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        Slow slow = {.fixture = f, .listener = socket(AF_UNIX, SOCK_STREAM, 0)};
        char place[sizeof address.sun_path + 8];
        RedisOptions options = {.place = place, .timeout_usec = WAIT_USEC};
        pthread_t thread;
        Redis *redis;
        size_t n = 0;
        int r;

        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/slow", f->server.folder);
        (void)snprintf(place, sizeof place, "unix:%s", address.sun_path);
        assert_int_equal(bind(slow.listener, (const struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(slow.listener, 1), 0);
        assert_int_equal(pthread_create(&thread, NULL, run_slow, &slow), 0);
        assert_int_equal(redis_new(&options, &redis), 0);
        assert_int_equal(redis_connect(redis, WAIT_USEC), 0);
        assert_int_equal(redis_stream_read(redis, "test", &f->cursor, on_large, &n), 0);
        for (unsigned i = 0; i < REDIS_STREAM_READ; i++) {
                redis_stream_write(f->redis, "test", slice_make(large, sizeof large));
                assert_int_equal(redis_settle(f->redis, WAIT_USEC), 0);
        }
        r = redis_stream_read(redis, "test", &f->cursor, on_large, &n);
        if (r < 0)
                print_message("%s\n", redis_why(redis));
        (void)redis_free(redis);
        (void)pthread_join(thread, NULL);
        (void)close(slow.listener);
        (void)unlink(address.sun_path);
        assert_int_equal(r, REDIS_STREAM_READ);
        assert_int_equal(n, REDIS_STREAM_READ * sizeof large);
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
                        WITH_SERVER(test_begun_anew_with_a_clock_behind),
                        WITH_SERVER(test_many_small_pieces),
                        WITH_SERVER(test_frozen),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
