/* SPDX-License-Identifier: MIT */

/* Targets: the table of cases, limits, and the promise that a location is its own location. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/target.h"
#include "model/types.h"
#include "target-cases.h"

static void check_case(const Case *item) {
        Slice location = SLICE_NONE, again;
        Arena arena;
        int r;

        arena_init(&arena, 0);
        r = target_parse(&arena, slice_from_string(item->text), &location);
        if (r != (item->location ? 0 : -EINVAL) ||
            !slice_equal(location, slice_from_string(item->location)))
                fail_msg("<%s>: %d, <%.*s>", item->text, r, SLICE_ARG(location));
        if (item->location) {
                assert_int_equal(target_parse(&arena, location, &again), 0);
                assert_true(slice_equal(location, again));
        }
        arena_done(&arena);
}

static void check_cases(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++)
                check_case(cases + i);
}

#define TEST_CASES(name)                               \
 static void test_##name(void **state) {               \
  (void)state;                                         \
  check_cases(name##_cases, ELEMENTSOF(name##_cases)); \
 }

TEST_CASES(scheme)
TEST_CASES(authority)
TEST_CASES(host)
TEST_CASES(idna)
TEST_CASES(ipv4)
TEST_CASES(ipv6)
TEST_CASES(path)
TEST_CASES(query)
TEST_CASES(blank)

static void assert_refused(Slice text) {
        Slice location = SLICE("untouched");
        Arena arena;

        arena_init(&arena, 0);
        assert_int_equal(target_parse(&arena, text, &location), -EINVAL);
        assert_true(slice_equal(location, SLICE("untouched")));
        arena_done(&arena);
}

static void test_bytes_that_are_no_text(void **state) {
        (void)state;
        assert_refused(SLICE_NONE);
        assert_refused(SLICE(""));
        assert_refused(SLICE("http://example.com/\0"));
        assert_refused(SLICE("http://exam\0ple.com/"));
        assert_refused(SLICE("http://example.com/\xFF"));
        assert_refused(SLICE("http://\xC3.com/"));
        assert_refused(SLICE("http://example.com/?\xED\xA0\x80"));
        assert_refused(SLICE("http://example.com/#\xC0\x80"));
}

/* Every character below U+0100 in path, query and fragment. */
static void test_escaping_of_every_character(void **state) {
        static const char *const plain[] = {
                        "!$%&'()*+,-./:;=@[]_|~",        /* path */
                        "!$%&()*+,-./:;=?@[\\]^_`{|}~",  /* query */
                        "!#$%&'()*+,-./:;=?@[\\]^_{|}~", /* fragment */
        };
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        for (char c = '!'; c <= '~'; c++)
                for (size_t part = 0; part < ELEMENTSOF(plain); part++) {
                        char text[32], expected[32];
                        bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                                      (c >= 'A' && c <= 'Z');
                        Slice location;

                        if (part == 0 && strchr("?#\\", c))
                                continue;
                        if (part == 1 && c == '#')
                                continue;
                        (void)snprintf(text, sizeof(text), "http://ab/%sx%cy",
                                       &"\0\0?\0#"[part * 2], c);
                        (void)snprintf(expected, sizeof(expected),
                                       letter || strchr(plain[part], c) ? "http://ab/%sx%cy"
                                                                        : "http://ab/%sx%%%02Xy",
                                       &"\0\0?\0#"[part * 2], (unsigned char)c);
                        assert_int_equal(target_parse(&arena, slice_from_string(text), &location),
                                         0);
                        assert_string_equal(location.data, expected);
                }
        arena_done(&arena);
}

static void test_longest_text(void **state) {
        static char text[MODEL_TARGET_MAX + 1];
        Slice location;
        Arena arena;

        (void)state;
        memset(text, 'x', sizeof(text));
        memcpy(text, "http://ab/", 10);
        arena_init(&arena, 0);
        assert_int_equal(target_parse(&arena, slice_make(text, MODEL_TARGET_MAX), &location), 0);
        assert_int_equal(location.len, MODEL_TARGET_MAX);
        assert_refused(slice_make(text, MODEL_TARGET_MAX + 1));
        memset(text + 10, '"', MODEL_TARGET_MAX - 10);
        assert_int_equal(target_parse(&arena, slice_make(text, MODEL_TARGET_MAX), &location), 0);
        assert_int_equal(location.len, 10 + 3 * (MODEL_TARGET_MAX - 10));
        arena_done(&arena);
}

/* Names that grow a lot, in front of a path of which each byte becomes three. */
static void test_location_over_its_limit(void **state) {
        static char text[MODEL_TARGET_MAX];
        Slice location;
        Arena arena;

        (void)state;
        memset(text, '"', sizeof(text));
        memcpy(text, "http://", 7);
        for (size_t i = 0; i < 12; i++)
                memcpy(text + 7 + 4 * i, "\xE3\x8C\x80/", 4);
        for (size_t i = 0; i < 11; i++)
                text[7 + 4 * i + 3] = '.';
        assert_refused(slice_make(text, sizeof(text)));
        arena_init(&arena, 0);
        assert_int_equal(target_parse(&arena, slice_make(text, sizeof(text) - 20), &location), 0);
        arena_done(&arena);
}

static void test_arena_is_full(void **state) {
        Slice location = SLICE("untouched");
        Arena arena;

        (void)state;
        arena_init(&arena, 19);
        assert_int_equal(target_parse(&arena, SLICE("http://example.com/"), &location), -ENOMEM);
        assert_true(slice_equal(location, SLICE("untouched")));
        arena_done(&arena);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_scheme),
                        cmocka_unit_test(test_authority),
                        cmocka_unit_test(test_host),
                        cmocka_unit_test(test_idna),
                        cmocka_unit_test(test_ipv4),
                        cmocka_unit_test(test_ipv6),
                        cmocka_unit_test(test_path),
                        cmocka_unit_test(test_query),
                        cmocka_unit_test(test_blank),
                        cmocka_unit_test(test_bytes_that_are_no_text),
                        cmocka_unit_test(test_escaping_of_every_character),
                        cmocka_unit_test(test_longest_text),
                        cmocka_unit_test(test_location_over_its_limit),
                        cmocka_unit_test(test_arena_is_full),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
