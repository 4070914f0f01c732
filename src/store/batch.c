/* SPDX-License-Identifier: MIT */

/* Batches of clicks: the same rules for every driver. */

#include "store/ops.h"

bool store_batch_valid(const StoreBatch *batch) {
        uint64_t rest;
        uint64_t next = batch->from_seq;

        if (batch->from_seq < batch->first_seq || batch->upto_seq < batch->from_seq)
                return false;
        rest = batch->upto_seq - batch->from_seq;
        if (batch->n_clicks > rest)
                return false;
        rest -= batch->n_clicks;
        if (batch->shed > rest || batch->bad > rest - batch->shed)
                return false;
        if (batch->damaged != rest - batch->shed - batch->bad)
                return false;
        for (size_t i = 0; i < batch->n_clicks; i++) {
                if (batch->clicks[i].seq < next || batch->clicks[i].seq >= batch->upto_seq)
                        return false;
                next = batch->clicks[i].seq + 1;
        }
        return true;
}

bool store_click_refused(const StoreClick *click) {
        return click->seq > INT64_MAX || click->url_id <= 0 || click->url_id > STORE_ID_MAX ||
               click->details.len > MODEL_DETAILS_MAX;
}

bool store_batch_cut(const StoreBatch *batch, size_t n_rows, StoreBatch *ret) {
        uint64_t gaps = batch->shed + batch->bad + batch->damaged;
        StoreBatch cut = *batch;
        uint64_t before;

        CHECK(n_rows > 0 && n_rows < batch->n_clicks);
        cut.n_clicks = n_rows;
        cut.upto_seq = batch->clicks[n_rows - 1].seq + 1;
        before = cut.upto_seq - cut.from_seq - n_rows;
        if (before != 0 && batch->shed != gaps && batch->bad != gaps && batch->damaged != gaps)
                return false;
        cut.shed = batch->shed != 0 ? before : 0;
        cut.bad = batch->bad != 0 ? before : 0;
        cut.damaged = batch->damaged != 0 ? before : 0;
        *ret = cut;
        return true;
}
