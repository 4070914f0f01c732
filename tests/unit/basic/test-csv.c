/* SPDX-License-Identifier: MIT */

/* CSV: one table of texts and rows, read whole and byte by byte, and the recovery of broken rows.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/csv.h"
#include "failing-malloc.h"

/* How the tests write rows: fields between | , rows ended by /, a broken one is !, and each row is
 * preceded by its line number and a colon. */
static void render(Buffer *out, const CsvRow *row) {
        buffer_printf(out, "%d:", (int)row->line);
        if (row->broken) {
                assert_int_equal(row->n_fields, 0);
                buffer_append_byte(out, '!');
        }
        for (size_t i = 0; i < row->n_fields; i++) {
                if (i > 0)
                        buffer_append_byte(out, '|');
                buffer_append(out, row->fields[i]);
        }
        buffer_append_byte(out, '/');
}

static void drain(CsvReader *reader, Slice text, Buffer *out, bool with_offsets) {
        CsvRow row;
        int r;

        while ((r = csv_next(reader, &row)) == 1) {
                render(out, &row);
                assert_true(row.offset < text.len);
                if (with_offsets)
                        buffer_printf(out, "@%d ", (int)row.offset);
        }
        assert_int_equal(r, 0);
}

/* Reads text in pieces of the given size. */
static void read_pieces(Slice text, size_t piece, Buffer *out, bool with_offsets) {
        _cleanup_(csv_reader_free_p) CsvReader *reader = NULL;

        buffer_clear(out);
        assert_int_equal(csv_reader_new(&reader), 0);
        for (size_t at = 0; at < text.len; at += piece) {
                assert_int_equal(csv_feed(reader, slice_sub(text, at, MIN(at + piece, text.len))),
                                 0);
                drain(reader, text, out, with_offsets);
        }
        csv_finish(reader);
        drain(reader, text, out, with_offsets);
        drain(reader, text, out, with_offsets);
}

static void check(Slice text, const char *expected) {
        static const size_t pieces[] = {1, 2, 3, 7};
        Buffer out = BUFFER_EMPTY, whole = BUFFER_EMPTY;

        read_pieces(text, text.len + 1, &out, false);
        buffer_append_byte(&out, '\0');
        assert_string_equal(out.data, expected);
        read_pieces(text, text.len + 1, &whole, true);
        for (size_t i = 0; i < ELEMENTSOF(pieces); i++) {
                read_pieces(text, pieces[i], &out, true);
                assert_true(slice_equal(buffer_slice(&out), buffer_slice(&whole)));
        }
        buffer_done(&out);
        buffer_done(&whole);
}

static void test_plain_rows(void **state) {
        (void)state;
        check(SLICE(""), "");
        check(SLICE("a"), "1:a/");
        check(SLICE("a,b\n"), "1:a|b/");
        check(SLICE("a,b\r\nc,d\r\n"), "1:a|b/2:c|d/");
        check(SLICE("a,b\nc,d"), "1:a|b/2:c|d/");
        check(SLICE(","), "1:|/");
        check(SLICE(",\n,,"), "1:|/2:||/");
        check(SLICE("a,\n"), "1:a|/");
        check(SLICE("a,"), "1:a|/");
        check(SLICE(" a , b "), "1: a | b /");
        check(SLICE("a;b\tc"), "1:a;b\tc/");
}

static void test_empty_lines_are_skipped_and_counted(void **state) {
        (void)state;
        check(SLICE("\n\r\n\na\n\n\nb\n\n"), "4:a/7:b/");
        check(SLICE("\n"), "");
        check(SLICE("\r\n\r\n"), "");
        check(SLICE("\r"), "");
        check(SLICE(" \n"), "1: /");
        check(SLICE("\"\"\n"), "1:/");
        check(SLICE("\"\""), "1:/");
}

static void test_quoted_fields(void **state) {
        (void)state;
        check(SLICE("\"a\",\"b\"\n"), "1:a|b/");
        check(SLICE("\"a,b\",c"), "1:a,b|c/");
        check(SLICE("\"a\"\"b\""), "1:a\"b/");
        check(SLICE("\"\"\"\""), "1:\"/");
        check(SLICE("\"\"\"a\"\"\",\"\""), "1:\"a\"|/");
        check(SLICE("\"{\"\"reason\"\":\"\"x\"\"}\",1\r\n"), "1:{\"reason\":\"x\"}|1/");
        check(SLICE("a,\"b\"\r\n\"c\",d"), "1:a|b/2:c|d/");
        check(SLICE("\"a\"\r"), "1:a/");
}

static void test_line_ends_inside_quotes_are_data(void **state) {
        (void)state;
        check(SLICE("\"a\nb\r\nc\",d\ne\n"), "1:a\nb\r\nc|d/4:e/");
        check(SLICE("\"\n\"\nx\n"), "1:\n/3:x/");
}

static void test_lone_carriage_returns_are_data(void **state) {
        (void)state;
        check(SLICE("a\rb,c\n"), "1:a\rb|c/");
        check(SLICE("\ra\n"), "1:\ra/");
        check(SLICE("a,\rb\n"), "1:a|\rb/");
        check(SLICE("a\r\r\nb"), "1:a\r/2:b/");
        check(SLICE("\r\r\n"), "1:\r/");
        check(SLICE("a\r,b\n"), "1:a\r|b/");
        check(SLICE("a\r"), "1:a/");
        check(SLICE("a,\r"), "1:a|/");
}

static void test_nul_bytes_are_data(void **state) {
        _cleanup_(csv_reader_free_p) CsvReader *reader = NULL;
        CsvRow row;

        (void)state;
        assert_int_equal(csv_reader_new(&reader), 0);
        assert_int_equal(csv_feed(reader, SLICE("a\0b,\"\0\"\n")), 0);
        assert_int_equal(csv_next(reader, &row), 1);
        assert_int_equal(row.n_fields, 2);
        assert_true(slice_equal(row.fields[0], SLICE("a\0b")));
        assert_true(slice_equal(row.fields[1], SLICE("\0")));
}

static void test_byte_order_mark(void **state) {
        (void)state;
        check(SLICE("\xEF\xBB\xBF"
                    "a,b\n"),
              "1:a|b/");
        check(SLICE("\xEF\xBB\xBF\"a\",b\n"), "1:a|b/");
        check(SLICE("\xEF\xBB\xBF"), "");
        check(SLICE("\xEF\xBB\xBF\xEF\xBB\xBF"
                    "a"),
              "1:\xEF\xBB\xBF"
              "a/");
        check(SLICE("a\n\xEF\xBB\xBF"
                    "b"),
              "1:a/2:\xEF\xBB\xBF"
              "b/");
        check(SLICE("\xEF\xBB"), "1:\xEF\xBB/");
        check(SLICE("\xEF"), "1:\xEF/");
        check(SLICE("\xEF\xBBx"), "1:\xEF\xBBx/");
        check(SLICE("\xEFx,y\n"), "1:\xEFx|y/");
}

static void test_stray_quotes_break_one_line(void **state) {
        (void)state;
        check(SLICE("a\"b,c\nd,e\n"), "1:!/2:d|e/");
        check(SLICE("a,b\"\nd,e\n"), "1:!/2:d|e/");
        check(SLICE("\"a\"b,c\nd,e\n"), "1:!/2:d|e/");
        check(SLICE("\"a\" ,c\nd,e\n"), "1:!/2:d|e/");
        check(SLICE("a, \"b\"\nd,e\n"), "1:!/2:d|e/");
        check(SLICE("\"a\"\rb\nd,e\n"), "1:!/2:d|e/");
        check(SLICE("\r\"a\"\nd,e\n"), "1:!/2:d|e/");
        check(SLICE("a\"b"), "1:!/");
        check(SLICE("x\na\"b\ny\"z\nw"), "1:x/2:!/3:!/4:w/");
}

static void test_unclosed_quote_breaks_one_line(void **state) {
        (void)state;
        check(SLICE("\"a\nb\nc\n"), "1:!/2:b/3:c/");
        check(SLICE("a,\"b,c\nd,e\n\nf,g"), "1:!/2:d|e/4:f|g/");
        check(SLICE("\""), "1:!/");
        check(SLICE("a\n\"\n"), "1:a/2:!/");
        check(SLICE("\"a\n\"b\nc\n"), "1:!/2:!/3:c/");
        check(SLICE("1,\"bob\n2,\"al\"\n3,x\n"), "1:!/2:2|al/3:3|x/");
}

static void test_offsets(void **state) {
        Buffer out = BUFFER_EMPTY;

        (void)state;
        read_pieces(SLICE("\xEF\xBB\xBF"
                          "a\r\n\n\"b\nc\"\n\"d\ne\n"),
                    1, &out, true);
        buffer_append_byte(&out, '\0');
        assert_string_equal(out.data, "1:a/@3 3:b\nc/@7 5:!/@13 6:e/@16 ");
        buffer_done(&out);
}

/* One row of n bytes in a single field, then "x,y". */
static void feed_long(CsvReader *reader, size_t n, bool quoted) {
        static char block[1000];

        memset(block, 'a', sizeof(block));
        if (quoted)
                assert_int_equal(csv_feed(reader, SLICE("\"")), 0);
        for (; n > 0; n -= MIN(n, sizeof(block)))
                assert_int_equal(csv_feed(reader, slice_make(block, MIN(n, sizeof(block)))), 0);
        if (quoted)
                assert_int_equal(csv_feed(reader, SLICE("\"")), 0);
        assert_int_equal(csv_feed(reader, SLICE("\nx,y\n")), 0);
}

static void check_long(size_t n, bool quoted, bool broken) {
        _cleanup_(csv_reader_free_p) CsvReader *reader = NULL;
        CsvRow row;

        assert_int_equal(csv_reader_new(&reader), 0);
        feed_long(reader, n, quoted);
        assert_int_equal(csv_next(reader, &row), 1);
        assert_int_equal(row.broken, broken);
        if (!broken)
                assert_int_equal(row.fields[0].len, n);
        assert_int_equal(csv_next(reader, &row), 1);
        assert_int_equal(row.line, 2);
        assert_int_equal(row.n_fields, 2);
        assert_int_equal(csv_next(reader, &row), 0);
}

static void test_longest_row(void **state) {
        (void)state;
        check_long(CSV_ROW_MAX, false, false);
        check_long(CSV_ROW_MAX + 1, false, true);
        check_long(CSV_ROW_MAX, true, false);
        check_long(CSV_ROW_MAX + 1, true, true);
        check_long(10 * CSV_ROW_MAX, false, true);
}

/* The byte that is one too many may come in every state. */
static void test_row_overflows_by_each_kind_of_byte(void **state) {
        static const char *const ends[] = {",b\n", ",\"b\"\n", "\rb\n", "\r\r\n", "b\n"};
        static const char *const quoted_ends[] = {"\"\"\"\n", "b\"\n", "\n\"\n"};
        static char text[CSV_ROW_MAX + 64];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(ends) + ELEMENTSOF(quoted_ends); i++) {
                bool quoted = i >= ELEMENTSOF(ends);
                Slice end = slice_from_string(quoted ? quoted_ends[i - ELEMENTSOF(ends)] : ends[i]);

                memset(text, 'a', sizeof(text));
                text[0] = quoted ? '"' : 'a';
                memcpy(text + CSV_ROW_MAX + quoted, end.data, end.len);
                memcpy(text + CSV_ROW_MAX + quoted + end.len, "x\n", 2);
                check(slice_make(text, CSV_ROW_MAX + quoted + end.len + 2),
                      end.data[0] == '\n' ? "1:!/2:!/3:x/" : "1:!/2:x/");
        }
}

static void test_unclosed_quote_over_the_limit_breaks_one_line(void **state) {
        _cleanup_(csv_reader_free_p) CsvReader *reader = NULL;
        uint64_t line = 1;
        CsvRow row;
        int r;

        (void)state;
        assert_int_equal(csv_reader_new(&reader), 0);
        assert_int_equal(csv_feed(reader, SLICE("a,\"b\n")), 0);
        for (int i = 0; i < 20000; i++)
                assert_int_equal(csv_feed(reader, SLICE("row,row\n")), 0);
        csv_finish(reader);
        while ((r = csv_next(reader, &row)) == 1) {
                assert_int_equal(row.line, line);
                assert_int_equal(row.broken, line == 1);
                line++;
        }
        assert_int_equal(r, 0);
        assert_int_equal(line, 20002);
}

static void test_most_fields(void **state) {
        char text[2 * CSV_FIELDS_MAX + 8];
        _cleanup_(csv_reader_free_p) CsvReader *reader = NULL;
        CsvRow row;

        (void)state;
        memset(text, ',', sizeof(text));
        assert_int_equal(csv_reader_new(&reader), 0);
        text[CSV_FIELDS_MAX - 1] = '\n'; /* as many fields as may be */
        assert_int_equal(csv_feed(reader, slice_make(text, CSV_FIELDS_MAX)), 0);
        assert_int_equal(csv_next(reader, &row), 1);
        assert_false(row.broken);
        assert_int_equal(row.n_fields, CSV_FIELDS_MAX);
        text[CSV_FIELDS_MAX - 1] = ',';
        text[CSV_FIELDS_MAX] = '\n'; /* one more */
        text[CSV_FIELDS_MAX + 1] = 'x';
        assert_int_equal(csv_feed(reader, slice_make(text, CSV_FIELDS_MAX + 2)), 0);
        csv_finish(reader);
        assert_int_equal(csv_next(reader, &row), 1);
        assert_true(row.broken);
        assert_int_equal(csv_next(reader, &row), 1);
        assert_int_equal(row.n_fields, 1);
        assert_int_equal(row.line, 3);
        assert_int_equal(csv_next(reader, &row), 0);
}

static void test_memory_runs_out(void **state) {
        CsvReader *reader = NULL;
        CsvRow row;

        (void)state;
        failing_malloc_arm(1);
        assert_int_equal(csv_reader_new(&reader), -ENOMEM);
        assert_null(reader);
        assert_null(csv_reader_free(NULL));
        failing_malloc_arm(0);
        assert_int_equal(csv_reader_new(&reader), 0);
        failing_malloc_arm(1);
        assert_int_equal(csv_feed(reader, SLICE("a,b\n")), -ENOMEM);
        failing_malloc_arm(0);
        /* A piece that was refused may be fed again. */
        assert_int_equal(csv_feed(reader, SLICE("a,b\n")), 0);
        assert_int_equal(csv_next(reader, &row), 1);
        assert_int_equal(row.n_fields, 2);
        csv_reader_free(reader);
}

static void check_field(Slice field, const char *expected) {
        Buffer out = BUFFER_EMPTY, back = BUFFER_EMPTY;
        Buffer rendered = BUFFER_EMPTY;

        csv_write_field(&out, field);
        assert_true(slice_equal(buffer_slice(&out), slice_from_string(expected)));
        buffer_append(&out, SLICE(",end\r\n"));
        read_pieces(buffer_slice(&out), 1000, &back, false);
        buffer_append(&rendered, SLICE("1:"));
        buffer_append(&rendered, field);
        buffer_append(&rendered, SLICE("|end/"));
        assert_true(slice_equal(buffer_slice(&back), buffer_slice(&rendered)));
        buffer_done(&out);
        buffer_done(&back);
        buffer_done(&rendered);
}

static void test_writing(void **state) {
        (void)state;
        check_field(SLICE("plain text"), "plain text");
        check_field(SLICE(""), "");
        check_field(SLICE("a,b"), "\"a,b\"");
        check_field(SLICE("a\"b"), "\"a\"\"b\"");
        check_field(SLICE("\""), "\"\"\"\"");
        check_field(SLICE("a\nb"), "\"a\nb\"");
        check_field(SLICE("a\rb"), "\"a\rb\"");
        check_field(SLICE(" a"), "\" a\"");
        check_field(SLICE("a "), "\"a \"");
        check_field(SLICE("\ta"), "\"\ta\"");
        check_field(SLICE("a\t"), "\"a\t\"");
        check_field(SLICE("{\"a\":1}"), "\"{\"\"a\"\":1}\"");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_plain_rows),
                        cmocka_unit_test(test_empty_lines_are_skipped_and_counted),
                        cmocka_unit_test(test_quoted_fields),
                        cmocka_unit_test(test_line_ends_inside_quotes_are_data),
                        cmocka_unit_test(test_lone_carriage_returns_are_data),
                        cmocka_unit_test(test_nul_bytes_are_data),
                        cmocka_unit_test(test_byte_order_mark),
                        cmocka_unit_test(test_stray_quotes_break_one_line),
                        cmocka_unit_test(test_unclosed_quote_breaks_one_line),
                        cmocka_unit_test(test_offsets),
                        cmocka_unit_test(test_longest_row),
                        cmocka_unit_test(test_row_overflows_by_each_kind_of_byte),
                        cmocka_unit_test(test_unclosed_quote_over_the_limit_breaks_one_line),
                        cmocka_unit_test(test_most_fields),
                        cmocka_unit_test(test_memory_runs_out),
                        cmocka_unit_test(test_writing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
