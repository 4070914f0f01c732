/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a dead neighbour left in its folder, shipped by a live instance of the host until the
 * neighbour is back. One thread. Private to clicks/.
 */

#include "clicks/backlog.h"

typedef struct Neighbour {
        unsigned index; /* of its slot */
        uint64_t claim; /* of its slot: who the dead owner is */
        int directory_fd;
        int lock_fd; /* the shipper's lock of its folder; -1: there is none under way */
        Backlog backlog;
        uint64_t n_shipped; /* that its slot was not told of yet */
} Neighbour;

#define NEIGHBOUR_NONE ((Neighbour){.directory_fd = -1, .lock_fd = -1})

/* Looks for one; true: it has something to ship. own: the own spool folder. */
bool neighbour_find(Neighbour *neighbour, HostPage *page, const char *own);
/* STREAM_...; after STREAM_END (it has nothing left, or is back) and after an error there is none
 * under way. */
int neighbour_step(Neighbour *neighbour, StreamShared *shared, StreamMove *ret) _must_check_;
/* Leaves one that is back: before anything that may take long. */
void neighbour_look(Neighbour *neighbour, HostPage *page);
void neighbour_leave(Neighbour *neighbour);
