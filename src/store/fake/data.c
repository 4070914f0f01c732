/* SPDX-License-Identifier: MIT */

/*
 * The tables of the in-memory store. Simple before fast: ids are found by bisection, everything
 * else by looking at each row.
 */

#include <errno.h>

#include "store/fake/data.h"

#define TABLE_MIN 16u /* rows of the first allocation */

/* ---- texts ---- */

int fake_dup(Slice s, Slice *ret) {
        char *copy;

        if (!s.data) {
                *ret = SLICE_NONE;
                return 0;
        }
        copy = malloc(s.len + 1);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, s.data, s.len);
        copy[s.len] = 0;
        *ret = slice_make(copy, s.len);
        return 0;
}

void fake_slice_free(Slice *text) {
        free((char *)text->data);
        *text = SLICE_NONE;
}

void fake_replace(Slice *text, Slice *from) {
        fake_slice_free(text);
        *text = *from;
        *from = SLICE_NONE;
}

/* Copies n texts, or none of them. */
static int dup_all(const Slice *from, Slice *to, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (fake_dup(from[i], &to[i]) < 0) {
                        while (i-- > 0)
                                fake_slice_free(&to[i]);
                        return -ENOMEM;
                }
        return 0;
}

/* ---- tables ---- */

void *fake_row(const FakeTable *table, size_t i) {
        return table->items + i * table->item_size;
}

static int64_t row_id(const FakeTable *table, size_t i) {
        return *(const int64_t *)fake_row(table, i);
}

/* Index of the first row whose id is not below id. */
static size_t lower_bound(const FakeTable *table, int64_t id) {
        size_t low = 0;
        size_t high = table->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (row_id(table, middle) < id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

void *fake_find(const FakeTable *table, int64_t id) {
        size_t i = lower_bound(table, id);

        return i < table->n && row_id(table, i) == id ? fake_row(table, i) : NULL;
}

int fake_reserve(FakeTable *table, size_t n) {
        size_t wanted = MAX(table->n + n, TABLE_MIN);
        size_t size = MAX(table->size * 2, wanted);
        char *items;

        if (table->n + n <= table->size)
                return 0;
        items = reallocarray(table->items, size, table->item_size);
        if (!items)
                return -ENOMEM;
        table->items = items;
        table->size = size;
        return 0;
}

/* There is room, and the id is free. */
static int64_t insert(FakeTable *table, const void *row, int64_t id) {
        size_t at;
        char *place;

        if (id == 0)
                id = table->last_id + 1;
        at = lower_bound(table, id);
        place = fake_row(table, at);
        memmove(place + table->item_size, place, (table->n - at) * table->item_size);
        memcpy(place, row, table->item_size);
        *(int64_t *)(void *)place = id;
        table->n++;
        table->last_id = MAX(table->last_id, id);
        return id;
}

/* ---- looking up ---- */

User *fake_user_by_name(const FakeData *data, Slice username) {
        for (size_t i = 0; i < data->users.n; i++) {
                User *user = fake_row(&data->users, i);

                if (slice_equal(user->username, username))
                        return user;
        }
        return NULL;
}

User *fake_user_by_email(const FakeData *data, Slice email) {
        for (size_t i = 0; i < data->users.n; i++) {
                User *user = fake_row(&data->users, i);

                if (slice_equal(user->email, email))
                        return user;
        }
        return NULL;
}

FakeUrl *fake_url_by_code(const FakeData *data, Slice code) {
        for (size_t i = 0; i < data->urls.n; i++) {
                FakeUrl *url = fake_row(&data->urls, i);

                if (slice_equal(url->url.code, code))
                        return url;
        }
        return NULL;
}

int64_t fake_live_user(const FakeData *data, int64_t id) {
        return fake_find(&data->users, id) ? id : 0;
}

StoreOffset *fake_offset(const FakeData *data, const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        for (size_t i = 0; i < data->n_offsets; i++)
                if (memcmp(data->offsets[i].spool, spool, STORE_SPOOL_ID_SIZE) == 0)
                        return &data->offsets[i];
        return NULL;
}

/* ---- adding and removing ---- */

StoreOffset *fake_offset_add(FakeData *data, const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        StoreOffset *offsets;

        offsets = reallocarray(data->offsets, data->n_offsets + 1, sizeof(*offsets));
        if (!offsets)
                return NULL;
        data->offsets = offsets;
        offsets += data->n_offsets++;
        *offsets = (StoreOffset){.first_seq = 0};
        memcpy(offsets->spool, spool, STORE_SPOOL_ID_SIZE);
        return offsets;
}

void fake_offset_remove(FakeData *data, StoreOffset *offset) {
        size_t behind = (size_t)(data->offsets + data->n_offsets - offset) - 1;

        memmove(offset, offset + 1, behind * sizeof(*offset));
        data->n_offsets--;
}

int fake_add_user(FakeData *data, const User *user, int64_t *ret_id) {
        const Slice from[] = {user->username, user->email};
        Slice texts[ELEMENTSOF(from)];
        User copy = *user;

        if (fake_reserve(&data->users, 1) < 0 || dup_all(from, texts, ELEMENTSOF(from)) < 0)
                return -ENOMEM;
        copy.username = texts[0];
        copy.email = texts[1];
        *ret_id = insert(&data->users, &copy, user->id);
        return 0;
}

int fake_add_token(FakeData *data, const Token *token, int64_t *ret_id) {
        Token copy = *token;

        if (fake_reserve(&data->tokens, 1) < 0 || fake_dup(token->name, &copy.name) < 0)
                return -ENOMEM;
        *ret_id = insert(&data->tokens, &copy, token->id);
        return 0;
}

int fake_add_audit(FakeData *data, const Audit *audit, int64_t *ret_id) {
        const Slice from[] = {audit->actor,      audit->action,     audit->kind,
                              audit->old_fields, audit->new_fields, audit->request_id};
        Slice texts[ELEMENTSOF(from)];
        Audit copy = *audit;

        if (fake_reserve(&data->audit, 1) < 0 || dup_all(from, texts, ELEMENTSOF(from)) < 0)
                return -ENOMEM;
        copy.actor = texts[0];
        copy.action = texts[1];
        copy.kind = texts[2];
        copy.old_fields = texts[3];
        copy.new_fields = texts[4];
        copy.request_id = texts[5];
        *ret_id = insert(&data->audit, &copy, audit->id);
        return 0;
}

static void free_audit(Audit *audit) {
        fake_slice_free(&audit->actor);
        fake_slice_free(&audit->action);
        fake_slice_free(&audit->kind);
        fake_slice_free(&audit->old_fields);
        fake_slice_free(&audit->new_fields);
        fake_slice_free(&audit->request_id);
}

void fake_pop_audit(FakeData *data) {
        free_audit(fake_row(&data->audit, --data->audit.n));
        data->audit.last_id--;
}

void fake_drop_audit(FakeData *data, size_t n) {
        FakeTable *table = &data->audit;

        for (size_t i = 0; i < n; i++)
                free_audit(fake_row(table, i));
        table->n -= n;
        memmove(fake_row(table, 0), fake_row(table, n), table->n * table->item_size);
}

static void free_user(User *user) {
        fake_slice_free(&user->username);
        fake_slice_free(&user->email);
}

static void remove_row(FakeTable *table, int64_t id) {
        size_t i = lower_bound(table, id);

        table->n--;
        memmove(fake_row(table, i), fake_row(table, i + 1), (table->n - i) * table->item_size);
}

void fake_remove_user(FakeData *data, User *user) {
        int64_t id = user->id;

        free_user(user);
        remove_row(&data->users, id);
}

int fake_add_key(FakeData *data, const FakeKey *key, int64_t *ret_id) {
        FakeKey copy = *key;

        if (fake_reserve(&data->keys, 1) < 0 || fake_dup(key->body, &copy.body) < 0)
                return -ENOMEM;
        *ret_id = insert(&data->keys, &copy, key->id);
        return 0;
}

void fake_remove_key(FakeData *data, FakeKey *key) {
        int64_t id = key->id;

        fake_slice_free(&key->body);
        remove_row(&data->keys, id);
}

/* Visits may have come before their link. */
static int64_t count_orphans(const FakeData *data, int64_t url_id) {
        int64_t n = 0;

        for (size_t i = 0; i < data->events.n && data->has_orphans; i++) {
                const FakeEvent *event = fake_row(&data->events, i);

                n += event->event.url_id == url_id &&
                     slice_equal(event->event.type, STORE_EVENT_REDIRECT);
        }
        return n;
}

int fake_add_url(FakeData *data, const Url *url, int64_t *ret_id) {
        const Slice from[] = {url->code, url->target, url->location, url->title};
        Slice texts[ELEMENTSOF(from)];
        FakeUrl row = {.url = *url};

        if (fake_reserve(&data->urls, 1) < 0 || dup_all(from, texts, ELEMENTSOF(from)) < 0)
                return -ENOMEM;
        row.url.code = texts[0];
        row.url.target = texts[1];
        row.url.location = texts[2];
        row.url.title = texts[3];
        *ret_id = insert(&data->urls, &row, url->id);
        ((FakeUrl *)fake_find(&data->urls, *ret_id))->redirects = count_orphans(data, *ret_id);
        return 0;
}

static void free_url(FakeUrl *url) {
        fake_slice_free(&url->url.code);
        fake_slice_free(&url->url.target);
        fake_slice_free(&url->url.location);
        fake_slice_free(&url->url.title);
}

static void count_redirect(FakeData *data, const Event *event, int64_t delta) {
        FakeUrl *url = fake_find(&data->urls, event->url_id);

        if (!slice_equal(event->type, STORE_EVENT_REDIRECT))
                return;
        if (url)
                url->redirects += delta;
        else
                data->has_orphans = true;
}

int fake_add_event(FakeData *data, const FakeEvent *event, int64_t *ret_id) {
        const Slice from[] = {event->event.type, event->event.details, event->event.request_id};
        Slice texts[ELEMENTSOF(from)];
        FakeEvent row = *event;

        if (fake_reserve(&data->events, 1) < 0 || dup_all(from, texts, ELEMENTSOF(from)) < 0)
                return -ENOMEM;
        row.event.type = texts[0];
        row.event.details = texts[1];
        row.event.request_id = texts[2];
        *ret_id = insert(&data->events, &row, event->event.id);
        count_redirect(data, &row.event, 1);
        return 0;
}

static void free_event(FakeEvent *event) {
        fake_slice_free(&event->event.type);
        fake_slice_free(&event->event.details);
        fake_slice_free(&event->event.request_id);
}

void fake_pop_events(FakeData *data, size_t n) {
        while (n-- > 0) {
                FakeEvent *event = fake_row(&data->events, --data->events.n);

                count_redirect(data, &event->event, -1);
                free_event(event);
                data->events.last_id--;
        }
}

/* ---- all tables ---- */

FakeData *fake_data_new(void) {
        FakeData *data = calloc(1, sizeof(*data));

        if (!data)
                return NULL;
        data->users.item_size = sizeof(User);
        data->urls.item_size = sizeof(FakeUrl);
        data->events.item_size = sizeof(FakeEvent);
        data->tokens.item_size = sizeof(Token);
        data->audit.item_size = sizeof(Audit);
        data->keys.item_size = sizeof(FakeKey);
        return data;
}

void fake_data_clear(FakeData *data) {
        for (size_t i = 0; i < data->users.n; i++)
                free_user(fake_row(&data->users, i));
        for (size_t i = 0; i < data->urls.n; i++)
                free_url(fake_row(&data->urls, i));
        for (size_t i = 0; i < data->events.n; i++)
                free_event(fake_row(&data->events, i));
        data->users.n = data->urls.n = data->events.n = 0;
        for (size_t i = 0; i < data->n_offsets; i++) {
                StoreOffset *offset = &data->offsets[i];

                offset->first_seq = offset->next_seq;
                offset->rows = offset->shed = offset->bad = offset->damaged = 0;
        }
}

FakeData *fake_data_free(FakeData *data) {
        if (!data)
                return NULL;
        fake_data_clear(data);
        for (size_t i = 0; i < data->tokens.n; i++)
                fake_slice_free(&((Token *)fake_row(&data->tokens, i))->name);
        if (data->audit.n > 0)
                fake_drop_audit(data, data->audit.n);
        free(data->audit.items);
        free(data->tokens.items);
        for (size_t i = 0; i < data->keys.n; i++)
                fake_slice_free(&((FakeKey *)fake_row(&data->keys, i))->body);
        free(data->keys.items);
        free(data->users.items);
        free(data->urls.items);
        free(data->events.items);
        free(data->offsets);
        free(data);
        return NULL;
}

FakeData *fake_data_copy(const FakeData *data) {
        _cleanup_(fake_data_free_p) FakeData *copy = fake_data_new();
        int64_t id;

        if (!copy)
                return NULL;
        for (size_t i = 0; i < data->users.n; i++)
                if (fake_add_user(copy, fake_row(&data->users, i), &id) < 0)
                        return NULL;
        for (size_t i = 0; i < data->urls.n; i++) {
                const FakeUrl *url = fake_row(&data->urls, i);

                if (fake_add_url(copy, &url->url, &id) < 0)
                        return NULL;
        }
        for (size_t i = 0; i < data->events.n; i++)
                if (fake_add_event(copy, fake_row(&data->events, i), &id) < 0)
                        return NULL;
        for (size_t i = 0; i < data->n_offsets; i++) {
                StoreOffset *offset = fake_offset_add(copy, data->offsets[i].spool);

                if (!offset)
                        return NULL;
                *offset = data->offsets[i];
        }
        for (size_t i = 0; i < data->tokens.n; i++)
                if (fake_add_token(copy, fake_row(&data->tokens, i), &id) < 0)
                        return NULL;
        for (size_t i = 0; i < data->audit.n; i++)
                if (fake_add_audit(copy, fake_row(&data->audit, i), &id) < 0)
                        return NULL;
        copy->audit.last_id = data->audit.last_id;
        for (size_t i = 0; i < data->keys.n; i++)
                if (fake_add_key(copy, fake_row(&data->keys, i), &id) < 0)
                        return NULL;
        copy->keys.last_id = data->keys.last_id;
        copy->tokens.last_id = data->tokens.last_id;
        copy->users.last_id = data->users.last_id;
        copy->urls.last_id = data->urls.last_id;
        copy->events.last_id = data->events.last_id;
        return TAKE_PTR(copy);
}
