/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/slice.h"
#include "sys/credential.h"

static int read_all(int fd, char *data, size_t size, size_t *ret_len) {
        size_t len = 0;

        for (;;) {
                ssize_t n = read(fd, data + len, size - len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                len += (size_t)n;
                if (len == size)
                        return -E2BIG;
        }
        *ret_len = len;
        return 0;
}

static int read_file(const char *path, char **ret) {
        char data[CREDENTIAL_MAX + 1];
        size_t len = 0;
        int fd, r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        r = read_all(fd, data, sizeof(data), &len);
        (void)close(fd);
        if (r < 0)
                return r;
        while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r'))
                len--;
        *ret = slice_to_string(slice_make(data, len));
        explicit_bzero(data, sizeof(data));
        return *ret ? 0 : -ENOMEM;
}

int credential_read(const char *id, const char *variable, char **ret) {
        const char *directory = getenv("CREDENTIALS_DIRECTORY"), *file = getenv(variable);
        _cleanup_free_ char *path = NULL;
        int r = -ENOENT;

        if (directory && *directory) {
                if (asprintf(&path, "%s/%s", directory, id) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = read_file(path, ret);
        }
        if (r == -ENOENT && file && *file)
                r = read_file(file, ret);
        return r;
}
