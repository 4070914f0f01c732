/* SPDX-License-Identifier: MIT */
/* Encoding and decoding one record. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "basic/clock.h"
#include "clicks/record.h"
#include "fixture.h"

static const uint8_t id[16] = {1, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, 16};

static bool same(Slice a, const char *b) {
        return slice_equal(a, slice_from_string(b));
}

static void test_round_trip(void **state) {
        uint8_t data[RECORD_MAX_SIZE];
        Click click = click_of(42);
        Record record;
        size_t n;

        (void)state;
        click.referrer = SLICE("https://example.org/");
        n = record_encode_visit(record_crc_start(id), 7, &click, data);
        assert_in_range(n, RECORD_MIN_SIZE, 240);
        assert_int_equal(data[n - 1], '\n');
        assert_int_equal(record_decode(record_crc_start(id), data, n, &record), n);
        assert_int_equal(record.kind, RECORD_VISIT);
        assert_int_equal(record.seq, 7);
        assert_int_equal(record.n, 1);
        assert_int_equal(record.click.link_id, 42);
        assert_int_equal(record.click.time_usec, click.time_usec);
        assert_true(slice_equal(record.click.remote, click.remote));
        assert_true(slice_equal(record.click.referrer, click.referrer));
        assert_true(slice_equal(record.click.user_agent, click.user_agent));
        assert_true(slice_equal(record.click.request_id, click.request_id));
}

static void test_bare(void **state) {
        uint8_t data[RECORD_MAX_SIZE];
        const Click click = {.link_id = 1, .remote = SLICE("192.0.2.1")};
        Record record;
        size_t n;

        (void)state;
        n = record_encode_visit(record_crc_start(id), 1, &click, data);
        assert_true(n <= 50);
        assert_int_equal(record_decode(record_crc_start(id), data, sizeof(data), &record), n);
        assert_null(record.click.referrer.data);
        assert_int_equal(record.click.user_agent.len, 0);
        assert_int_equal(record.click.request_id.len, 0);
}

/* An empty referrer was sent, which is not the same as none. */
static void test_empty_referrer(void **state) {
        uint8_t data[RECORD_MAX_SIZE];
        const Click click = {.link_id = 1, .referrer = SLICE("")};
        Record record;

        (void)state;
        (void)record_encode_visit(record_crc_start(id), 1, &click, data);
        assert_true(record_decode(record_crc_start(id), data, sizeof(data), &record) > 0);
        assert_non_null(record.click.referrer.data);
        assert_int_equal(record.click.referrer.len, 0);
}

static void test_texts_are_cut_and_cleaned(void **state) {
        char longest[2000], odd[] = "caf\xC3\xA9\xFF\x01\x7F\r\nX";
        uint8_t data[RECORD_MAX_SIZE];
        Click click = {.link_id = 1};
        Record record;

        (void)state;
        memset(longest, 'a', sizeof(longest));
        click.remote = click.request_id = click.referrer = click.user_agent =
                        slice_make(longest, sizeof(longest));
        assert_int_equal(record_encode_visit(record_crc_start(id), 1, &click, data),
                         RECORD_MAX_SIZE);
        assert_int_equal(record_decode(record_crc_start(id), data, sizeof(data), &record),
                         RECORD_MAX_SIZE);
        assert_int_equal(record.click.remote.len, RECORD_NAME_MAX);
        assert_int_equal(record.click.request_id.len, RECORD_NAME_MAX);
        assert_int_equal(record.click.referrer.len, RECORD_TEXT_MAX);
        assert_int_equal(record.click.user_agent.len, RECORD_TEXT_MAX);

        /* A character at the limit is not cut in half. */
        longest[511] = '\xC3';
        longest[512] = '\xA9';
        (void)record_encode_visit(record_crc_start(id), 1, &click, data);
        assert_true(record_decode(record_crc_start(id), data, sizeof(data), &record) > 0);
        assert_int_equal(record.click.user_agent.len, RECORD_TEXT_MAX - 1);

        click = (Click){.link_id = 1, .user_agent = slice_make(odd, strlen(odd))};
        (void)record_encode_visit(record_crc_start(id), 1, &click, data);
        assert_true(record_decode(record_crc_start(id), data, sizeof(data), &record) > 0);
        assert_true(same(record.click.user_agent, "caf\xC3\xA9?????X"));
}

/* Each byte value at each place of a word, and behind the last word. */
static void test_every_odd_byte_is_found(void **state) {
        (void)state;
        for (unsigned c = 0; c < 256; c++)
                for (size_t at = 0; at < 19; at++) {
                        char text[] = "abcdefgh ~ijklmnopq";
                        uint8_t data[RECORD_MAX_SIZE];
                        Click click = {.link_id = 1};
                        Record record;
                        Slice agent;

                        text[at] = (char)c;
                        click.user_agent = slice_make(text, 19);
                        (void)record_encode_visit(record_crc_start(id), 1, &click, data);
                        assert_true(record_decode(record_crc_start(id), data, sizeof(data),
                                                  &record) > 0);
                        agent = record.click.user_agent;
                        assert_int_equal(agent.len, 19);
                        for (size_t i = 0; i < 19; i++)
                                assert_int_equal(agent.data[i], i != at || (c >= 0x20 && c < 0x7F)
                                                                                ? text[i]
                                                                                : '?');
                }
}

static void test_shed(void **state) {
        uint8_t data[RECORD_SHED_SIZE];
        Record record;

        (void)state;
        assert_int_equal(record_encode_shed(record_crc_start(id), 5, 1000, 99, data),
                         RECORD_SHED_SIZE);
        assert_int_equal(record_decode(record_crc_start(id), data, sizeof(data), &record),
                         RECORD_SHED_SIZE);
        assert_int_equal(record.kind, RECORD_SHED);
        assert_int_equal(record.seq, 5);
        assert_int_equal(record.n, 1000);
        assert_int_equal(record.click.time_usec, 99);
        /* Counts that no spool can have. */
        (void)record_encode_shed(record_crc_start(id), 5, 0, 99, data);
        assert_int_equal(record_decode(record_crc_start(id), data, sizeof(data), &record),
                         -EBADMSG);
        (void)record_encode_shed(record_crc_start(id), 5, UINT64_MAX - 2, 99, data);
        assert_int_equal(record_decode(record_crc_start(id), data, sizeof(data), &record),
                         -EBADMSG);
        (void)record_encode_shed(record_crc_start(id), 0, 1, 99, data);
        assert_int_equal(record_decode(record_crc_start(id), data, sizeof(data), &record),
                         -EBADMSG);
        (void)record_encode_shed(record_crc_start(id), RECORD_SEQ_END, 1, 99, data);
        assert_int_equal(record_decode(record_crc_start(id), data, sizeof(data), &record),
                         -EBADMSG);
}

static void test_every_bit_counts(void **state) {
        uint8_t data[RECORD_MAX_SIZE], other[16];
        Click click = click_of(42);
        Record record;
        size_t n;

        (void)state;
        n = record_encode_visit(record_crc_start(id), 7, &click, data);
        for (size_t bit = 0; bit < n * 8; bit++) {
                data[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_int_equal(record_decode(record_crc_start(id), data, n, &record), -EBADMSG);
                data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t len = 0; len < n; len++)
                assert_int_equal(record_decode(record_crc_start(id), data, len, &record), -EBADMSG);
        memcpy(other, id, sizeof(other));
        other[15]++;
        assert_int_equal(record_decode(record_crc_start(other), data, n, &record), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_round_trip),
                        cmocka_unit_test(test_bare),
                        cmocka_unit_test(test_empty_referrer),
                        cmocka_unit_test(test_texts_are_cut_and_cleaned),
                        cmocka_unit_test(test_every_odd_byte_is_found),
                        cmocka_unit_test(test_shed),
                        cmocka_unit_test(test_every_bit_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
