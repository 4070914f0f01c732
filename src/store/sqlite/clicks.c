/* SPDX-License-Identifier: MIT */

/*
 * Visits into SQLite: rows, totals and the spool's position in one short transaction. Each link's
 * owner is looked up once per transaction and its total moved once, whatever the number of its
 * visits; the scratch table for that is kept with the session.
 */

#include <errno.h>
#include <stdio.h>

#include "basic/clock.h"
#include "store/sqlite/session.h"

#define CLICK_ROWS     STORE_APPEND_ROWS_LOOK /* of one statement */
#define CLICK_SQL_SIZE 4096
#define OWNERS         512u /* links between two writings of the totals */
#define OWNER_BITS     10u  /* of the table's size: at most half full */

typedef struct Owner {
        int64_t url_id; /* 0: free */
        int64_t user_id;
        int64_t n_redirects;
} Owner;

struct SqliteOwners {
        Owner table[1u << OWNER_BITS]; /* open addressing */
        uint16_t used[OWNERS];         /* places in table, in order of their coming */
        size_t n;
};

/* What one append works on. */
typedef struct Append {
        SqliteSession *s;
        const StoreBatch *batch;
        int64_t spool_id;
        uint64_t end_usec; /* CLOCK_MONOTONIC: then it is time to let others write */
        SqliteTotals totals;
} Append;

/* ---- owners ---- */

static int owners_new(SqliteSession *s) {
        if (!s->owners)
                s->owners = calloc(1, sizeof(*s->owners));
        return s->owners ? 0 : -ENOMEM;
}

static void owners_clear(SqliteOwners *owners) {
        while (owners->n > 0)
                owners->table[owners->used[--owners->n]] = (Owner){.url_id = 0};
}

/* The url's place in the table, or the free one where it belongs. */
static size_t find_place(const SqliteOwners *owners, int64_t url_id) {
        /* Fibonacci hashing: ids count up from 1. */
        size_t i = ((uint64_t)url_id * 0x9e3779b97f4a7c15ULL) >> (64 - OWNER_BITS);

        while (owners->table[i].url_id != 0 && owners->table[i].url_id != url_id)
                i = (i + 1) % ELEMENTSOF(owners->table);
        return i;
}

/* The user who owns the link now; 0 when there is none, or no such link. */
static int look_up(SqliteSession *s, int64_t url_id, int64_t *ret_user_id) {
        static const char sql[] = "SELECT (SELECT id FROM users WHERE id = u.user_id)"
                                  " FROM urls AS u WHERE u.id = ?1";
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_CLICK_OWNER, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, url_id);
        *ret_user_id = 0;
        r = sqlite_number(s, statement, ret_user_id);
        return r < 0 ? r : 0;
}

static int write_redirects(Append *append) {
        SqliteOwners *owners = append->s->owners;
        int r;

        for (size_t i = 0; i < owners->n; i++) {
                const Owner *owner = &owners->table[owners->used[i]];

                r = sqlite_redirects_add(append->s, owner->url_id, owner->n_redirects);
                if (r < 0)
                        return r;
        }
        owners_clear(owners);
        return 0;
}

/* Counts a redirect of the link and tells its owner. */
static int count_redirect(Append *append, int64_t url_id, int64_t *ret_user_id) {
        SqliteOwners *owners = append->s->owners;
        size_t place = find_place(owners, url_id);
        int64_t user_id;
        int r;

        if (owners->table[place].url_id == 0) {
                r = look_up(append->s, url_id, &user_id);
                if (r < 0)
                        return r;
                if (owners->n == OWNERS) {
                        r = write_redirects(append);
                        if (r < 0)
                                return r;
                        place = find_place(owners, url_id);
                }
                owners->table[place] = (Owner){.url_id = url_id, .user_id = user_id};
                owners->used[owners->n++] = (uint16_t)place;
        }
        owners->table[place].n_redirects++;
        *ret_user_id = owners->table[place].user_id;
        return 0;
}

/* ---- spools ---- */

static StoreOffset read_offset(sqlite3_stmt *statement) {
        StoreOffset offset = {.first_seq = (uint64_t)sqlite3_column_int64(statement, 2),
                              .next_seq = (uint64_t)sqlite3_column_int64(statement, 3),
                              .rows = (uint64_t)sqlite3_column_int64(statement, 4),
                              .shed = (uint64_t)sqlite3_column_int64(statement, 5),
                              .bad = (uint64_t)sqlite3_column_int64(statement, 6),
                              .damaged = (uint64_t)sqlite3_column_int64(statement, 7)};
        Slice uuid = sqlite_text(statement, 1);

        memcpy(offset.spool, uuid.data, MIN(uuid.len, sizeof(offset.spool)));
        return offset;
}

static void bind_spool(sqlite3_stmt *statement, int i, const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        CHECK(sqlite3_bind_blob(statement, i, spool, STORE_SPOOL_ID_SIZE, SQLITE_STATIC) ==
              SQLITE_OK);
}

#define SPOOL_COLUMNS "id, uuid, first_seq, next_seq, rows, shed, bad, damaged"

/* STORE_NOT_FOUND */
static int get_spool(SqliteSession *s, const uint8_t spool[STORE_SPOOL_ID_SIZE], int64_t *ret_id,
                     StoreOffset *ret) {
        static const char sql[] = "SELECT " SPOOL_COLUMNS " FROM spools WHERE uuid = ?1";
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_statement(s, STMT_SPOOL_GET, sql, &statement);
        if (r < 0)
                return r;
        bind_spool(statement, 1, spool);
        r = sqlite_row(s, statement);
        if (r <= 0)
                return r < 0 ? r : STORE_NOT_FOUND;
        *ret_id = sqlite3_column_int64(statement, 0);
        *ret = read_offset(statement);
        return 0;
}

static int insert_spool(SqliteSession *s, const StoreBatch *batch, int64_t *ret_id) {
        static const char sql[] =
                        "INSERT INTO spools (uuid, first_seq, next_seq, rows, shed, bad, damaged)"
                        " VALUES (?1, ?2, ?2, 0, 0, 0, 0)";
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_SPOOL_INSERT, sql, &statement);
        if (r < 0)
                return r;
        bind_spool(statement, 1, batch->spool);
        sqlite_bind_number(statement, 2, (int64_t)batch->first_seq);
        r = sqlite_run(s, statement);
        if (r == 0)
                *ret_id = sqlite3_last_insert_rowid(s->db);
        return r;
}

/* Moves the position over what was done of the batch. */
static int move_spool(const Append *append, const StoreBatch *done) {
        static const char sql[] = "UPDATE spools SET next_seq = ?2, rows = rows + ?3,"
                                  " shed = shed + ?4, bad = bad + ?5, damaged = damaged + ?6"
                                  " WHERE id = ?1";
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(append->s, STMT_SPOOL_UPDATE, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, append->spool_id);
        sqlite_bind_number(statement, 2, (int64_t)done->upto_seq);
        sqlite_bind_number(statement, 3, (int64_t)done->n_clicks);
        sqlite_bind_number(statement, 4, (int64_t)done->shed);
        sqlite_bind_number(statement, 5, (int64_t)done->bad);
        sqlite_bind_number(statement, 6, (int64_t)done->damaged);
        return sqlite_run(append->s, statement);
}

/* ---- appending ---- */

/* Binds a row's seven values from place i on. */
static int bind_click(Append *append, sqlite3_stmt *statement, int i, const StoreClick *click) {
        int64_t user_id;
        int r;

        if (store_click_refused(click))
                return STORE_REFUSED;
        r = count_redirect(append, click->url_id, &user_id);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, i, ++append->totals.last_event);
        sqlite_bind_number(statement, i + 1, click->url_id);
        sqlite_bind_id(statement, i + 2, user_id);
        sqlite_bind_number(statement, i + 3, click->time_sec);
        sqlite_bind_text(statement, i + 4, click->details);
        sqlite_bind_text(statement, i + 5,
                         click->request_id.len > 0 ? click->request_id : SLICE_NONE);
        sqlite_bind_number(statement, i + 6, (int64_t)click->seq);
        return 0;
}

/* A statement for n rows: one row alone, or CLICK_ROWS, which cost a third less each. */
static int click_statement(SqliteSession *s, size_t n, sqlite3_stmt **ret) {
        unsigned place = n == 1 ? STMT_CLICK_INSERT : STMT_CLICK_INSERT_MANY;
        char sql[CLICK_SQL_SIZE];
        size_t len;

        if (LIKELY(s->statements[place])) {
                *ret = s->statements[place];
                return 0;
        }
        len = (size_t)snprintf(
                        sql, sizeof(sql),
                        "INSERT OR FAIL INTO events (spool, type, id, url_id, user_id, timestamp,"
                        " details, request_id, seq) VALUES (?1, 1, ?, ?, ?, ?, ?, ?, ?)");
        for (size_t i = 1; i < n; i++)
                len += (size_t)snprintf(sql + len, sizeof(sql) - len,
                                        ", (?1, 1, ?, ?, ?, ?, ?, ?, ?)");
        CHECK(len < sizeof(sql));
        return sqlite_statement(s, place, sql, ret);
}

static int insert_rows(Append *append, const StoreClick *clicks, size_t n) {
        sqlite3_stmt *statement;
        int r;

        r = click_statement(append->s, n, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, append->spool_id);
        for (size_t i = 0; i < n; i++) {
                r = bind_click(append, statement, 2 + (int)i * 7, &clicks[i]);
                if (r != 0)
                        return r;
        }
        r = sqlite_run(append->s, statement);
        if (r < 0)
                return r == -EBADMSG ? STORE_REFUSED : r;
        append->totals.n.events += (int64_t)n;
        append->totals.n.redirects += (int64_t)n;
        return 0;
}

/* Is it time to end the transaction before row i? */
static bool must_stop(const Append *append, size_t i) {
        if (i >= STORE_APPEND_ROWS)
                return true;
        if (i < STORE_APPEND_ROWS_MIN || i % STORE_APPEND_ROWS_LOOK != 0)
                return false;
        return store_hook_n_waiting(&append->s->session) > 0 ||
               clock_monotonic_usec() >= append->end_usec;
}

/* *ret_done: the part of the batch that went in. */
static int insert_clicks(Append *append, StoreBatch *ret_done) {
        const StoreBatch *batch = append->batch;
        size_t i = 0;
        int r;

        *ret_done = *batch;
        while (i < batch->n_clicks) {
                size_t n = batch->n_clicks - i >= CLICK_ROWS ? CLICK_ROWS : 1;

                if (must_stop(append, i) && store_batch_cut(batch, i, ret_done))
                        break;
                r = insert_rows(append, &batch->clicks[i], n);
                if (r != 0)
                        return r;
                i += n;
        }
        return 0;
}

static int append_batch(Append *append, uint64_t *ret_next_seq) {
        const StoreBatch *batch = append->batch;
        StoreOffset offset;
        StoreBatch done;
        int r;

        r = get_spool(append->s, batch->spool, &append->spool_id, &offset);
        if (r < 0)
                return r;
        *ret_next_seq = r == STORE_NOT_FOUND ? batch->first_seq : offset.next_seq;
        if (*ret_next_seq != batch->from_seq)
                return STORE_CONFLICT_POSITION;
        if (r == STORE_NOT_FOUND) {
                r = insert_spool(append->s, batch, &append->spool_id);
                if (r < 0)
                        return r;
        }
        r = sqlite_totals_load(append->s, &append->totals);
        if (r < 0)
                return r;
        r = insert_clicks(append, &done);
        if (r != 0)
                return r;
        r = write_redirects(append);
        if (r < 0)
                return r;
        r = sqlite_totals_save(append->s, &append->totals);
        if (r < 0)
                return r;
        *ret_next_seq = done.upto_seq;
        return move_spool(append, &done);
}

/* A position as result: for what is before it the spool's files may be deleted, so it must be on
 * the disk, even if who committed it has died since, or could not sync it. */
static int sure(SqliteSession *s, int result) {
        int r = sqlite_sync_log(s);

        return r < 0 ? r : result;
}

int sqlite_clicks_append(StoreSession *session, const StoreBatch *batch, uint64_t *ret_next_seq) {
        SqliteSession *s = sqlite_session(session);
        Append append = {.s = s, .batch = batch};
        uint64_t next_seq = 0;
        int r;

        r = owners_new(s);
        if (r < 0)
                return r;
        r = sqlite_begin_write(s, WRITER_SHIPPER);
        if (r < 0)
                return r;
        append.end_usec = clock_monotonic_usec() + STORE_APPEND_USEC;
        r = append_batch(&append, &next_seq);
        owners_clear(s->owners);
        r = sqlite_end_write(s, r, &SLICE_NONE, 0);
        if (r == STORE_CONFLICT_POSITION)
                r = sure(s, r);
        if (r == 0 || r == STORE_CONFLICT_POSITION)
                *ret_next_seq = next_seq;
        return r;
}

/* ---- positions ---- */

int sqlite_offset_get(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE],
                      StoreOffset *ret) {
        SqliteSession *s = sqlite_session(session);
        StoreOffset offset;
        int64_t id;
        int r;

        r = sqlite_ready(s);
        if (r == 0)
                r = get_spool(s, spool, &id, &offset);
        if (r == 0)
                r = sure(s, r);
        if (r == 0)
                *ret = offset;
        return r;
}

static int read_spool(sqlite3_stmt *statement, Arena *arena _unused_, void *ret_row) {
        *(StoreOffset *)ret_row = read_offset(statement);
        return 0;
}

int sqlite_spool_offsets(SqliteSession *s, Arena *arena, StoreOffset **ret, size_t *ret_n) {
        static const char sql[] = "SELECT " SPOOL_COLUMNS " FROM spools ORDER BY id";
        SqliteRows rows = {arena, sizeof(StoreOffset), read_spool, INT64_MAX, NULL, 0};
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_statement(s, STMT_SPOOL_LIST, sql, &statement);
        if (r == 0)
                r = sqlite_collect(s, statement, &rows);
        if (r < 0)
                return r;
        *ret = rows.rows;
        *ret_n = rows.n;
        return 0;
}

int sqlite_offset_list(StoreSession *session, Arena *arena, StoreOffset **ret, size_t *ret_n) {
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_ready(s);
        return r < 0 ? r : sqlite_spool_offsets(s, arena, ret, ret_n);
}

static int delete_spool(SqliteSession *s, const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_SPOOL_DELETE, "DELETE FROM spools WHERE uuid = ?1",
                             &statement);
        if (r < 0)
                return r;
        bind_spool(statement, 1, spool);
        r = sqlite_run(s, statement);
        if (r < 0)
                return r;
        return sqlite3_changes(s->db) > 0 ? 0 : STORE_NOT_FOUND;
}

int sqlite_offset_delete(StoreSession *session, const uint8_t spool[STORE_SPOOL_ID_SIZE]) {
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_begin_write(s, WRITER_SHIPPER);
        return r < 0 ? r : sqlite_end_write(s, delete_spool(s, spool), &SLICE_NONE, 0);
}
