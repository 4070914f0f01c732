/* SPDX-License-Identifier: MIT */
/*
 * The shipper's thread: what to ship next, when to sleep, and what is done once a second.
 *
 * Idle, it sleeps on its slot and the writer's next flush wakes it; that visit is shipped at once.
 * After a transaction it lets visits gather for GATHER_USEC, during which the writer spends no
 * system call on it, unless a reader waits (host_page_note_visits() wakes the slot). So a lone
 * visit is in the store at once, and under load a transaction is worth its price.
 *
 * What the slot's shipped counts: first the backlog of earlier processes, whose number of visits is
 * in part a guess (backlog_guess(); its last one is counted when the backlog is empty, whatever the
 * guess was), then the own spool exactly. So a reader that noted this process' visits never hears
 * too early that they are shipped.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/shipper_internal.h"
#include "host/futex.h"

#define GATHER_USEC    (20 * USEC_PER_MSEC)
#define GATHER_ROWS    500u /* pending: worth a transaction without waiting */
#define BUSY_USEC      (2 * USEC_PER_MSEC)
#define RETRY_USEC     (100 * USEC_PER_MSEC) /* the store is away; doubles up to RETRY_MAX_USEC */
#define RETRY_MAX_USEC USEC_PER_SEC
#define STOP_USEC      USEC_PER_SEC

/* ---- counting ---- */

static uint64_t unshipped_from(const Shipper *shipper, uint64_t position) {
        uint64_t written = shipper->spool ? spool_written_seq(shipper->spool) : 0;

        return written > position ? written - position : 0;
}

static uint64_t unshipped_live(const Shipper *shipper) {
        return unshipped_from(shipper, shipper->live.position);
}

static void count_slot(Shipper *shipper, uint64_t n) {
        if (shipper->slot && n > 0)
                host_slot_shipped(shipper->slot, n);
}

static void count_live(Shipper *shipper) {
        uint64_t upto = MIN(shipper->live.position, spool_written_seq(shipper->spool));

        if (upto <= shipper->live_counted)
                return;
        count_slot(shipper, upto - shipper->live_counted);
        shipper->live_counted = upto;
}

/* All but the last, which stands for "there is a backlog". */
static void count_backlog(Shipper *shipper, uint64_t n) {
        n = MIN(n, shipper->owed > 0 ? shipper->owed - 1 : 0);
        shipper->owed -= n;
        count_slot(shipper, n);
}

static void publish(Shipper *shipper) {
        uint64_t oldest = shipper->backlog.open ? shipper->backlog.stream.oldest_usec : 0;

        if (oldest == 0)
                oldest = shipper->owed > 0 ? shipper->backlog_usec : shipper->live.oldest_usec;
        atomic_store(&shipper->n_owed, shipper->owed);
        atomic_store(&shipper->position, shipper->live.position);
        atomic_store(&shipper->oldest_usec, oldest);
        atomic_store(&shipper->alive_usec, clock_monotonic_usec());
}

/* ---- one step ---- */

static int take_lock(Shipper *shipper) {
        int r;

        if (shipper->lock_fd >= 0)
                return 0;
        r = segment_folder_lock(shipper->directory_fd, SEGMENT_LOCK_SHIPPER);
        if (r < 0)
                return r;
        shipper->lock_fd = r;
        return 0;
}

static int step_backlog(Shipper *shipper, StreamMove *move) {
        Backlog *backlog = &shipper->backlog;
        size_t at = backlog->at;
        int r;

        r = backlog_step(backlog, &shipper->shared, move);
        if (backlog->at > at)
                ended_note(&shipper->ended, backlog->ids[at], backlog->stream.position);
        count_backlog(shipper, move->n);
        if (backlog->at >= backlog->n_urgent && shipper->owed > 0) {
                count_slot(shipper, shipper->owed);
                shipper->owed = 0;
        }
        return r;
}

static int step_live(Shipper *shipper, StreamMove *move) {
        int r;

        if (!shipper->spool)
                return STREAM_END;
        r = stream_step(&shipper->live, &shipper->shared, move);
        count_live(shipper);
        return r;
}

/* Of the own folder. STREAM_..., or negative. */
static int step_own(Shipper *shipper, StreamMove *move) {
        int r;

        r = take_lock(shipper);
        if (r == -EADDRINUSE) {
                /* A neighbour ships what is old here, and stops before its next transaction, unless
                 * it is frozen. It has not listed the own spool, which need not wait for that. */
                r = step_live(shipper, move);
                return r == STREAM_END ? STREAM_BUSY : r;
        }
        if (r < 0)
                return r;
        if (!shipper->listed) {
                /* At the start what is marked as shipped waits for the chores. */
                r = shipper_list_backlog(shipper, shipper->n_chores > 0);
                if (r < 0)
                        return r;
        }
        r = step_backlog(shipper, move);
        return r == STREAM_END ? step_live(shipper, move) : r;
}

static int step(Shipper *shipper) {
        StreamMove move = {0};
        int r;

        r = step_own(shipper, &move);
        shipper_count_move(shipper, &move);
        if (r == -ENOTRECOVERABLE)
                atomic_store(&shipper->stopped, true);
        return r;
}

static int step_neighbour(Shipper *shipper) {
        StreamMove move = {0};
        int r;

        if (shipper->neighbour.lock_fd < 0)
                return STREAM_END;
        r = neighbour_step(&shipper->neighbour, &shipper->shared, &move);
        shipper_count_move(shipper, &move);
        return r;
}

/* ---- sleeping ---- */

static void wait_usec(Shipper *shipper, uint64_t usec) {
        if (shipper->slot)
                host_slot_wait(shipper->slot, usec);
        else if (!atomic_load(&shipper->stop))
                futex_sleep(&shipper->wake, 0, usec);
}

static void sleep_idle(Shipper *shipper) {
        uint64_t now = clock_monotonic_usec();
        uint64_t usec = shipper->chores_usec > now ? shipper->chores_usec - now : 0;

        if (shipper->spool &&
            !spool_shipper_sleeps(shipper->spool, MAX(shipper->live.position, (uint64_t)1)) &&
            unshipped_live(shipper) > 0)
                return;
        wait_usec(shipper, usec);
        if (shipper->spool)
                spool_shipper_wakes(shipper->spool);
}

static void sleep_after_failure(Shipper *shipper) {
        shipper->retry_usec = MIN(MAX(shipper->retry_usec * 2, RETRY_USEC), RETRY_MAX_USEC);
        wait_usec(shipper, shipper->retry_usec);
}

/* Is what is left worth the next transaction at once? */
static bool is_much(const Shipper *shipper) {
        return shipper->backlog.at < shipper->backlog.n_wanted ||
               shipper->live.n_sent < shipper->live.n_clicks || shipper->live.gap.n > 0 ||
               unshipped_live(shipper) >= GATHER_ROWS;
}

static void turn(Shipper *shipper) {
        int r;

        shipper_chores(shipper);
        neighbour_look(&shipper->neighbour, shipper->page);
        shipper->shared.asked_store = false;
        r = step(shipper);
        trouble_note(&shipper->trouble, r, &shipper->shared, shipper->directory);
        publish(shipper);
        if (r >= 0)
                shipper->retry_usec = 0;
        if (r < 0) {
                sleep_after_failure(shipper);
        } else if (r == STREAM_BUSY) {
                wait_usec(shipper, BUSY_USEC);
        } else if (r == STREAM_MOVED && is_much(shipper)) {
                return;
        } else if (step_neighbour(shipper) == STREAM_MOVED) {
                return;
        } else if (r == STREAM_MOVED) {
                wait_usec(shipper, GATHER_USEC);
        } else {
                sleep_idle(shipper);
        }
}

/* ---- public ---- */

/* The slot begins with what earlier processes left here. */
static int owe_backlog(Shipper *shipper) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        int r;

        if (!shipper->slot || !shipper->spool)
                return 0;
        r = segment_list(shipper->directory_fd, NULL, &list);
        if (r < 0)
                return r;
        shipper->owed = backlog_guess(&list, shipper->keep.live, &shipper->backlog_usec);
        host_slot_set_pending(shipper->slot, shipper->owed + spool_written_seq(shipper->spool) - 1);
        return 0;
}

static int open_folder(Shipper *shipper) {
        int r;

        r = segment_folder_open(shipper->directory, false);
        if (r < 0)
                return r;
        shipper->directory_fd = r;
        if (shipper->spool)
                return 0;
        r = segment_folder_lock(shipper->directory_fd, SEGMENT_LOCK_OWNER);
        if (r < 0)
                return r;
        shipper->owner_fd = r;
        return segment_folder_settle(shipper->directory_fd);
}

int shipper_new(const ShipperOptions *options, Store *store, const StoreHooks *hooks,
                HostPage *page, HostSlot *slot, Spool *spool, Shipper **ret) {
        _cleanup_(shipper_free_p) Shipper *shipper = NULL;
        int r;

        shipper = calloc(1, sizeof(*shipper));
        if (!shipper)
                return -ENOMEM;
        shipper->directory_fd = shipper->owner_fd = shipper->lock_fd = -1;
        shipper->neighbour = NEIGHBOUR_NONE;
        shipper->adopt_neighbours = options->adopt_neighbours;
        shipper->tidy = (Tidy){
                        .events = options->tidy_events,
                        .keep_events_usec = options->keep_events_usec,
                        .keep_audit_usec = options->keep_audit_usec,
        };
        shipper->chores_every_usec =
                        options->chores_usec > 0 ? options->chores_usec : SHIPPER_CHORES_USEC;
        shipper->page = shipper->shared.page = page;
        shipper->slot = slot;
        shipper->spool = spool;
        shipper->keep = (BacklogKeep){
                        .usec = options->keep_usec,
                        .size = options->keep_size,
                        .live = spool ? spool_id(spool) : NULL,
        };
        shipper->directory = strdup(options->directory);
        if (!shipper->directory)
                return -ENOMEM;
        r = open_folder(shipper);
        if (r < 0)
                return r;
        if (spool) {
                stream_init(&shipper->live, shipper->directory_fd, spool_id(spool), spool);
                shipper->live_counted = shipper->live.position;
        }
        r = owe_backlog(shipper);
        if (r < 0)
                return r;
        r = store_session_new(store, hooks, &shipper->shared.session);
        if (r < 0)
                return r;
        publish(shipper);
        *ret = TAKE_PTR(shipper);
        return 0;
}

static void close_fd(int fd) {
        if (fd >= 0)
                (void)close(fd);
}

Shipper *shipper_free(Shipper *shipper) {
        if (!shipper)
                return NULL;
        neighbour_leave(&shipper->neighbour);
        backlog_done(&shipper->backlog);
        ended_done(&shipper->ended);
        stream_done(&shipper->live);
        (void)store_session_free(shipper->shared.session);
        close_fd(shipper->lock_fd);
        close_fd(shipper->owner_fd);
        close_fd(shipper->directory_fd);
        free(shipper->directory);
        free(shipper);
        return NULL;
}

void shipper_run(Shipper *shipper) {
        uint64_t end;
        int r = STREAM_MOVED;

        while (!atomic_load(&shipper->stop)) {
                if (atomic_load(&shipper->stopped)) {
                        publish(shipper);
                        wait_usec(shipper, SHIPPER_CHORES_USEC);
                } else {
                        turn(shipper);
                }
        }
        neighbour_leave(&shipper->neighbour);
        end = clock_monotonic_usec() + STOP_USEC;
        shipper->shared.end_usec = end;
        while (!atomic_load(&shipper->stopped) && clock_monotonic_usec() < end &&
               (r == STREAM_MOVED || r == STREAM_BUSY)) {
                if (r == STREAM_BUSY)
                        wait_usec(shipper, BUSY_USEC);
                r = step(shipper);
                publish(shipper);
        }
        (void)shipper_mark_live(shipper);
}

void shipper_stop(Shipper *shipper) {
        atomic_store(&shipper->stop, true);
        if (shipper->slot) {
                host_slot_wake(shipper->slot);
        } else {
                __atomic_store_n(&shipper->wake, 1, __ATOMIC_SEQ_CST);
                futex_wake_all(&shipper->wake);
        }
}

int shipper_drain(Shipper *shipper) {
        int r;

        do {
                r = step(shipper);
                publish(shipper);
                if (r == STREAM_BUSY)
                        wait_usec(shipper, BUSY_USEC);
                shipper->backlog.n_wanted = shipper->backlog.n;
        } while (r == STREAM_MOVED || r == STREAM_BUSY ||
                 (r == STREAM_END && shipper->backlog.at < shipper->backlog.n));
        if (r < 0)
                return r;
        r = shipper_mark_live(shipper);
        return r < 0 ? r : shipper_sweep(shipper);
}

void shipper_stats(const Shipper *shipper, ShipperStats *ret) {
        *ret = (ShipperStats){
                        .shipped = atomic_load(&shipper->n_shipped),
                        .bad = atomic_load(&shipper->n_bad),
                        .damaged = atomic_load(&shipper->n_damaged),
                        /* What was written while the thread waits for the store counts. */
                        .pending = atomic_load(&shipper->n_owed) +
                                   unshipped_from(shipper, atomic_load(&shipper->position)),
                        .oldest_pending_usec = atomic_load(&shipper->oldest_usec),
                        .stopped = atomic_load(&shipper->stopped),
        };
}

void shipper_trouble(Shipper *shipper, char ret[SHIPPER_TROUBLE_SIZE]) {
        trouble_get(&shipper->trouble, ret);
}

uint64_t shipper_alive_usec(const Shipper *shipper) {
        return atomic_load(&shipper->alive_usec);
}

bool shipper_in_store(const Shipper *shipper) {
        return atomic_load(&shipper->shared.in_store);
}
