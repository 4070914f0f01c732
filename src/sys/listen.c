/* SPDX-License-Identifier: MIT */

/* Sockets and addresses. Any thread; no state. */

#include "sys/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "basic/number.h"
#include "sys/fd.h"

#define V4_MAPPED_BITS 96u

typedef struct Listen {
        struct sockaddr_storage address;
        socklen_t len;
        bool loopback;
} Listen;

int address_parse(Slice text, unsigned char ret[16]) {
        static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        char copy[ADDRESS_TEXT_SIZE];

        if (text.len == 0 || text.len >= sizeof copy)
                return -EINVAL;
        memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
        if (strlen(copy) != text.len)
                return -EINVAL;
        if (inet_pton(AF_INET6, copy, ret) == 1)
                return 0;
        memcpy(ret, mapped, sizeof mapped);
        return inet_pton(AF_INET, copy, ret + sizeof mapped) == 1 ? 0 : -EINVAL;
}

static bool is_mapped(const unsigned char bytes[16]) {
        AddressPrefix v4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}, V4_MAPPED_BITS};

        return memcmp(v4.bytes, bytes, 12) == 0;
}

static int listen_parse_unix(Slice path, Listen *ret) {
        struct sockaddr_un *un = (struct sockaddr_un *)&ret->address;

        if (path.len == 0 || path.data[0] != '/' || path.len >= sizeof un->sun_path)
                return -EINVAL;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, path.data, path.len);
        ret->len = (socklen_t)sizeof *un;
        ret->loopback = true;
        return 0;
}

static int listen_parse_ip(Slice host, uint16_t port, Listen *ret) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->address;
        struct sockaddr_in *in = (struct sockaddr_in *)&ret->address;
        unsigned char bytes[16] = {0};
        int r;

        if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
                host = slice_sub(host, 1, host.len - 1);
        if (host.len > 0) {
                r = address_parse(host, bytes);
                if (r < 0)
                        return r;
        }
        if (is_mapped(bytes)) {
                in->sin_family = AF_INET;
                in->sin_port = htons(port);
                memcpy(&in->sin_addr, bytes + 12, 4);
                ret->len = (socklen_t)sizeof *in;
                ret->loopback = bytes[12] == 127;
                return 0;
        }
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        memcpy(&in6->sin6_addr, bytes, 16);
        ret->len = (socklen_t)sizeof *in6;
        ret->loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
        return 0;
}

static int listen_parse(const char *text, Listen *ret) {
        Slice s = slice_from_string(text);
        uint64_t port;
        size_t colon;
        int r;

        *ret = (Listen){0};
        if (slice_starts_with(s, SLICE("unix:")))
                return listen_parse_unix(slice_from(s, 5), ret);
        for (colon = s.len; colon > 0 && s.data[colon - 1] != ':'; colon--)
                ;
        if (colon == 0)
                return -EINVAL;
        r = number_parse_u64(slice_from(s, colon), &port);
        if (r < 0 || port > 65535)
                return -EINVAL;
        return listen_parse_ip(slice_sub(s, 0, colon - 1), (uint16_t)port, ret);
}

bool socket_listen_local(const char *text) {
        Listen parsed;

        return listen_parse(text, &parsed) == 0 && parsed.loopback;
}

int socket_listen_check(const char *text) {
        Listen parsed;

        return listen_parse(text, &parsed);
}

/* A socket file that nobody listens on is a leftover of a process that was killed. */
static void remove_stale(const Listen *parsed) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&parsed->address;
        _cleanup_fd_ int fd = -1;
        struct stat st;

        /* connect() says the same of a file that is no socket. */
        if (lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return;
        if (connect(fd, (const struct sockaddr *)un, parsed->len) < 0 && errno == ECONNREFUSED)
                (void)unlink(un->sun_path);
}

int socket_listen(const char *text, int *ret_fd, bool *ret_loopback) {
        _cleanup_fd_ int fd = -1;
        const int on = 1;
        Listen parsed;
        int r;

        r = listen_parse(text, &parsed);
        if (r < 0)
                return r;
        if (parsed.address.ss_family == AF_UNIX)
                remove_stale(&parsed);
        fd = socket(parsed.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (parsed.address.ss_family != AF_UNIX) {
                (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        }
        if (bind(fd, (const struct sockaddr *)&parsed.address, parsed.len) < 0)
                return -errno;
        if (listen(fd, SOMAXCONN) < 0)
                return -errno;
        *ret_loopback = parsed.loopback;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int socket_adopt(int fd) {
        const int on = 1;

        if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0)
                return 0;
        if (sd_is_socket(fd, AF_INET, SOCK_STREAM, 1) <= 0 &&
            sd_is_socket(fd, AF_INET6, SOCK_STREAM, 1) <= 0)
                return -ENOTSOCK;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return 0;
}

size_t socket_address_text(const struct sockaddr_storage *address, char ret[ADDRESS_TEXT_SIZE]) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;

        ret[0] = '\0';
        if (address->ss_family == AF_INET)
                (void)inet_ntop(AF_INET, &in->sin_addr, ret, ADDRESS_TEXT_SIZE);
        else if (address->ss_family == AF_INET6 && is_mapped(in6->sin6_addr.s6_addr))
                (void)inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, ret, ADDRESS_TEXT_SIZE);
        else if (address->ss_family == AF_INET6)
                (void)inet_ntop(AF_INET6, &in6->sin6_addr, ret, ADDRESS_TEXT_SIZE);
        return strlen(ret);
}

int address_prefix_parse(Slice text, AddressPrefix *ret) {
        AddressPrefix prefix = {.bits = 128};
        Slice host, bits_text;
        uint64_t bits;
        int r;

        if (slice_cut(text, '/', &host, &bits_text)) {
                r = number_parse_u64(bits_text, &bits);
                if (r < 0)
                        return -EINVAL;
        } else
                bits = 128;
        r = address_parse(host, prefix.bytes);
        if (r < 0)
                return r;
        if (is_mapped(prefix.bytes) && host.len < text.len)
                bits += V4_MAPPED_BITS;
        if (bits > 128)
                return -EINVAL;
        prefix.bits = (unsigned)bits;
        *ret = prefix;
        return 0;
}

bool address_prefix_has(const AddressPrefix *prefix, Slice text) {
        unsigned whole = prefix->bits / 8, rest = prefix->bits % 8;
        unsigned char bytes[16];

        if (address_parse(text, bytes) < 0 || memcmp(bytes, prefix->bytes, whole) != 0)
                return false;
        return rest == 0 || ((bytes[whole] ^ prefix->bytes[whole]) >> (8 - rest)) == 0;
}
