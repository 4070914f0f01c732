/* SPDX-License-Identifier: MIT */

/*
 * The table's file. It is made whole under another name and moved to its own, so that nobody maps
 * half of one; its blocks are allocated, so that no store into the mapping meets a full disk. Of
 * two that make it at once the later one's stays, and the other counts alone until it starts again.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "limit/table.h"

#define TABLE_MAGIC 0x31746d694c74724fULL /* changes with the layout */

typedef struct TableHeader {
        uint64_t magic;
        uint64_t size;
        HashKey key;
        _Atomic uint64_t refused_until_usec;
        unsigned char padding[88]; /* entries begin with a cache line */
} TableHeader;

static void close_p(int *fd) {
        if (*fd >= 0)
                (void)close(*fd);
}
#define _cleanup_close_ _cleanup_(close_p)

/* Sets that fit into as many bytes. */
static size_t sets_in(size_t size) {
        return size < sizeof(TableHeader)
                               ? 0
                               : (size - sizeof(TableHeader)) / (LIMIT_WAYS * sizeof(LimitEntry));
}

/* 1: a table of this size; 0: something else, or nothing. */
static int open_old(const char *path, size_t size, int *ret_fd) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        TableHeader header;
        struct stat st;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size ||
            pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header ||
            header.magic != TABLE_MAGIC || header.size != size)
                return 0;
        *ret_fd = TAKE_FD(fd);
        return 1;
}

static int make_new(const char *path, size_t size, int *ret_fd) {
        TableHeader header = {.magic = TABLE_MAGIC, .size = size, .key = hash_key_random()};
        _cleanup_free_ char *name = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (asprintf(&name, "%s.XXXXXX", path) < 0)
                return -ENOMEM;
        fd = mkostemp(name, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = -posix_fallocate(fd, 0, (off_t)size);
        if (r == 0 && pwrite(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
                r = -EIO;
        if (r == 0 && rename(name, path) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlink(name);
                return r;
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int map_file(const char *path, size_t size, void **ret, int *ret_fd) {
        _cleanup_close_ int fd = -1;
        int r = open_old(path, size, &fd);

        if (r == 0)
                r = make_new(path, size, &fd);
        if (r < 0)
                return r;
        *ret = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (*ret == MAP_FAILED)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int map_memory(size_t size, void **ret) {
        TableHeader *header;

        *ret = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (*ret == MAP_FAILED)
                return -errno;
        header = *ret;
        header->key = hash_key_random();
        return 0;
}

int limit_table_open(LimitTable *table, size_t size, const char *path) {
        size_t n_sets = sets_in(size);
        TableHeader *header;
        void *memory;
        int fd = -1, r;

        if (n_sets == 0 || n_sets > UINT32_MAX)
                return -EINVAL;
        size = sizeof(TableHeader) + n_sets * LIMIT_WAYS * sizeof(LimitEntry);
        r = path ? map_file(path, size, &memory, &fd) : map_memory(size, &memory);
        if (r < 0)
                return r;
        header = memory;
        *table = (LimitTable){
                        .key = header->key,
                        .n_sets = n_sets,
                        .entries = (LimitEntry *)((char *)memory + sizeof(TableHeader)),
                        .memory = memory,
                        .refused_until_usec = &header->refused_until_usec,
                        .size = size,
                        .fd = fd,
        };
        return 0;
}

bool limit_table_lock(const LimitTable *table) {
        return table->fd < 0 || flock(table->fd, LOCK_EX | LOCK_NB) == 0;
}

void limit_table_close(LimitTable *table) {
        if (!table->memory)
                return;
        (void)munmap(table->memory, table->size);
        close_p(&table->fd);
        *table = (LimitTable){.fd = -1};
}
