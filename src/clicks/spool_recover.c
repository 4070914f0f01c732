/* SPDX-License-Identifier: MIT */
/*
 * After a failure of the disk, on the loop: a new segment takes, in this order, what was written
 * and is not known to be synced (under its old numbers), the marker of what was shed, and the batch
 * at hand. What is unsynced is read back from the abandoned files, which the page cache nearly
 * always still has; where it has not, from the history, the last 256 to 512 KiB written, which is
 * kept in memory unless Sync=off. What neither has is a gap in the numbers: counted as damaged.
 *
 * The new segment has its name only when it is whole; its first eight bytes are written last, so
 * that a process that dies meanwhile leaves either nothing or all of it (segment_folder_settle()).
 *
 * Allocates memory and reads files: it is the one place on the loop that does.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/io.h"
#include "clicks/reader.h"
#include "clicks/spool_internal.h"

#define WITHHELD   8u /* bytes; less than any record */
#define CHUNK_SIZE (256u * 1024)

typedef struct Rewrite {
        Spool *spool;
        SpoolFile *file;
        uint8_t withheld[WITHHELD];
        uint8_t *chunk; /* CHUNK_SIZE bytes */
        size_t len;
} Rewrite;

/* ---- history ---- */

void spool_history_keep(SpoolHistory *history, const uint8_t *data, size_t len) {
        if (!history->half[0])
                return;
        if (len > SPOOL_HISTORY) {
                history->len[0] = history->len[1] = 0;
                return;
        }
        if (history->len[history->filling] + len > SPOOL_HISTORY) {
                history->filling ^= 1;
                history->len[history->filling] = 0;
        }
        memcpy(history->half[history->filling] + history->len[history->filling], data, len);
        history->len[history->filling] += len;
}

/* ---- writing the new segment ---- */

static int put_chunk(Rewrite *rewrite) {
        int r;

        if (rewrite->len == 0)
                return 0;
        r = spool_append_bytes(rewrite->spool, rewrite->file, rewrite->chunk, rewrite->len);
        rewrite->len = 0;
        return r;
}

static int put(Rewrite *rewrite, const uint8_t *data, size_t len) {
        if (len == 0)
                return 0;
        if (rewrite->file->len == 0) {
                memcpy(rewrite->withheld, data, WITHHELD);
                rewrite->file->len = WITHHELD;
                data += WITHHELD;
                len -= WITHHELD;
        }
        while (len > 0) {
                size_t n = MIN(len, CHUNK_SIZE - rewrite->len);

                memcpy(rewrite->chunk + rewrite->len, data, n);
                rewrite->len += n;
                data += n;
                len -= n;
                if (rewrite->len == CHUNK_SIZE) {
                        int r = put_chunk(rewrite);

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int put_withheld(Rewrite *rewrite) {
        SpoolFile start = {.fd = rewrite->file->fd};
        int r;

        r = put_chunk(rewrite);
        if (r < 0 || rewrite->file->len == 0)
                return r;
        return spool_append_bytes(rewrite->spool, &start, rewrite->withheld, WITHHELD);
}

/* Those records of [from, upto) that the half holds, from *from on. */
static int put_half(Rewrite *rewrite, unsigned half, uint64_t *from, uint64_t upto) {
        const Spool *spool = rewrite->spool;
        const uint8_t *data = spool->history.half[half];
        size_t len = data ? spool->history.len[half] : 0;

        while (len > 0) {
                Record record;
                int size, r;

                size = record_decode(spool->crc_start, data, len, &record);
                CHECK(size > 0);
                if (record.seq >= *from && record.seq < upto) {
                        r = put(rewrite, data, (size_t)size);
                        if (r < 0)
                                return r;
                        *from = record.seq + record.n;
                }
                data += size;
                len -= (size_t)size;
        }
        return 0;
}

static int put_from_history(Rewrite *rewrite, uint64_t from, uint64_t upto) {
        unsigned newer = rewrite->spool->history.filling;
        int r;

        r = put_half(rewrite, newer ^ 1, &from, upto);
        return r < 0 ? r : put_half(rewrite, newer, &from, upto);
}

static int put_salvage(Rewrite *rewrite) {
        Spool *spool = rewrite->spool;
        _cleanup_(reader_free_p) Reader *reader = NULL;
        ReaderItem item;
        int r;

        if (spool->salvage_from == 0)
                return 0;
        r = reader_open(spool->directory_fd, spool->id, spool->salvage_from, spool, &reader);
        if (r < 0)
                return r;
        while ((r = reader_next(reader, &item)) > 0) {
                r = item.kind == READER_DAMAGED
                                    ? put_from_history(rewrite, item.seq, item.seq + item.n)
                                    : put(rewrite, item.raw, item.raw_len);
                if (r < 0)
                        return r;
        }
        return r;
}

static int put_marker(Rewrite *rewrite) {
        const Spool *spool = rewrite->spool;
        uint8_t marker[RECORD_SHED_SIZE];

        if (spool->n_shed == 0)
                return 0;
        return put(rewrite, marker,
                   record_encode_shed(spool->crc_start, spool->shed_first, spool->n_shed,
                                      clock_realtime_usec(), marker));
}

static int fill(Spool *spool, SpoolFile *file) {
        _cleanup_free_ uint8_t *chunk = malloc(CHUNK_SIZE);
        Rewrite rewrite = {.spool = spool, .file = file, .chunk = chunk};
        int r;

        if (!chunk)
                return -ENOMEM;
        r = put_salvage(&rewrite);
        if (r == 0)
                r = put_marker(&rewrite);
        if (r == 0)
                r = put(&rewrite, spool->batch, spool->batch_len);
        return r < 0 ? r : put_withheld(&rewrite);
}

/* Bytes that the new segment needs at most. */
static int space_needed(Spool *spool, uint64_t *ret) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        uint64_t salvage = 0, most;
        int r;

        if (spool->salvage_from > 0) {
                r = segment_list(spool->directory_fd, spool->id, &list);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < list.n; i++)
                        if (i + 1 == list.n || list.items[i + 1].first_seq > spool->salvage_from)
                                salvage += list.items[i].size;
                most = (atomic_load(&spool->written_seq) - spool->salvage_from) * RECORD_MAX_SIZE;
                salvage = MIN(salvage, most);
        }
        *ret = MAX(salvage + RECORD_SHED_SIZE + spool->batch_len + SPOOL_RESERVE,
                   spool->segment_size);
        return 0;
}

static uint64_t first_seq(const Spool *spool) {
        if (spool->salvage_from > 0)
                return spool->salvage_from;
        return spool->n_shed > 0 ? spool->shed_first : spool->batch_first;
}

int spool_recover(Spool *spool) {
        SpoolFresh fresh;
        uint64_t size;
        int r;

        r = space_needed(spool, &size);
        if (r < 0)
                return r;
        r = spool_take_segment(spool, size, &fresh);
        if (r < 0)
                return r;
        r = fill(spool, &fresh.file);
        if (r == 0)
                r = spool_switch(spool, &fresh, first_seq(spool));
        if (r < 0) {
                spool_fresh_drop(spool, &fresh);
                return r;
        }
        if (spool->batch_len > 0)
                spool_history_keep(&spool->history, spool->batch, spool->batch_len);
        spool->salvage_from = 0;
        spool->n_shed = 0;
        return 0;
}
