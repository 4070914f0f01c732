/* SPDX-License-Identifier: MIT */
/* Reading what is damaged. */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "fixture.h"

/* A dead spool of n visits with links 1 to n in batches of 10. */
static void make_spool(const Folder *folder, unsigned n, uint8_t ret_id[SPOOL_ID_SIZE]) {
        const SpoolOptions options = spool_options(folder);
        Spool *spool = spool_start(&options);

        memcpy(ret_id, spool_id(spool), SPOOL_ID_SIZE);
        for (unsigned i = 0; i < n; i += 10)
                spool_visits(spool, i + 1, 10);
        (void)spool_free(spool);
}

/* What is not lost is right: links are their numbers. */
static void check_rest(const Content *content) {
        for (uint64_t seq = 1; seq < content->n_links; seq++)
                assert_true(content->links[seq] == 0 || content->links[seq] == (int64_t)seq);
}

static void test_flip_every_byte(void **state) {
        const Folder *folder = *state;
        uint8_t id[SPOOL_ID_SIZE], *data;
        char name[SEGMENT_NAME_SIZE];
        size_t len;

        make_spool(folder, 20, id);
        memcpy(name, folder_segment(folder, 0), sizeof(name));
        data = file_read(folder, name, &len);
        for (size_t i = 0; i < len; i++) {
                Content content;

                data[i] ^= (uint8_t)(1u << i % 8);
                file_patch(folder, name, i, &data[i], 1);
                content_read(folder, id, NULL, &content);
                assert_int_equal(content.visits, 19);
                assert_int_equal(content.damaged, 1);
                assert_int_equal(content.next_seq, 21);
                check_rest(&content);
                content_done(&content);
                data[i] ^= (uint8_t)(1u << i % 8);
                file_patch(folder, name, i, &data[i], 1);
        }
        free(data);
}

/* A cut anywhere loses what is behind it; of a record cut in two it is known. */
static void test_cut_at_every_byte(void **state) {
        const Folder *folder = *state;
        uint8_t id[SPOOL_ID_SIZE], *data;
        char path[128];
        size_t len, size;

        make_spool(folder, 20, id);
        data = file_read(folder, folder_segment(folder, 0), &len);
        (void)snprintf(path, sizeof(path), "%s/%s", folder->path, folder_segment(folder, 0));
        size = len / 20;
        for (size_t cut = len; cut >= len / 2; cut--) {
                Content content;

                assert_int_equal(truncate(path, (off_t)cut), 0);
                content_read(folder, id, NULL, &content);
                assert_int_equal(content.visits, cut / size);
                /* Zeros at the end look like unused room. */
                assert_int_equal(content.damaged, cut % size > 0 && data[cut - 1] != 0);
                check_rest(&content);
                content_done(&content);
        }
        free(data);
}

/* A record that was being written when the process died was never answered: it is not damage. */
static void test_torn_by_death(void **state) {
        const Folder *folder = *state;
        uint8_t id[SPOOL_ID_SIZE], *data;
        char name[SEGMENT_NAME_SIZE];
        size_t len, size;

        make_spool(folder, 20, id);
        memcpy(name, folder_segment(folder, 0), sizeof(name));
        data = file_read(folder, name, &len);
        size = len / 20;
        file_patch(folder, name, len + 8192, "", 1);
        for (size_t torn = 0; torn + RECORD_HEAD_SIZE < size; torn++) {
                Content content;

                file_patch(folder, name, len - 1 - torn, "", 1);
                content_read(folder, id, NULL, &content);
                assert_int_equal(content.visits, 19);
                assert_int_equal(content.damaged, 0);
                content_done(&content);
        }
        free(data);
}

/* A visit all of whose numbers have bytes that look like the end of a record. */
static size_t encode_tricky(uint32_t crc_start, uint64_t seq, uint64_t time_usec, uint8_t *out) {
        static const char agent[227]; /* of zeros, which become question marks */
        Click click = {
                        .link_id = 0x0A0A0A,
                        .time_usec = time_usec,
                        .remote = SLICE("192.0.2.10"),
                        .request_id = SLICE("0123456\n9a"),
                        .referrer = SLICE("https://a/"),
                        .user_agent = slice_make(agent, sizeof(agent)),
        };
        size_t size = record_encode_visit(crc_start, seq, &click, out);

        CHECK(size < RECORD_MAX_SIZE);
        return size;
}

/* Wherever the write that a process died in was cut: 9 visits, and a part of the 10th. */
static void test_torn_at_every_byte(void **state) {
        const Folder *folder = *state;
        uint8_t id[SPOOL_ID_SIZE], data[10 * RECORD_MAX_SIZE];
        char name[SEGMENT_NAME_SIZE];
        uint32_t crc_start;
        unsigned n_like_ends = 0;

        segment_id_new(id);
        segment_name(id, 1, name);
        crc_start = record_crc_start(id);
        for (uint64_t time_usec = 0x0A0A0A0A0A0A; time_usec < 0x0A0A0A0A0A0A + 20; time_usec++) {
                size_t len = 0, size = 0;

                memset(data, 0, sizeof(data));
                for (uint64_t seq = 1; seq <= 10; seq++)
                        len += size = encode_tricky(crc_start, seq, time_usec, data + len);
                for (size_t torn = len - 1; torn >= len - size; torn--) {
                        Content content;

                        n_like_ends += data[torn - 1] == '\n' && torn > len - size;
                        data[torn] = 0;
                        file_write(folder, name, data, sizeof(data));
                        content_read(folder, id, NULL, &content);
                        assert_int_equal(content.visits, 9);
                        assert_int_equal(content.damaged, 0);
                        assert_int_equal(content.next_seq, 10);
                        content_done(&content);
                }
        }
        assert_in_range(n_like_ends, 20 * 10, 20 * 30); /* it was worth it */
}

/* The last record was whole once, whatever its kind and size. */
static void test_damaged_last_record(void **state) {
        const Folder *folder = *state;
        const Click bare = {.link_id = 10, .time_usec = 10};
        uint8_t id[SPOOL_ID_SIZE], data[4096];
        char name[SEGMENT_NAME_SIZE];

        segment_id_new(id);
        segment_name(id, 1, name);
        for (unsigned kind = 0; kind < 3; kind++) {
                uint32_t crc_start = record_crc_start(id);
                size_t start, len;

                memset(data, 0, sizeof(data));
                start = len = record_encode_visit(crc_start, 1, &bare, data);
                if (kind == 0)
                        len += record_encode_visit(crc_start, 2, &bare, data + len);
                else if (kind == 1)
                        len += record_encode_shed(crc_start, 2, 10, 10, data + len);
                else
                        len += encode_tricky(crc_start, 2, 10, data + len);
                for (size_t bit = start * 8; bit < len * 8; bit++) {
                        Content content;

                        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
                        file_write(folder, name, data, sizeof(data));
                        content_read(folder, id, NULL, &content);
                        assert_int_equal(content.visits, 1);
                        /* Another number than 2 says that there were more. */
                        if (bit / 8 - start < 8 || bit / 8 - start >= 16)
                                assert_int_equal(content.damaged, 1);
                        assert_true(content.damaged >= 1);
                        content_done(&content);
                        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
                }
        }
}

/* What was counted once as lost at the end is not lost again by reading on from there. */
static void test_lost_end_is_counted_once(void **state) {
        const Folder *folder = *state;
        uint8_t id[SPOOL_ID_SIZE], *data;
        Reader *reader = NULL;
        ReaderItem item;
        size_t len;

        make_spool(folder, 10, id);
        data = file_read(folder, folder_segment(folder, 0), &len);
        data[len - 20] ^= 1;
        data[len / 10 * 9 - 20] ^= 1;
        file_write(folder, folder_segment(folder, 0), data, len);
        free(data);
        for (uint64_t from = 1; from < 13; from++) {
                uint64_t damaged = 0;

                assert_int_equal(reader_open(folder->fd, id, from, NULL, &reader), 0);
                while (reader_next(reader, &item) == 1)
                        damaged += item.kind == READER_DAMAGED ? item.n : 0;
                assert_int_equal(reader_next(reader, &item), 0);
                assert_int_equal(damaged, from < 9 ? 2 : from < 11 ? 11 - from : 0);
                reader = reader_free(reader);
        }
}

static void test_zeros_between_records(void **state) {
        const Folder *folder = *state;
        uint8_t id[SPOOL_ID_SIZE], *data;
        Content content;
        size_t len;

        make_spool(folder, 400, id);
        data = file_read(folder, folder_segment(folder, 0), &len);
        assert_true(len > 3 * 4096);
        memset(data + 4096, 0, 4096);
        file_write(folder, folder_segment(folder, 0), data, len);
        content_read(folder, id, NULL, &content);
        assert_in_range(content.damaged, 4096 / (len / 400), 4096 / (len / 400) + 2);
        assert_int_equal(content.visits + content.damaged, 400);
        check_rest(&content);
        content_done(&content);
        free(data);
}

static void test_missing_segments(void **state) {
        const Folder *folder = *state;
        uint8_t id[SPOOL_ID_SIZE];
        uint64_t damaged;
        Content content;

        make_spool(folder, 30000, id);
        assert_true(folder_count(folder, ".seg") >= 4);
        assert_int_equal(unlinkat(folder->fd, folder_segment(folder, 1), 0), 0);
        content_read(folder, id, NULL, &content);
        assert_int_equal(content.next_seq, 30001);
        assert_in_range(content.damaged, 3000, 8000);
        assert_int_equal(content.visits + content.damaged, 30000);
        check_rest(&content);
        damaged = content.damaged;
        content_done(&content);
        assert_int_equal(unlinkat(folder->fd, folder_segment(folder, 0), 0), 0);
        content_read(folder, id, NULL, &content);
        assert_true(content.damaged > damaged);
        assert_int_equal(content.visits + content.damaged, 30000);
        content_done(&content);
        while (folder_count(folder, ".seg") > 0)
                assert_int_equal(unlinkat(folder->fd, folder_segment(folder, 0), 0), 0);
        content_read(folder, id, NULL, &content);
        assert_int_equal(content.next_seq, 1);
        content_done(&content);
}

/* A reader of the live spool sees what was written before it asked, across segments. */
static void test_live_follows_the_writer(void **state) {
        const Folder *folder = *state;
        const SpoolOptions options = spool_options(folder);
        Spool *spool = spool_start(&options);
        Reader *reader = NULL;
        ReaderItem item;

        assert_int_equal(reader_open(folder->fd, spool_id(spool), 1, spool, &reader), 0);
        assert_int_equal(reader_next(reader, &item), 0);
        for (int64_t i = 0; i < 300; i++) {
                spool_visits(spool, i * 50 + 1, 50);
                for (int64_t j = 1; j <= 50; j++) {
                        assert_int_equal(reader_next(reader, &item), 1);
                        assert_int_equal(item.kind, READER_VISIT);
                        assert_int_equal(item.click.link_id, i * 50 + j);
                }
                assert_int_equal(reader_next(reader, &item), 0);
        }
        assert_int_equal(reader_seq(reader), 15001);
        assert_true(folder_count(folder, ".seg") >= 3);
        (void)reader_free(reader);
        (void)spool_free(spool);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)
                        T(test_flip_every_byte),         T(test_cut_at_every_byte),
                        T(test_torn_by_death),           T(test_torn_at_every_byte),
                        T(test_damaged_last_record),     T(test_lost_end_is_counted_once),
                        T(test_zeros_between_records),   T(test_missing_segments),
                        T(test_live_follows_the_writer),
#undef T
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
