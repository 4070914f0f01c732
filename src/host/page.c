/* SPDX-License-Identifier: MIT */
/*
 * The counters and the epoch, and following the page when somebody replaced its file.
 *
 * Order of memory. A fill loads its mark and reads the store after it; a writer adds one after its
 * COMMIT. So an entry whose mark is still current was read after every COMMIT that this process has
 * been told of. moved_usec is stored before value is moved: who sees the new value sees the new
 * time.
 *
 * When the file was replaced (which the design forbids, but an administrator can do), processes
 * meet in the new page within their next check. Until then a change is added to every page that
 * this process has mapped, and a writer looks at the path before and after its COMMIT: an entry
 * that another process read from the store before that COMMIT has its mark from a page that this
 * process touches afterwards. Pages begin with random epochs, so marks do not survive the move.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "basic/clock.h"
#include "basic/hash.h"
#include "host/internal.h"

/* A time that lies further ahead than threads can differ is wrong and is not kept. */
#define MOVED_AHEAD_USEC (60 * USEC_PER_SEC)

/* Not backwards: a thread that was held up between reading the clock and storing it. */
static void move_time(uint64_t *usec, uint64_t now) {
        uint64_t old = __atomic_load_n(usec, __ATOMIC_RELAXED);

        while (old < now || old > now + MOVED_AHEAD_USEC)
                if (__atomic_compare_exchange_n(usec, &old, now, true, __ATOMIC_RELEASE,
                                                __ATOMIC_RELAXED))
                        return;
}

void page_touch(HostMap *map, uint32_t counter, uint64_t step) {
        uint64_t now = host_boottime_usec();

        for (; map; map = map->older) {
                PageCounter *c = &map->page->counters[counter % HOST_COUNTERS];

                move_time(&c->moved_usec, now);
                (void)__atomic_add_fetch(&c->value, step, __ATOMIC_SEQ_CST);
        }
}

void page_touch_all(HostMap *map) {
        uint64_t now = host_boottime_usec();

        for (; map; map = map->older) {
                move_time(&map->page->header.epoch_moved_usec, now);
                (void)__atomic_add_fetch(&map->page->header.epoch, 1, __ATOMIC_SEQ_CST);
        }
}

static void note_ahead(PageLayout *page, int64_t ahead) {
        int64_t *place = &page->header.ahead_usec, old = __atomic_load_n(place, __ATOMIC_SEQ_CST);

        while (old < ahead && !__atomic_compare_exchange_n(place, &old, ahead, true,
                                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                ;
}

static bool is_at_path(const HostMap *map, const struct stat *st) {
        return map->device == st->st_dev && map->inode == st->st_ino;
}

/* Under the lock. 0: the newest map is what is at the path. */
static int follow(HostPage *page) {
        HostMap *current = page->map, *fresh = NULL;
        struct stat st;
        int r;

        if (stat(page->path, &st) == 0 && is_at_path(current, &st))
                return 0; /* another thread was here first */
        r = host_map_open(page->path, false, &fresh);
        if (r < 0)
                return r;
        if (fresh->device == current->device && fresh->inode == current->inode) {
                (void)host_map_free(fresh);
                return 0;
        }
        fresh->older = current;
        __atomic_store_n(&page->map, fresh, __ATOMIC_RELEASE);
        __atomic_store_n(&page->page, fresh->page, __ATOMIC_SEQ_CST);
        note_ahead(fresh->page,
                   __atomic_load_n(&current->page->header.ahead_usec, __ATOMIC_SEQ_CST));
        (void)__atomic_add_fetch(&page->n_remaps, 1, __ATOMIC_RELAXED);
        return 0;
}

static bool any_slot_behind(const HostPage *page) {
        for (const HostSlot *slot = page->slots; slot; slot = slot->next)
                if (slot_place(slot)->map != page->map)
                        return true;
        return false;
}

/*
 * A page that is there and cannot be mapped may be in use by others, whose changes do not reach
 * this process: then nothing noted before now counts as fresh, and the caches live from one check
 * to the next. With no file at the path, and none to be made, all stay together in the old page.
 */
void page_refresh(HostPage *page) {
        struct stat st;
        bool there;
        int r = 0;

        there = stat(page->path, &st) == 0;
        if (there && is_at_path(page_map(page), &st) &&
            __atomic_load_n(&page->state, __ATOMIC_RELAXED) == 0)
                return;
        host_lock(&page->lock);
        r = follow(page);
        if (r < 0 && there)
                page_touch_all(page->map);
        if (r == 0 && any_slot_behind(page)) {
                slots_reclaim(page);
                r = any_slot_behind(page) ? -EAGAIN : 0;
        }
        __atomic_store_n(&page->state, r, __ATOMIC_RELAXED);
        host_unlock(&page->lock);
}

/* ---- public ---- */

int host_page_open(const char *directory, HostPage **ret) {
        _cleanup_(host_page_free_p) HostPage *page = NULL;
        int r;

        page = calloc(1, sizeof(*page));
        if (!page)
                return -ENOMEM;
        if (asprintf(&page->path, "%s/page", directory) < 0) {
                page->path = NULL; /* asprintf() leaves it undefined */
                return -ENOMEM;
        }
        r = host_map_open(page->path, true, &page->map);
        if (r < 0)
                return r;
        page->page = page->map->page;
        *ret = TAKE_PTR(page);
        return 0;
}

HostPage *host_page_free(HostPage *page) {
        if (!page)
                return NULL;
        CHECK(!page->slots);
        while (page->map) {
                HostMap *older = page->map->older;

                (void)host_map_free(page->map);
                page->map = older;
        }
        free(page->path);
        free(page);
        return NULL;
}

const char *host_page_path(const HostPage *page) {
        return page->path;
}

uint32_t host_counter(Slice code) {
        return (uint32_t)(hash_plain(code) & (HOST_COUNTERS - 1));
}

HostMark host_page_mark(const HostPage *page, uint32_t counter) {
        const PageLayout *p = page_layout(page);

        return (HostMark){
                        .generation = __atomic_load_n(&p->counters[counter % HOST_COUNTERS].value,
                                                      __ATOMIC_ACQUIRE),
                        .epoch = __atomic_load_n(&p->header.epoch, __ATOMIC_ACQUIRE),
        };
}

uint64_t host_page_copy_marks(const HostPage *page, uint64_t *ret_generations) {
        const PageLayout *p = page_layout(page);
        uint64_t epoch = __atomic_load_n(&p->header.epoch, __ATOMIC_ACQUIRE);

        for (size_t i = 0; i < HOST_COUNTERS; i++)
                ret_generations[i] = __atomic_load_n(&p->counters[i].value, __ATOMIC_ACQUIRE);
        /* They stay in the file, and those that are used come back: a megabyte less in a process
         * that nobody asks for anything. */
        (void)madvise(page_layout(page)->counters, sizeof(p->counters), MADV_DONTNEED);
        return epoch;
}

void host_page_prefetch(const HostPage *page, uint32_t counter) {
        __builtin_prefetch(&page_layout(page)->counters[counter % HOST_COUNTERS]);
}

bool host_page_fresh(const HostPage *page, uint32_t counter, HostMark mark) {
        HostMark now = host_page_mark(page, counter);

        return now.generation == mark.generation && now.epoch == mark.epoch;
}

bool host_page_unedited(const HostPage *page, uint32_t counter, HostMark mark) {
        HostMark now = host_page_mark(page, counter);

        return (now.generation ^ mark.generation) % PAGE_MADE == 0 && now.epoch == mark.epoch;
}

void host_page_touch(HostPage *page, uint32_t counter) {
        page_touch(page_map(page), counter, PAGE_CHANGED);
}

void host_page_touch_made(HostPage *page, uint32_t counter) {
        page_touch(page_map(page), counter, PAGE_MADE);
}

uint64_t host_page_touched_usec(const HostPage *page, uint32_t counter) {
        const PageLayout *p = page_layout(page);
        uint64_t moved, epoch_moved;

        moved = __atomic_load_n(&p->counters[counter % HOST_COUNTERS].moved_usec, __ATOMIC_ACQUIRE);
        epoch_moved = __atomic_load_n(&p->header.epoch_moved_usec, __ATOMIC_ACQUIRE);
        return MAX(moved, epoch_moved);
}

uint64_t host_page_quiet_usec(const HostPage *page, uint32_t counter) {
        uint64_t touched = host_page_touched_usec(page, counter), now = host_boottime_usec();

        return now > touched ? now - touched : 0;
}

uint64_t host_page_realtime_usec(HostPage *page) {
        uint64_t boottime_usec = host_boottime_usec(), realtime_usec = clock_realtime_usec();
        PageLayout *noted_in;

        do { /* in the page that others came to meanwhile, too */
                noted_in = page_layout(page);
                note_ahead(noted_in, (int64_t)(realtime_usec - boottime_usec));
        } while (noted_in != __atomic_load_n(&page->page, __ATOMIC_SEQ_CST));
        return realtime_usec;
}

uint64_t host_page_set_back_usec(HostPage *page) {
        uint64_t realtime_usec = host_page_realtime_usec(page); /* first: rather too much */
        int64_t now = (int64_t)(realtime_usec - host_boottime_usec()),
                most = __atomic_load_n(&page_layout(page)->header.ahead_usec, __ATOMIC_SEQ_CST);

        return most > now ? (uint64_t)(most - now) : 0;
}

void host_page_touch_all(HostPage *page) {
        page_touch_all(page_map(page));
}

bool host_page_check(HostPage *page) {
        uint32_t n;

        page_refresh(page);
        n = __atomic_load_n(&page->n_remaps, __ATOMIC_RELAXED);
        return __atomic_exchange_n(&page->n_reported, n, __ATOMIC_RELAXED) != n;
}

int host_page_state(const HostPage *page) {
        return __atomic_load_n(&page->state, __ATOMIC_RELAXED);
}
