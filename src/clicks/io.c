/* SPDX-License-Identifier: MIT */
/* The real system calls behind clicks/io.h. */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "clicks/io.h"

static int real_open(int directory_fd, const char *name, int flags, mode_t mode) {
        return openat(directory_fd, name, flags, mode);
}

static int real_rename(int directory_fd, const char *from, const char *to) {
        return renameat(directory_fd, from, directory_fd, to);
}

ClicksIo clicks_io = {
                .open = real_open,
                .pread = pread,
                .pwrite = pwrite,
                .sync_data = fdatasync,
                .sync = fsync,
                .allocate = posix_fallocate,
                .rename = real_rename,
};
