# SPDX-License-Identifier: MIT
"""Every panel, once. `monitoring/dashboard/generate` makes Grafana's dashboard and the console page of
this list, tests run each query on a real Prometheus.

In a query $i stands for the instances that are looked at, as a matcher. A panel's colours begin at the
bounds of its thresholds, the first of which has none. Widths are of 24 columns; rows fill up from the left.
"""

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"

ERRORS = ((None, GREEN), (1, YELLOW), (5, ORANGE), (10, RED))
NONE_IS_GOOD = ((None, GREEN), (1, RED))
UP = ((None, RED), (1, GREEN))


def rate(metric, by="", window="1m", labels=""):
    """Sum of a counter's rate over the instances."""
    matchers = ",".join(part for part in ('job="shortener"', "$i", labels) if part)
    return f"sum{f' by ({by}) ' if by else ' '}(rate({metric}{{{matchers}}}[{window}]))"


def quantile(q, labels="", window="1m"):
    return f"histogram_quantile({q}, {rate('http_request_duration_seconds_bucket', 'le', window, labels)})"


def share(part, whole):
    """In percent; 0 when nothing of it was ever counted, nothing at all without requests."""
    return f"100 * ({part} or vector(0)) / ({whole} > 0)"


def ours(metric):
    return f'{metric}{{job="shortener",$i}}'


def panel(title, kind, unit, queries, width=6, height=7, thresholds=(), text="", **more):
    """kind: stat (the value now, with its way there), graph, area (stacked), state (UP or DOWN of each)."""
    return {"title": title, "kind": kind, "unit": unit, "queries": queries, "width": width, "height": height,
            "thresholds": thresholds, "text": text, **more}


TRAFFIC = [
    panel("Instances", "state", "none", [('up{job="shortener",$i}', "{{instance}}")], 6, 4, UP,
          "Whether Prometheus gets metrics from each instance."),
    panel("Requests", "stat", "reqps", [(rate("http_requests_total"), "requests")], 6, 4, (),
          "All answered requests, without /health and /metrics."),
    panel("Redirects", "stat", "reqps", [(rate("redirects_total"), "redirects")], 6, 4, (), "Visits answered with 302."),
    panel("5xx", "stat", "percent", [(share(rate("http_requests_total", labels='status=~"5.."'), rate("http_requests_total")), "5xx")],
          6, 4, ERRORS, "Share of requests that failed on our side."),
    panel("Request rate by status", "area", "reqps", [(rate("http_requests_total", "status"), "{{status}}")], 12, 8),
    panel("Error rate", "graph", "percent",
          [(share(rate("http_requests_total", labels='status=~"4.."'), rate("http_requests_total")), "4xx"),
           (share(rate("http_requests_total", labels='status=~"5.."'), rate("http_requests_total")), "5xx")], 12, 8, ERRORS,
          "4xx are clients' mistakes and unknown codes, 5xx are ours."),
    panel("Request rate by instance", "area", "reqps", [(rate("http_requests_total", "instance"), "{{instance}}")], 12, 8),
    panel("Request rate by endpoint", "graph", "reqps", [(rate("http_requests_total", "endpoint"), "{{endpoint}}")], 12, 8),
]

LATENCY = [
    panel("Latency", "graph", "s", [(quantile(0.50), "p50"), (quantile(0.95), "p95"), (quantile(0.99), "p99")], 12, 8,
          text="Of all requests, from a request read to its answer."),
    panel("Redirects", "graph", "s",
          [(quantile(q, 'endpoint="urls.redirect_short_url"'), name) for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))], 12, 8),
    panel("p95 by endpoint", "graph", "s",
          [(f"histogram_quantile(0.95, {rate('http_request_duration_seconds_bucket', 'le, endpoint')})", "{{endpoint}}")], 12, 8),
    panel("Event loop lag", "graph", "s", [(ours("shortener_loop_lag_seconds"), "{{instance}}")], 6, 8, ((None, GREEN), (0.25, RED)),
          "How late the loop's last timer was: every request waits that long."),
    panel("Workers", "graph", "short",
          [(f"sum({ours('shortener_worker_queue_depth')})", "waiting"),
           (rate("shortener_worker_rejections_total"), "rejected/s"), (rate("shortener_call_timeouts_total"), "too late/s")], 6, 8,
          text="API calls that wait for a worker, and those that were answered 503."),
]

RATIO = "sum(rate(cache_hits_total{m}[5m])) / (sum(rate(cache_hits_total{m}[5m])) + sum(rate(cache_misses_total{m}[5m])) > 0)".replace(
    "{m}", '{job="shortener",$i}')

BUSINESS = [
    panel("Cache hit ratio", "stat", "percentunit", [(RATIO, "hits")], 6, 5,
          ((None, RED), (0.5, ORANGE), (0.75, YELLOW), (0.9, GREEN)), "Redirects that were answered without the store.", min=0, max=1),
    panel("Active URLs", "stat", "short", [(f"max({ours('active_urls')})", "active")], 6, 5, (), "The same number on every instance."),
    panel("URLs created", "stat", "ops", [(rate("urls_created_total", window="5m"), "created")], 6, 5),
    panel("Visits recorded", "stat", "ops", [(rate("shortener_clicks_appended_total"), "visits")], 6, 5),
    panel("Click pipeline", "graph", "ops",
          [(rate("shortener_clicks_appended_total"), "into the spool"), (rate("shortener_clicks_shipped_total"), "into the store")], 12, 8,
          text="Each visit is written to a spool before its redirect is answered, then shipped."),
    panel("Visits that wait", "graph", "short", [(ours("shortener_clicks_pending"), "{{instance}}")], 6, 8,
          text="In a spool, not in the store yet."),
    panel("Age of the oldest", "graph", "s", [(ours("shortener_clicks_oldest_pending_seconds"), "{{instance}}")], 6, 8,
          ((None, GREEN), (60, YELLOW), (300, RED)), "How long the oldest visit waits."),
    panel("Visits shed", "stat", "short", [(f"sum({ours('shortener_clicks_shed_total')})", "shed")], 6, 4, NONE_IS_GOOD,
          "Answered but not recorded, because a disk was full; since the instances started."),
    panel("Visits refused or damaged", "stat", "short",
          [(f"sum({ours('shortener_clicks_bad_total')}) + sum({ours('shortener_clicks_damaged_total')})", "lost")], 6, 4, NONE_IS_GOOD),
    panel("Entries in the cache", "stat", "short", [(f"sum({ours('shortener_cache_entries')})", "entries")], 6, 4),
    panel("Evictions", "stat", "ops", [(rate("shortener_cache_evictions_total", window="5m"), "evicted")], 6, 4, (),
          "Entries that were dropped to make room: many mean that Size= is too small."),
]

INFRASTRUCTURE = [
    panel("Memory of the instances", "graph", "bytes", [(ours("process_resident_memory_bytes"), "{{instance}}")], 8, 8,
          ((None, GREEN), (200 * 1024 * 1024, RED)), min=0),
    panel("CPU of the instances", "graph", "percentunit", [(rate("process_cpu_seconds_total", "instance"), "{{instance}}")], 8, 8,
          text="1 is one CPU.", min=0),
    panel("Connections", "area", "short", [(f"sum by (state) ({ours('shortener_connections')})", "{{state}}")], 8, 8),
    panel("Store", "state", "none", [(ours("shortener_store_up"), "{{instance}}")], 6, 4, UP,
          "Whether each instance reaches the store."),
    panel("Store latency", "stat", "s", [(f"max({ours('shortener_store_latency_seconds')})", "ping")], 6, 4,
          ((None, GREEN), (0.05, YELLOW), (0.5, RED))),
    panel("PostgreSQL, Redis, nginx", "state", "none",
          [("pg_up", "PostgreSQL"), ("redis_up", "Redis"), ("nginx_up", "nginx")], 6, 4, UP),
    panel("Units that failed", "stat", "short", [('sum(node_systemd_unit_state{job="node-exporter",state="failed"}) or vector(0)', "failed")], 3, 4,
          NONE_IS_GOOD),
    panel("Restarts, 1 h", "stat", "short",
          [('sum(increase(node_systemd_service_restart_total{job="node-exporter",name=~"shortener.*"}[1h])) or vector(0)', "restarts")], 3, 4,
          ((None, GREEN), (1, ORANGE)), "By systemd, after a crash or a watchdog."),
    panel("PostgreSQL: transactions", "graph", "ops",
          [("sum(rate(pg_stat_database_xact_commit[1m]))", "commit"), ("sum(rate(pg_stat_database_xact_rollback[1m]))", "rollback")], 8, 8),
    panel("PostgreSQL: connections", "area", "short", [("sum by (state) (pg_stat_activity_count) > 0", "{{state}}")], 8, 8),
    panel("PostgreSQL: size", "graph", "bytes", [("topk(5, pg_database_size_bytes)", "{{datname}}")], 8, 8, min=0),
    panel("Redis: commands", "graph", "ops", [("sum(rate(redis_commands_processed_total[1m]))", "commands")], 8, 8),
    panel("Redis: hits of the instances", "graph", "ops",
          [(rate("shortener_cache_tier_hits_total", labels='tier="redis"'), "hits"),
           (rate("shortener_cache_tier_misses_total", labels='tier="redis"'), "misses"),
           (rate("shortener_redis_failures_total"), "failures")], 8, 8, text="Redirects that were not in an instance's own memory."),
    panel("Redis: memory", "graph", "bytes", [("redis_memory_used_bytes", "used")], 8, 8, min=0),
    panel("nginx: requests", "graph", "reqps", [("sum(rate(nginx_http_requests_total[1m]))", "requests")], 8, 8),
    panel("nginx: connections", "area", "short",
          [("sum(nginx_connections_reading)", "reading"), ("sum(nginx_connections_writing)", "writing"),
           ("sum(nginx_connections_waiting)", "waiting")], 8, 8),
    panel("nginx: dropped", "graph", "ops",
          [("sum(rate(nginx_connections_accepted[1m])) - sum(rate(nginx_connections_handled[1m]))", "dropped")], 8, 8,
          text="Connections that were accepted and not handled: worker_connections is too small."),
    panel("Host: CPU", "graph", "percentunit", [("1 - avg(rate(node_cpu_seconds_total{job=\"node-exporter\",mode=\"idle\"}[1m]))", "used")], 6, 8,
          ((None, GREEN), (0.8, RED)), min=0, max=1),
    panel("Host: memory", "graph", "percentunit", [("instance:node_memory_used:ratio", "used")], 6, 8, ((None, GREEN), (0.85, RED)),
          min=0, max=1),
    panel("Host: / free", "graph", "percentunit", [("instance:node_root_filesystem_free:ratio", "free")], 6, 8,
          ((None, RED), (0.05, ORANGE), (0.15, GREEN)), min=0, max=1),
    panel("Host: network", "graph", "Bps",
          [(f'sum(rate(node_network_{way}_bytes_total{{job="node-exporter"}}[1m]))', name) for way, name in (("receive", "in"), ("transmit", "out"))],
          6, 8),
    panel("Alerts", "stat", "short", [('count(ALERTS{alertstate="firing"}) or vector(0)', "firing")], 6, 4, NONE_IS_GOOD),
    panel("Certificate", "stat", "d", [("min((probe_ssl_earliest_cert_expiry - time()) / 86400)", "left")], 6, 4,
          ((None, RED), (2, ORANGE), (14, GREEN)), "Days until the first certificate expires."),
    panel("Log entries dropped", "stat", "short", [(f"sum({ours('shortener_log_drops_total')})", "dropped")], 6, 4, NONE_IS_GOOD),
    panel("Version", "stat", "short", [(f"count(count by (version) ({ours('shortener_build_info')}))", "versions")], 6, 4,
          ((None, GREEN), (2, ORANGE)), "How many versions run: two while an upgrade rolls."),
]

ROWS = [("Traffic", TRAFFIC), ("Latency", LATENCY), ("Business", BUSINESS), ("Infrastructure", INFRASTRUCTURE)]


def placed():
    """(row title, y, [(panel, x, y)]) of all rows, filled from the left; y counts Grafana's grid."""
    result, y = [], 0
    for title, row in ROWS:
        row_y, y = y, y + 1
        x = line = 0
        cells = []
        for each in row:
            if x + each["width"] > 24:
                x, y, line = 0, y + line, 0
            cells.append((each, x, y))
            x, line = x + each["width"], max(line, each["height"])
        y += line
        result.append((title, row_y, cells))
    return result


def queries():
    """(panel title, expression) of every query; $i is still in it."""
    return [(f"{title}: {each['title']}", expression) for title, row in ROWS for each in row for expression, _ in each["queries"]]
