/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The file behind a host page: made, repaired and mapped here; and its byte-range locks.
 * One HostMap is one open file description: locks that conflict belong to different HostMaps.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "host/layout.h"

typedef struct HostMap HostMap;
struct HostMap {
        HostMap *older;   /* mapped before it by the same HostPage; kept until that is freed */
        PageLayout *page; /* the mapping */
        int fd;           /* holds the shared lock and the byte-range locks */
        dev_t device;
        ino_t inode;
};

/* gate.c: a new one, open; -errno: this system has no such mutex, and *ret says so. */
int host_gate_make(PageGate *ret);

/* CLOCK_BOOTTIME: the clock of the page's times; nobody can set it. */
uint64_t host_boottime_usec(void);

/* Maps the page at path; makes it, or makes it anew if it is half made, too short or of another
 * boot. wait: for another process that is just making it; otherwise -EAGAIN.
 * -EBADMSG: not a host page, or a layout that is not known here. -EBUSY: broken and in use. */
int host_map_open(const char *path, bool wait, HostMap **ret) _must_check_;
/* Frees this one, not the older ones. */
HostMap *host_map_free(HostMap *map);
DEFINE_CLEANUP(HostMap, host_map_free)

/* Byte-range locks at an offset of the file. 0; -EAGAIN: somebody else holds it. */
int host_map_try_lock(const HostMap *map, size_t offset) _must_check_;
int host_map_wait_lock(const HostMap *map, size_t offset) _must_check_;
void host_map_unlock(const HostMap *map, size_t offset);
/* Does another open file description hold it? An error counts as yes: the careful answer. */
bool host_map_locked(const HostMap *map, size_t offset);
