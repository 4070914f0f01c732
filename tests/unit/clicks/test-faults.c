/* SPDX-License-Identifier: MIT */
/* Processes that are killed, disks that fail under a running helper, and the mistakes that others
 * made (design: clicks). */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/clock.h"
#include "fixture.h"

#define ROUNDS    50
#define MOST_ACKS 400000u

/* ---- kill -9 ---- */

/* What the writer tells while it lives, in shared memory. */
typedef struct Told {
        atomic_bool started;
        uint8_t id[SPOOL_ID_SIZE];
        _Atomic uint64_t n_acked;
        int64_t acked[MOST_ACKS]; /* links, in order */
} Told;

static uint32_t next_random(uint32_t *state) {
        *state = *state * 1664525u + 1013904223u;
        return *state >> 8;
}

/* Batches of 1 to 64 until it is killed. failing: now and then a call fails meanwhile. */
static void write_until_killed(const Folder *folder, Told *told, uint32_t seed, bool failing) {
        SpoolOptions options = spool_options(folder);
        int64_t link = 1;
        Spool *spool = NULL;
        uint64_t seq;

        options.on_full = SPOOL_FAIL;
        if (spool_open(&options, NULL, &spool) < 0)
                _exit(1);
        memcpy(told->id, spool_id(spool), SPOOL_ID_SIZE);
        (void)helper_begin(spool);
        atomic_store(&told->started, true);
        for (;;) {
                uint64_t n = atomic_load(&told->n_acked);
                unsigned size = 1 + next_random(&seed) % 64;

                if (n + size > MOST_ACKS)
                        _exit(0);
                if (failing && next_random(&seed) % 16 == 0)
                        io_fail(1 + next_random(&seed) % 20, 1 + next_random(&seed) % 3,
                                next_random(&seed) % 2 ? EIO : 0);
                for (unsigned i = 0; i < size; i++) {
                        Click click = click_of(link);

                        if (spool_add(spool, &click) == 0)
                                told->acked[n++] = link;
                        link++;
                }
                if (spool_flush(spool, &seq) == 0)
                        atomic_store(&told->n_acked, n);
        }
}

/* All that was acknowledged, in order; besides it only what came behind the last of them. */
static void check_told(const Folder *folder, const Told *told) {
        uint64_t n = 0, n_acked = atomic_load(&told->n_acked);
        Content content;

        content_read(folder, told->id, NULL, &content);
        assert_int_equal(content.shed + content.damaged, 0);
        for (uint64_t seq = 1; seq < content.next_seq; seq++) {
                if (n < n_acked)
                        assert_int_equal(content.links[seq], told->acked[n]);
                else if (n_acked > 0)
                        assert_true(content.links[seq] > told->acked[n_acked - 1]);
                n++;
        }
        assert_true(n >= n_acked);
        content_done(&content);
}

static void kill_writers(const Folder *folder, bool failing, uint32_t seed) {
        Told *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0);
        uint64_t total = 0;

        assert_ptr_not_equal(told, MAP_FAILED);
        if (failing)
                io_fail(0, 0, 0);
        for (int round = 0; round < ROUNDS / 2; round++) {
                pid_t pid;

                atomic_store(&told->started, false);
                atomic_store(&told->n_acked, 0);
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0)
                        write_until_killed(folder, told, seed + (uint32_t)round, failing);
                wait_for(atomic_load(&told->started));
                (void)poll(NULL, 0, (int)(next_random(&seed) % 25));
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                check_told(folder, told);
                total += atomic_load(&told->n_acked);
                while (folder_count(folder, ".seg") > 20)
                        assert_int_equal(unlinkat(folder->fd, folder_segment(folder, 0), 0), 0);
        }
        assert_true(total > 0);
        (void)munmap(told, sizeof(*told));
}

static void test_kill(void **state) {
        kill_writers(*state, false, 1);
}

static void test_kill_while_the_disk_fails(void **state) {
        kill_writers(*state, true, 2);
}

/* ---- failures beside a running helper ---- */

/* One visit; true if it was written and not shed. */
static bool is_written(Spool *spool, uint64_t *n_acked) {
        SpoolStats before, after;

        spool_stats(spool, &before);
        spool_visits(spool, 1, 1);
        (*n_acked)++;
        spool_stats(spool, &after);
        return after.shed == before.shed;
}

static void fail_beside_helper(const Folder *folder, SpoolSync sync, uint32_t seed) {
        SpoolOptions options = spool_options(folder);
        uint64_t seq = 0, n_acked = 0;
        uint8_t id[SPOOL_ID_SIZE];
        SpoolStats stats;
        Content content;
        Helper *helper;
        Spool *spool;

        options.sync = sync;
        options.sync_interval_usec = 200;
        io_fail(0, 0, 0);
        spool = spool_start(&options);
        memcpy(id, spool_id(spool), sizeof(id));
        helper = helper_begin(spool);
        for (int64_t i = 0; i < 300; i++) {
                Click click = click_of(i + 1);

                if (i % 30 == 0) {
                        wait_for(is_written(spool, &n_acked));
                        io_fail(1 + next_random(&seed) % 8, 1, EIO);
                }
                for (int j = 0; j < 20; j++)
                        assert_int_equal(spool_add(spool, &click), 0);
                assert_int_equal(spool_flush(spool, &seq), 0);
                n_acked += 20;
                if (sync == SPOOL_SYNC_ALWAYS)
                        wait_for((assert_int_equal(spool_flush(spool, &seq), 0),
                                  spool_durable(spool) >= seq));
        }
        io_fail(0, 0, 0);
        spool_stats(spool, &stats);
        assert_true(stats.errors > 0);
        helper_end(helper);
        (void)spool_free(spool);
        content_read(folder, id, NULL, &content);
        assert_int_equal(content.damaged, 0);
        assert_int_equal(content.shed, stats.shed);
        assert_int_equal(content.visits + content.shed, n_acked);
        content_done(&content);
}

static void test_sync_fails_interval(void **state) {
        fail_beside_helper(*state, SPOOL_SYNC_INTERVAL, 3);
}

static void test_sync_fails_always(void **state) {
        fail_beside_helper(*state, SPOOL_SYNC_ALWAYS, 4);
}

/* The kernel dropped the pages that it could not write: what was unsynced comes from memory. */
static void test_failed_file_lost_its_pages(void **state) {
        const Folder *folder = *state;
        const SpoolOptions options = spool_options(folder);
        Spool *spool = spool_start(&options);
        Content content;
        int fd;

        spool_visits(spool, 1, 500);
        spool_visits(spool, 501, 500);
        fd = openat(folder->fd, folder_segment(folder, 0), O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 65536), 0);
        (void)close(fd);
        io_fail(1, 1, EIO);
        spool_visits(spool, 1001, 10);
        io_restore();
        content_read(folder, spool_id(spool), spool, &content);
        assert_int_equal(content.visits, 1010);
        for (uint64_t seq = 1; seq <= 1010; seq++)
                assert_int_equal(content.links[seq], seq);
        content_done(&content);
        (void)spool_free(spool);
}

/* A reader of the live spool that is in the middle of a file when that is abandoned. */
static void test_reader_follows_a_failure(void **state) {
        const Folder *folder = *state;
        SpoolOptions options = spool_options(folder);
        Spool *spool;
        Reader *reader = NULL;
        ReaderItem item;
        int64_t next = 1;

        options.on_full = SPOOL_FAIL;
        spool = spool_start(&options);
        assert_int_equal(reader_open(folder->fd, spool_id(spool), 1, spool, &reader), 0);
        for (unsigned round = 0; round < 40; round++) {
                spool_visits(spool, round * 30 + 1, 20);
                for (unsigned i = 0; i < round % 20; i++) {
                        assert_int_equal(reader_next(reader, &item), 1);
                        assert_int_equal(item.click.link_id, next++);
                }
                io_fail(1, 1, round % 2 ? 0 : ENOSPC);
                spool_visits(spool, round * 30 + 21, 10);
                io_restore();
                while (next < round * 30 + 31) {
                        assert_int_equal(reader_next(reader, &item), 1);
                        assert_int_equal(item.kind, READER_VISIT);
                        assert_int_equal(item.click.link_id, next++);
                }
                assert_int_equal(reader_next(reader, &item), 0);
        }
        (void)reader_free(reader);
        (void)spool_free(spool);
}

/* ---- what a dead process left half done ---- */

static void test_spare_files_are_settled(void **state) {
        const Folder *folder = *state;
        const SpoolOptions options = spool_options(folder);
        uint8_t id[SPOOL_ID_SIZE], data[RECORD_MAX_SIZE + 8192] = {0};
        char name[SEGMENT_NAME_SIZE];
        Click click = click_of(5);
        Content content;
        size_t len;

        segment_id_new(id);
        len = record_encode_visit(record_crc_start(id), 1, &click, data);
        segment_side_name(id, "own", name);
        file_write(folder, name, data, sizeof(data));
        (void)record_encode_visit(record_crc_start(id), 2, &click, data + len);
        memset(data, 0, 8); /* not finished */
        segment_side_name(id, "next", name);
        file_write(folder, name, data, sizeof(data));
        file_write(folder, "0123.seg", "x", 1);
        file_write(folder, "01234567-89ab-7def-8123-456789abcdeg.00000000000000000001.seg", "x", 1);
        file_write(folder, "01234567-89ab-7def-8123-456789abcdef.0000000000000000000x.seg", "x", 1);
        file_write(folder, "01234567-89ab-7def-8123-456789abcdef.00000000000000000000.seg", "x", 1);

        (void)spool_free(spool_start(&options));
        assert_int_equal(folder_count(folder, ".own"), 0);
        assert_int_equal(folder_count(folder, ".next"), 0);
        content_read(folder, id, NULL, &content);
        assert_int_equal(content.visits, 1);
        assert_int_equal(content.links[1], 5);
        content_done(&content);
}

/* The unused end of a dead process' segment gives its blocks back; what it holds stays. */
static void test_unused_end_is_cut(void **state) {
        const Folder *folder = *state;
        const SpoolOptions options = spool_options(folder);
        Told *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0);
        struct stat st;
        pid_t pid;

        assert_ptr_not_equal(told, MAP_FAILED);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Spool *spool = NULL;
                Click click = click_of(1);
                uint64_t seq;

                if (spool_open(&options, NULL, &spool) < 0 || spool_add(spool, &click) < 0 ||
                    spool_flush(spool, &seq) < 0)
                        _exit(1);
                memcpy(told->id, spool_id(spool), SPOOL_ID_SIZE);
                told->acked[0] = 1;
                atomic_store(&told->n_acked, 1);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(fstatat(folder->fd, folder_segment(folder, 0), &st, 0), 0);
        assert_int_equal(st.st_size, MIB);
        (void)spool_free(spool_start(&options));
        assert_int_equal(fstatat(folder->fd, folder_segment(folder, 0), &st, 0), 0);
        assert_in_range(st.st_size, 1, 16384);
        check_told(folder, told);
        (void)munmap(told, sizeof(*told));
}

/* ---- mistakes that others made ---- */

/* 1. A header or state file beside the data: there is none. */
static void test_no_state_beside_the_records(void **state) {
        const Folder *folder = *state;
        const SpoolOptions options = spool_options(folder);
        Spool *spool = spool_start(&options);
        struct stat before, after;
        uint8_t *data;
        Record record;
        size_t len;

        spool_visits(spool, 1, 10);
        assert_int_equal(fstatat(folder->fd, SEGMENT_LOCK_OWNER, &before, 0), 0);
        assert_int_equal(before.st_size, 0);
        assert_int_equal(folder_count(folder, ""), 2 + 2); /* . and .., the lock, one segment */
        spool_visits(spool, 11, 1);
        assert_int_equal(fstatat(folder->fd, SEGMENT_LOCK_OWNER, &after, 0), 0);
        assert_int_equal(after.st_size, 0);
        data = file_read(folder, folder_segment(folder, 0), &len);
        assert_true(record_decode(record_crc_start(spool_id(spool)), data, len, &record) > 0);
        assert_int_equal(record.seq, 1);
        free(data);
        (void)spool_free(spool);
}

/* 3. Acknowledged before the data is in place: the number moves behind the pwrite. */
static const Spool *watched;
static uint64_t seen_in_pwrite;

static ssize_t watching_pwrite(int fd, const void *data, size_t len, off_t offset) {
        seen_in_pwrite = spool_written_seq(watched);
        return pwrite(fd, data, len, offset);
}

static void test_written_before_acknowledged(void **state) {
        const SpoolOptions options = spool_options(*state);
        const ClicksIo real = clicks_io;
        Spool *spool = spool_start(&options);

        watched = spool;
        clicks_io.pwrite = watching_pwrite;
        spool_visits(spool, 1, 10);
        assert_int_equal(seen_in_pwrite, 1);
        assert_int_equal(spool_written_seq(spool), 11);
        clicks_io = real;
        (void)spool_free(spool);
}

/* 4. A start that reads the backlog: bytes read do not grow with it. */
static unsigned long long bytes_read(void) {
        FILE *file = fopen("/proc/self/io", "re");
        unsigned long long n = 0;

        assert_non_null(file);
        assert_int_equal(fscanf(file, "rchar: %llu", &n), 1);
        (void)fclose(file);
        return n;
}

static void test_start_does_not_read_the_backlog(void **state) {
        const SpoolOptions options = spool_options(*state);
        unsigned long long before;
        Spool *spool;

        for (int i = 0; i < 3; i++) {
                spool = spool_start(&options);
                spool_visits(spool, 1, 12000);
                (void)spool_free(spool);
        }
        before = bytes_read();
        spool = spool_start(&options);
        assert_in_range(bytes_read() - before, 0, 16384);
        (void)spool_free(spool);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)
                        T(test_kill),
                        T(test_kill_while_the_disk_fails),
                        T(test_sync_fails_interval),
                        T(test_sync_fails_always),
                        T(test_failed_file_lost_its_pages),
                        T(test_reader_follows_a_failure),
                        T(test_spare_files_are_settled),
                        T(test_unused_end_is_cut),
                        T(test_no_state_beside_the_records),
                        T(test_written_before_acknowledged),
                        T(test_start_does_not_read_the_backlog),
#undef T
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
