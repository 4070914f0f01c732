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

static int parse(const char *path, Slice text, Buffer *problems, unsigned *ret) {
        unsigned result = INSTANCES_DEFAULT;
        Slice line, key, value;
        int r = 0;

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
                buffer_printf(problems, "%s: INSTANCES=%.*s: not a number from 0 to %u\n", path,
                              SLICE_ARG(value), INSTANCES_MAX);
                r = -EINVAL;
        }
        if (r == 0)
                *ret = result;
        return r;
}

int instances_read(const char *path, Buffer *problems, unsigned *ret) {
        Buffer text = BUFFER_EMPTY;
        int r = fd_read_file(path, FILE_MAX, &text);

        if (r == 0) {
                r = parse(path, buffer_slice(&text), problems, ret);
        } else if (r == -ENOENT) {
                *ret = INSTANCES_DEFAULT;
                r = 0;
        } else {
                buffer_printf(problems, "%s: %s\n", path, strerror(-r));
        }
        buffer_done(&text);
        return r;
}
