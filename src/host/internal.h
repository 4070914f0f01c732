/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What page.c and slots.c share. Readers on the loop's path follow one pointer and take no lock.
 * Everything that changes lists, maps and places holds HostPage.lock (threads) and, where slots
 * change hands, the page's table lock (processes), in this order.
 */

#include "host/futex.h"
#include "host/map.h"

struct HostPage {
        PageLayout *page; /* atomic: the newest map's; what readers follow */
        HostMap *map;     /* atomic: the newest; older ones behind it */
        char *path;
        HostLock lock;
        HostSlot *slots;     /* claimed through this object */
        uint32_t n_remaps;   /* atomic */
        uint32_t n_reported; /* of these, told by host_page_check() */
        int state;           /* atomic: see host_page_state() */
};

/* A slot's place in one page. Its numbers there are this process' own plus a constant, so that
 * moving to another page needs no pause of those who count. */
typedef struct HostPlace HostPlace;
struct HostPlace {
        HostPlace *older; /* in the page before; kept until the slot is released */
        HostMap *map;
        PageSlot *slot;
        unsigned index;
        uint64_t appended_base, shipped_base, shed_base;
};

/* What a writer has named, as this process knows it. */
typedef struct HostBracket {
        bool open;
        bool all;
        bool made;  /* they are only made */
        unsigned n; /* counters[], or PAGE_NAMES_MAX + 1: the bits of many */
        uint16_t counters[PAGE_NAMES_MAX];
        uint64_t *many; /* a bit per counter, made when first needed, or NULL */
} HostBracket;

struct HostSlot {
        HostPage *page;
        HostSlot *next;
        HostPlace *place; /* atomic: the newest */
        char name[HOST_NAME_SIZE];
        char directory[PAGE_DIRECTORY];
        HostPlace *slept_in; /* where and what the shipper saw last; its thread's own */
        uint32_t slept_word;
        HostBracket brackets[HOST_WRITERS]; /* under the page's lock */
        /* This process' own numbers, atomic. */
        alignas(128) uint64_t appended;
        uint64_t shed;
        alignas(128) uint64_t shipped;
};

static inline uint64_t load_u64(const uint64_t *p) {
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static inline uint32_t load_u32(const uint32_t *p) {
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static inline HostPlace *slot_place(const HostSlot *slot) {
        return __atomic_load_n(&slot->place, __ATOMIC_SEQ_CST);
}

static inline PageLayout *page_layout(const HostPage *page) {
        return __atomic_load_n(&page->page, __ATOMIC_ACQUIRE);
}

static inline HostMap *page_map(const HostPage *page) {
        return __atomic_load_n(&page->map, __ATOMIC_ACQUIRE);
}

static inline bool slot_used(const PageLayout *page, unsigned index) {
        return load_u64(&page->header.used) >> index & 1;
}

static inline size_t slot_lock_offset(unsigned index) {
        return offsetof(PageLayout, slots) + index * sizeof(PageSlot);
}

#define TABLE_LOCK_OFFSET offsetof(PageHeader, table_lock)

/* page.c: maps the page that is at the path now, if it is another one, and claims the slots again
 * there. Takes HostPage.lock. */
void page_refresh(HostPage *page);
/* Adds PAGE_CHANGED or PAGE_MADE in this page and in the older ones. */
void page_touch(HostMap *map, uint32_t counter, uint64_t step);
void page_touch_all(HostMap *map);

/* slots.c, under HostPage.lock: claims the slots that have no place in the newest page. */
void slots_reclaim(HostPage *page);

/* progress.c. */
void slot_publish(HostSlot *slot); /* writes all three numbers to the slot's place */
void slot_wake(PageSlot *s);
