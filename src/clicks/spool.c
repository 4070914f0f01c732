/* SPDX-License-Identifier: MIT */
/*
 * The loop's side of the spool: a visit is encoded into a buffer that never grows, and one pwrite
 * puts the batch into the current segment. No lock, no allocation, no other system call, but for
 * the change of segments and after a failure (spool_recover.c).
 *
 * Sequence numbers are given when a visit is added. A batch that could not be written is either
 * shed (its numbers stay used; a marker that covers them is the first record written when there is
 * room again) or, with OnFull=fail, its numbers are given back: nothing in a file that a reader
 * sees has them, because a failed file is cut back to its last whole batch and then left for good.
 */

#include <errno.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/io.h"
#include "clicks/spool_internal.h"

#define add_relaxed(counter, n) \
 ((void)atomic_fetch_add_explicit((counter), (n), memory_order_relaxed))

static uint64_t written(const Spool *spool) {
        return atomic_load_explicit(&spool->written_seq, memory_order_relaxed);
}

/* ---- segments ---- */

/* The current file goes to the helper. There is always a place: spool_switch() sees to it. */
void spool_retire(Spool *spool, bool abandoned) {
        unsigned n = atomic_load(&spool->n_retired);

        if (spool->file.fd < 0)
                return;
        CHECK(n - atomic_load(&spool->n_taken) < SPOOL_RETIRED);
        spool->retired[n % SPOOL_RETIRED] = (SpoolRetired){
                        .fd = spool->file.fd,
                        .len = spool->file.len,
                        .abandoned = abandoned,
        };
        atomic_store(&spool->current_fd, -1);
        spool->file = (SpoolFile){.fd = -1};
        atomic_store(&spool->n_retired, n + 1);
}

static bool retired_full(const Spool *spool) {
        return atomic_load(&spool->n_retired) - atomic_load(&spool->n_taken) >= SPOOL_RETIRED - 1;
}

/* The helper was not in time (or runs not at all): the loop makes one itself rather than shed. */
static int make_own(Spool *spool, uint64_t size, SpoolFresh *ret) {
        uint64_t unshipped;
        int r;

        r = segment_unshipped(spool->directory_fd, &unshipped);
        if (r < 0)
                return r;
        if (unshipped + size > spool->max_size)
                return -ENOSPC;
        segment_side_name(spool->id, "own", ret->name);
        r = segment_make(spool->directory_fd, ret->name, size, false);
        if (r < 0)
                return r;
        ret->file = (SpoolFile){.fd = r, .size = size};
        return 0;
}

int spool_take_segment(Spool *spool, uint64_t size, SpoolFresh *ret) {
        int fd, r;

        if (retired_full(spool))
                return -ENOSPC;
        if (size > spool->segment_size)
                return make_own(spool, size, ret);
        fd = atomic_load(&spool->next_fd);
        if (fd >= 0) {
                atomic_store(&spool->next_fd, NEXT_TAKEN);
                ret->file = (SpoolFile){.fd = fd, .size = spool->segment_size};
                segment_side_name(spool->id, "next", ret->name);
                return 0;
        }
        r = atomic_load(&spool->make_error);
        if (r < 0)
                return r; /* the helper tries again and again */
        return make_own(spool, spool->segment_size, ret);
}

/* The name of the next one is free: the helper may make another. */
static void next_done(Spool *spool) {
        if (atomic_load(&spool->next_fd) == NEXT_TAKEN)
                atomic_store(&spool->next_fd, NEXT_WANTED);
        spool_helper_wake(spool, true);
}

void spool_fresh_drop(Spool *spool, SpoolFresh *fresh) {
        (void)unlinkat(spool->directory_fd, fresh->name, 0);
        (void)close(fresh->file.fd);
        next_done(spool);
}

/* Segments that begin behind first_seq hold what the new one holds as well, some of it perhaps not
 * any more: they must not be read instead of it. */
static void remove_superseded(Spool *spool, uint64_t first_seq) {
        _cleanup_(segment_list_done) SegmentList list = {0};

        if (segment_list(spool->directory_fd, spool->id, &list) < 0)
                return; /* then readers meet damage there, and count it */
        for (size_t i = 0; i < list.n; i++)
                if (list.items[i].first_seq > first_seq)
                        (void)unlinkat(spool->directory_fd, list.items[i].name, 0);
}

int spool_switch(Spool *spool, SpoolFresh *fresh, uint64_t first_seq) {
        char target[SEGMENT_NAME_SIZE];

        segment_name(spool->id, first_seq, target);
        if (clicks_io.rename(spool->directory_fd, fresh->name, target) < 0)
                return -errno;
        if (first_seq < written(spool))
                remove_superseded(spool, first_seq);
        spool_retire(spool, false);
        spool->file = fresh->file;
        /* In this order: who sees the descriptor syncs the directory too. */
        atomic_fetch_add(&spool->n_switches, 1);
        atomic_store(&spool->current_fd, spool->file.fd);
        add_relaxed(&spool->stat_segments, 1);
        next_done(spool);
        return 0;
}

/* The current segment has no room for the batch. */
static int next_segment(Spool *spool) {
        SpoolFresh fresh;
        int r;

        r = spool_take_segment(spool, spool->segment_size, &fresh);
        if (r < 0)
                return r;
        r = spool_switch(spool, &fresh, spool->batch_first);
        if (r < 0)
                spool_fresh_drop(spool, &fresh);
        return r;
}

/* ---- writing ---- */

/* One pwrite at the known offset. Anything but its full length is a failure of the file. */
int spool_append_bytes(Spool *spool, SpoolFile *file, const uint8_t *data, size_t len) {
        ssize_t n;

        do
                n = clicks_io.pwrite(file->fd, data, len, (off_t)file->len);
        while (n < 0 && errno == EINTR);
        if (n < 0 || (size_t)n != len) {
                add_relaxed(&spool->stat_errors, 1);
                return n < 0 ? -errno : -ENOSPC;
        }
        file->len += len;
        add_relaxed(&spool->stat_bytes, len);
        return 0;
}

/* Leaves the current file for good. Cutting it back is for readers that come before the segment
 * which replaces it; they are not misled without it either (the numbers of a batch that failed are
 * used again, but then a newer segment begins at or below them). */
static void abandon(Spool *spool) {
        uint64_t synced = atomic_fetch_add(&spool->synced, 1ULL << SPOOL_EPOCH_SHIFT);
        uint64_t from = synced & SPOOL_SEQ_MASK;

        (void)atomic_exchange(&spool->sync_failed, false);
        if (spool->file.fd >= 0)
                (void)!ftruncate(spool->file.fd, (off_t)spool->file.len);
        spool_retire(spool, true);
        if (spool->sync != SPOOL_SYNC_OFF && from < written(spool) && spool->salvage_from == 0)
                spool->salvage_from = from;
}

/* The visits below next_seq are where the promise says. */
void spool_acknowledge(Spool *spool) {
        uint64_t n = spool->next_seq - written(spool);

        if (n == 0)
                return;
        atomic_store(&spool->written_seq, spool->next_seq);
        add_relaxed(&spool->stat_appended, n);
        if (spool->slot)
                host_slot_appended(spool->slot, n);
        if (spool->sync != SPOOL_SYNC_OFF)
                spool_helper_wake(spool, spool->sync == SPOOL_SYNC_ALWAYS);
        if (UNLIKELY(atomic_load(&spool->shipper_idle)) &&
            atomic_exchange(&spool->shipper_idle, false) && spool->slot)
                host_slot_wake(spool->slot);
}

/* A disk that fails at every write must not cost each visit a new segment. */
static int recover(Spool *spool) {
        uint64_t now = clock_monotonic_usec();
        int r;

        if (now < spool->retry_usec)
                return -ENOSPC;
        r = spool_recover(spool);
        spool->retry_usec = r < 0 ? now + spool->retry_every_usec : 0;
        return r;
}

static int write_batch(Spool *spool) {
        int r;

        if (UNLIKELY(atomic_load_explicit(&spool->sync_failed, memory_order_relaxed)))
                abandon(spool);
        if (LIKELY(spool->file.fd >= 0 && !spool->full)) {
                if (spool->batch_len == 0)
                        return 0;
                if (spool->file.len + spool->batch_len + SPOOL_RESERVE > spool->file.size) {
                        r = next_segment(spool);
                        if (r < 0)
                                return r;
                }
                r = spool_append_bytes(spool, &spool->file, spool->batch, spool->batch_len);
                if (LIKELY(r == 0)) {
                        spool_history_keep(&spool->history, spool->batch, spool->batch_len);
                        return 0;
                }
                abandon(spool);
        }
        return recover(spool);
}

static void shed(Spool *spool, uint64_t first_seq, uint64_t n) {
        if (n == 0)
                return;
        if (spool->n_shed == 0)
                spool->shed_first = first_seq;
        spool->n_shed += n;
        add_relaxed(&spool->stat_shed, n);
        if (spool->slot)
                host_slot_shed(spool->slot, n);
}

int spool_flush_batch(Spool *spool) {
        int r;

        r = write_batch(spool);
        spool->full = r < 0;
        if (LIKELY(r == 0))
                spool_acknowledge(spool);
        else if (spool->on_full == SPOOL_SHED) {
                shed(spool, spool->batch_first, spool->next_seq - spool->batch_first);
                spool->released_seq = spool->next_seq;
        } else
                spool->next_seq = spool->batch_first;
        spool->batch_len = 0;
        spool->batch_first = spool->next_seq;
        return r < 0 && spool->on_full == SPOOL_FAIL ? -ENOSPC : 0;
}

/* There was nowhere to write to. */
static bool still_full(Spool *spool) {
        if (atomic_load(&spool->next_fd) < 0 && atomic_load(&spool->make_error) < 0)
                return true; /* the helper tries */
        return spool_flush_batch(spool) < 0 || spool->full;
}

/* ---- public ---- */

int spool_add(Spool *spool, const Click *click) {
        if (UNLIKELY(spool->batch_len + RECORD_MAX_SIZE > spool->batch_size)) {
                int r = spool_flush_batch(spool);

                if (r < 0)
                        spool->batch_result = r;
        }
        if (UNLIKELY(spool->full) && still_full(spool)) {
                if (spool->on_full == SPOOL_FAIL)
                        return -ENOSPC;
                shed(spool, spool->next_seq++, 1);
                spool->batch_first = spool->released_seq = spool->next_seq;
                return 0;
        }
        spool->batch_len += record_encode_visit(spool->crc_start, spool->next_seq++, click,
                                                spool->batch + spool->batch_len);
        return 0;
}

int spool_flush(Spool *spool, uint64_t *ret_seq) {
        int r, early = spool->batch_result;

        spool->batch_result = 0;
        r = spool_flush_batch(spool);
        if (r < 0 || early < 0)
                return -ENOSPC;
        *ret_seq = spool->next_seq;
        return 0;
}

bool spool_batch_empty(const Spool *spool) {
        return spool->batch_len == 0 && spool->batch_result == 0;
}

uint64_t spool_durable(const Spool *spool) {
        uint64_t synced = atomic_load(&spool->synced) & SPOOL_SEQ_MASK;

        return MAX(synced, spool->released_seq);
}

int spool_durable_fd(const Spool *spool) {
        return spool->durable_fd;
}

void spool_stats(const Spool *spool, SpoolStats *ret) {
        *ret = (SpoolStats){
                        .appended = atomic_load(&spool->stat_appended),
                        .shed = atomic_load(&spool->stat_shed),
                        .bytes = atomic_load(&spool->stat_bytes),
                        .syncs = atomic_load(&spool->stat_syncs),
                        .errors = atomic_load(&spool->stat_errors),
                        .segments = atomic_load(&spool->stat_segments),
        };
}

const uint8_t *spool_id(const Spool *spool) {
        return spool->id;
}

uint64_t spool_written_seq(const Spool *spool) {
        return atomic_load(&spool->written_seq);
}

uint64_t spool_switches(const Spool *spool) {
        return atomic_load(&spool->n_switches);
}

int spool_directory_fd(const Spool *spool) {
        return spool->directory_fd;
}

bool spool_shipper_sleeps(Spool *spool, uint64_t seen_seq) {
        atomic_store(&spool->shipper_idle, true);
        if (atomic_load(&spool->written_seq) == seen_seq)
                return true;
        atomic_store(&spool->shipper_idle, false);
        return false;
}

void spool_shipper_wakes(Spool *spool) {
        atomic_store(&spool->shipper_idle, false);
}
