/* SPDX-License-Identifier: MIT */

/*
 * The reader of spools over hostile segment files. Four bytes say how the rest becomes files:
 * flags, the first number of the second segment, where it begins, from which number on to read.
 * Without help no input would get past the CRCs, so on request they are put right.
 *
 * What is checked: items follow each other without gap or overlap, texts are within their bounds
 * and UTF-8, reading ends, reading from a later number gives the same from there on, and what was
 * read can be written. The same when a block cannot be read, or segments vanish behind the list.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "basic/check.h"
#include "basic/hash.h"
#include "basic/utf8.h"
#include "clicks/io.h"
#include "clicks/reader.h"

#define HEAD        4u
#define SIZE_MAX_IN (64u * 1024)
#define FIX_CRC     1u
#define TWO_FILES   2u
#define NO_FIRST    4u  /* the first file is not there */
#define LINK        8u  /* nor is the second: somebody has put a link in its place */
#define LIVE        16u /* a spool that is written meanwhile */
#define BLOCK       4096

static const uint8_t id[SPOOL_ID_SIZE] = {1, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/fuzz-spool-XXXXXX";
static int folder = -1;

__attribute__((destructor)) static void remove_folder(void) {
        if (folder >= 0)
                (void)rmdir(path);
}

static void make_folder(void) {
        if (folder >= 0)
                return;
        CHECK(mkdtemp(path));
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(folder >= 0);
}

static void fix_crcs(uint8_t *data, size_t len) {
        size_t at = 0;

        while (at < len) {
                RecordHead head;
                uint32_t crc;

                if (!record_head(data + at, len - at, &head) || head.len > len - at) {
                        at++;
                        continue;
                }
                data[at + head.len - 1] = '\n';
                crc = hash_crc32c(record_crc_start(id), data + at + 8, head.len - 8);
                for (unsigned i = 0; i < 4; i++)
                        data[at + 4 + i] = (uint8_t)(crc >> 8 * i);
                at += head.len;
        }
}

static void put_file(uint64_t first_seq, const uint8_t *data, size_t len) {
        char name[SEGMENT_NAME_SIZE];
        int fd;

        segment_name(id, first_seq, name);
        fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        CHECK(fd >= 0);
        CHECK(write(fd, data, len) == (ssize_t)len);
        (void)close(fd);
}

static void remove_file(uint64_t first_seq) {
        char name[SEGMENT_NAME_SIZE];

        segment_name(id, first_seq, name);
        (void)unlinkat(folder, name, 0);
}

static void check_text(Slice text, size_t max) {
        CHECK(text.len <= max && utf8_valid(text));
}

static void check_written(uint32_t crc_start, const ReaderItem *item) {
        uint8_t out[RECORD_MAX_SIZE];
        Record again;
        size_t len;

        if (item->kind == READER_SHED) {
                len = record_encode_shed(crc_start, item->seq, item->n, item->click.time_usec, out);
                CHECK(record_decode(crc_start, out, len, &again) == (int)len);
                CHECK(again.seq == item->seq && again.n == item->n);
                return;
        }
        len = record_encode_visit(crc_start, item->seq, &item->click, out);
        CHECK(record_decode(crc_start, out, len, &again) == (int)len);
        CHECK(again.seq == item->seq && again.click.link_id == item->click.link_id);
        CHECK(again.click.time_usec == item->click.time_usec);
        CHECK(!again.click.referrer.data == !item->click.referrer.data);
}

/* Where the spool ends, and a hash of its visits and sheds from `from` on. */
static uint64_t read_all(uint64_t start, uint64_t from, uint64_t *ret_end) {
        _cleanup_(reader_free_p) Reader *reader = NULL;
        uint64_t hash = 0, next = start;
        ReaderItem item;
        int r;

        CHECK(reader_open(folder, id, start, NULL, &reader) == 0);
        while ((r = reader_next(reader, &item)) == 1) {
                CHECK(item.seq == next && item.n > 0 && item.seq < RECORD_SEQ_END);
                next += item.n;
                CHECK(reader_seq(reader) == next);
                CHECK((item.kind == READER_DAMAGED) == !item.raw);
                if (item.kind == READER_DAMAGED)
                        continue;
                CHECK(item.raw_len >= RECORD_MIN_SIZE && item.raw_len <= RECORD_MAX_SIZE);
                CHECK(item.kind == READER_SHED || item.n == 1);
                check_text(item.click.remote, RECORD_NAME_MAX);
                check_text(item.click.request_id, RECORD_NAME_MAX);
                check_text(item.click.referrer, RECORD_TEXT_MAX);
                check_text(item.click.user_agent, RECORD_TEXT_MAX);
                check_written(record_crc_start(id), &item);
                if (next > from)
                        hash = hash * 31 +
                               hash_plain(slice_make((const char *)item.raw, item.raw_len));
        }
        CHECK(r == 0);
        *ret_end = next;
        return hash;
}

static off_t bad_block; /* the number of the one that cannot be read */

static ssize_t pread_but_one(int fd, void *buffer, size_t len, off_t offset) {
        off_t bad = bad_block * BLOCK;

        if (offset / BLOCK == bad_block) {
                errno = EIO;
                return -1;
        }
        return pread(fd, buffer, offset < bad ? MIN(len, (size_t)(bad - offset)) : len, offset);
}

static void check_bad_block(off_t block) {
        ssize_t (*real)(int, void *, size_t, off_t) = clicks_io.pread;
        uint64_t end;

        bad_block = block;
        clicks_io.pread = pread_but_one;
        (void)read_all(1, 1, &end);
        clicks_io.pread = real;
}

static void check_link(uint64_t second) {
        char name[SEGMENT_NAME_SIZE];
        _cleanup_(reader_free_p) Reader *reader = NULL;
        ReaderItem item;
        int r;

        segment_name(id, second, name);
        remove_file(second);
        CHECK(symlinkat("elsewhere", folder, name) == 0);
        CHECK(reader_open(folder, id, 1, NULL, &reader) == 0);
        while ((r = reader_next(reader, &item)) == 1)
                ;
        CHECK(r <= 0);
        remove_file(second);
}

/* ---- a live spool ---- */

static uint64_t read_live(Reader *reader, uint64_t next) {
        ReaderItem item;
        int r;

        while ((r = reader_next(reader, &item)) == 1) {
                CHECK(item.kind != READER_DAMAGED && item.seq == next && item.n > 0);
                next += item.n;
        }
        CHECK(r == 0);
        return next;
}

/* Visits whose texts are the input; the reader is never far behind. */
static void write_live(Spool *spool, Slice text, unsigned n) {
        const Click click = {.link_id = 1,
                             .time_usec = 2,
                             .remote = slice_sub(text, 0, MIN(text.len, (size_t)16)),
                             .referrer = text,
                             .user_agent = text,
                             .request_id = SLICE("id")};
        _cleanup_(reader_free_p) Reader *reader = NULL;
        uint64_t next = 1, seq;

        CHECK(reader_open(spool_directory_fd(spool), spool_id(spool), 1, spool, &reader) == 0);
        for (unsigned i = 0; i < n; i++) {
                CHECK(spool_add(spool, &click) == 0);
                if (i % 64 != 0)
                        continue;
                CHECK(spool_flush(spool, &seq) == 0);
                next = read_live(reader, next);
                CHECK(next == seq);
        }
}

static void remove_all(const char *directory) {
        DIR *opened = opendir(directory);
        const struct dirent *entry;

        CHECK(opened);
        while ((entry = readdir(opened)))
                if (entry->d_name[0] != '.' || entry->d_name[1] > '.')
                        (void)unlinkat(dirfd(opened), entry->d_name, 0);
        (void)closedir(opened);
        (void)rmdir(directory);
}

static void check_live(Slice text, unsigned n) {
        char directory[] = "/tmp/fuzz-spool-XXXXXX";
        const SpoolOptions options = {.directory = directory,
                                      .sync = SPOOL_SYNC_OFF,
                                      .on_full = SPOOL_SHED,
                                      .segment_size = 1 << 20,
                                      .max_size = 64 << 20};
        Spool *spool;

        CHECK(mkdtemp(directory));
        CHECK(spool_open(&options, NULL, &spool) == 0);
        write_live(spool, text, n);
        spool_free(spool);
        remove_all(directory);
}

/* Both files, or the later one, are removed by somebody else after they were listed. */
static void check_vanished(uint64_t second, bool both) {
        _cleanup_(reader_free_p) Reader *reader = NULL;
        uint64_t next = 1;
        ReaderItem item;
        int r;

        CHECK(reader_open(folder, id, 1, NULL, &reader) == 0);
        if (both)
                remove_file(1);
        remove_file(second);
        while ((r = reader_next(reader, &item)) == 1) {
                CHECK(item.seq == next && item.n > 0);
                next += item.n;
        }
        CHECK(r == 0 || r == -EAGAIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint64_t second, from, end, end_again;
        uint8_t *copy;
        size_t split;

        if (size < HEAD || size > SIZE_MAX_IN)
                return 0;
        make_folder();
        copy = malloc(size);
        CHECK(copy);
        memcpy(copy, data, size);
        second = 2 + (uint64_t)data[1];
        from = 1 + (uint64_t)data[3];
        split = data[0] & TWO_FILES ? HEAD + (size - HEAD) * data[2] / 256 : size;
        if (data[0] & FIX_CRC) {
                fix_crcs(copy + HEAD, split - HEAD);
                fix_crcs(copy + split, size - split);
        }
        if (!(data[0] & NO_FIRST))
                put_file(1, copy + HEAD, split - HEAD);
        if (split < size)
                put_file(second, copy + split, size - split);

        CHECK(read_all(1, from, &end) == read_all(from, from, &end_again));
        CHECK(end_again == (end > from ? end : from));

        check_bad_block(data[1] % 2);
        check_vanished(second, data[3] % 2);
        if (data[0] & LINK)
                check_link(second);
        if (data[0] & LIVE)
                check_live(slice_make((const char *)copy + HEAD, size - HEAD), data[1] * 6u);
        remove_file(1);
        remove_file(second);
        free(copy);
        return 0;
}
