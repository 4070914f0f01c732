/* SPDX-License-Identifier: MIT */

/* File descriptors. Any thread; no state. */

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fd_close(int fd) {
        if (fd >= 0) {
                int saved = errno;

                (void)close(fd);
                errno = saved;
        }
        return -1;
}

void fd_keep_standard(void) {
        /* The lowest free number is taken, so each becomes the one that it is asked for. */
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0 &&
                    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
                        return; /* no /dev: nothing better can be had */
}

int fd_write_all(int fd, const void *data, size_t len) {
        const char *p = data;

        while (len > 0) {
                ssize_t n = write(fd, p, len);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                p += n;
                len -= (size_t)n;
        }
        return 0;
}

int fd_sync_folder(const char *path) {
        _cleanup_free_ char *folder = strdup(path);
        _cleanup_fd_ int fd = -1;
        char *slash;

        if (!folder)
                return -ENOMEM;
        slash = strrchr(folder, '/');
        if (slash)
                slash[slash == folder ? 1 : 0] = '\0';
        fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int fd_read_file(const char *path, size_t max, Buffer *out) {
        _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return -errno;
        buffer_clear(out);
        for (;;) {
                char *p = buffer_reserve(out, 4096);
                ssize_t n;

                if (!p)
                        return -ENOMEM;
                n = read(fd, p, 4096);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return 0;
                out->len += (size_t)n;
                if (out->len > max)
                        return -EFBIG;
        }
}
