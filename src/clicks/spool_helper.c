/* SPDX-License-Identifier: MIT */
/*
 * The helper's side: the next segment is allocated and synced before the current one is full, and
 * what was written is synced, so that the loop waits for neither. Sleeps on a word of memory that
 * the loop only touches when the helper is asleep: under load the loop spends no system call on it.
 * A failed sync is reported and not tried again: the loop abandons the file.
 */

#include <errno.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/io.h"
#include "clicks/spool_internal.h"
#include "host/futex.h"

#define FOREVER_USEC (3600 * USEC_PER_SEC)

void spool_helper_wake(Spool *spool, bool is_urgent) {
        uint32_t state = __atomic_load_n(&spool->helper_state, __ATOMIC_SEQ_CST);

        if (LIKELY(state == HELPER_RUNS || (state == HELPER_GATHERS && !is_urgent)))
                return;
        if (__atomic_exchange_n(&spool->helper_state, HELPER_RUNS, __ATOMIC_SEQ_CST) != HELPER_RUNS)
                futex_wake_all(&spool->helper_state);
}

static void tell(Spool *spool) {
        const uint64_t one = 1;

        (void)!write(spool->durable_fd, &one, sizeof(one));
}

/* ---- the next segment ---- */

static int make_next(Spool *spool) {
        char name[SEGMENT_NAME_SIZE];
        uint64_t unshipped;
        int r;

        r = segment_unshipped(spool->directory_fd, &unshipped);
        if (r < 0)
                return r;
        if (unshipped + spool->segment_size > spool->max_size)
                return -ENOSPC;
        segment_side_name(spool->id, "next", name);
        (void)unlinkat(spool->directory_fd, name, 0);
        return segment_make(spool->directory_fd, name, spool->segment_size, true);
}

/* When to come again, CLOCK_MONOTONIC usec; 0: there is one. */
static uint64_t prepare(Spool *spool, uint64_t retry_usec) {
        uint64_t now;
        int r;

        if (atomic_load(&spool->next_fd) != NEXT_WANTED)
                return 0;
        now = clock_monotonic_usec();
        if (retry_usec > now)
                return retry_usec;
        r = make_next(spool);
        atomic_store(&spool->make_error, MIN(r, 0));
        if (r < 0)
                return now + spool->retry_every_usec;
        atomic_store(&spool->next_fd, r);
        return 0;
}

/* ---- syncing ---- */

static int sync_file(Spool *spool, int fd) {
        if (clicks_io.sync_data(fd) < 0)
                return -errno;
        (void)atomic_fetch_add_explicit(&spool->stat_syncs, 1, memory_order_relaxed);
        return 0;
}

/* Closes what the loop retired. Good files are cut to their length and synced; a negative result if
 * one could not be. *synced_fd is set to -1 if it is among them. */
static int drain_retired(Spool *spool, bool sync, int *synced_fd) {
        unsigned taken = atomic_load(&spool->n_taken);
        int result = 0;

        for (; taken != atomic_load(&spool->n_retired); taken++) {
                const SpoolRetired *file = &spool->retired[taken % SPOOL_RETIRED];
                int r = 0;

                if (!file->abandoned) {
                        (void)!ftruncate(file->fd, (off_t)file->len);
                        if (sync)
                                r = sync_file(spool, file->fd);
                }
                if (r < 0)
                        result = r;
                if (file->fd == *synced_fd)
                        *synced_fd = -1;
                (void)close(file->fd);
                atomic_store(&spool->n_taken, taken + 1);
        }
        return result;
}

static int sync_directory(Spool *spool, uint64_t n_switches) {
        if (n_switches == spool->n_switches_synced)
                return 0;
        if (clicks_io.sync(spool->directory_fd) < 0)
                return -errno;
        spool->n_switches_synced = n_switches;
        return 0;
}

/* 1: all below target is on disk; 0: that cannot be said; negative: a sync failed. */
static int sync_all(Spool *spool) {
        int fd = atomic_load(&spool->current_fd), current = fd;
        uint64_t n_switches = atomic_load(&spool->n_switches);
        int r;

        r = drain_retired(spool, true, &current);
        if (r < 0)
                return r;
        /* No current file: one was abandoned and what it held is not written again yet. */
        if (fd < 0 || atomic_load(&spool->sync_failed))
                return 0;
        r = current >= 0 ? sync_file(spool, current) : 0;
        if (r == 0)
                r = sync_directory(spool, n_switches);
        return r < 0 ? r : 1;
}

void spool_helper_round(Spool *spool, bool sync) {
        uint64_t before = atomic_load(&spool->synced);
        uint64_t target = atomic_load(&spool->written_seq);
        uint64_t after = (before & ~SPOOL_SEQ_MASK) | target;
        int none = -1, r;

        if (!sync) {
                (void)drain_retired(spool, false, &none);
                return;
        }
        if (before == after && atomic_load(&spool->n_retired) == atomic_load(&spool->n_taken))
                return;
        r = sync_all(spool);
        if (r == 1 && atomic_compare_exchange_strong(&spool->synced, &before, after)) {
                if (spool->sync == SPOOL_SYNC_ALWAYS)
                        tell(spool);
        } else if (r < 0) {
                (void)atomic_fetch_add_explicit(&spool->stat_errors, 1, memory_order_relaxed);
                /* A failure of a file that was abandoned meanwhile is settled already. */
                if ((atomic_load(&spool->synced) ^ before) >> SPOOL_EPOCH_SHIFT == 0)
                        atomic_store(&spool->sync_failed, true);
                tell(spool);
        }
}

/* ---- sleeping ---- */

static bool unsynced(const Spool *spool) {
        return spool->sync != SPOOL_SYNC_OFF && !atomic_load(&spool->sync_failed) &&
               atomic_load(&spool->current_fd) >= 0 &&
               atomic_load(&spool->written_seq) != (atomic_load(&spool->synced) & SPOOL_SEQ_MASK);
}

static bool urgent(const Spool *spool, uint64_t retry_usec) {
        return atomic_load(&spool->helper_stop) ||
               (atomic_load(&spool->next_fd) == NEXT_WANTED && retry_usec == 0) ||
               atomic_load(&spool->n_retired) != atomic_load(&spool->n_taken) ||
               (spool->sync == SPOOL_SYNC_ALWAYS && unsynced(spool));
}

static void sleep_as(Spool *spool, uint32_t state, uint64_t until_usec, uint64_t retry_usec) {
        uint64_t now = clock_monotonic_usec();

        if (until_usec <= now)
                return;
        __atomic_store_n(&spool->helper_state, state, __ATOMIC_SEQ_CST);
        if (!urgent(spool, retry_usec) && (state == HELPER_GATHERS || !unsynced(spool)))
                futex_sleep(&spool->helper_state, state, until_usec - now);
        __atomic_store_n(&spool->helper_state, HELPER_RUNS, __ATOMIC_SEQ_CST);
}

/* ---- public ---- */

void spool_helper(Spool *spool) {
        uint64_t retry = 0;

        while (!atomic_load(&spool->helper_stop)) {
                uint64_t due, now;

                retry = prepare(spool, retry);
                now = clock_monotonic_usec();
                due = retry > 0 ? retry : now + FOREVER_USEC;
                if (spool->sync == SPOOL_SYNC_INTERVAL && unsynced(spool))
                        sleep_as(spool, HELPER_GATHERS, MIN(due, now + spool->sync_interval_usec),
                                 retry);
                spool_helper_round(spool, spool->sync != SPOOL_SYNC_OFF);
                sleep_as(spool, HELPER_IDLE, due, retry);
        }
        spool_helper_round(spool, spool->sync != SPOOL_SYNC_OFF);
}

void spool_helper_stop(Spool *spool) {
        atomic_store(&spool->helper_stop, true);
        spool_helper_wake(spool, true);
}
