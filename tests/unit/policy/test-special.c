/* SPDX-License-Identifier: MIT */

/* Each special network: its first and last address, the one before and the one after; and each
 * IPv4 address of those in each IPv6 address that hides one. */

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "basic/check.h"
#include "policy/special.h"

typedef struct Block {
        const char *first;
        const char *last;
        const char *before; /* NULL: there is none, or it is special too */
        const char *after;
} Block;

static const Block blocks_v4[] = {
                {"0.0.0.0", "0.255.255.255", NULL, "1.0.0.0"},
                {"10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
                {"100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"},
                {"127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"},
                {"169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"},
                {"172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"},
                {"192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"},
                {"192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"},
                {"192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0"},
                {"192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"},
                {"198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"},
                {"198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"},
                {"203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"},
                {"224.0.0.0", "239.255.255.255", "223.255.255.255", NULL},
                {"240.0.0.0", "255.255.255.255", NULL, NULL},
};

static const Block blocks_v6[] = {
                {"::", "::", NULL, NULL},
                {"::1", "::1", NULL, NULL},
                {"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
                 "64:ff9b:0:ffff:ffff:ffff:ffff:ffff", "64:ff9b:2::"},
                {"100::", "100::ffff:ffff:ffff:ffff", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                 NULL},
                {"100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", NULL, "100:0:0:2::"},
                {"2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
                 "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"},
                {"2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
                {"2001:10::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
                {"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                 "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
                {"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
                 "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"},
                {"5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                 "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "5f01::"},
                {"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                 "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::"},
                {"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                 "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
                {"fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
                {"ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
};

static void check(int family, const char *text, bool special) {
        unsigned char address[16];

        if (!text)
                return;
        assert_int_equal(inet_pton(family, text, address), 1);
        if ((family == AF_INET ? special_v4(address) : special_v6(address)) != special)
                fail_msg("%s is %s", text, special ? "special" : "not special");
}

static void check_blocks(int family, const Block *blocks, size_t n) {
        for (size_t i = 0; i < n; i++) {
                check(family, blocks[i].first, true);
                check(family, blocks[i].last, true);
                check(family, blocks[i].before, false);
                check(family, blocks[i].after, false);
        }
}

static void test_v4(void **state) {
        (void)state;
        check_blocks(AF_INET, blocks_v4, ELEMENTSOF(blocks_v4));
        check(AF_INET, "8.8.8.8", false);
}

static void test_v6(void **state) {
        (void)state;
        check_blocks(AF_INET6, blocks_v6, ELEMENTSOF(blocks_v6));
        check(AF_INET6, "2606:4700::1111", false);
        check(AF_INET6, "2620:4f:8000::1", false);
}

/* Where the IPv4 address goes in; the networks beside the prefix hide nothing. */
static const struct {
        const char *prefix, *before, *after;
        unsigned at;
} hides[] = {
                {"::", NULL, "::1:0:0", 12},
                {"::ffff:0:0", "::fffe:0:0", "::1:0:0:0", 12},
                {"::ffff:0:0:0", "::fffe:0:0:0", "::ffff:1:0:0", 12},
                {"64:ff9b::", "64:ff9a::", "64:ff9b::1:0:0", 12},
                {"2002::", "2003::", "2004::", 2},
                {"2606:4700::5efe:0:0", "2606:4700::5efd:0:0", "2606:4700::5eff:0:0", 12},
                {"2606:4700::200:5efe:0:0", "2606:4700::100:5efe:0:0", "2606:4700::300:5efe:0:0",
                 12},
};

static bool hidden_is_special(const char *prefix, unsigned at, const char *text) {
        unsigned char address[16];

        assert_int_equal(inet_pton(AF_INET6, prefix, address), 1);
        assert_int_equal(inet_pton(AF_INET, text, address + at), 1);
        return special_v6(address);
}

static void check_hidden(const char *text, bool special) {
        for (size_t i = 0; text && i < ELEMENTSOF(hides); i++) {
                if (hidden_is_special(hides[i].prefix, hides[i].at, text) != special)
                        fail_msg("%s in %s", text, hides[i].prefix);
                assert_false(hides[i].before &&
                             hidden_is_special(hides[i].before, hides[i].at, text));
                assert_false(hidden_is_special(hides[i].after, hides[i].at, text));
        }
}

static void test_hidden_v4(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(blocks_v4); i++) {
                check_hidden(blocks_v4[i].first, true);
                check_hidden(blocks_v4[i].last, true);
                check_hidden(blocks_v4[i].before, false);
                check_hidden(blocks_v4[i].after, false);
        }
}

static void test_same_v4(void **state) {
        static const struct {
                const char *address, *v4;
        } cases[] = {
                        {"::ffff:203.0.113.9", "203.0.113.9"},
                        {"::ffff:0:203.0.113.9", "203.0.113.9"},
                        {"64:ff9b::203.0.113.9", "203.0.113.9"},
                        {"::203.0.113.9", "203.0.113.9"},
                        {"::ffff:0.0.0.0", "0.0.0.0"},
                        {"::", NULL},
                        {"::1", NULL},
                        {"::0.1.2.3", NULL},
                        {"2002:cb00:7109::1", NULL},
                        {"2606:4700::5efe:203.0.113.9", NULL},
                        {"64:ff9b:1::203.0.113.9", NULL},
                        {"2606:4700::1111", NULL},
        };
        unsigned char address[16];
        char text[INET_ADDRSTRLEN];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const unsigned char *v4;

                assert_int_equal(inet_pton(AF_INET6, cases[i].address, address), 1);
                v4 = special_same_v4(address);
                assert_int_equal(v4 != NULL, cases[i].v4 != NULL);
                if (v4)
                        assert_string_equal(inet_ntop(AF_INET, v4, text, sizeof text), cases[i].v4);
        }
}

/* A server of 65.54.227.120 and of 10.0.0.1; a client of 192.0.2.45, 8.8.8.8 and 10.0.0.1, each bit
 * turned over: Teredo is special whatever is in it. */
static void test_teredo(void **state) {
        static const char *const addresses[] = {
                        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
                        "2001:0:4136:e378:8000:63bf:f7f7:f7f7",
                        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
                        "2001:0:a00:1:8000:63bf:f7f7:f7f7",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(addresses); i++)
                check(AF_INET6, addresses[i], true);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_v4),        cmocka_unit_test(test_v6),
                        cmocka_unit_test(test_hidden_v4), cmocka_unit_test(test_same_v4),
                        cmocka_unit_test(test_teredo),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
