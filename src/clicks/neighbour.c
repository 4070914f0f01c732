/* SPDX-License-Identifier: MIT */
/*
 * A neighbour that comes back must not wait: it claims its slot first, which is looked at before
 * each transaction here, and then needs the shipper's lock of its folder only to ship. The spools
 * that are shipped were listed while the slot was dead, so the new spool of the neighbour, which
 * somebody writes, is never among them.
 */

#include <unistd.h>

#include "clicks/neighbour.h"

static bool still_dead(const HostSlotInfo *slots, const Neighbour *neighbour) {
        const HostSlotInfo *slot = &slots[neighbour->index];

        return slot->used && !slot->alive && slot->claim == neighbour->claim;
}

static bool begin(Neighbour *neighbour, HostPage *page, const HostSlotInfo *slot) {
        HostSlotInfo now[HOST_SLOTS];
        int r;

        neighbour->claim = slot->claim;
        r = segment_folder_open(slot->directory, false);
        if (r < 0)
                return false;
        neighbour->directory_fd = r;
        r = segment_folder_lock(neighbour->directory_fd, SEGMENT_LOCK_SHIPPER);
        if (r < 0)
                return false;
        neighbour->lock_fd = r;
        r = backlog_list(&neighbour->backlog, neighbour->directory_fd, NULL, false);
        if (r < 0)
                return false;
        host_page_slots(page, now);
        if (!still_dead(now, neighbour))
                return false;
        if (neighbour->backlog.n_wanted > 0)
                return true;
        (void)host_neighbour_drained(page, neighbour->index, neighbour->claim);
        return false;
}

bool neighbour_find(Neighbour *neighbour, HostPage *page, const char *own) {
        HostSlotInfo slots[HOST_SLOTS];

        host_page_slots(page, slots);
        for (unsigned i = 0; i < HOST_SLOTS; i++) {
                const HostSlotInfo *slot = &slots[i];

                if (!slot->used || slot->alive || slot->directory[0] == '\0' ||
                    strcmp(slot->directory, own) == 0)
                        continue;
                neighbour->index = i;
                if (begin(neighbour, page, slot))
                        return true;
                neighbour_leave(neighbour);
        }
        return false;
}

void neighbour_look(Neighbour *neighbour, HostPage *page) {
        HostSlotInfo slots[HOST_SLOTS];

        if (neighbour->lock_fd < 0)
                return;
        host_page_slots(page, slots);
        if (!still_dead(slots, neighbour))
                neighbour_leave(neighbour);
}

int neighbour_step(Neighbour *neighbour, StreamShared *shared, StreamMove *ret) {
        int r;

        *ret = (StreamMove){0};
        neighbour_look(neighbour, shared->page);
        if (neighbour->lock_fd < 0)
                return STREAM_END;
        r = backlog_step(&neighbour->backlog, shared, ret);
        neighbour->n_shipped += ret->n;
        if (neighbour->n_shipped > 0 &&
            host_neighbour_shipped(shared->page, neighbour->index, neighbour->claim,
                                   neighbour->n_shipped))
                neighbour->n_shipped = 0;
        /* When the table of slots is being changed, the next neighbour_find() sees to it. */
        if (r == STREAM_END)
                (void)host_neighbour_drained(shared->page, neighbour->index, neighbour->claim);
        if (r == STREAM_END || r < 0)
                neighbour_leave(neighbour);
        return r;
}

void neighbour_leave(Neighbour *neighbour) {
        backlog_done(&neighbour->backlog);
        if (neighbour->lock_fd >= 0)
                (void)close(neighbour->lock_fd);
        if (neighbour->directory_fd >= 0)
                (void)close(neighbour->directory_fd);
        *neighbour = NEIGHBOUR_NONE;
}
