/* SPDX-License-Identifier: MIT */
#pragma once

/* A folder, a page, a slot and a store for the tests that ship; each runs over the store in memory
 * and over SQLite. */

#include "clicks/shipper.h"
#include "fixture.h"

#define FOREVER UINT64_MAX

typedef struct World {
        Folder folder;   /* of the first instance */
        char state[64];  /* a folder with the page and the database */
        char second[80]; /* the spool folder of another instance */
        Store *store;
        StoreSession *session;
        HostPage *page;
        HostSlot *slot;
} World;

extern bool use_sqlite;

/* CMocka's setup and teardown: *state is a World, with the links 1 and 2. */
int world_setup(void **state);
int world_teardown(void **state);

/* Another store, in the state folder. */
Store *open_store(const World *world, const char *name);
/* Straight into the database. */
void execute(const World *world, const char *sql);

ShipperOptions ship_options(const World *world);
Shipper *shipper_start(const World *world, const ShipperOptions *options, Spool *spool);
void drain(const World *world, const ShipperOptions *options, Spool *spool);
/* The equation of every spool, no duplicates, no drift; and so many of each in all. */
void check(StoreSession *session, uint64_t rows, uint64_t shed, uint64_t bad, uint64_t damaged);

/* In the world's slot and folder. */
Spool *spool_begin(const World *world);
/* Visits of the links that exist. */
void visits(Spool *spool, unsigned n);
uint64_t slot_pending(const World *world);
/* Events that came from spools. */
int64_t count_rows(const World *world);
