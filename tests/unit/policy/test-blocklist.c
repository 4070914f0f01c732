/* SPDX-License-Identifier: MIT */

/* Blocklists: what each kind of line blocks and what not, a million of them, files that fail. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "model/types.h"
#include "policy/blocklist.h"
#include "policy/location.h"

#define MILLION  1000000u
#define MIB      (1024u * 1024)
#define LINE_MAX 4096 /* bytes */

static char path[64];

static Blocklist *load(const char *text) {
        char *files[] = {path, NULL};
        Blocklist *list;
        FILE *file = fopen(path, "w");
        size_t bad;

        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
        assert_int_equal(fclose(file), 0);
        assert_int_equal(blocklist_load(files, &list, &bad), 0);
        return list;
}

static bool has(const Blocklist *list, const char *location) {
        return blocklist_has(list, slice_from_string(location));
}

static void check_each(const Blocklist *list, bool blocked, const char *const *locations,
                       size_t n) {
        for (size_t i = 0; i < n; i++)
                if (has(list, locations[i]) != blocked)
                        fail_msg("%s", locations[i]);
}

static size_t bad_lines(const Blocklist *list) {
        BlocklistStats stats;

        blocklist_stats(list, &stats);
        return stats.n_bad;
}

static void test_domains(void **state) {
        Blocklist *list = load("# a comment\n! another\n\nEvil.Example\r\n*.wild.example\n"
                               ".dot.example # why\n  b\xC3\xBC"
                               "cher.example  \n192.0.2.7\n"
                               "[2001:db8::1]\n");

        (void)state;
        assert_true(has(list, "http://evil.example/"));
        assert_true(has(list, "https://a.b.evil.example:8080/x"));
        assert_true(has(list, "http://evil.example./"));
        assert_true(has(list, "http://evil.example../"));
        assert_true(has(list, "http://wild.example/"));
        assert_true(has(list, "http://a.wild.example/"));
        assert_true(has(list, "http://dot.example/"));
        assert_true(has(list, "http://xn--bcher-kva.example/"));
        assert_true(has(list, "http://192.0.2.7/"));
        assert_true(has(list, "http://[2001:db8::1]:80/"));
        assert_true(has(list, "http://user@evil.example/"));
        assert_false(has(list, "http://notevil.example/"));
        assert_false(has(list, "http://example/"));
        assert_false(has(list, "http://evil.example.com/"));
        assert_false(has(list, "http://good.example/?evil.example"));
        assert_int_equal(bad_lines(list), 0);
        blocklist_free(list);
}

static void test_hosts_file(void **state) {
        Blocklist *list = load("127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
                               "0.0.0.0 one.example two.example # three.example\n"
                               "127.0.0.1\tfour.example\n:: five.example\n");

        (void)state;
        assert_true(has(list, "http://one.example/"));
        assert_true(has(list, "http://two.example/"));
        assert_true(has(list, "http://four.example/"));
        assert_true(has(list, "http://five.example/"));
        assert_false(has(list, "http://three.example/"));
        assert_false(has(list, "http://www.one.example/"));
        assert_false(has(list, "http://localhost/"));
        assert_false(has(list, "http://127.0.0.1/"));
        assert_int_equal(bad_lines(list), 0);
        blocklist_free(list);
}

static void test_urls(void **state) {
        Blocklist *list = load("http://Host.Example/a/../bad?x=1\nhttps://host.example:443/s\n");

        (void)state;
        assert_true(has(list, "http://host.example/bad?x=1"));
        assert_true(has(list, "https://host.example/s"));
        assert_false(has(list, "https://host.example/bad?x=1"));
        assert_false(has(list, "http://host.example/bad"));
        assert_false(has(list, "http://host.example/"));
        blocklist_free(list);
}

static void test_bad_lines(void **state) {
        Blocklist *list = load("good.example\nnot an address\nftp://x.example/\nhttp://\na..b\n"
                               "exa mple\nx\nlast.example");

        (void)state;
        assert_true(has(list, "http://good.example/"));
        assert_true(has(list, "http://last.example/"));
        assert_in_range(bad_lines(list), 4, 6);
        blocklist_free(list);
        list = load("");
        assert_false(has(list, "http://good.example/"));
        assert_false(has(NULL, "http://good.example/"));
        blocklist_free(list);
}

/* By IPv6 a host is reached that has an IPv4 address in the list, and the other way round. */
static void test_ipv4_in_ipv6(void **state) {
        static const char *const same[] = {
                        "http://[::ffff:cb00:7109]/",          "http://[::ffff:0:cb00:7109]/",
                        "http://[64:ff9b::cb00:7109]:81/x",    "http://[::cb00:7109]/",
                        "http://u@[::ffff:c633:6407]/",        "http://[::ffff:cb00:714d]/mal",
                        "http://[64:ff9b::cb00:714d]/m%61l#x", "http://192.0.2.8/",
                        "http://[64:ff9b::c000:208]/",         "http://192.0.2.9/",
                        "https://192.0.2.10:444/mal",          "http://[::1]/",
        };
        static const char *const others[] = {
                        "http://[::ffff:cb00:710a]/",        "http://[::fffe:cb00:7109]/",
                        "http://[::ffff:cb00:714d]/",        "http://[::ffff:cb00:714d]:81/mal",
                        "http://[2001:db8::cb00:7109]/",     "http://[2002:cb00:7109::1]/",
                        "http://[::ffff:1:cb00:7109]/",      "http://[::]/",
                        "http://[64:ff9b:1::cb00:7109]/",    "http://0.0.0.1/",
                        "https://[::ffff:c000:20a]:445/mal", "http://[::ffff",
        };
        Blocklist *list = load("203.0.113.9\n0.0.0.0 198.51.100.7\nhttp://203.0.113.77/mal\n"
                               "[::FFFF:192.0.2.8]\n0.0.0.0 [64:ff9b::192.0.2.9]\n[::1]\n"
                               "https://[::ffff:192.0.2.10]:444/mal\n");

        (void)state;
        check_each(list, true, same, ELEMENTSOF(same));
        check_each(list, false, others, ELEMENTSOF(others));
        assert_int_equal(bad_lines(list), 0);
        blocklist_free(list);
}

/* What leads to the same page is the same URL. */
static void test_urls_in_disguise(void **state) {
        static const char *const same[] = {
                        "https://host.example/bad/~x|y?q=1",
                        "https://host.example/bad/~x|y?q=1#",
                        "https://host.example/bad/~x|y?q=1#top",
                        "https://host.example./bad/~x|y?q=1",
                        "https://host.example../bad/~x|y?q=1",
                        "https://user@host.example/bad/~x|y?q=1",
                        "https://user:a%40b@host.example./bad/~x|y?q=1#@x/y",
                        "https://host.example/%62ad/%7ex%7Cy?%71=1",
        };
        static const char *const others[] = {
                        "https://host.example/BAD/~x|y?q=1",
                        "https://host.example/bad%2f~x|y?q=1",
                        "https://host.example/bad/~x|y%3fq=1",
                        "https://host.example/bad/~x|y?q=1%23top",
                        "https://host.example/bad/~x|y?q=1&r",
                        "https://host.example/%2562ad/~x|y?q=1",
                        "https://host.example:444/bad/~x|y?q=1",
                        "https://other.example/bad/~x|y?q=1",
                        "https://host.example@other.example/bad/~x|y?q=1",
        };
        Blocklist *list = load("https://host.example/bad/~x|y?q=1\nhttp://u@u.example/%2f%zz#f\n"
                               "https://wiki.example/Foo_(bar):x?a=b&c\nhttps://bare.example/"
                               "bad\nhttps://mark.example/?\n");

        (void)state;
        check_each(list, true, same, ELEMENTSOF(same));
        check_each(list, false, others, ELEMENTSOF(others));
        assert_true(has(list, "http://u.example/%2F%zz"));
        assert_true(has(list, "https://bare.example/bad?"));
        assert_true(has(list, "https://bare.example/bad?#x?"));
        assert_false(has(list, "https://bare.example/bad??"));
        assert_false(has(list, "https://bare.example/bad?x"));
        assert_false(has(list, "https://bare.example/bad%3F"));
        assert_true(has(list, "https://mark.example/"));
        assert_true(has(list, "https://wiki.example/Foo_%28bar%29%3ax?a=b&c"));
        assert_false(has(list, "https://wiki.example/Foo_(bar):x?a=b%26c"));
        assert_int_equal(bad_lines(list), 0);
        blocklist_free(list);
}

/* The written IPv4 may be the longer one. */
static void test_longest_page(void **state) {
        static char location[MODEL_LOCATION_MAX], page[LOCATION_PAGE_SIZE];

        (void)state;
        memset(location, 'x', sizeof location);
        memcpy(location, "http://[::fff:ff]/", 18);
        assert_int_equal(location_page(slice_make(location, sizeof location), page),
                         MODEL_LOCATION_MAX + 2);
        assert_memory_equal(page, "http://15.255.0.255/x", 21);
}

/* Each printable character, escaped and not, in the path and in the query of entry and target. */
static void test_every_escape(void **state) {
        static const char *const kept[] = {"#%/?", "#%&+;="};
        static const char *const parts[] = {"", "?"};

        (void)state;
        for (int c = '!'; c <= '~'; c++)
                for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                        bool same = !strchr(kept[i], c);
                        char plain[64], escaped[64], text[80];
                        Blocklist *list;

                        (void)snprintf(plain, sizeof plain, "https://host.example/%sx%cy", parts[i],
                                       c);
                        (void)snprintf(escaped, sizeof escaped, "https://host.example/%sx%%%02xy",
                                       parts[i], (unsigned)c);
                        (void)snprintf(text, sizeof text, "%s\n", escaped);
                        list = load(text);
                        if (has(list, plain) != same || !has(list, escaped))
                                fail_msg("%s", plain);
                        blocklist_free(list);
                        if (c == '\\' && i == 0)
                                continue; /* no target has it */
                        (void)snprintf(text, sizeof text, "%s\n", plain);
                        list = load(text);
                        if (has(list, escaped) != same)
                                fail_msg("%s", escaped);
                        assert_int_equal(bad_lines(list), 0);
                        blocklist_free(list);
                }
}

/* Nothing that a row made by hand may have in it is read beyond its end. */
static void test_no_location(void **state) {
        static char longest[MODEL_LOCATION_MAX + 1];
        Blocklist *list = load("https://host.example/\n");

        (void)state;
        memset(longest, '%', sizeof longest);
        memcpy(longest, "https://host.example/", 21);
        assert_false(blocklist_has(list, slice_make(longest, sizeof longest)));
        assert_false(blocklist_has(list, slice_make(longest, MODEL_LOCATION_MAX)));
        assert_false(has(list, ""));
        assert_false(has(list, "://"));
        assert_false(has(list, "https://@"));
        assert_false(has(list, "https://host.example/%"));
        assert_false(has(list, "https://host.example/%4"));
        blocklist_free(list);
}

static void test_byte_order_mark(void **state) {
        Blocklist *list = load("\xEF\xBB\xBF"
                               "0.0.0.0 first.example\nsecond.example\n");

        (void)state;
        assert_true(has(list, "http://first.example/"));
        assert_true(has(list, "http://second.example/"));
        assert_int_equal(bad_lines(list), 0);
        blocklist_free(list);
}

/* A line that is too long is told as one that is none; a comment may be of any length. */
static void test_long_lines(void **state) {
        static char text[4 * LINE_MAX];
        Blocklist *list;
        size_t len = 0;

        (void)state;
        len += (size_t)snprintf(text, sizeof text, "0.0.0.0 at.example");
        while (len < LINE_MAX)
                text[len++] = ' ';
        len += (size_t)snprintf(text + len, sizeof text - len, "\n0.0.0.0 over.example");
        while (len < 2 * LINE_MAX + 2)
                text[len++] = ' ';
        len += (size_t)snprintf(text + len, sizeof text - len, "\n#%*d\nlast.example", LINE_MAX + 1,
                                0);
        list = load(text);
        assert_true(has(list, "http://at.example/"));
        assert_false(has(list, "http://over.example/"));
        assert_true(has(list, "http://last.example/"));
        assert_int_equal(bad_lines(list), 1);
        blocklist_free(list);
}

/* A million entries in 16 MB, what is in is found, and one look costs little. */
static void test_a_million(void **state) {
        char *files[] = {path, NULL}, location[64];
        FILE *file = fopen(path, "w");
        BlocklistStats stats;
        Blocklist *list;
        unsigned wrong = 0;
        uint64_t begin;
        size_t bad;

        (void)state;
        assert_non_null(file);
        for (unsigned i = 0; i < MILLION; i++)
                assert_true(fprintf(file, "0.0.0.0 host-%u.example\n", i) > 0);
        assert_int_equal(fclose(file), 0);
        begin = clock_monotonic_usec();
        assert_int_equal(blocklist_load(files, &list, &bad), 0);
        print_message("a million entries read in %u ms, ",
                      (unsigned)((clock_monotonic_usec() - begin) / 1000));
        blocklist_stats(list, &stats);
        assert_int_equal(stats.n_entries, MILLION);
        assert_true(stats.n_bytes <= 16 * MIB);
        begin = clock_monotonic_usec();
        for (unsigned i = 0; i < 2 * MILLION; i += TEST_ONE_OF) {
                (void)snprintf(location, sizeof location, "http://host-%u.example/", i);
                wrong += has(list, location) != (i < MILLION);
        }
        print_message("%zu bytes, %u ns a look\n", stats.n_bytes,
                      (unsigned)((clock_monotonic_usec() - begin) / 2000 * TEST_ONE_OF));
        assert_int_equal(wrong, 0);
        blocklist_free(list);
}

static void test_files_that_fail(void **state) {
        char missing[] = "/nonexistent/list", folder[] = "/tmp";
        char *second[] = {path, missing, NULL}, *wrong[] = {folder, NULL};
        Blocklist *list = load("good.example\n");
        size_t bad;

        (void)state;
        blocklist_free(list);
        assert_int_equal(blocklist_load(second, &list, &bad), -ENOENT);
        assert_int_equal(bad, 1);
        assert_int_equal(blocklist_load(wrong, &list, &bad), -EISDIR);
        assert_int_equal(bad, 0);
}

static int setup(void **state) {
        int fd;

        (void)state;
        (void)snprintf(path, sizeof path, "/tmp/blocklist-test-XXXXXX");
        fd = mkstemp(path);
        return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state) {
        (void)state;
        return unlink(path);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_domains),
                        cmocka_unit_test(test_hosts_file),
                        cmocka_unit_test(test_urls),
                        cmocka_unit_test(test_bad_lines),
                        cmocka_unit_test(test_ipv4_in_ipv6),
                        cmocka_unit_test(test_longest_page),
                        cmocka_unit_test(test_urls_in_disguise),
                        cmocka_unit_test(test_every_escape),
                        cmocka_unit_test(test_no_location),
                        cmocka_unit_test(test_byte_order_mark),
                        cmocka_unit_test(test_long_lines),
                        cmocka_unit_test(test_a_million),
                        cmocka_unit_test(test_files_that_fail),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
