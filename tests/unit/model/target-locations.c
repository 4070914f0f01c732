/* SPDX-License-Identifier: MIT */

/* What becomes of targets, for url-data.py: for each line of hexadecimal bytes on stdin, the line
 * of the target's location, or an empty one if it is refused. The target is trimmed as the API
 * does. The argument "credentials" takes those. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/target.h"
#include "model/text.h"
#include "model/types.h"

#define LINE_SIZE (64u * 1024)

static int digit(char c) {
        return c >= 'a' ? c - 'a' + 10 : c - '0';
}

static size_t from_hex(char *line) {
        size_t len = 0;

        for (const char *at = line; strchr("0123456789abcdef", at[0]) && at[0] != '\0'; at += 2)
                line[len++] = (char)(digit(at[0]) << 4 | digit(at[1]));
        return len;
}

int main(int argc, char **argv) {
        bool credentials = argc > 1 && strcmp(argv[1], "credentials") == 0;
        static char line[LINE_SIZE];
        Slice location;
        Arena arena;
        int r;

        while (fgets(line, sizeof line, stdin)) {
                Slice text;

                (void)text_check(slice_make(line, from_hex(line)), &text);
                arena_init(&arena, 0);
                r = credentials ? target_parse_credentials(&arena, text, &location)
                                : target_parse(&arena, text, &location);
                if (r < 0 && r != -EINVAL) {
                        (void)fprintf(stderr, "%s\n", strerror(-r));
                        return EXIT_FAILURE;
                }
                (void)printf("%.*s\n", r < 0 ? 0 : (int)location.len, r < 0 ? "" : location.data);
                arena_done(&arena);
        }
        return EXIT_SUCCESS;
}
