/* SPDX-License-Identifier: MIT */

/* Counters, histogram and their text. promtool judges the text of a running daemon in tests/http.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/metrics.h"

static const char *const endpoints[] = {"urls.create_url", "unknown"};
static const char *const methods[] = {"GET", "POST"};

static Metrics *make(void) {
        Metrics *metrics = NULL;

        assert_int_equal(metrics_new(endpoints, 2, methods, 2, &metrics), 0);
        return metrics;
}

static char *render(const Metrics *metrics) {
        Buffer out = BUFFER_EMPTY;

        metrics_render(metrics, &out);
        buffer_append_byte(&out, '\0');
        assert_false(out.failed);
        return out.data;
}

static void assert_has(const char *text, const char *line) {
        if (!strstr(text, line))
                fail_msg("no line '%s' in:\n%s", line, text);
}

static void test_values(void **state _unused_) {
        _cleanup_(metrics_free_p) Metrics *metrics = make();
        _cleanup_free_ char *text = NULL;

        metric_add(metrics, METRIC_REDIRECTS, 2);
        metric_add(metrics, METRIC_REDIRECTS, 1);
        metric_set(metrics, METRIC_ACTIVE_URLS, 17);
        assert_true(metric_get(metrics, METRIC_REDIRECTS) > 2.5);
        text = render(metrics);
        assert_has(text, "# TYPE redirects_total counter\nredirects_total 3\n");
        assert_has(text, "# TYPE active_urls gauge\nactive_urls 17\n");
        assert_has(text, "shortener_connections{state=\"idle\"} 0\n");
        assert_has(text, "shortener_build_info{version=\"" SHORTENER_VERSION "\"} 1\n");
}

static void test_families_are_announced_once(void **state _unused_) {
        _cleanup_(metrics_free_p) Metrics *metrics = make();
        _cleanup_free_ char *text = render(metrics);
        const char *first = strstr(text, "# TYPE shortener_connections ");

        assert_non_null(first);
        assert_null(strstr(first + 1, "# TYPE shortener_connections "));
}

static void test_requests(void **state _unused_) {
        _cleanup_(metrics_free_p) Metrics *metrics = make();
        _cleanup_free_ char *text = NULL;

        metrics_request(metrics, 0, 1, 201, 900, 1);
        metrics_request(metrics, 0, 1, 201, 100, 2);
        metrics_request(metrics, 0, 1, 400, 20000000, 1);
        metrics_request(metrics, 1, 0, 999, 5, 1);
        assert_int_equal(metrics_requests(metrics), 5);
        text = render(metrics);
        assert_has(text, "http_requests_total{method=\"POST\",endpoint=\"urls.create_url\","
                         "status=\"201\"} 3\n");
        assert_has(text, "http_requests_total{method=\"POST\",endpoint=\"urls.create_url\","
                         "status=\"400\"} 1\n");
        assert_has(text, "_bucket{method=\"POST\",endpoint=\"urls.create_url\",le=\"0.0001\"} 2\n");
        assert_has(text, "_bucket{method=\"POST\",endpoint=\"urls.create_url\",le=\"0.001\"} 3\n");
        assert_has(text, "_bucket{method=\"POST\",endpoint=\"urls.create_url\",le=\"10\"} 3\n");
        assert_has(text, "_bucket{method=\"POST\",endpoint=\"urls.create_url\",le=\"+Inf\"} 4\n");
        assert_has(text, "_sum{method=\"POST\",endpoint=\"urls.create_url\"} 20.001100\n");
        assert_has(text, "_count{method=\"POST\",endpoint=\"urls.create_url\"} 4\n");
        assert_has(text,
                   "http_requests_total{method=\"GET\",endpoint=\"unknown\",status=\"505\"} 1\n");
}

static void test_process(void **state _unused_) {
        _cleanup_(metrics_free_p) Metrics *metrics = make();

        metrics_collect_process(metrics);
        metrics_collect_process(metrics);
        assert_true(metric_get(metrics, METRIC_RESIDENT) > 100000);
        assert_true(metric_get(metrics, METRIC_VIRTUAL) >= metric_get(metrics, METRIC_RESIDENT));
        assert_true(metric_get(metrics, METRIC_OPEN_FDS) >= 3);
        assert_true(metric_get(metrics, METRIC_MAX_FDS) >= 64);
        assert_true(metric_get(metrics, METRIC_START_TIME) > 1.5e9);
        assert_true(metric_get(metrics, METRIC_CPU) > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_values),
                        cmocka_unit_test(test_families_are_announced_once),
                        cmocka_unit_test(test_requests),
                        cmocka_unit_test(test_process),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
