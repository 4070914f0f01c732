/* SPDX-License-Identifier: MIT */
/*
 * What a slot's process counts, the change's bracket, and who wakes and waits for whom.
 *
 * appended, shipped and shed of the page are this process' own counts plus a constant of the place,
 * raised, never added to: when the slot moves to a new page while other threads count, either they
 * see the new place or the mover sees their count.
 */

#include <errno.h>
#include <stdlib.h>

#include "basic/clock.h"
#include "host/internal.h"

static void raise_to(uint64_t *p, uint64_t value) {
        uint64_t old = __atomic_load_n(p, __ATOMIC_RELAXED);

        while (old < value)
                if (__atomic_compare_exchange_n(p, &old, value, true, __ATOMIC_SEQ_CST,
                                                __ATOMIC_RELAXED))
                        return;
}

void slot_publish(HostSlot *slot) {
        HostPlace *place = slot_place(slot);

        /* shipped first: it may not seem to be ahead of what was appended */
        raise_to(&place->slot->shed, place->shed_base + load_u64(&slot->shed));
        raise_to(&place->slot->appended, place->appended_base + load_u64(&slot->appended));
        raise_to(&place->slot->shipped, place->shipped_base + load_u64(&slot->shipped));
}

void slot_wake(PageSlot *s) {
        (void)__atomic_add_fetch(&s->wake, 1, __ATOMIC_SEQ_CST);
        if (load_u32(&s->sleeping) != 0)
                futex_wake_all(&s->wake);
}

static uint64_t pending_of(uint64_t appended, uint64_t shipped) {
        return appended > shipped ? appended - shipped : 0;
}

/* ---- counts ---- */

void host_slot_heartbeat(HostSlot *slot) {
        __atomic_store_n(&slot_place(slot)->slot->heartbeat_usec, clock_monotonic_usec(),
                         __ATOMIC_RELAXED);
}

void host_slot_appended(HostSlot *slot, uint64_t n) {
        uint64_t own = __atomic_add_fetch(&slot->appended, n, __ATOMIC_SEQ_CST);
        HostPlace *place = slot_place(slot);

        raise_to(&place->slot->appended, place->appended_base + own);
}

void host_slot_shipped(HostSlot *slot, uint64_t n) {
        uint64_t own = __atomic_add_fetch(&slot->shipped, n, __ATOMIC_SEQ_CST);
        HostPlace *place = slot_place(slot);

        raise_to(&place->slot->shipped, place->shipped_base + own);
}

void host_slot_shed(HostSlot *slot, uint64_t n) {
        uint64_t own = __atomic_add_fetch(&slot->shed, n, __ATOMIC_SEQ_CST);
        HostPlace *place = slot_place(slot);

        raise_to(&place->slot->shed, place->shed_base + own);
}

void host_slot_set_pending(HostSlot *slot, uint64_t n) {
        HostPlace *place;
        uint64_t appended, shipped;

        host_lock(&slot->page->lock);
        place = slot_place(slot);
        appended = load_u64(&place->slot->appended);
        shipped = load_u64(&place->slot->shipped);
        if (shipped + n >= appended)
                host_slot_appended(slot, shipped + n - appended);
        else
                host_slot_shipped(slot, appended - n - shipped);
        host_unlock(&slot->page->lock);
}

/* ---- a change's bracket ---- */

static void name_many(HostBracket *b, const Slice *codes, size_t n) {
        if (!b->many)
                b->many = calloc(HOST_COUNTERS / 64, sizeof(uint64_t));
        if (!b->many) {
                b->all = true;
                return;
        }
        b->n = PAGE_NAMES_MAX + 1;
        for (size_t i = 0; i < n; i++) {
                uint32_t counter = host_counter(codes[i]);

                b->many[counter / 64] |= UINT64_C(1) << (counter % 64);
        }
}

static void open_bracket(HostBracket *b, const Slice *codes, size_t n, bool made) {
        b->made = made && !b->open;
        if (b->open || !codes) {
                b->all = true;
        } else if (n > PAGE_NAMES_MAX) {
                name_many(b, codes, n);
        } else {
                for (size_t i = 0; i < n; i++)
                        b->counters[i] = (uint16_t)host_counter(codes[i]);
                b->n = (unsigned)n;
        }
        b->open = true;
}

static void write_names(PageNames *names, const HostBracket *b) {
        bool all = b->all || b->n > PAGE_NAMES_MAX;

        for (unsigned i = 0; !all && i < b->n; i++)
                names->counters[i] = b->counters[i];
        __atomic_store_n(&names->n, all ? PAGE_NAMES_ALL : b->n, __ATOMIC_SEQ_CST);
}

static void touch_many(HostMap *map, uint64_t *many, uint64_t step) {
        for (uint32_t i = 0; i < HOST_COUNTERS / 64; i++)
                while (many[i] != 0) {
                        page_touch(map, i * 64 + (uint32_t)__builtin_ctzll(many[i]), step);
                        many[i] &= many[i] - 1;
                }
}

static void touch_bracket(HostMap *map, HostBracket *b) {
        uint64_t step = b->made ? PAGE_MADE : PAGE_CHANGED;

        if (b->all)
                page_touch_all(map);
        else
                for (unsigned i = 0; b->n <= PAGE_NAMES_MAX && i < b->n; i++)
                        page_touch(map, b->counters[i], step);
        if (b->many)
                touch_many(map, b->many, step);
        b->open = b->all = false;
        b->n = 0;
}

static void committing(HostSlot *slot, unsigned writer, const Slice *codes, size_t n, bool made) {
        CHECK(writer < HOST_WRITERS);
        page_refresh(slot->page);
        host_lock(&slot->page->lock);
        open_bracket(&slot->brackets[writer], codes, n, made);
        write_names(&slot_place(slot)->slot->names[writer], &slot->brackets[writer]);
        host_unlock(&slot->page->lock);
}

void host_writer_committing(HostSlot *slot, unsigned writer, const Slice *codes, size_t n) {
        committing(slot, writer, codes, n, false);
}

void host_writer_making(HostSlot *slot, unsigned writer, const Slice *codes, size_t n) {
        committing(slot, writer, codes, n, true);
}

void host_writer_committed(HostSlot *slot, unsigned writer) {
        CHECK(writer < HOST_WRITERS);
        page_refresh(slot->page);
        host_lock(&slot->page->lock);
        touch_bracket(slot->page->map, &slot->brackets[writer]);
        for (HostPlace *place = slot_place(slot); place; place = place->older)
                __atomic_store_n(&place->slot->names[writer].n, 0, __ATOMIC_SEQ_CST);
        host_unlock(&slot->page->lock);
}

/* ---- SQLite's gate ---- */

void host_slot_watched(HostSlot *slot, uint64_t usec) {
        __atomic_store_n(&slot_place(slot)->slot->watched_usec, usec, __ATOMIC_SEQ_CST);
}

uint64_t host_slot_others_watched(const HostSlot *slot) {
        const HostPlace *place = slot_place(slot);
        const PageLayout *p = place->map->page;
        uint64_t latest = 0;

        for (unsigned i = 0; i < HOST_SLOTS; i++)
                if (i != place->index && slot_used(p, i))
                        latest = MAX(latest, load_u64(&p->slots[i].watched_usec));
        return latest;
}

void host_slot_waiting(HostSlot *slot, int delta) {
        host_lock(&slot->page->lock);
        (void)__atomic_add_fetch(&slot_place(slot)->slot->waiting, (uint32_t)delta,
                                 __ATOMIC_SEQ_CST);
        host_unlock(&slot->page->lock);
}

unsigned host_page_n_waiting(const HostPage *page) {
        const PageLayout *p = page_layout(page);
        uint64_t used = load_u64(&p->header.used);
        unsigned n = 0;

        for (; used != 0; used &= used - 1)
                n += load_u32(&p->slots[__builtin_ctzll(used)].waiting);
        return n;
}

/* ---- read after visit ---- */

void host_page_note_visits(HostPage *page, HostVisits *ret) {
        PageLayout *p = page_layout(page);
        HostVisits noted = {.page = p->header.id};
        uint64_t used = load_u64(&p->header.used);

        for (; used != 0; used &= used - 1) {
                unsigned i = (unsigned)__builtin_ctzll(used);

                noted.appended[i] = load_u64(&p->slots[i].appended);
                if (pending_of(noted.appended[i], load_u64(&p->slots[i].shipped)) != 0)
                        slot_wake(&p->slots[i]);
        }
        *ret = noted;
}

uint64_t host_page_visits_pending(const HostPage *page, const HostVisits *noted) {
        const PageLayout *p = page_layout(page);
        bool same = noted->page == p->header.id;
        uint64_t n = 0;

        /* The numbers of another page mean nothing here; all that is pending includes the noted. */
        for (unsigned i = 0; i < HOST_SLOTS; i++)
                n += pending_of(same ? noted->appended[i] : load_u64(&p->slots[i].appended),
                                load_u64(&p->slots[i].shipped));
        return n;
}

/* ---- the shipper's sleep ---- */

void host_slot_wait(HostSlot *slot, uint64_t usec) {
        HostPlace *place = slot_place(slot);
        PageSlot *s = place->slot;

        if (slot->slept_in == place) {
                __atomic_store_n(&s->sleeping, 1, __ATOMIC_SEQ_CST);
                if (load_u32(&s->wake) == slot->slept_word)
                        futex_sleep(&s->wake, slot->slept_word, usec);
                __atomic_store_n(&s->sleeping, 0, __ATOMIC_SEQ_CST);
        }
        slot->slept_in = place;
        slot->slept_word = load_u32(&s->wake);
}

void host_slot_wake(HostSlot *slot) {
        slot_wake(slot_place(slot)->slot);
}
