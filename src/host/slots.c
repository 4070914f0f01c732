/* SPDX-License-Identifier: MIT */
/*
 * Slots: who has one, what becomes of a dead process' one.
 *
 * The lock byte of a slot is held as long as its process lives. Claiming, taking over and freeing
 * happen under the page's table lock, so a slot whose lock byte is free cannot be anything but a
 * dead process' (or nobody's) while that is held. A sweep only tries the table lock, and only when
 * it saw something to do: a process that is stopped in the middle of one holds up claims, never
 * neighbours. Touching comes before clearing, so that a sweep that dies is repeated by the next.
 *
 * A slot is freed when its process is dead and all that it appended is shipped: by the release, by
 * a sweep, or by a claim that looks for room.
 */

#include <errno.h>
#include <stdlib.h>

#include "basic/clock.h"
#include "host/internal.h"

/* ---- the identity: words, so that it can be read while it is written ---- */

static void store_text(uint64_t *words, size_t n_words, const char *text) {
        size_t len = strlen(text);

        for (size_t i = 0; i < n_words; i++) {
                uint64_t word = 0;

                if (i * 8 < len)
                        memcpy(&word, text + i * 8, MIN((size_t)8, len - i * 8));
                __atomic_store_n(&words[i], word, __ATOMIC_RELEASE);
        }
}

static void load_text(const uint64_t *words, size_t n_words, char *ret) {
        for (size_t i = 0; i < n_words; i++) {
                uint64_t word = __atomic_load_n(&words[i], __ATOMIC_ACQUIRE);

                memcpy(ret + i * 8, &word, 8);
        }
        ret[n_words * 8 - 1] = '\0';
}

static bool has_name(const PageSlot *s, const char *name) {
        char there[HOST_NAME_SIZE];

        load_text(s->name, PAGE_NAME_WORDS, there);
        return strcmp(there, name) == 0;
}

/* Under the table lock. The claim is odd meanwhile: who reads the same even claim before and after
 * the words has read one identity. */
static void set_identity(PageSlot *s, const char *name, const char *directory) {
        uint64_t claim = load_u64(&s->claim) | 1;

        __atomic_store_n(&s->claim, claim, __ATOMIC_SEQ_CST);
        store_text(s->name, PAGE_NAME_WORDS, name);
        store_text(s->directory, PAGE_DIR_WORDS, directory);
        __atomic_store_n(&s->claim, claim + 1, __ATOMIC_SEQ_CST);
}

static void set_used(PageLayout *p, unsigned index, bool used) {
        uint64_t bit = UINT64_C(1) << index;

        if (used)
                (void)__atomic_or_fetch(&p->header.used, bit, __ATOMIC_SEQ_CST);
        else
                (void)__atomic_and_fetch(&p->header.used, ~bit, __ATOMIC_SEQ_CST);
}

/* ---- dead processes ---- */

static bool is_own(const HostPage *page, const HostMap *map, unsigned index) {
        for (const HostSlot *slot = page->slots; slot; slot = slot->next)
                for (const HostPlace *place = slot_place(slot); place; place = place->older)
                        if (place->map == map && place->index == index)
                                return true;
        return false;
}

static bool is_alive(const HostPage *page, const HostMap *map, unsigned index) {
        return is_own(page, map, index) || host_map_locked(map, slot_lock_offset(index));
}

static bool is_drained(const PageSlot *s) {
        return load_u64(&s->shipped) >= load_u64(&s->appended);
}

static bool left_something(const PageSlot *s) {
        for (unsigned i = 0; i < HOST_WRITERS; i++)
                if (load_u32(&s->names[i].n) != 0)
                        return true;
        return load_u32(&s->waiting) != 0 || load_u32(&s->sleeping) != 0 || is_drained(s) ||
               load_u64(&s->claim) & 1;
}

/* Under the table lock, the slot's process being dead. */
static void take_over(const HostPage *page, PageSlot *s) {
        for (unsigned i = 0; i < HOST_WRITERS; i++) {
                PageNames *names = &s->names[i];
                uint32_t n = load_u32(&names->n);

                if (n > PAGE_NAMES_MAX)
                        page_touch_all(page->map);
                for (uint32_t j = 0; n <= PAGE_NAMES_MAX && j < n; j++)
                        page_touch(page->map, names->counters[j], PAGE_CHANGED);
                __atomic_store_n(&names->n, 0, __ATOMIC_SEQ_CST);
        }
        __atomic_store_n(&s->waiting, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&s->watched_usec, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&s->sleeping, 0, __ATOMIC_SEQ_CST);
}

/* Both numbers meet at the higher one: what was counted as shipped but not as appended (a process
 * that died in between) must not hide the next owner's visits. */
static void level(PageSlot *s) {
        uint64_t appended = load_u64(&s->appended), shipped = load_u64(&s->shipped);

        __atomic_store_n(&s->appended, MAX(appended, shipped), __ATOMIC_SEQ_CST);
        __atomic_store_n(&s->shipped, MAX(appended, shipped), __ATOMIC_SEQ_CST);
}

/* Under the table lock, the slot being nobody's. */
static void free_slot(HostMap *map, unsigned index) {
        PageSlot *s = &map->page->slots[index];

        level(s);
        set_used(map->page, index, false);
        set_identity(s, "", "");
}

static void bury(const HostPage *page, HostMap *map, unsigned index) {
        PageSlot *s = &map->page->slots[index];
        bool torn = load_u64(&s->claim) &
                    1; /* died while it wrote its name: it had begun nothing */

        take_over(page, s);
        if (is_drained(s) || torn)
                free_slot(map, index);
}

/* Under the table lock. */
static void bury_all(const HostPage *page, HostMap *map) {
        for (unsigned i = 0; i < HOST_SLOTS; i++)
                if (slot_used(map->page, i) && !is_alive(page, map, i))
                        bury(page, map, i);
}

static bool any_to_bury(const HostPage *page, const HostMap *map) {
        for (unsigned i = 0; i < HOST_SLOTS; i++)
                if (slot_used(map->page, i) && left_something(&map->page->slots[i]) &&
                    !is_alive(page, map, i))
                        return true;
        return false;
}

/* Older pages too: who died before it came to the new one has named its counters there. */
void host_page_sweep(HostPage *page) {
        host_lock(&page->lock);
        for (HostMap *map = page->map; map; map = map->older) {
                if (!any_to_bury(page, map) || host_map_try_lock(map, TABLE_LOCK_OFFSET) < 0)
                        continue;
                bury_all(page, map);
                host_map_unlock(map, TABLE_LOCK_OFFSET);
        }
        host_unlock(&page->lock);
}

/* ---- claiming ---- */

/* Takes the slot's lock, if nobody of any process has it. */
static int lock_slot(const HostPage *page, const HostMap *map, unsigned index) {
        if (is_own(page, map, index))
                return -EAGAIN;
        return host_map_try_lock(map, slot_lock_offset(index));
}

/* A dead process' slot of this name. -ENOENT: there is none. */
static int lock_namesake(const HostPage *page, const HostMap *map, const HostSlot *slot,
                         unsigned *ret) {
        for (unsigned i = 0; i < HOST_SLOTS; i++) {
                int r;

                if (!slot_used(map->page, i) || !has_name(&map->page->slots[i], slot->name))
                        continue;
                r = lock_slot(page, map, i);
                if (r < 0)
                        return r == -EAGAIN ? -EADDRINUSE : r;
                *ret = i;
                return 0;
        }
        return -ENOENT;
}

static int lock_free_slot(const HostPage *page, const HostMap *map, unsigned *ret) {
        for (unsigned i = 0; i < HOST_SLOTS; i++) {
                int r;

                if (slot_used(map->page, i))
                        continue;
                r = lock_slot(page, map, i);
                if (r == -EAGAIN)
                        continue;
                if (r < 0)
                        return r;
                *ret = i;
                return 0;
        }
        return -ENOSPC;
}

/* Under the table lock; ends with the slot's lock held. */
static int occupy(HostPage *page, HostMap *map, const HostSlot *slot, unsigned *ret) {
        PageSlot *s;
        unsigned index = 0;
        int r;

        r = lock_namesake(page, map, slot, &index);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0)
                take_over(page, &map->page->slots[index]);
        else {
                bury_all(page, map);
                r = lock_free_slot(page, map, &index);
                if (r < 0)
                        return r;
                s = &map->page->slots[index];
                take_over(page, s);
                level(s);
                __atomic_store_n(&s->base, load_u64(&s->appended), __ATOMIC_SEQ_CST);
                __atomic_store_n(&s->shed_base, load_u64(&s->shed), __ATOMIC_SEQ_CST);
        }
        s = &map->page->slots[index];
        __atomic_store_n(&s->heartbeat_usec, clock_monotonic_usec(), __ATOMIC_RELAXED);
        set_identity(s, slot->name, slot->directory);
        set_used(map->page, index, true);
        *ret = index;
        return 0;
}

static int claim_place(HostPage *page, HostMap *map, const HostSlot *slot, bool wait,
                       HostPlace **ret) {
        _cleanup_free_ HostPlace *place = NULL;
        int r;

        place = calloc(1, sizeof(*place));
        if (!place)
                return -ENOMEM;
        r = wait ? host_map_wait_lock(map, TABLE_LOCK_OFFSET)
                 : host_map_try_lock(map, TABLE_LOCK_OFFSET);
        if (r < 0)
                return r;
        r = occupy(page, map, slot, &place->index);
        host_map_unlock(map, TABLE_LOCK_OFFSET);
        if (r < 0)
                return r;
        place->map = map;
        place->slot = &map->page->slots[place->index];
        *ret = TAKE_PTR(place);
        return 0;
}

/* The numbers go on in the new page where they stand in the old one: as far apart. */
static void move_place(HostSlot *slot, HostPlace *place) {
        HostPlace *old = slot_place(slot);
        uint64_t level_at;

        level_at = MAX(load_u64(&place->slot->appended), load_u64(&place->slot->shipped));
        place->older = old;
        place->shipped_base = level_at;
        place->appended_base = level_at + old->appended_base - old->shipped_base;
        place->shed_base = load_u64(&place->slot->shed);
        for (unsigned i = 0; i < HOST_WRITERS; i++)
                place->slot->names[i] = old->slot->names[i];
        __atomic_store_n(&place->slot->waiting, load_u32(&old->slot->waiting), __ATOMIC_SEQ_CST);
        __atomic_store_n(&slot->place, place, __ATOMIC_SEQ_CST);
        slot_publish(slot);
        slot_wake(old->slot); /* nobody wakes its shipper there any more */
}

void slots_reclaim(HostPage *page) {
        for (HostSlot *slot = page->slots; slot; slot = slot->next) {
                HostPlace *place;

                if (slot_place(slot)->map != page->map &&
                    claim_place(page, page->map, slot, false, &place) == 0)
                        move_place(slot, place);
        }
}

int host_slot_claim(HostPage *page, const char *name, const char *directory, HostSlot **ret) {
        _cleanup_free_ HostSlot *slot = NULL;
        size_t name_len = strlen(name), directory_len = strlen(directory);
        HostPlace *place;
        int r;

        if (name_len == 0 || name_len >= HOST_NAME_SIZE || directory_len >= PAGE_DIRECTORY ||
            (directory_len > 0 && directory[0] != '/'))
                return -EINVAL;
        slot = aligned_alloc(alignof(HostSlot), sizeof(*slot));
        if (!slot)
                return -ENOMEM;
        memset(slot, 0, sizeof(*slot));
        slot->page = page;
        memcpy(slot->name, name, name_len);
        memcpy(slot->directory, directory, directory_len);
        host_lock(&page->lock);
        r = claim_place(page, page->map, slot, true, &place);
        if (r == 0) {
                place->appended_base = load_u64(&place->slot->appended);
                place->shipped_base = load_u64(&place->slot->shipped);
                place->shed_base = load_u64(&place->slot->shed);
                slot->place = slot->slept_in = place;
                slot->slept_word = load_u32(&place->slot->wake);
                slot->next = page->slots;
                page->slots = slot;
                *ret = TAKE_PTR(slot);
        }
        host_unlock(&page->lock);
        return r;
}

/* Gives up what this process has in the slot. Without the table lock (a stopped process has it) a
 * sweep does the rest. */
static void leave_place(const HostPage *page, const HostPlace *place) {
        bool table = host_map_try_lock(place->map, TABLE_LOCK_OFFSET) == 0;

        take_over(page, place->slot);
        if (table && is_drained(place->slot))
                free_slot(place->map, place->index);
        host_map_unlock(place->map, slot_lock_offset(place->index));
        if (table)
                host_map_unlock(place->map, TABLE_LOCK_OFFSET);
}

HostSlot *host_slot_release(HostSlot *slot) {
        HostPlace *older;

        if (!slot)
                return NULL;
        host_lock(&slot->page->lock);
        for (HostSlot **p = &slot->page->slots; *p; p = &(*p)->next)
                if (*p == slot) {
                        *p = slot->next;
                        break;
                }
        for (HostPlace *place = slot->place; place; place = older) {
                older = place->older;
                leave_place(slot->page, place);
                free(place);
        }
        host_unlock(&slot->page->lock);
        for (unsigned i = 0; i < HOST_WRITERS; i++)
                free(slot->brackets[i].many);
        free(slot);
        return NULL;
}

/* ---- looking at them ---- */

/* false: it changes hands just now. */
static bool read_slot(const PageSlot *s, HostSlotInfo *ret) {
        HostSlotInfo info = {.claim = load_u64(&s->claim)};
        uint64_t base = load_u64(&s->base);

        load_text(s->name, PAGE_NAME_WORDS, info.name);
        load_text(s->directory, PAGE_DIR_WORDS, info.directory);
        info.shipped = load_u64(&s->shipped) - base;
        info.appended = load_u64(&s->appended) - base;
        info.shed = load_u64(&s->shed) - load_u64(&s->shed_base);
        info.heartbeat_usec = load_u64(&s->heartbeat_usec);
        if (info.claim & 1 || info.claim != load_u64(&s->claim))
                return false;
        *ret = info;
        return true;
}

void host_page_slots(HostPage *page, HostSlotInfo *ret) {
        const HostMap *map;

        host_lock(&page->lock);
        map = page->map;
        for (unsigned i = 0; i < HOST_SLOTS; i++) {
                ret[i] = (HostSlotInfo){0};
                if (!slot_used(map->page, i) || !read_slot(&map->page->slots[i], &ret[i]))
                        continue;
                ret[i].used = true;
                ret[i].alive = is_alive(page, map, i);
        }
        host_unlock(&page->lock);
}

/* Adds n to the shipped visits of a slot that has the same owner still. The loop wants the page's
 * lock too, so nothing is waited for under it. */
static bool ship_for(HostPage *page, unsigned index, uint64_t claim, uint64_t n, bool all) {
        HostMap *map;
        PageSlot *s;
        bool locked;

        CHECK(index < HOST_SLOTS);
        host_lock(&page->lock);
        map = page->map;
        s = &map->page->slots[index];
        locked = host_map_try_lock(map, TABLE_LOCK_OFFSET) == 0;
        if (locked) {
                if (load_u64(&s->claim) == claim && !is_alive(page, map, index)) {
                        (void)__atomic_add_fetch(&s->shipped, n, __ATOMIC_SEQ_CST);
                        if (all)
                                level(s);
                }
                host_map_unlock(map, TABLE_LOCK_OFFSET);
        }
        host_unlock(&page->lock);
        return locked;
}

bool host_neighbour_shipped(HostPage *page, unsigned index, uint64_t claim, uint64_t n) {
        return ship_for(page, index, claim, n, false);
}

bool host_neighbour_drained(HostPage *page, unsigned index, uint64_t claim) {
        return ship_for(page, index, claim, 0, true);
}
