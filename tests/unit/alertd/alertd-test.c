/* SPDX-License-Identifier: MIT */

#include "alertd-test.h"

#include <ftw.h>

int folder_setup(void **state) {
        char *folder = strdup("/tmp/test-alertd-XXXXXX");

        assert_non_null(folder);
        assert_non_null(mkdtemp(folder));
        *state = folder;
        return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

int folder_teardown(void **state) {
        assert_int_equal(nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        free(*state);
        return 0;
}

AlertBatch *make_batch(const char *const *texts) {
        AlertBatch *batch = calloc(1, sizeof *batch);
        Buffer bytes = BUFFER_EMPTY;
        uint32_t lengths[64];

        assert_non_null(batch);
        for (; texts[batch->n_alerts]; batch->n_alerts++) {
                assert_true(batch->n_alerts < ELEMENTSOF(lengths));
                lengths[batch->n_alerts] = (uint32_t)strlen(texts[batch->n_alerts]);
                buffer_append(&bytes, slice_from_string(texts[batch->n_alerts]));
        }
        batch->bytes = bytes.data;
        batch->size = bytes.len;
        batch->received_usec = 1767323045123456;
        assert_int_equal(alert_batch_slice(batch, lengths), 0);
        return batch;
}
