/* SPDX-License-Identifier: MIT */

/* The audit of the in-memory store. */

#include <errno.h>
#include <stdlib.h>

#include "store/fake/session.h"

/* ---- writing ---- */

int fake_audit_url(StoreSession *session, FakeData *data, const char *action, const Url *old,
                   const Url *new) {
        int64_t id;
        Audit row;
        int r = store_note_url(session, action, old, new, &row);

        return r < 0 ? r : fake_add_audit(data, &row, &id);
}

int fake_audit_user(StoreSession *session, FakeData *data, const char *action, const User *old,
                    const User *new) {
        int64_t id;
        Audit row;
        int r = store_note_user(session, action, old, new, &row);

        return r < 0 ? r : fake_add_audit(data, &row, &id);
}

int fake_audit_token(StoreSession *session, FakeData *data, const char *action, const Token *old,
                     const Token *new) {
        int64_t id;
        Audit row;
        int r = store_note_token(session, action, old, new, &row);

        return r < 0 ? r : fake_add_audit(data, &row, &id);
}

int fake_audit_event(StoreSession *session, FakeData *data, const Event *event) {
        int64_t id;
        Audit row;
        int r = store_note_event(session, event, &row);

        return r < 0 ? r : fake_add_audit(data, &row, &id);
}

int fake_audit_import(StoreSession *session, FakeData *data, const AuditCounts *more) {
        Audit row, *made;
        Slice counts;
        int r;

        if (more->users + more->urls + more->events == 0)
                return 0;
        r = store_note_import(session, more, &row);
        if (r < 0)
                return r;
        made = row.id != 0 ? fake_find(&data->audit, row.id) : NULL;
        row.id = 0;
        if (!made)
                return fake_add_audit(data, &row, &session->import_next.audit_id);
        if (fake_dup(row.new_fields, &counts) < 0)
                return -ENOMEM;
        fake_replace(&made->new_fields, &counts);
        return 0;
}

int fake_audit_load(StoreSession *session, FakeData *data, const StoreTotals *was) {
        Audit row;
        int r = store_note_load(session, was, &row);

        return r < 0 ? r : fake_add_audit(data, &row, &session->import_next.audit_id);
}

/* ---- reading ---- */

static bool matches(const StoreAuditQuery *query, const Audit *row) {
        if (row->time_sec > query->after_sec || row->time_sec < query->since_sec ||
            (row->time_sec == query->after_sec && row->id >= query->after_id))
                return false;
        if (query->kind.data &&
            (!slice_equal(query->kind, row->kind) || query->object_id != row->object_id))
                return false;
        if ((query->token_id != 0 && query->token_id != row->token_id) ||
            (query->user_id != 0 && query->user_id != row->user_id))
                return false;
        if (query->request_id.data && !slice_equal(query->request_id, row->request_id))
                return false;
        return !query->actor.data || slice_equal(query->actor, row->actor);
}

static int newest_first(const void *a, const void *b) {
        const Audit *x = a, *y = b;

        if (x->time_sec != y->time_sec)
                return x->time_sec > y->time_sec ? -1 : 1;
        return x->id > y->id ? -1 : 1;
}

static int show(Arena *arena, Audit *row) {
        Slice *const texts[] = {&row->actor,      &row->action,     &row->kind,
                                &row->old_fields, &row->new_fields, &row->request_id};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                if (!texts[i]->data)
                        continue;
                *texts[i] = arena_dup(arena, *texts[i]);
                if (!texts[i]->data)
                        return -ENOMEM;
        }
        return 0;
}

static int list(const FakeData *data, Arena *arena, const StoreAuditQuery *query, Audit **ret_rows,
                size_t *ret_n) {
        Audit *rows = arena_alloc_zero(arena, data->audit.n + 1, sizeof(*rows));
        size_t n = 0;

        if (!rows)
                return -ENOMEM;
        for (size_t i = 0; i < data->audit.n; i++) {
                const Audit *row = fake_row(&data->audit, i);

                if (matches(query, row))
                        rows[n++] = *row;
        }
        qsort(rows, n, sizeof(*rows), newest_first);
        n = MIN(n, (size_t)query->limit);
        for (size_t i = 0; i < n; i++)
                if (show(arena, &rows[i]) < 0)
                        return -ENOMEM;
        *ret_rows = rows;
        *ret_n = n;
        return 0;
}

int fake_audit_list(StoreSession *session, Arena *arena, const StoreAuditQuery *query,
                    Audit **ret_rows, size_t *ret_n) {
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        r = list(data, arena, query, ret_rows, ret_n);
        fake_end_read(session);
        return r;
}

/* Rows are in the order of their ids, which is that of their times but for a clock that was set
 * back. */
int fake_audit_tidy(StoreSession *session, int64_t before_sec, bool *ret_more) {
        FakeData *data;
        size_t n = 0;
        int r;

        r = fake_begin_write(session, &data);
        if (r < 0)
                return r;
        while (n < data->audit.n && n < STORE_AUDIT_TIDY_ROWS &&
               ((const Audit *)fake_row(&data->audit, n))->time_sec < before_sec)
                n++;
        if (n > 0)
                fake_drop_audit(data, n);
        *ret_more = n == STORE_AUDIT_TIDY_ROWS;
        return fake_end_write(session, 0, &SLICE_NONE, 0);
}
