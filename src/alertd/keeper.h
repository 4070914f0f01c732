/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The thread that writes: alerts log, evidence, journal, the targets' progress. The loop hands it
 * jobs and gets them back when they are on the disk, or failed; the disk may take its time. All
 * jobs that wait are one group with one sync, so that many small POSTs cost as much as one.
 */

#include <stdatomic.h>

#include "alertd/alert-log.h"
#include "alertd/evidence.h"
#include "alertd/journal.h"
#include "alertd/position.h"
#include "work/inbox.h"

typedef enum KeepKind {
        KEEP_BATCH,    /* body: on the disk, wholly or not at all */
        KEEP_POSITION, /* position_sync() */
        KEEP_REOPEN,   /* the alerts log */
} KeepKind;

/* Moves to the keeper and back; only the side that has it touches it. */
typedef struct KeepJob {
        ListNode node;
        KeepKind kind;
        void *owner; /* the loop's */

        Slice body; /* KEEP_BATCH: borrowed until it is back */
        uint64_t received_usec, body_hash;
        bool repetition; /* its alerts are in the journal already */

        const Position *position; /* KEEP_POSITION */

        int result;       /* 0 or -errno; -E2BIG: too many alerts, which nobody should send again */
        const char *what; /* that failed: static */
        bool raw;         /* the body was not JSON */
        AlertBatch *batch; /* KEEP_BATCH done: NULL when it has no alerts; the loop takes it */

        Buffer names; /* the keeper's */
} KeepJob;

typedef struct Keeper Keeper;

typedef struct KeeperParts {
        AlertLog *log;
        Evidence *evidence;
        Journal *journal;
} KeeperParts;

/* The parts become the keeper's, also on failure. */
int keeper_new(const KeeperParts *parts, Outbox *done, Keeper **ret) _must_check_;
/* After keeper_stop() and the end of its thread. */
Keeper *keeper_free(Keeper *keeper);
DEFINE_CLEANUP(Keeper, keeper_free)

void keeper_run(void *keeper); /* the thread's body */
void keeper_stop(Keeper *keeper);

/* -ENOBUFS: too many wait; the job stays the caller's. */
int keeper_push(Keeper *keeper, KeepJob *job) _must_check_;
/* Alerts up to this one are done with at all targets: their segments may go. */
void keeper_passed(Keeper *keeper, uint64_t seq);
