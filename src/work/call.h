/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A Call: one API request on its way through a worker. Moved, never shared: the loop fills it,
 * pushes it to the pool, a worker runs route->worker(call), the loop takes it back, applies its
 * effects and sends the reply.
 */

#include "basic/list.h"
#include "http/message.h"
#include "http/router.h"
#include "model/problem.h"
#include "policy/policy.h"
#include "store/store.h"
#include "work/blocklists.h"

/* What handlers need beyond request and store; owned by the daemon, constant while calls run. */
typedef struct CallContext {
        size_t code_length;     /* [Links] CodeLength= */
        int64_t user_links_max; /* [Limits] LinksPerUser=; 0: any number */
        bool (*code_reserved)(void *userdata, Slice code);
        void *userdata;
        Policy policy; /* [Links]: which targets are taken */
        bool credentials;
        Blocklists *blocklists; /* NULL: nothing is blocked */
        /* Who calls, and may they? 0: go on, and call->actor is set; positive: answered; negative:
         * the store's. NULL: everybody may do everything. */
        int (*authenticate)(Call *call);
} CallContext;

/* Zero: sees and changes everything. */
typedef struct CallActor {
        int64_t token_id; /* 0: none was asked for */
        int64_t owner;    /* user id; -1: nobody */
        bool bound;       /* to what is the owner's */
} CallActor;

struct Call {
        ListNode node; /* in the pool's queue */
        HttpExchange *exchange;
        const HttpRoute *route;
        const CallContext *context;
        StoreSession *store;    /* the worker's, deadline set */
        int64_t id;             /* of {id} */
        uint64_t deadline_usec; /* CLOCK_MONOTONIC; counts the time in the queue */
        CallActor actor;
        bool auth_failed;  /* the token that was sent is none */
        uint64_t now_usec; /* CLOCK_REALTIME when the request was read */

        /* For the log and the metrics, filled by handlers where known. */
        int64_t log_url_id;
        Slice log_code;
        unsigned n_urls_created;
        unsigned n_blocked; /* targets on the blocklist */
};

/* A handler returns 0 when it filled call->exchange->response (errors of the client included, by
 * call_problem()), or the store's negative result, which the worker turns into 503 or 500. */

/* Fills the response with status and {"error": text}. Always returns 0, or -ENOMEM. */
int call_problem(Call *call, int status, const char *text) _must_check_;
