/* SPDX-License-Identifier: MIT */

/*
 * The redirect cache, see the header. Memory: 1/8 of the size for slots, the rest for the log. An
 * entry costs 40 bytes of header, its code, 14 bytes around the location, rounding to 16, and its
 * slot. The log keeps GAP free bytes between head and tail, so that moving an entry that was hit
 * from the tail to the head needs no second buffer.
 */

#include "cache/redirect-cache.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "basic/hash.h"
#include "model/types.h"

#define UNIT        16u /* entries are aligned to this */
#define ENTRY_MAX   (64u + MODEL_CODE_MAX + MODEL_LOCATION_MAX + 16u)
#define GAP         (2 * ENTRY_MAX)
#define CHANCES_MAX 32u /* used entries that one insert may spare */
#define SLOTS_FIRST 4096u
#define HUGE_FROM   (64u * 1024) /* slots from which huge pages are worth their memory */
#define LOAD_NUM    3u           /* slots in use stay below 3/4 */
#define LOAD_DEN    4u

#define PREFIX SLICE("Location: ")
#define SUFFIX SLICE("\r\n\r\n")

typedef struct Entry {
        uint32_t size; /* bytes of the whole entry, a multiple of UNIT */
        uint32_t read_tick;
        int64_t link_id;
        uint64_t generation;
        uint64_t epoch;
        uint16_t counter;
        uint16_t location_len;
        uint8_t code_len;
        bool live; /* false: replaced, or the filler before the wrap */
        bool used; /* found since it was written */
        uint8_t reserved;
        char text[]; /* code, PREFIX, location, SUFFIX */
} Entry;

typedef struct Slot {
        uint32_t tag;   /* upper half of the keyed hash */
        uint32_t place; /* offset in the log / UNIT + 1; 0: free */
} Slot;

struct RedirectCache {
        Slot *slots;
        char *log;
        HashKey key;
        uint64_t n_slots; /* in use as a table; grows by doubling, so that few links touch few pages
                           */
        uint64_t n_slots_max; /* that there is room for */
        uint64_t log_size;    /* bytes, a multiple of UNIT */
        uint64_t head;        /* next byte to write */
        uint64_t tail;        /* oldest entry; == head only when empty */
        uint64_t n_entries;
        uint64_t n_evictions;
        uint64_t size; /* of the mapping */
};

int redirect_cache_new(uint64_t size, RedirectCache **ret) {
        RedirectCache *cache;

        CHECK(size >= REDIRECT_CACHE_SIZE_MIN);
        size &= ~(uint64_t)4095;
        cache = calloc(1, sizeof *cache);
        if (!cache)
                return -ENOMEM;
        cache->slots = mmap(NULL, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (cache->slots == MAP_FAILED) {
                free(cache);
                return -ENOMEM;
        }
        cache->size = size;
        cache->n_slots_max = MIN(size / 8 / sizeof(Slot), (uint64_t)UINT32_MAX);
        cache->n_slots = MIN(cache->n_slots_max, SLOTS_FIRST);
        cache->log = (char *)(cache->slots + cache->n_slots_max);
        cache->log_size = (size - cache->n_slots_max * sizeof(Slot)) & ~(uint64_t)(UNIT - 1);
        cache->key = hash_key_random();
        *ret = cache;
        return 0;
}

RedirectCache *redirect_cache_free(RedirectCache *cache) {
        if (!cache)
                return NULL;
        (void)munmap(cache->slots, cache->size);
        free(cache);
        return NULL;
}

static Entry *entry_at(const RedirectCache *cache, uint64_t offset) {
        return (Entry *)(void *)(cache->log + offset);
}

static Entry *slot_entry(const RedirectCache *cache, const Slot *slot) {
        return entry_at(cache, (uint64_t)(slot->place - 1) * UNIT);
}

static Slice entry_code(const Entry *entry) {
        return slice_make(entry->text, entry->code_len);
}

static uint32_t code_tag(const RedirectCache *cache, Slice code) {
        return (uint32_t)(hash_keyed(&cache->key, code) >> 32);
}

/* Multiplying spreads the tag over any number of slots without a division (Lemire 2016). */
static uint64_t tag_home(const RedirectCache *cache, uint32_t tag) {
        return ((uint64_t)tag * cache->n_slots) >> 32;
}

static uint64_t slot_next(const RedirectCache *cache, uint64_t i) {
        return i + 1 == cache->n_slots ? 0 : i + 1;
}

/* An entry of a usual length lies on three cache lines: all are asked for at once. */
static const Entry *entry_prefetched(const RedirectCache *cache, const Slot *slot) {
        const Entry *entry = slot_entry(cache, slot);

        __builtin_prefetch((const char *)entry + 64);
        __builtin_prefetch((const char *)entry + 128);
        return entry;
}

static Slot *slot_find(const RedirectCache *cache, uint32_t tag, Slice code) {
        for (uint64_t i = tag_home(cache, tag);; i = slot_next(cache, i)) {
                Slot *slot = cache->slots + i;

                if (slot->place == 0)
                        return NULL;
                if (slot->tag == tag &&
                    slice_equal(entry_code(entry_prefetched(cache, slot)), code))
                        return slot;
        }
}

/* The slot of an entry by its place; it must be in the table. */
static Slot *slot_of(const RedirectCache *cache, const Entry *entry) {
        uint32_t place = (uint32_t)((uint64_t)((const char *)entry - cache->log) / UNIT + 1);
        uint64_t i = tag_home(cache, code_tag(cache, entry_code(entry)));

        while (cache->slots[i].place != place)
                i = slot_next(cache, i);
        return cache->slots + i;
}

/* Backward shift: the run behind the hole closes up, so that no tombstones are needed. */
static void slot_delete(RedirectCache *cache, Slot *slot) {
        uint64_t hole = (uint64_t)(slot - cache->slots);

        for (uint64_t i = slot_next(cache, hole); cache->slots[i].place != 0;
             i = slot_next(cache, i)) {
                uint64_t home = tag_home(cache, cache->slots[i].tag);
                bool between = hole <= i ? home > hole && home <= i : home > hole || home <= i;

                if (between)
                        continue;
                cache->slots[hole] = cache->slots[i];
                hole = i;
        }
        cache->slots[hole] = (Slot){0, 0};
        cache->n_entries--;
}

/* Bytes that may be written at the head before it meets the tail or the end. */
static uint64_t room_at_head(const RedirectCache *cache) {
        if (cache->tail > cache->head)
                return cache->tail - cache->head;
        return cache->log_size - cache->head;
}

static uint64_t log_free(const RedirectCache *cache) {
        if (cache->tail > cache->head)
                return cache->tail - cache->head;
        return cache->log_size - cache->head + cache->tail;
}

/* The rest of the log behind the head becomes a filler, the head goes to the start. */
static void wrap_head(RedirectCache *cache) {
        uint64_t rest = cache->log_size - cache->head;

        if (rest >= sizeof(Entry)) {
                Entry *filler = entry_at(cache, cache->head);

                *filler = (Entry){.size = (uint32_t)rest};
        }
        cache->head = 0;
}

static void tail_forward(RedirectCache *cache, uint32_t size) {
        cache->tail += size;
        if (cache->tail == cache->head) {
                cache->head = cache->tail = 0;
                return;
        }
        if (cache->log_size - cache->tail < sizeof(Entry))
                cache->tail = 0;
}

/* Moves the oldest entry to the head, when there is room. */
static bool spare_tail(RedirectCache *cache, Entry *entry) {
        Slot *slot = slot_of(cache, entry);
        uint32_t size = entry->size;

        if (cache->tail <= cache->head && cache->log_size - cache->head < size &&
            cache->tail > size)
                wrap_head(cache);
        if (room_at_head(cache) < size)
                return false;
        entry->used = false;
        slot->place = (uint32_t)(cache->head / UNIT + 1);
        memmove(cache->log + cache->head, entry, size);
        cache->head += size;
        return true;
}

/* Frees the oldest entry; an entry that was used goes round once more, unless chances ran out. */
static void drop_tail(RedirectCache *cache, unsigned *chances) {
        Entry *entry = entry_at(cache, cache->tail);
        uint32_t size = entry->size;

        if (entry->live && entry->used && *chances > 0) {
                (*chances)--;
                if (spare_tail(cache, entry)) {
                        tail_forward(cache, size);
                        return;
                }
        }
        if (entry->live) {
                slot_delete(cache, slot_of(cache, entry));
                cache->n_evictions++;
        }
        tail_forward(cache, size);
}

static void slot_put(RedirectCache *cache, Slot slot) {
        uint64_t i = tag_home(cache, slot.tag);

        while (cache->slots[i].place != 0)
                i = slot_next(cache, i);
        cache->slots[i] = slot;
}

/* Twice the slots: a tag alone tells its new home, so that no entry is read. Takes milliseconds at
 * a million links, and happens some ten times in a process' life. Without memory for the copy it
 * stays as it is: make_room() then evicts. */
static void grow_slots(RedirectCache *cache) {
        uint64_t n = cache->n_slots, bytes = n * sizeof(Slot);
        Slot *old = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (old == MAP_FAILED)
                return;
        memcpy(old, cache->slots, bytes);
        memset(cache->slots, 0, bytes);
        cache->n_slots = MIN(2 * n, cache->n_slots_max);
        if (cache->n_slots > HUGE_FROM)
                (void)madvise(cache->slots, cache->size, MADV_HUGEPAGE);
        for (uint64_t i = 0; i < n; i++)
                if (old[i].place != 0)
                        slot_put(cache, old[i]);
        (void)munmap(old, bytes);
}

static bool slots_full(const RedirectCache *cache) {
        return cache->n_entries + 1 > cache->n_slots / LOAD_DEN * LOAD_NUM;
}

/* Makes size bytes free at the head, GAP behind them, and a free slot. */
static Entry *make_room(RedirectCache *cache, uint32_t size) {
        unsigned chances = CHANCES_MAX;

        if (slots_full(cache) && cache->n_slots < cache->n_slots_max)
                grow_slots(cache);
        while (slots_full(cache) || log_free(cache) < (uint64_t)size + GAP)
                drop_tail(cache, &chances);
        if (cache->tail <= cache->head && cache->log_size - cache->head < size) {
                while (cache->tail <= cache->head && cache->head != 0 &&
                       cache->tail < (uint64_t)size + GAP)
                        drop_tail(cache, &chances);
                if (cache->head != 0)
                        wrap_head(cache);
        }
        return entry_at(cache, cache->head);
}

bool redirect_cache_find(RedirectCache *cache, Slice code, CacheHit *ret) {
        Slot *slot = slot_find(cache, code_tag(cache, code), code);
        const char *tail;
        Entry *entry;

        if (!slot)
                return false;
        entry = slot_entry(cache, slot);
        if (!entry->used)
                entry->used = true;
        tail = entry->text + entry->code_len;
        *ret = (CacheHit){
                        .link_id = entry->link_id,
                        .mark = {entry->generation, entry->epoch},
                        .counter = entry->counter,
                        .read_tick = entry->read_tick,
                        .location = slice_make(tail + PREFIX.len, entry->location_len),
                        .tail = slice_make(tail, PREFIX.len + entry->location_len + SUFFIX.len),
        };
        return true;
}

static void entry_write(Entry *entry, const CacheFill *fill, uint32_t size) {
        Slice location = fill->link_id ? fill->location : SLICE("");
        char *p = entry->text;

        *entry = (Entry){
                        .size = size,
                        .read_tick = fill->read_tick,
                        .link_id = fill->link_id,
                        .generation = fill->mark.generation,
                        .epoch = fill->mark.epoch,
                        .counter = (uint16_t)fill->counter,
                        .location_len = (uint16_t)location.len,
                        .code_len = (uint8_t)fill->code.len,
                        .live = true,
        };
        memcpy(p, fill->code.data, fill->code.len);
        p += fill->code.len;
        memcpy(p, PREFIX.data, PREFIX.len);
        p += PREFIX.len;
        if (location.len > 0)
                memcpy(p, location.data, location.len);
        memcpy(p + location.len, SUFFIX.data, SUFFIX.len);
}

void redirect_cache_insert(RedirectCache *cache, const CacheFill *fill) {
        uint64_t size = sizeof(Entry) + fill->code.len + PREFIX.len + SUFFIX.len +
                        (fill->link_id ? fill->location.len : 0);
        uint32_t tag = code_tag(cache, fill->code);
        Slot *slot = slot_find(cache, tag, fill->code);
        Entry *entry;

        CHECK(fill->code.len <= MODEL_CODE_MAX && size <= ENTRY_MAX);
        size = (size + UNIT - 1) & ~(uint64_t)(UNIT - 1);
        if (slot) {
                slot_entry(cache, slot)->live = false;
                slot_delete(cache, slot);
        }
        entry = make_room(cache, (uint32_t)size);
        entry_write(entry, fill, (uint32_t)size);
        slot_put(cache, (Slot){tag, (uint32_t)(cache->head / UNIT + 1)});
        cache->n_entries++;
        cache->head += size;
}

bool redirect_cache_roomy(const RedirectCache *cache) {
        return log_free(cache) > cache->log_size / 8 + GAP &&
               cache->n_entries + 1 < cache->n_slots_max / LOAD_DEN * LOAD_NUM;
}

void redirect_cache_clear(RedirectCache *cache) {
        /* Fresh zero pages instead of a memset: the memory goes back to the kernel as well. */
        CHECK(madvise(cache->slots, cache->size, MADV_DONTNEED) == 0);
        cache->n_slots = MIN(cache->n_slots_max, SLOTS_FIRST);
        cache->head = cache->tail = 0;
        cache->n_entries = 0;
}

void redirect_cache_stats(const RedirectCache *cache, CacheStats *ret) {
        *ret = (CacheStats){
                        .n_entries = cache->n_entries,
                        .n_bytes = cache->n_entries == 0 ? 0 : cache->log_size - log_free(cache),
                        .n_evictions = cache->n_evictions,
        };
}
