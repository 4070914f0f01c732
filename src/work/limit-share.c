/* SPDX-License-Identifier: MIT */

/*
 * One parcel goes around: the loop fills it with what was given away, the thread writes that to a
 * stream, and takes what others wrote of the budgets here; that of many hosts at once would hold up
 * the loop. Until the parcel is back the loop collects, in memory of fixed size.
 *
 * The instances of a host share a table, so each tells what it gave, but one alone hears: the one
 * that leads, see limiter_leads(). An entry names its host, whose own table knows it already.
 */

#include "work/limit-share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "basic/clock.h"
#include "cache/redis-stream.h"
#include "limit/uses.h"
#include "work/inbox.h"
#include "work/thread.h"

#define STREAM       "limits"
#define HOST_BYTES   sizeof(uint64_t)
#define READS_MAX    32u                 /* in one turn: all that a stream keeps */
#define STALE_USEC   (3 * USEC_PER_SEC)  /* between two turns: it stood still */
#define LOOK_UP_USEC (30 * USEC_PER_SEC) /* between two looks at what the server's name means */

_Static_assert(HOST_BYTES + LIMIT_USES_MAX * LIMIT_USES_BYTES <= REDIS_STREAM_MAX,
               "a parcel is an entry");
_Static_assert(READS_MAX *REDIS_STREAM_READ >= REDIS_STREAM_ENTRIES, "all that it keeps");

typedef struct Parcel {
        ListNode node;
        bool leads;       /* it shall hear, too */
        bool up;          /* Redis answered, and refused nothing */
        Buffer told;      /* the host, and its uses */
        LimitTerms terms; /* of the budgets that what was heard is taken of */
        uint64_t n_heard; /* requests of other hosts */
        uint64_t n_bad;   /* entries that were none */
} Parcel;

struct LimitShare {
        Limiter *limiter;
        uint64_t host;
        LimitUses *uses; /* given away since the last parcel */
        bool leads;
        bool away; /* the parcel is */
        Parcel parcel;
        uint64_t n_in_parcel; /* requests */
        uint64_t n_collected;
        LimitShareStats stats;

        Inbox *inbox;
        Outbox *outbox;
        Thread *thread;
        Redis *redis; /* the thread's, as what follows */
        uint64_t timeout_usec;
        RedisCursor cursor;
        uint64_t turn_usec; /* the last exchange */
};

/* ---- the thread ---- */

static bool are_uses(Slice bytes) {
        LimitUse use;
        int r;

        while ((r = limit_use_read(&bytes, &use)) > 0)
                ;
        return r == 0;
}

static void take(LimitShare *share, Slice uses) {
        uint64_t now = clock_monotonic_usec();
        LimitUse use;

        while (limit_use_read(&uses, &use) > 0) {
                limiter_add(share->limiter, &share->parcel.terms, use.budget, &use.client, use.n,
                            now);
                share->parcel.n_heard += use.n;
        }
}

/* Of an entry all is believed, or nothing. */
static void on_entry(void *userdata, Slice value) {
        LimitShare *share = userdata;
        Slice uses = slice_from(value, MIN(value.len, HOST_BYTES));
        uint64_t host;

        if (uses.len > 0) {
                memcpy(&host, value.data, sizeof host);
                if (host == share->host)
                        return;
        }
        if (uses.len > 0 && are_uses(uses))
                take(share, uses);
        else
                share->parcel.n_bad++;
}

static uint64_t n_refused(const LimitShare *share) {
        RedisStats stats;

        redis_stats(share->redis, &stats);
        return stats.n_refused;
}

/* What was given while it heard nothing is paid in part already: it begins at the end. */
static void begin_turn(LimitShare *share, const Parcel *parcel) {
        uint64_t now = clock_monotonic_usec();

        if (!parcel->up || !parcel->leads || now - share->turn_usec > STALE_USEC)
                share->cursor = (RedisCursor){.n_silent = 0};
        share->turn_usec = now;
}

static void exchange(LimitShare *share, Parcel *parcel) {
        uint64_t refused = n_refused(share);
        int r = 0;

        parcel->up = redis_is_up(share->redis);
        begin_turn(share, parcel);
        if (!parcel->up)
                return;
        if (parcel->told.len > HOST_BYTES)
                redis_stream_write(share->redis, STREAM, buffer_slice(&parcel->told));
        for (unsigned i = 0; parcel->leads && i < READS_MAX; i++) {
                r = redis_stream_read(share->redis, STREAM, &share->cursor, on_entry, share);
                if (r < (int)REDIS_STREAM_READ)
                        break;
        }
        if (redis_settle(share->redis, share->timeout_usec) < 0) /* who only tells waits, too */
                parcel->up = false;
        else
                parcel->up = n_refused(share) == refused;
}

static void share_run(void *userdata) {
        LimitShare *share = userdata;
        uint64_t look_up_usec = 0;

        while (!inbox_closed(share->inbox)) {
                uint64_t wait = redis_tend(share->redis), now = clock_monotonic_usec();
                ListNode *node = inbox_take(share->inbox, MAX(wait, USEC_PER_MSEC));

                if (redis_wants_address(share->redis) && now >= look_up_usec) {
                        (void)redis_look_up(share->redis);
                        look_up_usec = now + LOOK_UP_USEC;
                }
                if (!node)
                        continue;
                (void)redis_tend(share->redis);
                exchange(share, LIST_ENTRY(node, Parcel, node));
                outbox_push(share->outbox, node);
        }
}

/* ---- the loop ---- */

static void on_given(void *userdata, LimitBudget budget, const LimitClient *client) {
        LimitShare *share = userdata;

        if (limit_uses_note(share->uses, budget, client))
                share->n_collected++;
        else
                share->stats.n_untold++;
}

static void take_back(LimitShare *share) {
        Parcel *parcel = &share->parcel;
        ListNode back;

        list_init(&back);
        outbox_take_all(share->outbox, &back);
        if (list_empty(&back))
                return;
        list_remove(list_first(&back));
        share->away = false;
        if (parcel->up && !parcel->told.failed)
                share->stats.n_told += share->n_in_parcel;
        else
                share->stats.n_untold += share->n_in_parcel;
        share->stats.up = parcel->up;
        share->stats.n_bad += parcel->n_bad;
        share->stats.n_heard += parcel->n_heard;
}

static void send(LimitShare *share) {
        Parcel *parcel = &share->parcel;

        buffer_clear(&parcel->told);
        limiter_terms(share->limiter, &parcel->terms);
        parcel->n_heard = parcel->n_bad = 0;
        parcel->leads = share->leads;
        buffer_append(&parcel->told, slice_make((const char *)&share->host, HOST_BYTES));
        limit_uses_take(share->uses, &parcel->told);
        if (parcel->told.failed)
                parcel->told.len = 0;
        share->n_in_parcel = share->n_collected;
        share->n_collected = 0;
        share->away = inbox_push(share->inbox, &parcel->node) == 0;
}

void limit_share_turn(LimitShare *share) {
        share->leads = share->leads || limiter_leads(share->limiter);
        if (share->away)
                take_back(share);
        if (!share->away)
                send(share);
}

void limit_share_stats(const LimitShare *share, LimitShareStats *ret) {
        *ret = share->stats;
}

/* ---- the object ---- */

int limit_share_new(Limiter *limiter, Redis *redis, uint64_t timeout_usec, LimitShare **ret) {
        _cleanup_(limit_share_free_p) LimitShare *share = calloc(1, sizeof *share);
        int r;

        if (!share) {
                (void)redis_free(redis);
                return -ENOMEM;
        }
        share->redis = redis;
        share->timeout_usec = timeout_usec;
        share->limiter = limiter;
        share->host = limiter_host(limiter);
        r = limit_uses_new(&share->uses);
        if (r == 0)
                r = inbox_new(1, &share->inbox);
        if (r == 0)
                r = outbox_new(&share->outbox);
        if (r == 0)
                r = thread_start("limits", share_run, share, &share->thread);
        if (r < 0)
                return r;
        limiter_share(limiter, on_given, share);
        *ret = TAKE_PTR(share);
        return 0;
}

LimitShare *limit_share_free(LimitShare *share) {
        ListNode rest;

        if (!share)
                return NULL;
        limiter_share(share->limiter, NULL, NULL);
        list_init(&rest);
        if (share->inbox)
                inbox_close(share->inbox);
        (void)thread_join(share->thread);
        while (share->inbox && inbox_take(share->inbox, 0))
                ;
        if (share->outbox)
                outbox_take_all(share->outbox, &rest);
        (void)inbox_free(share->inbox);
        (void)outbox_free(share->outbox);
        (void)redis_free(share->redis);
        (void)limit_uses_free(share->uses);
        buffer_done(&share->parcel.told);
        free(share);
        return NULL;
}
