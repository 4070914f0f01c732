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

/* A store, and a session that queues at the gate. */
typedef struct Behind {
        Place *place;
        Store *store;
        StoreSession *session;
        Gate gate;
} Behind;

static void behind_open(Behind *b, Place *place) {
        const StoreHooks hooks = {.userdata = &b->gate,
                                  .waiting = gate_waiting,
                                  .enter = gate_enter,
                                  .leave = gate_leave,
                                  .committing = gate_committing};

        *b = (Behind){.place = place, .store = open_store(place->url, true)};
        assert_int_equal(store_session_new(b->store, &hooks, &b->session), 0);
        deadline_in(b->session, 10 * USEC_PER_SEC);
        assert_int_equal(store_ping(b->session), 0);
        assert_int_equal(b->gate.n_entered, 0); /* who reads waits for nobody */
}

static void behind_close(Behind *b) {
        (void)store_session_free(b->session);
        (void)store_free(b->store);
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
        Behind b;

        behind_open(&b, *state);
        assert_int_equal(create_user(b.session, b.place, "a"), 0);
        assert_gate(&b.gate, 1);
        assert_int_equal(create_user(b.session, b.place, "a"), STORE_USERNAME_TAKEN);
        assert_gate(&b.gate, 2); /* rolled back */
        assert_int_equal(store_users_import(b.session, &row, 1), 0);
        assert_int_equal(append_one(b.session), 0);
        assert_gate(&b.gate, 4);
        assert_int_equal(store_load_begin(b.session, true), 0);
        assert_int_equal(store_users_import(b.session, &row, 1), 0);
        assert_true(b.gate.inside); /* until its end */
        assert_int_equal(store_load_end(b.session, false), 0);
        assert_gate(&b.gate, 5);
        assert_int_equal(store_load_begin(b.session, true), 0);
        assert_int_equal(store_load_end(b.session, true), 0);
        assert_gate(&b.gate, 6);
        behind_close(&b);
}

static void test_turn_that_does_not_come(void **state) {
        Behind b;
        uint64_t deadline_usec;

        behind_open(&b, *state);
        deadline_usec = clock_monotonic_usec() + SHORT_USEC;
        b.gate.shut = true;
        store_session_deadline(b.session, deadline_usec);
        assert_int_equal(create_user(b.session, b.place, "a"), -EBUSY);
        assert_int_equal(b.gate.deadline_usec, deadline_usec);
        assert_gate(&b.gate, 0);
        assert_non_null(strstr(store_session_error(b.session), "turn"));
        b.gate.shut = false;
        deadline_in(b.session, 10 * USEC_PER_SEC);
        assert_int_equal(create_user(b.session, b.place, "a"), 0); /* nothing was done before */
        assert_gate(&b.gate, 1);
        behind_close(&b);
}

/* It was this one's turn, but somebody who does not queue has the file's lock. */
static void test_turn_without_the_lock(void **state) {
        Behind b;
        sqlite3 *holder = NULL;

        behind_open(&b, *state);
        assert_int_equal(sqlite3_open(b.place->path, &holder), SQLITE_OK);
        assert_int_equal(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        deadline_in(b.session, SHORT_USEC);
        assert_int_equal(create_user(b.session, b.place, "a"), -EBUSY);
        assert_gate(&b.gate, 1);
        assert_int_equal(sqlite3_exec(holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        deadline_in(b.session, 10 * USEC_PER_SEC);
        assert_int_equal(create_user(b.session, b.place, "a"), 0);
        assert_gate(&b.gate, 2);
        assert_int_equal(sqlite3_close(holder), SQLITE_OK);
        behind_close(&b);
}

/* What was asked for is committed: moving the log is not worth a long wait. */
static void test_log_waits_for_a_moment_only(void **state) {
        Behind b;
        SqliteSession *s;
        uint64_t begun_usec;

        behind_open(&b, *state);
        s = sqlite_session(b.session);
        assert_int_equal(create_user(b.session, b.place, "a"), 0);
        (void)sqlite3_wal_hook(s->db, NULL, NULL);
        store_session_deadline(b.session, 0); /* never */
        assert_int_equal(sqlite_begin_write(s, WRITER_CLIENT), 0);
        s->wal_pages = 1 << 20;
        begun_usec = clock_monotonic_usec();
        assert_int_equal(sqlite_end_write(s, 0, &SLICE_NONE, 0), 0);
        assert_gate(&b.gate, 3); /* the second time for the log */
        assert_true(b.gate.deadline_usec > begun_usec &&
                    b.gate.deadline_usec < clock_monotonic_usec() + USEC_PER_SEC);
        behind_close(&b);
}

/* A session that goes in the middle of a load gives its place on. */
static void test_session_ends_inside(void **state) {
        Behind b;

        behind_open(&b, *state);
        assert_int_equal(store_load_begin(b.session, true), 0);
        assert_true(b.gate.inside);
        b.session = store_session_free(b.session);
        assert_gate(&b.gate, 1);
        behind_close(&b);
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
