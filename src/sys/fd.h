/* SPDX-License-Identifier: MIT */
#pragma once

/* File descriptors: closing them exactly once, reading and writing them whole. */

#include <stddef.h>
#include <sys/types.h>

#include "basic/buffer.h"
#include "basic/check.h"

/* Closes fd if it is one; always returns -1. errno is kept. */
int fd_close(int fd);

static inline _unused_ void fd_close_p(int *fd) {
        *fd = fd_close(*fd);
}
#define _cleanup_fd_ _cleanup_(fd_close_p)

/* For main(), first of all: a program that is started with standard input, output or error closed
 * would give their numbers to the files that it opens, and print into them. They are opened so that
 * reading and writing fail as before. */
void fd_keep_standard(void);

/* Writes all of it, going on after short writes and EINTR. */
int fd_write_all(int fd, const void *data, size_t len) _must_check_;

/* The name of a file, of this path, survives a power cut as well as what was synced of it. */
int fd_sync_folder(const char *path) _must_check_;

/* The whole file into out (emptied first); -EFBIG beyond max bytes. */
int fd_read_file(const char *path, size_t max, Buffer *out) _must_check_;
