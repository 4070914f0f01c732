/* SPDX-License-Identifier: MIT */

/* Power cuts. A layer over sqlite3's own VFS knows what of the database and its log is on the disk:
 * what was synced. A sync that fails is as on Linux: what it should have written counts as written
 * from then on, and is not on the disk. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "unit/store/support.h"

#define WRITES_MAX 4096u

typedef struct Disk {
        const char *suffix; /* of the file's name */
        const sqlite3_io_methods *below;
        sqlite3_io_methods methods; /* these, but for what is looked at */
        struct {
                sqlite3_int64 at;
                int size;
        } writes[WRITES_MAX]; /* since the last sync */
        size_t n_writes;
        uint8_t *bytes; /* what is on the disk */
        size_t size;
} Disk;

static Disk disks[] = {{.suffix = "/test.db"}, {.suffix = "/test.db-wal"}};
static unsigned n_failing;        /* syncs of the log that fail */
static void (*before_sync)(void); /* of the log, once */

static Disk *disk_of(const sqlite3_file *file) {
        for (size_t i = 0; i < ELEMENTSOF(disks); i++)
                if (file->pMethods == &disks[i].methods)
                        return disks + i;
        abort();
}

static int layer_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at) {
        Disk *disk = disk_of(file);

        assert_true(disk->n_writes < WRITES_MAX);
        disk->writes[disk->n_writes].at = at;
        disk->writes[disk->n_writes++].size = size;
        return disk->below->xWrite(file, data, size, at);
}

static void bring_to_disk(Disk *disk, sqlite3_file *file) {
        sqlite3_int64 size = 0;

        assert_int_equal(disk->below->xFileSize(file, &size), SQLITE_OK);
        disk->bytes = realloc(disk->bytes, (size_t)size + 1);
        assert_non_null(disk->bytes);
        if ((size_t)size > disk->size)
                memset(disk->bytes + disk->size, 0, (size_t)size - disk->size);
        disk->size = (size_t)size;
        for (size_t i = 0; i < disk->n_writes; i++) {
                sqlite3_int64 at = disk->writes[i].at;
                int n = (int)MIN((sqlite3_int64)disk->writes[i].size, size - at);

                if (n > 0)
                        assert_int_equal(disk->below->xRead(file, disk->bytes + at, n, at),
                                         SQLITE_OK);
        }
}

static int layer_sync(sqlite3_file *file, int flags) {
        Disk *disk = disk_of(file);
        bool fails = false;

        if (disk == disks + 1) {
                void (*call)(void) = before_sync;

                before_sync = NULL;
                if (call)
                        call();
                fails = n_failing > 0;
                n_failing -= fails;
        }
        if (!fails)
                bring_to_disk(disk, file);
        disk->n_writes = 0;
        return fails ? SQLITE_IOERR_FSYNC : disk->below->xSync(file, flags);
}

static sqlite3_vfs *below;

static bool is_named(const char *name, const char *suffix) {
        size_t len = strlen(name), n = strlen(suffix);

        return len >= n && strcmp(name + len - n, suffix) == 0;
}

static int layer_open(sqlite3_vfs *vfs _unused_, const char *name, sqlite3_file *file, int flags,
                      int *ret_flags) {
        int rc = below->xOpen(below, name, file, flags, ret_flags);

        for (size_t i = 0; i < ELEMENTSOF(disks) && rc == SQLITE_OK && name; i++) {
                Disk *disk = disks + i;

                if (!is_named(name, disk->suffix))
                        continue;
                disk->below = file->pMethods;
                disk->methods = *file->pMethods;
                disk->methods.xWrite = layer_write;
                disk->methods.xSync = layer_sync;
                file->pMethods = &disk->methods;
        }
        return rc;
}

static int install_layer(void **state _unused_) {
        static sqlite3_vfs vfs;

        below = sqlite3_vfs_find(NULL);
        vfs = *below;
        vfs.zName = "remembering";
        vfs.xOpen = layer_open;
        return sqlite3_vfs_register(&vfs, 1) == SQLITE_OK ? 0 : -1;
}

static int setup(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(disks); i++) {
                free(disks[i].bytes);
                disks[i].bytes = NULL;
                disks[i].size = disks[i].n_writes = 0;
        }
        n_failing = 0;
        before_sync = NULL;
        return place_setup(state);
}

/* ---- after the cut ---- */

static void write_file(const char *path, const Disk *disk) {
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_int_equal(fwrite(disk->bytes, 1, disk->size, file), disk->size);
        assert_int_equal(fclose(file), 0);
}

/* What is on the disk now, in another file. */
static void cut_power(Place *place) {
        Slice path = arena_printf(&place->arena, "%s/after.db%c", place->directory, 0),
              log = arena_printf(&place->arena, "%s/after.db-wal%c", place->directory, 0);

        write_file(path.data, disks);
        write_file(log.data, disks + 1);
}

static Store *open_after(Place *place, StoreSession **ret) {
        Slice url = arena_printf(&place->arena, "sqlite:%s/after.db%c", place->directory, 0);
        Store *store = open_store(url.data, false);

        *ret = open_session(store);
        return store;
}

static void assert_kept(Place *place, const char *code, bool kept) {
        StoreSession *session;
        Store *store = open_after(place, &session);
        Url url;

        assert_int_equal(store_url_get_by_code(session, &place->arena, slice_from_string(code),
                                               &url),
                         kept ? 0 : STORE_NOT_FOUND);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* ---- tests ---- */

static int make(StoreSession *session, const char *code) {
        Slice target = S("https://x.example/");
        const Url url = {.code = slice_from_string(code), .target = target, .location = target};
        Url made;

        return store_url_create(session, &url, S("{}"), &made);
}

static void test_synced(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        StoreSession *session = open_session(store);

        assert_int_equal(make(session, "one"), 0);
        cut_power(place);
        assert_kept(place, "one", true);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* n syncs of the log fail, the last one of which is not the kernel's last word. */
static void check_lost_sync(Place *place, unsigned n, int result) {
        Store *store = open_store(place->url, true);
        StoreSession *others = open_session(store), *session = open_session(store);

        assert_int_equal(store_ping(others), 0);
        assert_int_equal(make(session, "one"), 0);
        n_failing = n;
        assert_int_equal(make(session, "two"), result);
        if (result == 0) {
                cut_power(place);
                assert_kept(place, "two", true);
        }
        assert_int_equal(make(session, "three"), 0);
        cut_power(place);
        assert_kept(place, "one", true);
        assert_kept(place, "two", true);
        assert_kept(place, "three", true);
        (void)store_session_free(session);
        (void)store_session_free(others);
        (void)store_free(store);
}

static void test_lost_sync(void **state) {
        check_lost_sync(*state, 1, 0);
}

static void test_two_lost_syncs(void **state) {
        check_lost_sync(*state, 2, -EHOSTDOWN);
}

/* ---- a key that another process has just used ---- */

static struct {
        Place *place;
        StoreSession *session;
        const StoreKey *key;
} replay;

static int answer(void *userdata _unused_, const void *row _unused_, StoreAnswer *ret) {
        *ret = (StoreAnswer){.status = 201, .body = S("made")};
        return 0;
}

static void replay_answer(void) {
        StoreAnswer found;

        assert_int_equal(store_key_find(replay.session, &replay.place->arena, replay.key, &found),
                         0);
        cut_power(replay.place);
}

static void test_answer_of_another(void **state) {
        const StoreKey key = {.name = {1}, .request = {2}, .expires_sec = 9, .answer = answer};
        Place *place = *state;
        Store *one = open_store(place->url, true), *two = open_store(place->url, true);
        StoreSession *session = open_session(one), *other = open_session(two);
        const Url url = {.code = S("one"), .target = S("https://x/"), .location = S("https://x/")};
        const StoreUrlNew new = {.url = &url, .details = S("{}")};
        Url made;

        assert_int_equal(store_ping(session), 0);
        assert_int_equal(store_ping(other), 0);
        replay.place = place;
        replay.session = other;
        replay.key = &key;
        before_sync = replay_answer;
        assert_int_equal(store_url_create_once(session, &new, &key, &made), 0);
        assert_null(before_sync);
        assert_kept(place, "one", true);
        (void)store_session_free(session);
        (void)store_session_free(other);
        (void)store_free(one);
        (void)store_free(two);
}

/* ---- a position that another process has just moved ---- */

static const uint8_t spool[STORE_SPOOL_ID_SIZE] = {7};

static int append(StoreSession *session, uint64_t *ret_next) {
        const StoreClick click = {.seq = 1, .url_id = 1, .time_sec = 1, .details = S("{}")};
        const StoreBatch batch = {.spool = {7},
                                  .first_seq = 1,
                                  .from_seq = 1,
                                  .upto_seq = 2,
                                  .clicks = &click,
                                  .n_clicks = 1};

        return store_clicks_append(session, &batch, ret_next);
}

static void ask_position(void) {
        StoreOffset offset;

        assert_int_equal(store_offset_get(replay.session, spool, &offset), 0);
        cut_power(replay.place);
}

static void append_again(void) {
        uint64_t next = 0;

        assert_int_equal(append(replay.session, &next), STORE_CONFLICT_POSITION);
        assert_int_equal(next, 2);
        cut_power(replay.place);
}

static void check_position(Place *place, void (*ask)(void)) {
        Store *one = open_store(place->url, true), *two = open_store(place->url, true);
        StoreSession *session = open_session(one), *other = open_session(two);
        StoreSession *later;
        Store *after;
        StoreOffset offset;
        uint64_t next;

        assert_int_equal(store_ping(session), 0);
        assert_int_equal(store_ping(other), 0);
        replay.place = place;
        replay.session = other;
        before_sync = ask;
        assert_int_equal(append(session, &next), 0);
        assert_null(before_sync);
        after = open_after(place, &later);
        assert_int_equal(store_offset_get(later, spool, &offset), 0);
        assert_int_equal(offset.next_seq, 2);
        (void)store_session_free(later);
        (void)store_free(after);
        (void)store_session_free(session);
        (void)store_session_free(other);
        (void)store_free(one);
        (void)store_free(two);
}

static void test_position_of_another(void **state) {
        check_position(*state, ask_position);
}

static void test_conflict_with_another(void **state) {
        check_position(*state, append_again);
}

#define POWER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, place_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        POWER_TEST(test_synced),
                        POWER_TEST(test_lost_sync),
                        POWER_TEST(test_two_lost_syncs),
                        POWER_TEST(test_answer_of_another),
                        POWER_TEST(test_position_of_another),
                        POWER_TEST(test_conflict_with_another),
        };

        return cmocka_run_group_tests(tests, install_layer, NULL);
}
