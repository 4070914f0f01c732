/* SPDX-License-Identifier: MIT */

/* Several threads, a session each. */

#include <pthread.h>

#include "contract/batch.h"

#define N_TRIES   40
#define N_THREADS 4

/* Two threads that begin as one, again and again. */
typedef struct Race {
        Fixture *f;
        pthread_barrier_t barrier;
        int64_t ids[N_TRIES];
        int (*run)(StoreSession *session, Arena *arena, int64_t id, int side);
        int results[N_TRIES][2];
} Race;

typedef struct Racer {
        Race *race;
        int side;
        pthread_t thread;
} Racer;

static void *race_thread(void *userdata) {
        Racer *racer = userdata;
        StoreSession *session = fixture_session(racer->race->f, false);
        Arena arena;

        arena_init(&arena, 0);
        for (size_t i = 0; i < N_TRIES; i++) {
                (void)pthread_barrier_wait(&racer->race->barrier);
                racer->race->results[i][racer->side] =
                                racer->race->run(session, &arena, racer->race->ids[i], racer->side);
        }
        arena_done(&arena);
        (void)store_session_free(session);
        return NULL;
}

static void run_race(Race *race) {
        Racer racers[2];

        assert_int_equal(pthread_barrier_init(&race->barrier, NULL, 2), 0);
        for (int side = 0; side < 2; side++) {
                racers[side] = (Racer){.race = race, .side = side};
                assert_int_equal(pthread_create(&racers[side].thread, NULL, race_thread,
                                                &racers[side]),
                                 0);
        }
        for (int side = 0; side < 2; side++)
                assert_int_equal(pthread_join(racers[side].thread, NULL), 0);
        (void)pthread_barrier_destroy(&race->barrier);
}

static void make_urls(Fixture *f, Race *race) {
        for (size_t i = 0; i < N_TRIES; i++)
                race->ids[i] = make_url(f, arena_printf(&f->arena, "c%zu", i).data, 0);
}

static int update_one_field(StoreSession *session, Arena *arena, int64_t id, int side) {
        const StoreUrlChange target = {.has_target = true,
                                       .target = S("https://new.example/"),
                                       .location = S("https://new.example/"),
                                       .target_details = S("{}")};
        const StoreUrlChange title = {
                        .has_title = true, .title = S("New"), .title_details = S("{}")};
        Url url;

        return store_url_update(session, arena, id, side == 0 ? &target : &title, &url);
}

/* reference-faults 5: of two parallel changes of different fields none is lost. */
static void test_parallel_updates(void **state) {
        Race race = {.f = *state, .run = update_one_field};
        Event *events;

        make_urls(race.f, &race);
        run_race(&race);
        for (size_t i = 0; i < N_TRIES; i++) {
                Url url = get_url(race.f, race.ids[i]);

                assert_int_equal(race.results[i][0], 0);
                assert_int_equal(race.results[i][1], 0);
                assert_slice(url.target, "https://new.example/");
                assert_slice(url.title, "New");
                get_events(race.f, race.ids[i], 3, &events);
        }
}

static int retire(StoreSession *session, Arena *arena _unused_, int64_t id, int side _unused_) {
        return store_url_retire(session, id, NOW_SEC, S("{}"));
}

/* reference-faults 6: of two parallel deletions exactly one is done, with one event. */
static void test_parallel_retires(void **state) {
        Race race = {.f = *state, .run = retire};
        Event *events;

        make_urls(race.f, &race);
        run_race(&race);
        for (size_t i = 0; i < N_TRIES; i++) {
                assert_int_equal(race.results[i][0] + race.results[i][1], STORE_NOT_FOUND);
                get_events(race.f, race.ids[i], 2, &events);
        }
        assert_int_equal(totals_of(race.f).active_urls, 0);
        assert_audit_clean(race.f);
}

static int has_no_title(void *userdata _unused_, const void *row) {
        const Url *url = row;

        return !url->title.data;
}

static int title_if_none(StoreSession *session, Arena *arena, int64_t id, int side _unused_) {
        const StoreCondition condition = {has_no_title, NULL};
        const StoreUrlChange change = {.has_title = true,
                                       .title = S("New"),
                                       .title_details = S("{}"),
                                       .condition = &condition};
        Url url;

        return store_url_update(session, arena, id, &change, &url);
}

/* Of two that saw the same row, the one that comes second sees what the first made of it. */
static void test_parallel_conditions(void **state) {
        Race race = {.f = *state, .run = title_if_none};
        Event *events;

        make_urls(race.f, &race);
        run_race(&race);
        for (size_t i = 0; i < N_TRIES; i++) {
                assert_int_equal(race.results[i][0] + race.results[i][1], STORE_UNMET);
                get_events(race.f, race.ids[i], 2, &events);
        }
}

static int take_last_place(StoreSession *session, Arena *arena, int64_t id, int side) {
        Slice code = arena_printf(arena, "u%lld-%d", (long long)id, side);
        const Url url = {.user_id = id, .code = code, .target = code, .location = code};
        Url made;

        return store_url_create_once(session,
                                     &(StoreUrlNew){.url = &url, .details = S("{}"), .user_max = 1},
                                     NULL, &made);
}

/* Of two that would take the last place of a user, one gets it. */
static void test_parallel_user_max(void **state) {
        Race race = {.f = *state, .run = take_last_place};

        for (size_t i = 0; i < N_TRIES; i++)
                race.ids[i] = make_user(race.f, arena_printf(&race.f->arena, "u%zu", i).data);
        run_race(&race);
        for (size_t i = 0; i < N_TRIES; i++)
                assert_int_equal(race.results[i][0] + race.results[i][1], STORE_FULL);
        assert_int_equal(totals_of(race.f).urls, N_TRIES);
        assert_audit_clean(race.f);
}

static int create_same(StoreSession *session, Arena *arena, int64_t id, int side _unused_) {
        Slice name = arena_printf(arena, "name%lld", (long long)id);
        User user;

        return store_user_create(session, arena, name, name, NOW_SEC, &user);
}

static void test_parallel_creates(void **state) {
        Race race = {.f = *state, .run = create_same};

        for (size_t i = 0; i < N_TRIES; i++)
                race.ids[i] = (int64_t)i;
        run_race(&race);
        for (size_t i = 0; i < N_TRIES; i++)
                assert_int_equal(race.results[i][0] + race.results[i][1], STORE_USERNAME_TAKEN);
        assert_int_equal(totals_of(race.f).users, N_TRIES);
}

static int answer_nothing(void *userdata _unused_, const void *row _unused_, StoreAnswer *ret) {
        *ret = (StoreAnswer){201, S("x")};
        return 0;
}

static int create_once(StoreSession *session, Arena *arena, int64_t id, int side) {
        const StoreKey key = {.name = {(uint8_t)id, 1},
                              .now_sec = NOW_SEC,
                              .expires_sec = NOW_SEC + 1,
                              .answer = answer_nothing};
        Slice name = arena_printf(arena, "name%lld-%d", (long long)id, side);
        const User user = {.username = name, .email = name};
        User made;

        return store_user_create_once(session, arena, &user, &key, &made);
}

/* Of two requests with one key, one is done. */
static void test_parallel_keys(void **state) {
        Race race = {.f = *state, .run = create_once};

        for (size_t i = 0; i < N_TRIES; i++)
                race.ids[i] = (int64_t)i;
        run_race(&race);
        for (size_t i = 0; i < N_TRIES; i++) {
                int both = race.results[i][0] + race.results[i][1];

                assert_true(race.results[i][0] == 0 || race.results[i][1] == 0);
                assert_true(both == STORE_KEY_USED || both == STORE_KEY_BUSY);
        }
        assert_int_equal(totals_of(race.f).users, N_TRIES);
}

/* ---- everything at once ---- */

typedef struct Worker {
        Fixture *f;
        int64_t url_id;
        uint8_t number;
        pthread_t thread;
        int failed; /* the first unexpected result */
} Worker;

static int work_once(Worker *worker, StoreSession *session, Arena *arena, size_t i) {
        static _Thread_local TestBatch b;
        Slice name = arena_printf(arena, "w%u-%zu", worker->number, i);
        const Url url = {.code = name, .target = name, .location = name};
        const Event event = {.url_id = worker->url_id, .type = S("redirect")};
        uint64_t next_seq = 0;
        Event made_event;
        Url made;
        int r;

        r = store_url_create(session, &url, S("{}"), &made);
        if (r == 0 && i % 2 == 0)
                r = store_url_retire(session, made.id, NOW_SEC, S("{}"));
        if (r == 0)
                r = store_event_create(session, &event, &made_event);
        if (r != 0)
                return r;
        batch_fill(&b, worker->number, 1 + i * 10, 10, worker->url_id);
        r = store_clicks_append(session, &b.batch, &next_seq);
        return r == 0 && next_seq != b.batch.upto_seq ? -1 : r;
}

static void *worker_thread(void *userdata) {
        Worker *worker = userdata;
        StoreSession *session = fixture_session(worker->f, false);
        Arena arena;

        arena_init(&arena, 0);
        for (size_t i = 0; i < N_TRIES / 2 && worker->failed == 0; i++) {
                arena_reset(&arena);
                worker->failed = work_once(worker, session, &arena, i);
        }
        arena_done(&arena);
        (void)store_session_free(session);
        return NULL;
}

static void test_all_at_once(void **state) {
        Fixture *f = *state;
        Worker workers[N_THREADS];
        int64_t url_id = make_url(f, "hot", 0);

        for (uint8_t i = 0; i < N_THREADS; i++) {
                workers[i] = (Worker){.f = f, .url_id = url_id, .number = i};
                assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_thread,
                                                &workers[i]),
                                 0);
        }
        for (size_t i = 0; i < N_THREADS; i++) {
                assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
                assert_int_equal(workers[i].failed, 0);
        }
        assert_int_equal(redirects_of(f, url_id), N_THREADS * N_TRIES / 2 * 11);
        assert_int_equal(totals_of(f).urls, 1 + N_THREADS * N_TRIES / 2);
        assert_int_equal(totals_of(f).active_urls, 1 + N_THREADS * N_TRIES / 4);
        for (uint8_t i = 0; i < N_THREADS; i++)
                assert_proof(f, i);
}

int run_parallel(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_parallel_updates),
                        CONTRACT_TEST(test_parallel_retires),
                        CONTRACT_TEST(test_parallel_conditions),
                        CONTRACT_TEST(test_parallel_user_max),
                        CONTRACT_TEST(test_parallel_creates),
                        CONTRACT_TEST(test_parallel_keys),
                        CONTRACT_TEST(test_all_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
