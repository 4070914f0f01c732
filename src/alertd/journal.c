/* SPDX-License-Identifier: MIT */

/*
 * The journal, see the header.
 *
 * A segment is called by the number of its first alert, in 16 hex digits. Record: header, the
 * lengths of the texts (u32 each), the texts; the CRC covers all behind itself.
 */

#include "alertd/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "alertd/journal-file.h"
#include "basic/hash.h"
#include "sys/fd.h"

#define SEGMENT_SIZE (4u * 1024 * 1024) /* bytes from which on a new one is begun */

struct Journal {
        int folder_fd;
        int lock_fd;
        int fd;             /* of the last segment */
        uint64_t size;      /* its bytes */
        uint64_t *segments; /* first alert of each, ascending */
        size_t n_segments;
        uint64_t next_seq, next_number;
};

AlertBatch *alert_batch_free(AlertBatch *batch) {
        if (batch) {
                free(batch->texts);
                free(batch->bytes);
        }
        free(batch);
        return NULL;
}

int alert_batch_slice(AlertBatch *batch, const uint32_t *lengths) {
        const char *p = batch->bytes;

        batch->texts = calloc(MAX(batch->n_alerts, 1u), sizeof *batch->texts);
        if (!batch->texts)
                return -ENOMEM;
        for (uint32_t i = 0; i < batch->n_alerts; i++) {
                batch->texts[i] = slice_make(p, lengths[i]);
                p += lengths[i];
        }
        CHECK(p == batch->bytes + batch->size || (!p && batch->size == 0));
        return 0;
}

int journal_folder(const Journal *journal) {
        return journal->folder_fd;
}

/* ---- segments ---- */

static int add_segment(Journal *journal, uint64_t first) {
        uint64_t *grown = reallocarray(journal->segments, journal->n_segments + 1, sizeof *grown);

        if (!grown)
                return -ENOMEM;
        journal->segments = grown;
        grown[journal->n_segments++] = first;
        return 0;
}

static int begin_segment(Journal *journal) {
        char name[JOURNAL_NAME_SIZE];
        _cleanup_fd_ int fd = -1;
        int r;

        journal_file_name(journal->next_seq, name);
        fd = openat(journal->folder_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || fsync(journal->folder_fd) < 0)
                return -errno;
        r = add_segment(journal, journal->next_seq);
        if (r < 0)
                return r;
        (void)fd_close(journal->fd);
        journal->fd = TAKE_FD(fd);
        journal->size = 0;
        return 0;
}

int journal_rotate(Journal *journal) {
        return journal->size < SEGMENT_SIZE ? 0 : begin_segment(journal);
}

void journal_trim(Journal *journal, uint64_t seq) {
        size_t n = 0;

        while (n + 1 < journal->n_segments && journal->segments[n + 1] <= seq + 1) {
                char name[JOURNAL_NAME_SIZE];

                journal_file_name(journal->segments[n], name);
                if (unlinkat(journal->folder_fd, name, 0) < 0 && errno != ENOENT)
                        break; /* tried again next time */
                n++;
        }
        journal->n_segments -= n;
        memmove(journal->segments, journal->segments + n,
                journal->n_segments * sizeof *journal->segments);
}

/* ---- opening ---- */

static int compare_u64(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

static int list_segments(Journal *journal) {
        int fd = openat(journal->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        uint64_t first;

        if (!dir) {
                r = -errno;
                (void)fd_close(fd);
                return r;
        }
        for (struct dirent *entry; r >= 0 && (entry = readdir(dir));)
                if (journal_file_first(entry->d_name, &first))
                        r = add_segment(journal, first);
        (void)closedir(dir);
        if (journal->n_segments > 0)
                qsort(journal->segments, journal->n_segments, sizeof *journal->segments,
                      compare_u64);
        return r;
}

/* The last segment stays open for more; what is unfinished at its end is cut off. */
static int load_segment(Journal *journal, size_t index, JournalFound *found) {
        bool last = index + 1 == journal->n_segments;
        char name[JOURNAL_NAME_SIZE];
        _cleanup_fd_ int fd = -1;
        uint64_t good, rest;
        int r;

        journal_file_name(journal->segments[index], name);
        fd = openat(journal->folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        if (journal->segments[index] > found->last_seq)
                found->last_seq = journal->segments[index] - 1;
        r = journal_file_load(fd, found, &journal->next_number, &good, &rest);
        if (r < 0)
                return r;
        if (!last) {
                found->damaged += rest;
                return 0;
        }
        found->torn += rest;
        if (rest > 0 && (ftruncate(fd, (off_t)good) < 0 || fdatasync(fd) < 0))
                return -errno;
        journal->fd = TAKE_FD(fd);
        journal->size = good;
        return 0;
}

static int lock_folder(Journal *journal, const char *folder) {
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return -errno;
        journal->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (journal->folder_fd < 0)
                return -errno;
        journal->lock_fd = openat(journal->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (journal->lock_fd < 0)
                return -errno;
        if (flock(journal->lock_fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
        return 0;
}

int journal_open(const char *folder, JournalFound *found, Journal **ret) {
        _cleanup_(journal_free_p) Journal *journal = calloc(1, sizeof *journal);
        int r;

        if (!journal)
                return -ENOMEM;
        journal->folder_fd = journal->lock_fd = journal->fd = -1;
        journal->next_number = 1;
        found->last_seq = found->damaged = found->torn = 0;
        r = lock_folder(journal, folder);
        if (r >= 0)
                r = list_segments(journal);
        for (size_t i = 0; r >= 0 && i < journal->n_segments; i++)
                r = load_segment(journal, i, found);
        journal->next_seq = found->last_seq + 1;
        if (r >= 0 && journal->fd < 0)
                r = begin_segment(journal);
        if (r >= 0)
                *ret = TAKE_PTR(journal);
        return r;
}

Journal *journal_free(Journal *journal) {
        if (journal) {
                (void)fd_close(journal->fd);
                (void)fd_close(journal->lock_fd);
                (void)fd_close(journal->folder_fd);
                free(journal->segments);
        }
        free(journal);
        return NULL;
}

/* ---- appending ---- */

JournalMark journal_mark(const Journal *journal) {
        return (JournalMark){journal->size, journal->next_seq, journal->next_number};
}

void journal_cut(Journal *journal, JournalMark mark) {
        /* What cannot be cut off is overwritten by the next record, or fails its CRC. */
        (void)!ftruncate(journal->fd, (off_t)mark.size);
        journal->size = mark.size;
        journal->next_seq = mark.next_seq;
        journal->next_number = mark.next_number;
}

static int write_at(int fd, uint64_t offset, Slice bytes) {
        while (bytes.len > 0) {
                ssize_t n = pwrite(fd, bytes.data, bytes.len, (off_t)offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                bytes = slice_from(bytes, (size_t)n);
                offset += (uint64_t)n;
        }
        return 0;
}

int journal_append(Journal *journal, AlertBatch *batch) {
        JournalMark mark = journal_mark(journal);
        Buffer record = BUFFER_EMPTY;
        int r;

        batch->number = journal->next_number;
        batch->first_seq = journal->next_seq;
        journal_file_record(batch, &record);
        r = record.failed ? -ENOMEM : write_at(journal->fd, journal->size, buffer_slice(&record));
        if (r < 0)
                journal_cut(journal, mark);
        else {
                journal->size += record.len;
                journal->next_number++;
                journal->next_seq += batch->n_alerts;
        }
        buffer_done(&record);
        return r;
}

int journal_sync(Journal *journal) {
        return fdatasync(journal->fd) < 0 ? -errno : 0;
}
