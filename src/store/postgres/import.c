/* SPDX-License-Identifier: MIT */

/*
 * What imports share. The server is asked once which rows of a batch clash with what it has; then
 * the rows are gone through here, in their order, as if each had been inserted alone; those that
 * may go in travel by COPY, straight into the indexed table. A row that another transaction put in
 * meanwhile makes COPY fail: then all of it is done again.
 */

#include <errno.h>
#include <stdlib.h>

#include "store/postgres/session.h"

#define KIND_ID 'i'

typedef struct PgTakenEntry {
        char kind; /* 0: free */
        Slice text;
        int64_t id; /* of KIND_ID, whose text is this */
} PgTakenEntry;

/* ---- what is taken ---- */

int pg_taken_init(PgTaken *taken, size_t n) {
        size_t size = 16;

        while (size < 2 * n)
                size *= 2;
        taken->table = calloc(size, sizeof(*taken->table));
        if (!taken->table)
                return -ENOMEM;
        taken->mask = size - 1;
        taken->key = hash_key_random();
        return 0;
}

void pg_taken_done(PgTaken *taken) {
        free(taken->table);
        taken->table = NULL;
}

/* Its place, or the free one where it belongs. */
static PgTakenEntry *find(const PgTaken *taken, char kind, Slice text) {
        size_t i = (size_t)(hash_keyed(&taken->key, text) + (unsigned char)kind) & taken->mask;

        while (taken->table[i].kind != 0 &&
               (taken->table[i].kind != kind || !slice_equal(taken->table[i].text, text)))
                i = (i + 1) & taken->mask;
        return &taken->table[i];
}

bool pg_taken_has(const PgTaken *taken, char kind, Slice text) {
        return find(taken, kind, text)->kind != 0;
}

void pg_taken_add(PgTaken *taken, char kind, Slice text) {
        *find(taken, kind, text) = (PgTakenEntry){.kind = kind, .text = text};
}

static Slice id_text(const int64_t *id) {
        return slice_make((const char *)id, sizeof(*id));
}

static void add_id(PgTaken *taken, int64_t id) {
        PgTakenEntry *entry = find(taken, KIND_ID, id_text(&id));

        entry->kind = KIND_ID;
        entry->id = id;
        entry->text = id_text(&entry->id);
}

/* ---- ids ---- */

int pg_ids_init(PgIds *ids, PgSession *s, const char *sequence, size_t n, size_t n_keys) {
        int r;

        *ids = (PgIds){.s = s, .sequence = sequence};
        r = pg_taken_init(&ids->taken, n + n_keys);
        if (r < 0)
                return r;
        ids->waiting = calloc(n + 1, sizeof(*ids->waiting));
        if (!ids->waiting) {
                pg_taken_done(&ids->taken);
                return -ENOMEM;
        }
        return 0;
}

void pg_ids_done(PgIds *ids) {
        pg_taken_done(&ids->taken);
        free(ids->waiting);
        ids->waiting = NULL;
}

static int next_ids(PgIds *ids) {
        static const char sql[] =
                        "SELECT nextval($1::text::regclass) FROM generate_series(1, $2::bigint)";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        int r;

        pg_add_text(&params, slice_from_string(ids->sequence));
        pg_add_number(&params, (int64_t)ids->n_waiting);
        r = pg_run(ids->s, STMT_IDS_NEXT, sql, &params, &result);
        if (r < 0)
                return r;
        CHECK((size_t)PQntuples(result) == ids->n_waiting);
        for (size_t i = 0; i < ids->n_waiting; i++) {
                *ids->waiting[i] = pg_number(result, (int)i, 0);
                add_id(&ids->taken, *ids->waiting[i]);
        }
        ids->n_waiting = 0;
        return 0;
}

static int reach(PgIds *ids) {
        static const char sql[] = "SELECT ids_reach($1::text, $2::bigint)";
        PgParams params = {.n = 0};
        int r;

        pg_add_text(&params, slice_from_string(ids->sequence));
        pg_add_number(&params, ids->reach);
        r = pg_run(ids->s, STMT_IDS_REACH, sql, &params, NULL);
        ids->reach = 0;
        return r;
}

int pg_ids_flush(PgIds *ids) {
        if (ids->n_waiting > 0)
                return next_ids(ids);
        return ids->reach > 0 ? reach(ids) : 0;
}

int pg_ids_look(PgIds *ids, const int64_t *id, bool in_store) {
        int r;

        if (*id < 0 || *id > STORE_ID_MAX || in_store)
                return STORE_REFUSED;
        if (*id == 0)
                return 0;
        if (ids->n_waiting > 0) { /* theirs come first */
                r = next_ids(ids);
                if (r < 0)
                        return r;
        }
        return pg_taken_has(&ids->taken, KIND_ID, id_text(id)) ? STORE_REFUSED : 0;
}

int pg_ids_take(PgIds *ids, int64_t *id) {
        if (*id != 0) {
                add_id(&ids->taken, *id);
                ids->reach = MAX(ids->reach, *id);
                return 0;
        }
        ids->waiting[ids->n_waiting++] = id;
        return ids->reach > 0 ? reach(ids) : 0;
}

/* ---- the transaction ---- */

int pg_import(PgSession *s, PgImport import, void *rows, size_t n, void *userdata) {
        int r = import(s, rows, n, userdata);

        for (unsigned i = 1; i < PG_TRIES && r == -EBADMSG && !s->in_load; i++) {
                r = pg_begin_again(s);
                if (r == 0)
                        r = import(s, rows, n, userdata);
        }
        return r;
}
