/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * For tests of the host page: a runtime directory of their own, and children that do one thing
 * with a page that they open themselves and are waited for or killed.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "host/layout.h"
#include "host/page.h"

typedef struct Fixture {
        char directory[64];
        char path[80];
} Fixture;

static inline int fixture_setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        if (!f || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -1;
        (void)snprintf(f->directory, sizeof(f->directory), "/tmp/host-test.XXXXXX");
        if (!mkdtemp(f->directory))
                return -1;
        (void)snprintf(f->path, sizeof(f->path), "%s/page", f->directory);
        *state = f;
        return 0;
}

static inline int fixture_teardown(void **state) {
        Fixture *f = *state;

        (void)unlink(f->path);
        (void)rmdir(f->directory);
        free(f);
        return 0;
}

#define TEST_IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static inline HostPage *open_page(const Fixture *f) {
        HostPage *page = NULL;

        assert_int_equal(host_page_open(f->directory, &page), 0);
        return page;
}

static inline HostSlot *claim(HostPage *page, const char *name, const char *directory) {
        HostSlot *slot = NULL;

        assert_int_equal(host_slot_claim(page, name, directory, &slot), 0);
        return slot;
}

/* In a child: ends it with a status that names the line, instead of cmocka's long jump. */
#define CHILD_CHECK(expression)                                                  \
 do {                                                                            \
  if (!(expression)) {                                                           \
   (void)fprintf(stderr, "%s:%d: child: %s\n", __FILE__, __LINE__, #expression); \
   _exit(1);                                                                     \
  }                                                                              \
 } while (0)

/* A child that runs body(f, in, out) and exits with 0; it and its parent tell() and hear() each
 * other how far they are. */
typedef struct Child {
        pid_t pid;
        int to_child, from_child;
} Child;

static inline Child child_start(const Fixture *f, void (*body)(const Fixture *f, int in, int out)) {
        int down[2], up[2];
        Child child = {0};

        assert_int_equal(pipe2(down, O_CLOEXEC), 0);
        assert_int_equal(pipe2(up, O_CLOEXEC), 0);
        child.pid = fork();
        assert_true(child.pid >= 0);
        if (child.pid == 0) {
                /* A test that failed waits for nobody. */
                CHILD_CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
                (void)close(down[1]);
                (void)close(up[0]);
                body(f, down[0], up[1]);
                _exit(0);
        }
        (void)close(down[0]);
        (void)close(up[1]);
        child.to_child = down[1];
        child.from_child = up[0];
        return child;
}

static inline void tell(int fd) {
        if (write(fd, "x", 1) != 1)
                _exit(2);
}

/* Returns when the other side told something, or is gone. */
static inline bool hear(int fd) {
        char c;

        return read(fd, &c, 1) == 1;
}

static inline int child_wait(Child *child) {
        int status = -1;

        (void)close(child->to_child);
        (void)close(child->from_child);
        assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
        return status;
}

static inline void child_kill(Child *child) {
        int status;

        assert_int_equal(kill(child->pid, SIGKILL), 0);
        status = child_wait(child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Tells it once more: other children may hold its pipe open. */
static inline void child_finish(Child *child) {
        (void)!write(child->to_child, "x", 1);
        assert_int_equal(child_wait(child), 0);
}
