/* SPDX-License-Identifier: MIT */

/*
 * The effective user and group. The real user stays root, so that the way back is open. State is
 * the process' own, therefore static. One thread.
 */

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/owner.h"

#define GROUPS_MAX 64 /* supplementary groups of root that are remembered */

static struct {
        bool active; /* owner_become() changed something */
        uid_t uid;
        gid_t gid;
        gid_t groups[GROUPS_MAX]; /* of who called */
        int n_groups;
} owner;

static int enter(void) {
        if (setgroups(1, &owner.gid) < 0 || setegid(owner.gid) < 0 || seteuid(owner.uid) < 0)
                return -errno;
        return 0;
}

static int leave(void) {
        if (seteuid(0) < 0 || setegid(getgid()) < 0 ||
            setgroups((size_t)owner.n_groups, owner.groups) < 0)
                return -errno;
        return 0;
}

int owner_become(const char *path) {
        char folder[PATH_MAX];
        struct stat st;
        const char *slash = strrchr(path, '/');
        size_t len = slash ? (size_t)(slash - path) : 0;

        if (geteuid() != 0 || owner.active)
                return 0;
        if (len >= sizeof(folder))
                return -ENAMETOOLONG;
        memcpy(folder, path, len);
        folder[len] = '\0';
        if (stat(len > 0 ? folder : slash ? "/" : ".", &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (st.st_uid == 0)
                return 0;

        owner.n_groups = getgroups(GROUPS_MAX, owner.groups);
        if (owner.n_groups < 0)
                return -errno;
        owner.uid = st.st_uid;
        owner.gid = st.st_gid;
        owner.active = true;
        return enter();
}

void owner_suspend(void) {
        if (owner.active)
                CHECK(leave() == 0);
}

void owner_resume(void) {
        if (owner.active)
                CHECK(enter() == 0);
}
