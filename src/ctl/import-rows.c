/* SPDX-License-Identifier: MIT */

/*
 * One batch of an import. Nothing is kept between two calls but what target and state say.
 */

#include <errno.h>

#include "ctl/import-found.h"
#include "ctl/import-rows.h"
#include "ctl/rules.h"

#define MADE_ATTEMPTS 32u /* codes tried for one link */

/* Makes the code of the attempt, or of the first one behind it that is no route's name. */
static int give_code(const ImportState *state, Batch *batch, size_t i, unsigned *attempt) {
        Url *url = batch_url(batch, i);

        do {
                url->code = import_code(state, batch_offset(batch, i), (*attempt)++,
                                        batch_arena(batch));
                if (!url->code.data)
                        return -ENOMEM;
        } while (rules_code_reserved(url->code));
        return 0;
}

static int give_codes(const ImportState *state, Batch *batch, bool made[BATCH_ROWS]) {
        for (size_t i = 0; i < batch_n(batch); i++) {
                unsigned attempt = 0;
                int r;

                made[i] = !batch_url(batch, i)->code.data;
                if (!made[i])
                        continue;
                r = give_code(state, batch, i, &attempt);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A row whose made code was taken: on to the next ones. */
static int retry_code(const ImportTarget *target, const ImportState *state, Batch *batch,
                      size_t i) {
        unsigned attempt = 0;
        int r;

        r = give_code(state, batch, i, &attempt);
        while (r == 0 && batch_result(batch, i) == STORE_CODE_TAKEN && attempt < MADE_ATTEMPTS) {
                r = give_code(state, batch, i, &attempt);
                if (r == 0)
                        r = batch_send_one(batch, target->session, target->with_events, i);
        }
        return r;
}

/* Takes out of the batch what an earlier run had sent. */
static int drop_found(const ImportTarget *target, ImportState *state, Batch *batch,
                      size_t *ret_found) {
        bool found[BATCH_ROWS] = {};
        size_t n = batch_n(batch);
        int r;

        r = import_find(target->session, state, batch, found);
        if (r != 0)
                return r;
        batch_drop(batch, found);
        *ret_found = n - batch_n(batch);
        return 0;
}

/* What became of the rows that were sent. */
static int settle(const ImportTarget *target, ImportState *state, Batch *batch,
                  const bool made[BATCH_ROWS], ImportRefused refused, void *userdata,
                  size_t *imported) {
        for (size_t i = 0; i < batch_n(batch); i++) {
                StoreResult result = batch_result(batch, i);

                if (result == STORE_CODE_TAKEN && made[i]) {
                        int r = retry_code(target, state, batch, i);

                        if (r != 0)
                                return r;
                        result = batch_result(batch, i);
                }
                if (result == STORE_OK) {
                        (*imported)++;
                        state->last_id = MAX(state->last_id, batch_id(batch, i));
                } else {
                        refused(userdata, batch_line(batch, i), batch_refusal(result));
                }
        }
        return 0;
}

int import_send(ImportTarget *target, ImportState *state, Batch *batch, ImportRefused refused,
                void *userdata, size_t *ret_imported) {
        bool made[BATCH_ROWS] = {};
        size_t n_found = 0, n_imported;
        int r = 0;

        if (target->unsettled)
                r = drop_found(target, state, batch, &n_found);
        n_imported = n_found;
        if (r == 0 && state->type == RECORD_URLS)
                r = give_codes(state, batch, made);
        if (r == 0)
                r = batch_send(batch, target->session, target->with_events);
        if (r == 0)
                r = settle(target, state, batch, made, refused, userdata, &n_imported);
        if (r != 0)
                return r;
        /* A batch that is all refused says nothing of the next one. */
        target->unsettled = target->unsettled && (n_found > 0 || n_imported == 0);
        *ret_imported = n_imported;
        return 0;
}
