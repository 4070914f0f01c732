/* SPDX-License-Identifier: MIT */

/* The workers with the in-memory store: handlers run with a session, failures become 503 or 500, a
 * worker that hangs is seen. */

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "sys/log.h"
#include "work/pool.h"

typedef struct Fixture {
        Store *store;
        Outbox *done;
        Pool *pool;
} Fixture;

static sem_t hang;

static int handler_ok(Call *call) {
        int r = store_ping(call->store);

        if (r != 0)
                return r;
        call->exchange->response.status = 200;
        buffer_append(&call->exchange->response.body, SLICE("{}\n"));
        return 0;
}

static int handler_away(Call *call _unused_) {
        return -EHOSTDOWN;
}

static int handler_broken(Call *call) {
        buffer_append(&call->exchange->response.body, SLICE("half of an answer"));
        http_response_field(&call->exchange->response, "X-Half", SLICE("done"));
        return -EIO;
}

static int handler_hangs(Call *call) {
        (void)sem_wait(&hang);
        return call_problem(call, 400, "a \"quoted\" text");
}

static int setup(void **state) {
        StoreOptions store = {.connect_usec = USEC_PER_SEC, .create = true};
        PoolOptions options = {.n_workers = 2, .queue_max = 2};
        Fixture *fixture = calloc(1, sizeof *fixture);

        assert_non_null(fixture);
        log_open("test", LOG_FORMAT_TEXT, -1);
        assert_int_equal(sem_init(&hang, 0, 0), 0);
        assert_int_equal(store_new("fake:", &store, &fixture->store), 0);
        assert_int_equal(outbox_new(&fixture->done), 0);
        assert_int_equal(pool_new(&options, fixture->store, NULL, NULL, fixture->done,
                                  &fixture->pool),
                         0);
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        (void)pool_free(fixture->pool);
        (void)outbox_free(fixture->done);
        (void)store_free(fixture->store);
        free(fixture);
        return 0;
}

typedef struct Request {
        HttpExchange exchange;
        HttpRoute route;
        Call call;
} Request;

static Request *request_new(int (*worker)(Call *), uint64_t usec) {
        Request *request = calloc(1, sizeof *request);

        assert_non_null(request);
        arena_init(&request->exchange.arena, 0);
        request->exchange.request.request_id = SLICE("id");
        request->route = (HttpRoute){.name = "test", .worker = worker};
        request->call = (Call){.exchange = &request->exchange,
                               .route = &request->route,
                               .deadline_usec = clock_monotonic_usec() + usec};
        return request;
}

static void request_free(Request *request) {
        buffer_done(&request->exchange.response.head);
        buffer_done(&request->exchange.response.body);
        arena_done(&request->exchange.arena);
        free(request);
}

static void wait_back(Fixture *fixture, size_t n) {
        ListNode head;

        list_init(&head);
        while (n > 0) {
                struct pollfd poll_fd = {.fd = outbox_fd(fixture->done), .events = POLLIN};

                assert_int_equal(poll(&poll_fd, 1, 10000), 1);
                outbox_take_all(fixture->done, &head);
                for (; !list_empty(&head); n--)
                        list_remove(list_first(&head));
        }
}

static void run_one(Fixture *fixture, int (*worker)(Call *), uint64_t usec, int status,
                    const char *body) {
        Request *request = request_new(worker, usec);
        HttpResponse *response = &request->exchange.response;

        assert_int_equal(pool_push(fixture->pool, &request->call), 0);
        wait_back(fixture, 1);
        assert_int_equal(response->status, status);
        assert_true(slice_equal(buffer_slice(&response->body), slice_from_string(body)));
        if (status == 503)
                assert_true(slice_equal(buffer_slice(&response->head),
                                        SLICE("Retry-After: 1\r\n")));
        else
                assert_int_equal(response->head.len, 0);
        request_free(request);
}

static void test_answers(void **state) {
        Fixture *fixture = *state;

        for (unsigned i = 0; i < 10; i++)
                run_one(fixture, handler_ok, USEC_PER_SEC, 200, "{}\n");
}

static void test_failures(void **state) {
        Fixture *fixture = *state;

        run_one(fixture, handler_away, USEC_PER_SEC, 503, "{\"error\":\"Service unavailable\"}\n");
        run_one(fixture, handler_broken, USEC_PER_SEC, 500,
                "{\"error\":\"Internal server error\"}\n");
}

static void test_too_late_is_not_begun(void **state) {
        run_one(*state, handler_ok, 0, 503, "{\"error\":\"Service unavailable\"}\n");
}

static void test_full_queue_and_stuck_worker(void **state) {
        Fixture *fixture = *state;
        Request *requests[4];
        uint64_t end = clock_monotonic_usec() + 10 * USEC_PER_SEC;

        assert_false(pool_stuck(fixture->pool, 0));
        for (size_t i = 0; i < 4; i++) {
                requests[i] = request_new(handler_hangs, 10 * USEC_PER_SEC);
                while (pool_push(fixture->pool, &requests[i]->call) < 0) {
                        /* A worker takes one of the two that wait soon. */
                        assert_true(i >= 2 && clock_monotonic_usec() < end);
                        (void)usleep(1000);
                }
        }
        while (pool_queue_depth(fixture->pool) > 2)
                assert_true(clock_monotonic_usec() < end);
        while (!pool_stuck(fixture->pool, 10000))
                assert_true(clock_monotonic_usec() < end);
        assert_false(pool_stuck(fixture->pool, 60 * USEC_PER_SEC));
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(sem_post(&hang), 0);
        wait_back(fixture, 4);
        for (size_t i = 0; i < 4; i++) {
                HttpResponse *response = &requests[i]->exchange.response;

                assert_int_equal(response->status, 400);
                assert_true(slice_equal(buffer_slice(&response->body),
                                        SLICE("{\"error\":\"a \\\"quoted\\\" text\"}\n")));
                request_free(requests[i]);
        }
}

static int handler_slow(Call *call) {
        (void)usleep(5000);
        call->exchange->response.status = 200;
        return 0;
}

/* Once calls are known to take 5 ms, two workers begin no more than ten of them in 25 ms. */
static void test_what_would_wait_too_long_is_refused(void **state) {
        const PoolOptions options = {.n_workers = 2, .queue_max = 1000};
        Fixture *fixture = *state;
        enum { N = 400 };
        Request *requests[N];
        size_t n_taken = 0;

        fixture->pool = pool_free(fixture->pool);
        assert_int_equal(pool_new(&options, fixture->store, NULL, NULL, fixture->done,
                                  &fixture->pool),
                         0);
        for (size_t i = 0; i < N; i++) {
                requests[i] = request_new(handler_slow, 600 * USEC_PER_SEC);
                assert_int_equal(pool_push(fixture->pool, &requests[i]->call), 0);
        }
        wait_back(fixture, N);
        for (size_t i = 0; i < N; i++) {
                requests[i]->call.deadline_usec = clock_monotonic_usec() + 50000;
                if (pool_push(fixture->pool, &requests[i]->call) == 0)
                        n_taken++;
        }
        wait_back(fixture, n_taken);
        assert_in_range(n_taken, 5, 40); /* an empty queue again takes all */
        for (size_t i = 0; i < N; i++)
                request_free(requests[i]);
}

static void push_all(Fixture *fixture, Request **requests, size_t n, int (*worker)(Call *)) {
        for (size_t i = 0; i < n; i++) {
                requests[i] = request_new(worker, 600 * USEC_PER_SEC);
                assert_int_equal(pool_push(fixture->pool, &requests[i]->call), 0);
        }
}

static void take_back(Fixture *fixture, Request **requests, size_t n) {
        wait_back(fixture, n);
        for (size_t i = 0; i < n; i++)
                request_free(requests[i]);
}

/* Would a call be taken that comes behind 98 others, 49 for each worker? */
static bool takes_behind_others(Fixture *fixture) {
        enum { N = 100 };
        Request *requests[N];
        bool taken;

        push_all(fixture, requests, N, handler_hangs);
        taken = pool_takes(fixture->pool,
                           &(Call){.deadline_usec = clock_monotonic_usec() + 100000});
        for (size_t i = 0; i < N; i++)
                assert_int_equal(sem_post(&hang), 0);
        take_back(fixture, requests, N);
        return taken;
}

/* What was slow before a pause says little of what comes behind it. */
static void test_a_pause_is_forgiven(void **state) {
        const PoolOptions options = {.n_workers = 2, .queue_max = 1000};
        Fixture *fixture = *state;
        enum { N = 400 };
        Request *requests[N];

        fixture->pool = pool_free(fixture->pool);
        assert_int_equal(pool_new(&options, fixture->store, NULL, NULL, fixture->done,
                                  &fixture->pool),
                         0);
        push_all(fixture, requests, N, handler_slow);
        take_back(fixture, requests, N);
        assert_false(takes_behind_others(fixture));
        (void)usleep(4500000);
        assert_true(takes_behind_others(fixture));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_too_late_is_not_begun, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_full_queue_and_stuck_worker, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_what_would_wait_too_long_is_refused,
                                                        setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_pause_is_forgiven, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
