/* SPDX-License-Identifier: MIT */
/* The shipper's thread, and what other processes leave: the dead neighbour, the killed shipper. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/adopt.h"
#include "clicks/neighbour.h"
#include "store/fake.h"
#include "world.h"

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

static bool all_shipped(const World *world, size_t n_spools) {
        SegmentList list = {0};
        size_t n = 0;

        assert_int_equal(segment_list(world->folder.fd, NULL, &list), 0);
        for (size_t i = 0; i < list.n; i++)
                n += list.items[i].shipped;
        segment_list_done(&list);
        return n == n_spools;
}

/* What is done now and then: spools that seem to be shipped are looked through, those that are not
 * marked are found, and what need not be kept goes. */
static void test_chores(void **state) {
        const World *world = *state;
        ShipperOptions options = ship_options(world);
        Spool *spool;
        Shipper *shipper;
        pthread_t thread;

        options.chores_usec = 5000;
        for (int i = 0; i < 3; i++) {
                spool = spool_begin(world);
                visits(spool, 100);
                (void)spool_free(spool);
        }
        spool = spool_begin(world);
        /* Marked, but the store has none of it. */
        assert_int_equal(fchmodat(world->folder.fd, folder_segment(&world->folder, 1), 0400, 0), 0);
        shipper = shipper_start(world, &options, spool);
        thread = thread_begin(shipper);
        wait_for(slot_pending(world) == 0);
        wait_for(all_shipped(world, 3));
        wait_for(count_rows(world) == 300);
        assert_int_equal(fchmodat(world->folder.fd, folder_segment(&world->folder, 0), 0600, 0), 0);
        wait_for(all_shipped(world, 3));
        thread_end(shipper, thread);
        check(world->session, 300, 0, 0, 0);

        options.keep_usec = 0;
        shipper = shipper_start(world, &options, spool);
        thread = thread_begin(shipper);
        wait_for(folder_count(&world->folder, ".seg") == 1);
        thread_end(shipper, thread);
        (void)spool_free(spool);
}

/* What an earlier process left is counted from the names of its segments, and the rest of it is
 * guessed from how large the records were there. */
static void test_backlog_is_guessed(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        const SpoolOptions plain = spool_options(&world->folder);
        Spool *spool = spool_start(&plain);
        Shipper *shipper;
        pthread_t thread;
        uint64_t n;

        wait_for((visits(spool, 100), folder_count(&world->folder, ".seg") >= 4));
        n = spool_written_seq(spool) - 1;
        (void)spool_free(spool);

        spool = spool_begin(world);
        shipper = shipper_start(world, &options, spool);
        assert_in_range(slot_pending(world), n - n / 20, n + n / 20);
        thread = thread_begin(shipper);
        wait_for(slot_pending(world) == 0);
        thread_end(shipper, thread);
        check(world->session, n, 0, 0, 0);
        (void)spool_free(spool);
}

/* At once: the shipper looks all the time. spools: what becomes of the positions. */
#define RESTORE(spools)                                                                    \
 "BEGIN IMMEDIATE;"                                                                        \
 "UPDATE totals SET redirects = 0, events = events -"                                      \
 " (SELECT count(*) FROM events WHERE spool IS NOT NULL);"                                 \
 "DELETE FROM events WHERE spool IS NOT NULL; UPDATE url_totals SET redirects = 0;" spools \
 " COMMIT;"
#define BEGUN "UPDATE spools SET next_seq = first_seq, rows = 0;"

/* The store was restored from a backup, and no visit comes that would make the shipper notice. */
static void test_restored_while_idle(void **state) {
        const World *world = *state;
        ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        Shipper *shipper;
        pthread_t thread;

        options.chores_usec = 5000;
        visits(spool, 300);
        (void)spool_free(spool);
        spool = spool_begin(world);
        shipper = shipper_start(world, &options, spool);
        thread = thread_begin(shipper);
        wait_for(count_rows(world) == 300);
        if (use_sqlite) {
                /* Nothing of the own spool was shipped yet: an older one tells. */
                execute(world, RESTORE(BEGUN));
                wait_for(count_rows(world) == 300);
                visits(spool, 100);
                wait_for(count_rows(world) == 400);
                execute(world, RESTORE(BEGUN));
                wait_for(count_rows(world) == 400);
                execute(world, RESTORE("DELETE FROM spools;"));
                wait_for(count_rows(world) == 400);
                wait_for(slot_pending(world) == 0);
        }
        thread_end(shipper, thread);
        check(world->session, use_sqlite ? 400 : 300, 0, 0, 0);
        (void)spool_free(spool);
}

/* What is cached is dropped once, not again for each spool that the store knows less of. */
static void test_restored_with_many_spools(void **state) {
        const World *world = *state;
        ShipperOptions options = ship_options(world);
        Spool *spool;
        Shipper *shipper;
        pthread_t thread;
        uint64_t epoch;

        if (!use_sqlite)
                return; /* the store in memory cannot be restored */
        options.chores_usec = 5000;
        for (int i = 0; i < 10; i++) {
                spool = spool_begin(world);
                visits(spool, 1000);
                (void)spool_free(spool);
        }
        spool = spool_begin(world);
        shipper = shipper_start(world, &options, spool);
        thread = thread_begin(shipper);
        wait_for(count_rows(world) == 10000);
        wait_for(slot_pending(world) == 0);
        epoch = host_page_mark(world->page, 0).epoch;
        execute(world, RESTORE(BEGUN));
        wait_for(count_rows(world) == 10000);
        assert_int_equal(host_page_mark(world->page, 0).epoch - epoch, 1);
        thread_end(shipper, thread);
        check(world->session, 10000, 0, 0, 0);
        (void)spool_free(spool);
}

/* Who ships the folder's old spools is frozen: the own one does not wait for it. */
static void test_neighbour_keeps_the_lock(void **state) {
        const World *world = *state;
        const ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        Shipper *shipper;
        pthread_t thread;
        int lock_fd;

        visits(spool, 300);
        (void)spool_free(spool);
        lock_fd = segment_folder_lock(world->folder.fd, SEGMENT_LOCK_SHIPPER);
        assert_true(lock_fd >= 0);
        spool = spool_begin(world);
        shipper = shipper_start(world, &options, spool);
        thread = thread_begin(shipper);
        visits(spool, 100);
        wait_for(count_rows(world) == 100);
        (void)close(lock_fd);
        wait_for(count_rows(world) == 400);
        wait_for(slot_pending(world) == 0);
        thread_end(shipper, thread);
        check(world->session, 400, 0, 0, 0);
        (void)spool_free(spool);
}

/* ... nor does what is shipped of it count as what is not, until there is room for no more. */
static void test_marked_without_the_lock(void **state) {
        const World *world = *state;
        SpoolOptions small = spool_options(&world->folder);
        ShipperOptions options = ship_options(world);
        Spool *spool = NULL;
        Shipper *shipper;
        pthread_t thread;
        SpoolStats stats;
        int lock_fd;

        small.max_size = 8 * MIB;
        options.chores_usec = 5000;
        lock_fd = segment_folder_lock(world->folder.fd, SEGMENT_LOCK_SHIPPER);
        assert_true(lock_fd >= 0);
        assert_int_equal(spool_open(&small, world->slot, &spool), 0);
        shipper = shipper_start(world, &options, spool);
        thread = thread_begin(shipper);
        for (unsigned i = 0; i < 20; i++) {
                uint64_t bytes = 0;

                visits(spool, 3000);
                wait_for(slot_pending(world) == 0);
                wait_for(segment_unshipped(world->folder.fd, &bytes) == 0 && bytes <= 2 * MIB);
        }
        thread_end(shipper, thread);
        (void)close(lock_fd);
        spool_stats(spool, &stats);
        assert_int_equal(stats.shed, 0);
        assert_true(stats.bytes > small.max_size);
        check(world->session, 60000, 0, 0, 0);
        (void)spool_free(spool);
}

static size_t count_audit(const World *world) {
        Audit *rows = NULL;
        Arena arena;
        size_t n = 0;

        arena_init(&arena, 0);
        assert_int_equal(store_audit_list(world->session, &arena,
                                          &(StoreAuditQuery){.limit = 10000}, &rows, &n),
                         0);
        arena_done(&arena);
        return n;
}

/* Rows of the audit go when they are old, batch by batch; unless they are to stay. */
static void test_audit_is_tidied(void **state) {
        const World *world = *state;
        ShipperOptions options = ship_options(world);
        uint64_t made_sec = clock_realtime_usec() / USEC_PER_SEC;
        Spool *spool = spool_begin(world);
        User user;
        Shipper *shipper;
        pthread_t thread;
        Arena arena;

        arena_init(&arena, 0);
        assert_int_equal(
                        store_user_create(world->session, &arena, SLICE("a"), SLICE("b"), 1, &user),
                        0);
        for (unsigned i = 0; i < 1100; i++) {
                const StoreUserChange change = {.email = i % 2 ? SLICE("b") : SLICE("c")};

                assert_int_equal(store_user_update(world->session, &arena, user.id, &change, &user),
                                 0);
        }
        arena_done(&arena);
        wait_for(clock_realtime_usec() / USEC_PER_SEC > made_sec + 1);
        options.chores_usec = 5000;
        shipper = shipper_start(world, &options, spool);
        thread = thread_begin(shipper);
        visits(spool, 5);
        wait_for(slot_pending(world) == 0);
        assert_true(count_audit(world) > 1100);
        thread_end(shipper, thread);

        made_sec = clock_realtime_usec() / USEC_PER_SEC;
        wait_for(clock_realtime_usec() / USEC_PER_SEC > made_sec);
        options.keep_audit_usec = 1;
        shipper = shipper_start(world, &options, spool);
        thread = thread_begin(shipper);
        wait_for(count_audit(world) == 0);
        thread_end(shipper, thread);
        (void)spool_free(spool);
}

static int answer(void *userdata _unused_, const void *row _unused_, StoreAnswer *ret) {
        *ret = (StoreAnswer){201, SLICE("{}")};
        return 0;
}

static bool is_remembered(const World *world, const StoreKey *key) {
        StoreAnswer found;
        Arena arena;
        int r;

        arena_init(&arena, 0);
        r = store_key_find(world->session, &arena, key, &found);
        arena_done(&arena);
        assert_in_range(r, 0, STORE_NOT_FOUND);
        return r == 0;
}

/* Keys of requests are forgotten when their time is over. */
static void test_keys_are_tidied(void **state) {
        int64_t now_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
        const StoreKey old = {.name = "old", .now_sec = 1, .expires_sec = 2, .answer = answer},
                       fresh = {.name = "fresh",
                                .now_sec = now_sec,
                                .expires_sec = now_sec + 3600,
                                .answer = answer};
        const Event event = {.url_id = 1, .type = SLICE("x")};
        const World *world = *state;
        ShipperOptions options = ship_options(world);
        Spool *spool = spool_begin(world);
        Shipper *shipper;
        pthread_t thread;
        Event made;

        assert_int_equal(store_event_create_once(world->session, &event, &fresh, &made), 0);
        assert_int_equal(store_event_create_once(world->session, &event, &old, &made), 0);
        assert_true(is_remembered(world, &old));
        options.chores_usec = 5000;
        shipper = shipper_start(world, &options, spool);
        thread = thread_begin(shipper);
        wait_for(!is_remembered(world, &old));
        thread_end(shipper, thread);
        assert_true(is_remembered(world, &fresh));
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

        thread_end(shipper, thread); /* no fork beside threads */

        /* Twice in a row. */
        wait_end(start(die_with_visits, world));
        wait_end(start(die_with_visits, world));
        shipper = shipper_start(world, &options, spool);
        thread = thread_begin(shipper);
        wait_for(slot_pending(world) == 0);
        thread_end(shipper, thread);
        check(world->session, 600, 0, 0, 0);
        (void)spool_free(spool);
}

static void test_neighbour_comes_back(void **state) {
        const World *world = *state;
        Neighbour neighbour = NEIGHBOUR_NONE, second = NEIGHBOUR_NONE;
        StreamShared shared = {.session = world->session, .page = world->page};
        HostSlot *slot = NULL;
        StreamMove move;
        uint64_t rows;

        assert_false(neighbour_find(&neighbour, world->page, world->folder.path));
        wait_end(start(die_with_visits, world));
        wait_end(start(die_with_visits, world));
        assert_true(neighbour_find(&neighbour, world->page, world->folder.path));
        /* One at a time. */
        assert_false(neighbour_find(&second, world->page, world->folder.path));
        assert_int_equal(neighbour_step(&neighbour, &shared, &move), STREAM_MOVED);
        rows = move.rows;
        assert_in_range(rows, 1, 200);
        assert_int_equal(slot_pending(world), 400 - rows);
        assert_int_equal(host_slot_claim(world->page, "2", world->second, &slot), 0);
        assert_int_equal(neighbour_step(&neighbour, &shared, &move), STREAM_END);
        assert_int_equal(neighbour.lock_fd, -1);
        assert_int_equal(slot_pending(world), 400 - rows);
        assert_false(neighbour_find(&neighbour, world->page, world->folder.path));
        (void)host_slot_release(slot);

        assert_true(neighbour_find(&neighbour, world->page, world->folder.path));
        if (!use_sqlite) {
                store_fake_fail(world->store, -EHOSTDOWN, 1);
                assert_int_equal(neighbour_step(&neighbour, &shared, &move), -EHOSTDOWN);
                assert_int_equal(neighbour.lock_fd, -1);
                assert_true(neighbour_find(&neighbour, world->page, world->folder.path));
        }
        while (neighbour_step(&neighbour, &shared, &move) == STREAM_MOVED)
                ;
        assert_int_equal(slot_pending(world), 0);
        check(world->session, 400, 0, 0, 0);
        /* Nothing is left, although the slot still says dead. */
        assert_false(neighbour_find(&neighbour, world->page, world->folder.path));
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
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
                        T(test_ships_at_once),
                        T(test_stops_without_a_slot),
                        T(test_chores),
                        T(test_restored_while_idle),
                        T(test_restored_with_many_spools),
                        T(test_neighbour_keeps_the_lock),
                        T(test_marked_without_the_lock),
                        T(test_backlog_is_guessed),
                        T(test_audit_is_tidied),
                        T(test_keys_are_tidied),
                        T(test_store_away),
                        T(test_dead_neighbour),
                        T(test_neighbour_comes_back),
                        T(test_killed_while_shipping),
#undef T
        };
        int n_failed;

        n_failed = cmocka_run_group_tests_name("fake", tests, NULL, NULL);
        use_sqlite = true;
        return n_failed + cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
