/* SPDX-License-Identifier: MIT */

/* Rows out of CSV and JSON lines: what is taken, what is refused and why, and reading from the
 * middle of a file. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/buffer.h"
#include "ctl/row-reader.h"

#define NOW 1000000

typedef struct Input {
        int fd;
        RowReader *reader;
        Arena arena;
        char *problem;
        int result; /* of row_reader_begin() */
} Input;

static Input begin(Slice text, bool json_lines, RecordType type) {
        Input input = {.fd = memfd_create("input", MFD_CLOEXEC)};

        assert_true(input.fd >= 0);
        assert_int_equal(write(input.fd, text.data, text.len), text.len);
        assert_int_equal(lseek(input.fd, 0, SEEK_SET), 0);
        arena_init(&input.arena, 0);
        assert_int_equal(row_reader_new(input.fd, json_lines, &input.reader), 0);
        input.result = row_reader_begin(input.reader, type, &input.problem);
        return input;
}

static void end(Input *input) {
        (void)row_reader_free(input->reader);
        arena_done(&input->arena);
        free(input->problem);
        (void)close(input->fd);
}

static ReadRow next(Input *input) {
        ReadRow row;

        assert_int_equal(row_reader_next(input->reader, &input->arena, NOW, &row), 1);
        return row;
}

static void assert_end(Input *input) {
        ReadRow row;

        assert_int_equal(row_reader_next(input->reader, &input->arena, NOW, &row), 0);
        assert_int_equal(row_reader_next(input->reader, &input->arena, NOW, &row), 0);
}

static void assert_slice(Slice s, const char *expected) {
        assert_int_equal(s.len, strlen(expected));
        assert_memory_equal(s.data, expected, s.len);
}

static void test_users(void **state) {
        Input input = begin(SLICE("\xEF\xBB\xBFid,Username, email ,created_at,more\r\n"
                                  "5,\" anna \",a@example.com,2026-01-02 03:04:05,x\r\n"
                                  "\r\n"
                                  ",bert,b@example.com,,\r\n"),
                            false, RECORD_NONE);
        ReadRow row;

        (void)state;
        assert_int_equal(input.result, 0);
        assert_int_equal(row_reader_type(input.reader), RECORD_USERS);
        assert_true(row_reader_has(input.reader, FIELD_ID));
        assert_false(row_reader_has(input.reader, FIELD_TITLE));
        row = next(&input);
        assert_null(row.problem);
        assert_int_equal(row.line, 2);
        assert_int_equal(row.record.user.id, 5);
        assert_slice(row.record.user.username, "anna");
        assert_slice(row.record.user.email, "a@example.com");
        assert_int_equal(row.record.user.created_sec, 1767323045);
        row = next(&input);
        assert_null(row.problem);
        assert_int_equal(row.line, 4);
        assert_int_equal(row.record.user.id, 0);
        assert_int_equal(row.record.user.created_sec, NOW);
        assert_end(&input);
        end(&input);
}

static void test_urls(void **state) {
        Input input = begin(SLICE("id,user_id,short_code,original_url,title,is_active,created_at,"
                                  "updated_at\n"
                                  "1,2,abc,HTTPS://Example.com,A title,False,2026-01-01 00:00:00,"
                                  "2026-01-02 00:00:00\n"
                                  ",,,https://example.com/,,,2026-01-01,\n"),
                            false, RECORD_NONE);
        ReadRow row;

        (void)state;
        assert_int_equal(input.result, 0);
        row = next(&input);
        assert_null(row.problem);
        assert_int_equal(row.record.url.user_id, 2);
        assert_slice(row.record.url.code, "abc");
        assert_slice(row.record.url.target, "HTTPS://Example.com");
        assert_slice(row.record.url.location, "https://example.com/");
        assert_slice(row.record.url.title, "A title");
        assert_false(row.record.url.is_active);
        assert_int_equal(row.record.url.updated_sec - row.record.url.created_sec, 86400);
        row = next(&input);
        assert_null(row.problem);
        assert_null(row.record.url.code.data);
        assert_null(row.record.url.title.data);
        assert_true(row.record.url.is_active);
        assert_int_equal(row.record.url.updated_sec, row.record.url.created_sec);
        assert_end(&input);
        end(&input);
}

static void test_events(void **state) {
        Input input = begin(SLICE("url_id,event_type,details,timestamp,user_id\n"
                                  "3,redirect,\"{\"\"b\"\":1, \"\"a\"\":\"\"x\"\"}\","
                                  "2026-01-01T00:00:00,4\n"
                                  "3,created,,,\n"
                                  "3,created,null,,\n"),
                            false, RECORD_NONE);
        ReadRow row;

        (void)state;
        assert_int_equal(input.result, 0);
        assert_int_equal(row_reader_type(input.reader), RECORD_EVENTS);
        row = next(&input);
        assert_null(row.problem);
        assert_slice(row.record.event.details, "{\"a\":\"x\",\"b\":1}");
        assert_int_equal(row.record.event.user_id, 4);
        for (int i = 0; i < 2; i++) {
                row = next(&input);
                assert_null(row.problem);
                assert_null(row.record.event.details.data);
                assert_int_equal(row.record.event.timestamp_sec, NOW);
        }
        assert_end(&input);
        end(&input);
}

typedef struct Refusal {
        const char *row;
        const char *problem;
} Refusal;

static void check_refusals(const char *header, const Refusal *refusals, size_t n, bool json_lines) {
        for (size_t i = 0; i < n; i++) {
                Buffer text = BUFFER_EMPTY;
                ReadRow row;
                Input input;

                buffer_printf(&text, "%s\n%s\n", header, refusals[i].row);
                input = begin(buffer_slice(&text), json_lines, RECORD_NONE);
                assert_int_equal(input.result, 0);
                if (json_lines)
                        (void)next(&input);
                row = next(&input);
                if (!row.problem)
                        fail_msg("taken: %s", refusals[i].row);
                assert_string_equal(row.problem, refusals[i].problem);
                assert_int_equal(row.line, 2);
                assert_end(&input);
                end(&input);
                buffer_done(&text);
        }
}

#define REFUSALS(header, list, json) check_refusals(header, list, ELEMENTSOF(list), json)

static void test_users_refused(void **state) {
        static const Refusal refusals[] = {
                        {"1,,a@example.com,", "username is required"},
                        {"1, \t,a@example.com,", "username is required"},
                        {"1,\xFF,a@example.com,",
                         "username must be UTF-8 without control characters"},
                        {"1,\"a\x01\",a@example.com,",
                         "username must be UTF-8 without control characters"},
                        {"1,anna,,", "email is required"},
                        {"1,anna,example.com,", "Invalid email format"},
                        {"1,anna,a@@example.com,", "Invalid email format"},
                        {"0,anna,a@example.com,", "id must be a positive integer"},
                        {"-1,anna,a@example.com,", "id must be a positive integer"},
                        {"x,anna,a@example.com,", "id must be a positive integer"},
                        {"9223372036854775808,anna,a@example.com,",
                         "id must be a positive integer"},
                        {"1,anna,a@example.com,yesterday", "created_at is no date"},
                        {"1,anna,a@example.com,2026-02-30", "created_at is no date"},
                        {"1,anna,a@example.com", "the row has fewer fields than the header"},
                        {"1,anna,a@example.com,,", "the row has more fields than the header"},
                        {"1,an\"na,a@example.com,",
                         "the row is broken: a stray quote, or over 64 KiB or 64 fields"},
        };

        (void)state;
        REFUSALS("id,username,email,created_at", refusals, false);
}

static void test_urls_refused(void **state) {
        static const Refusal refusals[] = {
                        {"abc,,,", "url is required"},
                        {"abc,ftp://example.com,,", "A valid HTTP or HTTPS URL is required"},
                        {"abc,https://u:p@example.com,,", "A valid HTTP or HTTPS URL is required"},
                        {"a b,https://example.com,,",
                         "short_code must be 1 to 64 characters of A-Z, a-z, 0-9, - and _"},
                        {"users,https://example.com,,",
                         "short_code is the name of a route and would not be reached"},
                        {"abc,https://example.com,maybe,", "is_active must be a boolean"},
                        {"abc,https://example.com,,x", "user_id must be a positive integer"},
        };

        (void)state;
        REFUSALS("short_code,original_url,is_active,user_id", refusals, false);
}

static void test_events_refused(void **state) {
        static const Refusal refusals[] = {
                        {",redirect,,", "url_id is required"},
                        {"0,redirect,,", "url_id must be a positive integer"},
                        {"1,,,", "event_type is required"},
                        {"1,redirect,[],", "details must be a JSON object"},
                        {"1,redirect,{,", "details must be a JSON object"},
                        {"1,redirect,,never", "timestamp is no date"},
        };

        (void)state;
        REFUSALS("url_id,event_type,details,timestamp", refusals, false);
}

static void test_over_long_texts(void **state) {
        Buffer text = BUFFER_EMPTY;
        char *at;
        Input input;

        (void)state;
        buffer_append(&text, SLICE("url_id,event_type,details\n1,x,\"{\"\"a\"\":\"\""));
        at = buffer_reserve(&text, 4096);
        memset(at, 'y', 4096);
        text.len += 4096;
        buffer_append(&text, SLICE("\"\"}\"\n1,"));
        at = buffer_reserve(&text, 256);
        memset(at, 'z', 256);
        text.len += 256;
        buffer_append(&text, SLICE(",\n"));
        input = begin(buffer_slice(&text), false, RECORD_NONE);
        assert_string_equal(next(&input).problem, "details must be 4096 bytes or fewer");
        assert_string_equal(next(&input).problem, "event_type is required");
        assert_end(&input);
        end(&input);
        buffer_done(&text);
}

static void test_json_lines(void **state) {
        Input input = begin(SLICE("\xEF\xBB\xBF{\"url_id\":1,\"event_type\":\"a\",\"id\":7,"
                                  "\"details\":{\"b\":1,\"a\":2},\"user_id\":null}\n"
                                  "\n  \n"
                                  "{\"url_id\":2,\"event_type\":\"b\"}"),
                            true, RECORD_NONE);
        ReadRow row;

        (void)state;
        assert_int_equal(input.result, 0);
        assert_int_equal(row_reader_type(input.reader), RECORD_EVENTS);
        assert_true(row_reader_has(input.reader, FIELD_ID));
        row = next(&input);
        assert_null(row.problem);
        assert_int_equal(row.record.event.id, 7);
        assert_slice(row.record.event.details, "{\"a\":2,\"b\":1}");
        row = next(&input);
        assert_null(row.problem);
        assert_int_equal(row.line, 4);
        assert_int_equal(row.record.event.url_id, 2);
        assert_end(&input);
        end(&input);
}

static void test_json_lines_refused(void **state) {
        static const Refusal refusals[] = {
                        {"{\"original_url\":1}", "original_url must be a string"},
                        {"{\"original_url\":\"http://ab\",\"is_active\":\"true\"}",
                         "is_active must be a boolean"},
                        {"{\"original_url\":\"http://ab\",\"title\":[]}", "title must be a string"},
                        {"{\"original_url\":\"http://ab\",\"user_id\":\"1\"}",
                         "user_id must be an integer"},
                        {"{\"original_url\":\"http://ab\",\"user_id\":1.5}",
                         "user_id must be a positive integer"},
                        {"{}", "url is required"},
                        {"[]", "the line is no JSON object"},
                        {"{\"original_url\":\"http://ab\"", "the line is no JSON object"},
        };

        (void)state;
        REFUSALS("{\"original_url\":\"http://ab\"}", refusals, true);
}

/* A line that is too long costs itself alone, however it falls into the pieces that are read. */
static void test_long_json_lines(void **state) {
        static const size_t lengths[] = {65536, 65537, 100000, 262144, 300000, 1000000};
        Buffer text = BUFFER_EMPTY;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                ReadRow row;
                Input input;
                char *at;

                buffer_clear(&text);
                buffer_append(&text, SLICE("{\"original_url\":\"http://ab\"}\n"));
                at = buffer_reserve(&text, lengths[i]);
                assert_non_null(at);
                memset(at, 'x', lengths[i]);
                text.len += lengths[i];
                buffer_append(&text, SLICE("\n{\"original_url\":\"http://cd\"}\n"));
                input = begin(buffer_slice(&text), true, RECORD_NONE);
                assert_null(next(&input).problem);
                assert_string_equal(next(&input).problem,
                                    lengths[i] > ROW_READER_LINE_MAX
                                                    ? "the line is over 64 KiB"
                                                    : "the line is no JSON object");
                row = next(&input);
                assert_null(row.problem);
                assert_int_equal(row.line, 3);
                assert_slice(row.record.url.target, "http://cd");
                assert_end(&input);
                end(&input);
        }
        buffer_done(&text);
}

static void check_header(Slice text, bool json_lines, RecordType type, const char *problem) {
        Input input = begin(text, json_lines, type);

        assert_int_equal(input.result, -EINVAL);
        assert_string_equal(input.problem, problem);
        end(&input);
}

static void test_headers_refused(void **state) {
        (void)state;
        check_header(SLICE(""), false, RECORD_NONE,
                     "the file is empty: a header line must name the columns");
        check_header(SLICE("\n\n"), false, RECORD_NONE,
                     "the file is empty: a header line must name the columns");
        check_header(SLICE("a,b\n"), false, RECORD_NONE,
                     "these are neither users (username, email), urls (original_url) nor events "
                     "(event_type, url_id)");
        check_header(SLICE("username\n"), false, RECORD_NONE, "there is no column email");
        check_header(SLICE("username,email\n"), false, RECORD_EVENTS,
                     "there is no column event_type");
        check_header(SLICE("email,username,Email\n"), false, RECORD_NONE,
                     "two columns have the name Email");
        check_header(SLICE("a\"b\n"), false, RECORD_NONE, "the header line is broken");
        check_header(SLICE(""), true, RECORD_NONE, "the file is empty");
        check_header(SLICE("id,username\n"), true, RECORD_NONE, "the first line is no JSON object");
        check_header(SLICE("{}\n"), true, RECORD_NONE,
                     "these are neither users (username, email), urls (original_url) nor events "
                     "(event_type, url_id)");
}

/* From each row's offset on the same rows come, with the same lines. */
static void check_seek(Slice text, bool json_lines) {
        uint64_t offsets[16], lines[16];
        const char *problems[16];
        Input input = begin(text, json_lines, RECORD_NONE);
        ReadRow row;
        size_t n = 0;

        assert_int_equal(input.result, 0);
        while (row_reader_next(input.reader, &input.arena, NOW, &row) == 1) {
                assert_true(n < ELEMENTSOF(offsets));
                offsets[n] = row.offset;
                lines[n] = row.line;
                problems[n++] = row.problem;
        }
        assert_true(n > 3);
        for (size_t first = 0; first < n; first++) {
                assert_int_equal(row_reader_seek(input.reader, offsets[first], lines[first]), 0);
                for (size_t i = first; i < n; i++) {
                        row = next(&input);
                        assert_int_equal(row.offset, offsets[i]);
                        assert_int_equal(row.line, lines[i]);
                        assert_ptr_equal(row.problem, problems[i]);
                }
                assert_end(&input);
        }
        end(&input);
}

static void test_seek(void **state) {
        (void)state;
        check_seek(SLICE("username,email\r\n"
                         "anna,a@example.com\r\n"
                         "\r\n"
                         "\"bert\nb\",b@example.com\n"
                         "\xEF\xBB\xBF"
                         "c,c@example.com\n"
                         "\"d\"x,d@example.com\n"
                         "e,e@example.com"),
                   false);
        check_seek(SLICE("{\"username\":\"a\",\"email\":\"a@example.com\"}\n"
                         "\n"
                         "{\"username\":\"b\",\"email\":\"b@example.com\"}\r\n"
                         "x\n"
                         "{\"username\":\"c\",\"email\":\"c@example.com\"}"),
                   true);
}

static void test_a_closed_input(void **state) {
        char *problem = NULL;
        RowReader *reader;

        (void)state;
        assert_int_equal(row_reader_new(-1, false, &reader), 0);
        assert_int_equal(row_reader_begin(reader, RECORD_NONE, &problem), -EBADF);
        (void)row_reader_free(reader);
        assert_int_equal(row_reader_new(-1, true, &reader), 0);
        assert_int_equal(row_reader_begin(reader, RECORD_NONE, &problem), -EBADF);
        assert_int_equal(row_reader_seek(reader, 5, 5), -EBADF);
        (void)row_reader_free(reader);
        assert_null(problem);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_users),
                        cmocka_unit_test(test_urls),
                        cmocka_unit_test(test_events),
                        cmocka_unit_test(test_users_refused),
                        cmocka_unit_test(test_urls_refused),
                        cmocka_unit_test(test_events_refused),
                        cmocka_unit_test(test_over_long_texts),
                        cmocka_unit_test(test_json_lines),
                        cmocka_unit_test(test_json_lines_refused),
                        cmocka_unit_test(test_long_json_lines),
                        cmocka_unit_test(test_headers_refused),
                        cmocka_unit_test(test_seek),
                        cmocka_unit_test(test_a_closed_input),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
