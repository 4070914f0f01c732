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

static void check_location(Arena *arena, Slice location) {
        Slice again;

        CHECK(location.len <= 3 * MODEL_TARGET_MAX);
        CHECK(slice_starts_with(location, SLICE("http://")) ||
              slice_starts_with(location, SLICE("https://")));
        for (size_t i = 0; i < location.len; i++)
                CHECK(location.data[i] > ' ' && location.data[i] < 0x7F);
        /* Escaping may have made it longer than what may be sent. */
        if (location.len > MODEL_TARGET_MAX)
                return;
        CHECK(target_parse(arena, location, &again) == 0);
        CHECK(slice_equal(location, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Slice location = SLICE_NONE;
        Arena arena;
        int r;

        arena_init(&arena, 0);
        r = target_parse(&arena, slice_make((const char *)data, size), &location);
        if (r == 0)
                check_location(&arena, location);
        else
                CHECK(r == -EINVAL && !location.data);
        arena_done(&arena);
        return 0;
}
