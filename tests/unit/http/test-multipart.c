/* SPDX-License-Identifier: MIT */

/* multipart/form-data: parts, parameters, what is broken, and that hostile bodies cost no more. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "basic/buffer.h"
#include "http/multipart.h"

#define TYPE      "multipart/form-data; boundary=b"
#define FILE_HEAD "Content-Disposition: form-data; name=\"file\"; filename=\"u.csv\"\r\n"

static HttpMultipart multipart;

static void begin(const char *type, const char *body) {
        assert_int_equal(http_multipart_init(&multipart, slice_from_string(type),
                                             slice_from_string(body)),
                         0);
}

static HttpPart next_part(void) {
        HttpPart part;

        assert_int_equal(http_multipart_next(&multipart, &part), 1);
        return part;
}

static void assert_end(int expected) {
        HttpPart part;

        assert_int_equal(http_multipart_next(&multipart, &part), expected);
}

static void assert_text(Slice s, const char *expected) {
        assert_non_null(s.data);
        assert_int_equal(s.len, strlen(expected));
        assert_memory_equal(s.data, expected, s.len);
}

/* One part with this Content-Disposition. */
static HttpPart with_disposition(const char *disposition) {
        static char body[512];

        (void)snprintf(body, sizeof body, "--b\r\n%s\r\n\r\nx\r\n--b--", disposition);
        begin(TYPE, body);
        return next_part();
}

static void test_parts(void **state) {
        HttpPart part;

        (void)state;
        begin(TYPE, "--b\r\n" FILE_HEAD "content-TYPE:  text/csv \r\nX-Other: y\r\n\r\n"
                    "a,b\r\n--c\r\n\r\n--b\r\n"
                    "Content-Disposition: form-data; name=x\r\n\r\n\r\n--b--\r\n");
        part = next_part();
        assert_text(part.name, "file");
        assert_text(part.filename, "u.csv");
        assert_text(part.content_type, "text/csv");
        assert_text(part.data, "a,b\r\n--c\r\n");
        part = next_part();
        assert_text(part.name, "x");
        assert_null(part.filename.data);
        assert_null(part.content_type.data);
        assert_text(part.data, "");
        assert_end(0);
        assert_end(0);
}

static void test_preamble_padding_epilogue(void **state) {
        (void)state;
        begin(TYPE, "ignored --b\r\n-- b\n--b\r\n\r\n--b \t\r\n\r\none\r\n--b\t\r\n\r\ntwo\r\n"
                    "--b-- \r\nthe epilogue\r\n--b\r\n\r\nx\r\n--b--");
        assert_text(next_part().data, "one");
        assert_text(next_part().data, "two");
        assert_end(0);
        begin(TYPE, "--b--");
        assert_end(0);
        begin(TYPE, "preamble\r\n--b--\r\n");
        assert_end(0);
}

/* The delimiter's CRLF is then the one that ended the part's head. */
static void test_part_without_data(void **state) {
        HttpPart part;

        (void)state;
        begin(TYPE, "--b\r\n" FILE_HEAD "\r\n--b\r\n\r\nsecond\r\n--b--");
        part = next_part();
        assert_text(part.filename, "u.csv");
        assert_text(part.data, "");
        part = next_part();
        assert_text(part.name, "");
        assert_text(part.data, "second");
        assert_end(0);
}

static void test_parameters(void **state) {
        HttpPart part;

        (void)state;
        part = with_disposition("CONTENT-disposition:form-DATA;NAME=a ; FileName = \"x y\" ");
        assert_text(part.name, "a");
        assert_text(part.filename, "x y");
        part = with_disposition(
                        "Content-Disposition: form-data; name=\"a;b\\\";c\"; filename=\"\"");
        assert_text(part.name, "a;b\\\";c");
        assert_text(part.filename, "");
        part = with_disposition("Content-Disposition: form-data; filename*=UTF-8''%e2; name=a");
        assert_text(part.filename, "UTF-8''%e2");
        part = with_disposition("Content-Disposition: form-data; filename*=b; filename=a; name=c");
        assert_text(part.filename, "a");
        part = with_disposition("Content-Disposition: form-data; name=a; name=b; x; =y; filename=");
        assert_text(part.name, "a");
        assert_text(part.filename, "");
        part = with_disposition("Content-Disposition: form-data; name=\"a; filename=b");
        assert_text(part.name, "\"a; filename=b");
        assert_null(part.filename.data);
        part = with_disposition("Content-Disposition: form-data; name=\"a\\");
        assert_text(part.name, "\"a\\");
        part = with_disposition("Content-Disposition: attachment; name=a; filename=b");
        assert_text(part.name, "");
        assert_null(part.filename.data);
}

static void test_content_types(void **state) {
        static const char *const bad[] = {
                        "",
                        "multipart/form-data",
                        "multipart/mixed; boundary=b",
                        "text/csv",
                        "multipart/form-data; boundary=",
                        "multipart/form-data; boundary=\"\"",
                        "multipart/form-data; boundary=a\xe4",
                        "multipart/form-data; boundary=a\tb",
                        "multipart/form-data; boundary=\"a \"",
                        "multipart/form-data; boundary=\"a",
                        "multipart/form-data; boundary=a*b",
                        "multipart/form-data; xboundary=b",
        };
        char type[256];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(http_multipart_init(&multipart, slice_from_string(bad[i]),
                                                     SLICE("--b--")),
                                 -EINVAL);
        assert_int_equal(http_multipart_init(&multipart, SLICE_NONE, SLICE_NONE), -EINVAL);
        for (int n = 70; n <= 71; n++) {
                (void)snprintf(type, sizeof type, "multipart/form-data; boundary=%0*d", n, 0);
                assert_int_equal(http_multipart_init(&multipart, slice_from_string(type),
                                                     SLICE("--b--")),
                                 n == 70 ? 0 : -EINVAL);
        }
        begin("Multipart/Form-Data ; charset=\"a;boundary=x\"; Boundary=\"a'()+_,-./:=? b\"",
              "--a'()+_,-./:=? b\r\n\r\nx\r\n--a'()+_,-./:=? b--");
        assert_text(next_part().data, "x");
        assert_end(0);
}

static void test_broken_bodies(void **state) {
        static const char *const bad[] = {
                        "",
                        "x",
                        "--",
                        "--b",
                        "--b-",
                        "--bc\r\n",
                        "--b x\r\n",
                        "--b--x",
                        "--b--\n",
                        "--b\n\nx\n--b--",
                        "\n--b\n\nx\n--b--",
                        "--b\r\n",
                        "--b\r\n\r\n",
                        "--b\r\n\r\nx",
                        "--b\r\n\r\nx\n--b--",
                        "--b\r\n\r\nx--b--",
                        "--b\r\nContent-Dis",
                        "--b\r\nX: y\r\n--b--",
                        "--b\r\nX\r\n\r\nx\r\n--b--",
                        "--b\r\n: y\r\n\r\nx\r\n--b--",
                        "--b\r\nX : y\r\n\r\nx\r\n--b--",
                        "--b\r\nX: y\r\n z\r\n\r\nx\r\n--b--",
                        "--b\r\nX: y\nZ: z\r\n\r\nx\r\n--b--",
                        "--b\r\nX: \x01\r\n\r\nx\r\n--b--",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                begin(TYPE, bad[i]);
                assert_end(-EBADMSG);
        }
        /* What looks like a part is one; what follows is not. */
        begin(TYPE, "--b\r\n\r\none\r\n--bc\r\n\r\ntwo\r\n--b--");
        assert_text(next_part().data, "one");
        assert_end(-EBADMSG);
}

static double cpu_seconds(void) {
        struct timespec now;

        assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Ten megabytes of almost a delimiter: a search that begins anew at each of them would take 74
 * times as many steps. Under a second even with the sanitizers, usually 10 ms. */
static void test_hostile_body_is_linear(void **state) {
        char boundary[71], type[128], unit[80];
        Buffer body = BUFFER_EMPTY;
        HttpPart part;
        double begun;

        (void)state;
        memset(boundary, '-', 69);
        memcpy(boundary + 69, "b", 2);
        (void)snprintf(type, sizeof type, "multipart/form-data; boundary=%s", boundary);
        (void)snprintf(unit, sizeof unit, "--%s\r\n\r\n", boundary);
        buffer_append(&body, slice_from_string(unit));
        (void)snprintf(unit, sizeof unit, "\r\n--%.69s", boundary);
        while (body.len < 10 * 1024 * 1024)
                buffer_append(&body, slice_from_string(unit));
        begun = cpu_seconds();
        assert_int_equal(http_multipart_init(&multipart, slice_from_string(type),
                                             buffer_slice(&body)),
                         0);
        assert_int_equal(http_multipart_next(&multipart, &part), -EBADMSG);
        assert_true(cpu_seconds() - begun < 1);
        buffer_done(&body);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_parts),
                        cmocka_unit_test(test_preamble_padding_epilogue),
                        cmocka_unit_test(test_part_without_data),
                        cmocka_unit_test(test_parameters),
                        cmocka_unit_test(test_content_types),
                        cmocka_unit_test(test_broken_bodies),
                        cmocka_unit_test(test_hostile_body_is_linear),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
