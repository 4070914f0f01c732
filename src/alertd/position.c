/* SPDX-License-Identifier: MIT */

#include "alertd/position.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/hash.h"
#include "sys/fd.h"

#define MAGIC     0x504c4153u /* "SALP" */
#define SLOT_STEP 4096        /* bytes: slots share no sector */

typedef struct Slot {
        uint32_t magic;
        uint32_t crc; /* of what follows */
        uint64_t generation, seq, n_forwarded, n_failed;
} Slot;

static uint32_t slot_crc(const Slot *slot) {
        return hash_crc32c(0, (const char *)slot + offsetof(Slot, generation),
                           sizeof *slot - offsetof(Slot, generation));
}

static bool read_slot(int fd, off_t offset, Slot *ret) {
        return pread(fd, ret, sizeof *ret, offset) == sizeof *ret && ret->magic == MAGIC &&
               ret->crc == slot_crc(ret);
}

static int write_slot(Position *position, uint64_t generation) {
        Slot slot = {
                        .magic = MAGIC,
                        .generation = generation,
                        .seq = position->seq,
                        .n_forwarded = position->n_forwarded,
                        .n_failed = position->n_failed,
        };
        ssize_t n;

        slot.crc = slot_crc(&slot);
        n = pwrite(position->fd, &slot, sizeof slot, (off_t)(generation % 2) * SLOT_STEP);
        if (n != sizeof slot)
                return n < 0 ? -errno : -EIO;
        position->generation = generation;
        return 0;
}

int position_store(Position *position) {
        return write_slot(position, position->generation + 1);
}

int position_sync(const Position *position) {
        return fdatasync(position->fd) < 0 ? -errno : 0;
}

/* Both slots are written, so that later ones replace bytes that the disk has. */
static int begin(Position *position, int folder) {
        int r = write_slot(position, 1);

        if (r >= 0)
                r = write_slot(position, 2);
        if (r >= 0)
                r = position_sync(position);
        return r >= 0 && fsync(folder) < 0 ? -errno : r;
}

int position_open(int folder, const char *name, uint64_t seq, Position *ret) {
        char file[128];
        _cleanup_fd_ int fd = -1;
        bool any = false;
        Slot slot;

        (void)snprintf(file, sizeof file, "%s.position", name);
        fd = openat(folder, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        *ret = (Position){.fd = fd, .seq = seq};
        for (off_t i = 0; i < 2; i++)
                if (read_slot(fd, i * SLOT_STEP, &slot) &&
                    (!any || slot.generation > ret->generation)) {
                        any = true;
                        *ret = (Position){fd, slot.generation, slot.seq, slot.n_forwarded,
                                          slot.n_failed};
                }
        if (!any) {
                int r = begin(ret, folder);

                if (r < 0)
                        return r;
        }
        (void)TAKE_FD(fd);
        return 0;
}

void position_close(Position *position) {
        position->fd = fd_close(position->fd);
}
