/* SPDX-License-Identifier: MIT */
#pragma once

/* The shipper between its files. Private to clicks/. */

#include "clicks/ended.h"
#include "clicks/neighbour.h"
#include "clicks/shipper.h"
#include "clicks/tidy.h"
#include "clicks/trouble.h"

#define SHIPPER_CHORES_USEC USEC_PER_SEC

struct Shipper {
        /* Constant. */
        char *directory;
        BacklogKeep keep;
        HostPage *page; /* or NULL */
        HostSlot *slot; /* or NULL */
        Spool *spool;   /* or NULL */
        bool adopt_neighbours;
        Tidy tidy; /* the thread's */
        uint64_t chores_every_usec;
        int directory_fd;
        int owner_fd; /* the owner's lock; -1: the spool has it */

        /* The thread's. */
        StreamShared shared;
        int lock_fd; /* the shipper's lock; -1: not had yet */
        Backlog backlog;
        Ended ended;
        bool listed;
        uint64_t owed; /* of the backlog, counted as appended in the slot and not as shipped */
        uint64_t backlog_usec; /* CLOCK_REALTIME of its oldest segment's last write */
        Stream live;
        uint64_t live_counted; /* numbers of the own spool below it are counted as shipped */
        Neighbour neighbour;
        uint64_t chores_usec; /* when they are due, CLOCK_MONOTONIC */
        uint64_t n_chores;
        uint64_t retry_usec;
        bool moved; /* something was shipped since the segments were marked */

        uint32_t wake; /* futex word without a slot: 1 when it is to stop */
        Trouble trouble;
        atomic_bool stop;
        atomic_bool stopped;
        _Atomic uint64_t alive_usec;
        _Atomic uint64_t n_shipped, n_bad, n_damaged, n_owed, position, oldest_usec;
};

/* Counts what a step did, and acts when the store went backwards. */
void shipper_count_move(Shipper *shipper, const StreamMove *move);
/* all: whatever the segments' marks say. */
int shipper_list_backlog(Shipper *shipper, bool all) _must_check_;
/* Marks what is shipped of the own spool; removes what need not be kept. */
int shipper_mark_live(Shipper *shipper);
int shipper_sweep(Shipper *shipper);
/* Once a second; what fails is done the next time. */
void shipper_chores(Shipper *shipper);
