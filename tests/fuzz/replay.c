/* SPDX-License-Identifier: MIT */

/*
 * Runs a fuzz target without libFuzzer, as a normal test: each file of a folder whole, cut at 16
 * places, and with single bytes changed. The same runs every time, and a few thousand at most. What
 * the target finds wrong aborts, and the run that did it is named. --whole: the files as they are,
 * no more, to see what the corpus alone reaches (coverage.py).
 */

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "basic/check.h"

#define RUNS_MAX 4000u /* all files together, about */
#define CUTS     16u
#define FILE_MAX (1024u * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct File {
        const char *name;
        uint8_t data[FILE_MAX];
        size_t size;
} File;

static char current[512]; /* what is being run, for the signal handler */

static void say_current(int signal_number) {
        ssize_t n = write(STDERR_FILENO, current, strlen(current));

        (void)n;
        (void)signal(signal_number, SIG_DFL);
}

/* The target gets memory of exactly this size, so that the sanitizers see any step beyond. */
static void run(const File *file, size_t size, size_t changed, uint8_t value) {
        uint8_t *data = malloc(size ? size : 1);

        CHECK(data);
        memcpy(data, file->data, size);
        if (changed < size)
                data[changed] = value;
        (void)snprintf(current, sizeof current,
                       "replay: %.200s, first %zu of %zu bytes, byte %zu set to 0x%02x\n",
                       file->name, size, file->size, changed, value);
        (void)LLVMFuzzerTestOneInput(data, size);
        free(data);
}

/* Bytes that mean something to some parser, then every single bit. */
static uint8_t change(uint8_t byte, size_t round) {
        static const char special[] = "\0\n\r\t \",%&+-/:;=?[{\\\x7f\x80\xff";

        if (round % 3 == 0)
                return (uint8_t)(byte ^ (1u << round / 3 % 8));
        return (uint8_t)special[round % (sizeof special - 1)];
}

static size_t run_file(const File *file, size_t budget) {
        size_t n = 0;

        run(file, file->size, SIZE_MAX, 0);
        for (size_t i = 0; i < CUTS; i++, n++)
                run(file, file->size * i / CUTS, SIZE_MAX, 0);
        if (file->size == 0)
                return n;
        for (size_t i = 0; n < budget; i++, n++) {
                /* Strides over the file that is prime to most lengths. */
                size_t at = i * 7919 % file->size;

                run(file, file->size, at, change(file->data[at], i));
        }
        return n;
}

static int is_file(const struct dirent *entry) {
        return entry->d_name[0] != '.';
}

static void load(const char *folder, File *file) {
        char path[4096];
        FILE *stream;

        CHECK(snprintf(path, sizeof path, "%s/%s", folder, file->name) < (int)sizeof path);
        stream = fopen(path, "rbe");
        CHECK(stream);
        file->size = fread(file->data, 1, sizeof file->data, stream);
        CHECK(!ferror(stream));
        (void)fclose(stream);
}

int main(int argc, char **argv) {
        static File file;
        struct dirent **entries;
        size_t n_runs = 0;
        bool whole = argc == 3 && strcmp(argv[1], "--whole") == 0;
        const char *folder = argv[argc - 1];
        int n_files;

        if (argc != 2 && !whole) {
                (void)fprintf(stderr, "Usage: %s [--whole] FOLDER\n", argv[0]);
                return 2;
        }
        n_files = scandir(folder, &entries, is_file, alphasort);
        if (n_files <= 0) {
                (void)fprintf(stderr, "%s: no files in %s\n", argv[0], folder);
                return 1;
        }
        (void)signal(SIGABRT, say_current);
        for (int i = 0; i < n_files; i++) {
                file.name = entries[i]->d_name;
                load(folder, &file);
                if (whole)
                        run(&file, file.size, SIZE_MAX, 0);
                n_runs += whole ? 1 : run_file(&file, RUNS_MAX / (size_t)n_files);
                free(entries[i]);
        }
        free(entries);
        printf("%d files, %zu runs\n", n_files, n_runs);
        return 0;
}
