/* SPDX-License-Identifier: MIT */

/* Which valid targets the operator's rules refuse. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/target.h"
#include "policy/location.h"
#include "policy/policy.h"

typedef struct Case {
        const char *target;
        bool allowed;
} Case;

static void check(const Policy *policy, const Case *cases, size_t n) {
        Arena arena;
        Slice location;

        arena_init(&arena, 0);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(
                                target_parse(&arena, slice_from_string(cases[i].target), &location),
                                0);
                if (policy_allows(policy, location) != cases[i].allowed)
                        fail_msg("%s", cases[i].target);
        }
        arena_done(&arena);
}

static void test_private(void **state) {
        static const Case cases[] = {
                        {"http://example.com/", true},
                        {"http://localhost/", false},
                        {"http://a.localhost:8080/", false},
                        {"http://LOCALHOST./", false},
                        {"http://printer/", false},
                        {"http://nas.local/", false},
                        {"http://wiki.internal/", false},
                        {"http://router.home.arpa/", false},
                        {"http://local.example/", true},
                        {"http://mylocal.net/", true},
                        {"http://127.0.0.1/", false},
                        {"http://127.1/", false},
                        {"http://2130706433/", false},
                        {"http://0x7f.1/", false},
                        {"http://0177.0.0.1/", false},
                        {"http://10.1.2.3/", false},
                        {"http://172.15.255.255/", true},
                        {"http://172.16.0.1/", false},
                        {"http://172.32.0.1/", true},
                        {"http://192.168.1.1/", false},
                        {"http://169.254.169.254/latest/", false},
                        {"http://100.64.0.1/", false},
                        {"http://0.0.0.0/", false},
                        {"http://224.0.0.1/", false},
                        {"http://255.255.255.255/", false},
                        {"http://8.8.8.8/", true},
                        {"http://[::1]/", false},
                        {"http://[::]/", false},
                        {"http://[fe80::1]/", false},
                        {"http://[fc00::1]/", false},
                        {"http://[fd12::1]/", false},
                        {"http://[ff02::1]/", false},
                        {"http://[::ffff:10.0.0.1]/", false},
                        {"http://[::ffff:8.8.8.8]/", true},
                        {"http://[64:ff9b::a00:1]/", false},
                        {"http://[64:ff9b::808:808]/", true},
                        {"http://[64:ff9b:1::808:808]/", false},
                        {"http://[64:ff9b:2::808:808]/", true},
                        {"http://[5f00::1]/", false},
                        {"http://[5f01::1]/", true},
                        {"http://[2002:a00:1::]/", false},
                        {"http://[2002:808:808::]/", true},
                        {"http://[2001:0:4136:e378:8000:63bf:f7f7:f7f7]/", false},
                        {"http://[2001:2::1]/", false},
                        {"http://[2001:200::1]/", true},
                        {"http://[2606:4700::5efe:10.0.0.1]/", false},
                        {"http://192.88.99.1/", false},
                        {"http://[2001:db8::1]/", false},
                        {"http://[2606:4700::1111]/", true},
        };
        Policy open = {0}, policy = {.refuse_private = true};

        (void)state;
        check(&policy, cases, ELEMENTSOF(cases));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check(&open, &(Case){cases[i].target, true}, 1);
}

static void test_mixed_scripts(void **state) {
        static const Case cases[] = {
                        {"http://example.com/", true},
                        {"http://b\xC3\xBC"
                         "cher.example/",
                         true},
                        {"http://\xD0\xBF\xD1\x80\xD0\xB8\xD0\xBC\xD0\xB5\xD1\x80.example/", true},
                        /* Cyrillic "a" in "paypal" */
                        {"http://p\xD0\xB0ypal.example/", false},
                        {"http://xn--pypal-4ve.example/", false},
                        /* Greek and Cyrillic */
                        {"http://\xCE\xB1\xD0\xB1.example/", false},
                        /* Each label for itself. */
                        {"http://\xD0\xBF\xD1\x80\xD0\xB8.example.com/", true},
                        /* Japanese with Latin, Korean with Han. */
                        {"http://\xE6\x97\xA5\xE6\x9C\xAC\xE3\x81\xAE"
                         "abc.example/",
                         true},
                        {"http://\xED\x95\x9C\xE6\xBC\xA2.example/", true},
                        /* Hangul beside Kana, Han beside Cyrillic. */
                        {"http://\xED\x95\x9C\xE3\x81\xAE.example/", false},
                        {"http://\xE6\x97\xA5\xD0\xB0.example/", false},
                        /* Digits are of every script. */
                        {"http://\xD0\xBF\xD1\x80"
                         "24.example/",
                         true},
        };
        Policy policy = {.refuse_mixed = true};

        (void)state;
        check(&policy, cases, ELEMENTSOF(cases));
}

static void test_own_hosts(void **state) {
        static const Case cases[] = {
                        {"http://s.example/abc", false},
                        {"https://S.EXAMPLE:8443/abc", false},
                        {"http://s.example./abc", false},
                        {"http://s.example../abc", false},
                        {"http://as.example/", true},
                        {"http://s.example.net/", true},
                        {"http://example.com/?u=http://s.example/", true},
                        {"http://203.0.113.5/", false},
                        {"http://[::ffff:203.0.113.5]:81/", false},
                        {"http://[64:ff9b::203.0.113.5]/", false},
                        {"http://203.0.113.6/", false},
                        {"http://[::ffff:203.0.113.7]/", true},
                        {"http://[2001:db8::203.0.113.5]/", true},
                        {"http://[2001:db8::5]/", false},
        };
        char own[] = "s.example", v4[] = "203.0.113.5", v6[] = "[::ffff:cb00:7106]",
             other[] = "[2001:db8::5]", *hosts[] = {own, v4, v6, other, NULL};
        Policy policy = {.own_hosts = hosts};

        (void)state;
        check(&policy, cases, ELEMENTSOF(cases));
}

static void test_host_of_location(void **state) {
        static const struct {
                const char *location, *host;
        } cases[] = {
                        {"http://example.com/", "example.com"},
                        {"https://example.com:81/a:b@c", "example.com"},
                        {"http://u:p@example.com:81/", "example.com"},
                        {"http://[2001:db8::1]:80/", "[2001:db8::1]"},
                        {"http://u@[::1]/", "[::1]"},
                        {"nothing", ""},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Slice host = location_host(slice_from_string(cases[i].location));

                assert_true(slice_equal(host, slice_from_string(cases[i].host)));
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_private),
                        cmocka_unit_test(test_mixed_scripts),
                        cmocka_unit_test(test_own_hosts),
                        cmocka_unit_test(test_host_of_location),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
