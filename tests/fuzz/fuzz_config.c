/* SPDX-License-Identifier: MIT */

/*
 * The configuration: any bytes as a file over the real table of options. What is accepted must be
 * dumped as a file that is read back to the same; what is refused must say why.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "basic/buffer.h"
#include "basic/check.h"
#include "basic/redact.h"
#include "config/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Loads bytes by way of a file in memory. */
static int load(const void *data, size_t size, Options *ret, char **ret_error) {
        char path[64];
        ConfigSources sources = {.file = path, .file_required = true};
        int fd, r;

        fd = memfd_create("configuration", MFD_CLOEXEC);
        CHECK(fd >= 0);
        CHECK(write(fd, data, size) == (ssize_t)size);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        *ret = (Options){0};
        r = options_load(&sources, ret, ret_error);
        (void)close(fd);
        return r;
}

static void check_dump(const Options *options) {
        Buffer dump = BUFFER_EMPTY, differences = BUFFER_EMPTY, shown = BUFFER_EMPTY;
        Options again;
        char *error;

        config_dump(options_table, n_options, options, &dump);
        CHECK(!dump.failed);
        redact_append(&shown, slice_from_string(options->store.url));
        CHECK(load(dump.data, dump.len, &again, &error) == 0);
        config_diff(options_table, n_options, options, &again, true, &differences);
        config_diff(options_table, n_options, options, &again, false, &differences);
        if (slice_equal(buffer_slice(&shown), slice_from_string(options->store.url)))
                CHECK(differences.len == 0);
        else /* its password */
                CHECK(slice_equal(buffer_slice(&differences), SLICE("Store.URL")));
        config_free(options_table, n_options, &again);
        buffer_done(&shown);
        buffer_done(&differences);
        buffer_done(&dump);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Options options;
        char *error;

        if (load(data, size, &options, &error) >= 0)
                check_dump(&options);
        else
                CHECK(error);
        free(error);
        config_free(options_table, n_options, &options);
        return 0;
}
