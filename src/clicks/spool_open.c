/* SPDX-License-Identifier: MIT */
/*
 * Beginning a spool and ending one. A start costs a look at the folder's names and one new segment,
 * whatever lies there unshipped. A full or failing disk is no reason not to start: visits are then
 * shed or refused as OnFull= says. On the loop's thread, the helper not running.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/io.h"
#include "clicks/spool_internal.h"

#define BATCH_RECORDS    1024u
#define RETRY_USEC       (100 * USEC_PER_MSEC)
#define SEGMENT_SIZE_MIN (1024u * 1024)
#define SEGMENT_SIZE_MAX (1024u * 1024 * 1024)

static int first_segment(Spool *spool) {
        char name[SEGMENT_NAME_SIZE], target[SEGMENT_NAME_SIZE];
        uint64_t unshipped;
        int r;

        r = segment_unshipped(spool->directory_fd, &unshipped);
        if (r < 0)
                return r;
        if (unshipped + spool->segment_size > spool->max_size)
                return -ENOSPC;
        segment_side_name(spool->id, "own", name);
        segment_name(spool->id, spool->next_seq, target);
        r = segment_make(spool->directory_fd, name, spool->segment_size, true);
        if (r < 0)
                return r;
        if (clicks_io.rename(spool->directory_fd, name, target) < 0 ||
            clicks_io.sync(spool->directory_fd) < 0) {
                int error = -errno;

                (void)close(r);
                (void)unlinkat(spool->directory_fd, name, 0);
                return error;
        }
        spool->file = (SpoolFile){.fd = r, .size = spool->segment_size};
        atomic_store(&spool->current_fd, spool->file.fd);
        atomic_fetch_add(&spool->stat_segments, 1);
        return 0;
}

static int allocate_buffers(Spool *spool) {
        /* A batch fits into a segment of its own. The memory is touched as far as it is used. */
        spool->batch_size = MIN((size_t)BATCH_RECORDS * RECORD_MAX_SIZE,
                                (size_t)(spool->segment_size / 2));
        spool->batch = malloc(spool->batch_size);
        if (!spool->batch)
                return -ENOMEM;
        if (spool->sync == SPOOL_SYNC_OFF)
                return 0;
        for (int i = 0; i < 2; i++) {
                spool->history.half[i] = malloc(SPOOL_HISTORY);
                if (!spool->history.half[i])
                        return -ENOMEM;
        }
        return 0;
}

static Spool *spool_alloc(const SpoolOptions *options, HostSlot *slot) {
        Spool *spool = aligned_alloc(alignof(Spool), sizeof(Spool));

        if (!spool)
                return NULL;
        memset(spool, 0, sizeof(*spool));
        spool->sync = options->sync;
        spool->on_full = options->on_full;
        spool->sync_interval_usec = options->sync_interval_usec;
        spool->segment_size = options->segment_size;
        /* The current segment counts while it is being written: with less there is no next one. */
        spool->max_size = MAX(options->max_size, 2 * options->segment_size);
        spool->retry_every_usec = options->retry_usec > 0 ? options->retry_usec : RETRY_USEC;
        spool->slot = slot;
        spool->directory_fd = spool->lock_fd = spool->durable_fd = -1;
        spool->file.fd = -1;
        spool->next_seq = spool->batch_first = 1;
        atomic_store(&spool->written_seq, 1);
        atomic_store(&spool->synced, 1);
        atomic_store(&spool->current_fd, -1);
        atomic_store(&spool->next_fd, NEXT_WANTED);
        return spool;
}

int spool_open(const SpoolOptions *options, HostSlot *slot, Spool **ret) {
        _cleanup_(spool_free_p) Spool *spool = NULL;
        int r;

        if (options->segment_size < SEGMENT_SIZE_MIN || options->segment_size > SEGMENT_SIZE_MAX)
                return -EINVAL;
        spool = spool_alloc(options, slot);
        if (!spool)
                return -ENOMEM;
        r = allocate_buffers(spool);
        if (r < 0)
                return r;
        spool->directory_fd = segment_folder_open(options->directory, true);
        if (spool->directory_fd < 0)
                return spool->directory_fd;
        spool->lock_fd = segment_folder_lock(spool->directory_fd, SEGMENT_LOCK_OWNER);
        if (spool->lock_fd < 0)
                return spool->lock_fd;
        spool->durable_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (spool->durable_fd < 0)
                return -errno;
        r = segment_folder_settle(spool->directory_fd);
        if (r < 0)
                return r;
        segment_id_new(spool->id);
        spool->crc_start = record_crc_start(spool->id);
        r = first_segment(spool);
        if (r == -ENOSPC || r == -EDQUOT || r == -EIO)
                spool->full = true; /* served all the same, as OnFull= says */
        else if (r < 0)
                return r;
        *ret = TAKE_PTR(spool);
        return 0;
}

/* What can still be brought to the disk: a sync that fails leads to one more segment. */
static void finish(Spool *spool) {
        /* There is no helper any more that would try again. */
        atomic_store(&spool->make_error, 0);
        for (int i = 0; i < 2; i++) {
                int r;

                spool->retry_usec = 0;
                r = spool_flush_batch(spool);
                spool_helper_round(spool, true);
                if (r < 0 || !atomic_load(&spool->sync_failed))
                        break;
        }
        if (spool->n_shed > 0 && spool->file.fd >= 0 && spool->salvage_from == 0) {
                uint8_t marker[RECORD_SHED_SIZE];

                /* SPOOL_RESERVE is room for it. */
                (void)record_encode_shed(spool->crc_start, spool->shed_first, spool->n_shed,
                                         clock_realtime_usec(), marker);
                if (spool_append_bytes(spool, &spool->file, marker, RECORD_SHED_SIZE) == 0)
                        spool_acknowledge(spool);
                spool_helper_round(spool, true);
        }
        spool_retire(spool, false);
        spool_helper_round(spool, true);
}

static void remove_unused(Spool *spool) {
        char name[SEGMENT_NAME_SIZE];
        int fd = atomic_exchange(&spool->next_fd, NEXT_WANTED);

        if (fd >= 0)
                (void)close(fd);
        segment_side_name(spool->id, "next", name);
        (void)unlinkat(spool->directory_fd, name, 0);
        if (atomic_load(&spool->written_seq) > 1)
                return;
        segment_name(spool->id, 1, name);
        (void)unlinkat(spool->directory_fd, name, 0);
}

Spool *spool_free(Spool *spool) {
        if (!spool)
                return NULL;
        if (spool->crc_start != 0) {
                finish(spool);
                remove_unused(spool);
        }
        if (spool->durable_fd >= 0)
                (void)close(spool->durable_fd);
        if (spool->lock_fd >= 0)
                (void)close(spool->lock_fd);
        if (spool->directory_fd >= 0)
                (void)close(spool->directory_fd);
        free(spool->history.half[0]);
        free(spool->history.half[1]);
        free(spool->batch);
        free(spool);
        return NULL;
}
