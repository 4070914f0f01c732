/* SPDX-License-Identifier: MIT */

/* The PostgreSQL driver when the server freezes, ends connections, takes no changes, or is not the
 * one it was; on a real server. */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "unit/store/pg-support.h"

/* A busy machine answers late; what must hold is that nothing waits for the server. */
#define LATE_USEC (700 * USEC_PER_MSEC)

typedef struct Fixture {
        const char *database;
        Store *store;
        StoreSession *session;
        Arena arena;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        CHECK(f);
        f->database = postgres_database();
        f->store = pg_open_store(postgres_url(f->database), false);
        f->session = open_session(f->store);
        arena_init(&f->arena, 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        server_thaw();
        (void)store_session_free(f->session);
        (void)store_free(f->store);
        arena_done(&f->arena);
        free(f);
        return 0;
}

#define PG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void sql(const Fixture *f, const char *text) {
        free(postgres_sql(f->database, text));
}

static void assert_sql(const Fixture *f, const char *text, const char *expected) {
        char *value = postgres_sql(f->database, text);

        assert_string_equal(value, expected);
        free(value);
}

static void end_backends(const Fixture *f) {
        sql(f, "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
               " WHERE application_name = 'shortener'");
}

/* ---- time ---- */

static void test_frozen_server_is_noticed_in_a_second(void **state) {
        Fixture *f = *state;
        uint64_t begin_usec, took_usec;
        User user;

        add_user(f->session, &f->arena, "anna");
        server_freeze();
        for (int change = 0; change < 2; change++) {
                begin_usec = clock_monotonic_usec();
                deadline_in(f->session, USEC_PER_SEC);
                if (change)
                        assert_int_equal(store_user_create(f->session, &f->arena, S("b"), S("b"), 1,
                                                           &user),
                                         -ETIMEDOUT); /* no connection any more */
                else
                        assert_int_equal(store_user_get(f->session, &f->arena, 1, &user),
                                         -ETIMEDOUT);
                took_usec = clock_monotonic_usec() - begin_usec;
                assert_true(took_usec >= USEC_PER_SEC - 50 * USEC_PER_MSEC);
                assert_true(took_usec < USEC_PER_SEC + LATE_USEC);
        }
        server_thaw();
        wait_until_up(f->session);
        assert_int_equal(store_user_get(f->session, &f->arena, 1, &user), 0);
        assert_sql(f, "SELECT count(*) FROM users", "1");
}

/* Before COMMIT was sent it is known that nothing was done. */
static void test_change_on_a_frozen_server(void **state) {
        Fixture *f = *state;
        User user;

        add_user(f->session, &f->arena, "anna");
        server_freeze();
        deadline_in(f->session, 100 * USEC_PER_MSEC);
        assert_int_equal(store_user_create(f->session, &f->arena, S("b"), S("b"), 1, &user),
                         -EBUSY);
        server_thaw();
        wait_until_up(f->session);
        assert_sql(f, "SELECT count(*) FROM users", "1");
}

/* A rollback does not wait for the server either. */
static void test_rollback_on_a_frozen_server(void **state) {
        Fixture *f = *state;
        uint64_t begin_usec;

        assert_int_equal(store_load_begin(f->session, false), 0);
        server_freeze();
        begin_usec = clock_monotonic_usec();
        assert_int_equal(store_load_end(f->session, false), 0);
        assert_true(clock_monotonic_usec() - begin_usec < USEC_PER_SEC);
        server_thaw();
        wait_until_up(f->session);
        add_user(f->session, &f->arena, "anna");
}

/* The server gives up on a lock before we do: the connection stays. */
static void test_lock_that_is_held(void **state) {
        Fixture *f = *state;
        StoreSession *other = open_session(f->store);
        PGconn *db = pg_session(f->session)->db;
        User user;

        assert_int_equal(store_ping(f->session), 0);
        db = pg_session(f->session)->db;
        assert_int_equal(store_load_begin(other, false), 0);
        deadline_in(f->session, 200 * USEC_PER_MSEC);
        assert_int_equal(store_user_create(f->session, &f->arena, S("b"), S("b"), 1, &user),
                         -EBUSY);
        assert_ptr_equal(pg_session(f->session)->db, db);
        assert_int_equal(store_load_end(other, false), 0);
        deadline_in(f->session, 20 * USEC_PER_SEC);
        assert_int_equal(store_user_create(f->session, &f->arena, S("b"), S("b"), 1, &user), 0);
        (void)store_session_free(other);
}

/* ---- connections that end ---- */

static void test_connection_ended_while_idle(void **state) {
        Fixture *f = *state;

        add_user(f->session, &f->arena, "anna");
        end_backends(f);
        add_user(f->session, &f->arena, "berta"); /* no failure is seen */
        assert_true(store_is_up(f->store));
}

static void test_old_connections_are_replaced(void **state) {
        Fixture *f = *state;
        PgSession *s = pg_session(f->session);
        int before;

        assert_int_equal(store_ping(f->session), 0);
        assert_true(s->until_usec > clock_monotonic_usec() + 1000 * USEC_PER_SEC);
        before = PQbackendPID(s->db);
        s->until_usec = 1;
        assert_int_equal(store_ping(f->session), 0);
        assert_int_not_equal(PQbackendPID(s->db), before);
}

static void test_load_whose_connection_ends(void **state) {
        Fixture *f = *state;
        StoreUserRow row = {.user = {.username = S("anna"), .email = S("a")}};

        assert_int_equal(store_load_begin(f->session, false), 0);
        assert_int_equal(store_users_import(f->session, &row, 1), 0);
        end_backends(f);
        row.user = (User){.username = S("b"), .email = S("b")};
        assert_int_equal(store_users_import(f->session, &row, 1), -EHOSTDOWN);
        assert_int_equal(store_users_import(f->session, &row, 1), -EINVAL);
        assert_int_equal(store_load_end(f->session, true), -EINVAL);
        assert_int_equal(store_load_end(f->session, false), 0);
        assert_sql(f, "SELECT count(*) FROM users", "0");
        add_user(f->session, &f->arena, "anna");
}

/* The outcome is unknown to the one who asked; the row is there. */
static void test_cut_behind_commit(void **state) {
        Fixture *f = *state;
        Proxy *proxy = proxy_new();
        Store *store = pg_open_store(proxy_url(proxy, f->database), false);
        StoreSession *session = open_session(store);
        User user;

        assert_int_equal(store_ping(session), 0);
        proxy_cut_behind(proxy, "COMMIT");
        assert_int_equal(store_user_create(session, &f->arena, S("a"), S("a"), 1, &user),
                         -EHOSTDOWN);
        assert_true(proxy_has_cut(proxy));
        wait_until_up(session);
        assert_int_equal(store_user_create(session, &f->arena, S("a"), S("a"), 1, &user),
                         STORE_USERNAME_TAKEN);
        (void)store_session_free(session);
        (void)store_free(store);
        (void)proxy_free(proxy);
}

/* While the server is away a process tries once a second, however many ask. */
static void test_reconnects_are_paced(void **state) {
        Fixture *f = *state;
        Proxy *proxy = proxy_new();
        Store *store = pg_open_store(proxy_url(proxy, f->database), false);
        StoreSession *sessions[3];
        uint64_t begin_usec;
        unsigned n, n_before;

        for (size_t i = 0; i < 3; i++)
                sessions[i] = open_session(store);
        assert_int_equal(store_ping(sessions[0]), 0);
        proxy_refuse(proxy, true);
        (void)store_session_free(sessions[0]);
        sessions[0] = open_session(store);
        assert_int_equal(store_ping(sessions[0]), -EHOSTDOWN);
        n_before = proxy_n_accepted(proxy);
        begin_usec = clock_monotonic_usec();
        do
                for (size_t i = 0; i < 3; i++) {
                        deadline_in(sessions[i], 20 * USEC_PER_SEC);
                        atomic_store(&store->next_probe_usec, 0); /* not the breaker's doing */
                        assert_int_equal(store_ping(sessions[i]), -EHOSTDOWN);
                }
        while (clock_monotonic_usec() - begin_usec < 3 * USEC_PER_SEC);
        n = proxy_n_accepted(proxy) - n_before;
        assert_true(n >= 1 && n <= 3);
        proxy_refuse(proxy, false);
        wait_until_up(sessions[0]);
        for (size_t i = 1; i < 3; i++)
                assert_int_equal(store_ping(sessions[i]), 0); /* at once */
        for (size_t i = 0; i < 3; i++)
                (void)store_session_free(sessions[i]);
        (void)store_free(store);
        (void)proxy_free(proxy);
}

/* ---- which server ---- */

static void test_of_several_hosts_the_one_that_answers(void **state) {
        Fixture *f = *state;
        Store *store;
        StoreSession *session;
        char *url = NULL;

        CHECK(asprintf(&url,
                       "postgres://postgres@/%s?host=/nowhere,%s&port=5432,5432&"
                       "application_name=other",
                       f->database, getenv("SHORTENER_TEST_POSTGRES")) > 0);
        store = pg_open_store(url, false);
        session = open_session(store);
        assert_int_equal(store_ping(session), 0);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* A server that takes no changes any more (25006) is left, and not come back to. */
static void test_server_turns_read_only(void **state) {
        Fixture *f = *state;
        User user;

        add_user(f->session, &f->arena, "anna");
        sql(f, "ALTER SYSTEM SET default_transaction_read_only = on");
        sql(f, "SELECT pg_reload_conf()");
        for (int r = 0; r != -EHOSTDOWN;) { /* the reload takes its time */
                deadline_in(f->session, 20 * USEC_PER_SEC);
                r = store_user_delete(f->session, 999);
                assert_true(r == STORE_NOT_FOUND || r == -EHOSTDOWN);
        }
        assert_null(pg_session(f->session)->db);
        atomic_store(&f->store->next_probe_usec, 0);
        assert_int_equal(store_user_get(f->session, &f->arena, 1, &user), -EHOSTDOWN);
        free(postgres_sql("postgres", "BEGIN READ WRITE; COMMIT;"));
        sql(f, "SET default_transaction_read_only = off;");
        sql(f, "ALTER SYSTEM RESET default_transaction_read_only");
        sql(f, "SELECT pg_reload_conf()");
        wait_until_up(f->session);
}

static void write_timeline(const char *folder, uint64_t system, unsigned timeline) {
        char path[256];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/timeline", folder);
        file = fopen(path, "we");
        assert_non_null(file);
        (void)fprintf(file, "%llu %u\n", (unsigned long long)system, timeline);
        assert_int_equal(fclose(file), 0);
}

static int ping_with_timeline(const Fixture *f, const char *folder, char *error, size_t size) {
        const StoreOptions options = {.timeline_folders = {folder, "/nowhere"}};
        char *url = postgres_url(f->database);
        StoreSession *session;
        Store *store;
        int r;

        assert_int_equal(store_new(url, &options, &store), 0);
        free(url);
        session = open_session(store);
        r = store_ping(session);
        (void)snprintf(error, size, "%s", store_session_error(session));
        (void)store_session_free(session);
        (void)store_free(store);
        return r;
}

/* An old primary that comes back counts as away; another system's numbers say nothing. */
static void test_timelines(void **state) {
        Fixture *f = *state;
        char folder[] = "/tmp/shortener-timeline-XXXXXX", path[256], error[512];
        uint64_t system;

        assert_non_null(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/timeline", folder);
        assert_int_equal(store_ping(f->session), 0);
        system = atomic_load(&pg_store(pg_session(f->session))->system);
        assert_int_equal(ping_with_timeline(f, folder, error, sizeof(error)), 0);
        assert_int_equal(access(path, F_OK), 0); /* it was written down */
        write_timeline(folder, system, 2);
        assert_int_equal(ping_with_timeline(f, folder, error, sizeof(error)), -EHOSTDOWN);
        assert_non_null(strstr(error, "timeline 1, but 2 was seen"));
        write_timeline(folder, system + 1, 9);
        assert_int_equal(ping_with_timeline(f, folder, error, sizeof(error)), 0);
        write_timeline(folder, system, 1);
        assert_int_equal(ping_with_timeline(f, folder, error, sizeof(error)), 0);
        assert_int_equal(truncate(path, 3), 0); /* damaged: as if it were not there */
        assert_int_equal(ping_with_timeline(f, folder, error, sizeof(error)), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(folder), 0);
}

/* ---- edits by psql ---- */

static void assert_location(const Fixture *f, const char *expected) {
        Link link = {.code = S("abc")};
        Arena arena;

        arena_init(&arena, 0);
        assert_int_equal(store_urls_by_codes(f->session, &arena, &link, 1), 0);
        assert_int_equal(link.is_active, expected != NULL);
        if (expected)
                assert_true(slice_equal(link.location, slice_from_string(expected)));
        arena_done(&arena);
}

/* The location of an old target goes with it. */
static void test_target_edited_past_the_program(void **state) {
        Fixture *f = *state;
        const Url url = {.code = S("abc"),
                         .target = S("http://\303\251.example/"),
                         .location = S("http://xn--9ca.example/")};
        const StoreUrlChange change = {.has_target = true,
                                       .target = S("http://\303\211.example/"),
                                       .location = S("http://xn--9ca.example/"),
                                       .target_details = S("{}")};
        Url made;

        assert_int_equal(store_url_create(f->session, &url, S("{}"), &made), 0);
        assert_location(f, "http://xn--9ca.example/");
        assert_int_equal(store_url_update(f->session, &f->arena, made.id, &change, &made), 0);
        assert_location(f, "http://xn--9ca.example/");
        sql(f, "UPDATE urls SET location = 'http://own.example/', target = 'http://own.example/?'");
        assert_location(f, "http://own.example/");
        sql(f, "UPDATE urls SET target = 'https://example.com/psql'");
        assert_location(f, "https://example.com/psql");
        sql(f, "UPDATE urls SET target = 'http://\303\274.example/'");
        assert_location(f, "http://xn--tda.example/");
        sql(f, "UPDATE urls SET target = E'http://example.com/\\r\\nX: y'");
        assert_location(f, NULL);
        sql(f, "UPDATE urls SET target = 'https://example.com/', title = 'kept'");
        assert_location(f, "https://example.com/");
}

/* ---- URLs and secrets ---- */

static void test_urls(void **state _unused_) {
        const struct {
                const char *url, *shown;
        } cases[] = {
                        {"postgresql://u:secret@h:5432/db?sslmode=disable",
                         "postgresql://u:***@h:5432/db?sslmode=disable"},
                        {"postgres://u:a%40b@h1,h2/db", "postgres://u:***@h1,h2/db"},
                        {"postgresql:///db?password=secret&host=/run",
                         "postgresql:///db?password=***&host=/run"},
                        {"postgresql://u@h/db", "postgresql://u@h/db"},
                        {"postgresql://", "postgresql://"},
        };
        const StoreOptions options = {.connect_usec = 1};
        Store *store = NULL;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(store_new(cases[i].url, &options, &store), 0);
                assert_string_equal(store_url_shown(store), cases[i].shown);
                store = store_free(store);
        }
        assert_int_equal(store_new("postgresql://%zz@h/x", &options, &store), -EINVAL);
        assert_int_equal(store_new("postgresql:///x?nonsense=1", &options, &store), -EINVAL);
}

/* The server asks for the password of this role, which comes from the file of the day. */
static void test_password_from_a_file(void **state) {
        Fixture *f = *state;
        char path[] = "/tmp/shortener-password-XXXXXX";
        char *url = NULL;
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, "open sesame\n", 12), 12);
        (void)close(fd);
        assert_int_equal(setenv("SHORTENER_DATABASE_PASSWORD_FILE", path, 1), 0);
        CHECK(asprintf(&url, "postgresql://postgres@/%s?host=%s", f->database,
                       getenv("SHORTENER_TEST_POSTGRES")) > 0);
        Store *store = pg_open_store(url, false);
        StoreSession *session = open_session(store);
        assert_int_equal(store_ping(session), 0);
        assert_string_equal(PQpass(pg_session(session)->db), "open sesame");
        (void)store_session_free(session);
        assert_int_equal(chmod(path, 0), 0);
        assert_int_equal(truncate(path, 5000), 0); /* too long for a secret */
        session = open_session(store);
        if (store_ping(session) != -EHOSTDOWN)
                fail_msg("a credential that cannot be read was passed over");
        assert_non_null(strstr(store_session_error(session), "credential"));
        assert_int_equal(unsetenv("SHORTENER_DATABASE_PASSWORD_FILE"), 0);
        assert_int_equal(unlink(path), 0);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* ---- what is done once ---- */

typedef struct Elsewhere {
        StoreSession *session; /* as of another host */
        int result;
} Elsewhere;

static int answer(void *userdata, const void *row _unused_, StoreAnswer *ret) {
        const User user = {.username = S("there"), .email = S("there")};
        Elsewhere *elsewhere = userdata;
        StoreKey key = {.name = "key", .now_sec = 1, .expires_sec = 2, .answer = answer};
        Arena arena;
        User made;

        key.userdata = elsewhere;
        arena_init(&arena, 0);
        elsewhere->result = store_user_create_once(elsewhere->session, &arena, &user, &key, &made);
        arena_done(&arena);
        *ret = (StoreAnswer){201, S("{}")};
        return 0;
}

/* A request with the same key on another host does not wait for this one. */
static void test_key_of_another_host(void **state) {
        Fixture *f = *state;
        Store *other = pg_open_store(postgres_url(f->database), false);
        Elsewhere elsewhere = {.session = open_session(other)};
        const StoreKey key = {.name = "key",
                              .now_sec = 1,
                              .expires_sec = 2,
                              .answer = answer,
                              .userdata = &elsewhere};
        const User user = {.username = S("here"), .email = S("here")};
        User made;

        assert_int_equal(store_user_create_once(f->session, &f->arena, &user, &key, &made), 0);
        assert_int_equal(elsewhere.result, STORE_KEY_BUSY);
        assert_int_equal(store_user_create_once(elsewhere.session, &f->arena, &user, &key, &made),
                         STORE_KEY_USED);
        assert_sql(f, "SELECT count(*) FROM users", "1");
        (void)store_session_free(elsewhere.session);
        (void)store_free(other);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        PG_TEST(test_frozen_server_is_noticed_in_a_second),
                        PG_TEST(test_change_on_a_frozen_server),
                        PG_TEST(test_rollback_on_a_frozen_server),
                        PG_TEST(test_lock_that_is_held),
                        PG_TEST(test_connection_ended_while_idle),
                        PG_TEST(test_old_connections_are_replaced),
                        PG_TEST(test_load_whose_connection_ends),
                        PG_TEST(test_cut_behind_commit),
                        PG_TEST(test_reconnects_are_paced),
                        PG_TEST(test_of_several_hosts_the_one_that_answers),
                        PG_TEST(test_server_turns_read_only),
                        PG_TEST(test_timelines),
                        PG_TEST(test_target_edited_past_the_program),
                        PG_TEST(test_urls),
                        PG_TEST(test_key_of_another_host),
                        PG_TEST(test_password_from_a_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
