/* SPDX-License-Identifier: MIT */

/*
 * The system and its highest timeline seen. A server gets a new timeline when it is promoted, or
 * restored to a point in time; an old primary that comes back has a lower one and must not be
 * believed: its data ends where the other's history began. Timelines of different systems (each
 * initdb makes one) say nothing about each other, so of several hosts only those of the system that
 * was seen first are taken. What was seen survives a restart in files that the options name, one
 * for the host and one for each instance; who means another system removes them.
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

/* The system that is known here; 0: none. The host's file says more than the instance's. */
static uint64_t system_of(const Store *store) {
        const PgStore *pg = store->data;
        uint64_t system = atomic_load(&pg->system), timeline;

        for (size_t i = 0; i < ELEMENTSOF(store->options.timeline_folders) && system == 0; i++)
                if (store->options.timeline_folders[i] &&
                    read_file(store->options.timeline_folders[i], &system, &timeline) < 0)
                        system = 0;
        return system;
}

int pg_timeline_check(PgSession *s) {
        uint64_t highest = highest_of(s->session.store, s->system);

        if (s->timeline >= highest)
                return 0;
        store_session_set_error(&s->session,
                                "the server is on timeline %llu, but %llu was seen: an old "
                                "primary that came back? If it is meant, remove the files "
                                "named timeline",
                                (unsigned long long)s->timeline, (unsigned long long)highest);
        return -EHOSTDOWN;
}

uint64_t pg_system_wanted(const PgSession *s) {
        return pg_store(s)->n_hosts > 1 ? system_of(s->session.store) : 0;
}

int pg_timeline_note(PgSession *s, uint64_t system, uint64_t timeline) {
        const Store *store = s->session.store;
        PgStore *pg = store->data;
        uint64_t known = 0, seen;

        /* Another session may have been first, with another one. */
        if (!atomic_compare_exchange_strong(&pg->system, &known, system) && known != system) {
                if (pg->n_hosts > 1)
                        return -EHOSTDOWN;
                atomic_store(&pg->system, system);
                atomic_store(&pg->timeline, timeline);
        }
        seen = atomic_load(&pg->timeline);
        while (seen < timeline && !atomic_compare_exchange_weak(&pg->timeline, &seen, timeline))
                ;
        for (size_t i = 0; i < ELEMENTSOF(store->options.timeline_folders); i++) {
                const char *folder = store->options.timeline_folders[i];
                uint64_t its_system = 0, its_timeline = 0;

                if (folder && !store->options.timeline_read_only &&
                    (read_file(folder, &its_system, &its_timeline) < 0 || its_system != system ||
                     its_timeline < timeline))
                        write_file(folder, system, timeline);
        }
        return 0;
}
