#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each metric stands in shortenerd(8), with its type, and no other does.

The list is src/metrics/metrics.def and the two families of requests that the code makes itself.
"""

import re

from lint import Report, read, root

MANUAL = "man/shortenerd.8"
TABLE = "src/metrics/metrics.def"
REQUESTS = {
    "http_requests_total": ("counter", "method, endpoint, status"),
    "http_request_duration_seconds": ("histogram", "method, endpoint"),
}
# METRIC(ID, "type", "name", "label=\"value\",...", "help")
ROW = re.compile(r'^METRIC\(\w+,\s*"(\w+)",\s*"(\w+)",\s*"((?:\\.|[^"\\])*)"', re.MULTILINE)


def in_table(text):
    """{name: (type, labels)}"""
    result = dict(REQUESTS)
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


def main():
    folder, report = root(), Report()
    table = in_table(read(folder, TABLE))
    manual = in_manual(read(folder, MANUAL))
    for name, row in table.items():
        wanted = f"{MANUAL}: METRICS wants .It Li {name} Pq {row[0]}" + (
            f" by {row[1]}" if row[1] else ""
        )
        report.case([] if manual.get(name) == row else [wanted])
    for name in manual:
        if name not in table:
            report.case([f"{MANUAL}: {name} is not in {TABLE}"])
    report.end()


if __name__ == "__main__":
    main()
