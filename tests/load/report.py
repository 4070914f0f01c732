#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts the results of script/load into the tables of docs/bottleneck-report.md.

Usage: tests/load/report.py FOLDER [DOCUMENT]      FOLDER: where script/load kept them (build/load)
"""

import glob
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "..", "..", "docs", "bottleneck-report.md")


def cell(value):
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(cell, row)) + " |" for row in rows])


def command(name):
    """How a result was made: bronze-postgres-short is script/load bronze --store=postgres --short."""
    words = name.split("-")
    options = {"short": "--short", "postgres": "--store=postgres", "restart": "--disturb=restart", "kill": "--disturb=kill", "memory": "--memory", "booted": "--machine=PID", "cold": "--cold",
               "token": "--token-file=FILE" if "booted" in words else "--access=token", "limits": "--limits"}
    return "`script/load " + " ".join([words[0], *(options[word] for word in words[1:] if word in options),
                                       *(["--one-cpu"] if name.endswith("one-cpu") else [])]) + "`"


def tiers(results):
    reference = json.load(open(os.path.join(HERE, "tiers.json")))
    rows = []
    for one in results:
        known = reference[one["name"].split("-")[0]]["reference"]
        rows.append([command(one["name"]), one["per_second"], known["per_second"], one["p50_ms"], one["p95_ms"], known["p95_ms"], one["p99_ms"],
                     sum(one["errors"].values()), one.get("hit_percent"), one.get("machine", {}).get("load_before")])
    return table(["run", "per s", "reference", "p50 ms", "p95 ms", "reference", "p99 ms", "errors", "cache hits %", "load before"], rows)


def endpoints(results):
    names = sorted({name for one in results for name in one.get("endpoints", {})})
    rows = [[f"`{name}`", *(one.get("endpoints", {}).get(name, {}).get("mean_ms") for one in results)] for name in names]
    return table(["mean ms in the service", *(command(one["name"]) for one in results)], rows)


def resources(results):
    rows = [[command(one["name"]), part, use["cpu_percent"], use["memory_mib"]] for one in results for part, use in one["parts"].items()]
    return table(["run", "part", "% of a CPU", "MiB"], rows)


def compare(results):
    rows = [[one["name"], one["per_second"], one["p50_ms"], one["p99_ms"], one["errors"], one.get("of_nginx_302"),
             one.get("times_reference"), one.get("p99_share_of_reference")] for result in results for one in result["rows"]]
    return table(["", "per s", "p50 ms", "p99 ms", "errors", "of nginx's 302", "times the reference", "p99 / reference's"], rows)


def fill(text, marker, content):
    """Replaces what stands between the two marks."""
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- end -->)", re.DOTALL)
    text, n = pattern.subn(lambda m: f"{m.group(1)}{content}\n{m.group(2)}", text)
    assert n == 1, marker
    return text


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    path = sys.argv[2] if len(sys.argv) > 2 else DOCUMENT
    results = []
    for name in glob.glob(os.path.join(sys.argv[1], "*.json")):
        with open(name) as file:
            results.append(json.load(file))
    order = ("bronze", "silver", "gold", "compare")
    results.sort(key=lambda one: (order.index(one["name"].split("-")[0]), one["name"]))
    of_tiers = [one for one in results if "rows" not in one]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for marker, content in (("tiers", tiers(of_tiers)), ("endpoints", endpoints(of_tiers)), ("resources", resources(of_tiers)),
                            ("compare", compare([one for one in results if "rows" in one]))):
        text = fill(text, marker, content)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
