/* SPDX-License-Identifier: MIT */

/* Visits: what becomes of them, and the protocol of positions that makes each count once. */

#include <errno.h>
#include <string.h>

#include "contract/batch.h"
#include "store/ops.h"

static TestBatch b; /* large */

static void test_append(void **state) {
        Fixture *f = *state;
        int64_t user_id = make_user(f, "anna");
        int64_t url_id = make_url(f, "abc", user_id);
        uint64_t next_seq = 0;
        Event *events;

        batch_fill(&b, 7, 1, 3, url_id);
        b.clicks[1].request_id = SLICE_NONE;
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), 0);
        assert_int_equal(next_seq, 4);
        assert_diary(f, ""); /* no redirect changes, and nobody waits for it */
        get_events(f, url_id, 4, &events);
        assert_int_equal(events[0].id, 4);
        assert_slice(events[0].type, "redirect");
        assert_int_equal(events[0].user_id, user_id);
        assert_int_equal(events[0].timestamp_sec, NOW_SEC + 2);
        assert_slice(events[0].details, "{\"ip\":\"192.0.2.1\"}");
        assert_slice(events[0].request_id, "req-1");
        assert_slice(events[1].request_id, NULL);
        assert_int_equal(redirects_of(f, url_id), 3);
        assert_int_equal(totals_of(f).redirects, 3);
        assert_int_equal(totals_of(f).events, 4);
        assert_proof(f, 7);
        assert_int_equal(offset_of(f, 7).rows, 3);
}

/* reference-faults 1: the visits of a deleted user's links count on. */
static void test_visits_of_a_deleted_users_url(void **state) {
        Fixture *f = *state;
        int64_t user_id = make_user(f, "anna");
        int64_t url_id = make_url(f, "abc", user_id);
        Event *events;

        assert_int_equal(store_user_delete(f->session, user_id), 0);
        batch_fill(&b, 7, 1, 2, url_id);
        batch_append(f, &b);
        assert_int_equal(redirects_of(f, url_id), 2);
        get_events(f, url_id, 3, &events);
        assert_int_equal(events[0].user_id, 0);
}

static void test_many_links_at_once(void **state) {
        Fixture *f = *state;
        int64_t owners[3], ids[40];
        const char *const names[] = {"anna", "berta", "carla"};
        Event *events;

        for (size_t i = 0; i < 3; i++)
                owners[i] = make_user(f, names[i]);
        for (size_t i = 0; i < 40; i++)
                ids[i] = make_url(f, arena_printf(&f->arena, "c%zu", i).data, owners[i % 3]);
        batch_fill(&b, 7, 1, 400, 0);
        for (size_t i = 0; i < 400; i++)
                b.clicks[i].url_id = ids[i * 7 % 40];
        batch_append(f, &b);
        for (size_t i = 0; i < 40; i++) {
                assert_int_equal(redirects_of(f, ids[i]), 10);
                get_events(f, ids[i], 11, &events);
                assert_int_equal(events[0].user_id, owners[i % 3]);
        }
        assert_proof(f, 7);
}

/* More links in one call than the driver remembers at once. */
static void test_more_links_than_scratch(void **state) {
        Fixture *f = *state;

        batch_fill(&b, 7, 2, BATCH_MAX, 0);
        for (size_t i = 0; i < BATCH_MAX; i++)
                b.clicks[i].url_id = (int64_t)i + 1;
        /* Two kinds before the first row: it can be cut nowhere. */
        b.batch.from_seq = b.batch.first_seq = 0;
        b.batch.shed = b.batch.bad = 1;
        uint64_t next_seq = 0;
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), 0);
        assert_int_equal(next_seq, b.batch.upto_seq);
        assert_int_equal(totals_of(f).redirects, BATCH_MAX);
        assert_proof(f, 7);
}

/* An unknown link is no reason to refuse a visit. */
static void test_unknown_url_is_kept(void **state) {
        Fixture *f = *state;
        Event *events;

        batch_fill(&b, 7, 1, 2, MISSING_ID);
        batch_append(f, &b);
        get_events(f, MISSING_ID, 2, &events);
        assert_int_equal(events[0].user_id, 0);
        assert_int_equal(totals_of(f).redirects, 2);
        assert_proof(f, 7);
}

static void test_visits_before_their_url(void **state) {
        Fixture *f = *state;

        batch_fill(&b, 7, 1, 2, 1);
        batch_append(f, &b);
        assert_int_equal(make_url(f, "abc", 0), 1);
        assert_int_equal(redirects_of(f, 1), 2);
        assert_proof(f, 7);
}

/* ---- positions ---- */

/* Connection lost after COMMIT was sent: the same batch again is refused, not doubled. */
static void test_again_is_a_conflict(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        uint64_t next_seq = 0;

        batch_fill(&b, 7, 1, 5, url_id);
        batch_append(f, &b);
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq),
                         STORE_CONFLICT_POSITION);
        assert_int_equal(next_seq, 6);
        assert_int_equal(redirects_of(f, url_id), 5);
        /* Read on from there. */
        batch_fill(&b, 7, next_seq, 2, url_id);
        batch_append(f, &b);
        assert_int_equal(redirects_of(f, url_id), 7);
        assert_proof(f, 7);
}

static void test_a_gap_is_a_conflict(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        uint64_t next_seq = 99;

        batch_fill(&b, 7, 3, 2, url_id); /* a new spool begins at its first seq */
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq),
                         STORE_CONFLICT_POSITION);
        assert_int_equal(next_seq, 1);
        assert_int_equal(store_offset_get(f->session, b.batch.spool, &(StoreOffset){.rows = 0}),
                         STORE_NOT_FOUND);
        batch_fill(&b, 7, 1, 2, url_id);
        batch_append(f, &b);
        batch_fill(&b, 7, 4, 2, url_id);
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq),
                         STORE_CONFLICT_POSITION);
        assert_int_equal(next_seq, 3);
        assert_int_equal(redirects_of(f, url_id), 2);
}

static void test_spools_are_apart(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);

        batch_fill(&b, 7, 1, 5, url_id);
        batch_append(f, &b);
        batch_fill(&b, 8, 1, 3, url_id);
        batch_append(f, &b);
        assert_int_equal(offset_of(f, 7).next_seq, 6);
        assert_int_equal(offset_of(f, 8).next_seq, 4);
        assert_int_equal(redirects_of(f, url_id), 8);
        assert_proof(f, 7);
        assert_proof(f, 8);
}

static void test_counts_without_rows(void **state) {
        Fixture *f = *state;
        uint64_t next_seq = 0;
        StoreOffset offset;

        batch_fill(&b, 7, 1, 0, 0);
        b.batch.upto_seq = 11;
        b.batch.shed = 5;
        b.batch.bad = 1;
        b.batch.damaged = 4;
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), 0);
        assert_int_equal(next_seq, 11);
        offset = offset_of(f, 7);
        assert_int_equal(offset.first_seq, 1);
        assert_int_equal(offset.rows, 0);
        assert_int_equal(offset.shed, 5);
        assert_int_equal(offset.bad, 1);
        assert_int_equal(offset.damaged, 4);
        assert_proof(f, 7);
}

static void test_nothing_to_append(void **state) {
        Fixture *f = *state;
        uint64_t next_seq = 0;

        batch_fill(&b, 7, 1, 0, 0);
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), 0);
        assert_int_equal(next_seq, 1);
        assert_proof(f, 7);
}

static void test_false_counts(void **state) {
        Fixture *f = *state;
        uint64_t next_seq = 0;

#define ASSERT_INVALID(change)                                                     \
 do {                                                                              \
  batch_fill(&b, 7, 5, 4, 1);                                                      \
  change;                                                                          \
  assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), -EINVAL); \
 } while (0)
        ASSERT_INVALID(b.batch.upto_seq++);
        ASSERT_INVALID(b.batch.upto_seq--);
        ASSERT_INVALID(b.batch.upto_seq = 4);
        ASSERT_INVALID(b.batch.shed = 1);
        ASSERT_INVALID(b.batch.shed = UINT64_MAX);
        ASSERT_INVALID(b.batch.bad = UINT64_MAX);
        ASSERT_INVALID(b.batch.damaged = UINT64_MAX);
        ASSERT_INVALID(b.batch.first_seq = 6);
        ASSERT_INVALID(b.clicks[1].seq = 5);
        ASSERT_INVALID(b.clicks[0].seq = 4);
        ASSERT_INVALID(b.clicks[3].seq = 9);
        assert_true(store_is_up(f->store));
        assert_int_equal(totals_of(f).events, 0);
}

/* ---- refused rows ---- */

static void test_refused_row_writes_nothing(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        static char text[MODEL_DETAILS_MAX + 1];
        uint64_t next_seq = 0;

        memset(text, 'x', sizeof(text));
        batch_fill(&b, 7, 1, 30, url_id); /* so few go in whatever the time */
        b.clicks[20].details = slice_make(text, sizeof(text));
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), STORE_REFUSED);
        assert_int_equal(redirects_of(f, url_id), 0);
        assert_int_equal(totals_of(f).events, 1);
        assert_int_equal(store_offset_get(f->session, b.batch.spool, &(StoreOffset){.rows = 0}),
                         STORE_NOT_FOUND);
        b.clicks[20].details.len--;
        b.clicks[3].url_id = 0;
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), STORE_REFUSED);
        /* The halves before and behind it, and itself as bad. */
        batch_fill(&b, 7, 1, 3, url_id);
        batch_append(f, &b);
        batch_fill(&b, 7, 4, 0, url_id);
        b.batch.upto_seq = 5;
        b.batch.bad = 1;
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), 0);
        batch_fill(&b, 7, 5, 26, url_id);
        batch_append(f, &b);
        assert_int_equal(offset_of(f, 7).bad, 1);
        assert_int_equal(offset_of(f, 7).rows, 29);
        assert_proof(f, 7);
}

static void test_seq_out_of_range(void **state) {
        Fixture *f = *state;
        uint64_t next_seq = 0;

        batch_fill(&b, 7, (uint64_t)INT64_MAX, 2, 1);
        b.batch.first_seq = b.batch.from_seq;
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), STORE_REFUSED);
}

/* ---- ending early ---- */

static void test_long_batch_takes_several_calls(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);

        batch_fill(&b, 7, 1, 1200, url_id);
        assert_true(batch_append(f, &b) >= (f->one_writer ? 3 : 1));
        assert_int_equal(redirects_of(f, url_id), 1200);
        assert_proof(f, 7);
}

static void test_is_short_while_writers_wait(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        uint64_t next_seq = 0;

        f->diary = (Diary){.n_waiting = 1};
        batch_fill(&b, 7, 1, 400, url_id);
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), 0);
        assert_true(next_seq > 1 && next_seq <= (f->one_writer ? 1 + STORE_APPEND_ROWS_MIN : 401));
        assert_int_equal(redirects_of(f, url_id), next_seq - 1);
        assert_proof(f, 7);
}

/* Every second seq is missing; a call that ends early counts those before its end. */
static void test_cut_between_gaps_of_one_kind(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        uint64_t next_seq = 0;
        StoreOffset offset;

        for (uint8_t kind = 0; kind < 3; kind++) {
                batch_fill(&b, kind, 1, 400, url_id);
                for (size_t i = 0; i < 400; i++)
                        b.clicks[i].seq = 2 + 2 * i;
                b.batch.upto_seq = 801;
                *(kind == 0 ? &b.batch.shed : kind == 1 ? &b.batch.bad : &b.batch.damaged) = 400;
                f->diary = (Diary){.n_waiting = 1};
                assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), 0);
                assert_true(next_seq > 1 && next_seq < (f->one_writer ? 801 : 802));
                offset = offset_of(f, kind);
                assert_int_equal(offset.next_seq, next_seq);
                assert_int_equal(offset.rows, (next_seq - 1) / 2);
                assert_int_equal(kind == 0   ? offset.shed
                                 : kind == 1 ? offset.bad
                                             : offset.damaged,
                                 offset.rows);
                assert_proof(f, kind);
        }
}

/* What the missing ones are cannot be told before the end: the call goes on to it. */
static void test_no_cut_behind_gaps_of_two_kinds(void **state) {
        Fixture *f = *state;
        int64_t url_id = make_url(f, "abc", 0);
        uint64_t next_seq = 0;

        batch_fill(&b, 7, 3, 600, url_id);
        b.batch.from_seq = 1;
        b.batch.shed = b.batch.damaged = 1;
        f->diary = (Diary){.n_waiting = 1};
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), 0);
        assert_int_equal(next_seq, 603);
        assert_int_equal(offset_of(f, 7).rows, 600);
        assert_proof(f, 7);
}

int run_clicks(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_append),
                        CONTRACT_TEST(test_visits_of_a_deleted_users_url),
                        CONTRACT_TEST(test_many_links_at_once),
                        CONTRACT_TEST(test_more_links_than_scratch),
                        CONTRACT_TEST(test_unknown_url_is_kept),
                        CONTRACT_TEST(test_visits_before_their_url),
                        CONTRACT_TEST(test_again_is_a_conflict),
                        CONTRACT_TEST(test_a_gap_is_a_conflict),
                        CONTRACT_TEST(test_spools_are_apart),
                        CONTRACT_TEST(test_counts_without_rows),
                        CONTRACT_TEST(test_nothing_to_append),
                        CONTRACT_TEST(test_false_counts),
                        CONTRACT_TEST(test_refused_row_writes_nothing),
                        CONTRACT_TEST(test_seq_out_of_range),
                        CONTRACT_TEST(test_long_batch_takes_several_calls),
                        CONTRACT_TEST(test_is_short_while_writers_wait),
                        CONTRACT_TEST(test_cut_between_gaps_of_one_kind),
                        CONTRACT_TEST(test_no_cut_behind_gaps_of_two_kinds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
