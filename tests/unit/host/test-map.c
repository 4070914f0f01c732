/* SPDX-License-Identifier: MIT */
/* The file: made once, repaired, refused. */

#include "host-test.h"

#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>

#include "host/map.h"

#define ROUNDS 100

static void write_file(const Fixture *f, const void *data, size_t len, off_t offset) {
        int fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, data, len, offset), (ssize_t)len);
        assert_int_equal(close(fd), 0);
}

static HostMap *open_map(const Fixture *f) {
        HostMap *map = NULL;

        assert_int_equal(host_map_open(f->path, true, &map), 0);
        return map;
}

static int open_error(const Fixture *f) {
        HostMap *map = NULL;
        int r = host_map_open(f->path, true, &map);

        assert_null(map);
        return r;
}

/* ---- making ---- */

static void test_made_whole(void **state) {
        Fixture *f = *state;
        HostMap *map;
        struct stat st;
        mode_t mask = umask(007);

        map = open_map(f);
        (void)umask(mask);
        assert_int_equal(stat(f->path, &st), 0);
        assert_int_equal(st.st_size, sizeof(PageLayout));
        assert_true((uint64_t)st.st_blocks * 512 >= sizeof(PageLayout)); /* no SIGBUS later */
        assert_int_equal(st.st_mode & 07777, 0660);
        assert_true(map->page->header.magic == PAGE_MAGIC);
        assert_int_equal(map->page->header.layout, 1);
        assert_true(map->page->header.made_usec != 0);
        assert_null(host_map_free(map));
        assert_null(host_map_free(NULL));
}

/* Opens, adds one to a counter, says which page it has. */
static void open_and_tell(const Fixture *f, int in, int out) {
        HostMap *map;

        (void)hear(in);
        CHILD_CHECK(host_map_open(f->path, true, &map) == 0);
        (void)__atomic_add_fetch(&map->page->counters[7].value, 1, __ATOMIC_SEQ_CST);
        CHILD_CHECK(write(out, &map->page->header.id, 8) == 8);
        (void)hear(in);
}

static void test_two_make_it_at_once(void **state) {
        Fixture *f = *state;

        for (int i = 0; i < ROUNDS; i++) {
                Child a = child_start(f, open_and_tell), b = child_start(f, open_and_tell);
                uint64_t id_a = 0, id_b = 0;
                HostMap *map;

                tell(a.to_child);
                tell(b.to_child);
                assert_int_equal(read(a.from_child, &id_a, 8), 8);
                assert_int_equal(read(b.from_child, &id_b, 8), 8);
                assert_true(id_a == id_b);
                child_finish(&a);
                child_finish(&b);
                map = open_map(f);
                assert_true(map->page->header.id == id_a);
                assert_int_equal(map->page->counters[7].value, 2);
                (void)host_map_free(map);
                assert_int_equal(unlink(f->path), 0);
        }
}

static void test_a_page_outlives_its_processes(void **state) {
        Fixture *f = *state;
        HostMap *map = open_map(f);
        uint64_t id = map->page->header.id;

        map->page->counters[9].value = 5;
        (void)host_map_free(map);
        map = open_map(f);
        assert_true(map->page->header.id == id);
        assert_int_equal(map->page->counters[9].value, 5);
        (void)host_map_free(map);
}

/* ---- repairing ---- */

static void die_while_making(const Fixture *f, int in, int out) {
        struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 65536};
        HostMap *map = NULL;

        (void)in;
        (void)signal(SIGXFSZ, SIG_IGN);
        CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        CHILD_CHECK(host_map_open(f->path, true, &map) == -EFBIG && !map);
        tell(out);
}

static void test_half_made_page_is_made_anew(void **state) {
        Fixture *f = *state;
        char zeros[8192] = {0};
        Child child;

        /* no room: the file is there, the page is not */
        child = child_start(f, die_while_making);
        assert_true(hear(child.from_child));
        child_finish(&child);
        (void)host_map_free(open_map(f));

        /* its maker died before the magic */
        write_file(f, zeros, 8, 0);
        (void)host_map_free(open_map(f));

        /* at other points of the making */
        for (size_t len = 0; len <= sizeof(zeros); len += 2048) {
                assert_int_equal(unlink(f->path), 0);
                write_file(f, zeros, len, 0);
                (void)host_map_free(open_map(f));
        }
}

static void test_truncated_page(void **state) {
        Fixture *f = *state;
        HostMap *map = open_map(f);
        uint64_t id = map->page->header.id;

        assert_int_equal(truncate(f->path, sizeof(PageLayout) - 4096), 0);
        assert_int_equal(open_error(f), -EBUSY); /* while somebody has it */
        (void)host_map_free(map);
        map = open_map(f);
        assert_true(map->page->header.id != id);
        map->page->slots[HOST_SLOTS - 1].names[HOST_WRITERS - 1].n = 0;
        (void)host_map_free(map);
}

static void test_page_of_another_boot(void **state) {
        Fixture *f = *state;
        HostMap *map = open_map(f);
        uint64_t id = map->page->header.id, epoch = map->page->header.epoch;
        uint8_t other[16] = {1, 2, 3}, unknown[16] = {0};

        map->page->counters[1].value = 1;
        (void)host_map_free(map);
        write_file(f, unknown, 16, offsetof(PageHeader, boot_id));
        map = open_map(f);
        assert_true(map->page->header.id == id);
        (void)host_map_free(map);
        write_file(f, other, 16, offsetof(PageHeader, boot_id));
        map = open_map(f);
        assert_true(map->page->header.id != id && map->page->header.epoch != epoch);
        assert_int_equal(map->page->counters[1].value, 0);
        (void)host_map_free(map);
}

/* A later version's page: the same layout, grown behind its end. */
static void test_longer_page_is_shared(void **state) {
        Fixture *f = *state;
        HostMap *map = open_map(f);
        uint64_t id = map->page->header.id, size = sizeof(PageLayout) + 4096;

        (void)host_map_free(map);
        assert_int_equal(truncate(f->path, (off_t)size), 0);
        write_file(f, &size, 8, offsetof(PageHeader, size));
        map = open_map(f);
        assert_true(map->page->header.id == id);
        (void)host_map_free(map);
}

/* Nothing in a page outlives those who use it: when nobody does, a damaged one is made again. */
static void test_damaged_page(void **state) {
        static const struct {
                off_t offset;
                size_t len;
        } fields[] = {
                        {0, 8},
                        {offsetof(PageHeader, layout), 4},
                        {offsetof(PageHeader, size), 8},
        };
        Fixture *f = *state;
        const char text[] = "id:   1\n";
        HostMap *map;

        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                map = open_map(f);
                write_file(f, text, fields[i].len, fields[i].offset);
                assert_true(open_error(f) < 0); /* it is in use */
                (void)host_map_free(map);
                map = open_map(f);
                assert_true(map->page->header.layout == PAGE_LAYOUT);
                (void)host_map_free(map);
        }
}

/* ---- refusing ---- */

static void test_what_is_no_page_is_left_alone(void **state) {
        Fixture *f = *state;
        char text[32] = "precious data";
        struct stat st;

        write_file(f, text, sizeof(text), 0);
        assert_int_equal(open_error(f), -EBADMSG);
        assert_int_equal(stat(f->path, &st), 0);
        assert_int_equal(st.st_size, sizeof(text));
        assert_int_equal(unlink(f->path), 0);

        assert_int_equal(mkfifo(f->path, 0600), 0);
        assert_int_equal(open_error(f), -EBADMSG);
        assert_int_equal(unlink(f->path), 0);

        assert_int_equal(symlink("elsewhere", f->path), 0);
        assert_int_equal(open_error(f), -ELOOP);
        assert_int_equal(unlink(f->path), 0);

        assert_int_equal(mkdir(f->path, 0700), 0);
        assert_int_equal(open_error(f), -EISDIR);
        assert_int_equal(rmdir(f->path), 0);
}

static void test_errors_name_themselves(void **state) {
        Fixture *f = *state;
        HostPage *page = NULL;
        struct rlimit old, none;
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/missing", f->directory);
        assert_int_equal(host_page_open(path, &page), -ENOENT);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        none = old;
        none.rlim_cur = 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_int_equal(host_page_open(f->directory, &page), -EMFILE);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_null(page);
}

static void test_a_page_in_the_making_is_not_waited_for(void **state) {
        Fixture *f = *state;
        HostMap *map = NULL;
        int fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(flock(fd, LOCK_EX), 0);
        assert_int_equal(host_map_open(f->path, false, &map), -EAGAIN);
        assert_null(map);
        assert_int_equal(close(fd), 0);
        assert_int_equal(host_map_open(f->path, false, &map), 0);
        (void)host_map_free(map);
}

/* ---- byte locks ---- */

static void test_byte_locks(void **state) {
        Fixture *f = *state;
        HostMap *a = open_map(f), *b = open_map(f);

        assert_int_equal(host_map_try_lock(a, 100), 0);
        assert_int_equal(host_map_try_lock(b, 100), -EAGAIN);
        assert_int_equal(host_map_try_lock(b, 101), 0);
        assert_true(host_map_locked(b, 100));
        assert_false(host_map_locked(a, 100)); /* not by another one */
        host_map_unlock(a, 100);
        assert_false(host_map_locked(b, 100));
        assert_int_equal(host_map_wait_lock(b, 100), 0);
        assert_int_equal(host_map_try_lock(a, 100), -EAGAIN);
        (void)host_map_free(b);
        assert_int_equal(host_map_try_lock(a, 100), 0);
        (void)host_map_free(a);
}

/* clang-format off */
int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_IN_FOLDER(test_made_whole),
                TEST_IN_FOLDER(test_two_make_it_at_once),
                TEST_IN_FOLDER(test_a_page_outlives_its_processes),
                TEST_IN_FOLDER(test_half_made_page_is_made_anew),
                TEST_IN_FOLDER(test_truncated_page),
                TEST_IN_FOLDER(test_page_of_another_boot),
                TEST_IN_FOLDER(test_longer_page_is_shared),
                TEST_IN_FOLDER(test_damaged_page),
                TEST_IN_FOLDER(test_what_is_no_page_is_left_alone),
                TEST_IN_FOLDER(test_errors_name_themselves),
                TEST_IN_FOLDER(test_a_page_in_the_making_is_not_waited_for),
                TEST_IN_FOLDER(test_byte_locks),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
/* clang-format on */
