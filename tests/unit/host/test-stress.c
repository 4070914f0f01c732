/* SPDX-License-Identifier: MIT */
/*
 * The promise itself, under load: who is told that a change is done, and looks afterwards, does not
 * find an entry fresh that was read before that change. Processes here play instances: each edits,
 * fills and hits a few links; the "store" is an array of versions that they share.
 */

#include "host-test.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "host/gate.h"

#define N_LINKS    8u
#define N_PLAYERS  4u
#define SPAN_USEC  (1 * USEC_PER_SEC)
#define KILL_USEC  (20 * USEC_PER_MSEC)
#define CHECK_EACH 64u /* a player's turns between two looks at the path */

/* What the players share besides the page. */
typedef struct Truth {
        uint64_t row[N_LINKS];      /* the store: the version of each link */
        uint64_t answered[N_LINKS]; /* the newest version that somebody was told of */
        uint64_t n_edits, n_hits, n_misses;
} Truth;

/* One cached link of one player. */
typedef struct Entry {
        HostMark mark;
        uint64_t version;
} Entry;

static Truth *truth;
static const char *names[N_LINKS] = {"a", "b", "c", "d", "e", "f", "g", "h"};

static void raise_to(uint64_t *p, uint64_t value) {
        uint64_t old = __atomic_load_n(p, __ATOMIC_SEQ_CST);

        while (old < value && !__atomic_compare_exchange_n(p, &old, value, false, __ATOMIC_SEQ_CST,
                                                           __ATOMIC_SEQ_CST))
                continue;
}

static void edit(HostSlot *slot, unsigned writer, unsigned link) {
        Slice code = slice_from_string(names[link]);
        uint64_t version;

        host_writer_committing(slot, writer, &code, 1);
        version = __atomic_add_fetch(&truth->row[link], 1, __ATOMIC_SEQ_CST);
        host_writer_committed(slot, writer);
        raise_to(&truth->answered[link], version);
        (void)__atomic_add_fetch(&truth->n_edits, 1, __ATOMIC_RELAXED);
}

/* false: an old version was fresh. */
static bool visit(HostPage *page, unsigned link, Entry *entry) {
        uint32_t counter = host_counter(slice_from_string(names[link]));
        uint64_t told = __atomic_load_n(&truth->answered[link], __ATOMIC_SEQ_CST);

        if (host_page_fresh(page, counter, entry->mark)) {
                (void)__atomic_add_fetch(&truth->n_hits, 1, __ATOMIC_RELAXED);
                return entry->version >= told;
        }
        (void)__atomic_add_fetch(&truth->n_misses, 1, __ATOMIC_RELAXED);
        entry->mark = host_page_mark(page, counter);
        entry->version = __atomic_load_n(&truth->row[link], __ATOMIC_SEQ_CST);
        return entry->version >= told;
}

static void play(const Fixture *f, int in, int out) {
        Entry entries[N_LINKS] = {0};
        char name[HOST_NAME_SIZE];
        HostPage *page;
        HostSlot *slot;
        unsigned seed = (unsigned)getpid();

        CHILD_CHECK(fcntl(in, F_SETFL, O_NONBLOCK) == 0);
        CHILD_CHECK(host_page_open(f->directory, &page) == 0);
        (void)snprintf(name, sizeof(name), "player-%d", (int)getpid());
        CHILD_CHECK(host_slot_claim(page, name, "", &slot) == 0);
        tell(out);
        for (unsigned turn = 0; turn % CHECK_EACH != 0 || !hear(in); turn++) {
                unsigned link = (unsigned)rand_r(&seed) % N_LINKS;

                if (turn % CHECK_EACH == 0) {
                        (void)host_page_check(page);
                        host_page_sweep(page);
                        host_slot_heartbeat(slot);
                }
                if (rand_r(&seed) % 16 == 0)
                        edit(slot, turn % HOST_WRITERS, link);
                CHILD_CHECK(visit(page, link, &entries[link]));
        }
        (void)host_slot_release(slot);
        (void)host_page_free(page);
}

static Child start_player(const Fixture *f) {
        Child child = child_start(f, play);

        assert_true(hear(child.from_child));
        return child;
}

static void truth_begin(void) {
        truth = mmap(NULL, sizeof(*truth), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                     0);
        assert_true(truth != MAP_FAILED);
}

static void truth_end(void) {
        print_message("%lu edits, %lu hits, %lu misses\n", truth->n_edits, truth->n_hits,
                      truth->n_misses);
        assert_true(truth->n_edits > 0 && truth->n_hits > 0 && truth->n_misses > 0);
        assert_int_equal(munmap(truth, sizeof(*truth)), 0);
}

static void pause_usec(uint64_t usec) {
        struct timespec t = {.tv_nsec = (long)usec * 1000};

        (void)nanosleep(&t, NULL);
}

/* Players are killed wherever they are, and replaced by new ones. What a dead one committed is
 * seen after the next sweep. */
static void test_players_that_die(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        Entry entries[N_LINKS] = {0};
        HostSlotInfo info[HOST_SLOTS];
        Child players[N_PLAYERS];
        uint64_t end = clock_monotonic_usec() + SPAN_USEC;

        truth_begin();
        for (unsigned i = 0; i < N_PLAYERS; i++)
                players[i] = start_player(f);
        for (unsigned i = 0; clock_monotonic_usec() < end; i = (i + 1) % N_PLAYERS) {
                pause_usec(KILL_USEC);
                for (unsigned j = 0; j < N_LINKS; j++)
                        assert_true(visit(page, j, &entries[j]));
                child_kill(&players[i]);
                host_page_sweep(page);
                for (unsigned j = 0; j < N_LINKS; j++)
                        assert_true(visit(page, j, &entries[j]));
                players[i] = start_player(f);
        }
        for (unsigned i = 0; i < N_PLAYERS; i++)
                child_finish(&players[i]);
        host_page_sweep(page);
        for (unsigned j = 0; j < N_LINKS; j++) {
                (void)visit(page, j, &entries[j]);
                assert_true(entries[j].version == truth->row[j]);
        }
        host_page_slots(page, info);
        for (unsigned i = 0; i < HOST_SLOTS; i++)
                assert_false(info[i].used);
        truth_end();
}

static unsigned n_used(HostPage *page) {
        HostSlotInfo info[HOST_SLOTS];
        unsigned n = 0;

        host_page_slots(page, info);
        for (unsigned i = 0; i < HOST_SLOTS; i++)
                n += info[i].used;
        return n;
}

/* The page's file is removed again and again while they play, whenever all have come to the new
 * one. (Who skips a page does not reach those who are in it still: they may be stale until their
 * next check.) */
static void test_players_whose_page_is_removed(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        Child players[N_PLAYERS];
        uint64_t end = clock_monotonic_usec() + SPAN_USEC;
        unsigned n_removed = 0;

        truth_begin();
        for (unsigned i = 0; i < N_PLAYERS; i++)
                players[i] = start_player(f);
        while (clock_monotonic_usec() < end) {
                pause_usec(USEC_PER_MSEC);
                (void)host_page_check(page);
                /* It may have failed to follow: then this is the page before, with their slots. */
                if (host_page_state(page) != 0 || n_used(page) < N_PLAYERS)
                        continue;
                (void)unlink(f->path);
                n_removed++;
        }
        for (unsigned i = 0; i < N_PLAYERS; i++)
                child_finish(&players[i]);
        print_message("%u pages removed\n", n_removed);
        assert_true(n_removed > 1);
        truth_end();
}

/* ---- threads of one process ---- */

typedef struct Shared {
        const Fixture *fixture;
        HostPage *page;
        HostSlot *slot;
        uint64_t appended, shipped;
        uint32_t stop;
} Shared;

static bool stopped(Shared *s) {
        return __atomic_load_n(&s->stop, __ATOMIC_RELAXED) != 0;
}

static void *run_loop(void *userdata) {
        Shared *s = userdata;
        HostSlotInfo info[HOST_SLOTS];
        Entry entries[N_LINKS] = {0};
        HostVisits noted;

        for (unsigned turn = 0; !stopped(s); turn++) {
                assert_true(visit(s->page, turn % N_LINKS, &entries[turn % N_LINKS]));
                host_slot_appended(s->slot, 2);
                host_slot_shed(s->slot, 1);
                s->appended += 2;
                if (turn % CHECK_EACH != 0)
                        continue;
                (void)host_page_check(s->page);
                host_page_sweep(s->page);
                host_page_slots(s->page, info);
                host_slot_heartbeat(s->slot);
                host_page_note_visits(s->page, &noted);
                (void)host_page_visits_pending(s->page, &noted);
                if (turn % (CHECK_EACH * 16) == 0)
                        (void)unlink(s->fixture->path);
        }
        return NULL;
}

static void *run_shipper(void *userdata) {
        Shared *s = userdata;
        void *pass;

        while (!stopped(s)) {
                host_slot_wait(s->slot, 100);
                if (host_gate_enter(s->page, 0, &pass) < 0)
                        continue;
                host_slot_shipped(s->slot, 1);
                s->shipped++;
                (void)host_page_n_waiting(s->page);
                host_gate_leave(pass);
        }
        return NULL;
}

static void *run_worker(void *userdata) {
        static uint32_t n_workers;
        Shared *s = userdata;
        unsigned writer = __atomic_add_fetch(&n_workers, 1, __ATOMIC_RELAXED) % HOST_WRITERS;

        for (unsigned turn = 0; !stopped(s); turn++) {
                host_slot_waiting(s->slot, 1);
                edit(s->slot, writer, turn % N_LINKS);
                host_slot_waiting(s->slot, -1);
                host_slot_wake(s->slot);
                (void)host_page_quiet_usec(s->page, turn);
                host_page_touch(s->page, turn);
        }
        return NULL;
}

static void test_threads_of_one_process(void **state) {
        void *(*const bodies[])(void *) = {run_loop, run_shipper, run_worker, run_worker};
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "threads", "");
        Shared shared = {.fixture = f, .page = page, .slot = slot};
        pthread_t threads[ELEMENTSOF(bodies)];
        HostVisits noted;

        truth_begin();
        for (size_t i = 0; i < ELEMENTSOF(bodies); i++)
                assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], &shared), 0);
        pause_usec(SPAN_USEC / 2);
        __atomic_store_n(&shared.stop, 1, __ATOMIC_RELAXED);
        for (size_t i = 0; i < ELEMENTSOF(bodies); i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        (void)host_page_check(page);
        host_page_note_visits(page, &noted);
        assert_int_equal(host_page_visits_pending(page, &noted),
                         shared.appended > shared.shipped ? shared.appended - shared.shipped : 0);
        assert_int_equal(host_page_n_waiting(page), 0);
        truth_end();
}

/* clang-format off */
int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_IN_FOLDER(test_players_that_die),
                TEST_IN_FOLDER(test_players_whose_page_is_removed),
                TEST_IN_FOLDER(test_threads_of_one_process),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
/* clang-format on */
