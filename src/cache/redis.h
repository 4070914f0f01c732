/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One connection to Redis, the second tier of the redirect cache (hiredis). It belongs to one
 * thread; only the statistics may be read by others. Nothing here waits longer than the timeout
 * that it was given, and connecting does not wait at all: redis_tend() takes it a step further each
 * time. A server that is away, frozen, out of memory or full of rubbish costs one timeout, and then
 * nothing until it answers again: the circuit is open. Whether a link may be taken from Redis is
 * not known here: see design/coherence and work/resolver.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/arena.h"
#include "model/types.h"

#define REDIS_BATCH_MAX 512u /* links of one redis_get() or redis_put() */

typedef struct RedisOptions {
        const char *place;    /* as [Cache] Redis= has it */
        const char *password; /* NULL: none */
        uint64_t ttl_usec;    /* of what is put there */
        uint64_t timeout_usec;
} RedisOptions;

typedef struct RedisStats {
        bool up;               /* greeted, and the last exchange was answered */
        uint64_t latency_usec; /* of the last exchange that was waited for */
        uint64_t n_hits, n_misses;
        uint64_t n_bad;      /* values that failed their check */
        uint64_t n_refused;  /* commands that the server refused (out of memory, read only) */
        uint64_t n_failures; /* connections and exchanges that failed or took too long */
} RedisStats;

typedef struct Redis Redis;

/* The credential shortener.redis-password, or the file that $SHORTENER_REDIS_PASSWORD_FILE names.
 * *ret is malloc'ed; NULL: there is none. -errno: it cannot be read. */
int redis_password(char **ret) _must_check_;

/* Opens no connection yet; the options are copied. -EINVAL: not a place. */
int redis_new(const RedisOptions *options, Redis **ret) _must_check_;
Redis *redis_free(Redis *redis);
DEFINE_CLEANUP(Redis, redis_free)

/* Goes on with connecting, and takes back answers to what was put, without waiting. Returns in how
 * many usec it wants to be called again. */
uint64_t redis_tend(Redis *redis);
bool redis_is_up(const Redis *redis);
/* Why it is not up; never NULL. */
const char *redis_why(const Redis *redis);

/* Tends until it is up, usec at most. 0, or -EHOSTDOWN. For threads that have the time. */
int redis_connect(Redis *redis, uint64_t usec) _must_check_;

/* Asks for links[i]->code; fills those that it has (id, location in the arena, is_active), and
 * leaves id 0 in the others. How many were found; -EHOSTDOWN: away. */
int redis_get(Redis *redis, Arena *arena, Link *const *links, size_t n) _must_check_;

/* Puts active links there that the store was asked for at read_usec (CLOCK_REALTIME), until that
 * plus the TTL, jittered downwards. Does not wait; what the server says to it is only counted.
 * arena: scratch. */
void redis_put(Redis *redis, Arena *arena, const Link *links, size_t n, uint64_t read_usec);
/* Waits until all that was put is answered. 0, or -EHOSTDOWN. */
int redis_settle(Redis *redis, uint64_t usec) _must_check_;

/* Takes the lock of this name for usec. 0; 1: somebody has it; -EHOSTDOWN. */
int redis_claim(Redis *redis, const char *name, const char *owner, uint64_t usec) _must_check_;

/* The server's version. 0, -EHOSTDOWN, or -EBADMSG. */
int redis_version(Redis *redis, unsigned *ret_major, unsigned *ret_minor) _must_check_;

/* The place has a name that must be looked up, which waits: something for another thread. */
bool redis_wants_address(const Redis *redis);
int redis_look_up(Redis *redis);

void redis_stats(const Redis *redis, RedisStats *ret); /* any thread */
