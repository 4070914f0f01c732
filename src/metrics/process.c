/* SPDX-License-Identifier: MIT */

/*
 * The process_ metrics of the Prometheus client libraries, from /proc/self and clocks that need no
 * privileges (ProcSubset=pid hides /proc/stat, so the start time comes from CLOCK_BOOTTIME).
 */

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "basic/slice.h"
#include "metrics/metrics.h"

static double clock_seconds(clockid_t clock) {
        struct timespec ts;

        return clock_gettime(clock, &ts) < 0 ? 0 : (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double count_fds(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        if (!dir)
                return 0;
        while (readdir(dir))
                n++;
        (void)closedir(dir);
        return n >= 3 ? n - 3 : 0; /* without ".", ".." and the folder itself */
}

/* Field 22 of /proc/self/stat: start after boot in clock ticks. */
static double start_seconds(void) {
        FILE *file = fopen("/proc/self/stat", "re");
        unsigned long long ticks = 0;
        int n = 0;

        if (file) {
                n = fscanf(file,
                           "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u "
                           "%*d %*d %*d %*d %*d %*d %llu",
                           &ticks);
                (void)fclose(file);
        }
        if (n != 1)
                return 0;
        return clock_seconds(CLOCK_REALTIME) - clock_seconds(CLOCK_BOOTTIME) +
               (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void collect_memory(Metrics *metrics) {
        FILE *file = fopen("/proc/self/statm", "re");
        unsigned long long size, resident;
        double page = (double)sysconf(_SC_PAGESIZE);

        if (!file)
                return;
        if (fscanf(file, "%llu %llu", &size, &resident) == 2) {
                metric_set(metrics, METRIC_VIRTUAL, (double)size * page);
                metric_set(metrics, METRIC_RESIDENT, (double)resident * page);
        }
        (void)fclose(file);
}

void metrics_collect_process(Metrics *metrics) {
        struct rlimit limit;

        collect_memory(metrics);
        metric_set(metrics, METRIC_CPU, clock_seconds(CLOCK_PROCESS_CPUTIME_ID));
        metric_set(metrics, METRIC_OPEN_FDS, count_fds());
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                metric_set(metrics, METRIC_MAX_FDS, (double)limit.rlim_cur);
        if (metric_get(metrics, METRIC_START_TIME) <= 0)
                metric_set(metrics, METRIC_START_TIME, start_seconds());
}
