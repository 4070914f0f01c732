/* SPDX-License-Identifier: MIT */

/*
 * The highest timeline seen. A server gets a new one when it is promoted, or restored to a point in
 * time; an old primary that comes back has a lower one and must not be believed: its data ends
 * where the other's history began. What was seen survives a restart in files that the options name,
 * one for the host and one for each instance.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/number.h"
#include "store/postgres/session.h"

#define FILE_NAME "timeline"
#define FILE_SIZE 64 /* bytes: two numbers and a line end */
#define FILE_MODE 0644

static int read_file(const char *folder, uint64_t *ret_system, uint64_t *ret_timeline) {
        char text[FILE_SIZE], path[PATH_MAX];
        Slice system, timeline;
        ssize_t n;
        int fd;

        if (snprintf(path, sizeof(path), "%s/" FILE_NAME, folder) >= (int)sizeof(path))
                return -ENAMETOOLONG;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, text, sizeof(text));
        (void)close(fd);
        if (n < 0)
                return -EIO;
        if (!slice_cut(slice_trim(slice_make(text, (size_t)n)), ' ', &system, &timeline) ||
            number_parse_u64(system, ret_system) < 0 ||
            number_parse_u64(timeline, ret_timeline) < 0)
                return -EINVAL;
        return 0;
}

/* What cannot be written is written the next time; the process itself remembers. */
static void write_file(const char *folder, uint64_t system, uint64_t timeline) {
        char text[FILE_SIZE], path[PATH_MAX], temporary[PATH_MAX];
        int fd, len;

        if (snprintf(path, sizeof(path), "%s/" FILE_NAME, folder) >= (int)sizeof(path) ||
            snprintf(temporary, sizeof(temporary), "%s/" FILE_NAME ".%d", folder, (int)gettid()) >=
                            (int)sizeof(temporary))
                return;
        len = snprintf(text, sizeof(text), "%llu %llu\n", (unsigned long long)system,
                       (unsigned long long)timeline);
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
        if (fd < 0)
                return;
        if (write(fd, text, (size_t)len) != len || fsync(fd) < 0 || rename(temporary, path) < 0)
                (void)unlink(temporary);
        (void)close(fd);
}

/* Another process of the host may have seen more meanwhile. */
static uint64_t highest_of(Store *store, uint64_t system) {
        PgStore *pg = store->data;
        uint64_t highest = atomic_load(&pg->system) == system ? atomic_load(&pg->timeline) : 0;

        for (size_t i = 0; i < ELEMENTSOF(store->options.timeline_folders); i++) {
                const char *folder = store->options.timeline_folders[i];
                uint64_t its_system = 0, its_timeline = 0;

                if (folder && read_file(folder, &its_system, &its_timeline) == 0 &&
                    its_system == system)
                        highest = MAX(highest, its_timeline);
        }
        return highest;
}

int pg_timeline_check(PgSession *s, uint64_t system, uint64_t timeline) {
        Store *store = s->session.store;
        PgStore *pg = store->data;
        uint64_t highest = highest_of(store, system);

        if (timeline < highest) {
                store_session_set_error(&s->session,
                                        "the server is on timeline %llu, but %llu was seen: an old "
                                        "primary that came back? If it is meant, remove the files "
                                        "named timeline",
                                        (unsigned long long)timeline, (unsigned long long)highest);
                return -EHOSTDOWN;
        }
        atomic_store(&pg->system, system);
        atomic_store(&pg->timeline, timeline);
        for (size_t i = 0; i < ELEMENTSOF(store->options.timeline_folders) && timeline > highest;
             i++)
                if (store->options.timeline_folders[i])
                        write_file(store->options.timeline_folders[i], system, timeline);
        return 0;
}
