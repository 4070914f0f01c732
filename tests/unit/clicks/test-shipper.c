/* SPDX-License-Identifier: MIT */
/* From the spool into the store: batches, positions, refusals, retention. Every test runs over the
 * store in memory and over SQLite, and ends with the proof of `clicks verify`. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "basic/clock.h"
#include "clicks/adopt.h"
#include "clicks/segment.h"
#include "clicks/verify.h"
#include "world.h"

static void test_what_is_stored(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        const StoreQuery query = {.limit = 10, .type = SLICE("redirect")};
        uint64_t seq, now = clock_realtime_usec();
        Spool *spool = spool_begin(world);
        Click click = click_of(2);
        Event *events;
        Arena arena;
        size_t n;

        click.user_agent = SLICE("curl \"\xC3\xA9\"");
        click.referrer = SLICE("https://example.org/a");
        click.time_usec = 1700000000 * USEC_PER_SEC + 999999;
        assert_int_equal(spool_add(spool, &click), 0);
        click.user_agent = click.referrer = click.request_id = SLICE_NONE;
        click.time_usec = 5; /* 1970 */
        assert_int_equal(spool_add(spool, &click), 0);
        click.time_usec = now + 100 * 86400 * USEC_PER_SEC;
        assert_int_equal(spool_add(spool, &click), 0);
        assert_int_equal(spool_flush(spool, &seq), 0);
        drain(world, &options, spool);

        arena_init(&arena, 0);
        assert_int_equal(store_event_list(world->session, &arena, &query, &events, &n, NULL), 0);
        assert_int_equal(n, 3);
        /* Newest id first. */
        assert_int_equal(events[2].url_id, 2);
        assert_int_equal(events[2].timestamp_sec, 1700000000);
        assert_true(slice_equal(
                        events[2].details,
                        SLICE("{\"ip\":\"203.0.113.7\",\"referrer\":\"https://example.org/a\","
                              "\"user_agent\":\"curl \\\"\\u00E9\\\"\"}")));
        assert_true(slice_equal(events[2].request_id, SLICE("01J0Q6Z8ABCDEF")));
        assert_int_equal(events[1].timestamp_sec, 946684800);
        assert_true(slice_equal(events[1].details,
                                SLICE("{\"ip\":\"203.0.113.7\",\"user_agent\":\"\"}")));
        assert_int_equal(events[1].request_id.len, 0);
        assert_in_range(events[0].timestamp_sec, now / USEC_PER_SEC + 86400,
                        now / USEC_PER_SEC + 86500);
        arena_done(&arena);
        check(world->session, 3, 0, 0, 0);
        (void)spool_free(spool);
}

static void test_many_batches_and_segments(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);

        visits(spool, 25000);
        assert_int_equal(slot_pending(world), 25000);
        drain(world, &options, spool);
        assert_int_equal(slot_pending(world), 0);
        visits(spool, 1000);
        drain(world, &options, spool);
        check(world->session, 26000, 0, 0, 0);
        (void)spool_free(spool);
}

static void test_backlog_of_three_spools(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Shipper *shipper;
        ShipperStats stats;
        Spool *spool;

        for (unsigned i = 0; i < 3; i++) {
                spool = spool_begin(world);
                visits(spool, 1500);
                (void)spool_free(spool);
        }
        spool = spool_begin(world);
        shipper = shipper_start(world, &options, spool);
        /* How many is not known, that there are some is. */
        assert_in_range(slot_pending(world), 1000, 10000);
        shipper_stats(shipper, &stats);
        assert_int_equal(stats.pending, slot_pending(world));
        assert_in_range(stats.oldest_pending_usec, clock_realtime_usec() - 60 * USEC_PER_SEC,
                        clock_realtime_usec());
        visits(spool, 10);
        assert_int_equal(shipper_drain(shipper), 0);
        assert_int_equal(slot_pending(world), 0);
        visits(spool, 7);
        assert_int_equal(slot_pending(world), 7);
        shipper_stats(shipper, &stats);
        assert_int_equal(stats.pending, 7); /* though the shipper has not looked yet */
        assert_int_equal(shipper_drain(shipper), 0);
        assert_int_equal(slot_pending(world), 0);
        shipper_stats(shipper, &stats);
        assert_int_equal(stats.shipped, 4517);
        assert_int_equal(stats.pending, 0);
        assert_int_equal(stats.oldest_pending_usec, 0);
        (void)shipper_free(shipper);
        check(world->session, 4517, 0, 0, 0);
        (void)spool_free(spool);
        /* Marked as shipped, all but the one that was being written. */
        spool = spool_begin(world);
        shipper = shipper_start(world, &options, spool);
        assert_int_equal(slot_pending(world) > 0, true);
        assert_int_equal(shipper_drain(shipper), 0);
        (void)shipper_free(shipper);
        shipper = shipper_start(world, &options, spool);
        assert_int_equal(slot_pending(world), 0);
        (void)shipper_free(shipper);
        check(world->session, 4517, 0, 0, 0);
        (void)spool_free(spool);
}

/* COMMIT went through although its answer was lost: the position says so. */
static void test_position_moved_meanwhile(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        Shipper *shipper = shipper_start(world, &options, spool);
        StoreClick clicks[30];
        StoreBatch batch = {
                        .first_seq = 1,
                        .from_seq = 101,
                        .upto_seq = 131,
                        .clicks = clicks,
                        .n_clicks = ELEMENTSOF(clicks),
        };
        uint64_t next = 0;

        memcpy(batch.spool, spool_id(spool), SPOOL_ID_SIZE);
        visits(spool, 100);
        assert_int_equal(shipper_drain(shipper), 0);
        visits(spool, 100);
        for (size_t i = 0; i < ELEMENTSOF(clicks); i++)
                clicks[i] = (StoreClick){
                                .seq = 101 + i, .url_id = 1, .time_sec = 1, .details = SLICE("{}")};
        assert_int_equal(store_clicks_append(world->session, &batch, &next), 0);
        assert_int_equal(next, 131);
        assert_int_equal(shipper_drain(shipper), 0);
        assert_int_equal(slot_pending(world), 0);
        (void)shipper_free(shipper);
        check(world->session, 200, 0, 0, 0);
        (void)spool_free(spool);
}

/* Restored under a running shipper: the live spool's position goes back, and what is kept of older
 * ones is looked through. */
static void test_position_went_back(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        Shipper *shipper;

        visits(spool, 300);
        drain(world, &options, spool);
        (void)spool_free(spool);
        spool = spool_begin(world);
        shipper = shipper_start(world, &options, spool);
        visits(spool, 100);
        assert_int_equal(shipper_drain(shipper), 0);
        if (use_sqlite) {
                execute(world, "DELETE FROM events WHERE spool IS NOT NULL;"
                               "UPDATE spools SET next_seq = first_seq, rows = 0;"
                               "UPDATE url_totals SET redirects = 0;"
                               "UPDATE totals SET events = events - 400, redirects = 0;");
                visits(spool, 1);
                assert_int_equal(shipper_drain(shipper), 0);
                assert_int_equal(slot_pending(world), 0);
                check(world->session, 401, 0, 0, 0);
        }
        (void)shipper_free(shipper);
        (void)spool_free(spool);
}

/* What clicks_verify() must find. */
static void test_verify_finds_it(void **state) {
        static const char *const wrongs[] = {
                        "UPDATE spools SET rows = rows + 1",
                        "UPDATE spools SET rows = rows - 1, damaged = damaged + 1",
                        "UPDATE spools SET next_seq = 0",
                        "UPDATE spools SET next_seq = next_seq + 1, shed = shed + 1, bad = bad - 1",
                        "UPDATE events SET seq = 7 WHERE seq = 8",
                        "UPDATE url_totals SET redirects = redirects + 1 WHERE url_id = 1",
                        "UPDATE totals SET events = events + 1",
        };
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        Verify verify;

        visits(spool, 20);
        drain(world, &options, spool);
        (void)spool_free(spool);
        check(world->session, 20, 0, 0, 0);
        for (size_t i = 0; use_sqlite && i < ELEMENTSOF(wrongs); i++) {
                Arena arena;

                execute(world, "CREATE TABLE kept_spools AS SELECT * FROM spools;"
                               "CREATE TABLE kept_events AS SELECT * FROM events;"
                               "CREATE TABLE kept_totals AS SELECT * FROM totals;"
                               "CREATE TABLE kept_url_totals AS SELECT * FROM url_totals;");
                execute(world, wrongs[i]);
                arena_init(&arena, 0);
                assert_int_equal(clicks_verify(world->session, &arena, &verify), 0);
                assert_int_equal(verify.n_spools, 1);
                assert_false(verify.sound);
                arena_done(&arena);
                execute(world, "REPLACE INTO spools SELECT * FROM kept_spools;"
                               "REPLACE INTO events SELECT * FROM kept_events;"
                               "REPLACE INTO totals SELECT * FROM kept_totals;"
                               "REPLACE INTO url_totals SELECT * FROM kept_url_totals;"
                               "DROP TABLE kept_spools; DROP TABLE kept_events;"
                               "DROP TABLE kept_totals; DROP TABLE kept_url_totals;");
                check(world->session, 20, 0, 0, 0);
        }
}

/* A store that was restored from a backup, here: an empty one, gets again what is kept. */
static void test_store_restored(void **state) {
        World *world = *state;
        const ShipperOptions options = ship_options(world);
        StoreSession *session = NULL;
        Spool *spool = spool_begin(world);
        Store *store, *first;

        visits(spool, 10000);
        drain(world, &options, spool);
        (void)spool_free(spool);
        spool = spool_begin(world);
        visits(spool, 500);
        drain(world, &options, spool);
        check(world->session, 10500, 0, 0, 0);

        store = open_store(world, "restored.db");
        assert_int_equal(store_session_new(store, NULL, &session), 0);
        first = world->store;
        world->store = store;
        drain(world, &options, spool);
        check(session, 10500, 0, 0, 0);
        world->store = first;
        (void)store_session_free(session);
        (void)store_free(store);
        (void)spool_free(spool);
}

static void test_damage_and_shedding_are_counted(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        SpoolOptions small = spool_options(&world->folder);
        SpoolStats stats;
        Spool *spool = NULL;
        uint8_t *data;
        size_t len;

        small.max_size = 2 * MIB;
        assert_int_equal(spool_open(&small, world->slot, &spool), 0);
        visits(spool, 16000);
        spool_stats(spool, &stats);
        assert_true(stats.shed > 0);
        drain(world, &options, spool);
        visits(spool, 500); /* there is room again, and the marker is written */
        (void)spool_free(spool);

        data = file_read(&world->folder, folder_segment(&world->folder, -1), &len);
        data[len / 2] ^= 4;
        file_write(&world->folder, folder_segment(&world->folder, -1), data, len);
        free(data);
        spool = spool_begin(world);
        drain(world, &options, spool);
        assert_int_equal(slot_pending(world), 0);
        check(world->session, stats.appended + 499, stats.shed, 0, 1);
        (void)spool_free(spool);
}

static void test_refused_rows(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        char name[SEGMENT_NAME_SIZE];
        Shipper *shipper;
        ShipperStats stats;
        uint64_t seq;
        uint8_t *data;
        size_t len;
        Record record;

        for (int64_t i = 1; i <= 1000; i++) {
                Click click = click_of(i % 250 == 77 ? -i : 1);

                assert_int_equal(spool_add(spool, &click), 0);
        }
        assert_int_equal(spool_flush(spool, &seq), 0);
        shipper = shipper_start(world, &options, spool);
        assert_int_equal(shipper_drain(shipper), 0);
        shipper_stats(shipper, &stats);
        assert_int_equal(stats.shipped, 996);
        assert_int_equal(stats.bad, 4);
        assert_false(stats.stopped);
        (void)shipper_free(shipper);
        check(world->session, 996, 0, 4, 0);

        segment_side_name(spool_id(spool), "bad", name);
        data = file_read(&world->folder, name, &len);
        for (unsigned i = 0; i < 4; i++) {
                int size = record_decode(record_crc_start(spool_id(spool)), data + len * i / 4,
                                         len / 4, &record);

                assert_int_equal(size, len / 4);
                assert_int_equal(record.click.link_id, -77 - 250 * (int64_t)i);
        }
        free(data);
        (void)spool_free(spool);
}

/* Something is wrong that is not the rows' fault: nothing more is thrown away. */
static void test_hundred_refusals_stop(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        ShipperStats stats;
        Shipper *shipper;
        uint64_t seq;

        for (int i = 0; i < 150; i++) {
                Click click = click_of(-1);

                assert_int_equal(spool_add(spool, &click), 0);
        }
        assert_int_equal(spool_flush(spool, &seq), 0);
        shipper = shipper_start(world, &options, spool);
        assert_int_equal(shipper_drain(shipper), -ENOTRECOVERABLE);
        shipper_stats(shipper, &stats);
        assert_true(stats.stopped);
        assert_in_range(stats.bad, 90, 100);
        assert_int_equal(stats.pending, 150 - stats.bad);
        assert_int_equal(shipper_drain(shipper), -ENOTRECOVERABLE);
        (void)shipper_free(shipper);
        check(world->session, 0, 0, stats.bad, 0);
        (void)spool_free(spool);
}

static void test_retention(void **state) {
        const World *world = *state;
        ShipperOptions options = ship_options(world);
        StoreOffset offset;
        uint8_t id[SPOOL_ID_SIZE];
        Spool *spool = spool_begin(world);
        unsigned n;

        memcpy(id, spool_id(spool), sizeof(id));
        visits(spool, 20000);
        drain(world, &options, spool);
        n = folder_count(&world->folder, ".seg");
        assert_true(n >= 4);
        /* Two segments' worth is kept, and the one that is being written. */
        options.keep_size = 2 * MIB;
        drain(world, &options, spool);
        assert_int_equal(folder_count(&world->folder, ".seg"), 3);
        (void)spool_free(spool);

        spool = spool_begin(world);
        assert_int_equal(store_offset_get(world->session, id, &offset), 0);
        options.keep_usec = 0;
        drain(world, &options, spool);
        assert_int_equal(folder_count(&world->folder, ".seg"), 1);
        assert_int_equal(store_offset_get(world->session, id, &offset), STORE_NOT_FOUND);
        visits(spool, 10);
        drain(world, &options, spool);
        (void)spool_free(spool);
}

static void test_adopt(void **state) {
        const World *world = *state;
        SpoolOptions options = spool_options(&world->folder);
        AdoptResult result;
        Spool *spool = NULL;

        assert_int_equal(clicks_adoptable(world->second), -ENOENT);
        assert_int_equal(mkdir(world->second, 0700), 0);
        assert_int_equal(clicks_adoptable(world->second), 0);
        options.directory = world->second;
        assert_int_equal(spool_open(&options, NULL, &spool), 0);
        assert_int_equal(clicks_adoptable(world->second), 1);
        visits(spool, 300);
        assert_int_equal(clicks_adopt(world->second, world->store, NULL, NULL, &result),
                         -EADDRINUSE);
        (void)spool_free(spool);
        assert_int_equal(clicks_adopt(world->second, world->store, NULL, world->page, &result), 0);
        assert_int_equal(result.shipped, 300);
        assert_int_equal(clicks_adopt(world->second, world->store, NULL, NULL, &result), 0);
        assert_int_equal(result.shipped, 0);
        assert_int_equal(clicks_adopt("no/such/folder", world->store, NULL, NULL, &result),
                         -ENOENT);
        check(world->session, 300, 0, 0, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
                        T(test_what_is_stored),
                        T(test_many_batches_and_segments),
                        T(test_backlog_of_three_spools),
                        T(test_position_moved_meanwhile),
                        T(test_position_went_back),
                        T(test_verify_finds_it),
                        T(test_store_restored),
                        T(test_damage_and_shedding_are_counted),
                        T(test_refused_rows),
                        T(test_hundred_refusals_stop),
                        T(test_retention),
                        T(test_adopt),
#undef T
        };
        int n_failed;

        n_failed = cmocka_run_group_tests_name("fake", tests, NULL, NULL);
        use_sqlite = true;
        return n_failed + cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
