/* SPDX-License-Identifier: MIT */

/* What is said over the connection: links asked for and put, the lock, the version. */

#include <errno.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "cache/redis-internal.h"

#define OWED_MAX    (4 * REDIS_BATCH_MAX) /* replies that may be under way */
#define JITTER_PART 10u                   /* a TTL is shortened by up to a tenth */

static Slice text_at(const Redis *redis, size_t i) {
        return slice_make(redis->text.data + redis->at[i], redis->at[i + 1] - redis->at[i]);
}

static int append_question(Redis *redis, Link *const *links, size_t n) {
        const char *argv[REDIS_BATCH_MAX + 1] = {"MGET"};
        size_t lens[REDIS_BATCH_MAX + 1] = {strlen("MGET")};

        buffer_clear(&redis->text);
        for (size_t i = 0; i < n; i++) {
                redis->at[i] = redis->text.len;
                redis_key_append(&redis->text, links[i]->code);
        }
        redis->at[n] = redis->text.len;
        if (redis->text.failed)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                argv[i + 1] = text_at(redis, i).data;
                lens[i + 1] = text_at(redis, i).len;
        }
        return redis_append(redis, (int)n + 1, argv, lens);
}

/* How many of the values are links. */
static int take_values(Redis *redis, Arena *arena, const redisReply *reply, Link *const *links) {
        int64_t now_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC),
                ttl_sec = (int64_t)(redis->ttl_usec / USEC_PER_SEC);
        int n_found = 0;

        for (size_t i = 0; i < reply->elements; i++) {
                const redisReply *value = reply->element[i];
                int r;

                if (value->type != REDIS_REPLY_STRING)
                        continue;
                r = redis_value_parse(slice_make(value->str, value->len), now_sec, ttl_sec, arena,
                                      links[i]);
                if (r == 0)
                        n_found++;
                else if (r == -EBADMSG)
                        redis_count(&redis->n_bad, 1);
        }
        redis_count(&redis->n_hits, (uint64_t)n_found);
        redis_count(&redis->n_misses, reply->elements - (uint64_t)n_found);
        return n_found;
}

int redis_get(Redis *redis, Arena *arena, Link *const *links, size_t n) {
        redisReply *reply;
        int r = 0;

        CHECK(n <= REDIS_BATCH_MAX);
        if (!redis->up)
                return -EHOSTDOWN;
        reply = redis_ask(redis, append_question(redis, links, n));
        if (!reply)
                return -EHOSTDOWN;
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == n)
                r = take_values(redis, arena, reply, links);
        else
                redis_count(&redis->n_refused, 1);
        freeReplyObject(reply);
        return r;
}

/* Keys and values of the links that can be kept, one behind the other. How many. */
static size_t write_pairs(Redis *redis, Arena *arena, const Link *links, size_t n,
                          uint64_t read_usec) {
        Buffer *text = &redis->text;
        size_t n_pairs = 0;

        buffer_clear(text);
        for (size_t i = 0; i < n; i++) {
                size_t start = text->len;

                if (links[i].id == 0 || !links[i].is_active)
                        continue;
                redis->at[2 * n_pairs] = start;
                redis_key_append(text, links[i].code);
                redis->at[2 * n_pairs + 1] = text->len;
                if (redis_value_append(text, arena, links + i,
                                       (int64_t)(read_usec / USEC_PER_SEC)) < 0) {
                        text->len = start;
                        continue;
                }
                redis->at[2 * ++n_pairs] = text->len;
        }
        return text->failed ? 0 : n_pairs;
}

void redis_put(Redis *redis, Arena *arena, const Link *links, size_t n, uint64_t read_usec) {
        uint64_t ttl = redis->ttl_usec;
        char until[NUMBER_U64_SIZE];
        size_t n_pairs;
        int r = 0;

        CHECK(n <= REDIS_BATCH_MAX);
        if (!redis->up || redis->n_owed + n > OWED_MAX)
                return; /* it is slow already: what is not there is asked of the store */
        n_pairs = write_pairs(redis, arena, links, n, read_usec);
        for (size_t i = 0; r == 0 && i < n_pairs; i++) {
                uint64_t end = read_usec + ttl - redis_jitter(redis, ttl / JITTER_PART);
                Slice key = text_at(redis, 2 * i), value = text_at(redis, 2 * i + 1);
                size_t until_len = number_format_u64(end / USEC_PER_SEC, until);
                const char *argv[] = {"SET", key.data, value.data, "EXAT", until};
                const size_t lens[] = {3, key.len, value.len, 4, until_len};

                r = redis_append(redis, (int)ELEMENTSOF(argv), argv, lens);
        }
        if (r == 0)
                r = redis_send(redis, 0);
        if (r < 0 && r != -ETIMEDOUT)
                redis_lose(redis, redis_failure(redis, r), true);
}

int redis_settle(Redis *redis, uint64_t usec) {
        uint64_t until = clock_monotonic_usec() + usec;
        int r;

        if (!redis->up)
                return -EHOSTDOWN;
        if (redis->n_owed == 0)
                return 0;
        r = redis_send(redis, until);
        if (r == 0)
                r = redis_take(redis, 0, until);
        if (r < 0) {
                redis_lose(redis, redis_failure(redis, r), true);
                return -EHOSTDOWN;
        }
        redis->n_lost_asking = 0;
        return 0;
}

int redis_claim(Redis *redis, const char *name, const char *owner, uint64_t usec) {
        char key[64], span[NUMBER_U64_SIZE];
        size_t span_len = number_format_u64(usec / USEC_PER_MSEC, span);
        const char *argv[] = {"SET", key, owner, "NX", "PX", span};
        const size_t lens[] = {
                        3,       strlen(REDIS_KEY_PREFIX) + 1 + strlen(name), strlen(owner), 2, 2,
                        span_len};
        redisReply *reply;
        int r;

        if (!redis->up)
                return -EHOSTDOWN;
        /* A code has no blank: the name is no link's key. */
        (void)snprintf(key, sizeof key, REDIS_KEY_PREFIX " %s", name);
        reply = redis_ask(redis, redis_append(redis, (int)ELEMENTSOF(argv), argv, lens));
        if (!reply)
                return -EHOSTDOWN;
        if (reply->type == REDIS_REPLY_ERROR)
                redis_count(&redis->n_refused, 1);
        r = reply->type == REDIS_REPLY_STATUS ? 0 : 1;
        freeReplyObject(reply);
        return r;
}

int redis_version(Redis *redis, unsigned *ret_major, unsigned *ret_minor) {
        redisReply *reply;
        const char *line;
        unsigned major, minor;
        int r = 0;

        if (!redis->up)
                return -EHOSTDOWN;
        reply = redis_ask(redis, redis_append_words(redis, "INFO", "server"));
        if (!reply)
                return -EHOSTDOWN;
        line = reply->str ? strstr(reply->str, "redis_version:") : NULL;
        if (line && sscanf(line, "redis_version:%u.%u", &major, &minor) == 2) {
                *ret_major = major;
                *ret_minor = minor;
        } else
                r = -EBADMSG;
        freeReplyObject(reply);
        return r;
}
