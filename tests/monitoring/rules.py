# SPDX-License-Identifier: MIT
"""For each alert a case that fires and one that does not, as series in promtool's notation.

One sample every 5 s, as Prometheus scrapes. QUIET is as near to the alert's condition as can be: just
below the bound, or above it but too short. '1+2x10' is 1, and then ten times 2 more.
"""

MINUTE = 12  # samples
MIB = 1024 * 1024

ONE = '{job="shortener",instance="1"}'
REQUESTS = 'http_requests_total{{job="shortener",instance="1",method="GET",endpoint="urls.list_urls",status="{}"}}'
BUCKET = 'http_request_duration_seconds_bucket{{job="shortener",instance="1",method="GET",endpoint="urls.list_urls",le="{}"}}'
NODE = '{job="node-exporter",instance="host"}'


def hold(*parts):
    """hold((1, 24), (0, 12)): the value 1 for 24 samples, then 0 for 12."""
    return " ".join(f"{value}x{n - 1}" if n > 1 else str(value) for value, n in parts)


def constant(value, n=20 * MINUTE):
    return hold((value, n))


def rising(step, n=20 * MINUTE, start=0):
    """A counter that rises by step each 5 s."""
    return f"{start}+{step}x{n}"


def latencies(**shares):
    """Buckets of a steady 100 requests each 5 s; shares of them that took at most 1, 2.5 and 5 s. All are below 10 s."""
    counts = {1: shares["s1"], 2.5: shares["s2_5"], 5: shares["s5"], 10: 1, "+Inf": 1}
    return {BUCKET.format(le): rising(round(100 * share, 3)) for le, share in counts.items()}


def shortener(name):
    return name + ONE


def once(metric, at=2 * MINUTE, by=3):
    """A counter that was 0 and moves once."""
    return {shortener(metric): hold((0, at), (by, 20 * MINUTE))}


def node(metric, **labels):
    extra = "".join(f',{key}="{value}"' for key, value in labels.items())
    return metric + NODE[:-1] + extra + "}"


def disk(share):
    return {node("node_filesystem_avail_bytes", mountpoint="/"): constant(round(share * 1000)),
            node("node_filesystem_size_bytes", mountpoint="/"): constant(1000)}


def host_job(name):
    return f'{name}{{job="exporters",instance="host"}}'


CERTIFICATE = 'probe_ssl_earliest_cert_expiry{job="certificates",instance="links.example:443"}'
PROBE = 'probe_success{job="certificates",instance="links.example:443"}'
DAY = 86400
ALERTD = 'shortener_alertd_{}{{job="shortener-alertd",instance="host",target="discord"}}'

# name: (series that fire, at second, series that do not, at second)
CASES = {
    # The last sample before the failure is at 1 min; 5 s pending, then firing.
    "ServiceDown": ({shortener("up"): hold((1, 12), (0, 12))}, 70, {shortener("up"): hold((1, 12), (0, 1), (1, 12))}, 70),
    "HighErrorRate": ({REQUESTS.format(200): rising(89), REQUESTS.format(503): rising(11)}, 300,
                      {REQUESTS.format(200): rising(91), REQUESTS.format(503): rising(9)}, 1100),
    # Within a bucket quantiles are interpolated: p95 is 2.1 and 1.9 s.
    "HighLatency": (latencies(s1=0.8125, s2_5=1, s5=1), 300, latencies(s1=0.875, s2_5=1, s5=1), 1100),
    "HighMemoryUsage": ({shortener("process_resident_memory_bytes"): constant(201 * MIB)}, 400,
                        {shortener("process_resident_memory_bytes"): constant(199 * MIB)}, 1100),
    "CacheHitRatioLow": ({shortener("cache_hits_total"): rising(4), shortener("cache_misses_total"): rising(5)}, 300,
                         {shortener("cache_hits_total"): rising(6), shortener("cache_misses_total"): rising(5)}, 1100),
    # p99 is 5.5 and 4.5 s.
    "P99LatencyHigh": (latencies(s1=0.989, s2_5=0.989, s5=0.989), 300, latencies(s1=0.951, s2_5=0.951, s5=1), 1100),
    "StoreDown": ({shortener("shortener_store_up"): hold((1, 12), (0, 12))}, 80,
                  {shortener("shortener_store_up"): hold((1, 12), (0, 1), (1, 12))}, 80),
    "ClicksNotShipped": ({shortener("shortener_clicks_oldest_pending_seconds"): "0+5x240"}, 400,
                         {shortener("shortener_clicks_oldest_pending_seconds"): constant(299)}, 1100),
    "ClickShippingStopped": ({shortener("shortener_clicks_shipping_stopped"): hold((0, 12), (1, 12))}, 80,
                             {shortener("shortener_clicks_shipping_stopped"): constant(0)}, 1100),
    "ClicksShed": (once("shortener_clicks_shed_total"), 150, {shortener("shortener_clicks_shed_total"): constant(3)}, 1100),
    "ClicksDamaged": ({**once("shortener_clicks_damaged_total"), shortener("shortener_clicks_bad_total"): constant(0)}, 150,
                      {shortener("shortener_clicks_damaged_total"): constant(5),
                       shortener("shortener_clicks_bad_total"): constant(7)}, 1100),
    "SpoolErrors": (once("shortener_spool_errors_total"), 150, {shortener("shortener_spool_errors_total"): constant(3)}, 1100),
    "WorkersOverloaded": ({shortener("shortener_worker_rejections_total"): rising(1), shortener("shortener_call_timeouts_total"): constant(0)},
                          300, {shortener("shortener_worker_rejections_total"): rising(0.4),
                                shortener("shortener_call_timeouts_total"): constant(9)}, 1100),
    "EventLoopLag": ({shortener("shortener_loop_lag_seconds"): constant(0.3)}, 90,
                     {shortener("shortener_loop_lag_seconds"): hold((0.3, 6), (0.2, 200))}, 90),
    "FileDescriptorsLow": ({shortener("process_open_fds"): constant(81), shortener("process_max_fds"): constant(100)}, 90,
                           {shortener("process_open_fds"): constant(79), shortener("process_max_fds"): constant(100)}, 1100),
    "LogsDropped": ({shortener("shortener_log_drops_total"): rising(1)}, 120,
                    {shortener("shortener_log_drops_total"): constant(9)}, 1100),
    "CrashLoop": ({shortener("process_start_time_seconds"): hold((1, 12), (60, 12), (120, 12), (180, 12), (240, 12))}, 300,
                  {shortener("process_start_time_seconds"): hold((1, 12), (60, 12), (120, 12), (180, 24))}, 300),
    "WatchdogRestart": ({node("node_systemd_service_restart_total", name="shortener@2.service"): hold((0, 24), (1, 100))}, 130,
                        {node("node_systemd_service_restart_total", name="shortener@2.service"): constant(4)}, 1100),
    "UnitFailed": ({node("node_systemd_unit_state", name="nginx.service", state="failed"): hold((0, 12), (1, 12))}, 80,
                   {node("node_systemd_unit_state", name="nginx.service", state="failed"): hold((0, 12), (1, 1), (0, 12)),
                    node("node_systemd_unit_state", name="cron.service", state="failed"): constant(1),
                    # What Debian's own configuration has scraped before it was replaced.
                    'node_systemd_unit_state{job="node",instance="localhost:9100",name="nginx.service",state="failed"}': constant(1)}, 80),
    "PostgreSQLDown": ({host_job("pg_up"): constant(0)}, 30, {host_job("pg_up"): hold((0, 2), (1, 20))}, 30),
    "PostgreSQLConnectionsHigh": ({'pg_stat_activity_count{job="exporters",instance="host",state="idle"}': constant(50),
                                   'pg_stat_activity_count{job="exporters",instance="host",state="active"}': constant(31),
                                   host_job("pg_settings_max_connections"): constant(100)}, 180,
                                  {'pg_stat_activity_count{job="exporters",instance="host",state="idle"}': constant(79),
                                   host_job("pg_settings_max_connections"): constant(100)}, 1100),
    "RedisDown": ({host_job("redis_up"): constant(0)}, 30, {host_job("redis_up"): hold((0, 2), (1, 20))}, 30),
    "RedisNotAsked": ({shortener("shortener_redis_circuit_open"): constant(1)}, 30,
                      {shortener("shortener_redis_circuit_open"): hold((1, 2), (0, 20))}, 30),
    "NginxDown": ({host_job("nginx_up"): constant(0)}, 30, {host_job("nginx_up"): hold((0, 2), (1, 20))}, 30),
    "ExporterDown": ({host_job("up"): constant(0)}, 90, {host_job("up"): hold((0, 6), (1, 200))}, 90),
    "AlertReceiverDown": ({'up{job="shortener-alertd",instance="host"}': constant(0)}, 90,
                          {'up{job="shortener-alertd",instance="host"}': hold((0, 6), (1, 200))}, 90),
    "AlertsNotForwarded": ({ALERTD.format("oldest_pending_seconds"): "0+5x240"}, 300, {ALERTD.format("oldest_pending_seconds"): constant(119)}, 1100),
    "AlertsGivenUp": ({ALERTD.format("alerts_failed_total"): hold((0, 24), (3, 200))}, 150,
                      {ALERTD.format("alerts_failed_total"): constant(3)}, 1100),
    "AlertsNotDelivered": ({'alertmanager_notifications_failed_total{job="alertmanager",instance="host"}': rising(1)}, 120,
                           {'alertmanager_notifications_failed_total{job="alertmanager",instance="host"}': constant(9),
                            'prometheus_notifications_dropped_total{job="prometheus",instance="host"}': constant(9)}, 1100),
    "CertificateExpiresSoon": ({CERTIFICATE: constant(13 * DAY)}, 700, {CERTIFICATE: constant(15 * DAY)}, 1100),
    "CertificateExpires": ({CERTIFICATE: constant(1 * DAY)}, 90, {CERTIFICATE: constant(2 * DAY + 3600)}, 90),
    "CertificateNotSeen": ({PROBE: constant(0)}, 400, {PROBE: hold((0, 5 * MINUTE - 1), (1, 200))}, 400),
    "NodeExporterDown": ({'up{job="node-exporter",instance="host"}': constant(0)}, 60,
                         {'up{job="node-exporter",instance="host"}': hold((0, 4), (1, 100))}, 60),
    "HostHighCpuUsage": ({node("node_cpu_seconds_total", cpu="0", mode="idle"): rising(0.9)}, 500,
                         {node("node_cpu_seconds_total", cpu="0", mode="idle"): rising(1.1)}, 1100),
    "HostHighMemoryUsage": ({"node_memory_MemAvailable_bytes" + NODE: constant(14), "node_memory_MemTotal_bytes" + NODE: constant(100)}, 400,
                            {"node_memory_MemAvailable_bytes" + NODE: constant(16), "node_memory_MemTotal_bytes" + NODE: constant(100)}, 1100),
    "HostDiskSpaceLow": (disk(0.149), 400, disk(0.151), 1100),
    "HostDiskSpaceCritical": (disk(0.049), 90, disk(0.051), 90),
    "HostNetworkErrors": ({node("node_network_receive_errs_total", device="eth0"): rising(26),
                           node("node_network_transmit_errs_total", device="eth0"): rising(26)}, 1100,
                          {node("node_network_receive_errs_total", device="eth0"): rising(20),
                           node("node_network_transmit_errs_total", device="eth0"): rising(25)}, 1100),
}

# The labels of an alert that is no alert of instance 1.
LABELS = {
    "WatchdogRestart": {"job": "node-exporter", "instance": "host", "name": "shortener@2.service"},
    "UnitFailed": {"job": "node-exporter", "instance": "host", "name": "nginx.service", "state": "failed"},
    "AlertReceiverDown": {"job": "shortener-alertd", "instance": "host"},
    **{name: {"job": "shortener-alertd", "instance": "host", "target": "discord"} for name in ("AlertsNotForwarded", "AlertsGivenUp")},
    "AlertsNotDelivered": {"job": "alertmanager", "instance": "host"},
    "CertificateExpiresSoon": {"job": "certificates", "instance": "links.example:443"},
    "CertificateExpires": {"job": "certificates", "instance": "links.example:443"},
    "CertificateNotSeen": {"job": "certificates", "instance": "links.example:443"},
    "HostDiskSpaceLow": {"job": "node-exporter", "instance": "host", "mountpoint": "/"},
    "HostDiskSpaceCritical": {"job": "node-exporter", "instance": "host", "mountpoint": "/"},
    **{name: {"job": "exporters", "instance": "host"}
       for name in ("PostgreSQLDown", "PostgreSQLConnectionsHigh", "RedisDown", "NginxDown", "ExporterDown")},
    **{name: {"job": "node-exporter", "instance": "host"}
       for name in ("NodeExporterDown", "HostHighCpuUsage", "HostHighMemoryUsage", "HostNetworkErrors")},
}
