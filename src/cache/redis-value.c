/* SPDX-License-Identifier: MIT */

/* The text of a link in Redis, see the header. Pure: no clock, no socket. */

#include "cache/redis-value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "basic/hash.h"
#include "basic/number.h"
#include "model/target.h"

#define VERSION  SLICE("1")
#define CRC_SIZE 8u /* hex digits */

/* Is it a location as target_parse() makes them? So that nothing else ever becomes a header. */
static int check_location(Arena *arena, Slice location) {
        Slice again;
        int r = target_parse(arena, location, &again);

        if (r == 0 && !slice_equal(location, again))
                r = -EINVAL;
        return r;
}

static uint32_t checksum(Slice s) {
        return hash_crc32c(0, s.data, s.len);
}

void redis_key_append(Buffer *out, Slice code) {
        buffer_append(out, SLICE(REDIS_KEY_PREFIX));
        buffer_append(out, code);
}

int redis_value_append(Buffer *out, Arena *arena, const Link *link, int64_t read_sec) {
        char text[REDIS_VALUE_MAX + 1];
        int r, len;

        if (link->location.len > MODEL_TARGET_MAX || link->code.len > MODEL_CODE_MAX)
                return -EMSGSIZE;
        r = check_location(arena, link->location);
        if (r < 0)
                return r == -EINVAL ? -EMSGSIZE : r;
        len = snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %.*s %.*s", read_sec, link->id,
                       SLICE_ARG(link->code), SLICE_ARG(link->location));
        CHECK(len > 0 && (size_t)len < sizeof text);
        buffer_printf(out, "%.*s %08" PRIx32 " %s", SLICE_ARG(VERSION),
                      checksum(slice_make(text, (size_t)len)), text);
        return out->failed ? -ENOMEM : 0;
}

static bool is_printable(Slice s) {
        for (size_t i = 0; i < s.len; i++)
                if (s.data[i] < 0x20 || s.data[i] > 0x7e)
                        return false;
        return true;
}

/* Takes version and checksum off the front. */
static bool open_envelope(Slice value, Slice *ret_inside) {
        char wanted[CRC_SIZE + 1];
        Slice version, crc;

        if (value.len > REDIS_VALUE_MAX || !is_printable(value) ||
            !slice_cut(value, ' ', &version, &value) || !slice_cut(value, ' ', &crc, &value))
                return false;
        (void)snprintf(wanted, sizeof wanted, "%08" PRIx32, checksum(value));
        if (!slice_equal(version, VERSION) || !slice_equal(crc, slice_from_string(wanted)))
                return false;
        *ret_inside = value;
        return true;
}

int redis_value_parse(Slice value, int64_t now_sec, int64_t ttl_sec, Arena *arena, Link *link) {
        Slice rest, field, location;
        int64_t read_sec, id;
        int r;

        if (!open_envelope(value, &rest))
                return -EBADMSG;
        if (!slice_cut(rest, ' ', &field, &rest) || number_parse_i64(field, &read_sec) < 0 ||
            !slice_cut(rest, ' ', &field, &rest) || number_parse_i64(field, &id) < 0 || id <= 0 ||
            id > MODEL_ID_MAX || !slice_cut(rest, ' ', &field, &rest) ||
            !slice_equal(field, link->code))
                return -EBADMSG;
        if (read_sec < 0 || read_sec > now_sec + REDIS_CLOCK_SEC)
                return -EBADMSG;
        if (now_sec - read_sec > ttl_sec)
                return -ESTALE;
        r = check_location(arena, rest);
        if (r < 0)
                return r == -EINVAL ? -EBADMSG : r;
        location = arena_dup(arena, rest);
        if (!location.data)
                return -ENOMEM;
        link->id = id;
        link->location = location;
        link->is_active = true;
        return 0;
}
