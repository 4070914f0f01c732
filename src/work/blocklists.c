/* SPDX-License-Identifier: MIT */

/*
 * The thread looks at the files every few seconds, and at once when told of others. While one is
 * being written, or cannot be read, the old list stays in use. What a reader holds is a count in
 * the list itself; the mutex is held for as long as it takes to count, never while a file is read.
 */

#include "work/blocklists.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "work/inbox.h"
#include "work/thread.h"

#define LOOK_USEC    2000000u /* between two looks at the files */
#define SETTLE_LOOKS 30u      /* for which a file may go on to change before it is read */

/* What a file looked like when it was read. */
typedef struct FileMark {
        dev_t device;
        ino_t inode;
        off_t size;
        struct timespec changed;
} FileMark;

typedef struct Files {
        ListNode node; /* in the inbox */
        size_t n;
        char **names; /* NULL terminated */
        FileMark *marks;
} Files;

typedef struct Held {
        Blocklist *list;
        atomic_size_t n_users;
} Held;

struct Blocklists {
        pthread_mutex_t lock; /* of current and state */
        Held *current;
        BlocklistsState state;
        Inbox *inbox;
        Thread *thread;
        Files *files;         /* the thread's */
        unsigned n_unsettled; /* the thread's: looks at which a file had changed, in a row */
};

/* ---- the files ---- */

static Files *files_free(Files *files) {
        if (!files)
                return NULL;
        for (size_t i = 0; files->names && i < files->n; i++)
                free(files->names[i]);
        free(files->names);
        free(files->marks);
        free(files);
        return NULL;
}
DEFINE_CLEANUP(Files, files_free)

static int files_new(char *const *names, Files **ret) {
        _cleanup_(files_free_p) Files *files = calloc(1, sizeof *files);
        size_t n = 0;

        while (names[n])
                n++;
        if (!files)
                return -ENOMEM;
        files->names = calloc(n + 1, sizeof *files->names);
        files->marks = calloc(n + 1, sizeof *files->marks);
        if (!files->names || !files->marks)
                return -ENOMEM;
        for (; files->n < n; files->n++) {
                files->names[files->n] = strdup(names[files->n]);
                if (!files->names[files->n])
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(files);
        return 0;
}

static FileMark mark_of(const char *name) {
        FileMark mark;
        struct stat st;

        memset(&mark, 0, sizeof mark); /* compared as bytes */
        if (stat(name, &st) == 0) {
                mark.device = st.st_dev;
                mark.inode = st.st_ino;
                mark.size = st.st_size;
                mark.changed.tv_sec = st.st_mtim.tv_sec;
                mark.changed.tv_nsec = st.st_mtim.tv_nsec;
        }
        return mark;
}

/* Did any change since the last call? The marks are taken before the files are read, so that what
 * changes meanwhile is read again. */
static bool files_changed(Files *files) {
        bool changed = false;

        for (size_t i = 0; i < files->n; i++) {
                FileMark mark = mark_of(files->names[i]);

                changed = changed || memcmp(&mark, files->marks + i, sizeof mark) != 0;
                files->marks[i] = mark;
        }
        return changed;
}

/* The file could not be read, or (index n) memory was short; another time it may be, although
 * nothing about the file changes. */
static void files_forget(Files *files, size_t bad) {
        if (bad < files->n)
                memset(files->marks + bad, 0, sizeof files->marks[0]);
        else
                memset(files->marks, 0, files->n * sizeof files->marks[0]);
}

/* ---- the list in use ---- */

static void held_drop(Held *held) {
        if (!held || atomic_fetch_sub(&held->n_users, 1) > 1)
                return;
        (void)blocklist_free(held->list);
        free(held);
}

static Held *held_take(Blocklists *blocklists) {
        Held *held;

        (void)pthread_mutex_lock(&blocklists->lock);
        held = blocklists->current;
        if (held)
                atomic_fetch_add(&held->n_users, 1);
        (void)pthread_mutex_unlock(&blocklists->lock);
        return held;
}

static int publish(Blocklists *blocklists, Blocklist *list) {
        Held *held = calloc(1, sizeof *held), *old;

        if (!held) {
                (void)blocklist_free(list);
                return -ENOMEM;
        }
        held->list = list;
        atomic_init(&held->n_users, 1);
        (void)pthread_mutex_lock(&blocklists->lock);
        old = blocklists->current;
        blocklists->current = held;
        blocklist_stats(list, &blocklists->state.list);
        blocklists->state.generation++;
        (void)pthread_mutex_unlock(&blocklists->lock);
        held_drop(old);
        return 0;
}

static int load(Blocklists *blocklists, size_t *ret_bad) {
        Files *files = blocklists->files;
        Blocklist *list;
        int r = blocklist_load(files->names, &list, ret_bad);

        if (r == 0)
                r = publish(blocklists, list);
        (void)pthread_mutex_lock(&blocklists->lock);
        blocklists->state.error = r;
        blocklists->state.file[0] = '\0';
        if (r < 0 && *ret_bad < files->n)
                (void)snprintf(blocklists->state.file, sizeof blocklists->state.file, "%s",
                               files->names[*ret_bad]);
        (void)pthread_mutex_unlock(&blocklists->lock);
        return r;
}

/* Is there something to read? What is written in place is short at first: it is left alone until it
 * is the same as at the last look. told: of other files, which are read at once. */
static bool is_due(Blocklists *blocklists, bool told) {
        bool changed = files_changed(blocklists->files);

        if (!told && changed && ++blocklists->n_unsettled < SETTLE_LOOKS)
                return false;
        if (!told && blocklists->n_unsettled == 0)
                return false;
        blocklists->n_unsettled = 0;
        return true;
}

static void blocklists_run(void *userdata) {
        Blocklists *blocklists = userdata;
        size_t bad;

        while (!inbox_closed(blocklists->inbox)) {
                ListNode *node = inbox_take(blocklists->inbox, LOOK_USEC);

                if (node) {
                        files_free(blocklists->files);
                        blocklists->files = LIST_ENTRY(node, Files, node);
                }
                if (is_due(blocklists, node != NULL) && load(blocklists, &bad) < 0)
                        files_forget(blocklists->files, bad);
        }
}

/* ---- public ---- */

int blocklists_new(char *const *names, Blocklists **ret, size_t *ret_bad) {
        _cleanup_(blocklists_free_p) Blocklists *blocklists = calloc(1, sizeof *blocklists);
        int r;

        *ret_bad = 0;
        if (!blocklists)
                return -ENOMEM;
        (void)pthread_mutex_init(&blocklists->lock, NULL);
        r = files_new(names, &blocklists->files);
        if (r == 0) {
                (void)files_changed(blocklists->files);
                r = load(blocklists, ret_bad);
        }
        if (r == 0)
                r = inbox_new(SIZE_MAX, &blocklists->inbox);
        if (r == 0)
                r = thread_start("blocklists", blocklists_run, blocklists, &blocklists->thread);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(blocklists);
        return 0;
}

Blocklists *blocklists_free(Blocklists *blocklists) {
        ListNode *node;

        if (!blocklists)
                return NULL;
        if (blocklists->inbox)
                inbox_close(blocklists->inbox);
        (void)thread_join(blocklists->thread);
        while (blocklists->inbox && (node = inbox_take(blocklists->inbox, 0)))
                files_free(LIST_ENTRY(node, Files, node));
        (void)inbox_free(blocklists->inbox);
        held_drop(blocklists->current);
        files_free(blocklists->files);
        (void)pthread_mutex_destroy(&blocklists->lock);
        free(blocklists);
        return NULL;
}

int blocklists_set(Blocklists *blocklists, char *const *names) {
        Files *files;
        int r = files_new(names, &files);

        if (r == 0) {
                r = inbox_push(blocklists->inbox, &files->node);
                if (r < 0)
                        files_free(files);
        }
        return r;
}

bool blocklists_has(Blocklists *blocklists, Slice location) {
        Held *held;
        bool found;

        if (!blocklists)
                return false;
        held = held_take(blocklists);
        found = held && blocklist_has(held->list, location);
        held_drop(held);
        return found;
}

void blocklists_state(Blocklists *blocklists, BlocklistsState *ret) {
        (void)pthread_mutex_lock(&blocklists->lock);
        *ret = blocklists->state;
        (void)pthread_mutex_unlock(&blocklists->lock);
}
