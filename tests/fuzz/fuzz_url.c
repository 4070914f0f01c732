/* SPDX-License-Identifier: MIT */

/*
 * Targets: any bytes. What is accepted becomes printable ASCII that begins with its scheme, never
 * too long, and that is its own serialised form.
 */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "model/target.h"
#include "model/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int (*Parse)(Arena *arena, Slice text, Slice *ret_location);

static void check_location(Arena *arena, Parse parse, Slice location) {
        Slice again;

        CHECK(location.len <= 3 * MODEL_TARGET_MAX);
        CHECK(slice_starts_with(location, SLICE("http://")) ||
              slice_starts_with(location, SLICE("https://")));
        for (size_t i = 0; i < location.len; i++)
                CHECK(location.data[i] > ' ' && location.data[i] < 0x7F);
        /* Escaping may have made it longer than what may be sent. */
        if (location.len > MODEL_TARGET_MAX)
                return;
        CHECK(parse(arena, location, &again) == 0);
        CHECK(slice_equal(location, again));
}

static int check(Arena *arena, Parse parse, Slice text, Slice *ret_location) {
        int r = parse(arena, text, ret_location);

        if (r == 0)
                check_location(arena, parse, *ret_location);
        else
                CHECK(r == -EINVAL && !ret_location->data);
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Slice text = slice_make((const char *)data, size), location = SLICE_NONE, with = SLICE_NONE;
        Arena arena;
        int r;

        arena_init(&arena, 0);
        r = check(&arena, target_parse, text, &location);
        /* Who takes credentials takes all that the other one takes, and the same. */
        if (check(&arena, target_parse_credentials, text, &with) < 0)
                CHECK(r < 0);
        else if (r == 0)
                CHECK(slice_equal(location, with));
        arena_done(&arena);
        return 0;
}
