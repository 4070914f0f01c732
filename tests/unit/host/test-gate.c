/* SPDX-License-Identifier: MIT */
/* The queue of writers: order of arrival, limits of time, holders that die, pages without one. */

#include "host-test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <string.h>

#include "host/gate.h"
#include "host/internal.h"

#define N_WRITERS  8u
#define SHORT_USEC (50 * USEC_PER_MSEC)
#define LONG_USEC  (60 * USEC_PER_SEC)

static void *enter(HostPage *page) {
        void *pass = NULL;

        assert_int_equal(host_gate_enter(page, clock_monotonic_usec() + LONG_USEC, &pass), 0);
        assert_non_null(pass);
        return pass;
}

/* ---- waiting ---- */

static void try_in_vain(const Fixture *f, int in _unused_, int out) {
        uint64_t begin = clock_monotonic_usec();
        void *pass;
        HostPage *page;

        CHILD_CHECK(host_page_open(f->directory, &page) == 0);
        CHILD_CHECK(host_gate_enter(page, begin + SHORT_USEC, &pass) == -ETIMEDOUT);
        CHILD_CHECK(!pass);
        CHILD_CHECK(clock_monotonic_usec() >= begin + SHORT_USEC);
        (void)host_page_free(page);
        tell(out);
}

static void test_one_process_at_a_time(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        void *pass = enter(page);
        Child child = child_start(f, try_in_vain);

        assert_true(hear(child.from_child));
        child_finish(&child);
        host_gate_leave(pass);
        host_gate_leave(enter(page));
}

/* ---- the order ---- */

typedef struct Queue {
        HostPage *page;
        uint32_t n_begun, n_through;
        uint32_t order[N_WRITERS]; /* who came through when */
        pid_t waiter[N_WRITERS];
} Queue;

typedef struct Writer {
        Queue *queue;
        uint32_t number;
} Writer;

static void *run_writer(void *userdata) {
        Writer *writer = userdata;
        Queue *queue = writer->queue;
        void *pass;

        __atomic_store_n(&queue->waiter[writer->number], gettid(), __ATOMIC_SEQ_CST);
        if (host_gate_enter(queue->page, 0, &pass) < 0 || !pass)
                abort();
        queue->order[queue->n_through++] = writer->number;
        host_gate_leave(pass);
        return NULL;
}

/* Does it sleep? There is but one thing for which it may. */
static bool sleeps(pid_t tid) {
        char path[64], text[64] = "";
        const char *end;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        (void)!read(fd, text, sizeof(text) - 1);
        (void)close(fd);
        end = strrchr(text, ')');
        return end && strncmp(end, ") S", 3) == 0;
}

static void test_in_order_of_arrival(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        Queue queue = {.page = page};
        Writer writers[N_WRITERS];
        pthread_t threads[N_WRITERS];
        void *pass = enter(page);

        for (uint32_t i = 0; i < N_WRITERS; i++) {
                pid_t tid = 0;

                writers[i] = (Writer){&queue, i};
                assert_int_equal(pthread_create(&threads[i], NULL, run_writer, &writers[i]), 0);
                while (tid == 0 || !sleeps(tid)) {
                        tid = __atomic_load_n(&queue.waiter[i], __ATOMIC_SEQ_CST);
                        (void)usleep(USEC_PER_MSEC);
                }
        }
        host_gate_leave(pass);
        /* Awake, and yet behind all that were there before. */
        pass = enter(page);
        assert_int_equal(queue.n_through, N_WRITERS);
        host_gate_leave(pass);
        for (uint32_t i = 0; i < N_WRITERS; i++) {
                assert_int_equal(pthread_join(threads[i], NULL), 0);
                assert_int_equal(queue.order[i], i);
        }
}

/* ---- holders that die ---- */

static void hold(const Fixture *f, int in, int out) {
        void *pass;
        HostPage *page;

        CHILD_CHECK(host_page_open(f->directory, &page) == 0);
        CHILD_CHECK(host_gate_enter(page, 0, &pass) == 0 && pass);
        tell(out);
        (void)hear(in);
}

static void test_holder_is_killed(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);

        for (int i = 0; i < 3; i++) {
                Child child = child_start(f, hold);

                assert_true(hear(child.from_child));
                child_kill(&child);
                host_gate_leave(enter(page));
        }
}

static void die_at_once(const Fixture *f _unused_, int in _unused_, int out _unused_) {
}

/* What is left when the OOM killer has taken the holder's memory back before it died: the kernel
 * then finds no list of what it held. */
static void test_holder_was_never_found(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        uint32_t *word = (uint32_t *)page->page->header.gate.mutex;
        Child child = child_start(f, die_at_once);

        child_finish(&child); /* waited for: its number is nobody's */
        for (int i = 0; i < 2; i++) {
                /* Without waiters noted and with. */
                __atomic_store_n(word, (uint32_t)child.pid | (i == 1 ? FUTEX_WAITERS : 0),
                                 __ATOMIC_SEQ_CST);
                host_gate_leave(enter(page));
                assert_int_equal(__atomic_load_n(word, __ATOMIC_SEQ_CST) & FUTEX_TID_MASK, 0);
        }
}

/* ---- no queue ---- */

static void test_page_of_an_older_version(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        void *first, *second;

        page->page->header.gate.kind = 0;
        assert_int_equal(host_gate_enter(page, 0, &first), 0);
        assert_int_equal(host_gate_enter(page, 0, &second), 0);
        assert_null(first);
        assert_null(second);
        host_gate_leave(first);
}

/* A pass is of the page in which it was got. */
static void test_page_is_replaced_meanwhile(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        void *pass = enter(page);

        assert_int_equal(unlink(host_page_path(page)), 0);
        assert_true(host_page_check(page));
        host_gate_leave(enter(page));
        host_gate_leave(pass);
}

/* clang-format off */
int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_IN_FOLDER(test_one_process_at_a_time),
                TEST_IN_FOLDER(test_in_order_of_arrival),
                TEST_IN_FOLDER(test_holder_is_killed),
                TEST_IN_FOLDER(test_holder_was_never_found),
                TEST_IN_FOLDER(test_page_of_an_older_version),
                TEST_IN_FOLDER(test_page_is_replaced_meanwhile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
/* clang-format on */
