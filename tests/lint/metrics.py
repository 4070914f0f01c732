#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each metric stands in shortenerd(8), with its type, and no other does.

The list is src/metrics/metrics.def and the two families of requests that the code makes itself.
The same for shortener-alertd(8) and its list, with those of the process.
"""

import re

from lint import Report, read, root

MANUAL = "man/shortenerd.8"
TABLE = "src/metrics/metrics.def"
ALERTD_MANUAL = "man/shortener-alertd.8"
ALERTD_TABLE = "src/alertd/metrics.def"
ALERTD_STATUS = "src/alertd/status.c"
REQUESTS = {
    "http_requests_total": ("counter", "method, endpoint, status"),
    "http_request_duration_seconds": ("histogram", "method, endpoint"),
}
# METRIC(ID, "type", "name", "label=\"value\",...", "help")
ROW = re.compile(r'^METRIC\(\w+,\s*"(\w+)",\s*"(\w+)",\s*"((?:\\.|[^"\\])*)"', re.MULTILINE)


PROCESS = re.compile(r'\{METRIC_\w+,\s*"(\w+)",\s*"(\w+)"')


def in_table(text, others):
    """{name: (type, labels)}"""
    result = dict(others)
    for kind, name, labels in ROW.findall(text):
        result[name] = (kind, ", ".join(re.findall(r"(\w+)=", labels)))
    return result


def in_manual(text):
    """The items of METRICS: .It Li NAME Pq TYPE, or TYPE by LABELS."""
    section = text[text.index(".Sh METRICS") :]
    section = section[: section.index("\n.Sh ")]
    result = {}
    for name, kind, labels in re.findall(
        r"^\.It Li (\w+) Pq (\w+)(?: by (.*))?$", section, re.MULTILINE
    ):
        result[name] = (kind, labels)
    return result


def compare(report, page, manual, source, table):
    for name, row in table.items():
        wanted = f"{page}: METRICS wants .It Li {name} Pq {row[0]}" + (
            f" by {row[1]}" if row[1] else ""
        )
        report.case([] if manual.get(name) == row else [wanted])
    for name in manual:
        if name not in table:
            report.case([f"{page}: {name} is not in {source}"])


def main():
    folder, report = root(), Report()
    compare(report, MANUAL, in_manual(read(folder, MANUAL)), TABLE,
            in_table(read(folder, TABLE), REQUESTS))
    if (folder / ALERTD_TABLE).exists():
        process = {name: (kind, "") for kind, name in PROCESS.findall(read(folder, ALERTD_STATUS))}
        compare(report, ALERTD_MANUAL, in_manual(read(folder, ALERTD_MANUAL)), ALERTD_TABLE,
                in_table(read(folder, ALERTD_TABLE), process))
    report.end()


if __name__ == "__main__":
    main()
