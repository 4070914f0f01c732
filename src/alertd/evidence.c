/* SPDX-License-Identifier: MIT */

/*
 * Evidence, see the header.
 *
 * A few files are synced one by one; from the EVIDENCE_SINGLE_MAX-th on, between two
 * evidence_sync(), the file system is synced once instead, which is what a thousand alerts in one
 * POST need.
 */

#include "alertd/evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alertd/stamp.h"
#include "sys/fd.h"

#define EVIDENCE_SINGLE_MAX 8u
#define ATTEMPTS_MAX        1000u

struct Evidence {
        char *path;
        int fd; /* the folder */
        dev_t device;
        ino_t inode;       /* of fd: whether the path still leads there */
        size_t n_unsynced; /* files since the last sync */
        bool whole;        /* the file system is to be synced */
};

/* Makes the folder if only it is missing. What was open stays so upon a failure. */
static int open_folder(Evidence *evidence) {
        _cleanup_fd_ int fd = -1;
        struct stat st;

        if (mkdir(evidence->path, 0750) < 0 && errno != EEXIST)
                return -errno;
        fd = open(evidence->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0 || fstat(fd, &st) < 0)
                return -errno;
        (void)fd_close(evidence->fd);
        evidence->fd = TAKE_FD(fd);
        evidence->device = st.st_dev;
        evidence->inode = st.st_ino;
        return 0;
}

int evidence_open(const char *folder, Evidence **ret) {
        _cleanup_(evidence_free_p) Evidence *evidence = calloc(1, sizeof *evidence);
        int r;

        if (!evidence)
                return -ENOMEM;
        evidence->fd = -1;
        evidence->path = strdup(folder);
        if (!evidence->path)
                return -ENOMEM;
        r = open_folder(evidence);
        if (r >= 0)
                *ret = TAKE_PTR(evidence);
        return r;
}

Evidence *evidence_free(Evidence *evidence) {
        if (evidence) {
                (void)fd_close(evidence->fd);
                free(evidence->path);
        }
        free(evidence);
        return NULL;
}

int evidence_follow(Evidence *evidence) {
        struct stat st;

        if (stat(evidence->path, &st) == 0 && st.st_dev == evidence->device &&
            st.st_ino == evidence->inode)
                return 0;
        return open_folder(evidence);
}

/* Letters, digits, dot, minus and underscore stay; a run of anything else becomes one underscore.
 */
static size_t put_word(char *out, Slice word) {
        size_t n = 0;

        for (size_t i = 0; i < word.len && n < EVIDENCE_WORD_MAX; i++) {
                char c = word.data[i];
                bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '.' || c == '-';

                if (safe)
                        out[n++] = c;
                else if (n == 0 || out[n - 1] != '_')
                        out[n++] = '_';
        }
        return n;
}

void evidence_name(const BatchAlert *alert, uint64_t received_usec, size_t index, unsigned attempt,
                   char ret[EVIDENCE_NAME_MAX + 1]) {
        char name[EVIDENCE_WORD_MAX], status[EVIDENCE_WORD_MAX], stamp[STAMP_SIZE];
        int n_name = (int)put_word(name, alert->name), n_status;

        n_status = (int)MIN(put_word(status, alert->status), (size_t)32);
        stamp_compact(received_usec, stamp);
        if (attempt == 0)
                (void)snprintf(ret, EVIDENCE_NAME_MAX + 1, "alert_%.*s_%.*s_%s.json", n_name, name,
                               n_status, status, stamp);
        else
                (void)snprintf(ret, EVIDENCE_NAME_MAX + 1, "alert_%.*s_%.*s_%s-%zu.%u.json", n_name,
                               name, n_status, status, stamp, index, attempt);
}

/* An unused name, opened. */
static int create(Evidence *evidence, const BatchAlert *alert, uint64_t received_usec, size_t index,
                  char name[EVIDENCE_NAME_MAX + 1]) {
        for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
                int fd;

                evidence_name(alert, received_usec, index, attempt, name);
                fd = openat(evidence->fd, name,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
                if (fd >= 0)
                        return fd;
                if (errno != EEXIST)
                        return -errno;
        }
        return -EEXIST;
}

static int write_one(Evidence *evidence, const Batch *batch, size_t index, uint64_t received_usec,
                     Buffer *names) {
        char name[EVIDENCE_NAME_MAX + 1], received[STAMP_SIZE];
        _cleanup_fd_ int fd = -1;
        Buffer text = BUFFER_EMPTY;
        int r;

        stamp_iso(received_usec, received);
        fd = create(evidence, batch->alerts + index, received_usec, index, name);
        if (fd < 0)
                return fd;
        buffer_append(names, slice_make(name, strlen(name) + 1));
        if (names->failed) {
                (void)unlinkat(evidence->fd, name, 0);
                return -ENOMEM;
        }
        batch_append_evidence(batch->alerts + index, received, &text);
        r = text.failed ? -ENOMEM : fd_write_all(fd, text.data, text.len);
        buffer_done(&text);
        if (r >= 0 && ++evidence->n_unsynced > EVIDENCE_SINGLE_MAX)
                evidence->whole = true;
        else if (r >= 0 && fdatasync(fd) < 0)
                r = -errno;
        return r;
}

int evidence_write(Evidence *evidence, const Batch *batch, uint64_t received_usec, Buffer *names) {
        buffer_clear(names);
        for (size_t i = 0; i < batch->n_alerts; i++) {
                int r = write_one(evidence, batch, i, received_usec, names);

                if (r < 0) {
                        names->failed = false;
                        evidence_remove(evidence, names);
                        buffer_clear(names);
                        return r;
                }
        }
        return 0;
}

void evidence_remove(Evidence *evidence, const Buffer *names) {
        for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1)
                (void)unlinkat(evidence->fd, names->data + at, 0);
}

int evidence_sync(Evidence *evidence) {
        int r = 0;

        if (evidence->whole)
                r = syncfs(evidence->fd);
        else if (evidence->n_unsynced > 0)
                r = fsync(evidence->fd);
        evidence->n_unsynced = 0;
        evidence->whole = false;
        return r < 0 ? -errno : 0;
}
