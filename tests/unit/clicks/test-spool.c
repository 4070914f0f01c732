/* SPDX-License-Identifier: MIT */
/* Writing: batches, segments, full disks, failures of the disk at every call. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/segment.h"
#include "fixture.h"

/* Every visit is there under its number, and nothing else. */
static void check_links(const Content *content, uint64_t first_seq, uint64_t n, int64_t first) {
        for (uint64_t i = 0; i < n; i++)
                assert_int_equal(content->links[first_seq + i], first + (int64_t)i);
}

static void test_write_and_read(void **state) {
        const Folder *folder = *state;
        const SpoolOptions options = spool_options(folder);
        uint8_t id[SPOOL_ID_SIZE];
        SpoolStats stats;
        Content content;
        Spool *spool;

        spool = spool_start(&options);
        memcpy(id, spool_id(spool), sizeof(id));
        for (int i = 0; i < 100; i++)
                spool_visits(spool, i * 10 + 1, 10);
        assert_int_equal(spool_written_seq(spool), 1001);
        content_read(folder, id, spool, &content);
        assert_int_equal(content.visits, 1000);
        check_links(&content, 1, 1000, 1);
        content_done(&content);
        spool_stats(spool, &stats);
        assert_int_equal(stats.appended, 1000);
        assert_int_equal(stats.segments, 1);
        assert_int_equal(stats.errors, 0);
        (void)spool_free(spool);

        /* The same from a dead spool, whose file was cut to its length. */
        content_read(folder, id, NULL, &content);
        assert_int_equal(content.visits, 1000);
        assert_int_equal(content.damaged, 0);
        assert_int_equal(content.next_seq, 1001);
        content_done(&content);
        assert_int_equal(folder_count(folder, ".seg"), 1);
        assert_int_equal(folder_count(folder, ".next"), 0);
}

static void test_unused_spool_leaves_nothing(void **state) {
        const SpoolOptions options = spool_options(*state);

        (void)spool_free(spool_start(&options));
        assert_int_equal(folder_count(*state, ".seg"), 0);
}

static void test_folder_is_locked(void **state) {
        SpoolOptions options = spool_options(*state);
        Spool *spool = spool_start(&options), *other = NULL;

        assert_int_equal(spool_open(&options, NULL, &other), -EADDRINUSE);
        (void)spool_free(spool);
        spool = spool_start(&options);
        (void)spool_free(spool);
        options.segment_size = MIB - 1;
        assert_int_equal(spool_open(&options, NULL, &other), -EINVAL);
        options = spool_options(*state);
        options.directory = "no/such/folder";
        assert_int_equal(spool_open(&options, NULL, &other), -ENOENT);
}

static void test_segments_roll(void **state) {
        const Folder *folder = *state;
        const SpoolOptions options = spool_options(folder);
        uint8_t id[SPOOL_ID_SIZE];
        Content content;
        Helper *helper;
        Spool *spool;

        spool = spool_start(&options);
        memcpy(id, spool_id(spool), sizeof(id));
        helper = helper_begin(spool);
        for (int i = 0; i < 200; i++)
                spool_visits(spool, i * 100 + 1, 100);
        wait_for(spool_durable(spool) == 20001);
        content_read(folder, id, spool, &content);
        assert_int_equal(content.visits, 20000);
        check_links(&content, 1, 20000, 1);
        content_done(&content);
        helper_end(helper);
        (void)spool_free(spool);
        assert_true(folder_count(folder, ".seg") >= 4);
        content_read(folder, id, NULL, &content);
        assert_int_equal(content.visits, 20000);
        assert_int_equal(content.damaged, 0);
        content_done(&content);
}

/* More than the buffer holds flushes by itself. */
static void test_batch_beyond_the_buffer(void **state) {
        const Folder *folder = *state;
        const SpoolOptions options = spool_options(folder);
        Spool *spool = spool_start(&options);
        Content content;

        spool_visits(spool, 1, 5000);
        content_read(folder, spool_id(spool), spool, &content);
        assert_int_equal(content.visits, 5000);
        check_links(&content, 1, 5000, 1);
        content_done(&content);
        (void)spool_free(spool);
}

static void test_sync_always(void **state) {
        SpoolOptions options = spool_options(*state);
        struct pollfd ready = {.events = POLLIN};
        uint64_t seq = 0, count;
        SpoolStats stats;
        Helper *helper;
        Click click = click_of(1);
        Spool *spool;

        options.sync = SPOOL_SYNC_ALWAYS;
        spool = spool_start(&options);
        helper = helper_begin(spool);
        ready.fd = spool_durable_fd(spool);
        for (int i = 0; i < 20; i++) {
                assert_int_equal(spool_add(spool, &click), 0);
                assert_int_equal(spool_flush(spool, &seq), 0);
                while (spool_durable(spool) < seq) {
                        assert_int_equal(poll(&ready, 1, 10000), 1);
                        assert_int_equal(read(ready.fd, &count, sizeof(count)), sizeof(count));
                }
        }
        assert_int_equal(seq, 21);
        spool_stats(spool, &stats);
        assert_true(stats.syncs > 0);
        helper_end(helper);
        (void)spool_free(spool);
}

/* MaxSize is reached: visits are answered and counted, or refused; then there is room again. */
static void test_full_shed(void **state) {
        const Folder *folder = *state;
        SpoolOptions options = spool_options(folder);
        uint8_t id[SPOOL_ID_SIZE];
        SpoolStats stats;
        Content content;
        Spool *spool;
        uint64_t n = 0;

        options.max_size = 2 * MIB;
        spool = spool_start(&options);
        memcpy(id, spool_id(spool), sizeof(id));
        do {
                spool_visits(spool, (int64_t)n + 1, 64);
                n += 64;
                spool_stats(spool, &stats);
        } while (stats.shed < 1000);
        assert_int_equal(stats.appended + stats.shed, n);
        assert_int_equal(spool_written_seq(spool), stats.appended + 1);

        /* The shipper has shipped the first segment. */
        assert_int_equal(fchmodat(folder->fd, folder_segment(folder, 0), 0400, 0), 0);
        spool_visits(spool, (int64_t)n + 1, 64);
        content_read(folder, id, spool, &content);
        assert_int_equal(content.shed, stats.shed);
        assert_int_equal(content.damaged, 0);
        assert_int_equal(content.visits, stats.appended + 64);
        check_links(&content, 1, stats.appended, 1);
        check_links(&content, n + 1, 64, (int64_t)n + 1);
        content_done(&content);
        (void)spool_free(spool);
}

/* What was shed last has its marker although there never was room again. */
static void test_full_at_the_end(void **state) {
        const Folder *folder = *state;
        SpoolOptions options = spool_options(folder);
        uint8_t id[SPOOL_ID_SIZE];
        SpoolStats stats;
        Content content;
        Spool *spool;

        options.max_size = MIB; /* raised to two segments */
        spool = spool_start(&options);
        memcpy(id, spool_id(spool), sizeof(id));
        spool_visits(spool, 1, 20000);
        spool_stats(spool, &stats);
        assert_true(stats.shed > 0);
        (void)spool_free(spool);
        content_read(folder, id, NULL, &content);
        assert_int_equal(content.visits + content.shed, 20000);
        assert_int_equal(content.shed, stats.shed);
        content_done(&content);
}

static void test_full_fail(void **state) {
        const Folder *folder = *state;
        SpoolOptions options = spool_options(folder);
        uint64_t n = 0, seq;
        Click click;
        Content content;
        Spool *spool;
        int r;

        options.max_size = 2 * MIB;
        options.on_full = SPOOL_FAIL;
        spool = spool_start(&options);
        for (;;) {
                click = click_of((int64_t)n + 1);
                r = spool_add(spool, &click);
                if (r == 0)
                        r = spool_flush(spool, &seq);
                if (r < 0)
                        break;
                n++;
        }
        assert_int_equal(r, -ENOSPC);
        for (int i = 0; i < 100; i++)
                assert_int_equal(spool_add(spool, &click), -ENOSPC);
        assert_int_equal(fchmodat(folder->fd, folder_segment(folder, 0), 0400, 0), 0);
        spool_visits(spool, (int64_t)n + 1, 64);
        content_read(folder, spool_id(spool), spool, &content);
        assert_int_equal(content.visits, n + 64);
        assert_int_equal(content.shed + content.damaged, 0);
        check_links(&content, 1, n + 64, 1);
        content_done(&content);
        (void)spool_free(spool);
}

/* ---- failures of the disk ---- */

#define N_BATCHES 200 /* of 50: three segments */

typedef struct Run {
        uint64_t answered; /* visits whose answer was a 302 */
        int64_t *links;    /* of these, in order */
        bool opened;
        uint8_t id[SPOOL_ID_SIZE];
        SpoolStats stats;
} Run;

/* Batches of 50 through some segments, without a helper: every call is the loop's, in a fixed
 * order. */
static void run_batches(const SpoolOptions *options, Run *run) {
        Spool *spool = NULL;
        uint64_t seq;

        memset(run, 0, sizeof(*run));
        if (spool_open(options, NULL, &spool) < 0)
                return;
        run->opened = true;
        memcpy(run->id, spool_id(spool), sizeof(run->id));
        run->links = calloc(N_BATCHES * 50, sizeof(int64_t));
        assert_non_null(run->links);
        for (int64_t batch = 0; batch < N_BATCHES; batch++) {
                uint64_t n = run->answered;

                for (int64_t i = 0; i < 50; i++) {
                        Click click = click_of(batch * 50 + i + 1);

                        if (spool_add(spool, &click) == 0)
                                run->links[n++] = click.link_id;
                }
                if (spool_flush(spool, &seq) == 0)
                        run->answered = n;
        }
        spool_stats(spool, &run->stats);
        (void)spool_free(spool);
}

/* What was answered is there, in order, once; or it is counted as shed. */
static void check_run(const Folder *folder, const Run *run) {
        uint64_t seen = 0, others = 0;
        Content content;

        io_restore();
        content_read(folder, run->id, NULL, &content);
        assert_int_equal(content.damaged, 0);
        for (uint64_t seq = 1; seq < content.next_seq && seq < content.n_links; seq++) {
                int64_t link = content.links[seq];

                if (link == 0)
                        continue;
                while (seen < run->answered && run->links[seen] < link) {
                        seen++;
                        others++; /* shed */
                }
                assert_true(seen < run->answered);
                assert_int_equal(run->links[seen], link);
                seen++;
        }
        others += run->answered - seen;
        assert_int_equal(others, run->stats.shed);
        content_done(&content);
}

static void empty_folder(const Folder *folder) {
        while (folder_count(folder, ".seg") > 0)
                assert_int_equal(unlinkat(folder->fd, folder_segment(folder, 0), 0), 0);
}

static void fail_at_each_call(void **state, SpoolSync sync, SpoolOnFull on_full, int error) {
        const Folder *folder = *state;
        SpoolOptions options = spool_options(folder);
        unsigned n_calls;
        Run run;

        options.sync = sync;
        options.on_full = on_full;
        io_fail(0, 0, 0);
        run_batches(&options, &run);
        n_calls = io_calls();
        assert_int_equal(run.answered, N_BATCHES * 50);
        check_run(folder, &run);
        free(run.links);
        /* Most calls are a batch's pwrite, one like the other: some of them are enough. */
        for (unsigned n = 1; n <= n_calls; n += n < 20 || n > n_calls - 5 ? 1 : 23) {
                empty_folder(folder);
                io_fail(n, 1 + n % 3, error);
                run_batches(&options, &run);
                if (run.opened)
                        check_run(folder, &run);
                if (run.opened && on_full == SPOOL_FAIL)
                        assert_int_equal(run.stats.shed, 0);
                free(run.links);
        }
}

static void test_failures_interval_shed(void **state) {
        fail_at_each_call(state, SPOOL_SYNC_INTERVAL, SPOOL_SHED, EIO);
}

static void test_failures_interval_fail(void **state) {
        fail_at_each_call(state, SPOOL_SYNC_INTERVAL, SPOOL_FAIL, ENOSPC);
}

static void test_failures_always_fail(void **state) {
        fail_at_each_call(state, SPOOL_SYNC_ALWAYS, SPOOL_FAIL, 0);
}

static void test_failures_off_shed(void **state) {
        fail_at_each_call(state, SPOOL_SYNC_OFF, SPOOL_SHED, 0);
}

/* A disk that refuses every call is asked now and then, not for each visit. */
static void test_sick_disk(void **state) {
        SpoolOptions options = spool_options(*state);
        SpoolStats stats;
        Spool *spool;

        options.retry_usec = 3600 * USEC_PER_SEC;
        spool = spool_start(&options);
        spool_visits(spool, 1, 10);
        io_fail(1, 1000000, EIO);
        for (int i = 0; i < 1000; i++)
                spool_visits(spool, i, 1);
        assert_in_range(io_calls(), 1, 10);
        spool_stats(spool, &stats);
        assert_int_equal(stats.shed, 1000);
        io_fail(0, 0, 0);
        (void)spool_free(spool);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)
                        T(test_write_and_read),
                        T(test_unused_spool_leaves_nothing),
                        T(test_folder_is_locked),
                        T(test_segments_roll),
                        T(test_batch_beyond_the_buffer),
                        T(test_sync_always),
                        T(test_full_shed),
                        T(test_full_at_the_end),
                        T(test_full_fail),
                        T(test_sick_disk),
                        T(test_failures_interval_shed),
                        T(test_failures_interval_fail),
                        T(test_failures_always_fail),
                        T(test_failures_off_shed),
#undef T
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
