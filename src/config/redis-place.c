/* SPDX-License-Identifier: MIT */

/* The two forms of [Cache] Redis=. No password in it: secrets come from files. */

#include "config/redis-place.h"

#include <errno.h>

#include "basic/number.h"
#include "basic/slice.h"

#define DATABASES_MAX 65536u

static int copy_text(Slice text, char *ret, size_t size) {
        if (text.len == 0 || text.len >= size)
                return -EINVAL;
        memcpy(ret, text.data, text.len);
        ret[text.len] = '\0';
        return 0;
}

static bool is_host(Slice host) {
        for (size_t i = 0; i < host.len; i++)
                if (host.data[i] <= ' ' || host.data[i] > '~' || strchr("@/?#\\", host.data[i]))
                        return false;
        return host.len > 0;
}

static int parse_number(Slice text, uint64_t max, uint64_t *ret) {
        uint64_t number;

        if (number_parse_u64(text, &number) < 0 || number > max)
                return -EINVAL;
        *ret = number;
        return 0;
}

static int parse_tcp(Slice text, RedisPlace *place) {
        uint64_t port = REDIS_PORT, database = 0;
        Slice host, rest, number;
        int r = 0;

        if (slice_cut(text, '/', &text, &number) && number.len > 0)
                r = parse_number(number, DATABASES_MAX - 1, &database);
        if (r == 0 && text.len > 0 && text.data[0] == '[') {
                if (!slice_cut(slice_from(text, 1), ']', &host, &rest))
                        return -EINVAL;
                if (rest.len > 0 && rest.data[0] != ':')
                        return -EINVAL;
                if (rest.len > 0)
                        r = parse_number(slice_from(rest, 1), UINT16_MAX, &port);
        } else if (r == 0) {
                if (slice_cut(text, ':', &host, &rest))
                        r = parse_number(rest, UINT16_MAX, &port);
        }
        if (r < 0 || port == 0 || !is_host(host))
                return -EINVAL;
        place->port = (uint16_t)port;
        place->database = (unsigned)database;
        return copy_text(host, place->host, sizeof place->host);
}

int redis_place_parse(const char *text, RedisPlace *ret) {
        Slice unix_prefix = SLICE("unix:/"), tcp_prefix = SLICE("redis://");
        Slice all = slice_from_string(text);
        RedisPlace place = {0};
        int r = -EINVAL;

        if (slice_starts_with(all, unix_prefix) && all.len > unix_prefix.len)
                r = copy_text(slice_from(all, unix_prefix.len - 1), place.path, sizeof place.path);
        else if (slice_starts_with(all, tcp_prefix))
                r = parse_tcp(slice_from(all, tcp_prefix.len), &place);
        if (r == 0)
                *ret = place;
        return r;
}
