/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The system calls on which a spool's promise rests, in one table, so that tests can make the n-th
 * of them fail. Real by default; nothing but a test changes it, and only while no other thread of
 * this folder runs. private to clicks/.
 */

#include <sys/types.h>

typedef struct ClicksIo {
        int (*open)(int directory_fd, const char *name, int flags, mode_t mode);
        ssize_t (*pread)(int fd, void *data, size_t len, off_t offset);
        ssize_t (*pwrite)(int fd, const void *data, size_t len, off_t offset);
        int (*sync_data)(int fd);                   /* fdatasync() */
        int (*sync)(int fd);                        /* fsync(): directories, fresh files */
        int (*allocate)(int fd, off_t at, off_t n); /* posix_fallocate(): returns the errno */
        int (*rename)(int directory_fd, const char *from, const char *to);
} ClicksIo;

extern ClicksIo clicks_io;
