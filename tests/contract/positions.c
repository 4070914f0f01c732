/* SPDX-License-Identifier: MIT */

/* Positions of spools: reading, listing, deleting; and the audit. */

#include <errno.h>
#include <string.h>

#include "contract/batch.h"

static TestBatch b;

static void test_list(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        StoreOffset *offsets;
        size_t n = 99;

        assert_int_equal(store_offset_list(f->session, &f->arena, &offsets, &n), 0);
        assert_int_equal(n, 0);
        for (uint8_t spool = 1; spool <= 3; spool++) {
                batch_fill(&b, spool, 1, spool, url_id);
                batch_append(f, &b);
        }
        assert_int_equal(store_offset_list(f->other, &f->arena, &offsets, &n), 0);
        assert_int_equal(n, 3);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(offsets[i].spool[0], i + 1);
                assert_int_equal(offsets[i].first_seq, 1);
                assert_int_equal(offsets[i].next_seq, i + 2);
                assert_int_equal(offsets[i].rows, i + 1);
        }
}

static void test_delete(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        StoreOffset offset;

        batch_fill(&b, 7, 1, 4, url_id);
        assert_int_equal(store_offset_delete(f->session, b.batch.spool), STORE_NOT_FOUND);
        batch_append(f, &b);
        assert_int_equal(store_offset_delete(f->session, b.batch.spool), 0);
        assert_diary(f, "");
        assert_int_equal(store_offset_get(f->session, b.batch.spool, &offset), STORE_NOT_FOUND);
        /* The visits stay. */
        assert_int_equal(redirects_of(f, url_id), 4);
        assert_audit_clean(f);
}

static void test_no_memory(void **state) {
        Fixture *f = *state;
        StoreOffset *offsets;
        Arena small;
        size_t n;

        batch_fill(&b, 7, 1, 1, make_url(f, "abc", 0));
        batch_append(f, &b);
        arena_init(&small, 8);
        assert_int_equal(store_offset_list(f->session, &small, &offsets, &n), -ENOMEM);
        arena_done(&small);
}

static void test_audit_counts_by_spool(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        StoreOffset offsets[3];
        StoreAudit audit;

        for (uint8_t spool = 0; spool < 2; spool++) {
                batch_fill(&b, spool, 1, spool + 5u, url_id);
                batch_append(f, &b);
                offsets[spool] = offset_of(f, spool);
        }
        make_event(f, url_id, "redirect"); /* of no spool */
        offsets[2] = offsets[0];
        memset(offsets[2].spool, 99, sizeof(offsets[2].spool));
        assert_int_equal(store_audit(f->other, &f->arena, &audit), 0);
        assert_int_equal(audit.n_offsets, 2);
        assert_int_equal(rows_of(&audit, &offsets[0]), 5);
        assert_int_equal(rows_of(&audit, &offsets[1]), 6);
        assert_int_equal(rows_of(&audit, &offsets[2]), -1);
        assert_int_equal(audit.rows_per_spools, 11);
        assert_int_equal(audit.duplicates, 0);
        assert_int_equal(audit.total_drift, 0);
        assert_int_equal(audit.list_drift, 0);
}

/* A spool that is gone, with its rows still there, is nothing to compare. */
static void test_audit_without_a_spool(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        StoreOffset offset;
        StoreAudit audit;

        batch_fill(&b, 1, 1, 8, url_id);
        batch_append(f, &b);
        offset = offset_of(f, 1);
        assert_int_equal(store_offset_delete(f->session, offset.spool), 0);
        assert_int_equal(store_audit(f->other, &f->arena, &audit), 0);
        assert_int_equal(audit.n_offsets, 0);
        assert_int_equal(audit.rows_per_spools, 8);
}

int run_positions(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_list),
                        CONTRACT_TEST(test_delete),
                        CONTRACT_TEST(test_no_memory),
                        CONTRACT_TEST(test_audit_counts_by_spool),
                        CONTRACT_TEST(test_audit_without_a_spool),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
