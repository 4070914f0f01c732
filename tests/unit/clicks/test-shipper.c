/* SPDX-License-Identifier: MIT */
/* From the spool into the store: positions, restarts, refusals, retention, neighbours. Every test
 * runs over the store in memory and over SQLite, and ends with the proof of `clicks verify`. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/adopt.h"
#include "clicks/segment.h"
#include "clicks/shipper.h"
#include "clicks/verify.h"
#include "fixture.h"
#include "store/fake.h"

#define FOREVER UINT64_MAX

typedef struct World {
        Folder folder;    /* of the first instance */
        char path[200];   /* the same, absolute */
        char state[200];  /* a folder with the page and the database */
        char second[220]; /* the spool folder of another instance */
        Store *store;
        StoreSession *session;
        HostPage *page;
        HostSlot *slot;
} World;

static bool use_sqlite;

/* ---- set up ---- */

static Store *open_store(const World *world, const char *name) {
        const StoreOptions options = {.connect_usec = USEC_PER_SEC, .create = true};
        Store *store = NULL;
        char url[300];

        (void)snprintf(url, sizeof(url), "sqlite:%s/%s", world->state, name);
        assert_int_equal(store_new(use_sqlite ? url : "fake:", &options, &store), 0);
        return store;
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

static int set_up(void **state) {
        World *world = calloc(1, sizeof(*world));
        Folder *folder;
        char here[128];
        void *made;

        assert_non_null(world);
        assert_int_equal(folder_setup(&made), 0);
        folder = made;
        world->folder = *folder;
        free(folder);
        assert_non_null(getcwd(here, sizeof(here)));
        (void)snprintf(world->path, sizeof(world->path), "%s/%s", here, world->folder.path);
        (void)snprintf(world->state, sizeof(world->state), "%s/state-XXXXXX", here);
        assert_non_null(mkdtemp(world->state));
        (void)snprintf(world->second, sizeof(world->second), "%s/second", world->state);
        world->store = open_store(world, "store.db");
        assert_int_equal(store_session_new(world->store, NULL, &world->session), 0);
        add_link(world->session, "one");
        add_link(world->session, "two");
        assert_int_equal(host_page_open(world->state, &world->page), 0);
        assert_int_equal(host_slot_claim(world->page, "1", world->path, &world->slot), 0);
        *state = world;
        return 0;
}

static int tear_down(void **state) {
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

static ShipperOptions ship_options(const World *world) {
        return (ShipperOptions){
                        .directory = world->path,
                        .keep_usec = FOREVER,
                        .keep_size = FOREVER,
                        .adopt_neighbours = true,
        };
}

static Shipper *shipper_start(const World *world, const ShipperOptions *options, Spool *spool) {
        Shipper *shipper = NULL;

        assert_int_equal(shipper_new(options, world->store, NULL, world->page, world->slot, spool,
                                     &shipper),
                         0);
        return shipper;
}

static void drain(const World *world, const ShipperOptions *options, Spool *spool) {
        Shipper *shipper = shipper_start(world, options, spool);

        assert_int_equal(shipper_drain(shipper), 0);
        (void)shipper_free(shipper);
}

/* The equation of every spool, no duplicates, no drift; and so many of each in all. */
static void check(StoreSession *session, uint64_t rows, uint64_t shed, uint64_t bad,
                  uint64_t damaged) {
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

static Spool *spool_begin(const World *world) {
        const SpoolOptions options = spool_options(&world->folder);
        Spool *spool = NULL;

        assert_int_equal(spool_open(&options, world->slot, &spool), 0);
        return spool;
}

/* Visits of the links that exist. */
static void visits(Spool *spool, unsigned n) {
        uint64_t seq;

        for (unsigned i = 0; i < n; i++) {
                Click click = click_of(1 + i % 2);

                assert_int_equal(spool_add(spool, &click), 0);
                if (i % 64 == 63 || i + 1 == n)
                        assert_int_equal(spool_flush(spool, &seq), 0);
        }
}

static uint64_t slot_pending(const World *world) {
        HostVisits noted;

        host_page_note_visits(world->page, &noted);
        return host_page_visits_pending(world->page, &noted);
}

/* ---- tests ---- */

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
        Shipper *shipper, *other;

        visits(spool, 100);
        shipper = shipper_start(world, &options, spool);
        assert_int_equal(shipper_drain(shipper), 0);
        visits(spool, 100);
        other = shipper_start(world, &options, spool);
        /* They share the folder's lock in turn. */
        (void)shipper_free(shipper);
        assert_int_equal(shipper_drain(other), 0);
        (void)shipper_free(other);
        check(world->session, 200, 0, 0, 0);
        (void)spool_free(spool);
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

        options.directory = world->second;
        assert_int_equal(spool_open(&options, NULL, &spool), 0);
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

/* ---- the thread ---- */

static void *thread_body(void *userdata) {
        shipper_run(userdata);
        return NULL;
}

static pthread_t thread_begin(Shipper *shipper) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, thread_body, shipper), 0);
        return thread;
}

static void thread_end(Shipper *shipper, pthread_t thread) {
        shipper_stop(shipper);
        assert_int_equal(pthread_join(thread, NULL), 0);
        (void)shipper_free(shipper);
}

static void test_ships_at_once(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        Shipper *shipper = shipper_start(world, &options, spool);
        pthread_t thread = thread_begin(shipper);

        for (int i = 0; i < 30; i++) {
                HostVisits noted;

                visits(spool, 3);
                host_page_note_visits(world->page, &noted);
                wait_for(host_page_visits_pending(world->page, &noted) == 0);
                check(world->session, (uint64_t)(i + 1) * 3, 0, 0, 0);
                assert_true(shipper_alive_usec(shipper) > 0);
        }
        visits(spool, 5);
        thread_end(shipper, thread);
        check(world->session, 95, 0, 0, 0);
        (void)spool_free(spool);
}

static void test_stops_without_a_slot(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        const SpoolOptions plain = spool_options(&world->folder);
        Shipper *shipper = NULL;
        Spool *spool = spool_start(&plain);
        pthread_t thread;

        visits(spool, 5);
        assert_int_equal(shipper_new(&options, world->store, NULL, NULL, NULL, spool, &shipper), 0);
        thread = thread_begin(shipper);
        wait_for((visits(spool, 1), spool_written_seq(spool) > 20));
        thread_end(shipper, thread);
        check(world->session, spool_written_seq(spool) - 1, 0, 0, 0);
        (void)spool_free(spool);
}

static void test_store_away(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        Shipper *shipper = shipper_start(world, &options, spool);
        ShipperStats stats;
        pthread_t thread;

        if (!use_sqlite)
                store_fake_fail(world->store, -EHOSTDOWN, 3);
        visits(spool, 100);
        thread = thread_begin(shipper);
        wait_for(slot_pending(world) == 0);
        if (!use_sqlite) {
                store_fake_block(world->store, true);
                visits(spool, 100);
                wait_for((shipper_stats(shipper, &stats), stats.oldest_pending_usec > 0));
                assert_int_equal(slot_pending(world), 100);
                wait_for(shipper_in_store(shipper));
                store_fake_block(world->store, false);
        } else {
                visits(spool, 100);
        }
        wait_for(slot_pending(world) == 0);
        thread_end(shipper, thread);
        check(world->session, 200, 0, 0, 0);
        (void)spool_free(spool);
}

/* ---- other processes ---- */

static pid_t start(void (*body)(const World *world), const World *world) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                body(world);
                _exit(0);
        }
        return pid;
}

static void wait_end(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* An instance "2" that writes 200 visits and dies without a word. */
static void die_with_visits(const World *world) {
        SpoolOptions options = spool_options(&world->folder);
        HostPage *page = NULL;
        HostSlot *slot = NULL;
        Spool *spool = NULL;
        uint64_t seq;

        options.directory = world->second;
        if (host_page_open(world->state, &page) < 0 ||
            host_slot_claim(page, "2", world->second, &slot) < 0 ||
            spool_open(&options, slot, &spool) < 0)
                _exit(2);
        for (int i = 0; i < 200; i++) {
                Click click = click_of(1);

                if (spool_add(spool, &click) < 0)
                        _exit(3);
        }
        if (spool_flush(spool, &seq) < 0)
                _exit(4);
}

static void test_dead_neighbour(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        Shipper *shipper = shipper_start(world, &options, spool);
        HostSlotInfo slots[HOST_SLOTS];
        pthread_t thread;
        bool used = false;

        wait_end(start(die_with_visits, world));
        assert_int_equal(slot_pending(world), 200);
        thread = thread_begin(shipper);
        wait_for(slot_pending(world) == 0);
        check(world->session, 200, 0, 0, 0);
        host_page_sweep(world->page);
        host_page_slots(world->page, slots);
        for (unsigned i = 0; i < HOST_SLOTS; i++)
                used = used || (slots[i].used && strcmp(slots[i].name, "2") == 0);
        assert_false(used);

        /* Again, and it comes back: what is left is its own. */
        wait_end(start(die_with_visits, world));
        wait_end(start(die_with_visits, world));
        wait_for(slot_pending(world) == 0);
        thread_end(shipper, thread);
        check(world->session, 600, 0, 0, 0);
        (void)spool_free(spool);
}

static void drain_once(const World *world) {
        const ShipperOptions options = ship_options(world);
        const StoreOptions store_options = {.connect_usec = USEC_PER_SEC};
        Shipper *shipper = NULL;
        Store *store = NULL;
        char url[300];

        (void)snprintf(url, sizeof(url), "sqlite:%s/store.db", world->state);
        if (store_new(url, &store_options, &store) < 0 ||
            shipper_new(&options, store, NULL, NULL, NULL, NULL, &shipper) < 0)
                _exit(1);
        if (shipper_drain(shipper) < 0)
                _exit(2);
}

/* SIGKILL at random moments of shipping: nothing twice, nothing missing. */
static void test_killed_while_shipping(void **state) {
        const World *world = *state;
        Spool *spool = spool_begin(world);
        AdoptResult result;

        if (!use_sqlite) { /* the store in memory dies with its process */
                (void)spool_free(spool);
                return;
        }
        visits(spool, 15000);
        (void)spool_free(spool);
        srandom(1);
        for (int i = 0; i < 15; i++) {
                pid_t pid = start(drain_once, world);

                (void)poll(NULL, 0, (int)(random() % 60));
                (void)kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
        }
        assert_int_equal(clicks_adopt(world->folder.path, world->store, NULL, NULL, &result), 0);
        check(world->session, 15000, 0, 0, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
                        T(test_what_is_stored),
                        T(test_many_batches_and_segments),
                        T(test_backlog_of_three_spools),
                        T(test_position_moved_meanwhile),
                        T(test_store_restored),
                        T(test_damage_and_shedding_are_counted),
                        T(test_refused_rows),
                        T(test_hundred_refusals_stop),
                        T(test_retention),
                        T(test_adopt),
                        T(test_ships_at_once),
                        T(test_stops_without_a_slot),
                        T(test_store_away),
                        T(test_dead_neighbour),
                        T(test_killed_while_shipping),
#undef T
        };
        int n_failed;

        n_failed = cmocka_run_group_tests_name("fake", tests, NULL, NULL);
        use_sqlite = true;
        return n_failed + cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
