/* SPDX-License-Identifier: MIT */

/*
 * An entry is for one client and one budget. It lies in one set of LIMIT_WAYS entries, which a
 * keyed hash chooses. Room for a new one is made by the entry whose budget is whole the soonest:
 * one that is whole already tells nothing that a missing one would not. Who floods the table with
 * addresses so drives out his own fresh entries; what he used up with one stays, because it lies
 * furthest in the future.
 *
 * The entries may be shared with other processes, and with the thread that hears of other hosts:
 * changes are compare and swap. Two that claim one entry at the same moment may lose a request's
 * count, no more. All else is its owner's alone.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "basic/clock.h"
#include "limit/limiter.h"
#include "limit/table.h"

#define NSEC_PER_USEC 1000ULL

/* How far a debt to other hosts may go: each of sixteen gave its whole burst at once, and went on
 * at the full pace for as long as they did not hear of each other. But not beyond a whole span of
 * the rate, if that is longer than they may be without news: who is limited by the day is not shut
 * out for weeks. */
#define DEBT_BURSTS 16u
#define DEBT_NSEC   10000000000ULL

enum {
        KIND_UNKNOWN,
        KIND_IPV4,
        KIND_IPV6,
        KIND_TOKEN,
};

typedef struct Budget {
        LimitRate rate;
        LimitTerm term;
} Budget;

struct Limiter {
        LimitTable table;
        Budget budgets[LIMIT_BUDGETS];
        uint64_t n_refused[LIMIT_BUDGETS];
        atomic_uint_fast64_t n_evicted; /* here and by limiter_add() */
        LimiterGiven given;             /* NULL: there are no others */
        void *userdata;
};

const char *limit_budget_name(LimitBudget budget) {
        static const char *const names[LIMIT_BUDGETS] = {
                        [LIMIT_CREATE] = "create",
                        [LIMIT_READ] = "read",
                        [LIMIT_MISSES] = "misses",
                        [LIMIT_FAILED_AUTH] = "auth",
        };

        CHECK(budget < LIMIT_BUDGETS);
        return names[budget];
}

/* ---- clients ---- */

LimitClient limit_client_address(const unsigned char address[16]) {
        static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
        LimitClient client = {{KIND_IPV6}};

        if (memcmp(address, mapped, sizeof mapped) == 0) {
                client.bytes[0] = KIND_IPV4;
                memcpy(client.bytes + 1, address + 12, 4);
        } else
                memcpy(client.bytes + 1, address, 8);
        return client;
}

LimitClient limit_client_token(const unsigned char digest[16]) {
        LimitClient client = {{KIND_TOKEN}};

        memcpy(client.bytes + 1, digest, 16);
        return client;
}

LimitClient limit_client_unknown(void) {
        return (LimitClient){{KIND_UNKNOWN}};
}

/* ---- entries ---- */

static uint64_t hash_of(const Limiter *limiter, LimitBudget budget, const LimitClient *client) {
        char text[1 + sizeof client->bytes];
        uint64_t hash;

        text[0] = (char)budget;
        memcpy(text + 1, client->bytes, sizeof client->bytes);
        hash = hash_keyed(&limiter->table.key, slice_make(text, sizeof text));
        return hash != 0 ? hash : 1;
}

static LimitEntry *set_of(const Limiter *limiter, uint64_t hash) {
        return limiter->table.entries + ((hash >> 32) * limiter->table.n_sets >> 32) * LIMIT_WAYS;
}

static LimitEntry *find(LimitEntry *set, uint64_t hash) {
        for (size_t i = 0; i < LIMIT_WAYS; i++)
                if (atomic_load_explicit(&set[i].hash, memory_order_relaxed) == hash)
                        return set + i;
        return NULL;
}

/* The free entry, or the one that is whole the soonest. */
static LimitEntry *weakest(LimitEntry *set) {
        LimitEntry *found = set;
        uint64_t least = UINT64_MAX;

        for (size_t i = 0; i < LIMIT_WAYS; i++) {
                uint64_t full = atomic_load_explicit(&set[i].full_nsec, memory_order_relaxed);

                if (atomic_load_explicit(&set[i].hash, memory_order_relaxed) == 0)
                        return set + i;
                if (full < least) {
                        least = full;
                        found = set + i;
                }
        }
        return found;
}

static LimitEntry *find_or_claim(Limiter *limiter, uint64_t hash, uint64_t now_nsec) {
        LimitEntry *set = set_of(limiter, hash), *entry = find(set, hash);
        uint64_t old;

        if (entry)
                return entry;
        entry = weakest(set);
        old = atomic_load_explicit(&entry->hash, memory_order_relaxed);
        if (old != 0 && atomic_load_explicit(&entry->full_nsec, memory_order_relaxed) > now_nsec)
                atomic_fetch_add_explicit(&limiter->n_evicted, 1, memory_order_relaxed);
        if (atomic_compare_exchange_strong(&entry->hash, &old, hash))
                atomic_store(&entry->full_nsec, now_nsec);
        return entry;
}

/* ---- the algorithm ---- */

/* When the budget is whole, from what an entry says. What lies further ahead than can be is from a
 * higher limit, or from before the clock began anew: it begins to count down now. */
static uint64_t full_at(LimitEntry *entry, const LimitTerm *term, uint64_t now_nsec) {
        uint64_t most = now_nsec + term->most_nsec, full = atomic_load(&entry->full_nsec);

        if (full > most && atomic_compare_exchange_strong(&entry->full_nsec, &full, most))
                full = most;
        return full;
}

static void describe(const Budget *budget, uint64_t full_nsec, uint64_t now_nsec,
                     LimitAnswer *ret) {
        uint64_t used = full_nsec - now_nsec,
                 left = budget->term.depth_nsec - MIN(used, budget->term.depth_nsec);
        uint64_t wanted = used + budget->term.cost_nsec;

        *ret = (LimitAnswer){
                        .limit = budget->rate.n,
                        .span_usec = budget->rate.span_usec,
                        .remaining = left / budget->term.cost_nsec,
                        .reset_usec = used / NSEC_PER_USEC,
                        .retry_usec = left >= budget->term.cost_nsec
                                                      ? 0
                                                      : (wanted -
                                                         budget->term.depth_nsec) / NSEC_PER_USEC +
                                                                        1,
        };
}

/* owed: it is taken in any case. */
static bool charge(Limiter *limiter, LimitBudget name, const LimitClient *client, uint64_t now_usec,
                   bool owed, LimitAnswer *ret) {
        const Budget *budget = limiter->budgets + name;
        uint64_t now_nsec = now_usec * NSEC_PER_USEC, old, full,
                 most = now_nsec + budget->term.most_nsec;
        LimitEntry *entry;
        bool left;

        if (budget->term.cost_nsec == 0)
                return true;
        entry = find_or_claim(limiter, hash_of(limiter, name, client), now_nsec);
        old = full_at(entry, &budget->term, now_nsec);
        do {
                full = MIN(MAX(old, now_nsec), most);
                left = full + budget->term.cost_nsec <= now_nsec + budget->term.depth_nsec;
                if (!left && !owed)
                        break;
                full = MIN(full + budget->term.cost_nsec, most);
        } while (!atomic_compare_exchange_weak(&entry->full_nsec, &old, full));
        describe(budget, full, now_nsec, ret);
        limiter->n_refused[name] += !left;
        if ((left || owed) && limiter->given)
                limiter->given(limiter->userdata, name, client);
        return left;
}

bool limiter_take(Limiter *limiter, LimitBudget name, const LimitClient *client, uint64_t now_usec,
                  LimitAnswer *ret) {
        return charge(limiter, name, client, now_usec, false, ret);
}

bool limiter_owe(Limiter *limiter, LimitBudget name, const LimitClient *client, uint64_t now_usec,
                 LimitAnswer *ret) {
        return charge(limiter, name, client, now_usec, true, ret);
}

bool limiter_peek(const Limiter *limiter, LimitBudget name, const LimitClient *client,
                  uint64_t now_usec, LimitAnswer *ret) {
        const Budget *budget = limiter->budgets + name;
        uint64_t now_nsec = now_usec * NSEC_PER_USEC, full = now_nsec, hash;
        LimitEntry *entry;

        if (budget->term.cost_nsec == 0)
                return true;
        hash = hash_of(limiter, name, client);
        entry = find(set_of(limiter, hash), hash);
        if (entry)
                full = MAX(MIN(full_at(entry, &budget->term, now_nsec),
                               now_nsec + budget->term.most_nsec),
                           now_nsec);
        describe(budget, full, now_nsec, ret);
        return ret->remaining > 0;
}

bool limiter_look(Limiter *limiter, LimitBudget name, const LimitClient *client, uint64_t now_usec,
                  LimitAnswer *ret) {
        bool left = limiter_peek(limiter, name, client, now_usec, ret);

        limiter->n_refused[name] += !left;
        return left;
}

/* ---- who is refused ---- */

#define REFUSED_MAX_USEC \
 (48 * 3600 * USEC_PER_SEC) /* ahead; more is from before the clock began anew */

const _Atomic uint64_t *limiter_refused_until(const Limiter *limiter) {
        return limiter->table.refused_until_usec;
}

void limiter_refuse(const Limiter *limiter, uint64_t until_usec) {
        uint64_t old = atomic_load(limiter->table.refused_until_usec);

        while (old < until_usec &&
               !atomic_compare_exchange_weak(limiter->table.refused_until_usec, &old, until_usec))
                ;
}

void limiter_forget_refused(const Limiter *limiter, uint64_t now_usec) {
        uint64_t old = atomic_load(limiter->table.refused_until_usec);

        if (old <= now_usec || old - now_usec > REFUSED_MAX_USEC)
                (void)atomic_compare_exchange_strong(limiter->table.refused_until_usec, &old, 0);
}

/* ---- others ---- */

/* Whether it costs something is known only by the outcome, when others may be under way already. */
static bool is_owed(LimitBudget name) {
        return name == LIMIT_MISSES || name == LIMIT_FAILED_AUTH;
}

static void set_most(Limiter *limiter, LimitBudget name) {
        Budget *budget = limiter->budgets + name;

        budget->term.most_nsec = budget->term.depth_nsec;
        if (limiter->given || is_owed(name))
                budget->term.most_nsec +=
                                MIN(DEBT_BURSTS * budget->term.depth_nsec + DEBT_NSEC,
                                    MAX(budget->rate.span_usec * NSEC_PER_USEC, DEBT_NSEC));
}

void limiter_share(Limiter *limiter, LimiterGiven given, void *userdata) {
        limiter->given = given;
        limiter->userdata = userdata;
        for (size_t i = 0; i < LIMIT_BUDGETS; i++)
                set_most(limiter, (LimitBudget)i);
}

void limiter_terms(const Limiter *limiter, LimitTerms *ret) {
        for (size_t i = 0; i < LIMIT_BUDGETS; i++)
                ret->of[i] = limiter->budgets[i].term;
}

void limiter_add(Limiter *limiter, const LimitTerms *terms, LimitBudget name,
                 const LimitClient *client, uint64_t n, uint64_t now_usec) {
        const LimitTerm *term = terms->of + name;
        uint64_t now_nsec = now_usec * NSEC_PER_USEC, most = now_nsec + term->most_nsec, old, full;
        LimitEntry *entry;

        if (term->cost_nsec == 0)
                return;
        entry = find_or_claim(limiter, hash_of(limiter, name, client), now_nsec);
        n = MIN(n, term->most_nsec / term->cost_nsec + 1);
        old = full_at(entry, term, now_nsec);
        do
                full = MIN(MAX(old, now_nsec) + n * term->cost_nsec, most);
        while (!atomic_compare_exchange_weak(&entry->full_nsec, &old, full));
}

uint64_t limiter_host(const Limiter *limiter) {
        return hash_keyed(&limiter->table.key, SLICE("host"));
}

bool limiter_leads(const Limiter *limiter) {
        return limit_table_lock(&limiter->table);
}

/* ---- the object ---- */

int limiter_new(size_t size, const char *path, Limiter **ret) {
        _cleanup_(limiter_free_p) Limiter *limiter = calloc(1, sizeof *limiter);
        int r;

        if (!limiter)
                return -ENOMEM;
        r = limit_table_open(&limiter->table, size, path);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(limiter);
        return 0;
}

Limiter *limiter_free(Limiter *limiter) {
        if (!limiter)
                return NULL;
        limit_table_close(&limiter->table);
        free(limiter);
        return NULL;
}

void limiter_set(Limiter *limiter, LimitBudget name, const LimitRate *rate) {
        Budget *budget = limiter->budgets + name;

        *budget = (Budget){.rate = *rate};
        if (rate->n == 0)
                return;
        budget->term.cost_nsec = rate->span_usec * NSEC_PER_USEC / rate->n;
        budget->term.depth_nsec = budget->term.cost_nsec * rate->burst;
        set_most(limiter, name);
}

bool limiter_limits(const Limiter *limiter, LimitBudget budget) {
        return limiter->budgets[budget].term.cost_nsec > 0;
}

void limiter_stats(const Limiter *limiter, LimitStats *ret) {
        *ret = (LimitStats){.n_evicted = atomic_load(&limiter->n_evicted),
                            .n_bytes = limiter->table.size};
        memcpy(ret->n_refused, limiter->n_refused, sizeof ret->n_refused);
}
