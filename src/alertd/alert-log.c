/* SPDX-License-Identifier: MIT */

/*
 * The alerts log, see the header. Written at a known offset, so that a line that did not fit can be
 * cut off again; a half line that a crash left behind gets its line end when the file is opened.
 */

#include "alertd/alert-log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fd.h"

struct AlertLog {
        char *path;
        int fd;
        off_t end;
        dev_t device;
        ino_t inode;
};

static int make_parent(const char *path) {
        _cleanup_free_ char *folder = strdup(path);
        char *slash;

        if (!folder)
                return -ENOMEM;
        slash = strrchr(folder, '/');
        if (!slash || slash == folder)
                return -ENOENT;
        *slash = '\0';
        return mkdir(folder, 0750) < 0 ? -errno : 0;
}

static int open_file(const char *path) {
        int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
        int fd = open(path, flags, 0640);

        if (fd < 0 && errno == ENOENT && make_parent(path) >= 0)
                fd = open(path, flags, 0640);
        return fd < 0 ? -errno : fd;
}

static int end_half_line(int fd, off_t *end) {
        char last;

        if (*end == 0)
                return 0;
        if (pread(fd, &last, 1, *end - 1) != 1)
                return -EIO;
        if (last == '\n')
                return 0;
        *end += 1;
        return fd_write_all(fd, "\n", 1);
}

int alert_log_reopen(AlertLog *log) {
        _cleanup_fd_ int fd = open_file(log->path);
        struct stat st;
        int r;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -ENOTSUP;
        r = end_half_line(fd, &st.st_size);
        if (r >= 0)
                r = fd_sync_folder(log->path);
        if (r < 0)
                return r;
        (void)fd_close(log->fd);
        log->fd = TAKE_FD(fd);
        log->end = st.st_size;
        log->device = st.st_dev;
        log->inode = st.st_ino;
        return 0;
}

int alert_log_open(const char *path, AlertLog **ret) {
        _cleanup_(alert_log_free_p) AlertLog *log = calloc(1, sizeof *log);
        int r;

        if (!log)
                return -ENOMEM;
        log->fd = -1;
        log->path = strdup(path);
        if (!log->path)
                return -ENOMEM;
        r = alert_log_reopen(log);
        if (r >= 0)
                *ret = TAKE_PTR(log);
        return r;
}

AlertLog *alert_log_free(AlertLog *log) {
        if (log) {
                (void)fd_close(log->fd);
                free(log->path);
        }
        free(log);
        return NULL;
}

int alert_log_follow(AlertLog *log) {
        struct stat st, own;

        if (stat(log->path, &st) < 0 || st.st_dev != log->device || st.st_ino != log->inode)
                return alert_log_reopen(log);
        if (fstat(log->fd, &own) < 0)
                return -errno;
        log->end = own.st_size; /* somebody may have emptied it (copytruncate) */
        return 0;
}

off_t alert_log_end(const AlertLog *log) {
        return log->end;
}

int alert_log_append(AlertLog *log, Slice line) {
        int r = fd_write_all(log->fd, line.data, line.len);

        if (r < 0)
                alert_log_cut(log, log->end);
        else
                log->end += (off_t)line.len;
        return r;
}

void alert_log_cut(AlertLog *log, off_t end) {
        if (ftruncate(log->fd, end) == 0)
                log->end = end;
}

int alert_log_sync(AlertLog *log) {
        return fdatasync(log->fd) < 0 ? -errno : 0;
}
