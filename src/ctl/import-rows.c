/* SPDX-License-Identifier: MIT */

/*
 * One batch of an import. Nothing is kept between two calls but what the caller's target says.
 */

#include <errno.h>
#include <stdlib.h>

#include "ctl/import-rows.h"
#include "ctl/rules.h"

#define SCAN_ROWS     1000 /* events looked at in one query */
#define MADE_ATTEMPTS 8u   /* codes tried for one link */

/* ---- made codes ---- */

/* Characters from a pseudo-random function of the secret key: as hard to guess as random ones. */
static Slice make_code(const HashKey *key, uint64_t offset, unsigned attempt, size_t length,
                       Arena *arena) {
        static const char alphabet[] =
                        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        char *code = arena_alloc(arena, length);
        uint64_t input[3] = {offset, attempt, 0};
        size_t n = 0;

        if (!code)
                return SLICE_NONE;
        for (; n < length; input[2]++) {
                uint64_t bits = hash_keyed(key, slice_make((const char *)input, sizeof(input)));

                for (int i = 0; i < 8 && n < length; i++, bits >>= 8)
                        if ((bits & 0xFF) < 248) /* 4 * 62: all characters alike */
                                code[n++] = alphabet[(bits & 0xFF) % 62];
        }
        return slice_make(code, length);
}

/* Makes the code of the attempt, or of the first one behind it that is no route's name. */
static int give_code(const ImportTarget *target, const ImportState *state, Batch *batch, size_t i,
                     unsigned *attempt) {
        Url *url = batch_url(batch, i);

        do {
                url->code = make_code(&state->key, batch_offset(batch, i), (*attempt)++,
                                      target->code_length, batch_arena(batch));
                if (!url->code.data)
                        return -ENOMEM;
        } while (rules_code_reserved(url->code));
        return 0;
}

/* Is the link that has the row's code the one that an earlier run of this import made? */
static int is_own(const ImportTarget *target, Batch *batch, size_t i, bool *ret) {
        const Url *url = batch_url(batch, i);
        Url other;
        int r;

        *ret = false;
        if (!target->unsettled)
                return 0;
        r = store_url_get_by_code(target->session, batch_arena(batch), url->code, &other);
        if (r < 0)
                return r;
        *ret = r == 0 && slice_equal(other.target, url->target);
        return 0;
}

/* A row whose made code is taken: by itself, or by a stranger; then others are tried. */
static int retry_code(const ImportTarget *target, const ImportState *state, Batch *batch, size_t i,
                      bool *ret_in) {
        unsigned attempt = 1;
        int r;

        for (;;) {
                r = is_own(target, batch, i, ret_in);
                if (r < 0 || *ret_in || attempt > MADE_ATTEMPTS)
                        return r;
                r = give_code(target, state, batch, i, &attempt);
                if (r < 0)
                        return r;
                r = batch_send_one(batch, target->session, target->with_events, i);
                if (r < 0)
                        return r;
                *ret_in = batch_result(batch, i) == STORE_OK;
                if (*ret_in || batch_result(batch, i) != STORE_CODE_TAKEN)
                        return 0;
        }
}

static int give_codes(const ImportTarget *target, const ImportState *state, Batch *batch,
                      bool made[BATCH_ROWS]) {
        for (size_t i = 0; i < batch_n(batch); i++) {
                unsigned attempt = 0;
                int r;

                made[i] = !batch_url(batch, i)->code.data;
                if (!made[i])
                        continue;
                r = give_code(target, state, batch, i, &attempt);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- events without ids ---- */

typedef struct Sought {
        uint64_t hash;
        size_t row;
        bool found;
} Sought;

/* Its user is left out: the store shows none for a user who is gone. */
static uint64_t event_hash(const HashKey *key, const Event *event) {
        uint64_t parts[4] = {(uint64_t)event->url_id, (uint64_t)event->timestamp_sec,
                             hash_keyed(key, event->type),
                             event->details.data ? hash_keyed(key, event->details) : 0};

        return hash_keyed(key, slice_make((const char *)parts, sizeof(parts)));
}

static int compare_sought(const void *left, const void *right) {
        const Sought *a = left, *b = right;

        return a->hash < b->hash ? -1 : a->hash > b->hash;
}

static bool mark_found(Sought *sought, size_t n, uint64_t hash) {
        size_t low = 0, high = n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (sought[middle].hash < hash)
                        low = middle + 1;
                else
                        high = middle;
        }
        for (; low < n && sought[low].hash == hash; low++)
                if (!sought[low].found)
                        return sought[low].found = true;
        return false;
}

/* Marks the sought events that are in the store behind state->last_event; *ret_n: how many. */
static int find_events(const ImportTarget *target, const ImportState *state, Sought *sought,
                       size_t n, size_t *ret_n) {
        StoreQuery query = {.limit = SCAN_ROWS};
        bool more = true;
        Arena arena;
        int r = 0;

        *ret_n = 0;
        arena_init(&arena, 0);
        while (more && r == 0) {
                Event *events;
                size_t n_events;

                arena_reset(&arena);
                r = store_event_list(target->session, &arena, &query, &events, &n_events, NULL);
                more = r == 0 && n_events == SCAN_ROWS;
                for (size_t i = 0; r == 0 && i < n_events; i++) {
                        if (events[i].id <= state->last_event) {
                                more = false;
                                break;
                        }
                        *ret_n += mark_found(sought, n, event_hash(&state->key, &events[i]));
                        query.has_after = true;
                        query.after = events[i].id;
                }
        }
        arena_done(&arena);
        return r;
}

/* 1: the batch was committed by the run that died, and what became of its rows is told; 0: not. Was
 * it not, no later one was: each was noted before it was sent. */
static int events_committed(ImportTarget *target, const ImportState *state, Batch *batch,
                            ImportRefused refused, void *userdata, size_t *ret_imported) {
        _cleanup_free_ Sought *sought = calloc(BATCH_ROWS, sizeof(*sought));
        size_t n = batch_n(batch), n_found;
        bool without_id = false;
        int r;

        if (!sought)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                without_id |= batch_event(batch, i)->id == 0;
                sought[i] = (Sought){event_hash(&state->key, batch_event(batch, i)), i, false};
        }
        if (!without_id)
                return 0;
        target->unsettled = false;
        qsort(sought, n, sizeof(*sought), compare_sought);
        r = find_events(target, state, sought, n, &n_found);
        if (r < 0 || n_found == 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (!sought[i].found)
                        refused(userdata, batch_line(batch, sought[i].row),
                                batch_refusal(RECORD_EVENTS, STORE_NO_URL));
        *ret_imported = n_found;
        return 1;
}

int import_last_event(StoreSession *session, int64_t *ret) {
        StoreQuery query = {.limit = 1};
        Event *events;
        Arena arena;
        size_t n;
        int r;

        arena_init(&arena, 0);
        r = store_event_list(session, &arena, &query, &events, &n, NULL);
        if (r == 0)
                *ret = n > 0 ? events[0].id : 0;
        arena_done(&arena);
        return r;
}

/* ---- a batch ---- */

/* How many rows the transaction took; if any, nothing of it had been there before. */
static size_t count_accepted(const Batch *batch) {
        size_t n = 0;

        for (size_t i = 0; i < batch_n(batch); i++)
                n += batch_result(batch, i) == STORE_OK;
        return n;
}

static int settle_row(ImportTarget *target, const ImportState *state, Batch *batch, size_t i,
                      bool made, bool *ret_in) {
        StoreResult result = batch_result(batch, i);

        *ret_in = result == STORE_OK;
        if (result == STORE_CODE_TAKEN && made)
                return retry_code(target, state, batch, i, ret_in);
        if (target->unsettled && batch_is_duplicate(result))
                *ret_in = true;
        return 0;
}

int import_send(ImportTarget *target, const ImportState *state, Batch *batch, ImportRefused refused,
                void *userdata, size_t *ret_imported) {
        RecordType type = state->type;
        bool made[BATCH_ROWS] = {};
        size_t n_imported = 0;
        int r;

        *ret_imported = 0;
        if (batch_n(batch) == 0)
                return 0;
        if (type == RECORD_EVENTS && target->unsettled) {
                r = events_committed(target, state, batch, refused, userdata, ret_imported);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        if (type == RECORD_URLS) {
                r = give_codes(target, state, batch, made);
                if (r < 0)
                        return r;
        }
        r = batch_send(batch, target->session, target->with_events);
        if (r != 0)
                return r;
        if (count_accepted(batch) > 0)
                target->unsettled = false;
        for (size_t i = 0; i < batch_n(batch); i++) {
                bool in;

                r = settle_row(target, state, batch, i, made[i], &in);
                if (r < 0)
                        return r;
                n_imported += in;
                if (!in)
                        refused(userdata, batch_line(batch, i),
                                batch_refusal(type, batch_result(batch, i)));
        }
        *ret_imported = n_imported;
        return 0;
}
