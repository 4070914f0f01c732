/* SPDX-License-Identifier: MIT */
/* See world.h. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "basic/clock.h"
#include "clicks/verify.h"
#include "world.h"

bool use_sqlite;

Store *open_store(const World *world, const char *name) {
        const StoreOptions options = {.connect_usec = USEC_PER_SEC, .create = true};
        Store *store = NULL;
        char url[300];

        (void)snprintf(url, sizeof(url), "sqlite:%s/%s", world->state, name);
        assert_int_equal(store_new(use_sqlite ? url : "fake:", &options, &store), 0);
        return store;
}

void execute(const World *world, const char *sql) {
        sqlite3 *db = NULL;
        char path[100];

        (void)snprintf(path, sizeof(path), "%s/store.db", world->state);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        (void)sqlite3_busy_timeout(db, 5000); /* a shipper may be tidying */
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        (void)sqlite3_close(db);
}

static void add_link(StoreSession *session, const char *code) {
        const Url url = {
                        .code = slice_from_string(code),
                        .target = SLICE("https://example.org/"),
                        .location = SLICE("https://example.org/"),
                        .is_active = true,
        };
        Url added;

        assert_int_equal(store_url_create(session, &url, SLICE("{}"), &added), 0);
}

int world_setup(void **state) {
        World *world = calloc(1, sizeof(*world));
        Folder *folder;
        void *made;

        assert_non_null(world);
        assert_int_equal(folder_setup(&made), 0);
        folder = made;
        world->folder = *folder;
        free(folder);
        (void)snprintf(world->state, sizeof(world->state), "%s/state-XXXXXX", folder_base());
        assert_non_null(mkdtemp(world->state));
        (void)snprintf(world->second, sizeof(world->second), "%s/second", world->state);
        world->store = open_store(world, "store.db");
        assert_int_equal(store_session_new(world->store, NULL, &world->session), 0);
        add_link(world->session, "one");
        add_link(world->session, "two");
        assert_int_equal(host_page_open(world->state, &world->page), 0);
        assert_int_equal(host_slot_claim(world->page, "1", world->folder.path, &world->slot), 0);
        *state = world;
        return 0;
}

int world_teardown(void **state) {
        World *world = *state;
        Folder *folder = malloc(sizeof(*folder));
        char command[256];

        (void)store_session_free(world->session);
        (void)store_free(world->store);
        (void)host_slot_release(world->slot);
        (void)host_page_free(world->page);
        (void)snprintf(command, sizeof(command), "rm -r '%s'", world->state);
        assert_int_equal(system(command), 0);
        assert_non_null(folder);
        *folder = world->folder;
        free(world);
        *state = folder;
        return folder_teardown(state);
}

ShipperOptions ship_options(const World *world) {
        return (ShipperOptions){
                        .directory = world->folder.path,
                        .keep_usec = FOREVER,
                        .keep_size = FOREVER,
                        .adopt_neighbours = true,
        };
}

Shipper *shipper_start(const World *world, const ShipperOptions *options, Spool *spool) {
        Shipper *shipper = NULL;

        assert_int_equal(shipper_new(options, world->store, NULL, world->page, world->slot, spool,
                                     &shipper),
                         0);
        return shipper;
}

void drain(const World *world, const ShipperOptions *options, Spool *spool) {
        Shipper *shipper = shipper_start(world, options, spool);

        assert_int_equal(shipper_drain(shipper), 0);
        (void)shipper_free(shipper);
}

void check(StoreSession *session, uint64_t rows, uint64_t shed, uint64_t bad, uint64_t damaged) {
        StoreOffset sum = {.rows = 0};
        Verify verify;
        Arena arena;

        arena_init(&arena, 0);
        assert_int_equal(clicks_verify(session, &arena, &verify), 0);
        assert_int_equal(verify.audit.duplicates, 0);
        assert_int_equal(verify.audit.rows_per_spools, rows);
        assert_true(verify.sound);
        for (size_t i = 0; i < verify.n_spools; i++) {
                const StoreOffset *offset = &verify.spools[i].offset;

                assert_true(verify.spools[i].sound);
                assert_int_equal(offset->first_seq, 1);
                sum.rows += offset->rows;
                sum.shed += offset->shed;
                sum.bad += offset->bad;
                sum.damaged += offset->damaged;
        }
        assert_int_equal(sum.rows, rows);
        assert_int_equal(sum.shed, shed);
        assert_int_equal(sum.bad, bad);
        assert_int_equal(sum.damaged, damaged);
        arena_done(&arena);
}

Spool *spool_begin(const World *world) {
        const SpoolOptions options = spool_options(&world->folder);
        Spool *spool = NULL;

        assert_int_equal(spool_open(&options, world->slot, &spool), 0);
        return spool;
}

void visits(Spool *spool, unsigned n) {
        uint64_t seq;

        for (unsigned i = 0; i < n; i++) {
                Click click = click_of(1 + i % 2);

                assert_int_equal(spool_add(spool, &click), 0);
                if (i % 64 == 63 || i + 1 == n)
                        assert_int_equal(spool_flush(spool, &seq), 0);
        }
}

uint64_t slot_pending(const World *world) {
        HostVisits noted;

        host_page_note_visits(world->page, &noted);
        return host_page_visits_pending(world->page, &noted);
}

int64_t count_rows(const World *world) {
        StoreTotals totals = {0};

        assert_int_equal(store_totals(world->session, &totals), 0);
        return totals.redirects;
}
