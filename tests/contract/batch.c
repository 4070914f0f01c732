/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "contract/batch.h"

void batch_fill(TestBatch *b, uint8_t spool, uint64_t from_seq, size_t n, int64_t url_id) {
        CHECK(n <= BATCH_MAX);
        b->batch = (StoreBatch){.first_seq = 1,
                                .from_seq = from_seq,
                                .upto_seq = from_seq + n,
                                .clicks = b->clicks,
                                .n_clicks = n};
        memset(b->batch.spool, spool, sizeof(b->batch.spool));
        for (size_t i = 0; i < n; i++)
                b->clicks[i] = (StoreClick){.seq = from_seq + i,
                                            .url_id = url_id,
                                            .time_sec = NOW_SEC + (int64_t)i,
                                            .details = S("{\"ip\":\"192.0.2.1\"}"),
                                            .request_id = S("req-1")};
}

unsigned batch_append(Fixture *f, const TestBatch *b) {
        StoreBatch rest = b->batch;
        uint64_t next_seq = rest.from_seq;
        unsigned n_calls = 0;

        while (rest.from_seq < b->batch.upto_seq) {
                assert_int_equal(store_clicks_append(f->session, &rest, &next_seq), 0);
                assert_true(next_seq > rest.from_seq && next_seq <= rest.upto_seq);
                rest.clicks += next_seq - rest.from_seq;
                rest.n_clicks -= next_seq - rest.from_seq;
                rest.from_seq = next_seq;
                n_calls++;
        }
        return n_calls;
}

StoreOffset offset_of(Fixture *f, uint8_t spool) {
        uint8_t uuid[STORE_SPOOL_ID_SIZE];
        StoreOffset offset;

        memset(uuid, spool, sizeof(uuid));
        assert_int_equal(store_offset_get(f->session, uuid, &offset), 0);
        assert_memory_equal(offset.spool, uuid, sizeof(uuid));
        return offset;
}

int64_t rows_of(const StoreAudit *audit, const StoreOffset *offset) {
        for (size_t i = 0; i < audit->n_offsets; i++)
                if (memcmp(audit->offsets[i].spool, offset->spool, sizeof(offset->spool)) == 0) {
                        assert_memory_equal(&audit->offsets[i], offset, sizeof(*offset));
                        return audit->rows_of_spool[i];
                }
        return -1;
}

void assert_proof(Fixture *f, uint8_t spool) {
        const StoreOffset offset = offset_of(f, spool);
        StoreAudit audit;

        assert_int_equal(offset.next_seq - offset.first_seq,
                         offset.rows + offset.shed + offset.bad + offset.damaged);
        assert_int_equal(store_audit(f->session, &f->arena, &audit), 0);
        assert_int_equal(rows_of(&audit, &offset), offset.rows);
        assert_int_equal(audit.duplicates, 0);
        assert_int_equal(audit.total_drift, 0);
        assert_int_equal(audit.list_drift, 0);
}
