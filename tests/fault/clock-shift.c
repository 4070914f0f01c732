/* SPDX-License-Identifier: MIT */

/*
 * Preloaded by clock.py: CLOCK_REALTIME is off by as many seconds as the 8 bytes of a file say that
 * it maps, from one call to the next. All else is left alone, as settimeofday(2) does. libfaketime
 * shifts what timerfd_settime() and pthread_cond_timedwait() are given as well, though the timer or
 * the condition goes by CLOCK_MONOTONIC: under it the timers of sd-event are late by the shift.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift; /* seconds */

__attribute__((constructor)) static void begin(void) {
        const char *path = getenv("CLOCK_SHIFT_FILE");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);

        if (map == MAP_FAILED)
                abort(); /* a test of nothing */
        shift = map;
        (void)close(fd);
}

int clock_gettime(clockid_t id, struct timespec *now) {
        int r = (int)syscall(SYS_clock_gettime, id, now);

        if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) && shift)
                now->tv_sec += *shift;
        return r;
}

time_t time(time_t *ret) {
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        if (ret)
                *ret = now.tv_sec;
        return now.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone) {
        struct timespec now;

        (void)zone;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        *ret = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
        return 0;
}
