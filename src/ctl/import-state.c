/* SPDX-License-Identifier: MIT */

/*
 * The state's file: two slots of 512 bytes, which no disk tears. A slot is the record, the number
 * of its writing and a CRC of both; the newest whole slot counts. The bytes are this machine's:
 * nobody resumes an import elsewhere.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/import-state.h"
#include "sys/fd.h"

#define SLOT_SIZE 512
#define MAGIC     0x32706d6974726873ULL /* "shrtimp2" */

typedef struct Slot {
        uint64_t magic;
        uint64_t number; /* of the writing, from 1 */
        ImportState state;
        uint32_t crc; /* of all before it */
} Slot;

typedef union SlotBytes {
        Slot slot;
        char bytes[SLOT_SIZE];
} SlotBytes;

_Static_assert(sizeof(Slot) <= SLOT_SIZE, "a slot must hold the state");

struct ImportFile {
        char *path;
        int fd;
        uint64_t number; /* of the last writing */
};

static uint32_t slot_crc(const Slot *slot) {
        return hash_crc32c(0, slot, offsetof(Slot, crc));
}

/* 1: *ret_state is the newest whole slot's; 0: the file is empty. */
static int read_slots(ImportFile *file, ImportState *ret_state) {
        bool found = false;
        struct stat st;

        if (fstat(file->fd, &st) < 0)
                return -errno;
        if (st.st_size == 0)
                return 0;
        for (int i = 0; i < 2; i++) {
                SlotBytes slot = {};

                if (pread(file->fd, &slot, sizeof(slot), i * SLOT_SIZE) != sizeof(slot) ||
                    slot.slot.magic != MAGIC || slot.slot.crc != slot_crc(&slot.slot) ||
                    slot.slot.number <= file->number)
                        continue;
                found = true;
                file->number = slot.slot.number;
                *ret_state = slot.slot.state;
        }
        return found ? 1 : -EBADMSG;
}

int import_file_open(const char *path, bool resume, ImportFile **ret, ImportState *ret_state) {
        _cleanup_(import_file_close_p) ImportFile *file = calloc(1, sizeof(*file));
        ImportState state = {};
        int r;

        if (!file)
                return -ENOMEM;
        file->fd = open(path, O_RDWR | O_CLOEXEC | (resume ? 0 : O_CREAT), 0600);
        if (file->fd < 0)
                return -errno;
        if (flock(file->fd, LOCK_EX | LOCK_NB) < 0)
                return -errno;
        file->path = strdup(path);
        if (!file->path)
                return -ENOMEM;
        r = read_slots(file, &state);
        if (r < 0)
                return r;
        if (r == 1 && !resume)
                return -EEXIST;
        if (r == 0 && resume)
                return -ENOENT;
        if (r == 0) {
                int synced = fd_sync_folder(path);

                if (synced == -EIO) /* others: it cannot be read, or not be synced */
                        return synced;
        }
        *ret_state = state;
        *ret = TAKE_PTR(file);
        return r;
}

ImportFile *import_file_close(ImportFile *file) {
        if (file) {
                if (file->fd >= 0)
                        (void)close(file->fd);
                free(file->path);
                free(file);
        }
        return NULL;
}

int import_file_write(ImportFile *file, const ImportState *state, bool sync) {
        SlotBytes slot = {.slot = {.magic = MAGIC, .number = file->number + 1}};
        ssize_t n;

        /* Copied whole, padding included, which the CRC covers too. */
        memcpy(&slot.slot.state, state, sizeof(*state));
        slot.slot.crc = slot_crc(&slot.slot);
        n = pwrite(file->fd, &slot, sizeof(slot), (off_t)(slot.slot.number % 2) * SLOT_SIZE);
        if (n != (ssize_t)sizeof(slot))
                return n < 0 ? -errno : -ENOSPC;
        file->number++;
        return sync && fdatasync(file->fd) < 0 ? -errno : 0;
}

int import_file_remove(ImportFile *file) {
        return unlink(file->path) < 0 ? -errno : 0;
}
