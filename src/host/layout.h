/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Layout 1 of the host page, as it lies in the file. Frozen: processes of different versions map
 * the same file at the same time. A later version may give reserved bytes a meaning for which zero
 * is "none", and may grow the file behind its end; it changes nothing else, and `size` tells how
 * far the maker's layout reached. Numbers are in the host's byte order: the file never leaves it.
 *
 * Every number that more than one thread or process uses is read and written with __atomic
 * builtins. What different processes write often is 128 bytes apart (two lines: CPUs fetch pairs).
 *
 * lock bytes are never read or written: they are the places of byte-range locks
 * (F_OFD_SETLK), which die with the process that holds them.
 */

#include <pthread.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "host/page.h"

#define PAGE_MAGIC     0x31454741504f4853ULL /* "SHOPAGE1" */
#define PAGE_LAYOUT    1u
#define PAGE_NAMES_MAX 16u        /* counters that a writer can name */
#define PAGE_NAMES_ALL UINT32_MAX /* PageNames.n: any link may change */
#define PAGE_DIRECTORY HOST_DIRECTORY_SIZE
#define PAGE_GATE_KIND \
 (1u << 16 | (uint32_t)sizeof(pthread_mutex_t)) /* a robust mutex that inherits */
/* A counter moves by these. What was made counts in the upper bits, so that a process of a version
 * that adds one for everything is understood, and understands. */
#define PAGE_CHANGED    UINT64_C(1)
#define PAGE_MADE       (UINT64_C(1) << 32)
#define PAGE_NAME_WORDS (HOST_NAME_SIZE / 8u)
#define PAGE_DIR_WORDS  (PAGE_DIRECTORY / 8u)

typedef struct PageCounter {
        uint64_t value;
        uint64_t moved_usec; /* CLOCK_BOOTTIME of the last move; written before value */
} PageCounter;

/* What one writer is about to commit: a line of its own. */
typedef struct PageNames {
        uint32_t n; /* 0: nothing; written last, cleared first to be forgotten */
        uint16_t counters[PAGE_NAMES_MAX];
        uint8_t reserved[28];
} PageNames;

typedef struct PageSlot {
        /* Identity: written under the table lock by who holds the slot's lock. */
        uint8_t lock; /* held as long as the process that has the slot lives */
        uint8_t reserved_0[7];
        uint64_t claim;     /* odd while the identity changes; moves by 2 with each owner */
        uint64_t base;      /* appended and shipped when the name came here */
        uint64_t shed_base; /* shed at that time */
        uint64_t name[PAGE_NAME_WORDS];
        uint64_t directory[PAGE_DIR_WORDS];
        uint8_t reserved_1[64];

        /* Written by the process' loop. appended, shipped and shed never go back, whoever has the
         * slot, so that a number noted by a reader keeps its meaning. */
        alignas(128) uint64_t appended;
        uint64_t shed;
        uint64_t heartbeat_usec; /* CLOCK_MONOTONIC */

        /* Written by who ships its spools. */
        alignas(128) uint64_t shipped;

        /* Written by who wakes its shipper. */
        alignas(128) uint32_t wake; /* futex word: moves with each wake */
        uint32_t sleeping;          /* 1: somebody sleeps on it */

        /* Written by its API workers. */
        alignas(128) uint32_t waiting; /* writers that clients wait for */
        uint8_t reserved_2[124];

        /* Written by its watcher. CLOCK_BOOTTIME: all that other hosts committed before it is in
         * the counters; 0: that is not known. */
        alignas(128) uint64_t watched_usec;
        uint8_t reserved_3[120];

        PageNames names[HOST_WRITERS];
} PageSlot;

/* Where the writers of a store with one write lock (SQLite) queue. */
typedef struct PageGate {
        uint32_t kind; /* PAGE_GATE_KIND; else: there is none that this process knows */
        uint32_t reserved;
        alignas(8) uint8_t mutex[120]; /* pthread_mutex_t; see gate.c */
} PageGate;

typedef struct PageHeader {
        uint64_t magic; /* written last when the page is made */
        uint32_t layout;
        uint32_t reserved_0;
        uint64_t size;       /* bytes of the maker's layout */
        uint64_t id;         /* random: which page this is */
        uint8_t boot_id[16]; /* of the kernel; a page of another boot is made anew. 0: unknown */
        uint64_t made_usec;  /* CLOCK_REALTIME, for people */

        /* Read by every hit, written hardly ever. Begins at a random number, so that what was
         * noted in one page is not fresh in another one. */
        alignas(128) uint64_t epoch;
        uint64_t epoch_moved_usec; /* CLOCK_BOOTTIME of its last move or of the making */

        alignas(128) uint64_t used; /* a bit per slot that has a name; under the table lock */

        alignas(128) uint8_t table_lock; /* claiming, taking over and freeing slots */
        uint8_t reserved_1[127];

        alignas(128) PageGate gate;

        /* Microseconds that CLOCK_REALTIME has been ahead of CLOCK_BOOTTIME at most. */
        alignas(128) int64_t ahead_usec;
        uint8_t reserved_2[3448];
} PageHeader;

typedef struct PageLayout {
        PageHeader header;
        PageCounter counters[HOST_COUNTERS];
        PageSlot slots[HOST_SLOTS];
} PageLayout;

#define PAGE_ASSERT(T, member, at) \
 _Static_assert(offsetof(T, member) == (at), "layout 1 is frozen: " #T "." #member)

PAGE_ASSERT(PageCounter, value, 0);
PAGE_ASSERT(PageCounter, moved_usec, 8);
_Static_assert(sizeof(PageCounter) == 16, "layout 1 is frozen");

PAGE_ASSERT(PageNames, n, 0);
PAGE_ASSERT(PageNames, counters, 4);
_Static_assert(sizeof(PageNames) == 64, "layout 1 is frozen");

PAGE_ASSERT(PageSlot, lock, 0);
PAGE_ASSERT(PageSlot, claim, 8);
PAGE_ASSERT(PageSlot, base, 16);
PAGE_ASSERT(PageSlot, shed_base, 24);
PAGE_ASSERT(PageSlot, name, 32);
PAGE_ASSERT(PageSlot, directory, 64);
PAGE_ASSERT(PageSlot, appended, 384);
PAGE_ASSERT(PageSlot, shed, 392);
PAGE_ASSERT(PageSlot, heartbeat_usec, 400);
PAGE_ASSERT(PageSlot, shipped, 512);
PAGE_ASSERT(PageSlot, wake, 640);
PAGE_ASSERT(PageSlot, sleeping, 644);
PAGE_ASSERT(PageSlot, waiting, 768);
PAGE_ASSERT(PageSlot, watched_usec, 896);
PAGE_ASSERT(PageSlot, names, 1024);
_Static_assert(sizeof(PageSlot) == 5120, "layout 1 is frozen");

PAGE_ASSERT(PageHeader, magic, 0);
PAGE_ASSERT(PageHeader, layout, 8);
PAGE_ASSERT(PageHeader, size, 16);
PAGE_ASSERT(PageHeader, id, 24);
PAGE_ASSERT(PageHeader, boot_id, 32);
PAGE_ASSERT(PageHeader, made_usec, 48);
PAGE_ASSERT(PageHeader, epoch, 128);
PAGE_ASSERT(PageHeader, epoch_moved_usec, 136);
PAGE_ASSERT(PageHeader, used, 256);
PAGE_ASSERT(PageHeader, table_lock, 384);
PAGE_ASSERT(PageHeader, gate, 512);
PAGE_ASSERT(PageHeader, ahead_usec, 640);
_Static_assert(sizeof(PageHeader) == 4096, "layout 1 is frozen");

PAGE_ASSERT(PageLayout, header, 0);
PAGE_ASSERT(PageLayout, counters, 4096);
PAGE_ASSERT(PageLayout, slots, 4096 + 1048576);
_Static_assert(sizeof(PageLayout) == 1380352, "layout 1 is frozen");
_Static_assert(HOST_SLOTS == 64 && HOST_WRITERS == 64, "layout 1 is frozen");
