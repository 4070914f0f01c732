/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How much a client may ask for: the generic cell rate algorithm (ITU-T I.371) in memory of fixed
 * size. All that is kept of a client and a budget is one time: when the budget will be whole again.
 * Time is the caller's, so that tests need not wait.
 *
 * Several limiters can be as one, late: each tells what it gave (limiter_share()), and what others
 * gave is taken here, too (limiter_add()). That may be more than there is; the rest is a debt, and
 * nothing is given before it is paid by the time that passes. So what all give together in the long
 * run is what one may, however late they hear of each other. The debt ends at sixteen bursts and
 * ten seconds, and at the rate's span or ten seconds, whichever is longer. What costs something
 * only by its outcome (limiter_owe()) is owed in the same way.
 */

#include <stdatomic.h>
#include <stdbool.h>

#include "limit/rate.h"

typedef enum LimitBudget {
        LIMIT_CREATE,      /* requests that change something */
        LIMIT_READ,        /* the others of the API */
        LIMIT_MISSES,      /* redirects of codes that there are not */
        LIMIT_FAILED_AUTH, /* tokens that are none */
        LIMIT_BUDGETS,
} LimitBudget;

/* "create", "read", "misses", "auth": of fields and metrics. */
const char *limit_budget_name(LimitBudget budget);

/* Who asks. */
typedef struct LimitClient {
        unsigned char bytes[17]; /* kind, and an address' prefix or a token's first bytes */
} LimitClient;

/* An address as 16 bytes, IPv4 mapped into IPv6: IPv4 as it is, of IPv6 the first 64 bits. */
LimitClient limit_client_address(const unsigned char address[16]);
/* The first bytes of a token's digest. */
LimitClient limit_client_token(const unsigned char digest[16]);
/* All those that cannot be told apart. */
LimitClient limit_client_unknown(void);

typedef struct LimitAnswer {
        uint64_t limit, span_usec; /* the policy */
        uint64_t remaining;        /* requests that may come at once now */
        uint64_t reset_usec;       /* until the budget is whole */
        uint64_t retry_usec;       /* refused: until the next one may come */
} LimitAnswer;

typedef struct LimitTerm {
        uint64_t cost_nsec;  /* of one request; 0: no limit */
        uint64_t depth_nsec; /* of a whole burst */
        uint64_t most_nsec;  /* that, and the greatest debt */
} LimitTerm;

typedef struct LimitStats {
        uint64_t n_refused[LIMIT_BUDGETS];
        uint64_t n_evicted; /* entries that made room before their budget was whole */
        uint64_t n_bytes;   /* of memory; constant */
} LimitStats;

typedef struct Limiter Limiter;

/* size, path: see limit_table_open(). All budgets are without limit. -errno. */
int limiter_new(size_t size, const char *path, Limiter **ret) _must_check_;
Limiter *limiter_free(Limiter *limiter);
DEFINE_CLEANUP(Limiter, limiter_free)

void limiter_set(Limiter *limiter, LimitBudget budget, const LimitRate *rate);
bool limiter_limits(const Limiter *limiter, LimitBudget budget);

/* Takes one of the client's budget: false when there is none left, and nothing is taken. now:
 * CLOCK_MONOTONIC. ret is filled in both cases, unless the budget has no limit. */
bool limiter_take(Limiter *limiter, LimitBudget budget, const LimitClient *client,
                  uint64_t now_usec, LimitAnswer *ret);
/* The same for what was done already, and only then was found to cost something: it is taken also
 * where none is left, and then it is a debt. */
bool limiter_owe(Limiter *limiter, LimitBudget budget, const LimitClient *client, uint64_t now_usec,
                 LimitAnswer *ret);
/* The same without taking: would it be there? No refusal is counted by peek, one is by look. */
bool limiter_peek(const Limiter *limiter, LimitBudget budget, const LimitClient *client,
                  uint64_t now_usec, LimitAnswer *ret);
bool limiter_look(Limiter *limiter, LimitBudget budget, const LimitClient *client,
                  uint64_t now_usec, LimitAnswer *ret);

/* CLOCK_MONOTONIC: until then some client is refused, by one of those that share the memory, as the
 * last limiter_refuse() said; 0: nobody is. For a look without a call; valid as long as the
 * limiter.
 */
const _Atomic uint64_t *limiter_refused_until(const Limiter *limiter);
void limiter_refuse(const Limiter *limiter, uint64_t until_usec);
/* Sets it back, if it has passed. */
void limiter_forget_refused(const Limiter *limiter, uint64_t now_usec);

/* Called for each request that was given. */
typedef void (*LimiterGiven)(void *userdata, LimitBudget budget, const LimitClient *client);
/* given NULL: it is alone again. */
void limiter_share(Limiter *limiter, LimiterGiven given, void *userdata);
/* What the budgets are at the moment, for another thread. */
typedef struct LimitTerms {
        LimitTerm of[LIMIT_BUDGETS];
} LimitTerms;
void limiter_terms(const Limiter *limiter, LimitTerms *ret);
/* n requests that another limiter gave. On any thread, while the limiter's own goes on. */
void limiter_add(Limiter *limiter, const LimitTerms *terms, LimitBudget budget,
                 const LimitClient *client, uint64_t n, uint64_t now_usec);
/* The table: the same number for all that share its file, and hardly any other's. */
uint64_t limiter_host(const Limiter *limiter);
/* Is it the one of those that share the file that leads? Once true, it stays so until it is freed,
 * or its process dies. */
bool limiter_leads(const Limiter *limiter);

void limiter_stats(const Limiter *limiter, LimitStats *ret);
