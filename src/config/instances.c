/* SPDX-License-Identifier: MIT */

/* Reading INSTANCES= of a file that shells may read too: NAME=value, quoted or not. */

#include "config/instances.h"

#include <errno.h>
#include <string.h>

#include "basic/number.h"
#include "sys/fd.h"

#define FILE_MAX 65536u

static Slice unquote(Slice value) {
        if (value.len >= 2 && (value.data[0] == '"' || value.data[0] == '\'') &&
            value.data[value.len - 1] == value.data[0])
                return slice_sub(value, 1, value.len - 1);
        return value;
}

static unsigned parse(const char *path, Slice text, Buffer *problems) {
        unsigned result = INSTANCES_DEFAULT;
        Slice line, key, value;

        while (text.len > 0) {
                uint64_t n;

                (void)slice_cut(text, '\n', &line, &text);
                if (!slice_cut(slice_trim(line), '=', &key, &value) ||
                    !slice_equal(key, SLICE("INSTANCES")))
                        continue;
                value = unquote(slice_trim(value));
                if (number_parse_u64(value, &n) == 0 && n <= INSTANCES_MAX) {
                        result = (unsigned)n;
                        continue;
                }
                buffer_printf(problems,
                              "%s: INSTANCES=%.*s: not a number from 0 to %u, taken as %u\n", path,
                              SLICE_ARG(value), INSTANCES_MAX, INSTANCES_DEFAULT);
                result = INSTANCES_DEFAULT;
        }
        return result;
}

unsigned instances_read(const char *path, Buffer *problems) {
        unsigned result = INSTANCES_DEFAULT;
        Buffer text = BUFFER_EMPTY;
        int r = fd_read_file(path, FILE_MAX, &text);

        if (r == 0)
                result = parse(path, buffer_slice(&text), problems);
        else if (r != -ENOENT)
                buffer_printf(problems, "%s: %s, taken as INSTANCES=%u\n", path, strerror(-r),
                              result);
        buffer_done(&text);
        return result;
}
