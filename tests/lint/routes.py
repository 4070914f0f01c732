#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each route of src/daemon/routes.c has its section in shortener-api(7), and no other has one."""

import re

from lint import Report, read, root

MANUAL = "man/shortener-api.7"
TABLE = "src/daemon/routes.c"


def main():
    folder, report = root(), Report()
    table = re.findall(
        r'\.method = HTTP_(\w+),\s*\.pattern = "([^"]+)"', read(folder, TABLE)
    )
    manual = re.findall(r"^\.Ss ([A-Z]+) (/\S*)$", read(folder, MANUAL), re.MULTILINE)
    for method, pattern in table:
        found = (method, pattern) in manual
        report.case([] if found else [f"{MANUAL}: no section .Ss {method} {pattern}"])
    for method, pattern in manual:
        if (method, pattern) not in table:
            report.case([f"{MANUAL}: .Ss {method} {pattern} is no route of {TABLE}"])
    report.end()


if __name__ == "__main__":
    main()
