/* SPDX-License-Identifier: MIT */

/*
 * Batches: an array of the store's rows of one type, and where each stood in its file.
 */

#include <errno.h>

#include "ctl/batch.h"

typedef union BatchRows {
        StoreUserRow *users;
        StoreUrlRow *urls;
        StoreEventRow *events;
} BatchRows;

struct Batch {
        RecordType type;
        size_t n; /* rows in use */
        BatchRows rows;
        uint64_t lines[BATCH_ROWS];
        uint64_t offsets[BATCH_ROWS];
        Arena arena;
};

int batch_new(RecordType type, Batch **ret) {
        _cleanup_(batch_free_p) Batch *batch = calloc(1, sizeof(*batch));
        size_t size = type == RECORD_USERS  ? sizeof(*batch->rows.users)
                      : type == RECORD_URLS ? sizeof(*batch->rows.urls)
                                            : sizeof(*batch->rows.events);

        if (!batch)
                return -ENOMEM;
        batch->type = type;
        arena_init(&batch->arena, 0);
        batch->rows.users = calloc(BATCH_ROWS, size);
        if (!batch->rows.users)
                return -ENOMEM;
        *ret = TAKE_PTR(batch);
        return 0;
}

Batch *batch_free(Batch *batch) {
        if (batch) {
                arena_done(&batch->arena);
                free(batch->rows.users);
                free(batch);
        }
        return NULL;
}

Arena *batch_arena(Batch *batch) {
        return &batch->arena;
}

size_t batch_n(const Batch *batch) {
        return batch->n;
}

void batch_clear(Batch *batch) {
        batch->n = 0;
        arena_reset(&batch->arena);
}

void batch_add(Batch *batch, const ReadRow *row) {
        CHECK(batch->n < BATCH_ROWS);
        if (batch->type == RECORD_USERS)
                batch->rows.users[batch->n] = (StoreUserRow){.user = row->record.user};
        else if (batch->type == RECORD_URLS)
                batch->rows.urls[batch->n] = (StoreUrlRow){.url = row->record.url};
        else
                batch->rows.events[batch->n] = (StoreEventRow){.event = row->record.event};
        batch->lines[batch->n] = row->line;
        batch->offsets[batch->n] = row->offset;
        batch->n++;
}

void batch_drop(Batch *batch, const bool marked[BATCH_ROWS]) {
        size_t n = 0;

        for (size_t i = 0; i < batch->n; i++) {
                if (marked[i])
                        continue;
                if (batch->type == RECORD_USERS)
                        batch->rows.users[n] = batch->rows.users[i];
                else if (batch->type == RECORD_URLS)
                        batch->rows.urls[n] = batch->rows.urls[i];
                else
                        batch->rows.events[n] = batch->rows.events[i];
                batch->lines[n] = batch->lines[i];
                batch->offsets[n++] = batch->offsets[i];
        }
        batch->n = n;
}

User *batch_user(Batch *batch, size_t i) {
        CHECK(batch->type == RECORD_USERS && i < batch->n);
        return &batch->rows.users[i].user;
}

Url *batch_url(Batch *batch, size_t i) {
        CHECK(batch->type == RECORD_URLS && i < batch->n);
        return &batch->rows.urls[i].url;
}

Event *batch_event(Batch *batch, size_t i) {
        CHECK(batch->type == RECORD_EVENTS && i < batch->n);
        return &batch->rows.events[i].event;
}

uint64_t batch_line(const Batch *batch, size_t i) {
        CHECK(i < batch->n);
        return batch->lines[i];
}

uint64_t batch_offset(const Batch *batch, size_t i) {
        CHECK(i < batch->n);
        return batch->offsets[i];
}

static int send_rows(Batch *batch, StoreSession *session, bool with_events, size_t first,
                     size_t n) {
        switch (batch->type) {
        case RECORD_USERS:
                return store_users_import(session, batch->rows.users + first, n);
        case RECORD_URLS:
                return store_urls_import(session, batch->rows.urls + first, n, with_events);
        case RECORD_EVENTS:
                return store_events_import(session, batch->rows.events + first, n);
        case RECORD_NONE:
                break;
        }
        check_failed("type", __FILE__, __LINE__);
}

int batch_send(Batch *batch, StoreSession *session, bool with_events) {
        return batch->n > 0 ? send_rows(batch, session, with_events, 0, batch->n) : 0;
}

int batch_send_one(Batch *batch, StoreSession *session, bool with_events, size_t i) {
        CHECK(i < batch->n);
        return send_rows(batch, session, with_events, i, 1);
}

StoreResult batch_result(const Batch *batch, size_t i) {
        CHECK(i < batch->n);
        return batch->type == RECORD_USERS  ? batch->rows.users[i].result
               : batch->type == RECORD_URLS ? batch->rows.urls[i].result
                                            : batch->rows.events[i].result;
}

int64_t batch_id(const Batch *batch, size_t i) {
        CHECK(i < batch->n);
        return batch->type == RECORD_USERS  ? batch->rows.users[i].user.id
               : batch->type == RECORD_URLS ? batch->rows.urls[i].url.id
                                            : batch->rows.events[i].event.id;
}

const char *batch_refusal(StoreResult result) {
        if (result == STORE_USERNAME_TAKEN)
                return "Username already exists";
        if (result == STORE_EMAIL_TAKEN)
                return "Email already exists";
        if (result == STORE_CODE_TAKEN)
                return "short_code already exists";
        if (result == STORE_NO_USER)
                return "User not found";
        if (result == STORE_NO_URL)
                return "URL not found";
        return "the id is taken or out of range";
}
