/* SPDX-License-Identifier: MIT */
/*
 * Making and mapping the page's file. flock(2) on the file itself orders it: whoever uses a page
 * holds the lock shared as long as it is mapped, whoever makes or repairs one holds it exclusively
 * and so knows that nobody uses it. The magic is written last: a page whose maker died is
 * recognised and made anew by the next one. The file's blocks are allocated when it is made, so
 * that no store into the mapping meets a full disk (SIGBUS).
 *
 * The file is made with mode 0660, less the umask: all processes that share a page run as one user,
 * or with one group and a umask of 007. Who may write the file may do anything to the page.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/hash.h"
#include "host/map.h"

#define OPEN_TRIES    64 /* rounds against others that make, replace or give up the file */
#define OPEN_PATIENT  4  /* rounds without a pause */
#define OPEN_PAUSE_MS 5

static void close_p(int *fd) {
        if (*fd >= 0)
                (void)close(*fd);
}
#define _cleanup_close_ _cleanup_(close_p)

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

/* All zero where /proc does not show it. */
static void read_boot_id(uint8_t ret[16]) {
        _cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        uint8_t id[16] = {0};
        unsigned n_digits = 0;
        char text[64];
        ssize_t n;

        memset(ret, 0, 16);
        if (fd < 0)
                return;
        n = read(fd, text, sizeof(text));
        for (ssize_t i = 0; i < n && n_digits < 32; i++) {
                int digit = hex_digit(text[i]);

                if (digit < 0)
                        continue;
                id[n_digits / 2] = (uint8_t)(id[n_digits / 2] << 4 | digit);
                n_digits++;
        }
        if (n_digits == 32)
                memcpy(ret, id, 16);
}

static bool same_boot(const uint8_t a[16], const uint8_t b[16]) {
        static const uint8_t unknown[16];

        return memcmp(a, unknown, 16) == 0 || memcmp(b, unknown, 16) == 0 || memcmp(a, b, 16) == 0;
}

/* What is no page of ours hardly has a page's size. */
static bool has_size_of_page(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
               (uint64_t)st.st_size == sizeof(PageLayout);
}

/* 1: good; 0: half made, too short or of another boot; -EBADMSG: something else's file. */
static int inspect(int fd) {
        PageHeader header;
        uint8_t boot_id[16];
        struct stat st;
        ssize_t n;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADMSG;
        n = pread(fd, &header, sizeof(header), 0);
        if (n < 0)
                return -errno;
        if ((size_t)n >= sizeof(header.magic) && header.magic != 0 && header.magic != PAGE_MAGIC)
                return -EBADMSG;
        if ((size_t)n < sizeof(header) || header.magic != PAGE_MAGIC)
                return 0;
        if (header.layout != PAGE_LAYOUT || header.size < sizeof(PageLayout))
                return -EBADMSG;
        if ((uint64_t)st.st_size < header.size)
                return 0;
        read_boot_id(boot_id);
        return same_boot(header.boot_id, boot_id);
}

static int write_at(int fd, const void *data, size_t len, size_t offset) {
        ssize_t n = pwrite(fd, data, len, (off_t)offset);

        if (n < 0)
                return -errno;
        return (size_t)n == len ? 0 : -EIO;
}

/* Under the exclusive lock. */
static int make(int fd) {
        const uint64_t magic = PAGE_MAGIC;
        HashKey random = hash_key_random();
        PageHeader header = {
                        .layout = PAGE_LAYOUT,
                        .size = sizeof(PageLayout),
                        .id = random.k0,
                        .made_usec = clock_realtime_usec(),
                        .epoch = random.k1,
                        .epoch_moved_usec = host_boottime_usec(),
        };
        int r;

        read_boot_id(header.boot_id);
        (void)host_gate_make(&header.gate); /* without, writers try for the file's lock */
        if (ftruncate(fd, 0) < 0)
                return -errno;
        r = posix_fallocate(fd, 0, sizeof(PageLayout));
        if (r > 0)
                return -r;
        r = write_at(fd, &header, sizeof(header), 0);
        if (r < 0)
                return r;
        return write_at(fd, &magic, sizeof(magic), offsetof(PageHeader, magic));
}

static int lock_file(int fd, int operation) {
        while (flock(fd, operation) < 0)
                if (errno != EINTR)
                        return -errno; /* -EWOULDBLOCK is -EAGAIN */
        return 0;
}

/* Ends with the shared lock held on a page that is good (1), or with 0: try again. */
static int lock_and_inspect(int fd, bool wait) {
        int r;

        r = lock_file(fd, LOCK_EX | LOCK_NB);
        if (r < 0 && r != -EAGAIN)
                return r;
        if (r == 0) {
                r = inspect(fd);
                if (r == -EBADMSG && has_size_of_page(fd))
                        r = 0; /* damaged, and nobody uses it: nothing in it outlives its users */
                if (r == 0)
                        r = make(fd);
                if (r < 0)
                        return r;
        }
        r = lock_file(fd, wait ? LOCK_SH : LOCK_SH | LOCK_NB);
        if (r < 0)
                return r;
        return inspect(fd);
}

static int open_or_create(const char *path) {
        int fd;

        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT)
                fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
        return fd < 0 ? -errno : fd;
}

/* 1: *ret_fd is the locked, good page that is at path now; 0: try again. */
static int try_open(const char *path, bool wait, int *ret_fd, struct stat *ret_st) {
        _cleanup_close_ int fd = -1;
        struct stat now;
        int r;

        fd = open_or_create(path);
        if (fd == -EEXIST)
                return 0;
        if (fd < 0)
                return fd;
        r = lock_and_inspect(fd, wait);
        if (r <= 0)
                return r;
        if (fstat(fd, ret_st) < 0)
                return -errno;
        if (stat(path, &now) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (now.st_dev != ret_st->st_dev || now.st_ino != ret_st->st_ino)
                return 0;
        *ret_fd = TAKE_FD(fd);
        return 1;
}

uint64_t host_boottime_usec(void) {
        struct timespec t;

        CHECK(clock_gettime(CLOCK_BOOTTIME, &t) == 0);
        return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

int host_map_open(const char *path, bool wait, HostMap **ret) {
        _cleanup_(host_map_free_p) HostMap *map = NULL;
        struct stat st;
        void *address;
        int r = 0;

        map = calloc(1, sizeof(*map));
        if (!map)
                return -ENOMEM;
        map->fd = -1;
        for (int i = 0; i < OPEN_TRIES && r == 0; i++) {
                if (i >= OPEN_PATIENT && wait)
                        (void)poll(NULL, 0, OPEN_PAUSE_MS);
                r = try_open(path, wait, &map->fd, &st);
        }
        if (r <= 0)
                return r < 0 ? r : -EBUSY;
        address = mmap(NULL, sizeof(PageLayout), PROT_READ | PROT_WRITE, MAP_SHARED, map->fd, 0);
        if (address == MAP_FAILED)
                return -errno;
        map->page = address;
        map->device = st.st_dev;
        map->inode = st.st_ino;
        *ret = TAKE_PTR(map);
        return 0;
}

HostMap *host_map_free(HostMap *map) {
        if (!map)
                return NULL;
        if (map->page)
                (void)munmap(map->page, sizeof(PageLayout));
        close_p(&map->fd);
        free(map);
        return NULL;
}

static int byte_lock(const HostMap *map, int command, short type, size_t offset) {
        struct flock lock = {
                        .l_type = type,
                        .l_whence = SEEK_SET,
                        .l_start = (off_t)offset,
                        .l_len = 1,
        };

        while (fcntl(map->fd, command, &lock) < 0)
                if (errno != EINTR)
                        return errno == EACCES ? -EAGAIN : -errno;
        return lock.l_type;
}

int host_map_try_lock(const HostMap *map, size_t offset) {
        int r = byte_lock(map, F_OFD_SETLK, F_WRLCK, offset);

        return r < 0 ? r : 0;
}

int host_map_wait_lock(const HostMap *map, size_t offset) {
        int r = byte_lock(map, F_OFD_SETLKW, F_WRLCK, offset);

        return r < 0 ? r : 0;
}

void host_map_unlock(const HostMap *map, size_t offset) {
        (void)byte_lock(map, F_OFD_SETLK, F_UNLCK, offset);
}

bool host_map_locked(const HostMap *map, size_t offset) {
        return byte_lock(map, F_OFD_GETLK, F_WRLCK, offset) != F_UNLCK;
}
