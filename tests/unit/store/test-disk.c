/* SPDX-License-Identifier: MIT */

/* A failing disk: the 1st, 2nd, 3rd ... read, write, sync, truncation or opening of each verb
 * fails. The verb says that the store is away, later ones work again, and what is in the file is
 * sound. A layer over sqlite3's own VFS makes the failures. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "store/schema/schema.h"
#include "unit/store/operations.h"

static unsigned countdown; /* calls until one fails; 0: none does */
static bool fired;

static bool fails_now(void) {
        if (countdown == 0 || --countdown > 0)
                return false;
        fired = true;
        return true;
}

/* ---- the layer ---- */

typedef struct Layered {
        sqlite3_file base;
        const sqlite3_io_methods *below;
        /* The file of the VFS below follows. */
} Layered;

static sqlite3_vfs *below;

static sqlite3_file *file_below(sqlite3_file *file) {
        return (sqlite3_file *)((Layered *)file + 1);
}

static const sqlite3_io_methods *methods_below(sqlite3_file *file) {
        return file_below(file)->pMethods;
}

static int layer_read(sqlite3_file *file, void *data, int size, sqlite3_int64 at) {
        return fails_now() ? SQLITE_IOERR_READ
                           : methods_below(file)->xRead(file_below(file), data, size, at);
}

static int layer_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at) {
        return fails_now() ? SQLITE_FULL
                           : methods_below(file)->xWrite(file_below(file), data, size, at);
}

static int layer_truncate(sqlite3_file *file, sqlite3_int64 size) {
        return fails_now() ? SQLITE_IOERR_TRUNCATE
                           : methods_below(file)->xTruncate(file_below(file), size);
}

static int layer_sync(sqlite3_file *file, int flags) {
        return fails_now() ? SQLITE_IOERR_FSYNC
                           : methods_below(file)->xSync(file_below(file), flags);
}

static int layer_size(sqlite3_file *file, sqlite3_int64 *ret) {
        return fails_now() ? SQLITE_IOERR_FSTAT
                           : methods_below(file)->xFileSize(file_below(file), ret);
}

static int layer_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret) {
        return fails_now() ? SQLITE_IOERR_SHMMAP
                           : methods_below(file)->xShmMap(file_below(file), region, size, extend,
                                                          ret);
}

static int layer_close(sqlite3_file *file) {
        return methods_below(file)->xClose(file_below(file));
}

static int layer_lock(sqlite3_file *file, int level) {
        return methods_below(file)->xLock(file_below(file), level);
}

static int layer_unlock(sqlite3_file *file, int level) {
        return methods_below(file)->xUnlock(file_below(file), level);
}

static int layer_reserved(sqlite3_file *file, int *ret) {
        return methods_below(file)->xCheckReservedLock(file_below(file), ret);
}

static int layer_control(sqlite3_file *file, int what, void *data) {
        return methods_below(file)->xFileControl(file_below(file), what, data);
}

static int layer_sector(sqlite3_file *file) {
        return methods_below(file)->xSectorSize(file_below(file));
}

static int layer_device(sqlite3_file *file) {
        return methods_below(file)->xDeviceCharacteristics(file_below(file));
}

static int layer_shm_lock(sqlite3_file *file, int offset, int n, int flags) {
        return methods_below(file)->xShmLock(file_below(file), offset, n, flags);
}

static void layer_barrier(sqlite3_file *file) {
        methods_below(file)->xShmBarrier(file_below(file));
}

static int layer_unmap(sqlite3_file *file, int remove) {
        return methods_below(file)->xShmUnmap(file_below(file), remove);
}

static const sqlite3_io_methods layer = {
                .iVersion = 2,
                .xClose = layer_close,
                .xRead = layer_read,
                .xWrite = layer_write,
                .xTruncate = layer_truncate,
                .xSync = layer_sync,
                .xFileSize = layer_size,
                .xLock = layer_lock,
                .xUnlock = layer_unlock,
                .xCheckReservedLock = layer_reserved,
                .xFileControl = layer_control,
                .xSectorSize = layer_sector,
                .xDeviceCharacteristics = layer_device,
                .xShmMap = layer_map,
                .xShmLock = layer_shm_lock,
                .xShmBarrier = layer_barrier,
                .xShmUnmap = layer_unmap,
};

static int layer_open(sqlite3_vfs *vfs _unused_, const char *name, sqlite3_file *file, int flags,
                      int *ret_flags) {
        int rc;

        file->pMethods = NULL;
        if (fails_now())
                return SQLITE_CANTOPEN;
        rc = below->xOpen(below, name, file_below(file), flags, ret_flags);
        if (rc == SQLITE_OK)
                file->pMethods = &layer;
        return rc;
}

static int install_layer(void **state _unused_) {
        static sqlite3_vfs vfs;

        below = sqlite3_vfs_find(NULL);
        vfs = *below;
        vfs.zName = "failing";
        vfs.szOsFile = (int)sizeof(Layered) + below->szOsFile;
        vfs.xOpen = layer_open;
        return sqlite3_vfs_register(&vfs, 1) == SQLITE_OK ? 0 : -1;
}

/* ---- driving ---- */

static void close_breaker(Store *store) {
        atomic_store(&store->n_failures, 0);
        atomic_store(&store->next_probe_usec, 0);
}

/* session: NULL for a new one each time. Returns how many runs failed. */
static unsigned drive(Store *store, StoreSession *session, const Operation *operation) {
        unsigned n_failures = 0;
        Arena arena;
        int r;

        arena_init(&arena, 0);
        for (unsigned n = 1;; n++) {
                StoreSession *used = session ? session : open_session(store);

                assert_true(n < 2000);
                arena_reset(&arena);
                close_breaker(store);
                fired = false;
                countdown = n;
                r = operation->run(used, &arena);
                countdown = 0;
                if (r < 0 && r != -EHOSTDOWN && r != -ENOMEM && r != -EBUSY)
                        fail_msg("%s: call %u: %d (%s)", operation->name, n, r,
                                 store_session_error(used));
                n_failures += r < 0;
                if (!session)
                        (void)store_session_free(used);
                if (!fired)
                        break;
                if (r < 0)
                        assert_sound(store, operation->name);
        }
        if (r < 0)
                fail_msg("%s: without a failure: %d", operation->name, r);
        arena_done(&arena);
        assert_sound(store, operation->name);
        return n_failures;
}

static void test_one_session(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        unsigned n_failures = 0;

        make_base(session, &place->arena);
        for (size_t i = 0; i < n_operations; i++)
                n_failures += drive(store, session, &operations[i]);
        assert_true(n_failures > n_operations);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void test_new_sessions(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);

        make_base(session, &place->arena);
        (void)store_session_free(session);
        for (size_t i = 0; i < n_operations; i++)
                assert_true(drive(store, NULL, &operations[i]) > 3);
        (void)store_free(store);
}

static void test_making_the_file(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);
        int r;

        for (unsigned n = 1;; n++) {
                assert_true(n < 2000);
                close_breaker(store);
                countdown = n;
                r = store_ping(session);
                countdown = 0;
                if (r == 0)
                        break;
                assert_true(r == -EHOSTDOWN || r == -EIO);
        }
        assert_int_equal(query_sql(place, "SELECT count(*) FROM totals"), 1);
        assert_int_equal(query_sql(place, "PRAGMA user_version"), (int64_t)n_schema_sqlite);
        (void)store_session_free(session);
        (void)store_free(store);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        PLACE_TEST(test_one_session),
                        PLACE_TEST(test_new_sessions),
                        PLACE_TEST(test_making_the_file),
        };

        return cmocka_run_group_tests(tests, install_layer, NULL);
}
