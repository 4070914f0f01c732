/* SPDX-License-Identifier: MIT */

/* Lists: windows, filters, totals. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "contract/fixture.h"

#define N_ROWS 10

/* Lists as text: "3 4 5 /10", the ids and the total. */
typedef struct Listed {
        char text[512];
} Listed;

static void add_number(Listed *listed, const char *format, int64_t number) {
        size_t used = strlen(listed->text);

        (void)number;
        (void)snprintf(listed->text + used, sizeof(listed->text) - used, "%s%lld", format,
                       (long long)number);
}

#define DEFINE_LISTER(name, T, verb)                                          \
 static const char *name(Fixture *f, const StoreQuery *query) {               \
  static Listed listed;                                                       \
  int64_t total = 77;                                                         \
  T *rows;                                                                    \
  size_t n;                                                                   \
                                                                              \
  listed.text[0] = 0;                                                         \
  assert_int_equal(verb(f->session, &f->arena, query, &rows, &n, &total), 0); \
  for (size_t i = 0; i < n; i++)                                              \
   add_number(&listed, i == 0 ? "" : " ", rows[i].id);                        \
  add_number(&listed, " /", total);                                           \
  return listed.text;                                                         \
 }

DEFINE_LISTER(users, User, store_user_list)
DEFINE_LISTER(urls, Url, store_url_list)
DEFINE_LISTER(events, Event, store_event_list)

static const char *code(Fixture *f, const char *prefix, size_t i) {
        return arena_printf(&f->arena, "%s%zu", prefix, i).data;
}

static void test_users(void **state) {
        Fixture *f = *state;

        assert_string_equal(users(f, &(StoreQuery){.limit = 5}), " /0");
        for (size_t i = 0; i < N_ROWS; i++)
                make_user(f, code(f, "u", i));
        assert_string_equal(users(f, &(StoreQuery){.limit = 3}), "1 2 3 /10");
        assert_string_equal(users(f, &(StoreQuery){.limit = 3, .offset = 3}), "4 5 6 /10");
        assert_string_equal(users(f, &(StoreQuery){.limit = 3, .offset = 9}), "10 /10");
        assert_string_equal(users(f, &(StoreQuery){.limit = 3, .offset = 10}), " /10");
        assert_string_equal(users(f, &(StoreQuery){.limit = 0}), " /10");
        assert_string_equal(users(f, &(StoreQuery){.limit = 3, .offset = INT64_MAX}), " /10");
        assert_string_equal(users(f, &(StoreQuery){.limit = 2, .has_after = true, .after = 4}),
                            "5 6 /10");
        assert_string_equal(users(f, &(StoreQuery){.limit = 2, .has_after = true, .after = 10}),
                            " /10");
        assert_string_equal(
                        users(f, &(StoreQuery){.limit = 2, .has_after = true, .after = INT64_MAX}),
                        " /10");
        assert_int_equal(store_user_delete(f->session, 2), 0);
        assert_string_equal(users(f, &(StoreQuery){.limit = 3}), "1 3 4 /9");
}

static void test_urls(void **state) {
        Fixture *f = *state;
        int64_t anna = make_user(f, "anna"), berta = make_user(f, "berta");

        assert_string_equal(urls(f, &(StoreQuery){.limit = 5}), " /0");
        for (size_t i = 0; i < N_ROWS; i++)
                make_url(f, code(f, "c", i), i % 3 == 0 ? anna : i % 3 == 1 ? berta : 0);
        for (int64_t id = 4; id <= 6; id++)
                assert_int_equal(store_url_retire(f->session, id, NOW_SEC, S("{}")), 0);
        /* 1 4 7 10 are anna's, 2 5 8 are berta's, 4 5 6 are inactive. */
        assert_string_equal(urls(f, &(StoreQuery){.limit = 100}), "1 2 3 4 5 6 7 8 9 10 /10");
        assert_string_equal(urls(f, &(StoreQuery){.limit = 2, .offset = 4}), "5 6 /10");
        assert_string_equal(urls(f, &(StoreQuery){.limit = 2, .has_after = true, .after = 8}),
                            "9 10 /10");
        assert_string_equal(
                        urls(f, &(StoreQuery){.limit = 9, .has_user_id = true, .user_id = anna}),
                        "1 4 7 10 /4");
        assert_string_equal(urls(f, &(StoreQuery){.limit = 1,
                                                  .has_user_id = true,
                                                  .user_id = anna,
                                                  .offset = 1}),
                            "4 /4");
        assert_string_equal(urls(f, &(StoreQuery){.limit = 9, .has_active = true}), "4 5 6 /3");
        assert_string_equal(
                        urls(f, &(StoreQuery){.limit = 9, .has_active = true, .is_active = true}),
                        "1 2 3 7 8 9 10 /7");
        assert_string_equal(urls(f, &(StoreQuery){.limit = 9,
                                                  .has_active = true,
                                                  .has_user_id = true,
                                                  .user_id = berta}),
                            "5 /1");
        assert_string_equal(urls(f, &(StoreQuery){.limit = 9,
                                                  .has_active = true,
                                                  .is_active = true,
                                                  .has_user_id = true,
                                                  .user_id = berta,
                                                  .has_after = true,
                                                  .after = 2}),
                            "8 /2");
        assert_string_equal(
                        urls(f,
                             &(StoreQuery){.limit = 9, .has_user_id = true, .user_id = MISSING_ID}),
                        " /0");
        assert_string_equal(urls(f, &(StoreQuery){.limit = 9, .has_user_id = true, .user_id = -1}),
                            " /0");
}

/* Nobody's links are not those of user 0. */
static void test_no_user_is_no_filter(void **state) {
        Fixture *f = *state;

        make_url(f, "abc", 0);
        assert_string_equal(urls(f, &(StoreQuery){.limit = 9, .has_user_id = true}), " /0");
        assert_string_equal(events(f, &(StoreQuery){.limit = 9, .has_user_id = true}), " /0");
}

static void add_event(Fixture *f, int64_t url_id, int64_t user_id, Slice type) {
        const Event event = {.url_id = url_id, .user_id = user_id, .type = type};
        Event made;

        assert_int_equal(store_event_create(f->session, &event, &made), 0);
}

static void test_events(void **state) {
        Fixture *f = *state;
        int64_t anna = make_user(f, "anna"), berta = make_user(f, "berta");
        int64_t one = make_url(f, "one", anna), two = make_url(f, "two", 0); /* events 1, 2 */

        add_event(f, one, anna, S("redirect"));  /* 3 */
        add_event(f, one, berta, S("click"));    /* 4 */
        add_event(f, two, anna, S("click"));     /* 5 */
        add_event(f, one, 0, S("redirect"));     /* 6 */
        add_event(f, two, berta, S("redirect")); /* 7 */
        add_event(f, one, anna, S("click"));     /* 8 */

#define LIST(...) events(f, &(StoreQuery){.limit = 100, __VA_ARGS__})
#define OF_ONE    .has_url_id = true, .url_id = one
#define OF_ANNA   .has_user_id = true, .user_id = anna
        assert_string_equal(LIST(.offset = 0), "8 7 6 5 4 3 2 1 /8");
        assert_string_equal(LIST(.offset = 6), "2 1 /8");
        assert_string_equal(LIST(.has_after = true, .after = 4), "3 2 1 /8");
        assert_string_equal(LIST(.has_after = true, .after = 1), " /8");
        assert_string_equal(LIST(OF_ONE), "8 6 4 3 1 /5");
        assert_string_equal(LIST(OF_ANNA), "8 5 3 1 /4");
        assert_string_equal(LIST(OF_ONE, OF_ANNA), "8 3 1 /3");
        assert_string_equal(LIST(.type = S("redirect")), "7 6 3 /3");
        assert_string_equal(LIST(.type = S("click")), "8 5 4 /3");
        assert_string_equal(LIST(.type = S("created")), "2 1 /2");
        assert_string_equal(LIST(OF_ONE, .type = S("click")), "8 4 /2");
        assert_string_equal(LIST(OF_ONE, .type = S("redirect")), "6 3 /2");
        assert_string_equal(LIST(OF_ANNA, .type = S("click")), "8 5 /2");
        assert_string_equal(LIST(OF_ANNA, .type = S("redirect")), "3 /1");
        assert_string_equal(LIST(OF_ONE, OF_ANNA, .type = S("click")), "8 /1");
        assert_string_equal(LIST(OF_ONE, OF_ANNA, .type = S("redirect")), "3 /1");
        assert_string_equal(LIST(OF_ONE, .has_after = true, .after = 6), "4 3 1 /5");
        /* Exact and case-sensitive; unknown ones match nothing. */
        assert_string_equal(LIST(.type = S("Redirect")), " /0");
        assert_string_equal(LIST(.type = S("clic")), " /0");
        assert_string_equal(LIST(.type = S("")), " /0");
        assert_string_equal(LIST(.has_url_id = true, .url_id = MISSING_ID), " /0");
        assert_string_equal(LIST(.has_user_id = true, .user_id = MISSING_ID), " /0");
}

/* Pages of any length, whatever is passed over, are the pieces of the list. */
static void assert_pages(Fixture *f, const char *(*lister)(Fixture *f, const StoreQuery *query),
                         StoreQuery query) {
        const Slice whole = arena_dup(&f->arena, slice_from_string(lister(f, &query)));
        Slice rows, total, row;

        assert_true(slice_cut(whole, '/', &rows, &total));
        for (query.offset = 0; query.offset <= 2 * N_ROWS; query.offset++) {
                const char *expected, *page;
                Slice rest = rows;

                row = SLICE("");
                for (int64_t i = 0; i <= query.offset; i++)
                        if (!slice_cut(rest, ' ', &row, &rest))
                                row = SLICE("");
                query.limit = 1;
                page = lister(f, &query);
                expected = arena_printf(&f->arena, "%.*s /%.*s", SLICE_ARG(row), SLICE_ARG(total))
                                           .data;
                assert_string_equal(page, expected);
        }
}

static void test_pages(void **state) {
        const Slice types[] = {SLICE_NONE, SLICE("redirect"), SLICE("click"), SLICE("created")};
        Fixture *f = *state;
        int64_t users_of[] = {make_user(f, "anna"), make_user(f, "berta"), 0};

        for (size_t i = 0; i < N_ROWS; i++)
                make_url(f, code(f, "c", i), users_of[i % 3]);
        for (int64_t id = 2; id <= 7; id++)
                assert_int_equal(store_url_retire(f->session, id, NOW_SEC, S("{}")), 0);
        for (size_t i = 0; i < N_ROWS; i++)
                add_event(f, 1 + (int64_t)i % 2, users_of[i % 3], types[1 + i % 2]);
        for (unsigned i = 0; i < 16; i++) {
                StoreQuery query = {.limit = 100,
                                    .has_url_id = i & 1,
                                    .url_id = 1,
                                    .has_user_id = i & 2,
                                    .user_id = users_of[0],
                                    .type = types[i / 4]};

                assert_pages(f, events, query);
                query.has_active = i & 4;
                query.is_active = i & 8;
                assert_pages(f, urls, query);
        }
}

static void test_total_is_optional(void **state) {
        Fixture *f = *state;
        const StoreQuery query = {.limit = 5};
        User *some_users;
        Url *some_urls;
        size_t n;

        make_url(f, "abc", make_user(f, "anna"));
        assert_int_equal(store_user_list(f->session, &f->arena, &query, &some_users, &n, NULL), 0);
        assert_int_equal(n, 1);
        assert_int_equal(store_url_list(f->session, &f->arena, &query, &some_urls, &n, NULL), 0);
        assert_int_equal(n, 1);
}

/* Events of one type, 1,000 a transaction. */
static void import_events(Fixture *f, int64_t url_id, Slice type, size_t n) {
        static StoreEventRow rows[1000];

        while (n > 0) {
                size_t some = MIN(n, ELEMENTSOF(rows));

                for (size_t i = 0; i < some; i++)
                        rows[i] = (StoreEventRow){.event = {.url_id = url_id, .type = type}};
                assert_int_equal(store_events_import(f->session, rows, some), 0);
                n -= some;
        }
}

static void test_totals_beyond_the_exact(void **state) {
        Fixture *f = *state;
        int64_t id = make_url(f, "abc", make_user(f, "anna")); /* one event, "created" */
        StoreQuery query = {.limit = 0};

        import_events(f, id, S("many"), STORE_TOTAL_EXACT);
        query.type = S("many");
        assert_string_equal(events(f, &query), " /10000");
        import_events(f, id, S("many"), 1);
        assert_string_equal(events(f, &query), " /-1");
        query.type = SLICE_NONE;
        assert_string_equal(events(f, &query), " /10002");
        query.has_url_id = true;
        query.url_id = id;
        assert_string_equal(events(f, &query), " /-1");
        query.type = S("created");
        assert_string_equal(events(f, &query), " /1");
}

/* A list longer than the first allocation of its rows, as exports read it. */
static void test_long_list(void **state) {
        Fixture *f = *state;
        int64_t id = make_url(f, "abc", 0);
        Event *rows;
        size_t n;

        import_events(f, id, S("x"), 1500);
        list_all_events(f, &rows, &n);
        assert_int_equal(n, 1501);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(rows[i].id, (int64_t)(n - i));
                assert_slice(rows[i].type, i + 1 < n ? "x" : "created");
        }
}

static void test_no_memory(void **state) {
        Fixture *f = *state;
        const StoreQuery query = {.limit = 100};
        size_t n_failures = 0;
        size_t limit, n;
        Arena small;
        Event *rows;
        User *some_users;
        Url *some_urls;

        for (size_t i = 0; i < 3; i++)
                make_url(f, code(f, "c", i), make_user(f, code(f, "u", i)));
        for (limit = 1; limit < 65536; limit += 64) {
                int r[3];

                arena_init(&small, limit);
                r[0] = store_event_list(f->session, &small, &query, &rows, &n, NULL);
                arena_reset(&small);
                r[1] = store_url_list(f->session, &small, &query, &some_urls, &n, NULL);
                arena_reset(&small);
                r[2] = store_user_list(f->session, &small, &query, &some_users, &n, NULL);
                arena_done(&small);
                if (r[0] == 0 && r[1] == 0 && r[2] == 0)
                        break;
                for (size_t i = 0; i < 3; i++)
                        assert_true(r[i] == 0 || r[i] == -ENOMEM);
                n_failures++;
        }
        assert_true(n_failures >= 3 && limit < 65536);
}

int run_lists(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_users),
                        CONTRACT_TEST(test_urls),
                        CONTRACT_TEST(test_no_user_is_no_filter),
                        CONTRACT_TEST(test_events),
                        CONTRACT_TEST(test_pages),
                        CONTRACT_TEST(test_total_is_optional),
                        CONTRACT_TEST(test_totals_beyond_the_exact),
                        CONTRACT_TEST(test_long_list),
                        CONTRACT_TEST(test_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
