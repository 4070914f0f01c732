/* SPDX-License-Identifier: MIT */
/* What the store has of spools that are shipped whole. */

#include <stdlib.h>

#include "clicks/ended.h"
#include "clicks/segment.h"

void ended_note(Ended *ended, const uint8_t *id, uint64_t position) {
        EndedSpool *items;

        for (size_t i = 0; i < ended->n; i++)
                if (memcmp(ended->items[i].id, id, SPOOL_ID_SIZE) == 0) {
                        ended->items[i].position = position;
                        return;
                }
        items = reallocarray(ended->items, ended->n + 1, sizeof(*items));
        if (!items)
                return;
        ended->items = items;
        memcpy(items[ended->n].id, id, SPOOL_ID_SIZE);
        items[ended->n++].position = position;
}

/* A spool whose last segment was removed has no position any more. */
static int has_segments(int directory_fd, const uint8_t *id) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        int r;

        r = segment_list(directory_fd, id, &list);
        return r < 0 ? r : list.n > 0;
}

int ended_check(Ended *ended, int directory_fd, StreamShared *shared) {
        EndedSpool *item;
        uint64_t position;
        int r;

        if (ended->n == 0)
                return 0;
        if (ended->at >= ended->n)
                ended->at = 0;
        item = &ended->items[ended->at];
        r = stream_ask_position(item->id, shared, &position);
        if (r < 0)
                return r;
        if (position >= item->position) {
                ended->at++;
                return 0;
        }
        r = has_segments(directory_fd, item->id);
        if (r >= 0) /* it is noted again when it is shipped again */
                *item = ended->items[--ended->n];
        return r;
}

void ended_done(Ended *ended) {
        free(ended->items);
        *ended = (Ended){0};
}
