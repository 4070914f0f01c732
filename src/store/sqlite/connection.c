/* SPDX-License-Identifier: MIT */

/*
 * A session's connection to the database file: opening it (and making it, where that is wanted),
 * closing it, and what its results mean. A session connects when it first needs to and again after
 * the connection was lost, so an away file is an error of verbs, never of sessions.
 *
 * The file is never opened or closed here by other means than sqlite3 while a session may have it
 * open: closing any descriptor of it would drop the process' POSIX locks.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "basic/clock.h"
#include "store/sqlite/session.h"

#define FILE_MODE    0640 /* of a new file; the log and the index beside it get the same */
#define PROGRESS_OPS 4000 /* instructions between two looks at the deadline, about 50 us */

/* Between two tries for a lock, and the waiting after which that changes. */
#define WAIT_MIN_USEC      100u
#define WAIT_EARLY_USEC    500u
#define WAIT_MAX_USEC      2000u
#define WAIT_OFTEN_USEC    4000u
#define WAIT_STRANGER_USEC 100000u

/* synchronous: a checkpoint syncs, COMMIT does not: sqlite_sync_log(). cache_size: in KiB, for each
 * session; sqlite3 drops the cache whenever another connection has written, so more helps within
 * one transaction only, and there not much: a transaction of the shipper that does not fit puts
 * pages into the log early. 8 MiB were not faster (shipper and import, within their noise), but the
 * process grew by 2.4 MB for good when a stall left it a full transaction in a large file.
 * journal_size_limit: what stays of a write-ahead log that grew behind a slow reader. */
static const char SQL_CONFIGURE[] = "PRAGMA synchronous = NORMAL;"
                                    "PRAGMA foreign_keys = OFF;"
                                    "PRAGMA trusted_schema = OFF;"
                                    "PRAGMA cache_size = -2048;"
                                    "PRAGMA journal_size_limit = 67108864;";

static SqliteStore *store_of(const SqliteSession *s) {
        return s->session.store->data;
}

static const char *path_of(const SqliteSession *s) {
        return s->session.store->place;
}

/* ---- results ---- */

int sqlite_fail(SqliteSession *s, int rc) {
        store_session_set_error(&s->session, "%s: %s", path_of(s),
                                s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
        if (rc == SQLITE_IOERR_NOMEM)
                return -ENOMEM;
        switch (rc & 0xff) {
        case SQLITE_BUSY:
        case SQLITE_PROTOCOL:
                return -EBUSY;
        case SQLITE_INTERRUPT:
                return -ETIMEDOUT;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
                s->lost = true;
                return -EHOSTDOWN;
        case SQLITE_FULL:
        case SQLITE_READONLY:
        case SQLITE_PERM:
                return -EHOSTDOWN;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                s->lost = true;
                return -EIO;
        case SQLITE_CONSTRAINT:
        case SQLITE_MISMATCH:
        case SQLITE_TOOBIG:
                return -EBADMSG;
        default:
                return -EPROTO;
        }
}

int sqlite_execute(SqliteSession *s, const char *sql) {
        int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

        return rc == SQLITE_OK ? 0 : sqlite_fail(s, rc);
}

/* ---- what sqlite3 calls ---- */

static bool limit_passed(const SqliteSession *s) {
        return s->limit_usec != 0 && clock_monotonic_usec() >= s->limit_usec;
}

/* Between two tries: SQLite's locks are POSIX locks of single bytes that its VFS only tries, and
 * nothing tells when one is free. At most a second. */
static void pause_usec(unsigned usec) {
        (void)nanosleep(&(struct timespec){.tv_nsec = (long)usec * 1000}, NULL);
}

/* A lock is held by somebody else, who did not queue for it (session.c); n: how often that was so
 * before. The longer a session has waited the more often it tries, since the others may be without
 * a host page too, and the oldest one should get the lock as if there were a queue; a lock
 * that is held for much longer than a transaction takes is a stranger's, and not worth the heat.
 * sqlite3's own handler would sleep up to 100 ms at a time. */
static int on_busy(void *userdata, int n) {
        SqliteSession *s = userdata;
        uint64_t now_usec = clock_monotonic_usec();
        uint64_t waited_usec;

        if (n == 0)
                s->wait_usec = now_usec;
        if (limit_passed(s))
                return 0;
        waited_usec = now_usec - s->wait_usec;
        if (waited_usec >= WAIT_STRANGER_USEC)
                pause_usec(WAIT_MAX_USEC);
        else if (waited_usec >= WAIT_OFTEN_USEC)
                pause_usec(WAIT_MIN_USEC);
        else
                pause_usec(MIN(WAIT_MIN_USEC * (unsigned)(n + 1), WAIT_EARLY_USEC));
        return 1;
}

static int on_progress(void *userdata) {
        const SqliteSession *s = userdata;

        return !s->must_finish && limit_passed(s);
}

static int on_commit(void *userdata, sqlite3 *db _unused_, const char *name _unused_, int n_pages) {
        SqliteSession *s = userdata;

        s->wal_pages = n_pages;
        return SQLITE_OK;
}

/* ---- connecting ---- */

/* Makes an empty file where there is none. An existing one is left unopened. */
static int make_file(SqliteSession *s) {
        int fd = open(path_of(s), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);

        if (fd < 0) {
                if (errno == EEXIST)
                        return 0;
                store_session_set_error(&s->session, "cannot make %s: %s", path_of(s),
                                        strerror(errno));
                return -EHOSTDOWN;
        }
        (void)close(fd);
        return 0;
}

static int open_file(SqliteSession *s) {
        int rc, error;

        rc = sqlite3_open_v2(path_of(s), &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
        if (!s->db)
                return -ENOMEM;
        atomic_fetch_add(&s->session.store->n_connected, 1);
        (void)sqlite3_extended_result_codes(s->db, 1);
        (void)sqlite3_busy_handler(s->db, on_busy, s);
        sqlite3_progress_handler(s->db, PROGRESS_OPS, on_progress, s);
        /* Replaces sqlite3's automatic checkpoint: sqlite_end_write() has its own. */
        (void)sqlite3_wal_hook(s->db, on_commit, s);
        if (rc == SQLITE_OK)
                return 0;
        error = sqlite3_system_errno(s->db);
        rc = sqlite_fail(s, rc);
        if (error != 0)
                store_session_set_error(&s->session, "cannot open %s: %s", path_of(s),
                                        strerror(error));
        return rc;
}

/* Two that change a file's journal at once hold a shared lock each and want an exclusive one:
 * sqlite3 sees the deadlock, does not ask on_busy() and fails one of them, which has to let go and
 * try again. */
static int set_log(SqliteSession *s, sqlite3_stmt *statement) {
        int rc = sqlite3_step(statement);

        for (int n = 0; (rc & 0xff) == SQLITE_BUSY && on_busy(s, n); n++) {
                (void)sqlite3_reset(statement);
                rc = sqlite3_step(statement);
        }
        return rc;
}

/* The write-ahead log is a property of the file; a restored copy may lack it. */
static int use_log(SqliteSession *s) {
        sqlite3_stmt *statement = NULL;
        bool used = false;
        int rc;

        rc = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
        if (rc == SQLITE_OK) {
                rc = set_log(s, statement);
                used = rc == SQLITE_ROW && slice_equal(sqlite_text(statement, 0), SLICE("wal"));
        }
        if (rc != SQLITE_ROW) {
                rc = sqlite_fail(s, rc);
        } else if (!used) {
                store_session_set_error(&s->session, "%s: cannot have a write-ahead log here",
                                        path_of(s));
                rc = -EHOSTDOWN;
        } else {
                rc = 0;
        }
        (void)sqlite3_finalize(statement);
        return rc;
}

static int connect_file(SqliteSession *s) {
        SqliteStore *store = store_of(s);
        bool create = s->session.store->options.create && !atomic_load(&store->seen);
        int r;

        if (create) {
                r = make_file(s);
                if (r < 0)
                        return r;
        }
        r = open_file(s);
        if (r < 0)
                return r;
        r = sqlite_execute(s, SQL_CONFIGURE);
        if (r < 0)
                return r;
        r = use_log(s);
        if (r < 0)
                return r;
        if (create) {
                r = sqlite_make_schema(s);
                if (r < 0)
                        return r;
        }
        atomic_store(&store->seen, true);
        return 0;
}

void sqlite_disconnect(SqliteSession *s) {
        for (size_t i = 0; i < ELEMENTSOF(s->statements); i++) {
                (void)sqlite3_finalize(s->statements[i]);
                s->statements[i] = NULL;
        }
        (void)sqlite3_close(s->db);
        if (s->db)
                atomic_fetch_sub(&s->session.store->n_connected, 1);
        s->db = NULL;
        store_hook_leave(&s->session);
        s->lost = false;
        s->wal_pages = 0;
}

/* Was the file renamed, removed or replaced? Then what is written here nobody will read. */
static bool file_moved(const SqliteSession *s) {
        int moved = 0;

        return sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
               moved;
}

int sqlite_ready(SqliteSession *s) {
        uint64_t connect_usec = s->session.store->options.connect_usec;
        int r;

        if (s->in_load && (s->lost || s->load_failed)) {
                store_session_set_error(&s->session, "the load has failed: roll it back");
                return -EINVAL;
        }
        s->limit_usec = s->session.deadline_usec;
        if (s->db && !s->in_load && (s->lost || file_moved(s)))
                sqlite_disconnect(s);
        if (LIKELY(s->db))
                return 0;
        if (connect_usec != 0) {
                uint64_t limit_usec = clock_monotonic_usec() + connect_usec;

                if (s->limit_usec == 0 || limit_usec < s->limit_usec)
                        s->limit_usec = limit_usec;
        }
        r = connect_file(s);
        if (r < 0)
                sqlite_disconnect(s);
        s->limit_usec = s->session.deadline_usec;
        return r;
}
