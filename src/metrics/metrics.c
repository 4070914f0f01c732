/* SPDX-License-Identifier: MIT */

/*
 * Metrics, see the header. A request costs one array increment and one histogram bucket; the text
 * is only made when somebody asks. Loop thread only.
 */

#include "metrics/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "basic/slice.h"

#define N_STATUSES ELEMENTSOF(statuses)
#define N_BUCKETS  ELEMENTSOF(buckets)

/* Statuses that are ever sent; anything else counts as the last. */
static const int statuses[] = {200, 201, 204, 302, 304, 400, 401, 403, 404, 405, 408, 409, 410,
                               412, 413, 414, 417, 422, 429, 431, 500, 501, 502, 503, 504, 505};

/* Upper bounds in microseconds and as text (spec: monitoring). */
static const struct {
        uint64_t usec;
        const char *text;
} buckets[] = {
                {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},
                {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"},
                {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
                {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"},
};

static const struct {
        const char *type, *name, *labels, *help;
} definitions[METRICS] = {
#define METRIC(id, type, name, labels, help) [METRIC_##id] = {type, name, labels, help},
#include "metrics/metrics.def"
#undef METRIC
};

typedef struct Series {
        uint64_t by_status[ELEMENTSOF(statuses)];
        uint64_t by_bucket[ELEMENTSOF(buckets) + 1]; /* the last: +Inf */
        uint64_t sum_usec;
        uint64_t count;
} Series;

struct Metrics {
        double values[METRICS];
        const char *const *endpoints;
        const char *const *methods;
        size_t n_endpoints, n_methods;
        uint64_t n_requests;
        Series series[]; /* endpoint major */
};

int metrics_new(const char *const *endpoints, size_t n_endpoints, const char *const *methods,
                size_t n_methods, Metrics **ret) {
        Metrics *metrics = calloc(1, sizeof *metrics + n_endpoints * n_methods * sizeof(Series));

        if (!metrics)
                return -ENOMEM;
        metrics->endpoints = endpoints;
        metrics->n_endpoints = n_endpoints;
        metrics->methods = methods;
        metrics->n_methods = n_methods;
        metrics->values[METRIC_BUILD_INFO] = 1;
        *ret = metrics;
        return 0;
}

Metrics *metrics_free(Metrics *metrics) {
        free(metrics);
        return NULL;
}

void metric_add(Metrics *metrics, Metric metric, double n) {
        metrics->values[metric] += n;
}

void metric_set(Metrics *metrics, Metric metric, double value) {
        metrics->values[metric] = value;
}

double metric_get(const Metrics *metrics, Metric metric) {
        return metrics->values[metric];
}

static size_t status_index(int status) {
        size_t i = 0;

        while (i < N_STATUSES - 1 && statuses[i] != status)
                i++;
        return i;
}

static size_t bucket_index(uint64_t usec) {
        size_t i = 0;

        while (i < N_BUCKETS && usec > buckets[i].usec)
                i++;
        return i;
}

void metrics_request(Metrics *metrics, unsigned endpoint, unsigned method, int status,
                     uint64_t usec, uint64_t n) {
        Series *series;

        CHECK(endpoint < metrics->n_endpoints && method < metrics->n_methods);
        series = metrics->series + endpoint * metrics->n_methods + method;
        series->by_status[status_index(status)] += n;
        series->by_bucket[bucket_index(usec)] += n;
        series->sum_usec += usec * n;
        series->count += n;
        metrics->n_requests += n;
}

uint64_t metrics_requests(const Metrics *metrics) {
        return metrics->n_requests;
}

static void render_family(Buffer *out, const char *name, const char *type, const char *help) {
        buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Seconds with microsecond digits, so that sums stay exact. */
static void render_seconds(Buffer *out, uint64_t usec) {
        buffer_printf(out, "%ju.%06u", (uintmax_t)(usec / 1000000), (unsigned)(usec % 1000000));
}

static void render_statuses(Buffer *out, const Series *series, const char *method,
                            const char *endpoint) {
        for (size_t i = 0; i < N_STATUSES; i++)
                if (series->by_status[i] > 0)
                        buffer_printf(out,
                                      "http_requests_total{method=\"%s\",endpoint=\"%s\","
                                      "status=\"%d\"} %ju\n",
                                      method, endpoint, statuses[i],
                                      (uintmax_t)series->by_status[i]);
}

static void render_histogram(Buffer *out, const Series *series, const char *method,
                             const char *endpoint) {
        static const char *const name = "http_request_duration_seconds";
        uint64_t sum = 0;

        for (size_t i = 0; i <= N_BUCKETS; i++) {
                sum += series->by_bucket[i];
                buffer_printf(out, "%s_bucket{method=\"%s\",endpoint=\"%s\",le=\"%s\"} %ju\n", name,
                              method, endpoint, i < N_BUCKETS ? buckets[i].text : "+Inf",
                              (uintmax_t)sum);
        }
        buffer_printf(out, "%s_sum{method=\"%s\",endpoint=\"%s\"} ", name, method, endpoint);
        render_seconds(out, series->sum_usec);
        buffer_printf(out, "\n%s_count{method=\"%s\",endpoint=\"%s\"} %ju\n", name, method,
                      endpoint, (uintmax_t)series->count);
}

static void render_requests(const Metrics *metrics, Buffer *out,
                            void (*render)(Buffer *, const Series *, const char *, const char *)) {
        for (size_t e = 0; e < metrics->n_endpoints; e++)
                for (size_t m = 0; m < metrics->n_methods; m++) {
                        const Series *series = metrics->series + e * metrics->n_methods + m;

                        if (series->count > 0)
                                render(out, series, metrics->methods[m], metrics->endpoints[e]);
                }
}

void metrics_render(const Metrics *metrics, Buffer *out) {
        render_family(out, "http_requests_total", "counter", "Requests answered.");
        render_requests(metrics, out, render_statuses);
        render_family(out, "http_request_duration_seconds", "histogram",
                      "Seconds from a request read to its answer.");
        render_requests(metrics, out, render_histogram);
        for (size_t i = 0; i < METRICS; i++) {
                const char *labels = definitions[i].labels;

                if (i == 0 || strcmp(definitions[i].name, definitions[i - 1].name) != 0)
                        render_family(out, definitions[i].name, definitions[i].type,
                                      definitions[i].help);
                buffer_printf(out, "%s%s%s%s %.17g\n", definitions[i].name, *labels ? "{" : "",
                              labels, *labels ? "}" : "", metrics->values[i]);
        }
}
