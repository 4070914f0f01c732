/* SPDX-License-Identifier: MIT */
/* Whatever allocation or system call fails: what was answered is kept or counted, and the next try
 * goes on from there. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/adopt.h"
#include "clicks/segment.h"
#include "clicks/verify.h"
#include "failing-malloc.h"
#include "fixture.h"
#include "store/fake.h"

/* ---- functions of libc that allocate beside malloc() ---- */

void *__wrap_malloc(size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);

static bool fails(void) {
        void *p = __wrap_malloc(1);

        free(p);
        return !p;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
        return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size) {
        return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s) {
        return fails() ? NULL : __real_strdup(s);
}

/* ---- one life of an instance ---- */

typedef struct World {
        Folder *folder;
        Store *store;
        StoreSession *session;
        uint64_t n_answered, n_shed;
} World;

static int set_up(void **state) {
        static World world;
        const StoreOptions options = {.connect_usec = USEC_PER_SEC};

        world = (World){0};
        assert_int_equal(folder_setup(state), 0);
        world.folder = *state;
        assert_int_equal(store_new("fake:", &options, &world.store), 0);
        assert_int_equal(store_session_new(world.store, NULL, &world.session), 0);
        *state = &world;
        return 0;
}

static int tear_down(void **state) {
        World *world = *state;

        failing_malloc_arm(0);
        io_restore();
        (void)store_session_free(world->session);
        (void)store_free(world->store);
        *state = world->folder;
        return folder_teardown(state);
}

static void visit(World *world, Spool *spool, unsigned n, int64_t link) {
        uint64_t seq, answered = world->n_answered;

        for (unsigned i = 0; i < n; i++) {
                Click click = click_of(link);

                if (spool_add(spool, &click) == 0)
                        answered++;
        }
        if (spool_flush(spool, &seq) == 0)
                world->n_answered = answered;
}

/* Starts, writes, meets a disk that fails once, ships with one row that is refused, and ends. */
static void live(World *world, bool failing_disk) {
        const SpoolOptions options = spool_options(world->folder);
        const ShipperOptions ship = {
                        .directory = world->folder->path,
                        .keep_usec = 0,
                        .keep_size = UINT64_MAX,
        };
        SpoolStats stats;
        Spool *spool = NULL;
        Shipper *shipper = NULL;

        if (spool_open(&options, NULL, &spool) < 0)
                return;
        visit(world, spool, 50, 1);
        if (failing_disk)
                io_fail(1, 1, EIO);
        visit(world, spool, 50, 1);
        if (failing_disk)
                io_fail(0, 0, 0);
        visit(world, spool, 1, -1);
        if (shipper_new(&ship, world->store, NULL, NULL, NULL, spool, &shipper) == 0) {
                (void)!shipper_drain(shipper);
                visit(world, spool, 10, 1);
                (void)!shipper_drain(shipper);
        }
        (void)shipper_free(shipper);
        spool_stats(spool, &stats);
        world->n_shed += stats.shed;
        (void)spool_free(spool);
}

/* Without a failure all arrives in the end, once. */
static void check_world(World *world) {
        StoreOffset sum = {.rows = 0};
        AdoptResult result;
        Verify verify;
        Arena arena;

        failing_malloc_arm(0);
        io_restore();
        assert_int_equal(clicks_adopt(world->folder->path, world->store, NULL, NULL, &result), 0);
        arena_init(&arena, 0);
        assert_int_equal(clicks_verify(world->session, &arena, &verify), 0);
        assert_true(verify.sound);
        for (size_t i = 0; i < verify.n_spools; i++) {
                sum.rows += verify.spools[i].offset.rows;
                sum.shed += verify.spools[i].offset.shed;
                sum.bad += verify.spools[i].offset.bad;
                sum.damaged += verify.spools[i].offset.damaged;
        }
        assert_int_equal(sum.damaged, 0);
        /* A spool whose last segment went has no row any more, but its events. */
        assert_true((uint64_t)verify.audit.rows_per_spools >= sum.rows);
        assert_in_range(world->n_answered - (uint64_t)verify.audit.rows_per_spools, 0,
                        world->n_shed + 1);
        arena_done(&arena);
        assert_int_equal(store_load_begin(world->session, true), 0);
        assert_int_equal(store_load_end(world->session, true), 0);
        while (folder_count(world->folder, ".seg") > 0)
                assert_int_equal(unlinkat(world->folder->fd, folder_segment(world->folder, 0), 0),
                                 0);
        world->n_answered = world->n_shed = 0;
}

static void test_memory(void **state) {
        World *world = *state;
        size_t n = 0;

        io_fail(0, 0, 0);
        do {
                n += n < 60 ? 1 : 7; /* later ones are much alike */
                failing_malloc_arm(n);
                live(world, true);
                if (!failing_malloc_happened())
                        break;
                check_world(world);
        } while (n < 2000);
        assert_in_range(n, 20, 1999);
        check_world(world);
}

static void test_disk(void **state) {
        World *world = *state;
        unsigned n_calls;

        io_fail(0, 0, 0);
        live(world, false);
        n_calls = io_calls();
        check_world(world);
        for (unsigned n = 1; n <= n_calls; n++) {
                io_fail(n, 1 + n % 2, n % 3 ? EIO : 0);
                live(world, false);
                check_world(world);
        }
}

/* Each verb of the store fails once. */
static void test_store(void **state) {
        World *world = *state;
        const SpoolOptions options = spool_options(world->folder);
        const ShipperOptions ship = {.directory = world->folder->path};
        Spool *spool = spool_start(&options);
        Shipper *shipper = NULL;
        Verify verify;
        Arena arena;

        visit(world, spool, 20, 1);
        (void)spool_free(spool);
        assert_int_equal(shipper_new(&ship, world->store, NULL, NULL, NULL, NULL, &shipper), 0);
        for (unsigned i = 0; i < 2; i++) {
                store_fake_fail(world->store, -EHOSTDOWN, 1);
                assert_int_equal(shipper_drain(shipper), -EHOSTDOWN);
                /* Nothing is kept for longer than it must, but for so long it is. */
                assert_int_equal(folder_count(world->folder, ".seg"), 1);
        }
        store_fake_fail(world->store, -EIO, 0);
        assert_int_equal(shipper_drain(shipper), 0);
        assert_int_equal(folder_count(world->folder, ".seg"), 0);
        (void)shipper_free(shipper);

        arena_init(&arena, 0);
        store_fake_fail(world->store, -EHOSTDOWN, 1);
        assert_int_equal(clicks_verify(world->session, &arena, &verify), -EHOSTDOWN);
        arena_done(&arena);
        arena_init(&arena, 1);
        assert_int_equal(clicks_verify(world->session, &arena, &verify), -ENOMEM);
        arena_done(&arena);
}

/* Blocks that cannot be read lose what is in them, and that is counted; one that can be read at
 * the second try loses nothing. */
static void test_unreadable_blocks(void **state) {
        World *world = *state;
        const SpoolOptions options = spool_options(world->folder);
        Spool *spool = spool_start(&options);
        uint8_t id[SPOOL_ID_SIZE];
        Content content;

        memcpy(id, spool_id(spool), sizeof(id));
        for (int64_t i = 0; i < 5; i++)
                spool_visits(spool, i * 1000 + 1, 1000);
        (void)spool_free(spool);
        for (unsigned n = 1; n <= 5; n++) {
                io_fail(n, 2 + n % 2, EIO);
                content_read(world->folder, id, NULL, &content);
                io_restore();
                assert_in_range(content.visits, 4950, 5000);
                if (n % 2 == 0)
                        assert_int_equal(content.damaged, 0);
                if (n == 1)
                        assert_true(content.damaged > 0);
                assert_int_equal(content.visits + content.damaged, 5000);
                content_done(&content);
        }
        /* None of them: one loss is all that can be said. */
        io_fail(1, 1000000, EIO);
        content_read(world->folder, id, NULL, &content);
        io_restore();
        assert_int_equal(content.visits, 0);
        assert_int_equal(content.damaged, 1);
        content_done(&content);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
                        T(test_memory),
                        T(test_disk),
                        T(test_store),
                        T(test_unreadable_blocks),
#undef T
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
