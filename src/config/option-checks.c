/* SPDX-License-Identifier: MIT */

/* What each kind of value must look like, see the header. Pure. */

#include "config/option-checks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "basic/number.h"
#include "basic/slice.h"
#include "config/redis-place.h"
#include "limit/rate.h"

#define UNIX_PATH_MAX 107u /* bytes of sun_path without its NUL */

static bool is_ip(const char *text, int *ret_bits) {
        unsigned char address[sizeof(struct in6_addr)];

        if (inet_pton(AF_INET, text, address) == 1)
                *ret_bits = 32;
        else if (inet_pton(AF_INET6, text, address) == 1)
                *ret_bits = 128;
        else
                return false;
        return true;
}

int option_check_absolute(const char *value) {
        return value[0] == '/' ? 0 : -EINVAL;
}

int option_check_absolute_or_empty(const char *value) {
        return value[0] == '\0' ? 0 : option_check_absolute(value);
}

static int check_port(Slice text) {
        uint64_t port;

        if (number_parse_u64(text, &port) < 0 || port > 65535)
                return -EINVAL;
        return 0;
}

/* 127.0.0.1:8080, [::1]:8080, unix:/path */
int option_check_listen(const char *value) {
        const char *colon = strrchr(value, ':');
        _cleanup_free_ char *host = NULL;
        Slice inside;
        int bits, r;

        if (slice_starts_with(slice_from_string(value), SLICE("unix:"))) {
                value += strlen("unix:");
                return strlen(value) <= UNIX_PATH_MAX ? option_check_absolute(value) : -EINVAL;
        }
        if (!colon)
                return -EINVAL;
        r = check_port(slice_from_string(colon + 1));
        if (r < 0)
                return r;
        inside = slice_make(value, (size_t)(colon - value));
        if (inside.len >= 2 && value[0] == '[' && colon[-1] == ']')
                inside = slice_sub(inside, 1, inside.len - 1);
        else if (slice_find(inside, ':') >= 0)
                return -EINVAL;
        host = slice_to_string(inside);
        if (!host)
                return -ENOMEM;
        return is_ip(host, &bits) && (bits == 128) == (value[0] == '[') ? 0 : -EINVAL;
}

/* 10.0.0.0/8, ::1 */
int option_check_prefix(const char *value) {
        _cleanup_free_ char *address = NULL;
        Slice head, tail;
        uint64_t length;
        bool has_length;
        int bits;

        has_length = slice_cut(slice_from_string(value), '/', &head, &tail);
        address = slice_to_string(head);
        if (!address)
                return -ENOMEM;
        if (!is_ip(address, &bits))
                return -EINVAL;
        if (has_length && (number_parse_u64(tail, &length) < 0 || length > (uint64_t)bits))
                return -EINVAL;
        return 0;
}

int option_check_base_url(const char *value) {
        Slice rest = slice_from_string(value);

        if (rest.len == 0)
                return 0;
        if (slice_starts_with(rest, SLICE("https://")))
                rest = slice_from(rest, strlen("https://"));
        else if (slice_starts_with(rest, SLICE("http://")))
                rest = slice_from(rest, strlen("http://"));
        else
                return -EINVAL;
        if (rest.len == 0 || rest.data[0] == '/' || strpbrk(rest.data, " ?#@\\\"<>"))
                return -EINVAL;
        return 0;
}

int option_check_store_url(const char *value) {
        const Slice prefixes[] = {SLICE("sqlite:/"), SLICE("postgresql://"), SLICE("postgres://")};
        Slice url = slice_from_string(value);

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (slice_starts_with(url, prefixes[i]) && url.len > prefixes[i].len)
                        return 0;
        return -EINVAL;
}

int option_check_host_name(const char *value) {
        return value[0] == '\0' || strpbrk(value, "/:?#@") ? -EINVAL : 0;
}

int option_check_limit(const char *value) {
        LimitRate rate;

        return strcmp(value, "auto") == 0 ? 0 : limit_rate_parse(slice_from_string(value), &rate);
}

int option_check_redis(const char *value) {
        RedisPlace place;

        return value[0] == '\0' ? 0 : redis_place_parse(value, &place);
}
