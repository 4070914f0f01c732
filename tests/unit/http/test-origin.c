/* SPDX-License-Identifier: MIT */

/* Whose page has sent it: fields of a head, and what is ours. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/origin.h"
#include "http/parser.h"

static bool from_elsewhere(const char *fields, const char *base_url) {
        char text[1024];
        HttpRequest request = {0};
        HttpHead head;
        int n = snprintf(text, sizeof text, "POST /urls HTTP/1.1\r\n%s\r\n", fields);

        assert_in_range(n, 1, sizeof text - 1);
        http_head_init(&head);
        assert_int_equal(http_parse_head(&head, text, (size_t)n), HTTP_PARSE_DONE);
        request.head = slice_make(text, head.head_len);
        request.known[HTTP_FIELD_HOST] = http_known(text, &head, HTTP_FIELD_HOST);
        return http_from_elsewhere(&request, slice_from_string(base_url));
}

static void test_origins(void **state) {
        static const struct {
                const char *host, *origin, *base_url;
                bool elsewhere;
        } cases[] = {
                        {"s.example", "http://s.example", "", false},
                        {"S.example", "HTTPS://s.EXAMPLE", "", false},
                        {"s.example:8080", "http://s.example:8080", "", false},
                        {"s.example:80", "http://s.example", "", false},
                        {"s.example", "http://s.example:80", "", false},
                        {"s.example:443", "https://s.example", "", false},
                        {"[::1]:8080", "http://[::1]:8080", "", false},
                        {"[::1]", "http://[::1]", "", false},
                        {"inside:8001", "https://s.example", "https://s.example", false},
                        {"inside:8001", "https://s.example", "https://s.example:443/a/b", false},
                        {"inside:8001", "http://inside:8001", "https://s.example", false},
                        {"inside:8001", "http://s.example", "https://s.example", true},
                        {"inside:8001", "http://s.example:8443", "https://s.example:8443", true},
                        {"s.example:80", "https://s.example", "", true},
                        {"s.example:443", "http://s.example", "", true},
                        {"s.example", "http://s.example:8080", "", true},
                        {"s.example:8080", "http://s.example", "", true},
                        {"s.example", "http://s.exampl", "", true},
                        {"s.example", "http://s.example.", "", true},
                        {"s.example", "http://xs.example", "", true},
                        {"inside", "https://s.example", "https://s.example:8443/", true},
                        {"inside", "https://s.example", "https://evil.example/s.example", true},
                        {"s.example", "null", "", true},
                        {"s.example", "", "https://s.example", true},
                        {"s.example", "https://", "https://s.example", true},
                        {"s.example", "http://:80", "", true},
                        {"s.example", "ftp://s.example", "", true},
                        {"s.example", "s.example", "", true},
        };
        char fields[512];

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                (void)snprintf(fields, sizeof fields, "Host: %s\r\noRIGIN:\t%s \r\n", cases[i].host,
                               cases[i].origin);
                if (from_elsewhere(fields, cases[i].base_url) != cases[i].elsewhere)
                        fail_msg("%s with %s", fields, cases[i].base_url);
        }
}

static void test_sites(void **state) {
        (void)state;
        assert_false(from_elsewhere("Host: a\r\n", ""));
        assert_false(from_elsewhere("Host: a\r\nSec-Fetch-Site: same-origin\r\n", ""));
        assert_false(from_elsewhere("Host: a\r\nSec-Fetch-Site: none\r\n", ""));
        assert_false(from_elsewhere("Host: a\r\nX-Sec-Fetch-Site: cross-site\r\n", ""));
        assert_false(from_elsewhere("Host: a\r\nX: Origin: http://b\r\n", ""));
        assert_true(from_elsewhere("Host: a\r\nsec-fetch-site:CROSS-SITE\r\n", ""));
        assert_true(from_elsewhere("Sec-Fetch-Site: same-site\r\nHost: a\r\n", ""));
        assert_true(from_elsewhere("Host: a\r\nSec-Fetch-Site: cross-site\r\nOrigin: http://a\r\n",
                                   ""));
}

static void test_each_field_counts(void **state) {
        (void)state;
        assert_true(from_elsewhere("Host: a\r\nOrigin: http://b\r\nOrigin: http://a\r\n", ""));
        assert_true(from_elsewhere("Origin: http://a\r\nOrigin: http://b\r\nHost: a\r\n", ""));
        assert_true(from_elsewhere(
                        "Host: a\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Site: none\r\n", ""));
        assert_false(from_elsewhere("Host: a\r\nOrigin: http://a\r\nOrigin: https://a\r\n", ""));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_origins),
                        cmocka_unit_test(test_sites),
                        cmocka_unit_test(test_each_field_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
