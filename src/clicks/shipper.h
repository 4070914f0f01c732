/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The shipper moves visits from spools into the store, position and rows in one transaction
 * (design: clicks). It ships its own folder's spools, old ones first, and those of dead
 * neighbours. Runs on a thread of its own with a store session of its own.
 */

#include "clicks/spool.h"
#include "store/store.h"

typedef struct ShipperOptions {
        const char *directory;     /* the process' own spool folder */
        uint64_t keep_usec;        /* shipped segments are kept so long ... */
        uint64_t keep_size;        /* ... within so many bytes */
        bool adopt_neighbours;     /* ship dead slots' folders too */
        bool tidy_events;          /* keep the store's partitions of visits in order */
        uint64_t keep_events_usec; /* visits older than that are dropped there; 0: never */
        uint64_t keep_audit_usec;  /* rows of the audit older than that are dropped; 0: never */
        uint64_t chores_usec;      /* between looks at marks and neighbours; 0: a second */
} ShipperOptions;

typedef struct ShipperStats {
        uint64_t shipped, bad, damaged;
        uint64_t pending;             /* appended - shipped of the own slot */
        uint64_t oldest_pending_usec; /* CLOCK_REALTIME of the oldest one; 0: none */
        bool stopped;                 /* 100 refusals in a row: needs a person */
} ShipperStats;

/* What keeps visits from being shipped, of a few tries in a row at least; "" while nothing does. */
#define SHIPPER_TROUBLE_SIZE 320u

typedef struct Shipper Shipper;

/* spool may be NULL (shortenerctl: ship what lies in the folder). store: sessions are opened by the
 * thread. */
int shipper_new(const ShipperOptions *options, Store *store, const StoreHooks *hooks,
                HostPage *page, HostSlot *slot, Spool *spool, Shipper **ret) _must_check_;
Shipper *shipper_free(Shipper *shipper);
DEFINE_CLEANUP(Shipper, shipper_free)

/* The thread's body: ships until shipper_stop(), then once more what is left (1 s at most). */
void shipper_run(Shipper *shipper);
void shipper_stop(Shipper *shipper);
/* Ships until nothing is left or an error; for shortenerctl and tests. 0, the store's error, or
 * -ENOTRECOVERABLE: stopped. */
int shipper_drain(Shipper *shipper) _must_check_;
void shipper_stats(const Shipper *shipper, ShipperStats *ret);          /* any thread */
void shipper_trouble(Shipper *shipper, char ret[SHIPPER_TROUBLE_SIZE]); /* any thread */
/* CLOCK_MONOTONIC usec of the last turn of its loop outside a store verb, for the watchdog; any
 * thread. */
uint64_t shipper_alive_usec(const Shipper *shipper);
bool shipper_in_store(const Shipper *shipper);
