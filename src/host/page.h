/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The host page: one file in the runtime directory, mapped shared by all processes of this host
 * that use one store (design: coherence). It holds 65,536 generation counters, a global epoch, and
 * a slot per process. It is made once, repaired in place, never truncated or replaced while in use.
 * Layout 1 is frozen and grows only behind its end.
 *
 * Threads: marks, freshness, touching and waiting are atomics, any thread. Opening, claiming,
 * checking and sweeping belong to one thread at a time of the process (its loop or main).
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/slice.h"

#define HOST_COUNTERS       65536u
#define HOST_SLOTS          64u
#define HOST_WRITERS        64u  /* named writers per slot; a worker uses its index */
#define HOST_NAME_SIZE      32u  /* bytes of an instance's name with its NUL */
#define HOST_DIRECTORY_SIZE 256u /* bytes of a spool folder's path with its NUL */

typedef struct HostPage HostPage;
typedef struct HostSlot HostSlot; /* one process' place in the page */

/*
 * What a cache fill notes before it begins to read, and a hit compares. Of the generation, the
 * upper bits count links that were made: what is known of a link that is there is as true as
 * before.
 */
typedef struct HostMark {
        uint64_t generation; /* of the code's counter */
        uint64_t epoch;      /* of the page */
} HostMark;

/* directory: [Server] RuntimeDirectory=, must exist. Makes or maps directory/page. The error names
 * itself by errno; whoever cannot map it must exit 1 and name the path (host_page_path()). */
int host_page_open(const char *directory, HostPage **ret) _must_check_;
HostPage *host_page_free(HostPage *page);
DEFINE_CLEANUP(HostPage, host_page_free)
const char *host_page_path(const HostPage *page);

/* The counter of a code: the same in every process. */
uint32_t host_counter(Slice code) _pure_;

/* Starts to fetch the counter's cache line: for a hit, whose own lookup takes as long. */
void host_page_prefetch(const HostPage *page, uint32_t counter);

HostMark host_page_mark(const HostPage *page, uint32_t counter);
bool host_page_fresh(const HostPage *page, uint32_t counter, HostMark mark);
/* For an entry that holds a link: the same, but for links that were made meanwhile. */
bool host_page_unedited(const HostPage *page, uint32_t counter, HostMark mark);

/* All generations at once (HOST_COUNTERS of them); returns the epoch. For a fill of everything. */
uint64_t host_page_copy_marks(const HostPage *page, uint64_t *ret_generations);

/* Adds one to the counter and notes the time (CLOCK_BOOTTIME usec: nobody can set that clock). */
void host_page_touch(HostPage *page, uint32_t counter);
/* The same when a link was made, whose code the store has never had. */
void host_page_touch_made(HostPage *page, uint32_t counter);
/* When it last moved, or the epoch did, or the page was made: the latest of these. Load the mark
 * before asking. */
uint64_t host_page_touched_usec(const HostPage *page, uint32_t counter);
/* How long that is ago. */
uint64_t host_page_quiet_usec(const HostPage *page, uint32_t counter);
/* CLOCK_REALTIME; the page keeps how far it has been ahead of the clock that nobody can set. */
uint64_t host_page_realtime_usec(HostPage *page);
/* By how much it is behind that: with so much more quiet, what was read before the last move is as
 * old by CLOCK_REALTIME as if that had never been set back. */
uint64_t host_page_set_back_usec(HostPage *page);
/* Everything cached anywhere on the host is stale. */
void host_page_touch_all(HostPage *page);

/* Compares the file at the path with the mapping; true when another one was mapped since the last
 * call (the caller empties its cache; no mark of the old page is fresh in the new one; the slot was
 * claimed again there). Every 100 ms; host_writer_committing() and host_writer_committed() look as
 * well. Any thread. The old mapping stays until host_page_free(), for the other threads. */
bool host_page_check(HostPage *page);
/* 0, or the -errno for which the page at the path cannot be mapped, or the slot not be claimed in
 * it (then the next check tries again); for the journal. */
int host_page_state(const HostPage *page);

/* ---- slots ---- */

/* A snapshot for reading. */
typedef struct HostSlotInfo {
        bool used;  /* holds a name */
        bool alive; /* its lock is held */
        char name[HOST_NAME_SIZE];
        char directory[HOST_DIRECTORY_SIZE]; /* its spool folder */
        uint64_t appended; /* visits written to its spools, counted since the slot's name was first
                              claimed */
        uint64_t shipped;  /* of these, how many are in the store (or counted as shed, bad, damaged)
                            */
        uint64_t shed;
        uint64_t heartbeat_usec; /* CLOCK_MONOTONIC */
        uint64_t claim; /* which owner of the slot this is; for the host_neighbour_ functions */
} HostSlotInfo;

/* Takes the slot of this name (a dead process' with its numbers, after adding one to each counter
 * named there), or a free one. -EADDRINUSE: a live process (or this one) has the name. -ENOSPC:
 * none is free. -EINVAL: a name of 0 or over 31 bytes, a directory over 255 or not absolute.
 * directory: the spool folder, absolute, kept for neighbours; "" for none. */
int host_slot_claim(HostPage *page, const char *name, const char *directory,
                    HostSlot **ret) _must_check_;
/* A slot with unshipped visits stays used, for neighbours and for the next process of its name;
 * otherwise it is free. */
HostSlot *host_slot_release(HostSlot *slot);
DEFINE_CLEANUP(HostSlot, host_slot_release)

void host_slot_heartbeat(HostSlot *slot);
void host_slot_appended(HostSlot *slot, uint64_t n); /* adds; the loop, before the replies */
void host_slot_shipped(HostSlot *slot, uint64_t n);  /* adds; whoever ships its spools */
void host_slot_shed(HostSlot *slot, uint64_t n);
/* Backlog found at start: pending is set to n (appended moves to shipped + n, or shipped to
 * appended - n, whichever is forwards). Before the first append, or what was appended meanwhile is
 * part of n. */
void host_slot_set_pending(HostSlot *slot, uint64_t n);

/* Takes over what dead processes left: adds one to each counter that they named, takes their
 * waiting writers back, and frees their slots once all is shipped (until then a slot keeps its name
 * and directory). Once a second. Never waits for another process. */
void host_page_sweep(HostPage *page);

/* What a live process shipped from a dead neighbour's directory: n visits; or all there is, the
 * directory being empty. index: of host_page_slots(); claim: its info's. Does nothing when the slot
 * has a new owner, who counts what is left itself. Never waits for another process: false when one
 * changes the table of slots just now; nothing was done then. */
bool host_neighbour_shipped(HostPage *page, unsigned index, uint64_t claim, uint64_t n);
bool host_neighbour_drained(HostPage *page, unsigned index, uint64_t claim);

/* ret[HOST_SLOTS]. */
void host_page_slots(HostPage *page, HostSlotInfo *ret);

/* ---- a change's bracket (StoreHooks) ---- */

/* writer: 0 to HOST_WRITERS - 1, one per thread that writes. Names the codes' counters in the slot;
 * over 16 codes, or NULL, names "all" (then a crash makes everything stale, while committed() adds
 * one to just the counters of codes, if there were any). A second one before committed() makes it
 * "all". */
void host_writer_committing(HostSlot *slot, unsigned writer, const Slice *codes, size_t n);
/* The same for links that are made. (A crash counts as a change of all that were named.) */
void host_writer_making(HostSlot *slot, unsigned writer, const Slice *codes, size_t n);
/* Adds one to each named counter and clears the names. */
void host_writer_committed(HostSlot *slot, unsigned writer);

/* Writers that clients wait for (SQLite's gate); a dead process' count is taken back by the sweep.
 */
void host_slot_waiting(HostSlot *slot, int delta);
unsigned host_page_n_waiting(const HostPage *page);

/* ---- changes of other hosts ---- */

/* All that was committed before usec (CLOCK_BOOTTIME) is in the counters, as this process' watcher
 * knows; 0: it knows nothing any more. */
void host_slot_watched(HostSlot *slot, uint64_t usec);
/* The latest that another process has said so; 0: none does. */
uint64_t host_slot_others_watched(const HostSlot *slot);

/* ---- read after visit ---- */

typedef struct HostVisits {
        uint64_t page; /* which page was read */
        uint64_t appended[HOST_SLOTS];
} HostVisits;

/* Notes every slot's appended and wakes the shippers. */
void host_page_note_visits(HostPage *page, HostVisits *ret);
/* How many of the noted visits are not shipped yet; 0: all are. */
uint64_t host_page_visits_pending(const HostPage *page, const HostVisits *noted);

/* ---- the shipper's sleep ---- */

/* Sleeps until somebody wakes this slot or usec passed; returns at once if it was woken since the
 * last return, so that no wake is lost between a look at the work and the sleep. One thread. */
void host_slot_wait(HostSlot *slot, uint64_t usec);
void host_slot_wake(HostSlot *slot);
