/* SPDX-License-Identifier: MIT */

/*
 * Statements, transactions and rows of a SQLite session.
 *
 * Who gets the write lock: all writers of the host queue for it (hooks: enter, leave), since the
 * lock itself can only be tried for, which costs whoever tries seldom his turn. Clients' writers
 * say besides that they wait, so that the shipper's transactions before them are short.
 *
 * Who syncs the write-ahead log: each writer for himself, after his turn, so that the next one does
 * not wait for the disk, which may merge what several ask for at once. Others see the change before
 * it is on the disk; who made it hears of it afterwards.
 *
 * Who moves that log into the file: mostly the shipper and imports, since a checkpoint
 * takes milliseconds; a client's writer only when the log has grown long.
 */

#include <errno.h>
#include <stdio.h>

#include "basic/clock.h"
#include "store/sqlite/session.h"

#define LOG_PAGES            6000  /* of 4 KiB: the shipper and imports move them into the file */
#define LOG_PAGES_CLIENT     16000 /* a client's writer does */
#define CHECKPOINT_WAIT_USEC 20000ULL /* for the turn to move the log's end */
#define SQL_SIZE             1024     /* bytes of a composed statement */
#define BLOCK_SIZE           16384    /* of the log, when it is written again */
#define ROWS_FIRST           128 /* rows of the first allocation of a list that may be longer */

/* ---- statements ---- */

int sqlite_statement(SqliteSession *s, unsigned place, const char *sql, sqlite3_stmt **ret) {
        int rc;

        CHECK(place < STMT_N);
        if (UNLIKELY(!s->statements[place])) {
                rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                        &s->statements[place], NULL);
                if (rc != SQLITE_OK)
                        return sqlite_fail(s, rc);
        }
        *ret = s->statements[place];
        return 0;
}

int sqlite_composed(SqliteSession *s, unsigned place, const char *const parts[3],
                    sqlite3_stmt **ret) {
        char sql[SQL_SIZE] = "";
        int n;

        if (UNLIKELY(!s->statements[place])) {
                n = snprintf(sql, sizeof(sql), "%s%s%s", parts[0], parts[1], parts[2]);
                CHECK(n > 0 && (size_t)n < sizeof(sql));
        }
        return sqlite_statement(s, place, sql, ret);
}

void sqlite_done_p(sqlite3_stmt **statement) {
        if (*statement)
                (void)sqlite3_reset(*statement);
}

int sqlite_row(SqliteSession *s, sqlite3_stmt *statement) {
        int rc = sqlite3_step(statement);

        if (rc == SQLITE_ROW)
                return 1;
        return rc == SQLITE_DONE ? 0 : sqlite_fail(s, rc);
}

int sqlite_run(SqliteSession *s, sqlite3_stmt *statement) {
        int r = sqlite_row(s, statement);

        (void)sqlite3_reset(statement);
        return r < 0 ? r : 0;
}

int sqlite_number(SqliteSession *s, sqlite3_stmt *statement, int64_t *ret) {
        int r = sqlite_row(s, statement);

        if (r > 0 && ret)
                *ret = sqlite3_column_int64(statement, 0);
        (void)sqlite3_reset(statement);
        if (r < 0)
                return r;
        return r > 0 ? 0 : STORE_NOT_FOUND;
}

int sqlite_query(SqliteSession *s, const char *sql, int64_t *ret) {
        sqlite3_stmt *statement = NULL;
        int rc, r;

        rc = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW) {
                *ret = sqlite3_column_int64(statement, 0);
                r = 0;
        } else {
                r = sqlite_fail(s, rc);
        }
        (void)sqlite3_finalize(statement);
        return r;
}

/* Binding static values fails only for a place that the statement does not have. */
static void check_bound(int rc) {
        CHECK(rc == SQLITE_OK);
}

void sqlite_bind_number(sqlite3_stmt *statement, int i, int64_t value) {
        check_bound(sqlite3_bind_int64(statement, i, value));
}

void sqlite_bind_id(sqlite3_stmt *statement, int i, int64_t id) {
        check_bound(id == 0 ? sqlite3_bind_null(statement, i)
                            : sqlite3_bind_int64(statement, i, id));
}

void sqlite_bind_text(sqlite3_stmt *statement, int i, Slice text) {
        CHECK(text.len <= INT32_MAX);
        check_bound(sqlite3_bind_text(statement, i, text.data, (int)text.len, SQLITE_STATIC));
}

Slice sqlite_text(sqlite3_stmt *statement, int column) {
        const char *data;

        if (sqlite3_column_type(statement, column) == SQLITE_NULL)
                return SLICE_NONE;
        /* Not column_text(), which would copy to append a NUL. */
        data = sqlite3_column_blob(statement, column);
        if (!data)
                return SLICE("");
        return slice_make(data, (size_t)sqlite3_column_bytes(statement, column));
}

static int run_plain(SqliteSession *s, SqliteStatement place, const char *sql) {
        sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_statement(s, place, sql, &statement);
        return r < 0 ? r : sqlite_run(s, statement);
}

/* ---- transactions ---- */

static void roll_back(SqliteSession *s) {
        sqlite3_stmt *statement = NULL;

        s->must_finish = true;
        /* Not sqlite_run(): the text of what went wrong before is the one to keep. */
        if (sqlite_statement(s, STMT_ROLLBACK, "ROLLBACK", &statement) < 0 ||
            sqlite3_step(statement) != SQLITE_DONE)
                s->lost = true;
        else
                (void)sqlite3_reset(statement);
        s->must_finish = false;
}

void sqlite_rollback(SqliteSession *s) {
        if (s->db && !sqlite3_get_autocommit(s->db))
                roll_back(s);
        store_hook_leave(&s->session);
}

int sqlite_begin_read(SqliteSession *s) {
        int r;

        r = sqlite_ready(s);
        if (r < 0 || s->in_load)
                return r;
        return run_plain(s, STMT_BEGIN_READ, "BEGIN");
}

void sqlite_end_read(SqliteSession *s) {
        if (!s->in_load)
                sqlite_rollback(s);
}

static int begin(SqliteSession *s, SqliteWriter writer) {
        int r;

        r = sqlite_ready(s);
        if (r < 0)
                return r;
        /* Nothing was done: as when the lock is not to be had. */
        if (store_hook_enter(&s->session, s->session.deadline_usec) < 0)
                return -EBUSY;
        s->writer = writer;
        r = run_plain(s, STMT_BEGIN_WRITE, "BEGIN IMMEDIATE");
        if (r < 0)
                store_hook_leave(&s->session);
        return r;
}

int sqlite_begin_write(SqliteSession *s, SqliteWriter writer) {
        int r;

        if (s->in_load) {
                if (writer == WRITER_IMPORT)
                        return sqlite_ready(s);
                store_session_set_error(&s->session, "only imports may be part of a load");
                return -EINVAL;
        }
        if (writer == WRITER_CLIENT)
                store_hook_waiting(&s->session, 1);
        r = begin(s, writer);
        if (r < 0 && writer == WRITER_CLIENT)
                store_hook_waiting(&s->session, -1);
        return r;
}

static int commit(SqliteSession *s, const Slice *codes, size_t n, bool made) {
        int r;

        if (made)
                store_hook_making(&s->session, codes, n);
        else
                store_hook_committing(&s->session, codes, n);
        s->must_finish = true;
        r = run_plain(s, STMT_COMMIT, "COMMIT");
        s->must_finish = false;
        store_hook_committed(&s->session, codes, n);
        return r;
}

/* The same bytes once more, so that the next sync has them to write. */
static int write_again(sqlite3_file *log) {
        char block[BLOCK_SIZE];
        sqlite3_int64 size = 0;
        int rc, n;

        rc = log->pMethods->xFileSize(log, &size);
        for (sqlite3_int64 at = 0; at < size && rc == SQLITE_OK; at += n) {
                n = (int)MIN(size - at, (sqlite3_int64)sizeof(block));
                rc = log->pMethods->xRead(log, block, n, at);
                if (rc == SQLITE_OK)
                        rc = log->pMethods->xWrite(log, block, n, at);
        }
        return rc == SQLITE_OK ? log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) : rc;
}

/*
 * After a sync that failed the kernel takes for written what it could not write: later syncs say
 * nothing of it. What is missing on the disk is in the middle of the log then, and all that is
 * committed behind it counts no more than the gap. So no sync is believed until all of the log was
 * written once more, while nobody else may write to it.
 */
static int mend_log(SqliteSession *s, sqlite3_file *log) {
        SqliteStore *store = s->session.store->data;
        int r;

        if (store_hook_enter(&s->session, s->session.deadline_usec) < 0)
                return -EBUSY;
        r = run_plain(s, STMT_BEGIN_WRITE, "BEGIN IMMEDIATE");
        if (r == 0) {
                int rc = write_again(log);

                /* Before the turn ends: nobody has committed since whose sync failed. */
                if (rc == SQLITE_OK)
                        atomic_store(&store->log_doubtful, false);
                else
                        r = sqlite_fail(s, rc);
        }
        sqlite_rollback(s);
        return r;
}

int sqlite_sync_log(SqliteSession *s) {
        SqliteStore *store = s->session.store->data;
        sqlite3_file *log = NULL;
        int rc, r = 0;

        rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
        if (rc != SQLITE_OK || !log || !log->pMethods)
                return rc == SQLITE_OK ? 0 : sqlite_fail(s, rc);
        if (log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) != SQLITE_OK)
                atomic_store(&store->log_doubtful, true);
        if (atomic_load(&store->log_doubtful))
                r = mend_log(s, log);
        if (r < 0)
                store_session_set_error(&s->session, "%s: the write-ahead log cannot be synced",
                                        s->session.store->place);
        return r;
}

/* false: somebody else is at it, or it fails. */
static bool move_log(SqliteSession *s) {
        return sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) ==
               SQLITE_OK;
}

/*
 * The log begins again at its start only when all of it has been moved. Beside writers without a
 * pause that never is so: it would grow for as long as they go on, and cutting it would block them.
 * So most of it is moved beside them, and what came meanwhile, a few pages, while it is this
 * session's turn.
 * Failures are of no interest: the log stays longer and the next commit tries again.
 */
static void checkpoint(SqliteSession *s) {
        int limit = s->writer == WRITER_CLIENT ? LOG_PAGES_CLIENT : LOG_PAGES;

        if (s->wal_pages < limit)
                return;
        s->wal_pages = 0;
        /* What the caller asked for is done: it does not wait long for this. */
        if (!move_log(s) ||
            store_hook_enter(&s->session, clock_monotonic_usec() + CHECKPOINT_WAIT_USEC) < 0)
                return;
        (void)move_log(s);
        store_hook_leave(&s->session);
}

static int end_write(SqliteSession *s, int result, const Slice *codes, size_t n, bool made) {
        if (s->in_load) {
                s->load_failed = s->load_failed || result < 0;
                return result;
        }
        if (result == 0)
                result = commit(s, codes, n, made);
        sqlite_rollback(s);
        if (s->writer == WRITER_CLIENT)
                store_hook_waiting(&s->session, -1);
        if (result == 0)
                result = sqlite_sync_log(s);
        if (result == 0)
                checkpoint(s);
        return result;
}

int sqlite_end_write(SqliteSession *s, int result, const Slice *codes, size_t n) {
        return end_write(s, result, codes, n, false);
}

int sqlite_end_making(SqliteSession *s, int result, const Slice *codes, size_t n) {
        return end_write(s, result, codes, n, true);
}

/* ---- totals ---- */

int sqlite_totals_load(SqliteSession *s, SqliteTotals *ret) {
        static const char sql[] = "SELECT users, urls, active_urls, events, redirects,"
                                  " last_user, last_url, last_event FROM totals WHERE id = 1";
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_statement(s, STMT_TOTALS_LOAD, sql, &statement);
        if (r < 0)
                return r;
        r = sqlite_row(s, statement);
        if (r < 0)
                return r;
        if (r == 0) {
                store_session_set_error(&s->session, "the row of totals is missing");
                return -EIO;
        }
        *ret = (SqliteTotals){.n = {.users = sqlite3_column_int64(statement, 0),
                                    .urls = sqlite3_column_int64(statement, 1),
                                    .active_urls = sqlite3_column_int64(statement, 2),
                                    .events = sqlite3_column_int64(statement, 3),
                                    .redirects = sqlite3_column_int64(statement, 4)},
                              .last_user = sqlite3_column_int64(statement, 5),
                              .last_url = sqlite3_column_int64(statement, 6),
                              .last_event = sqlite3_column_int64(statement, 7)};
        return 0;
}

int sqlite_totals_save(SqliteSession *s, const SqliteTotals *totals) {
        static const char sql[] = "UPDATE totals SET users = ?1, urls = ?2, active_urls = ?3,"
                                  " events = ?4, redirects = ?5, last_user = ?6, last_url = ?7,"
                                  " last_event = ?8 WHERE id = 1";
        sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_statement(s, STMT_TOTALS_SAVE, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, totals->n.users);
        sqlite_bind_number(statement, 2, totals->n.urls);
        sqlite_bind_number(statement, 3, totals->n.active_urls);
        sqlite_bind_number(statement, 4, totals->n.events);
        sqlite_bind_number(statement, 5, totals->n.redirects);
        sqlite_bind_number(statement, 6, totals->last_user);
        sqlite_bind_number(statement, 7, totals->last_url);
        sqlite_bind_number(statement, 8, totals->last_event);
        return sqlite_run(s, statement);
}

/* ---- rows of lists ---- */

int sqlite_collect(SqliteSession *s, sqlite3_stmt *statement, SqliteRows *rows) {
        size_t size = 0;
        int r;

        rows->rows = NULL;
        rows->n = 0;
        while ((r = sqlite_row(s, statement)) > 0) {
                if (rows->n == size) {
                        size_t room = size == 0 ? (size_t)MIN(rows->limit, ROWS_FIRST) : size * 2;
                        void *more = arena_alloc_zero(rows->arena, room, rows->row_size);

                        if (!more)
                                return -ENOMEM;
                        if (rows->n > 0)
                                memcpy(more, rows->rows, rows->n * rows->row_size);
                        rows->rows = more;
                        size = room;
                }
                r = rows->read(statement, rows->arena,
                               (char *)rows->rows + rows->n * rows->row_size);
                if (r < 0)
                        return r;
                rows->n++;
        }
        return r;
}
