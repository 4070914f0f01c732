/* SPDX-License-Identifier: MIT */

/*
 * The connection, see the header. hiredis 0.14 and 1.2 alike: its non-blocking context is driven
 * with poll(2) here, because its blocking one has a timeout for each read, not for the whole
 * exchange, and waits while it connects.
 *
 * Commands are answered in order, so a reply belongs to the oldest command that is owed one. What
 * is put is not waited for: its replies come before that of the next question.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/hash.h"
#include "basic/number.h"
#include "cache/redis-internal.h"
#include "sys/credential.h"

#define PASSWORD      "shortener.redis-password"
#define PASSWORD_FILE "SHORTENER_REDIS_PASSWORD_FILE"
#define RETRY_USEC    (USEC_PER_SEC)      /* between two connections, jittered down to half */
#define RETRY_MAX     (30 * USEC_PER_SEC) /* when it greets but does not answer questions */
#define DOUBLINGS_MAX 5u
#define GREETING_USEC (5 * USEC_PER_SEC)   /* a frozen server is waited for this long, idly */
#define GREETING_STEP (10 * USEC_PER_MSEC) /* between two looks at it */
#define REPLY_MAX     (2 * REDIS_BATCH_MAX * (REDIS_VALUE_MAX + 64u)) /* bytes */

/* splitmix64; for jitter only. */
uint64_t redis_jitter(Redis *redis, uint64_t n) {
        uint64_t z = redis->random += 0x9e3779b97f4a7c15ULL;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
        return n == 0 ? 0 : (z ^ z >> 31) % n;
}

/* ---- connection ---- */

void redis_lose(Redis *redis, const char *why, bool asking) {
        uint64_t pause = RETRY_USEC << MIN(redis->n_lost_asking, DOUBLINGS_MAX);

        (void)snprintf(redis->why, sizeof redis->why, "%s", why);
        if (redis->context)
                redisFree(redis->context);
        redis->context = NULL;
        redis->up = false;
        atomic_store_explicit(&redis->stat_up, false, memory_order_relaxed);
        redis->n_owed = 0;
        if (asking)
                redis->n_lost_asking++;
        pause = MIN(pause, RETRY_MAX);
        redis->due_usec = clock_monotonic_usec() + pause / 2 + redis_jitter(redis, pause / 2);
        redis_count(&redis->n_failures, 1);
}

static const char *redis_error(const Redis *redis) {
        return redis->context && redis->context->errstr[0] ? redis->context->errstr
                                                           : "connection lost";
}

/* until_usec 0: only looks. */
static int wait_for(const Redis *redis, short events, uint64_t until_usec) {
        struct pollfd fd = {.fd = redis->context->fd, .events = events};
        int r;

        do {
                uint64_t now = clock_monotonic_usec();
                uint64_t left = until_usec > now ? until_usec - now : 0;

                r = poll(&fd, 1, (int)((left + USEC_PER_MSEC - 1) / USEC_PER_MSEC));
        } while (r < 0 && errno == EINTR);
        if (r < 0)
                return -errno;
        return r == 0 ? -ETIMEDOUT : 0;
}

int redis_send(const Redis *redis, uint64_t until_usec) {
        int done, r;

        for (;;) {
                if (redisBufferWrite(redis->context, &done) != REDIS_OK)
                        return -EIO;
                if (done)
                        return 0;
                r = wait_for(redis, POLLOUT, until_usec);
                if (r < 0)
                        return r;
        }
}

/* What came, in however small pieces. */
static int read_some(Redis *redis, size_t *n_bytes) {
        size_t before = redis->context->reader->len;

        if (redisBufferRead(redis->context) != REDIS_OK)
                return -EIO;
        *n_bytes += redis->context->reader->len - before;
        return 0;
}

int redis_reply(Redis *redis, uint64_t until_usec, redisReply **ret) {
        size_t n_bytes = 0;
        void *reply = NULL;
        int r;

        for (;;) {
                if (redisGetReplyFromReader(redis->context, &reply) != REDIS_OK)
                        return -EIO;
                if (reply) {
                        redis->n_owed--;
                        *ret = reply;
                        return 0;
                }
                if (n_bytes > REPLY_MAX)
                        return -EMSGSIZE;
                r = wait_for(redis, POLLIN, until_usec);
                if (r == 0)
                        r = read_some(redis, &n_bytes);
                if (r < 0)
                        return r;
        }
}

const char *redis_failure(const Redis *redis, int r) {
        switch (r) {
        case -ETIMEDOUT:
                return "no answer in time";
        case -ENOMEM:
                return strerror(ENOMEM);
        case -EMSGSIZE:
                return "an answer is too large";
        default:
                return redis_error(redis);
        }
}

int redis_take(Redis *redis, unsigned n, uint64_t until_usec) {
        redisReply *reply;
        int r;

        while (redis->n_owed > n) {
                r = redis_reply(redis, until_usec, &reply);
                if (r < 0)
                        return r;
                if (reply->type == REDIS_REPLY_ERROR)
                        redis_count(&redis->n_refused, 1);
                freeReplyObject(reply);
        }
        return 0;
}

redisReply *redis_ask(Redis *redis, int r) {
        uint64_t start = clock_monotonic_usec(), until = start + redis->timeout_usec;
        redisReply *reply = NULL;

        if (r == 0)
                r = redis_send(redis, until);
        if (r == 0)
                r = redis_take(redis, 1, until);
        if (r == 0)
                r = redis_reply(redis, until, &reply);
        atomic_store_explicit(&redis->latency_usec, clock_monotonic_usec() - start,
                              memory_order_relaxed);
        if (r < 0)
                redis_lose(redis, redis_failure(redis, r), true);
        else
                redis->n_lost_asking = 0;
        return reply;
}

int redis_append(Redis *redis, int argc, const char **argv, const size_t *lens) {
        if (redisAppendCommandArgv(redis->context, argc, argv, lens) != REDIS_OK)
                return -ENOMEM;
        redis->n_owed++;
        return 0;
}

int redis_append_words(Redis *redis, const char *first, const char *second) {
        const char *argv[] = {first, second};
        size_t lens[] = {strlen(first), second ? strlen(second) : 0};

        return redis_append(redis, second ? 2 : 1, argv, lens);
}

/* AUTH, SELECT, PING: as far as they are needed. */
static int append_greeting(Redis *redis) {
        char number[NUMBER_U64_SIZE + 1];
        int r = 0;

        if (redis->password)
                r = redis_append_words(redis, "AUTH", redis->password);
        if (r == 0 && redis->place.database != 0) {
                number[number_format_u64(redis->place.database, number)] = '\0';
                r = redis_append_words(redis, "SELECT", number);
        }
        return r == 0 ? redis_append_words(redis, "PING", NULL) : r;
}

static void begin(Redis *redis) {
        char *found = atomic_exchange(&redis->found, NULL);

        if (found) {
                free(redis->address);
                redis->address = found;
        }
        if (redis->place.host[0] && !redis->address) {
                redis_lose(redis, "the name of its host is not looked up yet", false);
                return;
        }
        redis->context = redis->place.path[0]
                                         ? redisConnectUnixNonBlock(redis->place.path)
                                         : redisConnectNonBlock(redis->address, redis->place.port);
        if (!redis->context)
                redis_lose(redis, strerror(ENOMEM), false);
        else if (redis->context->err != 0 || append_greeting(redis) < 0)
                redis_lose(redis, redis_error(redis), false);
        else
                redis->due_usec = clock_monotonic_usec() + GREETING_USEC;
}

/* Looks for the replies to the greeting. */
static void greet(Redis *redis) {
        redisReply *reply;
        int done, r = 0;

        if (redisBufferWrite(redis->context, &done) != REDIS_OK)
                r = -EIO;
        while (r == 0 && redis->n_owed > 0) {
                r = redis_reply(redis, 0, &reply);
                if (r < 0)
                        break;
                if (reply->type == REDIS_REPLY_ERROR) {
                        redis_lose(redis, reply->str, false);
                        freeReplyObject(reply);
                        return;
                }
                freeReplyObject(reply);
        }
        if (r == 0) {
                redis->up = true;
                redis->why[0] = '\0';
                atomic_store_explicit(&redis->stat_up, true, memory_order_relaxed);
        } else if (r != -ETIMEDOUT || clock_monotonic_usec() >= redis->due_usec)
                redis_lose(redis, redis_failure(redis, r), false);
}

/* ---- public: life ---- */

static bool copy_text(const char *text, char **ret) {
        *ret = text ? slice_to_string(slice_from_string(text)) : NULL;
        return !text || *ret;
}

static bool is_address(const char *host) {
        unsigned char address[sizeof(struct in6_addr)];

        return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

int redis_password(char **ret) {
        const char *file = getenv(PASSWORD_FILE);
        char *password = NULL;
        int r = credential_read(PASSWORD, PASSWORD_FILE, &password);

        if (r == -ENOENT && (!file || !*file))
                r = 0;
        if (r == 0)
                *ret = password;
        return r;
}

int redis_new(const RedisOptions *options, Redis **ret) {
        _cleanup_(redis_free_p) Redis *redis = calloc(1, sizeof *redis);
        int r;

        if (!redis)
                return -ENOMEM;
        r = redis_place_parse(options->place, &redis->place);
        if (r < 0)
                return r;
        redis->ttl_usec = options->ttl_usec;
        redis->timeout_usec = options->timeout_usec;
        redis->random = hash_key_random().k0;
        if (!copy_text(options->password, &redis->password))
                return -ENOMEM;
        if (is_address(redis->place.host) && !copy_text(redis->place.host, &redis->address))
                return -ENOMEM;
        (void)snprintf(redis->why, sizeof redis->why, "not connected yet");
        *ret = TAKE_PTR(redis);
        return 0;
}

Redis *redis_free(Redis *redis) {
        if (!redis)
                return NULL;
        if (redis->context)
                redisFree(redis->context);
        free(atomic_load(&redis->found));
        free(redis->address);
        free(redis->password);
        buffer_done(&redis->text);
        free(redis);
        return NULL;
}

uint64_t redis_tend(Redis *redis) {
        uint64_t now = clock_monotonic_usec();
        int r;

        if (!redis->context) {
                if (now < redis->due_usec)
                        return redis->due_usec - now;
                begin(redis);
        }
        if (redis->context && !redis->up)
                greet(redis);
        if (redis->up && redis->n_owed > 0) {
                r = redis_send(redis, 0);
                if (r == 0)
                        r = redis_take(redis, 0, 0);
                if (r < 0 && r != -ETIMEDOUT)
                        redis_lose(redis, redis_failure(redis, r), true);
        }
        if (!redis->context)
                return redis->due_usec - MIN(now, redis->due_usec);
        return redis->up ? USEC_PER_SEC : GREETING_STEP;
}

bool redis_is_up(const Redis *redis) {
        return redis->up;
}

const char *redis_why(const Redis *redis) {
        return redis->why;
}

int redis_connect(Redis *redis, uint64_t usec) {
        uint64_t until_usec = clock_monotonic_usec() + usec;

        (void)redis_tend(redis);
        while (!redis->up && redis->context && clock_monotonic_usec() < until_usec) {
                (void)wait_for(redis, POLLIN, MIN(until_usec, clock_monotonic_usec() + 1000));
                (void)redis_tend(redis);
        }
        if (redis->up)
                return 0;
        if (redis->context)
                (void)snprintf(redis->why, sizeof redis->why, "%s",
                               redis_failure(redis, -ETIMEDOUT));
        return -EHOSTDOWN;
}

/* ---- public: the rest ---- */

bool redis_wants_address(const Redis *redis) {
        return redis->place.host[0] && !is_address(redis->place.host) &&
               !atomic_load_explicit(&redis->stat_up, memory_order_relaxed);
}

int redis_look_up(Redis *redis) {
        struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list;
        char address[NI_MAXHOST], *copy;

        if (getaddrinfo(redis->place.host, NULL, &hints, &list) != 0)
                return -EHOSTDOWN;
        copy = getnameinfo(list->ai_addr, list->ai_addrlen, address, sizeof address, NULL, 0,
                           NI_NUMERICHOST) == 0
                               ? slice_to_string(slice_from_string(address))
                               : NULL;
        freeaddrinfo(list);
        if (!copy)
                return -ENOMEM;
        free(atomic_exchange(&redis->found, copy));
        return 0;
}

void redis_stats(const Redis *redis, RedisStats *ret) {
#define LOAD(field) atomic_load_explicit(&redis->field, memory_order_relaxed)
        *ret = (RedisStats){
                        .up = LOAD(stat_up),
                        .latency_usec = LOAD(latency_usec),
                        .n_hits = LOAD(n_hits),
                        .n_misses = LOAD(n_misses),
                        .n_bad = LOAD(n_bad),
                        .n_refused = LOAD(n_refused),
                        .n_failures = LOAD(n_failures),
        };
#undef LOAD
}
