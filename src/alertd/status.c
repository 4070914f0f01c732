/* SPDX-License-Identifier: MIT */

/* What operators and their machines ask: the page of any GET, /health, /metrics, STATUS=. */

#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "alertd/batch.h"
#include "alertd/manager.h"
#include "basic/clock.h"

typedef enum AlertMetric {
#define METRIC(id, type, name, labels, help) ALERT_METRIC_##id,
#include "alertd/metrics.def"
#undef METRIC
        ALERT_METRICS,
} AlertMetric;

static const struct {
        const char *type, *name, *labels, *help;
} definitions[ALERT_METRICS] = {
#define METRIC(id, type, name, labels, help) [ALERT_METRIC_##id] = {type, name, labels, help},
#include "alertd/metrics.def"
#undef METRIC
};

static const struct {
        Metric metric;
        const char *type, *name, *help;
} process_metrics[] = {
                {METRIC_RESIDENT, "gauge", "process_resident_memory_bytes",
                 "Resident memory size in bytes."},
                {METRIC_VIRTUAL, "gauge", "process_virtual_memory_bytes",
                 "Virtual memory size in bytes."},
                {METRIC_CPU, "counter", "process_cpu_seconds_total",
                 "Total user and system CPU time spent in seconds."},
                {METRIC_OPEN_FDS, "gauge", "process_open_fds", "Number of open file descriptors."},
                {METRIC_MAX_FDS, "gauge", "process_max_fds",
                 "Maximum number of open file descriptors."},
                {METRIC_START_TIME, "gauge", "process_start_time_seconds",
                 "Start time of the process since unix epoch in seconds."},
};

typedef struct Sums {
        uint64_t pending, forwarded, failed;
} Sums;

static Sums sum_forwards(const Manager *manager) {
        Sums sums = {0};

        for (size_t i = 0; i < manager->n_forwards; i++) {
                const Forward *forward = manager->forwards + i;

                sums.pending += forward_pending(forward);
                sums.forwarded += forward->position.n_forwarded;
                sums.failed += forward->position.n_failed;
        }
        return sums;
}

void status_page(Manager *manager, HttpExchange *exchange) {
        Sums sums = sum_forwards(manager);
        HttpResponse *response = &exchange->response;
        json_t *page = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "log_file",
                                 manager->options.alerts.log, "evidence_dir",
                                 manager->evidence_folder, "status", "running",
                                 "total_alerts_received", (json_int_t)manager->queue.last_seq,
                                 "pending", (json_int_t)sums.pending, "forwarded",
                                 (json_int_t)sums.forwarded, "failed", (json_int_t)sums.failed);

        response->status = 200;
        http_response_field(response, "Cache-Control", SLICE("no-store"));
        if (page)
                batch_append_json(page, &response->body);
        else
                response->body.failed = true; /* a 503 */
        buffer_append_byte(&response->body, '\n');
        json_decref(page);
        http_exchange_done(exchange);
}

void status_health(Manager *manager, HttpExchange *exchange) {
        HttpResponse *response = &exchange->response;

        response->status = manager->draining ? 503 : 200;
        http_response_field(response, "Cache-Control", SLICE("no-store"));
        buffer_append(&response->body, manager->draining ? SLICE("{\"status\":\"stopping\"}\n")
                                                         : SLICE("{\"status\":\"ok\"}\n"));
        http_exchange_done(exchange);
}

/* ---- metrics ---- */

static double seconds(uint64_t usec) {
        return (double)usec / (double)USEC_PER_SEC;
}

static double oldest(const Forward *forward) {
        uint64_t now = clock_realtime_usec();
        QueueAlert next;

        if (!queue_next(forward->context->queue, forward->position.seq, &next))
                return 0;
        return seconds(now - MIN(now, next.received_usec));
}

static double value_of(const Manager *manager, AlertMetric metric) {
        switch ((int)metric) {
        case ALERT_METRIC_REQUESTS:
                return (double)(manager->n_kept - manager->n_raw - manager->n_repeated);
        case ALERT_METRIC_RAW:
                return (double)manager->n_raw;
        case ALERT_METRIC_REPEATED:
                return (double)manager->n_repeated;
        case ALERT_METRIC_REFUSED:
                return (double)manager->n_refused;
        case ALERT_METRIC_RECEIVED:
                return (double)manager->queue.last_seq;
        case ALERT_METRIC_KEEP_SECONDS:
                return seconds(manager->keep_usec);
        case ALERT_METRIC_KEEP_LONGEST:
                return seconds(manager->keep_longest_usec);
        case ALERT_METRIC_QUEUE_BYTES:
                return (double)manager->queue.n_bytes;
        case ALERT_METRIC_LOG_DROPS:
                return (double)log_drops();
        default:
                return 1; /* build info */
        }
}

static double target_value_of(const Forward *forward, AlertMetric metric) {
        switch ((int)metric) {
        case ALERT_METRIC_PENDING:
                return (double)forward_pending(forward);
        case ALERT_METRIC_OLDEST:
                return oldest(forward);
        case ALERT_METRIC_FORWARDED:
                return (double)forward->position.n_forwarded;
        case ALERT_METRIC_FAILED:
                return (double)forward->position.n_failed;
        case ALERT_METRIC_ATTEMPTS:
                return (double)forward->n_attempts;
        case ALERT_METRIC_FAILED_ATTEMPTS:
                return (double)forward->n_failed_attempts;
        case ALERT_METRIC_TARGET_UP:
                return forward->n_failures == 0 ? 1 : 0;
        default:
                return (double)forward->n_position_errors;
        }
}

static void render_family(Buffer *out, const char *name, const char *type, const char *help) {
        buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void render_metric(const Manager *manager, AlertMetric metric, Buffer *out) {
        const char *labels = definitions[metric].labels, *name = definitions[metric].name;

        if (strcmp(labels, "target=\"\"") == 0) {
                for (size_t i = 0; i < manager->n_forwards; i++)
                        buffer_printf(out, "%s{target=\"%s\"} %.17g\n", name,
                                      manager->forwards[i].target.name,
                                      target_value_of(manager->forwards + i, metric));
                return;
        }
        buffer_printf(out, "%s%s%s%s %.17g\n", name, *labels ? "{" : "", labels, *labels ? "}" : "",
                      value_of(manager, metric));
}

static void render_process(const Manager *manager, Buffer *out) {
        metrics_collect_process(manager->metrics);
        for (size_t i = 0; i < ELEMENTSOF(process_metrics); i++) {
                render_family(out, process_metrics[i].name, process_metrics[i].type,
                              process_metrics[i].help);
                buffer_printf(out, "%s %.17g\n", process_metrics[i].name,
                              metric_get(manager->metrics, process_metrics[i].metric));
        }
}

void status_metrics(Manager *manager, HttpExchange *exchange) {
        HttpResponse *response = &exchange->response;

        response->status = 200;
        response->content_type = SLICE("text/plain; version=0.0.4; charset=utf-8");
        for (size_t i = 0; i < ALERT_METRICS; i++) {
                if (i == 0 || strcmp(definitions[i].name, definitions[i - 1].name) != 0)
                        render_family(&response->body, definitions[i].name, definitions[i].type,
                                      definitions[i].help);
                render_metric(manager, (AlertMetric)i, &response->body);
        }
        render_process(manager, &response->body);
        http_exchange_done(exchange);
}

void status_notify(Manager *manager) {
        Sums sums = sum_forwards(manager);
        char text[sizeof manager->status];

        (void)snprintf(text, sizeof text,
                       "STATUS=%ju alerts received, %ju forwarded, %ju pending, %ju failed",
                       (uintmax_t)manager->queue.last_seq, (uintmax_t)sums.forwarded,
                       (uintmax_t)sums.pending, (uintmax_t)sums.failed);
        if (strcmp(text, manager->status) == 0)
                return;
        memcpy(manager->status, text, sizeof text);
        (void)sd_notify(0, text);
}
