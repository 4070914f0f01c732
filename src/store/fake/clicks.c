/* SPDX-License-Identifier: MIT */

/* Visits of the in-memory store, the spools' positions, and the audit. */

#include <errno.h>
#include <stdlib.h>

#include "store/fake/session.h"

/* ---- appending ---- */

static int add_click(FakeData *data, const StoreBatch *batch, const StoreClick *click) {
        const FakeUrl *url = fake_find(&data->urls, click->url_id);
        FakeEvent row = {.event = {.url_id = click->url_id,
                                   .type = STORE_EVENT_REDIRECT,
                                   .timestamp_sec = click->time_sec,
                                   .details = click->details},
                         .seq = click->seq,
                         .from_spool = true};
        int64_t id;

        if (store_click_refused(click))
                return STORE_REFUSED;
        if (url)
                row.event.user_id = fake_live_user(data, url->url.user_id);
        if (click->request_id.len > 0)
                row.event.request_id = click->request_id;
        memcpy(row.spool, batch->spool, STORE_SPOOL_ID_SIZE);
        return fake_add_event(data, &row, &id);
}

/* Adds rows until something wants it to stop; *ret_done is the part of the batch that went in. */
static int add_clicks(StoreSession *session, FakeData *data, const StoreBatch *batch,
                      StoreBatch *ret_done) {
        StoreBatch done = *batch;
        size_t i = 0;
        int r;

        while (i < batch->n_clicks) {
                bool stop = i >= STORE_APPEND_ROWS ||
                            (i >= STORE_APPEND_ROWS_MIN && i % STORE_APPEND_ROWS_LOOK == 0 &&
                             store_hook_n_waiting(session) > 0);

                if (stop && store_batch_cut(batch, i, &done))
                        break;
                r = add_click(data, batch, &batch->clicks[i]);
                if (r != 0) {
                        fake_pop_events(data, i);
                        return r;
                }
                i++;
        }
        *ret_done = done;
        return 0;
}

static int append(StoreSession *session, FakeData *data, const StoreBatch *batch,
                  uint64_t *ret_next_seq) {
        StoreOffset *offset = fake_offset(data, batch->spool);
        uint64_t next_seq = offset ? offset->next_seq : batch->first_seq;
        StoreBatch done;
        int r;

        if (next_seq != batch->from_seq) {
                *ret_next_seq = next_seq;
                return STORE_CONFLICT_POSITION;
        }
        r = add_clicks(session, data, batch, &done);
        if (r != 0)
                return r;
        if (!offset) {
                offset = fake_offset_add(data, batch->spool);
                if (!offset) {
                        fake_pop_events(data, done.n_clicks);
                        return -ENOMEM;
                }
                offset->first_seq = batch->first_seq;
        }
        offset->next_seq = done.upto_seq;
        offset->rows += done.n_clicks;
        offset->shed += done.shed;
        offset->bad += done.bad;
        offset->damaged += done.damaged;
        *ret_next_seq = done.upto_seq;
        return 0;
}

int fake_clicks_append(StoreSession *session, const StoreBatch *batch, uint64_t *ret_next_seq) {
        FakeData *data;
        int r;

        r = fake_begin_ship(session, &data);
        if (r < 0)
                return r;
        r = append(session, data, batch, ret_next_seq);
        fake_end_read(session);
        return r;
}

/* ---- positions ---- */

int fake_offset_get(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE],
                    StoreOffset *ret) {
        const StoreOffset *offset;
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        offset = fake_offset(data, spool);
        if (offset)
                *ret = *offset;
        fake_end_read(session);
        return offset ? 0 : STORE_NOT_FOUND;
}

static int copy_offsets(const FakeData *data, Arena *arena, StoreOffset **ret, size_t *ret_n) {
        StoreOffset *copy = arena_new(arena, StoreOffset, data->n_offsets + 1);

        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < data->n_offsets; i++)
                copy[i] = data->offsets[i];
        *ret = copy;
        *ret_n = data->n_offsets;
        return 0;
}

int fake_offset_list(StoreSession *session, Arena *arena, StoreOffset **ret, size_t *ret_n) {
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        r = copy_offsets(data, arena, ret, ret_n);
        fake_end_read(session);
        return r;
}

int fake_offset_delete(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        StoreOffset *offset;
        FakeData *data;
        int r;

        r = fake_begin_ship(session, &data);
        if (r < 0)
                return r;
        offset = fake_offset(data, spool);
        if (offset)
                fake_offset_remove(data, offset);
        fake_end_read(session);
        return offset ? 0 : STORE_NOT_FOUND;
}

/* ---- the audit ---- */

static int compare_events(const void *left, const void *right) {
        const FakeEvent *a = *(const FakeEvent *const *)left;
        const FakeEvent *b = *(const FakeEvent *const *)right;
        int r = memcmp(a->spool, b->spool, STORE_SPOOL_ID_SIZE);

        return r != 0 ? r : (a->seq > b->seq) - (a->seq < b->seq);
}

/* Rows beyond the first of one spool and number. */
static int count_duplicates(const FakeData *data, Arena *arena, int64_t *ret) {
        const FakeEvent **events = arena_new(arena, const FakeEvent *, data->events.n + 1);
        size_t n = 0;

        if (!events)
                return -ENOMEM;
        for (size_t i = 0; i < data->events.n; i++) {
                const FakeEvent *event = fake_row(&data->events, i);

                if (event->from_spool)
                        events[n++] = event;
        }
        qsort(events, n, sizeof(*events), compare_events);
        for (size_t i = 1; i < n; i++)
                *ret += compare_events(&events[i - 1], &events[i]) == 0;
        return 0;
}

static int audit_events(const FakeData *data, Arena *arena, StoreAudit *ret) {
        for (size_t i = 0; i < data->events.n; i++) {
                const FakeEvent *event = fake_row(&data->events, i);

                if (!event->from_spool)
                        continue;
                ret->rows_per_spools++;
                for (size_t k = 0; k < ret->n_offsets; k++)
                        ret->rows_of_spool[k] += memcmp(event->spool, ret->offsets[k].spool,
                                                        STORE_SPOOL_ID_SIZE) == 0;
        }
        return count_duplicates(data, arena, &ret->duplicates);
}

/* Does the url's kept total differ from the count of its redirects? */
static bool total_drifts(const FakeData *data, const FakeUrl *url) {
        int64_t n = 0;

        for (size_t i = 0; i < data->events.n; i++) {
                const FakeEvent *event = fake_row(&data->events, i);

                n += event->event.url_id == url->url.id &&
                     slice_equal(event->event.type, STORE_EVENT_REDIRECT);
        }
        return n != url->redirects;
}

static int audit(const FakeData *data, Arena *arena, StoreAudit *ret) {
        int r;

        r = copy_offsets(data, arena, &ret->offsets, &ret->n_offsets);
        if (r < 0)
                return r;
        ret->rows_of_spool = arena_new(arena, int64_t, ret->n_offsets + 1);
        if (!ret->rows_of_spool)
                return -ENOMEM;
        r = audit_events(data, arena, ret);
        if (r < 0)
                return r;
        for (size_t i = 0; i < data->urls.n; i++)
                ret->total_drift += total_drifts(data, fake_row(&data->urls, i));
        return 0;
}

int fake_audit(StoreSession *session, Arena *arena, StoreAudit *ret) {
        StoreAudit found = {.duplicates = 0};
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        r = audit(data, arena, &found);
        fake_end_read(session);
        if (r == 0)
                *ret = found;
        return r;
}
