/* SPDX-License-Identifier: MIT */

/* SQLite's writers queue before they try for the file's lock: who, when, until when. */

#include <errno.h>
#include <string.h>

#include "basic/clock.h"
#include "store/sqlite/session.h"
#include "unit/store/support.h"

#define SHORT_USEC 60000ULL

static int create_user(StoreSession *session, Place *place, const char *name) {
        Slice slice = slice_from_string(name);
        User user;

        return store_user_create(session, &place->arena, slice, slice, 1, &user);
}

/* A queue as the host page has one; it counts. */
typedef struct Gate {
        unsigned n_entered, n_left, n_waiting;
        uint64_t deadline_usec; /* as it was told */
        bool inside, shut;
} Gate;

static void gate_waiting(void *userdata, int delta) {
        Gate *gate = userdata;

        gate->n_waiting += (unsigned)delta;
}

static int gate_enter(void *userdata, uint64_t deadline_usec, void **ret_pass) {
        Gate *gate = userdata;

        assert_false(gate->inside);
        gate->deadline_usec = deadline_usec;
        if (gate->shut)
                return -ETIMEDOUT;
        gate->n_entered++;
        gate->inside = true;
        *ret_pass = gate;
        return 0;
}

static void gate_leave(void *userdata, void *pass) {
        Gate *gate = userdata;

        assert_ptr_equal(pass, gate);
        assert_true(gate->inside);
        gate->n_left++;
        gate->inside = false;
}

static void gate_committing(void *userdata, const Slice *codes _unused_, size_t n _unused_) {
        Gate *gate = userdata;

        assert_true(gate->inside);
}

static StoreSession *session_behind(Store *store, Gate *gate) {
        const StoreHooks hooks = {.userdata = gate,
                                  .waiting = gate_waiting,
                                  .enter = gate_enter,
                                  .leave = gate_leave,
                                  .committing = gate_committing};
        StoreSession *session = NULL;

        *gate = (Gate){.n_entered = 0};
        assert_int_equal(store_session_new(store, &hooks, &session), 0);
        deadline_in(session, 10 * USEC_PER_SEC);
        return session;
}

static void assert_gate(const Gate *gate, unsigned n) {
        assert_int_equal(gate->n_entered, n);
        assert_int_equal(gate->n_left, n);
        assert_int_equal(gate->n_waiting, 0);
}

static int append_one(StoreSession *session) {
        StoreClick click = {.url_id = 1, .seq = 1, .details = S("{}")};
        StoreBatch batch = {.clicks = &click,
                            .n_clicks = 1,
                            .first_seq = 1,
                            .from_seq = 1,
                            .upto_seq = 2};
        uint64_t next_seq = 0;

        return store_clicks_append(session, &batch, &next_seq);
}

static void test_all_writers_queue(void **state) {
        StoreUserRow row = {.user = {.username = S("x"), .email = S("x")}};
        Place *place = *state;
        Store *store = open_store(place->url, true);
        Gate gate;
        StoreSession *session = session_behind(store, &gate);

        assert_int_equal(store_ping(session), 0);
        assert_gate(&gate, 0); /* who reads waits for nobody */
        assert_int_equal(create_user(session, place, "a"), 0);
        assert_gate(&gate, 1);
        assert_int_equal(create_user(session, place, "a"), STORE_USERNAME_TAKEN);
        assert_gate(&gate, 2); /* rolled back */
        assert_int_equal(store_users_import(session, &row, 1), 0);
        assert_int_equal(append_one(session), 0);
        assert_gate(&gate, 4);
        assert_int_equal(store_load_begin(session, true), 0);
        assert_int_equal(store_users_import(session, &row, 1), 0);
        assert_true(gate.inside); /* until its end */
        assert_int_equal(store_load_end(session, false), 0);
        assert_gate(&gate, 5);
        assert_int_equal(store_load_begin(session, true), 0);
        assert_int_equal(store_load_end(session, true), 0);
        assert_gate(&gate, 6);
        (void)store_session_free(session);
        (void)store_free(store);
}

static void test_turn_that_does_not_come(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        Gate gate;
        StoreSession *session = session_behind(store, &gate);
        uint64_t deadline_usec = clock_monotonic_usec() + SHORT_USEC;

        assert_int_equal(store_ping(session), 0);
        gate.shut = true;
        store_session_deadline(session, deadline_usec);
        assert_int_equal(create_user(session, place, "a"), -EBUSY);
        assert_int_equal(gate.deadline_usec, deadline_usec);
        assert_gate(&gate, 0);
        assert_non_null(strstr(store_session_error(session), "turn"));
        gate.shut = false;
        deadline_in(session, 10 * USEC_PER_SEC);
        assert_int_equal(create_user(session, place, "a"), 0); /* nothing was done before */
        assert_gate(&gate, 1);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* It was this one's turn, but somebody who does not queue has the file's lock. */
static void test_turn_without_the_lock(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        Gate gate;
        StoreSession *session = session_behind(store, &gate);
        sqlite3 *holder = NULL;

        assert_int_equal(store_ping(session), 0);
        assert_int_equal(sqlite3_open(place->path, &holder), SQLITE_OK);
        assert_int_equal(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        deadline_in(session, SHORT_USEC);
        assert_int_equal(create_user(session, place, "a"), -EBUSY);
        assert_gate(&gate, 1);
        assert_int_equal(sqlite3_exec(holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        deadline_in(session, 10 * USEC_PER_SEC);
        assert_int_equal(create_user(session, place, "a"), 0);
        assert_gate(&gate, 2);
        assert_int_equal(sqlite3_close(holder), SQLITE_OK);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* What was asked for is committed: moving the log is not worth a long wait. */
static void test_log_waits_for_a_moment_only(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        Gate gate;
        StoreSession *session = session_behind(store, &gate);
        SqliteSession *s = sqlite_session(session);
        uint64_t begun_usec;

        assert_int_equal(create_user(session, place, "a"), 0);
        (void)sqlite3_wal_hook(s->db, NULL, NULL);
        store_session_deadline(session, 0); /* never */
        assert_int_equal(sqlite_begin_write(s, WRITER_CLIENT), 0);
        s->wal_pages = 1 << 20;
        begun_usec = clock_monotonic_usec();
        assert_int_equal(sqlite_end_write(s, 0, &SLICE_NONE, 0), 0);
        assert_gate(&gate, 3); /* the second time for the log */
        assert_true(gate.deadline_usec > begun_usec &&
                    gate.deadline_usec < clock_monotonic_usec() + USEC_PER_SEC);
        (void)store_session_free(session);
        (void)store_free(store);
}

/* A session that goes in the middle of a load gives its place on. */
static void test_session_ends_inside(void **state) {
        Place *place = *state;
        Store *store = open_store(place->url, true);
        Gate gate;
        StoreSession *session = session_behind(store, &gate);

        assert_int_equal(store_load_begin(session, true), 0);
        assert_true(gate.inside);
        (void)store_session_free(session);
        assert_gate(&gate, 1);
        (void)store_free(store);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        PLACE_TEST(test_all_writers_queue),
                        PLACE_TEST(test_turn_that_does_not_come),
                        PLACE_TEST(test_turn_without_the_lock),
                        PLACE_TEST(test_log_waits_for_a_moment_only),
                        PLACE_TEST(test_session_ends_inside),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
