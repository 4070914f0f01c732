/* SPDX-License-Identifier: MIT */

/* Options that must fit each other. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "config/value.h"

#define SEGMENTS_MIN 2u /* the spool makes the next one before the present one is full */

/* "Key=VALUE", as --dump-config has it. */
static void append_option(Buffer *out, const char *section, const char *key,
                          const Options *options) {
        for (size_t i = 0; i < n_options; i++)
                if (strcmp(options_table[i].section, section) == 0 &&
                    strcmp(options_table[i].key, key) == 0) {
                        config_value_dump(&options_table[i], options, out);
                        out->len -= out->failed ? 0 : 1; /* its newline */
                        return;
                }
        check_failed(key, __FILE__, __LINE__);
}

static int check_spool(const Options *options, char **ret_error) {
        Buffer out = BUFFER_EMPTY;

        if (options->clicks.max_size >= SEGMENTS_MIN * options->clicks.segment_size)
                return 0;
        buffer_append(&out, SLICE("[Clicks] "));
        append_option(&out, "Clicks", "MaxSize", options);
        buffer_append(&out, SLICE(": less than two segments of "));
        append_option(&out, "Clicks", "SegmentSize", options);
        buffer_append(&out, SLICE(": raise MaxSize=, or lower SegmentSize="));
        if (!out.failed)
                *ret_error = slice_to_string(buffer_slice(&out));
        buffer_done(&out);
        return -EINVAL;
}

int options_load(const ConfigSources *sources, Options *options, char **ret_error) {
        int r = config_load(options_table, n_options, sources, options, ret_error);

        return r < 0 ? r : check_spool(options, ret_error);
}
