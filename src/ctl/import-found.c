/* SPDX-License-Identifier: MIT */

/*
 * Looking for the rows of a batch: those with ids of their own under that id, links without one
 * under their code, users and events without one among the rows that are newer than the state's
 * last_id. One that is found must have the same contents. A stored row stands for one row of the
 * batch at most, so that of two equal rows the second is sent and refused as it was the first time.
 */

#include <errno.h>
#include <stdlib.h>

#include "ctl/import-found.h"
#include "ctl/rules.h"

#define PAGE_ROWS     1000 /* rows looked at in one query */
#define CODES_MAX     64u  /* made codes that are looked up for one link */
#define CODE_ALPHABET "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* A row without an id. */
typedef struct Sought {
        uint64_t hash; /* of its contents */
        size_t row;
        bool found;
} Sought;

typedef struct Search {
        StoreSession *session;
        const ImportState *state;
        Batch *batch;
        bool *found;
        int64_t last_id; /* the highest of those that were found */
        Arena arena;     /* what the store returned */
        Sought sought[BATCH_ROWS];
        size_t n_sought;
} Search;

/* ---- contents ---- */

static bool same_user(const User *a, const User *b) {
        return slice_equal(a->username, b->username) && slice_equal(a->email, b->email);
}

static bool same_url(const Url *a, const Url *b) {
        return slice_equal(a->target, b->target) && slice_equal(a->title, b->title);
}

/* Its user is left out: the store shows none for a user who is gone. */
static bool same_event(const Event *a, const Event *b) {
        return a->url_id == b->url_id && a->timestamp_sec == b->timestamp_sec &&
               slice_equal(a->type, b->type) && slice_equal(a->details, b->details);
}

static uint64_t user_hash(const Search *search, const User *user) {
        return hash_keyed(&search->state->key, user->username);
}

static uint64_t event_hash(const Search *search, const Event *event) {
        const HashKey *key = &search->state->key;
        uint64_t parts[4] = {(uint64_t)event->url_id, (uint64_t)event->timestamp_sec,
                             hash_keyed(key, event->type), hash_keyed(key, event->details)};

        return hash_keyed(key, slice_make((const char *)parts, sizeof(parts)));
}

/* ---- by id ---- */

static int find_user_by_id(Search *search, const User *user, bool *ret) {
        User other;
        int r = store_user_get(search->session, &search->arena, user->id, &other);

        *ret = r == STORE_OK && same_user(user, &other);
        return r < 0 ? r : 0;
}

static int find_url_by_id(Search *search, const Url *url, bool *ret) {
        Url other;
        int r = store_url_get(search->session, &search->arena, url->id, &other);

        *ret = r == STORE_OK && same_url(url, &other);
        return r < 0 ? r : 0;
}

static int find_event_by_id(Search *search, const Event *event, bool *ret) {
        StoreQuery query = {.has_after = true, .after = event->id + 1, .limit = 1};
        Event *others;
        size_t n;
        int r;

        r = store_event_list(search->session, &search->arena, &query, &others, &n, NULL);
        *ret = r == STORE_OK && n == 1 && others[0].id == event->id &&
               same_event(event, &others[0]);
        return r < 0 ? r : 0;
}

/* Was a row above with the same id found? Then this one is another. */
static bool id_is_used(const Search *search, size_t i) {
        for (size_t j = 0; j < i; j++)
                if (search->found[j] && batch_id(search->batch, j) == batch_id(search->batch, i))
                        return true;
        return false;
}

static int find_by_id(Search *search, size_t i) {
        bool found = false;
        int r = 0;

        if (id_is_used(search, i))
                return 0;
        if (search->state->type == RECORD_USERS)
                r = find_user_by_id(search, batch_user(search->batch, i), &found);
        else if (search->state->type == RECORD_URLS)
                r = find_url_by_id(search, batch_url(search->batch, i), &found);
        else
                r = find_event_by_id(search, batch_event(search->batch, i), &found);
        search->found[i] = found;
        if (found)
                search->last_id = MAX(search->last_id, batch_id(search->batch, i));
        return r;
}

/* ---- links, by code ---- */

Slice import_code(const ImportState *state, uint64_t offset, unsigned attempt, Arena *arena) {
        size_t length = state->code_length;
        char *code = arena_alloc(arena, length);
        uint64_t input[3] = {offset, attempt, 0};
        size_t n = 0;

        if (!code)
                return SLICE_NONE;
        /* A pseudo-random function of the secret key: as hard to guess as random characters. */
        for (; n < length; input[2]++) {
                uint64_t bits = hash_keyed(&state->key,
                                           slice_make((const char *)input, sizeof(input)));

                for (int i = 0; i < 8 && n < length; i++, bits >>= 8)
                        if ((bits & 0xFF) < 248) /* 4 * 62: all characters alike */
                                code[n++] = CODE_ALPHABET[(bits & 0xFF) % 62];
        }
        return slice_make(code, length);
}

/* Is the link under this code the row's? *ret_taken: there is one at all. */
static int look_at_code(Search *search, const Url *url, Slice code, bool *ret_taken, bool *ret) {
        Url other;
        int r = store_url_get_by_code(search->session, &search->arena, code, &other);

        *ret_taken = r == STORE_OK;
        *ret = r == STORE_OK && other.id > search->state->last_id && same_url(url, &other);
        if (*ret)
                search->last_id = MAX(search->last_id, other.id);
        return r < 0 ? r : 0;
}

/* The codes that the row was given are tried in the same order; none behind a free one was. */
static int find_by_made_code(Search *search, size_t i) {
        const Url *url = batch_url(search->batch, i);
        bool taken = true;
        int r = 0;

        for (unsigned attempt = 0; attempt < CODES_MAX && taken && r == 0; attempt++) {
                Slice code = import_code(search->state, batch_offset(search->batch, i), attempt,
                                         &search->arena);

                if (!code.data)
                        return -ENOMEM;
                if (rules_code_reserved(code))
                        continue;
                r = look_at_code(search, url, code, &taken, &search->found[i]);
                if (search->found[i])
                        break;
        }
        return r;
}

static bool code_is_used(const Search *search, size_t i) {
        for (size_t j = 0; j < i; j++)
                if (search->found[j] && slice_equal(batch_url(search->batch, j)->code,
                                                    batch_url(search->batch, i)->code))
                        return true;
        return false;
}

static int find_by_code(Search *search, size_t i) {
        const Url *url = batch_url(search->batch, i);
        bool taken;

        if (!url->code.data)
                return find_by_made_code(search, i);
        if (code_is_used(search, i))
                return 0;
        return look_at_code(search, url, url->code, &taken, &search->found[i]);
}

/* ---- users and events, by contents ---- */

static int compare_sought(const void *left, const void *right) {
        const Sought *a = left, *b = right;

        if (a->hash != b->hash)
                return a->hash < b->hash ? -1 : 1;
        return a->row < b->row ? -1 : a->row > b->row;
}

/* The first of the sought with this hash. */
static size_t first_of(const Search *search, uint64_t hash) {
        size_t low = 0, high = search->n_sought;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (search->sought[middle].hash < hash)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static void mark_user(Search *search, const User *user) {
        uint64_t hash = user_hash(search, user);

        for (size_t i = first_of(search, hash);
             i < search->n_sought && search->sought[i].hash == hash; i++)
                if (!search->sought[i].found &&
                    same_user(user, batch_user(search->batch, search->sought[i].row))) {
                        search->sought[i].found = true;
                        search->last_id = MAX(search->last_id, user->id);
                        return;
                }
}

static void mark_event(Search *search, const Event *event) {
        uint64_t hash = event_hash(search, event);

        for (size_t i = first_of(search, hash);
             i < search->n_sought && search->sought[i].hash == hash; i++)
                if (!search->sought[i].found &&
                    same_event(event, batch_event(search->batch, search->sought[i].row))) {
                        search->sought[i].found = true;
                        search->last_id = MAX(search->last_id, event->id);
                        return;
                }
}

/* One page of users from query->after on; *ret_more: there are others behind it. */
static int scan_users(Search *search, StoreQuery *query, bool *ret_more) {
        User *users;
        size_t n;
        int r;

        r = store_user_list(search->session, &search->arena, query, &users, &n, NULL);
        if (r != 0)
                return r;
        for (size_t i = 0; i < n; i++)
                mark_user(search, &users[i]);
        if (n > 0)
                query->after = users[n - 1].id;
        *ret_more = n == PAGE_ROWS;
        return 0;
}

/* Newest first, down to last_id. */
static int scan_events(Search *search, StoreQuery *query, bool *ret_more) {
        Event *events;
        size_t n;
        int r;

        r = store_event_list(search->session, &search->arena, query, &events, &n, NULL);
        if (r != 0)
                return r;
        *ret_more = n == PAGE_ROWS && events[n - 1].id > search->state->last_id + 1;
        for (size_t i = 0; i < n && events[i].id > search->state->last_id; i++)
                mark_event(search, &events[i]);
        query->has_after = true;
        if (n > 0)
                query->after = events[n - 1].id;
        return 0;
}

static int scan(Search *search) {
        bool users = search->state->type == RECORD_USERS, more = search->n_sought > 0;
        StoreQuery query = {
                        .limit = PAGE_ROWS, .has_after = users, .after = search->state->last_id};

        qsort(search->sought, search->n_sought, sizeof(*search->sought), compare_sought);
        while (more) {
                int r;

                arena_reset(&search->arena);
                r = users ? scan_users(search, &query, &more) : scan_events(search, &query, &more);
                if (r != 0)
                        return r;
        }
        for (size_t i = 0; i < search->n_sought; i++)
                search->found[search->sought[i].row] = search->sought[i].found;
        return 0;
}

static void seek(Search *search, size_t i) {
        uint64_t hash = search->state->type == RECORD_USERS
                                        ? user_hash(search, batch_user(search->batch, i))
                                        : event_hash(search, batch_event(search->batch, i));

        search->sought[search->n_sought++] = (Sought){.hash = hash, .row = i};
}

/* ---- public ---- */

static int find_all(Search *search) {
        for (size_t i = 0; i < batch_n(search->batch); i++) {
                int r = 0;

                arena_reset(&search->arena);
                if (batch_id(search->batch, i) > 0)
                        r = find_by_id(search, i);
                else if (search->state->type == RECORD_URLS)
                        r = find_by_code(search, i);
                else
                        seek(search, i);
                if (r != 0)
                        return r;
        }
        return scan(search);
}

int import_find(StoreSession *session, ImportState *state, Batch *batch, bool found[BATCH_ROWS]) {
        Search *search = calloc(1, sizeof(*search));
        int r;

        if (!search)
                return -ENOMEM;
        search->session = session;
        search->state = state;
        search->batch = batch;
        search->found = found;
        arena_init(&search->arena, 0);
        search->last_id = state->last_id;
        r = find_all(search);
        if (r == 0)
                state->last_id = search->last_id;
        arena_done(&search->arena);
        free(search);
        return r;
}

/* Is there a row with a higher id? */
static int has_behind(StoreSession *session, RecordType type, int64_t id, bool *ret) {
        StoreQuery query = {.limit = 1, .has_after = true, .after = id};
        Arena arena;
        User *users;
        Url *urls;
        size_t n = 0;
        int r;

        arena_init(&arena, 0);
        r = type == RECORD_USERS ? store_user_list(session, &arena, &query, &users, &n, NULL)
                                 : store_url_list(session, &arena, &query, &urls, &n, NULL);
        *ret = n > 0;
        arena_done(&arena);
        return r;
}

static int newest_event(StoreSession *session, int64_t *ret) {
        StoreQuery query = {.limit = 1};
        Arena arena;
        Event *events;
        size_t n = 0;
        int r;

        arena_init(&arena, 0);
        r = store_event_list(session, &arena, &query, &events, &n, NULL);
        if (r == 0)
                *ret = n > 0 ? events[0].id : 0;
        arena_done(&arena);
        return r;
}

/* Users and links are listed by ascending id: the highest is found by halving. */
int import_last_id(StoreSession *session, RecordType type, int64_t *ret) {
        int64_t low = 0, high = INT64_MAX - 1;

        if (type == RECORD_EVENTS)
                return newest_event(session, ret);
        while (low < high) {
                int64_t middle = low + (high - low) / 2;
                bool behind;
                int r;

                r = has_behind(session, type, middle, &behind);
                if (r != 0)
                        return r;
                if (behind)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret = low;
        return 0;
}
