/* SPDX-License-Identifier: MIT */

/* The connection to Redis, against a real server that is frozen, killed, filled and lied to. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "cache/redis-internal.h"
#include "redis-server.h"

#define WAIT_USEC    (20 * USEC_PER_SEC)
#define TIMEOUT_USEC (300 * USEC_PER_MSEC)

typedef struct Fixture {
        RedisServer server;
        Redis *redis;
        Arena arena;
} Fixture;

static Redis *open_redis(const char *place, const char *password) {
        RedisOptions options = {.place = place,
                                .password = password,
                                .ttl_usec = 100 * USEC_PER_SEC,
                                .timeout_usec = TIMEOUT_USEC};
        Redis *redis;

        assert_int_equal(redis_new(&options, &redis), 0);
        return redis;
}

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof *fixture);

        assert_non_null(fixture);
        redis_server_start(&fixture->server, NULL);
        fixture->redis = open_redis(fixture->server.place, NULL);
        assert_int_equal(redis_connect(fixture->redis, WAIT_USEC), 0);
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        (void)redis_free(fixture->redis);
        redis_server_end(&fixture->server);
        arena_done(&fixture->arena);
        free(fixture);
        return 0;
}

static RedisStats stats(const Fixture *fixture) {
        RedisStats stats;

        redis_stats(fixture->redis, &stats);
        return stats;
}

static void put(Fixture *fixture, const char *code, int64_t id, const char *location) {
        Link link = {.id = id,
                     .code = slice_from_string(code),
                     .location = slice_from_string(location),
                     .is_active = true};

        redis_put(fixture->redis, &fixture->arena, &link, 1, clock_realtime_usec());
}

static int get(Fixture *fixture, const char *code, Link *ret) {
        Link *link = ret;

        *ret = (Link){.code = slice_from_string(code)};
        return redis_get(fixture->redis, &fixture->arena, &link, 1);
}

/* Until it is up again, as the resolver does it. */
static void wait_up(Fixture *fixture) {
        uint64_t end = clock_monotonic_usec() + 3 * WAIT_USEC;

        while (!redis_is_up(fixture->redis)) {
                assert_true(clock_monotonic_usec() < end);
                (void)usleep((useconds_t)MIN(redis_tend(fixture->redis), 10 * USEC_PER_MSEC));
        }
}

static void test_put_and_get(void **state) {
        Fixture *fixture = *state;
        Link links[3] = {{.code = SLICE("one")}, {.code = SLICE("none")}, {.code = SLICE("two")}};
        Link *asked[] = {links, links + 1, links + 2};

        put(fixture, "one", 1, "https://one.example/");
        put(fixture, "two", 2, "https://two.example/");
        assert_int_equal(redis_get(fixture->redis, &fixture->arena, asked, 3), 2);
        assert_int_equal(links[0].id, 1);
        assert_true(slice_equal(links[0].location, SLICE("https://one.example/")));
        assert_int_equal(links[1].id, 0);
        assert_int_equal(links[2].id, 2);
        assert_true(links[2].is_active);
        assert_int_equal(stats(fixture).n_hits, 2);
        assert_int_equal(stats(fixture).n_misses, 1);
        assert_true(stats(fixture).up);
        assert_true(stats(fixture).latency_usec > 0);
}

/* What is not there or not active is not kept; nor is a location that would not be taken back. */
static void test_put_only_active(void **state) {
        Fixture *fixture = *state;
        Link links[] = {{.code = SLICE("none")},
                        {.id = 1, .code = SLICE("off"), .location = SLICE("https://off.example/")},
                        {.id = 2,
                         .code = SLICE("bad"),
                         .location = SLICE("bad"),
                         .is_active = true},
                        {.id = 3,
                         .code = SLICE("on"),
                         .location = SLICE("https://on.example/"),
                         .is_active = true}};
        redisReply *reply;
        Link link;

        redis_put(fixture->redis, &fixture->arena, links, ELEMENTSOF(links), clock_realtime_usec());
        assert_int_equal(redis_settle(fixture->redis, WAIT_USEC), 0);
        reply = redis_server_command(&fixture->server, "DBSIZE");
        assert_int_equal(reply->integer, 1);
        freeReplyObject(reply);
        assert_int_equal(get(fixture, "on", &link), 1);
}

/* The end is the time of the read plus the TTL, or up to a tenth less; not of the put. */
static void test_time_to_live(void **state) {
        uint64_t now = clock_realtime_usec(), read_usec = now - 30 * USEC_PER_SEC;
        Fixture *fixture = *state;
        long long least = INT64_MAX, most = 0;

        for (unsigned i = 0; i < 100; i++) {
                char code[16];
                Link link = {.id = 1, .location = SLICE("https://example.com/"), .is_active = true};
                redisReply *reply;

                (void)snprintf(code, sizeof code, "c%u", i);
                link.code = slice_from_string(code);
                redis_put(fixture->redis, &fixture->arena, &link, 1, read_usec);
                assert_int_equal(redis_settle(fixture->redis, WAIT_USEC), 0);
                reply = redis_server_command(&fixture->server, "EXPIRETIME %s%s", REDIS_KEY_PREFIX,
                                             code);
                least = MIN(least, reply->integer - (long long)(read_usec / USEC_PER_SEC));
                most = MAX(most, reply->integer - (long long)(read_usec / USEC_PER_SEC));
                freeReplyObject(reply);
        }
        assert_in_range(least, 89, 99);
        assert_in_range(most, 91, 101);
        assert_true(least < most);
}

static void test_a_batch(void **state) {
        Fixture *fixture = *state;
        Link links[REDIS_BATCH_MAX], *asked[REDIS_BATCH_MAX];
        char codes[REDIS_BATCH_MAX][8], location[MODEL_TARGET_MAX + 1];

        memset(location, 'x', sizeof location);
        memcpy(location, "https://example.com/", 20);
        for (size_t i = 0; i < REDIS_BATCH_MAX; i++) {
                (void)snprintf(codes[i], sizeof codes[i], "%zu", i);
                links[i] = (Link){.id = (int64_t)i + 1,
                                  .code = slice_from_string(codes[i]),
                                  .location = slice_make(location, MODEL_TARGET_MAX),
                                  .is_active = true};
                asked[i] = links + i;
        }
        redis_put(fixture->redis, &fixture->arena, links, REDIS_BATCH_MAX, clock_realtime_usec());
        assert_int_equal(redis_settle(fixture->redis, WAIT_USEC), 0);
        for (size_t i = 0; i < REDIS_BATCH_MAX; i++)
                links[i] = (Link){.code = links[i].code};
        assert_int_equal(redis_get(fixture->redis, &fixture->arena, asked, REDIS_BATCH_MAX),
                         REDIS_BATCH_MAX);
        for (size_t i = 0; i < REDIS_BATCH_MAX; i++)
                assert_int_equal(links[i].id, i + 1);
}

/* One question waits for the timeout; then nothing does until the server goes on. */
static void test_frozen(void **state) {
        Fixture *fixture = *state;
        uint64_t start, longest = 0;
        Link link;

        put(fixture, "one", 1, "https://one.example/");
        assert_int_equal(get(fixture, "one", &link), 1);
        redis_server_signal(&fixture->server, SIGSTOP);
        start = clock_monotonic_usec();
        assert_int_equal(get(fixture, "one", &link), -EHOSTDOWN);
        assert_in_range(clock_monotonic_usec() - start, TIMEOUT_USEC, 5 * TIMEOUT_USEC);
        assert_false(stats(fixture).up);
        assert_string_equal(redis_why(fixture->redis), "no answer in time");
        for (unsigned i = 0; i < 300; i++) {
                start = clock_monotonic_usec();
                (void)redis_tend(fixture->redis);
                assert_int_equal(get(fixture, "one", &link), -EHOSTDOWN);
                longest = MAX(longest, clock_monotonic_usec() - start);
                (void)usleep(10000);
        }
        assert_true(longest < TIMEOUT_USEC / 2);
        redis_server_signal(&fixture->server, SIGCONT);
        wait_up(fixture);
        assert_int_equal(get(fixture, "one", &link), 1);
}

/* What is put into a frozen server neither waits nor grows without end. */
static void test_put_into_a_frozen_one(void **state) {
        Fixture *fixture = *state;
        uint64_t start;
        Link link;

        redis_server_signal(&fixture->server, SIGSTOP);
        start = clock_monotonic_usec();
        for (unsigned i = 0; i < 10000; i++)
                put(fixture, "one", 1, "https://one.example/");
        assert_true(fixture->redis->n_owed <= 4 * REDIS_BATCH_MAX);
        assert_true(clock_monotonic_usec() - start < 2 * USEC_PER_SEC);
        redis_server_signal(&fixture->server, SIGCONT);
        assert_int_equal(redis_settle(fixture->redis, WAIT_USEC), 0);
        assert_int_equal(get(fixture, "one", &link), 1);
}

static void test_killed(void **state) {
        Fixture *fixture = *state;
        Link link;

        put(fixture, "one", 1, "https://one.example/");
        redis_server_kill(&fixture->server);
        assert_int_equal(get(fixture, "one", &link), -EHOSTDOWN);
        assert_int_equal(redis_connect(fixture->redis, 1000), -EHOSTDOWN);
        put(fixture, "one", 1, "https://one.example/");
        assert_int_equal(redis_settle(fixture->redis, WAIT_USEC), -EHOSTDOWN);
        assert_int_equal(redis_claim(fixture->redis, "x", "me", 1000), -EHOSTDOWN);
        redis_server_restart(&fixture->server);
        wait_up(fixture);
        assert_int_equal(get(fixture, "one", &link), 0);
}

/* Noticed while nothing is asked. */
static void test_killed_with_replies_owed(void **state) {
        Fixture *fixture = *state;

        redis_server_signal(&fixture->server, SIGSTOP);
        put(fixture, "one", 1, "https://one.example/");
        redis_server_kill(&fixture->server);
        (void)redis_tend(fixture->redis);
        assert_false(redis_is_up(fixture->redis));
        assert_true(*redis_why(fixture->redis) != '\0');
}

/* The connection breaks, the server is there: back within a second. */
static void test_connection_broken(void **state) {
        Fixture *fixture = *state;
        Link link;

        put(fixture, "one", 1, "https://one.example/");
        assert_int_equal(redis_settle(fixture->redis, WAIT_USEC), 0);
        freeReplyObject(redis_server_command(&fixture->server, "CLIENT KILL TYPE normal"));
        assert_int_equal(get(fixture, "one", &link), -EHOSTDOWN);
        wait_up(fixture);
        assert_int_equal(get(fixture, "one", &link), 1);
}

static void test_flushed(void **state) {
        Fixture *fixture = *state;
        Link link;

        put(fixture, "one", 1, "https://one.example/");
        assert_int_equal(get(fixture, "one", &link), 1);
        freeReplyObject(redis_server_command(&fixture->server, "FLUSHALL"));
        assert_int_equal(get(fixture, "one", &link), 0);
}

static void test_out_of_memory(void **state) {
        Fixture *fixture = *state;
        Link link;

        put(fixture, "one", 1, "https://one.example/");
        assert_int_equal(redis_settle(fixture->redis, WAIT_USEC), 0);
        freeReplyObject(redis_server_command(&fixture->server,
                                             "CONFIG SET maxmemory-policy noeviction"));
        freeReplyObject(redis_server_command(&fixture->server, "CONFIG SET maxmemory 1"));
        put(fixture, "two", 2, "https://two.example/");
        assert_int_equal(get(fixture, "one", &link), 1);
        assert_int_equal(get(fixture, "two", &link), 0);
        assert_int_equal(stats(fixture).n_refused, 1);
        assert_true(stats(fixture).up);
        freeReplyObject(redis_server_command(&fixture->server, "CONFIG SET maxmemory 0"));
        put(fixture, "two", 2, "https://two.example/");
        assert_int_equal(get(fixture, "two", &link), 1);
}

static void test_corrupt_values(void **state) {
        static const char *const values[] = {"", "x", "1 00000000 1 1 one https://evil.example/",
                                             "https://evil.example/\r\nX: y"};
        Fixture *fixture = *state;
        Link link;

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                freeReplyObject(redis_server_command(&fixture->server, "SET %sone %b",
                                                     REDIS_KEY_PREFIX, values[i],
                                                     strlen(values[i])));
                assert_int_equal(get(fixture, "one", &link), 0);
                assert_int_equal(stats(fixture).n_bad, i + 1);
        }
        freeReplyObject(redis_server_command(&fixture->server, "DEL %sone", REDIS_KEY_PREFIX));
        freeReplyObject(redis_server_command(&fixture->server, "LPUSH %sone a", REDIS_KEY_PREFIX));
        assert_int_equal(get(fixture, "one", &link), 0); /* MGET: nothing for what is no string */
        freeReplyObject(redis_server_command(&fixture->server, "DEL %sone", REDIS_KEY_PREFIX));
        put(fixture, "two", 2, "https://two.example/");
        assert_int_equal(redis_settle(fixture->redis, WAIT_USEC), 0);
        freeReplyObject(redis_server_command(&fixture->server, "RENAME %stwo %sone",
                                             REDIS_KEY_PREFIX, REDIS_KEY_PREFIX));
        assert_int_equal(get(fixture, "one", &link), 0); /* another link's value */
}

/* Somebody put something huge where a link should be: it is not read to its end. */
static void test_huge_value(void **state) {
        enum { SIZE = 64 << 20 };
        Fixture *fixture = *state;
        char *value = malloc(SIZE);
        Link link;

        assert_non_null(value);
        memset(value, 'x', SIZE);
        freeReplyObject(redis_server_command(&fixture->server, "SET %sone %b", REDIS_KEY_PREFIX,
                                             value, (size_t)SIZE));
        free(value);
        fixture->redis->timeout_usec = WAIT_USEC;
        assert_int_equal(get(fixture, "one", &link), -EHOSTDOWN);
        assert_string_equal(redis_why(fixture->redis), "an answer is too large");
}

static void test_password(void **state) {
        RedisServer server;
        Redis *redis;

        (void)state;
        redis_server_start(&server, "requirepass secret");
        redis = open_redis(server.place, "secret");
        assert_int_equal(redis_connect(redis, WAIT_USEC), 0);
        (void)redis_free(redis);
        redis = open_redis(server.place, "wrong");
        assert_int_equal(redis_connect(redis, WAIT_USEC), -EHOSTDOWN);
        assert_non_null(strstr(redis_why(redis), "WRONGPASS"));
        (void)redis_free(redis);
        redis = open_redis(server.place, NULL);
        assert_int_equal(redis_connect(redis, WAIT_USEC), -EHOSTDOWN);
        assert_non_null(strstr(redis_why(redis), "NOAUTH"));
        (void)redis_free(redis);
        redis_server_end(&server);
}

static void test_tcp_and_database(void **state) {
        Fixture *fixture = *state;
        char place[96];
        redisReply *reply;
        Link link;

        (void)redis_free(fixture->redis);
        (void)snprintf(place, sizeof place, "%s/3", fixture->server.tcp);
        fixture->redis = open_redis(place, NULL);
        assert_false(redis_wants_address(fixture->redis));
        assert_int_equal(redis_connect(fixture->redis, WAIT_USEC), 0);
        put(fixture, "one", 1, "https://one.example/");
        assert_int_equal(get(fixture, "one", &link), 1);
        reply = redis_server_command(&fixture->server, "DBSIZE");
        assert_int_equal(reply->integer, 0);
        freeReplyObject(reply);
}

/* Looking names up waits, so another thread does it. */
static void test_name(void **state) {
        Fixture *fixture = *state;
        char place[96];

        (void)redis_free(fixture->redis);
        (void)snprintf(place, sizeof place, "redis://localhost:%u", fixture->server.port);
        fixture->redis = open_redis(place, NULL);
        assert_int_equal(redis_connect(fixture->redis, 1000), -EHOSTDOWN);
        assert_true(redis_wants_address(fixture->redis));
        assert_int_equal(redis_look_up(fixture->redis), 0);
        assert_int_equal(redis_look_up(fixture->redis), 0);
        wait_up(fixture);
        assert_false(redis_wants_address(fixture->redis));
        (void)redis_free(fixture->redis);
        fixture->redis = open_redis("redis://no-such-host.invalid", NULL);
        assert_int_equal(redis_look_up(fixture->redis), -EHOSTDOWN);
}

static void test_nobody_there(void **state) {
        Redis *redis;

        (void)state;
        redis = open_redis("unix:/nonexistent/socket", NULL);
        assert_int_equal(redis_connect(redis, WAIT_USEC), -EHOSTDOWN);
        assert_true(*redis_why(redis) != '\0');
        assert_in_range(redis_tend(redis), 1, USEC_PER_SEC);
        (void)redis_free(redis);
        redis = open_redis("redis://127.0.0.1:1", NULL);
        assert_int_equal(redis_connect(redis, WAIT_USEC), -EHOSTDOWN);
        (void)redis_free(redis);
}

/* A listener that is no Redis. */
static void test_not_redis(void **state) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char folder[] = "/tmp/shortener-redis-XXXXXX", place[128];
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client;
        Redis *redis;

        (void)state;
        assert_non_null(mkdtemp(folder));
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(fd, 1), 0);
        (void)snprintf(place, sizeof place, "unix:%s", address.sun_path);
        redis = open_redis(place, NULL);
        assert_int_equal(redis_connect(redis, 1000), -EHOSTDOWN);
        client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        assert_int_equal(write(client, "HTTP/1.1 400\r\n", 14), 14);
        assert_int_equal(redis_connect(redis, WAIT_USEC), -EHOSTDOWN);
        assert_non_null(strstr(redis_why(redis), "Protocol error"));
        (void)redis_free(redis);
        (void)close(client);
        (void)close(fd);
        (void)unlink(address.sun_path);
        (void)rmdir(folder);
}

static void test_claim(void **state) {
        Fixture *fixture = *state;

        assert_int_equal(redis_claim(fixture->redis, "warm-up", "one", 60 * USEC_PER_SEC), 0);
        assert_int_equal(redis_claim(fixture->redis, "warm-up", "two", 60 * USEC_PER_SEC), 1);
        assert_int_equal(redis_claim(fixture->redis, "other", "two", 60 * USEC_PER_SEC), 0);
        freeReplyObject(redis_server_command(&fixture->server, "CONFIG SET maxmemory 1"));
        assert_int_equal(redis_claim(fixture->redis, "third", "two", 60 * USEC_PER_SEC), 1);
        assert_int_equal(stats(fixture).n_refused, 1);
}

static void test_version(void **state) {
        Fixture *fixture = *state;
        unsigned major, minor;

        assert_int_equal(redis_version(fixture->redis, &major, &minor), 0);
        assert_true(major >= 6);
        redis_server_kill(&fixture->server);
        assert_int_equal(redis_version(fixture->redis, &major, &minor), -EHOSTDOWN);
        assert_int_equal(redis_version(fixture->redis, &major, &minor), -EHOSTDOWN);
}

static void test_bad_place(void **state) {
        RedisOptions options = {.place = "tcp:nowhere"};
        Redis *redis;

        (void)state;
        assert_int_equal(redis_new(&options, &redis), -EINVAL);
}

int main(void) {
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        const struct CMUnitTest tests[] = {
                        WITH_SERVER(test_put_and_get),
                        WITH_SERVER(test_put_only_active),
                        WITH_SERVER(test_time_to_live),
                        WITH_SERVER(test_a_batch),
                        WITH_SERVER(test_frozen),
                        WITH_SERVER(test_put_into_a_frozen_one),
                        WITH_SERVER(test_killed),
                        WITH_SERVER(test_killed_with_replies_owed),
                        WITH_SERVER(test_connection_broken),
                        WITH_SERVER(test_flushed),
                        WITH_SERVER(test_out_of_memory),
                        WITH_SERVER(test_corrupt_values),
                        WITH_SERVER(test_huge_value),
                        cmocka_unit_test(test_password),
                        WITH_SERVER(test_tcp_and_database),
                        WITH_SERVER(test_name),
                        cmocka_unit_test(test_nobody_there),
                        cmocka_unit_test(test_not_redis),
                        WITH_SERVER(test_claim),
                        WITH_SERVER(test_version),
                        cmocka_unit_test(test_bad_place),
        };

        (void)signal(SIGPIPE, SIG_IGN); /* as in the daemon */
        return cmocka_run_group_tests(tests, NULL, NULL);
}
