/* SPDX-License-Identifier: MIT */

/*
 * Hosts. The kinds are told apart as in the URL Standard: brackets mean IPv6; a name whose last
 * label is a number must be an IPv4 address in one of its historic spellings; the rest is a
 * domain. Any thread.
 */

#include <arpa/inet.h>
#include <errno.h>

#include "basic/utf8.h"
#include "model/host.h"
#include "model/idna.h"
#include "model/types.h"

#define IPV4_PARTS_MAX  4u
#define IPV6_PIECES     8u
#define IPV6_TEXT_MAX   45u               /* characters, without brackets */
#define IPV4_NUMBER_MAX 0xFFFFFFFFu       /* larger numbers stop counting above it */
#define FORBIDDEN       " #/:<>?@[\\]^|%" /* in a domain, besides controls */

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* out has room for s.len bytes; a % without two hex digits stands for itself. */
static Slice percent_decode(Slice s, char *out) {
        size_t n = 0;

        for (size_t i = 0; i < s.len; i++) {
                if (s.data[i] == '%' && s.len - i > 2 && hex_value(s.data[i + 1]) >= 0 &&
                    hex_value(s.data[i + 2]) >= 0) {
                        out[n++] = (char)(hex_value(s.data[i + 1]) << 4 | hex_value(s.data[i + 2]));
                        i += 2;
                } else {
                        out[n++] = s.data[i];
                }
        }
        return slice_make(out, n);
}

/* A number in decimal, octal (0...) or hexadecimal (0x..., 0x alone is 0). */
static bool parse_ipv4_number(Slice s, uint64_t *ret) {
        uint64_t value = 0;
        int base = 10;

        if (s.len == 0)
                return false;
        if (slice_starts_with_nocase(s, SLICE("0x"))) {
                s = slice_from(s, 2);
                base = 16;
        } else if (s.len > 1 && s.data[0] == '0') {
                s = slice_from(s, 1);
                base = 8;
        }
        for (size_t i = 0; i < s.len; i++) {
                int digit = hex_value(s.data[i]);

                if (digit < 0 || digit >= base)
                        return false;
                value = MIN(value * (uint64_t)base + (uint64_t)digit,
                            (uint64_t)IPV4_NUMBER_MAX + 1);
        }
        *ret = value;
        return true;
}

static bool is_digits(Slice s) {
        for (size_t i = 0; i < s.len; i++)
                if (s.data[i] < '0' || s.data[i] > '9')
                        return false;
        return s.len > 0;
}

static Slice without_last_dot(Slice domain) {
        if (domain.len > 0 && domain.data[domain.len - 1] == '.')
                domain.len--;
        return domain;
}

static bool ends_in_number(Slice domain) {
        Slice last = without_last_dot(domain);
        uint64_t number;

        for (size_t i = last.len; i > 0; i--)
                if (last.data[i - 1] == '.') {
                        last = slice_from(last, i);
                        break;
                }
        return is_digits(last) || parse_ipv4_number(last, &number);
}

static bool parse_ipv4(Slice domain, uint32_t *ret) {
        Slice rest = without_last_dot(domain), part;
        uint64_t address = 0, number;
        bool more = true;

        for (unsigned n = 1; more; n++) {
                more = slice_cut(rest, '.', &part, &rest);
                if (n > IPV4_PARTS_MAX || !parse_ipv4_number(part, &number))
                        return false;
                if (more) {
                        if (number > 0xFF)
                                return false;
                        address |= number << 8 * (IPV4_PARTS_MAX - n);
                        continue;
                }
                /* The last part fills all the bytes that the others left. */
                if (number >> 8 * (IPV4_PARTS_MAX + 1 - n) != 0)
                        return false;
                address |= number;
        }
        *ret = (uint32_t)address;
        return true;
}

/* The longest run of two or more zero pieces, the first of equals; *ret_n is 0 if there is none. */
static void find_zeros(const uint16_t *pieces, size_t *ret_start, size_t *ret_n) {
        size_t n = 0;

        *ret_start = *ret_n = 0;
        for (size_t i = 0; i < IPV6_PIECES; i++) {
                n = pieces[i] == 0 ? n + 1 : 0;
                if (n > 1 && n > *ret_n) {
                        *ret_n = n;
                        *ret_start = i + 1 - n;
                }
        }
}

static size_t put_hex(char *out, unsigned value) {
        static const char hex[] = "0123456789abcdef";
        size_t n = 0;

        for (unsigned shift = 16; shift > 0; shift -= 4)
                if (n > 0 || shift == 4 || value >> (shift - 4) != 0)
                        out[n++] = hex[value >> (shift - 4) & 15];
        return n;
}

static size_t format_ipv6(const uint16_t *pieces, char *out) {
        size_t start, n_zeros, n = 0;

        find_zeros(pieces, &start, &n_zeros);
        out[n++] = '[';
        for (size_t i = 0; i < IPV6_PIECES; i++) {
                if (n_zeros > 0 && i == start) {
                        out[n++] = ':';
                        if (i == 0)
                                out[n++] = ':';
                        i += n_zeros - 1;
                        continue;
                }
                n += put_hex(out + n, pieces[i]);
                if (i + 1 < IPV6_PIECES)
                        out[n++] = ':';
        }
        out[n++] = ']';
        return n;
}

static int parse_ipv6(Slice text, char *ret, size_t *ret_len) {
        char terminated[IPV6_TEXT_MAX + 1];
        uint16_t pieces[IPV6_PIECES];
        struct in6_addr address;

        if (text.len > IPV6_TEXT_MAX || slice_find(text, '\0') >= 0)
                return -EINVAL;
        memcpy(terminated, text.data, text.len);
        terminated[text.len] = '\0';
        if (inet_pton(AF_INET6, terminated, &address) != 1)
                return -EINVAL;
        for (size_t i = 0; i < IPV6_PIECES; i++)
                pieces[i] = (uint16_t)(address.s6_addr[2 * i] << 8 | address.s6_addr[2 * i + 1]);
        *ret_len = format_ipv6(pieces, ret);
        return 0;
}

static size_t format_ipv4(uint32_t address, char *out) {
        size_t n = 0;

        for (unsigned shift = 32; shift > 0; shift -= 8) {
                unsigned byte = address >> (shift - 8) & 0xFF;

                if (byte >= 100)
                        out[n++] = (char)('0' + byte / 100);
                if (byte >= 10)
                        out[n++] = (char)('0' + byte / 10 % 10);
                out[n++] = (char)('0' + byte % 10);
                if (shift > 8)
                        out[n++] = '.';
        }
        return n;
}

static bool is_forbidden(char c) {
        return (unsigned char)c < 0x20 || c == 0x7F || strchr(FORBIDDEN, c);
}

int host_parse(Slice text, char ret[HOST_SIZE], size_t *ret_len) {
        char decoded[MODEL_TARGET_MAX];
        uint32_t address;
        size_t len;
        Slice domain;
        int r;

        if (text.len == 0 || text.len > sizeof(decoded))
                return -EINVAL;
        if (text.data[0] == '[') {
                if (text.data[text.len - 1] != ']')
                        return -EINVAL;
                return parse_ipv6(slice_sub(text, 1, text.len - 1), ret, ret_len);
        }
        domain = percent_decode(text, decoded);
        if (!utf8_valid(domain) || utf8_has_control(domain) || utf8_length(domain) < 2)
                return -EINVAL;
        r = idna_to_ascii(domain, ret, &len);
        if (r < 0)
                return r;
        for (size_t i = 0; i < len; i++)
                if (is_forbidden(ret[i]))
                        return -EINVAL;
        if (len < 2)
                return -EINVAL;
        if (ends_in_number(slice_make(ret, len))) {
                if (!parse_ipv4(slice_make(ret, len), &address))
                        return -EINVAL;
                len = format_ipv4(address, ret);
        }
        *ret_len = len;
        return 0;
}
