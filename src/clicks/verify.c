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
        Verify verify = {0};
        const StoreAudit *audit = &verify.audit;
        int r;

        r = store_audit(session, arena, &verify.audit);
        if (r != 0)
                return r;
        verify.n_spools = audit->n_offsets;
        verify.spools = arena_new(arena, VerifySpool, verify.n_spools + 1);
        if (!verify.spools)
                return -ENOMEM;
        verify.sound = audit->duplicates == 0 && audit->total_drift == 0 && audit->list_drift == 0;
        for (size_t i = 0; i < verify.n_spools; i++) {
                VerifySpool *spool = &verify.spools[i];

                segment_id_format(audit->offsets[i].spool, spool->id);
                spool->offset = audit->offsets[i];
                spool->rows_found = audit->rows_of_spool[i];
                spool->sound = is_sound(&spool->offset, spool->rows_found);
                verify.sound = verify.sound && spool->sound;
        }
        *ret = verify;
        return 0;
}
