/* SPDX-License-Identifier: MIT */

/* The redirect cache against a plain model: what it returns is always what was put in last; it
 * keeps what is used; its memory is what was asked for. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cache/redirect-cache.h"
#include "model/types.h"

#define SMALL REDIRECT_CACHE_SIZE_MIN

static uint64_t seed = 88172645463325252ULL;

static uint64_t next(uint64_t below) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed % below;
}

static Slice code_of(unsigned n, char buffer[16]) {
        return slice_make(buffer, (size_t)snprintf(buffer, 16, "c%u", n));
}

static void put(RedirectCache *cache, Slice code, int64_t id, Slice location) {
        CacheFill fill = {.code = code,
                          .link_id = id,
                          .location = location,
                          .mark = {(uint64_t)id * 3, (uint64_t)id * 5},
                          .counter = (uint32_t)id & 0xffff,
                          .read_tick = 77};

        redirect_cache_insert(cache, &fill);
}

static void test_hit_and_miss(void **state _unused_) {
        _cleanup_(redirect_cache_free_p) RedirectCache *cache = NULL;
        CacheHit hit;

        assert_int_equal(redirect_cache_new(SMALL, &cache), 0);
        assert_false(redirect_cache_find(cache, SLICE("abc"), &hit));
        put(cache, SLICE("abc"), 7, SLICE("https://example.com/"));
        assert_true(redirect_cache_find(cache, SLICE("abc"), &hit));
        assert_int_equal(hit.link_id, 7);
        assert_int_equal(hit.mark.generation, 21);
        assert_int_equal(hit.mark.epoch, 35);
        assert_int_equal(hit.counter, 7);
        assert_int_equal(hit.read_tick, 77);
        assert_true(slice_equal(hit.location, SLICE("https://example.com/")));
        assert_true(slice_equal(hit.tail, SLICE("Location: https://example.com/\r\n\r\n")));
        assert_false(redirect_cache_find(cache, SLICE("ABC"), &hit));
        assert_false(redirect_cache_find(cache, SLICE("abcd"), &hit));
}

static void test_replace_negative_clear(void **state _unused_) {
        _cleanup_(redirect_cache_free_p) RedirectCache *cache = NULL;
        CacheStats stats;
        CacheHit hit;

        assert_int_equal(redirect_cache_new(SMALL, &cache), 0);
        put(cache, SLICE("abc"), 1, SLICE("https://one.example/"));
        put(cache, SLICE("abc"), 2, SLICE("https://two.example/"));
        assert_true(redirect_cache_find(cache, SLICE("abc"), &hit));
        assert_int_equal(hit.link_id, 2);
        put(cache, SLICE("abc"), 0, SLICE("ignored"));
        assert_true(redirect_cache_find(cache, SLICE("abc"), &hit));
        assert_int_equal(hit.link_id, 0);
        assert_int_equal(hit.location.len, 0);
        redirect_cache_stats(cache, &stats);
        assert_int_equal(stats.n_entries, 1);
        redirect_cache_clear(cache);
        assert_false(redirect_cache_find(cache, SLICE("abc"), &hit));
        redirect_cache_stats(cache, &stats);
        assert_int_equal(stats.n_entries, 0);
        assert_int_equal(stats.n_bytes, 0);
        put(cache, SLICE("abc"), 3, SLICE("https://three.example/"));
        assert_true(redirect_cache_find(cache, SLICE("abc"), &hit));
}

/* Many times its size goes through it, in all lengths; every hit must be the latest value. */
static void test_against_model(void **state _unused_) {
        enum { CODES = 20000 };
        static uint32_t version[CODES];
        static char target[MODEL_TARGET_MAX * 3];
        _cleanup_(redirect_cache_free_p) RedirectCache *cache = NULL;
        unsigned n_hits = 0;
        CacheStats stats;
        CacheHit hit;

        memset(target, 'x', sizeof target);
        assert_int_equal(redirect_cache_new(SMALL, &cache), 0);
        for (unsigned i = 0; i < 300000; i++) {
                unsigned n = (unsigned)next(CODES);
                char buffer[16];
                Slice code = code_of(n, buffer);

                if (next(2) == 0) {
                        size_t len = next(50) == 0 ? next(sizeof target) : 20 + next(80);

                        version[n]++;
                        put(cache, code, (int64_t)version[n], slice_make(target, len));
                } else if (redirect_cache_find(cache, code, &hit)) {
                        n_hits++;
                        assert_int_equal(hit.link_id, version[n]);
                        assert_int_equal(hit.tail.len, hit.location.len + 14);
                        assert_memory_equal(hit.tail.data, "Location: ", 10);
                        assert_memory_equal(hit.tail.data + hit.tail.len - 4, "\r\n\r\n", 4);
                }
        }
        redirect_cache_stats(cache, &stats);
        assert_true(n_hits > 1000);
        assert_true(stats.n_evictions > 1000);
        assert_true(stats.n_bytes < SMALL);
}

/* What is asked for again and again survives a stream of codes that are seen once. */
static void test_keeps_what_is_used(void **state _unused_) {
        _cleanup_(redirect_cache_free_p) RedirectCache *cache = NULL;
        unsigned n_kept = 0;
        char buffer[16];
        CacheHit hit;

        assert_int_equal(redirect_cache_new(SMALL, &cache), 0);
        for (unsigned n = 0; n < 100; n++)
                put(cache, code_of(n, buffer), n + 1, SLICE("https://example.com/hot"));
        for (unsigned i = 0; i < 50000; i++) {
                put(cache, code_of(1000 + i, buffer), 5,
                    SLICE("https://example.com/cold/and/long"));
                (void)redirect_cache_find(cache, code_of(i % 100, buffer), &hit);
        }
        for (unsigned n = 0; n < 100; n++)
                n_kept += redirect_cache_find(cache, code_of(n, buffer), &hit);
        print_message("%u of 100 kept\n", n_kept);
        assert_true(n_kept >= 95);
}

/* The bar: at most 120 bytes a link beside its URL. */
static void test_bytes_per_link(void **state _unused_) {
        const uint64_t size = 16 << 20;
        const Slice location = SLICE("https://www.example.com/some/where/that/is/usual?for=links");
        _cleanup_(redirect_cache_free_p) RedirectCache *cache = NULL;
        double bytes;
        CacheStats stats;
        unsigned n = 0;
        char buffer[16];

        assert_int_equal(redirect_cache_new(size, &cache), 0);
        do {
                n++;
                put(cache, code_of(100000 + n, buffer), n, location);
                redirect_cache_stats(cache, &stats);
        } while (stats.n_evictions == 0);
        bytes = (double)size / (double)stats.n_entries - (double)location.len;
        print_message("%u links in %u bytes: %.1f bytes a link beside its URL\n",
                      (unsigned)stats.n_entries, (unsigned)size, bytes);
        assert_true(bytes <= 120);
}

/* So many short entries that the slots, not the log, are what runs out. */
static void test_slots_run_out(void **state _unused_) {
        _cleanup_(redirect_cache_free_p) RedirectCache *cache = NULL;
        CacheStats stats;
        char buffer[16];
        CacheHit hit;

        assert_int_equal(redirect_cache_new(SMALL, &cache), 0);
        for (unsigned n = 0; n < 20000; n++) {
                put(cache, code_of(n, buffer), 0, SLICE(""));
                assert_true(redirect_cache_find(cache, code_of(n, buffer), &hit));
        }
        redirect_cache_stats(cache, &stats);
        assert_true(stats.n_entries > 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_hit_and_miss),
                        cmocka_unit_test(test_replace_negative_clear),
                        cmocka_unit_test(test_against_model),
                        cmocka_unit_test(test_keeps_what_is_used),
                        cmocka_unit_test(test_bytes_per_link),
                        cmocka_unit_test(test_slots_run_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
