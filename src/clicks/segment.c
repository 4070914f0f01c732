/* SPDX-License-Identifier: MIT */
/* Files of a spool folder. Nothing here is on the path of a redirect. Any thread. */

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/hash.h"
#include "basic/number.h"
#include "clicks/io.h"
#include "clicks/record.h"
#include "clicks/segment.h"

#define SEGMENT_SUFFIX ".seg"
#define ID_TEXT_LEN    (SPOOL_ID_TEXT_SIZE - 1)
#define SPARE_ZEROS    4096 /* left behind the data: a torn record's end stays recognisable */

static void close_p(int *fd) {
        if (*fd >= 0)
                (void)close(*fd);
}
#define _cleanup_close_ _cleanup_(close_p)

static void closedir_p(DIR **dir) {
        if (*dir)
                (void)closedir(*dir);
}

void segment_list_done(SegmentList *list) {
        free(list->items);
        *list = (SegmentList){0};
}

void segment_id_new(uint8_t ret[SPOOL_ID_SIZE]) {
        HashKey random = hash_key_random();
        uint64_t time_ms = htobe64((clock_realtime_usec() / USEC_PER_MSEC) << 16);

        memcpy(ret, &random, SPOOL_ID_SIZE);
        memcpy(ret, &time_ms, 6);
        ret[6] = (uint8_t)(0x70 | (ret[6] & 0x0F));
        ret[8] = (uint8_t)(0x80 | (ret[8] & 0x3F));
}

void segment_id_format(const uint8_t id[SPOOL_ID_SIZE], char ret[SPOOL_ID_TEXT_SIZE]) {
        static const char digits[] = "0123456789abcdef";
        char *p = ret;

        for (size_t i = 0; i < SPOOL_ID_SIZE; i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *p++ = '-';
                *p++ = digits[id[i] >> 4];
                *p++ = digits[id[i] & 0x0F];
        }
        *p = '\0';
}

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool id_parse(const char *text, uint8_t ret[SPOOL_ID_SIZE]) {
        uint8_t id[SPOOL_ID_SIZE];
        char again[SPOOL_ID_TEXT_SIZE];
        const char *p = text;

        for (size_t i = 0; i < SPOOL_ID_SIZE; i++) {
                int high, low;

                if (i == 4 || i == 6 || i == 8 || i == 10)
                        p++;
                high = hex_value(p[0]);
                low = hex_value(p[1]);
                if (high < 0 || low < 0)
                        return false;
                id[i] = (uint8_t)(high << 4 | low);
                p += 2;
        }
        segment_id_format(id, again);
        if (memcmp(again, text, ID_TEXT_LEN) != 0)
                return false;
        memcpy(ret, id, SPOOL_ID_SIZE);
        return true;
}

/* "<uuid>.<rest>": true and the rest. */
static bool split_name(const char *name, uint8_t ret_id[SPOOL_ID_SIZE], const char **ret_rest) {
        if (strlen(name) <= ID_TEXT_LEN + 1 || name[ID_TEXT_LEN] != '.' || !id_parse(name, ret_id))
                return false;
        *ret_rest = name + ID_TEXT_LEN + 1;
        return true;
}

static bool parse_segment_name(const char *name, Segment *ret) {
        const char *rest;
        size_t len;

        if (strlen(name) >= SEGMENT_NAME_SIZE || !split_name(name, ret->id, &rest))
                return false;
        len = strlen(rest);
        if (len <= strlen(SEGMENT_SUFFIX))
                return false;
        len -= strlen(SEGMENT_SUFFIX);
        if (strcmp(rest + len, SEGMENT_SUFFIX) != 0 ||
            number_parse_u64(slice_make(rest, len), &ret->first_seq) < 0 || ret->first_seq == 0 ||
            ret->first_seq >= RECORD_SEQ_END)
                return false;
        memcpy(ret->name, name, strlen(name) + 1);
        return true;
}

void segment_name(const uint8_t id[SPOOL_ID_SIZE], uint64_t first_seq,
                  char ret[SEGMENT_NAME_SIZE]) {
        char text[SPOOL_ID_TEXT_SIZE];

        segment_id_format(id, text);
        (void)snprintf(ret, SEGMENT_NAME_SIZE, "%s.%020llu" SEGMENT_SUFFIX, text,
                       (unsigned long long)first_seq);
}

void segment_side_name(const uint8_t id[SPOOL_ID_SIZE], const char *suffix,
                       char ret[SEGMENT_NAME_SIZE]) {
        char text[SPOOL_ID_TEXT_SIZE];

        segment_id_format(id, text);
        (void)snprintf(ret, SEGMENT_NAME_SIZE, "%s.%s", text, suffix);
}

int segment_folder_open(const char *path, bool make) {
        int fd;

        if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int segment_folder_lock(int directory_fd, const char *name) {
        _cleanup_close_ int fd = -1;

        fd = openat(directory_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
        return TAKE_FD(fd);
}

static uint64_t timespec_usec(struct timespec t) {
        return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

static int by_id_and_seq(const void *a, const void *b) {
        const Segment *x = a, *y = b;
        int order = memcmp(x->id, y->id, SPOOL_ID_SIZE);

        if (order != 0)
                return order;
        return x->first_seq < y->first_seq ? -1 : x->first_seq > y->first_seq;
}

static int open_listing(int directory_fd, DIR **ret) {
        int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        *ret = fdopendir(fd);
        if (!*ret) {
                int r = -errno;

                (void)close(fd);
                return r;
        }
        return 0;
}

static bool is_spool_file(const char *name) {
        uint8_t id[SPOOL_ID_SIZE];
        const char *rest;
        Segment segment;

        return parse_segment_name(name, &segment) || strcmp(name, SEGMENT_LOCK_SHIPPER) == 0 ||
               (split_name(name, id, &rest) &&
                (strcmp(rest, "next") == 0 || strcmp(rest, "own") == 0 ||
                 strcmp(rest, "bad") == 0));
}

int segment_folder_known(int directory_fd) {
        _cleanup_(closedir_p) DIR *dir = NULL;
        const struct dirent *entry;
        int r;

        r = open_listing(directory_fd, &dir);
        if (r < 0)
                return r;
        while ((entry = readdir(dir)))
                if (is_spool_file(entry->d_name))
                        return 1;
        return 0;
}

static int append_segment(SegmentList *list, size_t *size, const Segment *segment) {
        if (list->n == *size) {
                size_t grown = MAX(*size * 2, (size_t)16);
                Segment *items = reallocarray(list->items, grown, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                list->items = items;
                *size = grown;
        }
        list->items[list->n++] = *segment;
        return 0;
}

int segment_list(int directory_fd, const uint8_t *id, SegmentList *ret) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        _cleanup_(closedir_p) DIR *dir = NULL;
        const struct dirent *entry;
        size_t size = 0;
        int r;

        r = open_listing(directory_fd, &dir);
        if (r < 0)
                return r;
        while ((entry = readdir(dir))) {
                Segment segment = {0};
                struct stat st;

                if (!parse_segment_name(entry->d_name, &segment) ||
                    (id && memcmp(id, segment.id, SPOOL_ID_SIZE) != 0))
                        continue;
                if (fstatat(directory_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue; /* removed meanwhile */
                if (!S_ISREG(st.st_mode))
                        continue;
                segment.size = (uint64_t)st.st_size;
                segment.written_usec = timespec_usec(st.st_mtim);
                segment.changed_usec = timespec_usec(st.st_ctim);
                segment.shipped = !(st.st_mode & S_IWUSR);
                r = append_segment(&list, &size, &segment);
                if (r < 0)
                        return r;
        }
        if (list.n > 0)
                qsort(list.items, list.n, sizeof(*list.items), by_id_and_seq);
        *ret = list;
        list = (SegmentList){0};
        return 0;
}

int segment_unshipped(int directory_fd, uint64_t *ret) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        uint64_t bytes = 0;
        int r;

        r = segment_list(directory_fd, NULL, &list);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.n; i++)
                if (!list.items[i].shipped)
                        bytes += list.items[i].size;
        *ret = bytes;
        return 0;
}

/* Zeros behind the last data of a dead spool's segment give their blocks back. Nothing that holds
 * data is touched, so a failure is of no importance. */
static void cut_unused_end(int directory_fd, const Segment *segment) {
        _cleanup_close_ int fd = -1;
        off_t end;

        fd = openat(directory_fd, segment->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return;
        end = lseek(fd, 0, SEEK_HOLE);
        if (end < 0 || (uint64_t)end + SPARE_ZEROS >= segment->size)
                return;
        if (lseek(fd, end, SEEK_DATA) >= 0 || errno != ENXIO)
                return;
        (void)!ftruncate(fd, end == 0 ? 0 : end + SPARE_ZEROS);
}

/* An allocated file that was being put to use when its process died. Its first record is written
 * last (spool_recover.c): if it is there, all are. */
static void settle_spare(int directory_fd, const char *name, const uint8_t id[SPOOL_ID_SIZE]) {
        uint8_t data[RECORD_MAX_SIZE];
        char target[SEGMENT_NAME_SIZE];
        _cleanup_close_ int fd = -1;
        Record record;
        ssize_t n;

        fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return;
        n = clicks_io.pread(fd, data, sizeof(data), 0);
        if (n < 0)
                return; /* unreadable: left for a person */
        if (record_decode(record_crc_start(id), data, (size_t)n, &record) < 0) {
                (void)unlinkat(directory_fd, name, 0);
                return;
        }
        segment_name(id, record.seq, target);
        (void)renameat(directory_fd, name, directory_fd, target);
}

int segment_folder_settle(int directory_fd) {
        _cleanup_(segment_list_done) SegmentList list = {0};
        _cleanup_(closedir_p) DIR *dir = NULL;
        const struct dirent *entry;
        int r;

        r = open_listing(directory_fd, &dir);
        if (r < 0)
                return r;
        while ((entry = readdir(dir))) {
                uint8_t id[SPOOL_ID_SIZE];
                const char *rest;

                if (split_name(entry->d_name, id, &rest) &&
                    (strcmp(rest, "next") == 0 || strcmp(rest, "own") == 0))
                        settle_spare(directory_fd, entry->d_name, id);
        }
        r = segment_list(directory_fd, NULL, &list);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.n; i++)
                if (!list.items[i].shipped)
                        cut_unused_end(directory_fd, &list.items[i]);
        return 0;
}

static int allocate(int directory_fd, int fd, uint64_t size, bool durable) {
        int r;

        r = clicks_io.allocate(fd, 0, (off_t)size);
        if (r != 0)
                return -r;
        if (durable && (clicks_io.sync(fd) < 0 || clicks_io.sync(directory_fd) < 0))
                return -errno;
        return 0;
}

int segment_make(int directory_fd, const char *name, uint64_t size, bool durable) {
        _cleanup_close_ int fd = -1;
        int r;

        fd = clicks_io.open(directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                            0600);
        if (fd < 0)
                return -errno;
        r = allocate(directory_fd, fd, size, durable);
        if (r < 0) {
                (void)unlinkat(directory_fd, name, 0);
                return r;
        }
        return TAKE_FD(fd);
}
