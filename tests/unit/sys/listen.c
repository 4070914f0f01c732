/* SPDX-License-Identifier: MIT */

/* Addresses in text, prefixes, sockets. */

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/fd.h"
#include "sys/listen.h"

static void test_texts(void **state _unused_) {
        static const char *const good[] = {"127.0.0.1:80", "[::1]:0", ":8080", "0.0.0.0:65535",
                                           "unix:/run/x.sock"};
        static const char *const bad[] = {"",       "127.0.0.1",   "127.0.0.1:65536", "127.0.0.1:x",
                                          "host:1", "300.0.0.1:1", "unix:relative",   "unix:",
                                          "[::1]",  "127.0.0.1:-1"};

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_int_equal(socket_listen_check(good[i]), 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(socket_listen_check(bad[i]), -EINVAL);
}

static void test_listens(void **state _unused_) {
        static const char *const texts[] = {"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                char text[ADDRESS_TEXT_SIZE];
                struct sockaddr_storage address;
                socklen_t len = sizeof address;
                bool loopback;
                int fd, r = socket_listen(texts[i], &fd, &loopback);

                if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
                        continue; /* a machine without IPv6 */
                assert_int_equal(r, 0);
                assert_int_equal(loopback, i < 2);
                assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
                assert_true(socket_address_text(&address, text) > 0);
                (void)fd_close(fd);
        }
}

static void test_stale_unix_socket_is_replaced(void **state _unused_) {
        char text[128], folder[] = "/tmp/shortener-listen-XXXXXX";
        bool loopback;
        int fd, again;

        assert_non_null(mkdtemp(folder));
        (void)snprintf(text, sizeof text, "unix:%s/socket", folder);
        assert_int_equal(socket_listen(text, &fd, &loopback), 0);
        assert_true(loopback);
        assert_int_equal(socket_listen(text, &again, &loopback), -EADDRINUSE);
        (void)fd_close(fd);
        assert_int_equal(socket_listen(text, &fd, &loopback), 0);
        (void)fd_close(fd);
        (void)unlink(text + 5);
        (void)rmdir(folder);
}

static void test_address_text(void **state _unused_) {
        struct sockaddr_storage storage = {0};
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
        char text[ADDRESS_TEXT_SIZE];

        assert_int_equal(socket_address_text(&storage, text), 0);
        in6->sin6_family = AF_INET6;
        in6->sin6_addr.s6_addr[15] = 1;
        assert_int_equal(socket_address_text(&storage, text), 3);
        assert_string_equal(text, "::1");
        in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
        in6->sin6_addr.s6_addr[12] = 192;
        assert_int_equal(socket_address_text(&storage, text), 9);
        assert_string_equal(text, "192.0.0.1");
}

static void test_prefixes(void **state _unused_) {
        static const struct {
                Slice prefix, address;
                bool has;
        } cases[] = {
                        {SLICE("10.0.0.0/8"), SLICE("10.255.1.1"), true},
                        {SLICE("10.0.0.0/8"), SLICE("11.0.0.0"), false},
                        {SLICE("10.0.0.0/8"), SLICE("::1"), false},
                        {SLICE("192.0.2.7"), SLICE("192.0.2.7"), true},
                        {SLICE("192.0.2.7"), SLICE("192.0.2.6"), false},
                        {SLICE("192.0.2.128/25"), SLICE("192.0.2.129"), true},
                        {SLICE("192.0.2.128/25"), SLICE("192.0.2.127"), false},
                        {SLICE("2001:db8::/32"), SLICE("2001:db8:1::1"), true},
                        {SLICE("2001:db8::/32"), SLICE("2001:db9::1"), false},
                        {SLICE("0.0.0.0/0"), SLICE("8.8.8.8"), true},
                        {SLICE("::1"), SLICE("nonsense"), false},
                        {SLICE("::1"), SLICE(""), false},
        };
        static const Slice bad[] = {SLICE(""),          SLICE("10.0.0.0/33"), SLICE("::/129"),
                                    SLICE("10.0.0.0/"), SLICE("10.0.0/8"),    SLICE("x"),
                                    SLICE("10.0.0.0/a")};
        AddressPrefix prefix;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(address_prefix_parse(cases[i].prefix, &prefix), 0);
                assert_int_equal(address_prefix_has(&prefix, cases[i].address), cases[i].has);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(address_prefix_parse(bad[i], &prefix), -EINVAL);
}

static void test_files(void **state _unused_) {
        char path[] = "/tmp/shortener-fd-XXXXXX";
        Buffer out = BUFFER_EMPTY;
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, "hello", 5), 0);
        assert_int_equal(fd_read_file(path, 100, &out), 0);
        assert_true(slice_equal(buffer_slice(&out), SLICE("hello")));
        assert_int_equal(fd_read_file(path, 4, &out), -EFBIG);
        fd = fd_close(fd);
        assert_int_equal(fd, -1);
        assert_int_equal(fd_close(fd), -1);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(fd_read_file(path, 4, &out), -ENOENT);
        assert_int_equal(fd_write_all(-1, "x", 1), -EBADF);
        buffer_done(&out);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_texts),
                        cmocka_unit_test(test_listens),
                        cmocka_unit_test(test_stale_unix_socket_is_replaced),
                        cmocka_unit_test(test_address_text),
                        cmocka_unit_test(test_prefixes),
                        cmocka_unit_test(test_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
