/* SPDX-License-Identifier: MIT */

/* What is told to other hosts: counted by client and budget, and the same after a way as bytes. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing-malloc.h"
#include "limit/uses.h"

static LimitClient client(uint32_t n) {
        unsigned char digest[16] = {0};

        memcpy(digest, &n, sizeof n);
        return limit_client_token(digest);
}

static void note(LimitUses *uses, LimitBudget budget, uint32_t n) {
        LimitClient who = client(n);

        assert_true(limit_uses_note(uses, budget, &who));
}

static bool is_use(const LimitUse *use, LimitBudget budget, uint32_t who, uint32_t n) {
        LimitClient expected = client(who);

        return use->budget == budget && use->n == n &&
               memcmp(&use->client, &expected, sizeof expected) == 0;
}

static void test_there_and_back(void **state) {
        _cleanup_(limit_uses_free_p) LimitUses *uses = NULL;
        _cleanup_(buffer_done) Buffer out = BUFFER_EMPTY;
        LimitUse use;
        Slice bytes;

        (void)state;
        assert_int_equal(limit_uses_new(&uses), 0);
        note(uses, LIMIT_READ, 1);
        note(uses, LIMIT_CREATE, 1);
        for (unsigned i = 0; i < 300; i++)
                note(uses, LIMIT_READ, 2);
        note(uses, LIMIT_READ, 1);
        assert_int_equal(limit_uses_length(uses), 3);
        limit_uses_take(uses, &out);
        assert_int_equal(limit_uses_length(uses), 0);
        assert_int_equal(out.len, 3 * LIMIT_USES_BYTES);
        bytes = buffer_slice(&out);
        assert_int_equal(limit_use_read(&bytes, &use), 1);
        assert_true(is_use(&use, LIMIT_READ, 1, 2));
        assert_int_equal(limit_use_read(&bytes, &use), 1);
        assert_true(is_use(&use, LIMIT_CREATE, 1, 1));
        assert_int_equal(limit_use_read(&bytes, &use), 1);
        assert_true(is_use(&use, LIMIT_READ, 2, 300));
        assert_int_equal(limit_use_read(&bytes, &use), 0);

        /* It begins anew. */
        buffer_clear(&out);
        note(uses, LIMIT_READ, 2);
        limit_uses_take(uses, &out);
        bytes = buffer_slice(&out);
        assert_int_equal(limit_use_read(&bytes, &use), 1);
        assert_true(is_use(&use, LIMIT_READ, 2, 1));
        assert_int_equal(limit_use_read(&bytes, &use), 0);
}

static void test_its_memory_is_fixed(void **state) {
        _cleanup_(limit_uses_free_p) LimitUses *uses = NULL;
        _cleanup_(buffer_done) Buffer out = BUFFER_EMPTY;
        LimitClient late = client(LIMIT_USES_MAX), first = client(0);
        LimitUse use;
        Slice bytes;

        (void)state;
        assert_int_equal(limit_uses_new(&uses), 0);
        for (uint32_t i = 0; i < LIMIT_USES_MAX; i++)
                note(uses, (LimitBudget)(i % LIMIT_BUDGETS), i);
        assert_false(limit_uses_note(uses, LIMIT_READ, &late));
        assert_int_equal(limit_uses_length(uses), LIMIT_USES_MAX);
        for (uint32_t i = 1; i < LIMIT_USE_N_MAX; i++)
                assert_true(limit_uses_note(uses, (LimitBudget)0, &first));
        assert_false(limit_uses_note(uses, (LimitBudget)0, &first));
        limit_uses_take(uses, &out);
        bytes = buffer_slice(&out);
        for (uint32_t i = 0; i < LIMIT_USES_MAX; i++) {
                assert_int_equal(limit_use_read(&bytes, &use), 1);
                assert_true(is_use(&use, (LimitBudget)(i % LIMIT_BUDGETS), i,
                                   i == 0 ? LIMIT_USE_N_MAX : 1));
        }
        assert_int_equal(limit_use_read(&bytes, &use), 0);
}

/* Each byte of a use changed, each length: taken as another use, or refused; never more. */
static void test_bytes_are_input(void **state) {
        _cleanup_(limit_uses_free_p) LimitUses *uses = NULL;
        _cleanup_(buffer_done) Buffer out = BUFFER_EMPTY;
        unsigned n_bad = 0;
        LimitUse use;
        Slice bytes;

        (void)state;
        assert_int_equal(limit_uses_new(&uses), 0);
        note(uses, LIMIT_MISSES, 7);
        limit_uses_take(uses, &out);
        for (size_t len = 1; len < LIMIT_USES_BYTES; len++) {
                bytes = slice_make(out.data, len);
                assert_int_equal(limit_use_read(&bytes, &use), -EBADMSG);
        }
        for (size_t i = 0; i < LIMIT_USES_BYTES; i++)
                for (int bits = 1; bits < 256; bits++) {
                        int r;

                        out.data[i] = (char)(out.data[i] ^ bits);
                        bytes = buffer_slice(&out);
                        r = limit_use_read(&bytes, &use);
                        out.data[i] = (char)(out.data[i] ^ bits);
                        if (r == -EBADMSG) {
                                n_bad++;
                                continue;
                        }
                        assert_int_equal(r, 1);
                        assert_true(use.budget < LIMIT_BUDGETS && use.n > 0 &&
                                    use.n <= LIMIT_USE_N_MAX);
                }
        /* The format, the budgets that there are not, no request, too many of them. */
        assert_int_equal(n_bad, 255 + 252 + 1 + 240 + 255);
}

static void test_no_memory(void **state) {
        LimitUses *uses;

        (void)state;
        failing_malloc_arm(1);
        assert_int_equal(limit_uses_new(&uses), -ENOMEM);
        failing_malloc_arm(0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_there_and_back),
                        cmocka_unit_test(test_its_memory_is_fixed),
                        cmocka_unit_test(test_bytes_are_input),
                        cmocka_unit_test(test_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
