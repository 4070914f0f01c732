#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The dashboard is what its list of panels makes, has no overlap, and asks for metrics that there are.

Metrics of ours are those of the two programs' lists and of the recording rules. Those of exporters are
only looked up by their first word here: tests/monitoring asks real ones.
"""

import json
import re
import subprocess
import sys

from lint import Report, read, root

from metrics import ALERTD_TABLE, REQUESTS, TABLE, in_table

DASHBOARD = "monitoring/grafana/dashboards/url-shortener.json"
RULES = ("monitoring/rules/recording.yml", "monitoring/rules/alerts.yml")
EXPORTERS = ("node_", "pg_", "redis_", "nginx_", "probe_", "alertmanager_", "prometheus_")
UNITS = {"none", "short", "reqps", "ops", "percent", "percentunit", "s", "d", "bytes", "Bps"}
ROWS = ["Traffic", "Latency", "Business", "Infrastructure"]
# What PromQL has besides metrics.
WORDS = set("""and or unless by without on ignoring group_left group_right offset bool sum min max avg count topk
    bottomk quantile rate irate increase delta changes count_over_time histogram_quantile abs time vector clamp_min""".split())


def metric_names(expression):
    """The metrics of a query: words that are no function, label, range or text."""
    text = re.sub(r'"(?:\\.|[^"\\])*"', "", expression)
    text = re.sub(r"\boffset\s+\w+", " ", text)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring)\s*\([^)]*\)", " ", text)
    return {word for word in re.findall(r"[A-Za-z_:][\w:]*", text) if word not in WORDS and not re.fullmatch(r"[xe]\d*", word)}


def known_metrics(folder):
    known = set(in_table(read(folder, TABLE), REQUESTS)) | {"up", "ALERTS"}
    known |= set(in_table(read(folder, ALERTD_TABLE), {}))
    for name, (kind, _) in REQUESTS.items():
        if kind == "histogram":
            known |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    for name in RULES:
        known |= set(re.findall(r"^ *- record: (\S+)", read(folder, name), re.MULTILINE))
    return known


def check_metrics(where, expression, known):
    names = metric_names(expression)
    if not names:
        yield f"{where}: no metric in {expression}"
    for name in names:
        if name not in known and not name.startswith(EXPORTERS):
            yield f"{where}: there is no metric {name}"


def expressions(text):
    """(rule's name, expr) of a file of rules."""
    for block in re.split(r"^ *- (?=alert:|record:)", text, flags=re.MULTILINE)[1:]:
        name = block.split("\n")[0].split(": ")[1]
        found = re.search(r"^ *expr: (?:\|\n)?((?:.*\n)(?: {10,}.*\n)*)", block, re.MULTILINE)
        yield name, found.group(1) if found else ""


def check_rules(folder, known):
    for name in RULES:
        for rule, expression in expressions(read(folder, name)):
            yield from check_metrics(f"{name}: {rule}", expression, known)


def check_grid(panels):
    """No two panels share a cell, none is wider than the 24 columns, no id is there twice."""
    taken, ids = {}, set()
    for panel in panels:
        where = f"{DASHBOARD}: {panel['title']}"
        if panel["id"] in ids:
            yield f"{where}: id {panel['id']} is there twice"
        ids.add(panel["id"])
        grid = panel["gridPos"]
        if grid["x"] < 0 or grid["x"] + grid["w"] > 24:
            yield f"{where}: beyond the 24 columns"
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                if taken.setdefault((x, y), panel["id"]) != panel["id"]:
                    yield f"{where}: overlaps panel {taken[x, y]}"
                    return


def check_panel(panel, known):
    where = f"{DASHBOARD}: {panel['title']}"
    if panel["type"] == "row":
        return
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if unit not in UNITS:
        yield f"{where}: unit {unit}"
    if not panel["targets"]:
        yield f"{where}: no query"
    for target in panel["targets"]:
        if target["datasource"]["uid"] != "prometheus":
            yield f"{where}: datasource {target['datasource']}"
        yield from check_metrics(where, target["expr"], known)


def check_frame(dashboard):
    wanted = {"uid": "url-shortener-prod", "title": "URL Shortener - Production Dashboard", "refresh": "10s",
              "time": {"from": "now-1h", "to": "now"}}
    for key, value in wanted.items():
        if dashboard.get(key) != value:
            yield f"{DASHBOARD}: {key} is {dashboard.get(key)}, not {value}"
    if [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] != ROWS:
        yield f"{DASHBOARD}: the rows are not {ROWS}"
    if [variable["name"] for variable in dashboard["templating"]["list"]] != ["instance"]:
        yield f"{DASHBOARD}: the variable instance is missing"


def main():
    folder, report = root(), Report()
    known = known_metrics(folder)
    dashboard = json.loads(read(folder, DASHBOARD))
    done = subprocess.run([sys.executable, str(folder / "monitoring/dashboard/generate"), "--check"],
                          capture_output=True, text=True, check=False)
    report.case((done.stdout + done.stderr).split("\n")[:-1])
    report.case(list(check_frame(dashboard)))
    report.case(list(check_grid(dashboard["panels"])))
    for panel in dashboard["panels"]:
        report.case(list(check_panel(panel, known)))
    report.case(list(check_rules(folder, known)))
    report.end()


if __name__ == "__main__":
    main()
