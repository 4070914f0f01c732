/* SPDX-License-Identifier: MIT */
#pragma once

/* What redis.c (the connection) and redis-links.c (what is said over it) share. */

#include <hiredis/hiredis.h>
#include <stdatomic.h>

#include "basic/buffer.h"
#include "cache/redis-value.h"
#include "cache/redis.h"
#include "config/redis-place.h"

struct Redis {
        RedisPlace place;
        char *password; /* NULL: none */
        uint64_t ttl_usec, timeout_usec;
        char *address;          /* what place.host means, or NULL */
        _Atomic(char *) found;  /* by redis_look_up(), not taken yet */
        redisContext *context;  /* NULL: none */
        bool up;                /* greeted */
        uint64_t due_usec;      /* without context: the next try; not up: the greeting's end */
        unsigned n_owed;        /* replies under way */
        unsigned n_lost_asking; /* questions in a row that were not answered */
        uint64_t random;        /* state of the jitter */
        Buffer text;            /* keys and values of a batch */
        size_t at[2 * REDIS_BATCH_MAX + 1]; /* where each begins */
        char why[160];
        atomic_bool stat_up;
        atomic_uint_fast64_t latency_usec, n_hits, n_misses, n_bad, n_refused, n_failures;
};

static inline void redis_count(atomic_uint_fast64_t *counter, uint64_t n) {
        atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* A number below n. */
uint64_t redis_jitter(Redis *redis, uint64_t n);
/* Closes the connection and opens the circuit. asking: it failed to answer a question, though it
 * had greeted. */
void redis_lose(Redis *redis, const char *why, bool asking);
/* Appends a command that is owed a reply. 0 or -ENOMEM. */
int redis_append(Redis *redis, int argc, const char **argv, const size_t *lens) _must_check_;
int redis_append_words(Redis *redis, const char *first, const char *second) _must_check_;
/* Sends what was appended. until_usec of these: CLOCK_MONOTONIC, 0: without waiting.
 * -ETIMEDOUT, -EIO. */
int redis_send(const Redis *redis, uint64_t until_usec) _must_check_;
/* The reply to the oldest command. -ETIMEDOUT: none until then; -EMSGSIZE: it is larger than any
 * that is asked for; -EIO. */
int redis_reply(Redis *redis, uint64_t until_usec, redisReply **ret) _must_check_;
/* Reads replies until n are owed; what the server refused is counted. */
int redis_take(Redis *redis, unsigned n, uint64_t until_usec) _must_check_;
/* Sends what was appended and waits for the reply to the last command, the timeout at most. NULL:
 * there is none, and the connection is lost. r: of redis_append(). */
redisReply *redis_ask(Redis *redis, int r);
/* The result of these as text. */
const char *redis_failure(const Redis *redis, int r);
