/* SPDX-License-Identifier: MIT */

/* Starting a program, waiting for it, reading what it writes. One thread, one child at a time. */

#include "ctl/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/clock.h"
#include "sys/fd.h"

static int spawn(const char *const *argv, int out, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        int r;

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

int process_run(const char *const *argv, uint64_t timeout_usec, Buffer *out) {
        uint64_t until = timeout_usec > 0 ? clock_monotonic_usec() + timeout_usec : 0;
        _cleanup_fd_ int ours = -1;
        int fds[2], status = 0, r;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        ours = fds[0];
        r = spawn(argv, fds[1], &pid);
        (void)close(fds[1]);
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
