/* SPDX-License-Identifier: MIT */
/* The proof's arithmetic; the counting is the store's. */

#include <errno.h>

#include "clicks/verify.h"

static bool is_sound(const StoreOffset *offset, int64_t rows_found) {
        return offset->next_seq >= offset->first_seq &&
               offset->next_seq - offset->first_seq ==
                               offset->rows + offset->shed + offset->bad + offset->damaged &&
               rows_found >= 0 && (uint64_t)rows_found == offset->rows;
}

int clicks_verify(StoreSession *session, Arena *arena, Verify *ret) {
        StoreOffset *offsets = NULL;
        Verify verify = {0};
        int64_t *rows;
        int r;

        r = store_offset_list(session, arena, &offsets, &verify.n_spools);
        if (r != 0)
                return r;
        rows = arena_new(arena, int64_t, verify.n_spools + 1);
        verify.spools = arena_new(arena, VerifySpool, verify.n_spools + 1);
        if (!rows || !verify.spools)
                return -ENOMEM;
        r = store_audit(session, offsets, verify.n_spools, rows, &verify.audit);
        if (r != 0)
                return r;
        verify.sound = verify.audit.duplicates == 0 && verify.audit.total_drift == 0 &&
                       verify.audit.list_drift == 0;
        for (size_t i = 0; i < verify.n_spools; i++) {
                VerifySpool *spool = &verify.spools[i];

                segment_id_format(offsets[i].spool, spool->id);
                spool->offset = offsets[i];
                spool->rows_found = rows[i];
                spool->sound = is_sound(&offsets[i], rows[i]);
                verify.sound = verify.sound && spool->sound;
        }
        *ret = verify;
        return 0;
}
