/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Handlers that run on the loop and never wait: the cached redirect, what becomes of a resolved
 * one, /health, /ready, /metrics. A Front borrows the parts that they need.
 */

#include "basic/hash.h"
#include "cache/redirect-cache.h"
#include "clicks/spool.h"
#include "http/server.h"
#include "limit/limiter.h"
#include "metrics/metrics.h"
#include "store/store.h"
#include "work/blocklists.h"
#include "work/resolver.h"
#include "work/warmer.h"

/* No cache entry lives longer while the store answers. */
#define FRONT_ENTRY_SEC  600u
#define FRONT_ABSENT_SEC 60u /* what is known not to redirect */

#define FRONT_LOOKUP_PLACES 1024u
#define FRONT_NO_PLACE      UINT32_MAX

typedef struct Front {
        HttpServer *server;
        RedirectCache *cache;
        HostPage *page;
        Spool *spool;
        Store *store;
        Metrics *metrics;
        const char *instance; /* X-Instance of /health */
        unsigned endpoint;    /* metrics index of the redirect route */
        bool draining;

        Blocklists *blocklists; /* NULL: nothing is blocked */
        Limiter *limiter;       /* NULL: nothing is limited */
        /* The limiter's, see limiter_refused_until(): until then even cached redirects look whether
         * their client is over its budget of misses, which it may have used up at another instance.
         */
        const _Atomic uint64_t *limited_until_usec;
        /* Lookups of each client that are out, while misses are limited: by a keyed hash, so that
         * some clients share a counter. */
        HashKey lookups_key;
        uint32_t n_lookups[FRONT_LOOKUP_PLACES];

        /* This turn's cached redirects, counted at its end. */
        uint64_t n_hits;  /* GET */
        uint64_t n_heads; /* HEAD */

        /* Head of a 302 of this second, up to the request id. */
        char head[256];
        size_t head_len;
        char head_second[48];
} Front;

/* The cached redirect (HttpServerOps.quick). No malloc, no lock, no syscall. */
HttpQuick front_redirect_hit(Front *front, HttpConn *conn, const HttpHead *head, const char *base);

/* A redirect that the quick path did not answer: answers from the cache what can be answered
 * (true), else the caller sends a lookup to the resolver. code: the path's segment. */
bool front_redirect_cached(Front *front, HttpExchange *exchange, Slice code);

/* The resolver's answer: fills the cache, records the visit, fills the response. */
void front_redirect_resolved(Front *front, Lookup *lookup);

/* Its deadline passed while the resolver has it: what the cache has is answered now if it did not
 * change, else 503. front_redirect_resolved() then only fills the cache. */
void front_redirect_expired(Front *front, HttpExchange *exchange, Slice code);

/* Puts what the warmer read into the cache; false: it is full. */
bool front_warm(Front *front, const WarmBatch *batch);

/* Turn's end: metrics of the hits. */
void front_count_hits(Front *front);

/* A 404 or 503 of a redirect: JSON, or a small page when Accept prefers text/html. */
void front_redirect_error(HttpExchange *exchange, int status, const char *text);

/* Takes one of the client's budget; false: there is none left, and the exchange has its 429. With a
 * token it is the token's budget, not its address'. token: NULL, or 16 bytes of its digest. */
bool front_limit_take(Front *front, HttpExchange *exchange, LimitBudget budget,
                      const unsigned char *token);
/* The same of what was found out too late: then it is owed. */
bool front_limit_owe(Front *front, HttpExchange *exchange, LimitBudget budget);
/* Only looks whether there is some left. */
bool front_limit_look(Front *front, HttpExchange *exchange, LimitBudget budget);
/* For a cached redirect, while somebody is refused: is this client over its misses? */
bool front_limit_hit(Front *front, const HttpConn *conn, const HttpHead *head, const char *base);

/*
 * Only the store knows which codes there are, so who asks for many at once would have all his
 * answers before the first miss is counted. So no more of a client's lookups are out than it may
 * miss; the others wait until some are back.
 */
/* Where the exchange's client is counted; FRONT_NO_PLACE: nobody counts. */
uint32_t front_lookup_place(const Front *front, const HttpExchange *exchange);
/* May another one go out? Also where no misses are left: then it waits for nothing. */
bool front_lookup_has_room(const Front *front, const HttpExchange *exchange, uint32_t place);
/* delta 1: it goes out; -1: it is back. */
void front_lookup_count(Front *front, uint32_t place, int delta);

void front_health(Front *front, HttpExchange *exchange);
void front_ready(Front *front, HttpExchange *exchange);
void front_metrics(Front *front, HttpExchange *exchange);
