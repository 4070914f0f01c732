/* SPDX-License-Identifier: MIT */

/*
 * shortener-generator: a systemd.generator(7). /etc/default/shortener says how many instances there
 * are; shortener.target then wants the socket and the service of each. It runs at boot and at each
 * daemon-reload, before any service, so it does nothing else. When the file cannot be understood it
 * fails, and systemd says so; instance 1 is wanted all the same, so that the host serves.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "config/instances.h"
#include "generator/wants.h"
#include "sys/fd.h"

/* There may be no journal yet: the kernel's log is where people look then. */
static void complain(Slice text, bool to_kernel) {
        _cleanup_fd_ int fd = to_kernel ? open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY) : -1;
        Slice line;

        while (text.len > 0) {
                (void)slice_cut(text, '\n', &line, &text);
                if (fd >= 0)
                        (void)dprintf(fd, "<3>shortener-generator: %.*s\n", SLICE_ARG(line));
                else
                        (void)fprintf(stderr, "shortener-generator: %.*s\n", SLICE_ARG(line));
        }
}

int main(int argc, char **argv) {
        const char *file = argc == 5 ? argv[4] : INSTANCES_FILE; /* tests name one */
        Buffer problems = BUFFER_EMPTY;
        unsigned n = INSTANCES_DEFAULT;
        int r, k;

        if (argc != 4 && argc != 5) {
                complain(SLICE("run by systemd, with three folders: see systemd.generator(7)"),
                         false);
                return 2;
        }
        r = instances_read(file, &problems, &n);
        if (r < 0)
                buffer_printf(&problems,
                              "%s: shortener.target has only %u instance until it is mended\n",
                              file, n);
        k = wants_write(argv[1], n);
        if (k < 0)
                buffer_printf(&problems, "%s: %s\n", argv[1], strerror(-k));
        complain(buffer_slice(&problems), argc == 4);
        buffer_done(&problems);
        return r < 0 || k < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
