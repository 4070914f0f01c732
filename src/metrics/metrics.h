/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The process' metrics: one table from metrics.def, and the two request families, counted by route,
 * method and status. Belongs to the loop thread; what other threads know comes as a value that
 * the loop sets before it renders.
 */

#include <stdint.h>

#include "basic/buffer.h"

typedef enum Metric {
#define METRIC(id, type, name, labels, help) METRIC_##id,
#include "metrics/metrics.def"
#undef METRIC
        METRICS,
} Metric;

typedef struct Metrics Metrics;

/* endpoints: the labels of the route table, by index; the last one stands for unknown. Borrowed,
 * static. methods: likewise by index. -ENOMEM. */
int metrics_new(const char *const *endpoints, size_t n_endpoints, const char *const *methods,
                size_t n_methods, Metrics **ret) _must_check_;
Metrics *metrics_free(Metrics *metrics);
DEFINE_CLEANUP(Metrics, metrics_free)

void metric_add(Metrics *metrics, Metric metric, double n);
void metric_set(Metrics *metrics, Metric metric, double value);
double metric_get(const Metrics *metrics, Metric metric);

/* n requests answered alike; each took usec from its head read to its answer queued. */
void metrics_request(Metrics *metrics, unsigned endpoint, unsigned method, int status,
                     uint64_t usec, uint64_t n);

/* Requests answered so far, all routes. */
uint64_t metrics_requests(const Metrics *metrics);

/* Reads /proc/self for the process_ metrics. Some tens of microseconds. */
void metrics_collect_process(Metrics *metrics);

/* Text exposition format 0.0.4. */
void metrics_render(const Metrics *metrics, Buffer *out);
