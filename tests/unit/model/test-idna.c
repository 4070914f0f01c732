/* SPDX-License-Identifier: MIT */

/* What libidn2 cannot say by itself: second chances, limits, failing memory. The names that are
 * accepted stand in target-cases.h. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <idn2.h>

#include "basic/utf8.h"
#include "failing-malloc.h"
#include "model/idna.h"

int __real_idn2_to_ascii_8z(const char *input, char **output, int flags);
int __wrap_idn2_to_ascii_8z(const char *input, char **output, int flags);

static int n_calls;
static int fails_at; /* the call of libidn2 that runs out of memory; 0: none */

int __wrap_idn2_to_ascii_8z(const char *input, char **output, int flags) {
        if (++n_calls == fails_at)
                return IDN2_MALLOC;
        return __real_idn2_to_ascii_8z(input, output, flags);
}

static int convert(Slice domain, char out[HOST_SIZE + 1]) {
        size_t len = 0;
        int r;

        n_calls = 0;
        r = idna_to_ascii(domain, out, &len);
        out[len] = '\0';
        return r;
}

static void check(Slice domain, const char *expected) {
        char out[HOST_SIZE + 1];

        assert_int_equal(convert(domain, out), expected ? 0 : -EINVAL);
        if (expected)
                assert_string_equal(out, expected);
}

static void test_ascii_needs_no_library(void **state) {
        (void)state;
        check(SLICE("Example.COM"), "example.com");
        assert_int_equal(n_calls, 0);
        check(SLICE("-a-..ab--c._x"), "-a-..ab--c._x");
        assert_int_equal(n_calls, 0);
        check(SLICE(""), "");
}

static void test_second_chance_only_where_needed(void **state) {
        (void)state;
        check(SLICE("b\xC3\xBC"
                    "cher"),
              "xn--bcher-kva");
        assert_int_equal(n_calls, 2); /* and once to see that the result stands */
        check(SLICE("\xF0\x9F\x92\xA9.la"), "xn--ls8h.la");
        assert_int_equal(n_calls, 4);
}

static void test_length_of_labels(void **state) {
        char name[80], out[HOST_SIZE + 1];

        (void)state;
        memset(name, 'A', sizeof(name));
        assert_int_equal(convert(slice_make(name, 63), out), 0);
        assert_int_equal(strlen(out), 63);
        assert_int_equal(convert(slice_make(name, 64), out), -EINVAL);
        assert_int_equal(convert(slice_make(name, 80), out), -EINVAL);
        name[16] = '.';
        assert_int_equal(convert(slice_make(name, 80), out), 0);
}

static void test_length_of_names(void **state) {
        char name[300], out[HOST_SIZE + 1];

        (void)state;
        for (size_t i = 0; i < sizeof(name); i++)
                name[i] = i % 50 == 49 ? '.' : 'a';
        assert_int_equal(convert(slice_make(name, HOST_MAX), out), 0);
        assert_int_equal(convert(slice_make(name, HOST_MAX + 1), out), -EINVAL);
        /* The dot of the root does not count. */
        name[HOST_MAX] = '.';
        assert_int_equal(convert(slice_make(name, HOST_MAX + 1), out), 0);
        assert_int_equal(strlen(out), HOST_MAX + 1);
        name[HOST_MAX + 1] = '.';
        assert_int_equal(convert(slice_make(name, HOST_MAX + 2), out), -EINVAL);
}

static void test_masked_names_keep_the_limits(void **state) {
        char name[800];
        size_t n = 0;

        (void)state;
        /* One label of 30 symbols far from each other is over 63 bytes. */
        for (unsigned i = 0; i < 15; i++) {
                n += utf8_encode(0x1F300 + 64 * i, name + n);
                n += utf8_encode(0x2600 + 12 * i, name + n);
        }
        check(slice_make(name, n), NULL);
        /* Too long for a label; and even for a second chance. */
        for (n = 0; n + 4 <= sizeof(name); n += 4)
                memcpy(name + n, "\xF0\x9F\x98\x80", 4);
        check(slice_make(name, 400), NULL);
        check(slice_make(name, n), NULL);
        /* 60 labels of one symbol each are over 253 bytes. */
        for (n = 0; n + 5 <= 300; n += 5)
                memcpy(name + n, "\xF0\x9F\x98\x80.", 5);
        check(slice_make(name, n), NULL);
}

static void test_placeholders_in_the_name(void **state) {
        (void)state;
        check(SLICE("\xE2\x98\x83\xEA\x9C\x97"), "xn--n3hw338b");
        check(SLICE("\xE2\x98\x83\xEA\x9C\x97\xEA\x9C\x98\xEA\x9C\x99\xEA\x9C\x9A"), NULL);
}

static void test_encoded_labels_must_stand(void **state) {
        (void)state;
        check(SLICE("xn--ls8h.la"), "xn--ls8h.la");
        check(SLICE("\xE2\x98\x83.XN--LS8H"), "xn--n3h.xn--ls8h");
        check(SLICE("xn--ls8h.xn--999999"), NULL);
        check(SLICE("\xE2\x98\x83.xn--ls8h-"), NULL);
        check(SLICE("\xE2\x98\x83.xn--abc-"), NULL); /* decodes to plain ASCII */
        check(SLICE("xn--\xE2\x98\x83"), NULL);      /* not ASCII at all */
        check(SLICE("\xE2\x98\x83.xn--A-4bb"), NULL);
        check(SLICE("\xC2\xADxn--ls8h.la"), "xn--ls8h.la");
        check(SLICE("\xC2\xADxn--0.com"), NULL);
}

static void test_nothing_to_mask(void **state) {
        (void)state;
        check(SLICE("a\xE2\x80\x8D"
                    "b"),
              NULL);
        check(SLICE("\xCC\x81"
                    "a"),
              NULL);
        check(SLICE("xn--0"), NULL);
}

static void test_memory_runs_out(void **state) {
        static const Slice names[] = {{"b\xC3\xBC"
                                       "cher",
                                       7},
                                      {"\xF0\x9F\x92\xA9.la", 7}};
        char out[HOST_SIZE + 1];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                int r;

                for (fails_at = 1; (r = convert(names[i], out)) < 0; fails_at++)
                        assert_int_equal(r, -ENOMEM);
                assert_int_equal(fails_at, i == 0 ? 3 : 5);
                fails_at = 0;
                for (size_t n = 1;; n++) {
                        failing_malloc_arm(n);
                        r = convert(names[i], out);
                        if (!failing_malloc_happened())
                                break;
                        assert_int_equal(r, -ENOMEM);
                }
                failing_malloc_arm(0);
                assert_int_equal(r, 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_ascii_needs_no_library),
                        cmocka_unit_test(test_second_chance_only_where_needed),
                        cmocka_unit_test(test_length_of_labels),
                        cmocka_unit_test(test_length_of_names),
                        cmocka_unit_test(test_masked_names_keep_the_limits),
                        cmocka_unit_test(test_placeholders_in_the_name),
                        cmocka_unit_test(test_encoded_labels_must_stand),
                        cmocka_unit_test(test_nothing_to_mask),
                        cmocka_unit_test(test_memory_runs_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
