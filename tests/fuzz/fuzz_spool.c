/* SPDX-License-Identifier: MIT */

/*
 * The reader of spools over hostile segment files. Four bytes say how the rest becomes files:
 * flags, the first number of the second segment, where it begins, from which number on to read.
 * Without help no input would get past the CRCs, so on request they are put right.
 *
 * What is checked: items follow each other without gap or overlap, texts are within their bounds
 * and UTF-8, reading ends, and reading from a later number gives the same from there on.
 */

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "basic/check.h"
#include "basic/hash.h"
#include "basic/utf8.h"
#include "clicks/reader.h"

#define HEAD        4u
#define SIZE_MAX_IN (64u * 1024)
#define FIX_CRC     1u
#define TWO_FILES   2u

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
                if (next > from)
                        hash = hash * 31 +
                               hash_plain(slice_make((const char *)item.raw, item.raw_len));
        }
        CHECK(r == 0);
        *ret_end = next;
        return hash;
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
        put_file(1, copy + HEAD, split - HEAD);
        if (split < size)
                put_file(second, copy + split, size - split);

        CHECK(read_all(1, from, &end) == read_all(from, from, &end_again));
        CHECK(end_again == (end > from ? end : from));

        remove_file(1);
        remove_file(second);
        free(copy);
        return 0;
}
