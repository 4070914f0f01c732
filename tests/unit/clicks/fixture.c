/* SPDX-License-Identifier: MIT */
/* The tests' common part; see fixture.h. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/segment.h"
#include "fixture.h"

static const char agent[] =
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                "Chrome/126.0.0.0 Safari/537.36";

/* ---- folders and files ---- */

const char *folder_base(void) {
        return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

int folder_setup(void **state) {
        Folder *folder = calloc(1, sizeof(*folder));

        assert_non_null(folder);
        (void)snprintf(folder->path, sizeof(folder->path), "%s/clicks-XXXXXX", folder_base());
        assert_non_null(mkdtemp(folder->path));
        folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(folder->fd >= 0);
        *state = folder;
        return 0;
}

int folder_teardown(void **state) {
        Folder *folder = *state;
        struct dirent *entry;
        DIR *dir;

        io_restore();
        dir = opendir(folder->path);
        assert_non_null(dir);
        while ((entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        (void)unlinkat(folder->fd, entry->d_name, 0);
        (void)closedir(dir);
        (void)close(folder->fd);
        assert_int_equal(rmdir(folder->path), 0);
        free(folder);
        return 0;
}

const char *folder_segment(const Folder *folder, int i) {
        static char name[SEGMENT_NAME_SIZE];
        SegmentList list = {0};

        assert_int_equal(segment_list(folder->fd, NULL, &list), 0);
        if (i < 0)
                i += (int)list.n;
        assert_in_range(i, 0, list.n - 1);
        memcpy(name, list.items[i].name, sizeof(name));
        segment_list_done(&list);
        return name;
}

unsigned folder_count(const Folder *folder, const char *suffix) {
        struct dirent *entry;
        unsigned n = 0;
        DIR *dir;

        dir = opendir(folder->path);
        assert_non_null(dir);
        while ((entry = readdir(dir))) {
                size_t len = strlen(entry->d_name);

                n += len > strlen(suffix) &&
                     strcmp(entry->d_name + len - strlen(suffix), suffix) == 0;
        }
        (void)closedir(dir);
        return n;
}

uint8_t *file_read(const Folder *folder, const char *name, size_t *ret_len) {
        struct stat st;
        uint8_t *data;
        int fd;

        fd = openat(folder->fd, name, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        data = malloc((size_t)st.st_size + 1);
        assert_non_null(data);
        assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
        (void)close(fd);
        *ret_len = (size_t)st.st_size;
        return data;
}

void file_write(const Folder *folder, const char *name, const void *data, size_t len) {
        int fd = openat(folder->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, len), len);
        (void)close(fd);
}

void file_patch(const Folder *folder, const char *name, size_t at, const void *data, size_t len) {
        int fd = openat(folder->fd, name, O_WRONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, data, len, (off_t)at), len);
        (void)close(fd);
}

/* ---- spools ---- */

SpoolOptions spool_options(const Folder *folder) {
        return (SpoolOptions){
                        .directory = folder->path,
                        .sync = SPOOL_SYNC_INTERVAL,
                        .sync_interval_usec = 2000,
                        .on_full = SPOOL_SHED,
                        .segment_size = MIB,
                        .max_size = 1024ULL * MIB,
                        .retry_usec = 1,
        };
}

Spool *spool_start(const SpoolOptions *options) {
        Spool *spool = NULL;

        assert_int_equal(spool_open(options, NULL, &spool), 0);
        return spool;
}

Click click_of(int64_t link) {
        return (Click){
                        .link_id = link,
                        .time_usec = clock_realtime_usec(),
                        .remote = SLICE("203.0.113.7"),
                        .user_agent = slice_from_string(agent),
                        .request_id = SLICE("01J0Q6Z8ABCDEF"),
        };
}

void spool_visits(Spool *spool, int64_t first, unsigned n) {
        uint64_t seq;

        for (unsigned i = 0; i < n; i++) {
                Click click = click_of(first + i);

                assert_int_equal(spool_add(spool, &click), 0);
        }
        assert_int_equal(spool_flush(spool, &seq), 0);
        assert_true(spool_batch_empty(spool));
}

struct Helper {
        pthread_t thread;
        Spool *spool;
};

static void *helper_body(void *userdata) {
        spool_helper(userdata);
        return NULL;
}

Helper *helper_begin(Spool *spool) {
        Helper *helper = calloc(1, sizeof(*helper));

        assert_non_null(helper);
        helper->spool = spool;
        assert_int_equal(pthread_create(&helper->thread, NULL, helper_body, spool), 0);
        return helper;
}

void helper_end(Helper *helper) {
        spool_helper_stop(helper->spool);
        assert_int_equal(pthread_join(helper->thread, NULL), 0);
        free(helper);
}

void content_read(const Folder *folder, const uint8_t id[SPOOL_ID_SIZE], const Spool *live,
                  Content *ret) {
        Content content = {.next_seq = 1};
        Reader *reader = NULL;
        ReaderItem item;
        int r;

        assert_int_equal(reader_open(folder->fd, id, 1, live, &reader), 0);
        while ((r = reader_next(reader, &item)) == 1) {
                assert_int_equal(item.seq, content.next_seq);
                assert_true(item.n > 0);
                content.next_seq += item.n;
                if (item.kind == READER_SHED)
                        content.shed += item.n;
                if (item.kind == READER_DAMAGED)
                        content.damaged += item.n;
                if (item.kind != READER_VISIT)
                        continue;
                assert_int_equal(item.n, 1);
                if (item.seq >= content.n_links) {
                        size_t n = item.seq * 2 + 64;

                        content.links = realloc(content.links, n * sizeof(int64_t));
                        assert_non_null(content.links);
                        memset(content.links + content.n_links, 0,
                               (n - content.n_links) * sizeof(int64_t));
                        content.n_links = n;
                }
                content.links[item.seq] = item.click.link_id;
                content.visits++;
        }
        assert_int_equal(r, 0);
        (void)reader_free(reader);
        *ret = content;
}

void content_done(Content *content) {
        free(content->links);
        *content = (Content){0};
}

/* ---- failing system calls ---- */

static ClicksIo real_io;
static bool replaced;
static atomic_uint n_calls, fail_from, fail_count;
static atomic_int fail_error;

static bool fails(void) {
        unsigned n = atomic_fetch_add(&n_calls, 1) + 1, from = atomic_load(&fail_from);

        return n >= from && n - from < atomic_load(&fail_count);
}

static int failing_open(int directory_fd, const char *name, int flags, mode_t mode) {
        if (!fails())
                return real_io.open(directory_fd, name, flags, mode);
        errno = atomic_load(&fail_error) == 0 ? ENOSPC : atomic_load(&fail_error);
        return -1;
}

static ssize_t failing_pread(int fd, void *data, size_t len, off_t offset) {
        if (!fails())
                return real_io.pread(fd, data, len, offset);
        errno = EIO;
        return -1;
}

static ssize_t failing_pwrite(int fd, const void *data, size_t len, off_t offset) {
        if (!fails())
                return real_io.pwrite(fd, data, len, offset);
        if (atomic_load(&fail_error) == 0)
                return real_io.pwrite(fd, data, len / 2, offset);
        errno = atomic_load(&fail_error);
        return -1;
}

static int failing_sync(int fd) {
        if (!fails())
                return real_io.sync(fd);
        errno = EIO;
        return -1;
}

static int failing_sync_data(int fd) {
        if (!fails())
                return real_io.sync_data(fd);
        errno = EIO;
        return -1;
}

static int failing_allocate(int fd, off_t at, off_t n) {
        if (!fails())
                return real_io.allocate(fd, at, n);
        return atomic_load(&fail_error) == 0 ? ENOSPC : atomic_load(&fail_error);
}

static int failing_rename(int directory_fd, const char *from, const char *to) {
        if (!fails())
                return real_io.rename(directory_fd, from, to);
        errno = EIO;
        return -1;
}

void io_fail(unsigned n, unsigned count, int error) {
        if (!replaced) {
                real_io = clicks_io;
                clicks_io = (ClicksIo){
                                .open = failing_open,
                                .pread = failing_pread,
                                .pwrite = failing_pwrite,
                                .sync = failing_sync,
                                .sync_data = failing_sync_data,
                                .allocate = failing_allocate,
                                .rename = failing_rename,
                };
                replaced = true;
        }
        atomic_store(&fail_count, 0);
        atomic_store(&n_calls, 0);
        atomic_store(&fail_error, error);
        atomic_store(&fail_from, n);
        atomic_store(&fail_count, count);
}

unsigned io_calls(void) {
        return atomic_load(&n_calls);
}

void io_restore(void) {
        if (replaced)
                clicks_io = real_io;
        replaced = false;
}
