/* SPDX-License-Identifier: MIT */

/*
 * The configuration: any bytes as a file over the real table of options, and behind SEPARATOR what
 * else there is: D and a file that is dropped in, F for a folder in place of another one, E and a
 * variable without our prefix, S and what stands behind --set=. What is accepted must be dumped as
 * a file that is read back to the same; what is refused must say why.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/buffer.h"
#include "basic/check.h"
#include "basic/redact.h"
#include "config/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEPARATOR   '\x1e'
#define SOURCES_MAX 8

typedef struct More {
        char *environment[SOURCES_MAX + 1], *set[SOURCES_MAX + 1]; /* end with NULL */
        size_t n_environment, n_set;
        Slice dropin; /* data NULL: none */
        bool folder;  /* where a file to be dropped in was expected */
} More;

/* Loads bytes by way of a file in memory. */
static int load(const void *data, size_t size, const More *more, Options *ret, char **ret_error) {
        char path[64];
        ConfigSources sources = {.file = path, .file_required = true};
        int fd, r;

        if (more) {
                sources.environment = (char **)more->environment;
                sources.set = (const char *const *)more->set;
        }
        fd = memfd_create("configuration", MFD_CLOEXEC);
        CHECK(fd >= 0);
        CHECK(write(fd, data, size) == (ssize_t)size);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        *ret = (Options){0};
        r = options_load(&sources, ret, ret_error);
        (void)close(fd);
        return r;
}

/* ---- files that are dropped in ---- */

static char folder[] = "/tmp/fuzz-config-XXXXXX";
static char file_path[64], dropins_path[64], dropin_path[64], other_path[64], folder_path[64];

static void write_file(const char *path, Slice text) {
        FILE *file = fopen(path, "wbe");

        CHECK(file);
        CHECK(fwrite(text.data, 1, text.len, file) == text.len);
        CHECK(fclose(file) == 0);
}

__attribute__((destructor)) static void remove_folder(void) {
        if (!*file_path)
                return;
        (void)unlink(other_path);
        (void)unlink(dropin_path);
        (void)unlink(file_path);
        (void)rmdir(dropins_path);
        (void)rmdir(folder);
}

static void make_folder(void) {
        if (*file_path)
                return;
        CHECK(mkdtemp(folder));
        (void)snprintf(file_path, sizeof file_path, "%s/file", folder);
        (void)snprintf(dropins_path, sizeof dropins_path, "%s/file.d", folder);
        (void)snprintf(dropin_path, sizeof dropin_path, "%s/file.d/50-x.conf", folder);
        (void)snprintf(other_path, sizeof other_path, "%s/file.d/10-x.conf", folder);
        (void)snprintf(folder_path, sizeof folder_path, "%s/file.d/90-x.conf", folder);
        CHECK(mkdir(dropins_path, 0700) == 0);
        write_file(other_path, SLICE("[Server]\nWorkers=7\n"));
}

static int load_with_dropin(Slice file, const More *more, Options *ret, char **ret_error) {
        const ConfigSources sources = {.file = file_path,
                                       .file_required = true,
                                       .environment = (char **)more->environment,
                                       .set = (const char *const *)more->set};

        int r;

        make_folder();
        write_file(file_path, file);
        write_file(dropin_path, more->dropin);
        if (more->folder)
                CHECK(mkdir(folder_path, 0700) == 0);
        *ret = (Options){0};
        r = options_load(&sources, ret, ret_error);
        if (more->folder)
                CHECK(rmdir(folder_path) == 0);
        return r;
}

/* ---- sources ---- */

static char *with_prefix(const char *prefix, Slice text) {
        char *joined = NULL;

        CHECK(asprintf(&joined, "%s%.*s", prefix, SLICE_ARG(text)) >= 0);
        return joined;
}

static void take_source(More *more, Slice source) {
        Slice text = slice_from(source, 1);

        if (source.data[0] == 'D')
                more->dropin = text;
        else if (source.data[0] == 'F')
                more->folder = true;
        else if (source.data[0] == 'E' && more->n_environment < SOURCES_MAX)
                more->environment[more->n_environment++] = with_prefix("SHORTENER_", text);
        else if (source.data[0] == 'S' && more->n_set < SOURCES_MAX)
                more->set[more->n_set++] = with_prefix("", text);
}

static void more_done(More *more) {
        for (size_t i = 0; i < SOURCES_MAX; i++) {
                free(more->environment[i]);
                free(more->set[i]);
        }
}

static void check_dump(const Options *options) {
        Buffer dump = BUFFER_EMPTY, differences = BUFFER_EMPTY, shown = BUFFER_EMPTY;
        Options again;
        char *error;

        config_dump(options_table, n_options, options, &dump);
        CHECK(!dump.failed);
        redact_append(&shown, slice_from_string(options->store.url));
        CHECK(load(dump.data, dump.len, NULL, &again, &error) == 0);
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
        Slice all = slice_make((const char *)data, size), file, source;
        More more = {.n_set = 0};
        Options options;
        char *error;
        int r;

        (void)slice_cut(all, SEPARATOR, &file, &all);
        while (all.len > 0) {
                (void)slice_cut(all, SEPARATOR, &source, &all);
                if (source.len > 0)
                        take_source(&more, source);
        }
        r = more.dropin.data ? load_with_dropin(file, &more, &options, &error)
                             : load(file.data, file.len, &more, &options, &error);
        if (r >= 0)
                check_dump(&options);
        else
                CHECK(error);
        free(error);
        config_free(options_table, n_options, &options);
        more_done(&more);
        return 0;
}
