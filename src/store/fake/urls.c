/* SPDX-License-Identifier: MIT */

/* Links of the in-memory store. A change and its event go in together or not at all: what may fail
 * for want of memory comes first, the event next, the change last. */

#include <errno.h>

#include "model/details.h"
#include "store/fake/session.h"

/* ---- reading ---- */

static int show(Arena *arena, const FakeData *data, const Url *url, Url *ret) {
        Url copy = *url;

        copy.user_id = fake_live_user(data, url->user_id);
        copy.code = arena_dup(arena, url->code);
        copy.target = arena_dup(arena, url->target);
        copy.location = arena_dup(arena, url->location);
        if (url->title.data)
                copy.title = arena_dup(arena, url->title);
        if (!copy.code.data || !copy.target.data || !copy.location.data ||
            (url->title.data && !copy.title.data))
                return -ENOMEM;
        *ret = copy;
        return 0;
}

int fake_url_get(StoreSession *session, Arena *arena, int64_t id, Url *ret) {
        FakeData *data;
        const FakeUrl *url;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        url = fake_find(&data->urls, id);
        r = url ? show(arena, data, &url->url, ret) : STORE_NOT_FOUND;
        fake_end_read(session);
        return r;
}

int fake_url_get_by_code(StoreSession *session, Arena *arena, Slice code, Url *ret) {
        FakeData *data;
        const FakeUrl *url;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        url = fake_url_by_code(data, code);
        r = url ? show(arena, data, &url->url, ret) : STORE_NOT_FOUND;
        fake_end_read(session);
        return r;
}

int fake_url_stats(StoreSession *session, Arena *arena, int64_t id, Url *ret,
                   int64_t *ret_redirects) {
        FakeData *data;
        const FakeUrl *url;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        url = fake_find(&data->urls, id);
        r = url ? show(arena, data, &url->url, ret) : STORE_NOT_FOUND;
        if (r == 0)
                *ret_redirects = url->redirects;
        fake_end_read(session);
        return r;
}

static bool matches(const FakeData *data, const StoreQuery *query, const Url *url) {
        if (query->has_user_id &&
            (query->user_id != url->user_id || fake_live_user(data, url->user_id) == 0))
                return false;
        return !query->has_active || query->is_active == url->is_active;
}

static int list(FakeData *data, Arena *arena, const StoreQuery *query, FakeWindow *window,
                Url **ret_rows, size_t *ret_n) {
        Url *rows = arena_new(arena, Url, fake_window_rows(window, &data->urls));
        size_t n = 0;

        if (!rows)
                return -ENOMEM;
        for (size_t i = 0; i < data->urls.n; i++) {
                const FakeUrl *url = fake_row(&data->urls, i);
                bool behind = !query->has_after || url->url.id > query->after;

                if (!matches(data, query, &url->url) || !fake_window_admits(window, behind))
                        continue;
                if (show(arena, data, &url->url, &rows[n++]) < 0)
                        return -ENOMEM;
        }
        *ret_rows = rows;
        *ret_n = n;
        return 0;
}

int fake_url_list(StoreSession *session, Arena *arena, const StoreQuery *query, Url **ret_rows,
                  size_t *ret_n, int64_t *ret_total) {
        FakeWindow window = fake_window(query);
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        r = list(data, arena, query, &window, ret_rows, ret_n);
        if (r == 0 && ret_total)
                *ret_total = fake_window_total(&window, query->has_user_id || query->has_active);
        fake_end_read(session);
        return r;
}

static int show_link(Arena *arena, const Url *url, Link *link) {
        Slice location = arena_dup(arena, url->location);

        if (!location.data)
                return -ENOMEM;
        link->id = url->id;
        link->location = location;
        link->is_active = url->is_active;
        return 0;
}

int fake_urls_by_codes(StoreSession *session, Arena *arena, Link *links, size_t n) {
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n && r == 0; i++) {
                const FakeUrl *url = fake_url_by_code(data, links[i].code);

                links[i] = (Link){.code = links[i].code};
                if (url)
                        r = show_link(arena, &url->url, &links[i]);
        }
        fake_end_read(session);
        return r;
}

typedef struct Hot {
        int64_t id, redirects;
} Hot;

static int compare_hot(const void *a, const void *b) {
        const Hot *x = a, *y = b;

        if (x->redirects != y->redirects)
                return x->redirects > y->redirects ? -1 : 1;
        return x->id > y->id ? -1 : 1;
}

/* *ret: malloc'ed, the hottest first. */
static int sort_hot(const FakeData *data, Hot **ret, size_t *ret_n) {
        Hot *hot = calloc(data->urls.n + 1, sizeof(*hot));
        size_t n = 0;

        if (!hot)
                return -ENOMEM;
        for (size_t i = 0; i < data->urls.n; i++) {
                const FakeUrl *url = fake_row(&data->urls, i);

                if (url->url.is_active)
                        hot[n++] = (Hot){url->url.id, url->redirects};
        }
        qsort(hot, n, sizeof(*hot), compare_hot);
        *ret = hot;
        *ret_n = n;
        return 0;
}

int fake_codes_each(StoreSession *session, int64_t limit,
                    int (*each)(void *userdata, const Link *link), void *userdata) {
        _cleanup_free_ Hot *hot = NULL;
        FakeData *data;
        size_t n = 0;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        r = sort_hot(data, &hot, &n);
        for (size_t i = 0; i < n && limit-- > 0; i++) {
                const FakeUrl *url = fake_find(&data->urls, hot[i].id);
                Link link = {url->url.id, url->url.code, url->url.location, true};

                if (each(userdata, &link) != 0)
                        break;
        }
        fake_end_read(session);
        return r;
}

/* ---- writing ---- */

static int add_event(FakeData *data, const Url *url, Slice type, Slice details, int64_t now_sec) {
        FakeEvent event = {.event = {.url_id = url->id,
                                     .user_id = fake_live_user(data, url->user_id),
                                     .type = type,
                                     .timestamp_sec = now_sec,
                                     .details = details}};
        int64_t id;

        return fake_add_event(data, &event, &id);
}

/* The url, and its event "created" when details are passed. */
static int add_url(FakeData *data, const Url *url, const Slice *details, int64_t *ret_id) {
        Url row = *url;
        int r;

        if (row.id == 0)
                row.id = data->urls.last_id + 1;
        r = fake_reserve(&data->urls, 1);
        if (r < 0)
                return r;
        if (details) {
                r = add_event(data, &row, STORE_EVENT_CREATED, *details, url->created_sec);
                if (r < 0)
                        return r;
        }
        r = fake_add_url(data, &row, ret_id);
        if (r < 0 && details)
                fake_pop_events(data, 1);
        return r;
}

static int check_new(const FakeData *data, const Url *url) {
        if (url->user_id != 0 && fake_live_user(data, url->user_id) == 0)
                return STORE_NO_USER;
        return fake_url_by_code(data, url->code) ? STORE_CODE_TAKEN : STORE_OK;
}

static bool is_full(const FakeData *data, const StoreUrlNew *new) {
        int64_t n = 0;

        if (new->user_max == 0 || new->url->user_id == 0)
                return false;
        for (size_t i = 0; i < data->urls.n; i++)
                n += ((const FakeUrl *)fake_row(&data->urls, i))->url.user_id == new->url->user_id;
        return n >= new->user_max;
}

static int create(StoreSession *session, FakeData *data, const StoreUrlNew *new, Url *ret) {
        Url row = *new->url;
        int64_t id;
        int r;

        r = check_new(data, new->url);
        if (r != STORE_NO_USER && is_full(data, new))
                return STORE_FULL;
        if (r != 0)
                return r;
        row.id = data->urls.last_id + 1;
        row.is_active = true;
        row.updated_sec = row.created_sec;
        r = fake_audit_url(session, data, "create", NULL, &row);
        if (r < 0)
                return r;
        r = add_url(data, &row, &new->details, &id);
        if (r < 0)
                fake_pop_audit(data);
        if (r == 0)
                *ret = row;
        return r;
}

int fake_url_create(StoreSession *session, const StoreUrlNew *new, const StoreKey *key, Url *ret) {
        FakeData *data;
        Url row;
        int r;

        r = fake_begin_once(session, key, &data);
        if (r != 0)
                return r;
        r = create(session, data, new, &row);
        r = fake_end_once(session, data, key, r, &row, &new->url->code, 1);
        if (r == 0)
                *ret = row;
        return r;
}

static int add_updated_events(FakeData *data, const Url *url, const StoreUrlChange *change) {
        const struct {
                bool named;
                Slice details;
        } fields[] = {
                        {change->has_target, change->target_details},
                        {change->has_title, change->title_details},
                        {change->has_active, change->active_details},
        };
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                if (!fields[i].named)
                        continue;
                if (add_event(data, url, STORE_EVENT_UPDATED, fields[i].details, change->now_sec) <
                    0) {
                        fake_pop_events(data, n);
                        return -ENOMEM;
                }
                n++;
        }
        return 0;
}

/* Copies of the texts of new into a row of the store, all or none. */
static int replace_texts(Url *url, const Url *new) {
        Slice target, location, title;

        if (fake_dup(new->target, &target) < 0)
                return -ENOMEM;
        if (fake_dup(new->location, &location) < 0) {
                fake_slice_free(&target);
                return -ENOMEM;
        }
        if (fake_dup(new->title, &title) < 0) {
                fake_slice_free(&target);
                fake_slice_free(&location);
                return -ENOMEM;
        }
        fake_replace(&url->target, &target);
        fake_replace(&url->location, &location);
        fake_replace(&url->title, &title);
        return 0;
}

static int check(const FakeData *data, const FakeUrl *row, const StoreCondition *condition) {
        Url now = row->url;

        now.user_id = fake_live_user(data, now.user_id);
        return store_condition_check(condition, &now);
}

/* The row as it will be. */
static int merge(FakeData *data, Arena *arena, const Url *row, const StoreUrlChange *change,
                 Url *ret) {
        Url shown = *row;

        if (change->has_target) {
                shown.target = change->target;
                shown.location = change->location;
        }
        if (change->has_title)
                shown.title = change->title;
        if (change->has_active)
                shown.is_active = change->is_active;
        shown.updated_sec = change->now_sec;
        return show(arena, data, &shown, ret);
}

static int audit_update(StoreSession *session, FakeData *data, const Url *row, const Url *new) {
        Url old = *row;

        old.user_id = fake_live_user(data, row->user_id);
        return fake_audit_url(session, data, "update", &old, new);
}

static int update(StoreSession *session, FakeData *data, Arena *arena, int64_t id,
                  const StoreUrlChange *change, Url *ret) {
        FakeUrl *row = fake_find(&data->urls, id);
        size_t n_events = data->events.n;
        Url shown;
        int r;

        if (!row)
                return STORE_NOT_FOUND;
        r = check(data, row, change->condition);
        if (r != 0)
                return r;
        if (merge(data, arena, &row->url, change, &shown) < 0 ||
            audit_update(session, data, &row->url, &shown) < 0)
                return -ENOMEM;
        if (add_updated_events(data, &row->url, change) < 0) {
                fake_pop_audit(data);
                return -ENOMEM;
        }
        if (replace_texts(&row->url, &shown) < 0) {
                fake_pop_audit(data);
                fake_pop_events(data, data->events.n - n_events);
                return -ENOMEM;
        }
        row->url.is_active = shown.is_active;
        row->url.updated_sec = shown.updated_sec;
        *ret = shown;
        return 0;
}

int fake_url_update(StoreSession *session, Arena *arena, int64_t id, const StoreUrlChange *change,
                    Url *ret) {
        bool redirect_changes = change->has_target || change->has_active;
        FakeData *data;
        int r;

        r = fake_begin_write(session, &data);
        if (r < 0)
                return r;
        r = update(session, data, arena, id, change, ret);
        return fake_end_write(session, r, r == 0 ? &ret->code : &SLICE_NONE, redirect_changes);
}

static int retire(StoreSession *session, FakeData *data, Url *url, int64_t now_sec, Slice details) {
        Url new = *url;
        int r;

        new.is_active = false;
        r = fake_audit_url(session, data, "delete", url, &new);
        if (r < 0)
                return r;
        r = add_event(data, url, STORE_EVENT_DELETED, details, now_sec);
        if (r < 0) {
                fake_pop_audit(data);
                return r;
        }
        url->is_active = false;
        url->updated_sec = now_sec;
        return 0;
}

int fake_url_retire(StoreSession *session, int64_t id, int64_t now_sec, Slice details,
                    const StoreCondition *condition) {
        FakeData *data;
        FakeUrl *row;
        int r;

        r = fake_begin_write(session, &data);
        if (r < 0)
                return r;
        row = fake_find(&data->urls, id);
        if (!row || !row->url.is_active)
                return fake_end_write(session, STORE_NOT_FOUND, &SLICE_NONE, 0);
        r = check(data, row, condition);
        if (r == 0)
                r = retire(session, data, &row->url, now_sec, details);
        return fake_end_write(session, r, &row->url.code, 1);
}

/* ---- importing ---- */

static int import_row(FakeData *data, StoreUrlRow *row, Arena *arena, bool with_events) {
        Slice details = SLICE_NONE;
        int64_t id;
        int r = check_new(data, &row->url);

        if (r == STORE_OK && (row->url.id < 0 || row->url.id > STORE_ID_MAX ||
                              (row->url.id != 0 && fake_find(&data->urls, row->url.id))))
                r = STORE_REFUSED;
        row->result = (StoreResult)r;
        if (r != STORE_OK)
                return 0;
        arena_reset(arena);
        if (with_events) {
                details = details_created(arena, row->url.target, row->url.code);
                if (!details.data)
                        return -ENOMEM;
        }
        r = add_url(data, &row->url, with_events ? &details : NULL, &id);
        if (r == 0)
                row->url.id = id;
        return r;
}

static int import(FakeData *data, StoreUrlRow *rows, size_t n, bool with_events) {
        Arena arena;
        int r = 0;

        arena_init(&arena, 0);
        for (size_t i = 0; i < n && r == 0; i++)
                r = import_row(data, &rows[i], &arena, with_events);
        arena_done(&arena);
        return r;
}

int fake_urls_import(StoreSession *session, StoreUrlRow *rows, size_t n, bool with_events) {
        _cleanup_free_ Slice *codes = calloc(n + 1, sizeof(*codes));
        AuditCounts added = {.urls = 0};
        size_t n_codes = 0;
        FakeData *draft;
        int r;

        if (!codes)
                return -ENOMEM;
        r = fake_begin_import(session, &draft);
        if (r < 0)
                return r;
        r = import(draft, rows, n, with_events);
        for (size_t i = 0; i < n; i++)
                if (rows[i].result == STORE_OK)
                        codes[n_codes++] = rows[i].url.code;
        added.urls = (int64_t)n_codes;
        if (r == 0)
                r = fake_audit_import(session, draft, &added);
        return fake_end_import(session, draft, r, codes, n_codes);
}
