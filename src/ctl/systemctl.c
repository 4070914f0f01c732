/* SPDX-License-Identifier: MIT */

/* Starting systemctl, waiting for it, reading what it shows. One thread, one child at a time. */

#include "ctl/systemctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/clock.h"
#include "sys/fd.h"

#define ARGUMENTS_MAX (SYSTEMCTL_UNITS_MAX + 16u)

/* ---- the child ---- */

static int spawn(const char *const *arguments, int out, pid_t *ret) {
        const char *argv[ARGUMENTS_MAX + 2] = {"systemctl"};
        posix_spawn_file_actions_t actions;
        int r;

        for (size_t i = 0; arguments[i]; i++) {
                CHECK(i < ARGUMENTS_MAX);
                argv[i + 1] = arguments[i];
        }
        if (posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawnp(ret, argv[0], &actions, NULL, (char *const *)argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static int milliseconds_left(uint64_t until_usec) {
        uint64_t now = clock_monotonic_usec();

        if (until_usec == 0)
                return -1;
        return now >= until_usec ? 0 : (int)((until_usec - now) / USEC_PER_MSEC) + 1;
}

/* All that the child writes, until it closes its end. */
static int drain(int fd, uint64_t until_usec, Buffer *out) {
        for (;;) {
                struct pollfd wait = {.fd = fd, .events = POLLIN};
                char data[4096];
                ssize_t n;
                int r = poll(&wait, 1, milliseconds_left(until_usec));

                if (r == 0)
                        return -ETIMEDOUT;
                n = r < 0 ? -1 : read(fd, data, sizeof data);
                if (n == 0)
                        return 0;
                if (n > 0 && out)
                        buffer_append(out, slice_make(data, (size_t)n));
                if (n < 0 && errno != EINTR)
                        return -errno;
        }
}

int systemctl_run(const char *const *arguments, uint64_t timeout_usec, Buffer *out) {
        uint64_t until = timeout_usec > 0 ? clock_monotonic_usec() + timeout_usec : 0;
        _cleanup_fd_ int ours = -1, theirs = -1;
        int fds[2], status = 0, r;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        ours = fds[0];
        theirs = fds[1];
        r = spawn(arguments, theirs, &pid);
        theirs = fd_close(theirs);
        if (r < 0)
                return r;
        r = drain(ours, until, out);
        if (r < 0)
                (void)kill(pid, SIGTERM);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        if (r < 0)
                return r;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- what it shows ---- */

/* By the length of the name, then by the name: numbers in their order. */
static int compare_units(const void *a, const void *b) {
        const SystemUnit *left = a, *right = b;
        size_t n_left = strlen(left->name), n_right = strlen(right->name);

        if (n_left != n_right)
                return n_left < n_right ? -1 : 1;
        return strcmp(left->name, right->name);
}

static void take(Slice value, char *ret, size_t size) {
        (void)snprintf(ret, size, "%.*s", SLICE_ARG(value));
}

/* "Name=value" lines, a blank one between two units. */
static void parse_units(Slice text, SystemUnits *ret) {
        SystemUnit unit = {};
        Slice line, name, value;

        ret->n = 0;
        while (text.len > 0 && ret->n < SYSTEMCTL_UNITS_MAX) {
                (void)slice_cut(text, '\n', &line, &text);
                (void)slice_cut(line, '=', &name, &value);
                if (slice_equal(name, SLICE("Id")))
                        take(value, unit.name, sizeof unit.name);
                else if (slice_equal(name, SLICE("ActiveState")))
                        take(value, unit.active, sizeof unit.active);
                if ((line.len == 0 || text.len == 0) && unit.name[0] != '\0') {
                        ret->units[ret->n++] = unit;
                        unit = (SystemUnit){};
                }
        }
        qsort(ret->units, ret->n, sizeof ret->units[0], compare_units);
}

int systemctl_list(const char *const *patterns, SystemUnits *ret) {
        const char *arguments[ARGUMENTS_MAX + 1] = {"show", "--property=Id",
                                                    "--property=ActiveState", "--"};
        Buffer out = BUFFER_EMPTY;
        int r;

        for (size_t i = 0; patterns[i]; i++) {
                CHECK(i + 4 < ARGUMENTS_MAX);
                arguments[i + 4] = patterns[i];
        }
        r = systemctl_run(arguments, 0, &out);
        if (r == 0)
                r = out.failed ? -ENOMEM : 0;
        if (r == 0)
                parse_units(buffer_slice(&out), ret);
        buffer_done(&out);
        return r;
}

bool system_unit_is_type(const SystemUnit *unit, const char *suffix) {
        size_t n = strlen(unit->name), n_suffix = strlen(suffix);

        return n >= n_suffix && strcmp(unit->name + n - n_suffix, suffix) == 0;
}
