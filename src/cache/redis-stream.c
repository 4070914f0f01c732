/* SPDX-License-Identifier: MIT */

/* Streams, see the header. What comes out is taken only if it has the form of what is written. */

#include "cache/redis-stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "basic/number.h"
#include "cache/redis-internal.h"

#define KEEP_SEC "60"
#define FIELD    "v"
#define START    "0-0"
#define KEY_SIZE 64u
#define OWED_MAX 64u /* replies that may be under way: it is slow already */

_Static_assert(REDIS_STREAM_ENTRIES == 512u && REDIS_STREAM_READ == 16u, "they are in commands");

/* A code has no blank: the name is no link's key. */
static size_t key_of(const char *name, char ret[KEY_SIZE]) {
        return (size_t)snprintf(ret, KEY_SIZE, REDIS_KEY_PREFIX " %s", name);
}

void redis_stream_write(Redis *redis, const char *name, Slice value) {
        char key[KEY_SIZE];
        size_t len = key_of(name, key);
        const char *add[] = {"XADD", key, "MAXLEN", "~", "512", "*", FIELD, value.data};
        const size_t add_lens[] = {4, len, 6, 1, 3, 1, strlen(FIELD), value.len};
        const char *keep[] = {"EXPIRE", key, KEEP_SEC};
        const size_t keep_lens[] = {6, len, strlen(KEEP_SEC)};
        int r;

        if (!redis->up || redis->n_owed > OWED_MAX || value.len > REDIS_STREAM_MAX)
                return;
        r = redis_append(redis, 8, add, add_lens);
        if (r == 0)
                r = redis_append(redis, 3, keep, keep_lens);
        if (r == 0)
                r = redis_send(redis, 0);
        if (r < 0 && r != -ETIMEDOUT)
                redis_lose(redis, redis_failure(redis, r), true);
}

/* ---- reading ---- */

static bool take_id(const redisReply *id, RedisCursor *cursor) {
        if (id->type != REDIS_REPLY_STRING || id->len == 0 || id->len >= sizeof cursor->id)
                return false;
        memcpy(cursor->id, id->str, id->len);
        cursor->id[id->len] = '\0';
        return true;
}

/* [id, [field, value]] */
static bool take_entry(const redisReply *entry, RedisCursor *cursor, Slice *ret) {
        const redisReply *fields;

        if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
            !take_id(entry->element[0], cursor))
                return false;
        fields = entry->element[1];
        if (fields->type != REDIS_REPLY_ARRAY || fields->elements != 2 ||
            fields->element[1]->type != REDIS_REPLY_STRING)
                return false;
        *ret = slice_make(fields->element[1]->str, fields->element[1]->len);
        return true;
}

/* [[key, [entry, ...]]]; nil: nothing new. */
static const redisReply *entries_of(const redisReply *reply) {
        const redisReply *stream;

        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1)
                return NULL;
        stream = reply->element[0];
        if (stream->type != REDIS_REPLY_ARRAY || stream->elements != 2 ||
            stream->element[1]->type != REDIS_REPLY_ARRAY)
                return NULL;
        return stream->element[1];
}

static int take_entries(Redis *redis, const redisReply *reply, RedisCursor *cursor,
                        void (*each)(void *userdata, Slice value), void *userdata) {
        const redisReply *entries = entries_of(reply);
        Slice value;

        if (!entries) {
                if (reply->type != REDIS_REPLY_NIL)
                        redis_count(&redis->n_refused, 1);
                return 0;
        }
        for (size_t i = 0; i < entries->elements; i++) {
                if (take_entry(entries->element[i], cursor, &value))
                        each(userdata, value);
                else
                        redis_count(&redis->n_bad, 1);
        }
        return (int)entries->elements;
}

/* Where is its end? 0-0: it is empty. 1: the server does not say. */
static int find_end(Redis *redis, const char *key, size_t len, RedisCursor *ret) {
        const char *argv[] = {"XREVRANGE", key, "+", "-", "COUNT", "1"};
        const size_t lens[] = {9, len, 1, 1, 5, 1};
        redisReply *reply = redis_ask(redis, redis_append(redis, 6, argv, lens));
        Slice value;
        int r = 1;

        if (!reply)
                return -EHOSTDOWN;
        if (reply->type != REDIS_REPLY_ARRAY)
                redis_count(&redis->n_refused, 1);
        else if (reply->elements == 0) {
                *ret = (RedisCursor){.id = START};
                r = 0;
        } else {
                if (!take_entry(reply->element[0], ret, &value))
                        redis_count(&redis->n_bad, 1);
                r = ret->id[0] == '\0';
        }
        freeReplyObject(reply);
        return r;
}

/* MILLISECONDS-NUMBER */
static bool parse_id(const RedisCursor *cursor, uint64_t *ret_msec, uint64_t *ret_number) {
        Slice msec, number;

        return slice_cut(slice_from_string(cursor->id), '-', &msec, &number) &&
               number_parse_u64(msec, ret_msec) == 0 && number_parse_u64(number, ret_number) == 0;
}

static bool is_before(const RedisCursor *a, const RedisCursor *b) {
        uint64_t a_msec, a_number, b_msec, b_number;

        if (!parse_id(a, &a_msec, &a_number) || !parse_id(b, &b_msec, &b_number))
                return false;
        return a_msec != b_msec ? a_msec < b_msec : a_number < b_number;
}

/* Is there nothing new, or has the stream begun anew, before the place where it was read last? */
static int look_back(Redis *redis, const char *key, size_t len, RedisCursor *cursor) {
        RedisCursor end = {.n_silent = 0};
        int r = find_end(redis, key, len, &end);

        cursor->n_silent = 0;
        if (r == 0 && is_before(&end, cursor))
                *cursor = (RedisCursor){.id = START};
        return MIN(r, 0);
}

int redis_stream_read(Redis *redis, const char *name, RedisCursor *cursor,
                      void (*each)(void *userdata, Slice value), void *userdata) {
        char key[KEY_SIZE];
        size_t len = key_of(name, key);
        const char *argv[] = {"XREAD", "COUNT", "16", "STREAMS", key, cursor->id};
        const size_t lens[] = {5, 5, 2, 7, len, strlen(cursor->id)};
        redisReply *reply;
        int r;

        if (!redis->up)
                return -EHOSTDOWN;
        if (cursor->id[0] == '\0')
                return MIN(find_end(redis, key, len, cursor), 0);
        reply = redis_ask(redis, redis_append(redis, 6, argv, lens));
        if (!reply)
                return -EHOSTDOWN;
        r = take_entries(redis, reply, cursor, each, userdata);
        freeReplyObject(reply);
        if (r > 0)
                cursor->n_silent = 0;
        else if (++cursor->n_silent >= REDIS_STREAM_SILENT)
                r = look_back(redis, key, len, cursor);
        return r;
}
