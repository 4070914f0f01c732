/* SPDX-License-Identifier: MIT */

/* Arenas: alignment, the exact limit, the overflow flag, failing memory. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include "basic/arena.h"
#include "failing-malloc.h"

static void test_nothing_is_allocated_before_use(void **state) {
        Arena arena;

        (void)state;
        failing_malloc_arm(0);
        arena_init(&arena, 100);
        arena_reset(&arena);
        assert_int_equal(failing_malloc_count(), 0);
        arena_done(&arena);
}

static void test_allocations_are_aligned_and_apart(void **state) {
        char *places[200];
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                size_t size = i * 7;

                places[i] = arena_alloc(&arena, size);
                assert_non_null(places[i]);
                assert_int_equal((uintptr_t)places[i] % 16, 0);
                memset(places[i], (int)i, size);
        }
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                for (size_t k = 0; k < i * 7; k++)
                        assert_int_equal((unsigned char)places[i][k], i);
        arena_done(&arena);
}

static void test_limit_is_exact(void **state) {
        Arena arena;

        (void)state;
        arena_init(&arena, 100);
        assert_non_null(arena_alloc(&arena, 100));
        assert_false(arena.overflow);
        assert_int_equal(arena.n_bytes, 100);
        assert_null(arena_alloc(&arena, 0));
        assert_true(arena.overflow);
        arena_reset(&arena);
        assert_false(arena.overflow);
        assert_null(arena_alloc(&arena, 101));
        assert_true(arena.overflow);
        assert_int_equal(arena.n_bytes, 0);
        arena_done(&arena);
}

static void test_limit_counts_alignment_between_allocations(void **state) {
        Arena arena;

        (void)state;
        arena_init(&arena, 65);
        for (int i = 0; i < 5; i++)
                assert_non_null(arena_alloc(&arena, 1));
        assert_int_equal(arena.n_bytes, 65);
        assert_null(arena_alloc(&arena, 1));
        arena_done(&arena);
}

static void test_limit_holds_across_chunks(void **state) {
        size_t n = 0;
        Arena arena;

        (void)state;
        arena_init(&arena, 1024 * 1024);
        while (arena_alloc(&arena, 4096))
                n++;
        assert_int_equal(n, 256);
        /* A smaller one would not fit either, and the flag stays. */
        assert_null(arena_alloc(&arena, 1));
        assert_true(arena.overflow);
        arena_done(&arena);
}

static void test_overflow_stays_while_small_ones_pass(void **state) {
        Arena arena;

        (void)state;
        arena_init(&arena, 64);
        assert_null(arena_alloc(&arena, 65));
        assert_non_null(arena_alloc(&arena, 64));
        assert_true(arena.overflow);
        arena_done(&arena);
}

static void test_sizes_that_no_memory_has(void **state) {
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        assert_null(arena_alloc(&arena, SIZE_MAX));
        assert_null(arena_alloc(&arena, SIZE_MAX - 15));
        assert_null(arena_alloc(&arena, SIZE_MAX - 16));
        assert_null(arena_alloc_zero(&arena, SIZE_MAX / 2, 3));
        assert_null(arena_dup(&arena, slice_make("", SIZE_MAX)).data);
        assert_true(arena.overflow);
        assert_int_equal(arena.n_bytes, 0);
        arena_done(&arena);
}

static void test_reset_reuses_the_first_chunk(void **state) {
        void *first, *again;
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        first = arena_alloc(&arena, 100);
        for (int i = 0; i < 100; i++)
                assert_non_null(arena_alloc(&arena, 1000));
        arena_reset(&arena);
        assert_int_equal(arena.n_bytes, 0);
        failing_malloc_arm(0);
        again = arena_alloc(&arena, 100);
        assert_int_equal(failing_malloc_count(), 0);
        assert_ptr_equal(first, again);
        arena_done(&arena);
}

static void test_reset_gives_a_huge_first_chunk_back(void **state) {
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        assert_non_null(arena_alloc(&arena, 10 * 1024 * 1024));
        arena_reset(&arena);
        assert_null(arena.chunk);
        assert_non_null(arena_alloc(&arena, 1));
        arena_done(&arena);
        arena_done(&arena);
}

static void test_zeroed(void **state) {
        typedef struct Item {
                int64_t a;
                char *b;
        } Item;
        Item *items;
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        memset(arena_alloc(&arena, 1000), 0xFF, 1000);
        arena_reset(&arena);
        items = arena_new(&arena, Item, 20);
        for (size_t i = 0; i < 20; i++) {
                assert_int_equal(items[i].a, 0);
                assert_null(items[i].b);
        }
        assert_non_null(arena_new(&arena, Item, 0));
        arena_done(&arena);
}

static void test_dup_terminates(void **state) {
        Slice copy;
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        copy = arena_dup(&arena, slice_sub(SLICE("abcdef"), 2, 4));
        assert_int_equal(copy.len, 2);
        assert_string_equal(copy.data, "cd");
        copy = arena_dup(&arena, SLICE_NONE);
        assert_int_equal(copy.len, 0);
        assert_string_equal(copy.data, "");
        arena_done(&arena);
}

static void test_printf(void **state) {
        Slice text;
        Arena arena;

        (void)state;
        arena_init(&arena, 16);
        text = arena_printf(&arena, "%s-%d", "abc", 42);
        assert_true(slice_equal(text, SLICE("abc-42")));
        assert_int_equal(text.data[text.len], 0);
        assert_null(arena_printf(&arena, "%s", "more than is left").data);
        assert_true(arena.overflow);
        arena_reset(&arena);
        /* No such character in the C locale. */
        assert_null(arena_printf(&arena, "%lc", (wint_t)0xE4).data);
        assert_true(arena.overflow);
        arena_done(&arena);
}

static void test_memory_runs_out(void **state) {
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        failing_malloc_arm(1);
        assert_null(arena_alloc(&arena, 10));
        assert_true(arena.overflow);
        assert_null(arena_dup(&arena, slice_make("", SIZE_MAX)).data);
        arena_reset(&arena);
        assert_non_null(arena_alloc(&arena, 10));
        failing_malloc_arm(1);
        assert_null(arena_alloc(&arena, 10000));
        assert_true(arena.overflow);
        failing_malloc_arm(0);
        assert_non_null(arena_alloc(&arena, 10000));
        arena_done(&arena);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_nothing_is_allocated_before_use),
                        cmocka_unit_test(test_allocations_are_aligned_and_apart),
                        cmocka_unit_test(test_limit_is_exact),
                        cmocka_unit_test(test_limit_counts_alignment_between_allocations),
                        cmocka_unit_test(test_limit_holds_across_chunks),
                        cmocka_unit_test(test_overflow_stays_while_small_ones_pass),
                        cmocka_unit_test(test_sizes_that_no_memory_has),
                        cmocka_unit_test(test_reset_reuses_the_first_chunk),
                        cmocka_unit_test(test_reset_gives_a_huge_first_chunk_back),
                        cmocka_unit_test(test_zeroed),
                        cmocka_unit_test(test_dup_terminates),
                        cmocka_unit_test(test_printf),
                        cmocka_unit_test(test_memory_runs_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
