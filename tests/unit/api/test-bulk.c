/* SPDX-License-Identifier: MIT */

/* The import of users: which rows go in, what is said about the others, and what ends it. */

#include "api-test.h"

#define TYPE "multipart/form-data; boundary=XyZ"

static void send_body(ApiTest *t, const char *type, Slice body) {
        assert_int_equal(api_test_run(t, "POST", "/users/bulk", type, body), 0);
}

static void append_part(Buffer *body, const char *disposition, Slice data) {
        buffer_printf(body,
                      "--XyZ\r\nContent-Disposition: form-data; %s\r\n"
                      "Content-Type: text/csv\r\n\r\n",
                      disposition);
        buffer_append(body, data);
        buffer_append(body, SLICE("\r\n"));
}

/* One part and the end. */
static void send_part(ApiTest *t, const char *disposition, Slice data) {
        _cleanup_(buffer_done) Buffer body = BUFFER_EMPTY;

        append_part(&body, disposition, data);
        buffer_append(&body, SLICE("--XyZ--\r\n"));
        send_body(t, TYPE, buffer_slice(&body));
}

static void send_file(ApiTest *t, Slice csv) {
        send_part(t, "name=\"file\"; filename=\"users.csv\"", csv);
}

#define SEND(t, csv) send_file((t), SLICE(csv))

#define assert_imported(t, n, skipped) \
 assert_answer((t), 201, "{\"count\":" #n ",\"imported\":" #n ",\"skipped\":" #skipped "}")

static void test_rows(void **state) {
        ApiTest *t = *state;

        SEND(t, "username,email,created_at\n"
                "a,a@example.com,2025-09-19 22:25:05\n"
                "b,b@example.com,2024-04-09T02:51:03\n"
                "c,c@example.com,\n"
                "d,d@example.com,2024-04-09\n");
        assert_imported(t, 4, 0);
        api_get(t, "/users");
        assert_answer(t, 200,
                      "[{\"created_at\":\"2025-09-19T22:25:05\",\"email\":\"a@example.com\",\"id\":"
                      "1,"
                      "\"username\":\"a\"},"
                      "{\"created_at\":\"2024-04-09T02:51:03\",\"email\":\"b@example.com\",\"id\":"
                      "2,"
                      "\"username\":\"b\"},"
                      "{\"created_at\":\"" API_TEST_TIME
                      "\",\"email\":\"c@example.com\",\"id\":3,\"username\":\"c\"},"
                      "{\"created_at\":\"2024-04-09T00:00:00\",\"email\":\"d@example.com\",\"id\":"
                      "4,"
                      "\"username\":\"d\"}]");
}

/* BOM, CRLF, quotes, other columns, other order, no end of the last line. */
static void test_forms_of_csv(void **state) {
        ApiTest *t = *state;

        SEND(t, "\xEF\xBB\xBFid,email,age,username\r\n99,\"q@example.com\",7,\"q,\"\"1\"\"\"\r\n"
                "\r\n1, r@example.com ,8, r ");
        assert_imported(t, 2, 0);
        api_get(t, "/users");
        assert_answer(t, 200,
                      "[{\"created_at\":\"" API_TEST_TIME
                      "\",\"email\":\"q@example.com\",\"id\":1,\"username\":\"q,\\\"1\\\"\"},"
                      "{\"created_at\":\"" API_TEST_TIME
                      "\",\"email\":\"r@example.com\",\"id\":2,\"username\":\"r\"}]");
}

/* More fields than the header has are no mistake. */
static void test_long_row(void **state) {
        ApiTest *t = *state;

        SEND(t, "username,email\na,a@b.co,extra,extra\n");
        assert_imported(t, 1, 0);
}

static void test_nothing_to_import(void **state) {
        static const Slice files[] = {
                        SLICE(""),
                        SLICE("\n\n"),
                        SLICE("\xEF\xBB\xBF"),
                        SLICE("username,email\n"),
                        SLICE("username,email"),
                        SLICE("a,b\n1,2\n"),
                        SLICE("username\na\n"),
                        SLICE("Username,Email\na,a@b.co\n"),
                        SLICE("\"username\"x,email\na,a@b.co\n"),
                        SLICE("\0\0\0"),
        };
        ApiTest *t = *state;

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                send_file(t, files[i]);
                assert_imported(t, 0, 0);
        }
        api_get(t, "/users");
        assert_answer(t, 200, "[]");
}

/* Each reason, with the line that the row begins on; every other row goes in. */
static void test_skipped_rows(void **state) {
        _cleanup_(buffer_done) Buffer csv = BUFFER_EMPTY;
        ApiTest *t = *state;
        char *name = api_repeat('n', 256);

        api_add_user(t, "taken", "taken@example.com");
        buffer_append(&csv, SLICE("username,email,created_at\n"
                                  ",a@b.co,\n"                       /* 2 */
                                  "  ,a@b.co,\n"                     /* 3 */
                                  "a,,\n"                            /* 4 */
                                  "a,nope,\n"                        /* 5 */
                                  "one,one@b.co,\n"                  /* 6 */
                                  "a,a@b.co,notadate\n"              /* 7 */
                                  "a,a@b.co,2025-02-30\n"            /* 8 */
                                  "short,short@b.co\n"               /* 9 */
                                  "b\xE9x,b@b.co,\n"                 /* 10 */
                                  "c,b\xE9@b.co,\n"                  /* 11 */
                                  "taken,a@b.co,\n"                  /* 12 */
                                  "a,taken@example.com,\n"           /* 13 */
                                  "\"two\nlines\",a@b.co,\n"         /* 14 and 15 */
                                  "one,a@b.co,\n"                    /* 16 */
                                  "a,one@b.co,\n"                    /* 17 */
                                  "a\"b,a@b.co,\n"                   /* 18 */
                                  "two,two@b.co,2025-01-02\n"));     /* 19 */
        buffer_printf(&csv, "%s,a@b.co,\na,%s@b.co,\n", name, name); /* 20, 21 */
        free(name);
        send_file(t, buffer_slice(&csv));
        assert_answer(t, 201,
                      "{\"count\":2,\"errors\":["
                      "{\"error\":\"username is required\",\"row\":2},"
                      "{\"error\":\"username is required\",\"row\":3},"
                      "{\"error\":\"email is required\",\"row\":4},"
                      "{\"error\":\"Invalid email format\",\"row\":5},"
                      "{\"error\":\"created_at is not a date\",\"row\":7},"
                      "{\"error\":\"created_at is not a date\",\"row\":8},"
                      "{\"error\":\"the row has too few fields\",\"row\":9},"
                      "{\"error\":\"username is not UTF-8 or has control characters\",\"row\":10},"
                      "{\"error\":\"Invalid email format\",\"row\":11},"
                      "{\"error\":\"Username already exists\",\"row\":12},"
                      "{\"error\":\"Email already exists\",\"row\":13},"
                      "{\"error\":\"username is not UTF-8 or has control characters\",\"row\":14},"
                      "{\"error\":\"Username already exists\",\"row\":16},"
                      "{\"error\":\"Email already exists\",\"row\":17},"
                      "{\"error\":\"the row is not valid CSV\",\"row\":18},"
                      "{\"error\":\"username must be 255 characters or fewer\",\"row\":20},"
                      "{\"error\":\"email must be 255 characters or fewer\",\"row\":21}],"
                      "\"imported\":2,\"skipped\":17}");
}

/* The answer names the first 20, whichever of them the store found, in the order of the file. */
static void test_first_twenty_errors(void **state) {
        _cleanup_(buffer_done) Buffer csv = BUFFER_EMPTY;
        ApiTest *t = *state;
        const char *p;

        api_add_user(t, "taken", "taken@example.com");
        buffer_append(&csv, SLICE("username,email\n"));
        for (int i = 0; i < 40; i++)
                buffer_append(&csv, i % 2 == 0 ? SLICE("taken,a@b.co\n") : SLICE("a,nope\n"));
        send_file(t, buffer_slice(&csv));
        assert_non_null(strstr(api_body(t), "\"imported\":0,\"skipped\":40}"));
        p = api_body(t);
        for (int i = 0; i < 20; i++) {
                p = strstr(p, "\"row\":");
                assert_non_null(p);
                p += strlen("\"row\":");
                assert_int_equal(api_leading_number(p), i + 2);
        }
        assert_null(strstr(p, "\"row\":"));
}

static void test_no_file(void **state) {
        static const struct {
                const char *type, *body;
        } bad[] = {
                        {NULL, "username,email\n"},
                        {"text/csv", "username,email\n"},
                        {"application/json", "{\"file\":\"users.csv\",\"row_count\":1}"},
                        {"multipart/form-data", "--XyZ--\r\n"},
                        {"multipart/mixed; boundary=XyZ", "--XyZ--\r\n"},
                        {TYPE, ""},
                        {TYPE, "--XyZ--\r\n"},
                        {TYPE, "garbage"},
                        {TYPE, "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; "
                               "filename=\"a.csv\"\r\n\r\nusername,email\na,a@b.co\n"},
        };
        ApiTest *t = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                send_body(t, bad[i].type, slice_from_string(bad[i].body));
                assert_problem(t, 400, "No file provided");
        }
        send_part(t, "name=\"x\"", SLICE("1"));
        assert_problem(t, 400, "No file provided");
        send_part(t, "name=\"csv\"; filename=\"users.csv\"", SLICE("username,email\n"));
        assert_problem(t, 400, "No file provided");
        send_part(t, "name=\"file\"", SLICE("username,email\na,a@b.co\n"));
        assert_problem(t, 400, "No file provided");
        send_part(t, "name=\"file\"; filename=\"\"", SLICE("username,email\na,a@b.co\n"));
        assert_problem(t, 400, "No file selected");
        api_get(t, "/users");
        assert_answer(t, 200, "[]");
}

/* Other parts before and behind the file are none of ours. */
static void test_other_parts(void **state) {
        _cleanup_(buffer_done) Buffer body = BUFFER_EMPTY;
        ApiTest *t = *state;

        append_part(&body, "name=\"row_count\"", SLICE("1"));
        append_part(&body, "name=\"file\"; filename=\"a.csv\"",
                    SLICE("username,email\na,a@b.co\n"));
        append_part(&body, "name=\"file\"; filename=\"b.csv\"",
                    SLICE("username,email\nb,b@b.co\n"));
        buffer_append(&body, SLICE("--XyZ--\r\n"));
        send_body(t, TYPE, buffer_slice(&body));
        assert_imported(t, 1, 0);
}

#define FILE_MAX ((size_t)10 * 1024 * 1024)

static void test_file_size(void **state) {
        ApiTest *t = *state;
        char *file = api_repeat('\n', FILE_MAX + 1);

        memcpy(file, "username,email\n", strlen("username,email\n"));
        send_file(t, slice_make(file, FILE_MAX + 1));
        assert_problem(t, 413, "File too large (max 10MB)");
        send_file(t, slice_make(file, FILE_MAX));
        assert_imported(t, 0, 0);
        free(file);
}

/* The store as the import meets it: counts its transactions and fails from one of them on. */
static unsigned n_batches;
static size_t largest_batch;
static unsigned fail_at; /* 0: never */
static int fail_result;

int __real_store_users_import(StoreSession *session, StoreUserRow *rows, size_t n);
int __wrap_store_users_import(StoreSession *session, StoreUserRow *rows, size_t n);
int __wrap_store_users_import(StoreSession *session, StoreUserRow *rows, size_t n) {
        n_batches++;
        largest_batch = MAX(largest_batch, n);
        if (fail_at > 0 && n_batches >= fail_at)
                return fail_result;
        return __real_store_users_import(session, rows, n);
}

static void append_users(Buffer *csv, unsigned n) {
        buffer_append(csv, SLICE("username,email\n"));
        for (unsigned i = 0; i < n; i++)
                buffer_printf(csv, "u%u,u%u@example.com\n", i, i);
}

static int setup_batches(void **state) {
        n_batches = 0;
        largest_batch = 0;
        fail_at = 0;
        return api_test_setup(state);
}

static void test_batches(void **state) {
        _cleanup_(buffer_done) Buffer csv = BUFFER_EMPTY;
        ApiTest *t = *state;

        append_users(&csv, 2500);
        send_file(t, buffer_slice(&csv));
        assert_imported(t, 2500, 0);
        assert_int_equal(n_batches, 3);
        assert_int_equal(largest_batch, 1000);
        api_get(t, "/users?per_page=1&page=2500");
        assert_non_null(strstr(api_body(t), "\"username\":\"u2499\""));
}

/* The store goes away: what is in stays in and is told; sending it again is safe. */
static void test_interrupted(void **state) {
        _cleanup_(buffer_done) Buffer csv = BUFFER_EMPTY;
        ApiTest *t = *state;

        append_users(&csv, 2500);
        fail_at = 2;
        fail_result = -EHOSTDOWN;
        send_file(t, buffer_slice(&csv));
        assert_problem(t, 503, "Service unavailable: 1000 rows are in");
        assert_string_equal(api_field(t, "Retry-After"), "1");
        fail_result = -ETIMEDOUT;
        n_batches = 0;
        send_file(t, buffer_slice(&csv));
        assert_problem(t, 503, "Service unavailable: at least 0 rows are in");
        fail_result = -EBUSY;
        fail_at = 1;
        send_file(t, buffer_slice(&csv));
        assert_problem(t, 503, "Service unavailable: 0 rows are in");
        fail_at = 0;
        send_file(t, buffer_slice(&csv));
        assert_memory_equal(api_body(t),
                            "{\"count\":1500,\"errors\":[{\"error\":\"Username already "
                            "exists\",\"row\":2},",
                            60);
        assert_non_null(strstr(api_body(t), "],\"imported\":1500,\"skipped\":1000}"));
}

/* A broken store is not one that is away: 500 is the worker's to say. */
static void test_broken_store(void **state) {
        static const char body[] =
                        "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; "
                        "filename=\"a.csv\"\r\n\r\nusername,email\na,a@b.co\n\r\n--XyZ--";
        ApiTest *t = *state;

        fail_at = 1;
        fail_result = -EIO;
        assert_int_equal(api_test_run(t, "POST", "/users/bulk", TYPE, slice_from_string(body)),
                         -EIO);
        fail_result = STORE_REFUSED;
        assert_true(api_test_run(t, "POST", "/users/bulk", TYPE, slice_from_string(body)) < 0);
}

#define BATCH_TEST(f) cmocka_unit_test_setup_teardown(f, setup_batches, api_test_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        BATCH_TEST(test_rows),         BATCH_TEST(test_forms_of_csv),
                        BATCH_TEST(test_long_row),     BATCH_TEST(test_nothing_to_import),
                        BATCH_TEST(test_skipped_rows), BATCH_TEST(test_first_twenty_errors),
                        BATCH_TEST(test_no_file),      BATCH_TEST(test_other_parts),
                        BATCH_TEST(test_file_size),    BATCH_TEST(test_batches),
                        BATCH_TEST(test_interrupted),  BATCH_TEST(test_broken_store),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
