/* SPDX-License-Identifier: MIT */

/* The links of a generator. Only their names count; they point where the units are. */

#include "generator/wants.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fd.h"

#define FOLDER "shortener.target.wants"

static int add_want(int folder, unsigned instance, const char *type) {
        char name[64], target[sizeof SHORTENER_UNIT_DIRECTORY + 64];

        (void)snprintf(name, sizeof name, "shortener@%u.%s", instance, type);
        (void)snprintf(target, sizeof target, SHORTENER_UNIT_DIRECTORY "/shortener@.%s", type);
        return symlinkat(target, folder, name) < 0 && errno != EEXIST ? -errno : 0;
}

int wants_write(const char *directory, unsigned n_instances) {
        _cleanup_fd_ int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), folder = -1;
        int r = 0;

        if (parent < 0 || (mkdirat(parent, FOLDER, 0755) < 0 && errno != EEXIST))
                return -errno;
        folder = openat(parent, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return -errno;
        for (unsigned i = 1; r == 0 && i <= n_instances; i++) {
                r = add_want(folder, i, "socket");
                if (r == 0)
                        r = add_want(folder, i, "service");
        }
        return r;
}
