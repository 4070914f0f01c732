/* SPDX-License-Identifier: MIT */

/*
 * Visits: rows, totals and the spool's position in one transaction. An advisory lock for each spool
 * keeps two shippers of it apart. A shipper that was frozen inside its transaction holds the lock
 * for ever: whoever has waited for it long enough has the server end that session.
 */

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "basic/clock.h"
#include "store/postgres/session.h"

#define ROWS_MAX        10000u /* of one transaction */
#define ZOMBIE_USEC     (5 * USEC_PER_SEC)
#define LOCK_WAIT_USEC  (100 * USEC_PER_MSEC) /* for a spool's lock, in one call ... */
#define LOCK_PAUSE_USEC (10 * USEC_PER_MSEC)  /* ... between two tries */
#define DAY_SEC         86400
#define PAST_DAYS       31   /* a visit's own day counts from so long ago ... */
#define AHEAD_DAYS      1    /* ... to so far ahead */
#define CLICK_SIZE      256u /* bytes of a row, a guess */
#define STATE_UNIQUE    "23505"

/* What one append works on. */
typedef struct Append {
        PgSession *s;
        const StoreBatch *batch;
        StoreBatch done; /* the part of it that goes in */
        int64_t spool_id;
        int64_t now_sec;        /* of the server */
        PgRedirects *redirects; /* one for each click */
        PGresult *owners;       /* id and user, by id */
} Append;

/* ---- the spool's lock ---- */

int64_t pg_spool_key(const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        uint64_t halves[2];

        memcpy(halves, spool, sizeof(halves));
        return (int64_t)(be64toh(halves[0]) * 0x9e3779b97f4a7c15ULL ^ be64toh(halves[1]));
}

/* Its transaction is rolled back, and its lock is free. */
static int end_zombie(PgSession *s, int64_t key) {
        static const char sql[] =
                        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                        " AND granted AND objsubid = 1 AND pid <> pg_backend_pid()"
                        " AND database = (SELECT oid FROM pg_database"
                        " WHERE datname = current_database())"
                        " AND (classid::bigint << 32 | objid::bigint) = $1::bigint";
        PgParams params = {.n = 0};

        pg_add_number(&params, key);
        return pg_run(s, STMT_NONE, sql, &params, NULL);
}

/* Has another held this lock since long ago? Looks that are far apart say nothing. */
static bool is_zombie(PgSession *s, int64_t key, uint64_t now_usec) {
        if (s->held_key != key || now_usec - s->held_seen_usec >= ZOMBIE_USEC)
                s->held_usec = now_usec;
        s->held_key = key;
        s->held_seen_usec = now_usec;
        return now_usec - s->held_usec >= ZOMBIE_USEC;
}

/* -EAGAIN: another ships this spool just now. */
static int lock_spool(PgSession *s, int64_t key) {
        uint64_t end_usec = clock_monotonic_usec() + LOCK_WAIT_USEC, now_usec;
        PgParams params = {.n = 0};
        int64_t locked = 0;
        int r;

        pg_add_number(&params, key);
        for (;;) {
                r = pg_run_number(s, STMT_SPOOL_LOCK,
                                  "SELECT pg_try_advisory_xact_lock($1::bigint)", &params, &locked);
                if (r < 0 || locked)
                        return r;
                now_usec = clock_monotonic_usec();
                if (is_zombie(s, key, now_usec)) {
                        r = end_zombie(s, key);
                        if (r < 0)
                                return r;
                }
                if (now_usec >= end_usec || store_session_expired(&s->session)) {
                        store_session_set_error(&s->session, "another process ships this spool");
                        return -EAGAIN;
                }
                r = pg_pause(s, LOCK_PAUSE_USEC);
                if (r < 0)
                        return r;
        }
}

/* ---- the spool's row ---- */

#define OFFSET_COLUMNS "spool, first_seq, next_seq, rows, shed, bad, damaged"

static int read_offset(const PGresult *result, int row, int column, Arena *arena _unused_,
                       void *ret_row) {
        StoreOffset *offset = ret_row;
        Slice uuid = pg_text(result, row, column);

        *offset = (StoreOffset){.first_seq = (uint64_t)pg_number(result, row, column + 1),
                                .next_seq = (uint64_t)pg_number(result, row, column + 2),
                                .rows = (uint64_t)pg_number(result, row, column + 3),
                                .shed = (uint64_t)pg_number(result, row, column + 4),
                                .bad = (uint64_t)pg_number(result, row, column + 5),
                                .damaged = (uint64_t)pg_number(result, row, column + 6)};
        CHECK(uuid.len == sizeof(offset->spool));
        memcpy(offset->spool, uuid.data, uuid.len);
        return 0;
}

static Slice spool_slice(const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        return slice_make((const char *)spool, STORE_SPOOL_ID_SIZE);
}

/* The spool's row, made if it is new; *ret_next_seq: its position. */
static int take_spool(Append *append, uint64_t *ret_next_seq) {
        static const char sql_make[] =
                        "INSERT INTO spool_offset (spool, first_seq, next_seq)"
                        " VALUES ($1::uuid, $2::bigint, $2::bigint) ON CONFLICT DO NOTHING";
        static const char sql_get[] = "SELECT id, next_seq, extract(epoch FROM now())::bigint"
                                      " FROM spool_offset WHERE spool = $1::uuid FOR UPDATE";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        int r;

        for (unsigned i = 0; i < 2; i++) {
                params.n = 0;
                pg_add_bytes(&params, spool_slice(append->batch->spool));
                r = pg_run(append->s, STMT_SPOOL_TAKE, sql_get, &params, &result);
                if (r < 0)
                        return r;
                if (PQntuples(result) > 0)
                        break;
                PQclear(TAKE_PTR(result));
                pg_add_number(&params, (int64_t)append->batch->first_seq);
                r = pg_run(append->s, STMT_NONE, sql_make, &params, NULL);
                if (r < 0)
                        return r;
        }
        if (!result)
                return -EBUSY;
        append->spool_id = pg_number(result, 0, 0);
        *ret_next_seq = (uint64_t)pg_number(result, 0, 1);
        append->now_sec = pg_number(result, 0, 2);
        return 0;
}

/* Moves the position over what was done of the batch. */
static int move_spool(const Append *append) {
        static const char sql[] =
                        "UPDATE spool_offset SET next_seq = $2::bigint, rows = rows + $3::bigint,"
                        " shed = shed + $4::bigint, bad = bad + $5::bigint,"
                        " damaged = damaged + $6::bigint WHERE id = $1::bigint";
        const StoreBatch *done = &append->done;
        PgParams params = {.n = 0};

        pg_add_number(&params, append->spool_id);
        pg_add_number(&params, (int64_t)done->upto_seq);
        pg_add_number(&params, (int64_t)done->n_clicks);
        pg_add_number(&params, (int64_t)done->shed);
        pg_add_number(&params, (int64_t)done->bad);
        pg_add_number(&params, (int64_t)done->damaged);
        return pg_run(append->s, STMT_SPOOL_MOVE, sql, &params, NULL);
}

/* ---- rows ---- */

static int find_owners(Append *append) {
        static const char sql[] = "SELECT u.id, (SELECT id FROM users WHERE id = u.user_id)"
                                  " FROM urls AS u WHERE u.id = ANY ($1::bigint[]) ORDER BY u.id";
        PgSession *s = append->s;
        PgParams params = {.n = 0};

        buffer_clear(&s->scratch);
        pg_array(&s->scratch, PG_BIGINT, append->done.n_clicks);
        for (size_t i = 0; i < append->done.n_clicks; i++)
                pg_put_number(&s->scratch, append->done.clicks[i].url_id);
        if (s->scratch.failed)
                return -ENOMEM;
        pg_add_bytes(&params, buffer_slice(&s->scratch));
        return pg_run(s, STMT_OWNERS, sql, &params, &append->owners);
}

/* The user who owns the link; 0 when there is none, or no such link. */
static int64_t owner_of(const PGresult *owners, int64_t url_id) {
        int low = 0, high = PQntuples(owners);

        while (low < high) {
                int middle = low + (high - low) / 2;

                if (pg_number(owners, middle, 0) < url_id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < PQntuples(owners) && pg_number(owners, low, 0) == url_id
                               ? pg_number(owners, low, 1)
                               : 0;
}

static void put_click(Append *append, size_t i) {
        const StoreClick *click = &append->done.clicks[i];
        int32_t today = pg_day(append->now_sec), day = pg_day(click->time_sec);
        bool clamped = day < today - PAST_DAYS || day > today + AHEAD_DAYS;
        Buffer *out = &append->s->scratch;

        append->redirects[i] = (PgRedirects){
                        click->url_id, pg_hour(clamped ? append->now_sec : click->time_sec), 1};
        pg_put_u16(out, 10);
        pg_put_number(out, click->url_id);
        pg_put_id(out, owner_of(append->owners, click->url_id));
        pg_put_number(out, click->time_sec);
        pg_put_number(out, (int64_t)click->seq);
        pg_put_int(out, TYPE_REDIRECT);
        pg_put_int(out, (int32_t)append->spool_id);
        pg_put_int(out, clamped ? today : day);
        pg_put_bool(out, clamped);
        pg_put_text(out, click->details);
        pg_put_text(out, click->request_id.len > 0 ? click->request_id : SLICE_NONE);
}

/* A row was refused for what is in it only if the server says so; a partition that is missing has
 * the same class, but names no constraint. Its id is no part of it: -EBADMSG. */
static int refused(PgSession *s, int r) {
        if (r != -EBADMSG || strcmp(s->sqlstate, STATE_UNIQUE) == 0)
                return r;
        return strcmp(s->sqlstate, "23514") == 0 && !*s->constraint ? -EHOSTDOWN : STORE_REFUSED;
}

static int insert_clicks(Append *append) {
        static const char sql[] =
                        "COPY events (url_id, user_id, timestamp, seq, type, spool, day, clamped,"
                        " details, request_id) FROM STDIN (FORMAT binary)";
        StoreBatch *done = &append->done;
        PgSession *s = append->s;
        int64_t n;
        int r;

        *done = *append->batch;
        if (done->n_clicks > ROWS_MAX)
                (void)store_batch_cut(append->batch, ROWS_MAX, done);
        n = (int64_t)done->n_clicks;
        for (size_t i = 0; i < done->n_clicks; i++)
                if (store_click_refused(&done->clicks[i]))
                        return STORE_REFUSED;
        if (n == 0)
                return 0;
        r = find_owners(append);
        if (r < 0)
                return r;
        append->redirects = calloc(done->n_clicks, sizeof(*append->redirects));
        if (!append->redirects)
                return -ENOMEM;
        buffer_clear(&s->scratch);
        (void)buffer_reserve(&s->scratch, done->n_clicks * CLICK_SIZE);
        for (size_t i = 0; i < done->n_clicks; i++)
                put_click(append, i);
        r = s->scratch.failed ? -ENOMEM : pg_copy(s, sql, buffer_slice(&s->scratch));
        if (r == 0)
                r = pg_redirects_add(s, append->redirects, done->n_clicks);
        if (r == 0)
                r = pg_count(s, &(StoreTotals){.events = n, .redirects = n});
        return refused(s, r);
}

static int append_batch(Append *append, uint64_t *ret_next_seq) {
        int r;

        r = lock_spool(append->s, pg_spool_key(append->batch->spool));
        if (r == 0)
                r = take_spool(append, ret_next_seq);
        if (r < 0)
                return r;
        if (*ret_next_seq != append->batch->from_seq)
                return STORE_CONFLICT_POSITION;
        r = insert_clicks(append);
        if (r == 0)
                r = move_spool(append);
        if (r == 0)
                *ret_next_seq = append->done.upto_seq;
        return r;
}

static int try_append(Append *append, uint64_t *ret_next_seq) {
        int r;

        r = append_batch(append, ret_next_seq);
        PQclear(TAKE_PTR(append->owners));
        free(TAKE_PTR(append->redirects));
        return r;
}

/* The sequence gave an id that a row has: it is behind the table, as on a server that was fed by
 * logical replication. */
static int append_again(Append *append, uint64_t *ret_next_seq) {
        static const char sql[] = "SELECT ids_reach('event_ids', (SELECT max(id) FROM events))";
        int r;

        r = pg_begin_again(append->s);
        if (r == 0)
                r = pg_run(append->s, STMT_NONE, sql, NULL, NULL);
        if (r == 0)
                r = try_append(append, ret_next_seq);
        return r == -EBADMSG ? -EBUSY : r;
}

int pg_clicks_append(StoreSession *session, const StoreBatch *batch, uint64_t *ret_next_seq) {
        PgSession *s = pg_session(session);
        Append append = {.s = s, .batch = batch};
        uint64_t next_seq = 0;
        int r;

        r = pg_begin_write(s, WRITER_SHIPPER);
        if (r < 0)
                return r;
        r = try_append(&append, &next_seq);
        if (r == -EBADMSG)
                r = append_again(&append, &next_seq);
        r = pg_end_write(s, r, &SLICE_NONE, 0);
        if (r == 0 || r == STORE_CONFLICT_POSITION)
                *ret_next_seq = next_seq;
        return r;
}

/* ---- positions ---- */

int pg_offset_get(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE],
                  StoreOffset *ret) {
        static const char sql[] =
                        "SELECT " OFFSET_COLUMNS " FROM spool_offset WHERE spool = $1::uuid";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgSession *s = pg_session(session);
        PgParams params = {.n = 0};
        int r;

        r = pg_ready(s);
        if (r < 0)
                return r;
        pg_add_bytes(&params, spool_slice(spool));
        r = pg_run(s, STMT_SPOOL_GET, sql, &params, &result);
        if (r < 0)
                return r;
        return PQntuples(result) == 0 ? STORE_NOT_FOUND : read_offset(result, 0, 0, NULL, ret);
}

int pg_spool_offsets(PgSession *s, Arena *arena, StoreOffset **ret, size_t *ret_n) {
        static const char sql[] = "SELECT " OFFSET_COLUMNS " FROM spool_offset ORDER BY id";
        PgRows rows = {.arena = arena, .row_size = sizeof(StoreOffset), .read = read_offset};
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        int r;

        r = pg_run(s, STMT_SPOOL_LIST, sql, NULL, &result);
        if (r == 0)
                r = pg_collect(result, 0, &rows);
        if (r < 0)
                return r;
        *ret = rows.rows;
        *ret_n = rows.n;
        return 0;
}

int pg_offset_list(StoreSession *session, Arena *arena, StoreOffset **ret, size_t *ret_n) {
        PgSession *s = pg_session(session);
        int r;

        r = pg_ready(s);
        return r < 0 ? r : pg_spool_offsets(s, arena, ret, ret_n);
}

static int delete_spool(PgSession *s, const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        PgParams params = {.n = 0};

        pg_add_bytes(&params, spool_slice(spool));
        return pg_run_number(s, STMT_SPOOL_DELETE,
                             "DELETE FROM spool_offset WHERE spool = $1::uuid RETURNING id",
                             &params, NULL);
}

int pg_offset_delete(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        PgSession *s = pg_session(session);
        int r;

        r = pg_begin_write(s, WRITER_SHIPPER);
        return r < 0 ? r : pg_end_write(s, delete_spool(s, spool), &SLICE_NONE, 0);
}
