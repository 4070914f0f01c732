/* SPDX-License-Identifier: MIT */

/* Connection strings without their passwords, whatever they look like. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "basic/redact.h"

typedef struct Case {
        const char *text, *shown;
} Case;

static void check(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Buffer out = BUFFER_EMPTY;

                redact_append(&out, slice_from_string(cases[i].text));
                buffer_append_byte(&out, '\0');
                assert_false(out.failed);
                assert_string_equal(out.data, cases[i].shown);
                buffer_done(&out);
        }
}

static void test_nothing_to_hide(void **state _unused_) {
        static const char *const texts[] = {
                        "",
                        "sqlite:/srv/a:b@c/links.db",
                        "sqlite:/srv/password=x",
                        "unix:/run/a:b@c.sock",
                        "postgresql:///shortener",
                        "postgresql://",
                        "postgresql://u@h/db?sslmode=disable&user=a@b",
                        "postgresql://h1:5432,[::1]:5433/db",
                        "redis://cache.example:6379/1",
                        "host=/run/postgresql dbname=x user=a@b passfile=/p",
                        "word",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                check(&(Case){texts[i], texts[i]}, 1);
}

static void test_users(void **state _unused_) {
        static const Case cases[] = {
                        {"postgresql://u:SECRET@h/db", "postgresql://u:***@h/db"},
                        {"postgres://u:SECRET@h1,h2/db?x=y", "postgres://u:***@h1,h2/db?x=y"},
                        {"postgresql://:SECRET@h", "postgresql://:***@h"},
                        {"postgresql://u:@h", "postgresql://u:***@h"},
                        {"redis://:SECRET@h", "redis://:***@h"},
                        {"redis://u:SECRET@h:1/2", "redis://u:***@h:1/2"},
                        {"redis://SECRET@h", "redis://***@h"},
                        {"rediss://SECRET@h", "rediss://***@h"},
        };

        check(cases, ELEMENTSOF(cases));
}

/* A password that was not escaped is hidden to its end. */
static void test_users_not_escaped(void **state _unused_) {
        static const Case cases[] = {
                        {"postgresql://u:a@b@h/db", "postgresql://u:***@h/db"},
                        {"postgresql://u:a?b@h/db", "postgresql://u:***@h/db"},
                        {"postgresql://u:a/b@h/db", "postgresql://u:***@h/db"},
                        {"postgresql://u:a=b@h/db", "postgresql://u:***@h/db"},
                        {"postgresql://u:a?b=c@h/db", "postgresql://u:***@h/db"},
                        {"postgresql://u:a/b=c@h/db", "postgresql://u:***@h/db"},
                        {"postgresql://u:a:b@h", "postgresql://u:***@h"},
                        {"postgresql:/u:SECRET@h", "postgresql:***@h"},
                        {"u:SECRET@h", "u:***@h"},
        };

        check(cases, ELEMENTSOF(cases));
}

static void test_parameters(void **state _unused_) {
        static const Case cases[] = {
                        {"postgresql:///db?password=SECRET&host=/run",
                         "postgresql:///db?password=***&host=/run"},
                        {"postgresql:///db?host=/run&sslpassword=SECRET",
                         "postgresql:///db?host=/run&sslpassword=***"},
                        {"postgresql://h/db?PassWord=a@b", "postgresql://h/db?PassWord=***"},
                        {"postgresql://h/db?password=a=b?c", "postgresql://h/db?password=***"},
                        {"postgresql://u:A@h/db?password=B&x=password=C",
                         "postgresql://u:***@h/db?password=***&x=password=C"},
                        {"postgresql:///db?%70assword=SECRET", "postgresql:///db?%70assword=***"},
                        {"postgresql:///db?password=", "postgresql:///db?password=***"},
                        {"postgresql://h?password=SECRET", "postgresql://h?password=***"},
        };

        check(cases, ELEMENTSOF(cases));
}

static void test_keywords(void **state _unused_) {
        static const Case cases[] = {
                        {"host=h password=SECRET dbname=x", "host=h password=*** dbname=x"},
                        {"password=SECRET", "password=***"},
                        {"PASSWORD = SECRET user=u", "PASSWORD = *** user=u"},
                        {"password='SEC RET' user=u", "password=*** user=u"},
                        {"password='SEC\\'RET' user=u", "password=*** user=u"},
                        {"password='SEC RET", "password=***"},
                        {"password='SEC\\", "password=***"},
                        {"user=u password=a@b:c host=h", "user=u password=*** host=h"},
                        {"sslpassword=A password=B", "sslpassword=*** password=***"},
        };

        check(cases, ELEMENTSOF(cases));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_nothing_to_hide),   cmocka_unit_test(test_users),
                        cmocka_unit_test(test_users_not_escaped), cmocka_unit_test(test_parameters),
                        cmocka_unit_test(test_keywords),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
