/* SPDX-License-Identifier: MIT */
/* Shipping, marking and removing the segments of old spools. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/backlog.h"
#include "clicks/io.h"

#define MODE_SHIPPED   0400
#define MODE_UNSHIPPED 0600
#define TYPICAL_RECORD 200u /* bytes */

static bool same_id(const uint8_t *a, const uint8_t *b) {
        return memcmp(a, b, SPOOL_ID_SIZE) == 0;
}

/* ---- the list ---- */

void backlog_done(Backlog *backlog) {
        if (backlog->open)
                stream_done(&backlog->stream);
        free(backlog->ids);
        *backlog = (Backlog){.directory_fd = -1};
}

/* The spools of the list that have an unshipped segment, or those that have none. */
static void add_ids(Backlog *backlog, const SegmentList *list, const uint8_t *except,
                    bool unshipped) {
        size_t i = 0;

        while (i < list->n) {
                const uint8_t *id = list->items[i].id;
                bool any = false;

                for (; i < list->n && same_id(list->items[i].id, id); i++)
                        any = any || !list->items[i].shipped;
                if (any == unshipped && !(except && same_id(id, except)))
                        memcpy(backlog->ids[backlog->n++], id, SPOOL_ID_SIZE);
        }
}

uint64_t backlog_guess(const SegmentList *list, const uint8_t *except, uint64_t *ret_oldest_usec) {
        uint64_t n_known = 0, known_bytes = 0, guessed_bytes = 0, record = TYPICAL_RECORD;

        *ret_oldest_usec = 0;
        for (size_t i = 0; i < list->n; i++) {
                const Segment *segment = &list->items[i];
                const Segment *next = i + 1 < list->n ? segment + 1 : NULL;

                if (segment->shipped || segment->size == 0 ||
                    (except && same_id(segment->id, except)))
                        continue;
                if (*ret_oldest_usec == 0)
                        *ret_oldest_usec = segment->written_usec;
                if (next && same_id(next->id, segment->id)) {
                        n_known += next->first_seq - segment->first_seq;
                        known_bytes += segment->size;
                } else {
                        guessed_bytes += segment->size;
                }
        }
        if (n_known > 0)
                record = MAX(known_bytes / n_known, (uint64_t)1);
        return n_known + guessed_bytes / record + (guessed_bytes > 0);
}

int backlog_list(Backlog *backlog, int directory_fd, const uint8_t *except, bool all) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        int r;

        backlog_done(backlog);
        backlog->directory_fd = directory_fd;
        r = segment_list(directory_fd, NULL, &list);
        if (r < 0 || list.n == 0)
                return r;
        backlog->ids = calloc(list.n, sizeof(*backlog->ids));
        if (!backlog->ids)
                return -ENOMEM;
        add_ids(backlog, &list, except, true);
        backlog->n_urgent = backlog->n;
        add_ids(backlog, &list, except, false);
        if (all)
                backlog->n_urgent = backlog->n;
        backlog->n_wanted = backlog->n_urgent;
        return 0;
}

/* ---- shipping ---- */

int backlog_mark(int directory_fd, const uint8_t *id, uint64_t position, bool ended) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        int r;

        r = segment_list(directory_fd, id, &list);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.n; i++) {
                const Segment *segment = &list.items[i];
                bool shipped = ended || (i + 1 < list.n && list.items[i + 1].first_seq <= position);

                if (shipped != segment->shipped &&
                    fchmodat(directory_fd, segment->name, shipped ? MODE_SHIPPED : MODE_UNSHIPPED,
                             0) < 0 &&
                    errno != ENOENT)
                        return -errno;
        }
        return 0;
}

int backlog_step(Backlog *backlog, StreamShared *shared, StreamMove *ret) {
        int r;

        *ret = (StreamMove){0};
        if (backlog->at >= backlog->n_wanted)
                return STREAM_END;
        if (!backlog->open) {
                stream_init(&backlog->stream, backlog->directory_fd, backlog->ids[backlog->at],
                            NULL);
                backlog->open = true;
        }
        r = stream_step(&backlog->stream, shared, ret);
        if (r != STREAM_END)
                return r;
        r = backlog_mark(backlog->directory_fd, backlog->stream.id, backlog->stream.position, true);
        if (r < 0)
                return r;
        stream_done(&backlog->stream);
        backlog->open = false;
        backlog->at++;
        return STREAM_MOVED;
}

/* ---- keeping ---- */

static int by_change(const void *a, const void *b) {
        const Segment *x = a, *y = b;

        return x->changed_usec < y->changed_usec ? -1 : x->changed_usec > y->changed_usec;
}

/* Moves what is to go to the front of the list, oldest first, and returns how many these are. */
static size_t choose_old(SegmentList *list, const BacklogKeep *keep) {
        uint64_t now = clock_realtime_usec(), size = 0;
        size_t n = 0;

        for (size_t i = 0; i < list->n; i++)
                if (list->items[i].shipped) {
                        list->items[n++] = list->items[i];
                        size += list->items[n - 1].size;
                }
        list->n = n;
        qsort(list->items, n, sizeof(*list->items), by_change);
        for (n = 0; n < list->n; n++) {
                const Segment *segment = &list->items[n];
                uint64_t age = now > segment->changed_usec ? now - segment->changed_usec : 0;

                if (age < keep->usec && size <= keep->size)
                        break;
                size -= segment->size;
        }
        return n;
}

/* The position goes after the last segment, never before: a segment that came back would be shipped
 * a second time. */
static int forget_position(int directory_fd, const uint8_t *id, StreamShared *shared) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        int r;

        r = segment_list(directory_fd, id, &list);
        if (r < 0 || list.n > 0)
                return r;
        atomic_store(&shared->in_store, true);
        r = store_offset_delete(shared->session, id);
        atomic_store(&shared->in_store, false);
        return MIN(r, 0);
}

int backlog_sweep(int directory_fd, const BacklogKeep *keep, StreamShared *shared) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        size_t n;
        int r;

        r = segment_list(directory_fd, NULL, &list);
        if (r < 0 || list.n == 0)
                return r;
        n = choose_old(&list, keep);
        for (size_t i = 0; i < n; i++)
                if (unlinkat(directory_fd, list.items[i].name, 0) < 0 && errno != ENOENT)
                        return -errno;
        if (n > 0 && clicks_io.sync(directory_fd) < 0)
                return -errno;
        for (size_t i = 0; i < n; i++)
                if (!(keep->live && same_id(list.items[i].id, keep->live))) {
                        r = forget_position(directory_fd, list.items[i].id, shared);
                        if (r < 0)
                                return r;
                }
        return 0;
}
