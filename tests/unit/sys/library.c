/* SPDX-License-Identifier: MIT */
/* Libraries that are loaded at run time. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/library.h"

static void test_finds_what_is_there(void **state _unused_) {
        double (*square_root)(double) = NULL;
        const LibrarySymbol symbols[] = {{"sqrt", &square_root}};

        assert_int_equal(library_load("libm.so.6", symbols, ELEMENTSOF(symbols)), 0);
        assert_true(square_root(81) == 9);
        assert_int_equal(library_load("libm.so.6", symbols, ELEMENTSOF(symbols)), 0);
}

static void test_says_what_is_not(void **state _unused_) {
        double (*square_root)(double) = NULL, (*nothing)(double) = NULL;
        const LibrarySymbol symbols[] = {{"sqrt", &square_root}, {"no_such_function", &nothing}};

        assert_int_equal(library_load("libm.so.6", symbols, ELEMENTSOF(symbols)), -ELIBACC);
        assert_null(nothing);
        assert_int_equal(library_load("libnosuch.so.1", symbols, ELEMENTSOF(symbols)), -ELIBACC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_finds_what_is_there),
                        cmocka_unit_test(test_says_what_is_not),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
