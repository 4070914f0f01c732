/* SPDX-License-Identifier: MIT */

/* Events of the in-memory store: those of API and imports, and their lists. */

#include <errno.h>

#include "store/fake/session.h"

static int create(StoreSession *session, FakeData *data, const Event *event, Event *ret) {
        bool is_redirect = slice_equal(event->type, STORE_EVENT_REDIRECT);
        FakeEvent row = {.event = *event};
        int64_t id;
        int r;

        if (!fake_find(&data->urls, event->url_id))
                return STORE_NO_URL;
        if (event->user_id != 0 && fake_live_user(data, event->user_id) == 0)
                return STORE_NO_USER;
        row.event.id = data->events.last_id + 1;
        r = is_redirect ? fake_audit_event(session, data, &row.event) : 0;
        if (r < 0)
                return r;
        r = fake_add_event(data, &row, &id);
        if (r < 0 && is_redirect)
                fake_pop_audit(data);
        if (r == 0)
                *ret = row.event;
        return r;
}

int fake_event_create(StoreSession *session, const Event *event, const StoreKey *key, Event *ret) {
        FakeData *data;
        Event row;
        int r;

        r = fake_begin_once(session, key, &data);
        if (r != 0)
                return r;
        r = create(session, data, event, &row);
        r = fake_end_once(session, data, key, r, &row, &SLICE_NONE, 0);
        if (r == 0)
                *ret = row;
        return r;
}

static int show(Arena *arena, const FakeData *data, const Event *event, Event *ret) {
        Event copy = *event;

        copy.user_id = fake_live_user(data, event->user_id);
        copy.type = arena_dup(arena, event->type);
        if (event->details.data)
                copy.details = arena_dup(arena, event->details);
        if (event->request_id.data)
                copy.request_id = arena_dup(arena, event->request_id);
        if (!copy.type.data || (event->details.data && !copy.details.data) ||
            (event->request_id.data && !copy.request_id.data))
                return -ENOMEM;
        *ret = copy;
        return 0;
}

static bool matches(const FakeData *data, const StoreQuery *query, const Event *event) {
        if (query->has_url_id && query->url_id != event->url_id)
                return false;
        if (query->has_user_id &&
            (query->user_id != event->user_id || fake_live_user(data, event->user_id) == 0))
                return false;
        return !query->type.data || slice_equal(query->type, event->type);
}

static int list(FakeData *data, Arena *arena, const StoreQuery *query, FakeWindow *window,
                Event **ret_rows, size_t *ret_n) {
        Event *rows = arena_new(arena, Event, fake_window_rows(window, &data->events));
        size_t n = 0;

        if (!rows)
                return -ENOMEM;
        for (size_t i = data->events.n; i-- > 0;) {
                const FakeEvent *event = fake_row(&data->events, i);
                bool behind = !query->has_after || event->event.id < query->after;

                if (!matches(data, query, &event->event) || !fake_window_admits(window, behind))
                        continue;
                if (show(arena, data, &event->event, &rows[n++]) < 0)
                        return -ENOMEM;
        }
        *ret_rows = rows;
        *ret_n = n;
        return 0;
}

int fake_event_list(StoreSession *session, Arena *arena, const StoreQuery *query, Event **ret_rows,
                    size_t *ret_n, int64_t *ret_total) {
        bool filtered = query->has_url_id || query->has_user_id || query->type.data;
        FakeWindow window = fake_window(query);
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        r = list(data, arena, query, &window, ret_rows, ret_n);
        if (r == 0 && ret_total)
                *ret_total = fake_window_total(&window, filtered);
        fake_end_read(session);
        return r;
}

static int import_row(FakeData *data, StoreEventRow *row) {
        FakeEvent event = {.event = row->event};
        int64_t id;

        row->result = STORE_OK;
        if (!fake_find(&data->urls, row->event.url_id))
                row->result = STORE_NO_URL;
        else if (row->event.id < 0 || row->event.id > STORE_ID_MAX ||
                 (row->event.id != 0 && fake_find(&data->events, row->event.id)))
                row->result = STORE_REFUSED;
        if (row->result != STORE_OK)
                return 0;
        if (fake_add_event(data, &event, &id) < 0)
                return -ENOMEM;
        row->event.id = id;
        return 0;
}

int fake_events_import(StoreSession *session, StoreEventRow *rows, size_t n) {
        AuditCounts added = {.events = 0};
        FakeData *draft;
        int r;

        r = fake_begin_import(session, &draft);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n && r == 0; i++) {
                r = import_row(draft, &rows[i]);
                added.events += rows[i].result == STORE_OK;
        }
        if (r == 0)
                r = fake_audit_import(session, draft, &added);
        return fake_end_import(session, draft, r, &SLICE_NONE, 0);
}
