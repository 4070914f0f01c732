/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The spool: where a visit is before its 302 leaves (design: clicks). One process writes one new
 * spool (uuid) per start into its locked folder, in segments <uuid>.<first-seq>.seg; one pwrite per
 * loop batch. Older spools in the folder are only read, shipped and removed.
 *
 * Threads: add, flush and durable belong to the loop; spool_helper() runs on a thread of its own
 * ("spool") and makes segments ahead and syncs; the shipper reads the files through
 * clicks/reader.h.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/slice.h"
#include "host/page.h"

typedef enum SpoolSync {
        SPOOL_SYNC_INTERVAL,
        SPOOL_SYNC_ALWAYS,
        SPOOL_SYNC_OFF,
} SpoolSync;

typedef enum SpoolOnFull {
        SPOOL_SHED, /* answer and count */
        SPOOL_FAIL, /* 503 */
} SpoolOnFull;

typedef struct SpoolOptions {
        const char *directory; /* exists or is made (0700) */
        SpoolSync sync;
        uint64_t sync_interval_usec;
        SpoolOnFull on_full;
        uint64_t segment_size; /* bytes, 1 MiB to 1 GiB */
        uint64_t max_size;     /* bytes of unshipped segments; at least two segments */
        uint64_t retry_usec;   /* from a failure to find room to the next try; 0: 100 ms */
} SpoolOptions;

/* One visit. Texts are cut and cleaned here. */
typedef struct Click {
        int64_t link_id;
        uint64_t time_usec; /* CLOCK_REALTIME */
        Slice remote;
        Slice referrer; /* data == NULL: not sent */
        Slice user_agent;
        Slice request_id;
} Click;

typedef struct Spool Spool;

/* Locks the folder (-EADDRINUSE: another process has it), begins a new spool. Does not scan old
 * ones. slot may be NULL (tests). */
int spool_open(const SpoolOptions *options, HostSlot *slot, Spool **ret) _must_check_;
/* Stops the helper (which must have returned), syncs, closes. */
Spool *spool_free(Spool *spool);
DEFINE_CLEANUP(Spool, spool_free)

/* Adds a visit to the batch. 0; -ENOSPC: full and OnFull=fail: answer 503. No malloc, no syscall.
 * The batch has room for 1,024 of the longest visits (less if SegmentSize is below 2.5M); one more
 * flushes by itself, and if that fails the next spool_flush() says so. */
int spool_add(Spool *spool, const Click *click) _must_check_;

/* Writes the batch with one pwrite and moves the slot's appended. Failures of the disk are handled
 * here (new segment, shed); with OnFull=fail -ENOSPC: every visit of the batch is to be answered
 * 503, and with Sync=always also those that still wait for spool_durable(). *ret_seq: the visits
 * below it are in the file; with Sync=always replies wait until spool_durable() is at or above it.
 * An empty batch is no mistake: it repairs what the helper has found broken. */
int spool_flush(Spool *spool, uint64_t *ret_seq) _must_check_;
bool spool_batch_empty(const Spool *spool);

/* Sync=always: seq below which all is on disk, or was given up with OnFull=shed (ask after each
 * flush too). The descriptor (eventfd, read it empty) is readable when it moved or when a sync
 * failed, the latter in every mode: then spool_flush(), then ask. */
uint64_t spool_durable(const Spool *spool);
int spool_durable_fd(const Spool *spool);

/* The helper's body: returns after spool_helper_stop(). Without it segments are made by the loop
 * and nothing is synced (tests). */
void spool_helper(Spool *spool);
void spool_helper_stop(Spool *spool);

typedef struct SpoolStats {
        uint64_t appended, shed, bytes, syncs, errors, segments;
} SpoolStats;
void spool_stats(const Spool *spool, SpoolStats *ret); /* any thread */

/* The writer's own spool id and how far it is written (the reader ends there); any thread. */
const uint8_t *spool_id(const Spool *spool);
uint64_t spool_written_seq(const Spool *spool);
/* Moves when another segment is current: who lists the folder lists it again. After
 * spool_written_seq(), before reading on. */
uint64_t spool_switches(const Spool *spool);
int spool_directory_fd(const Spool *spool); /* borrowed */

/* The shipper goes to sleep on the slot: the next flush wakes it, later ones do not (no system call
 * per batch). False: more than seen_seq is written already, it must not sleep. */
bool spool_shipper_sleeps(Spool *spool, uint64_t seen_seq) _must_check_;
void spool_shipper_wakes(Spool *spool);
