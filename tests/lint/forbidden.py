#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Functions that the code does not call, and where the exceptions are."""

import re

from lint import Report, code_only, read, root, tree_files

# pattern, why, files where it is allowed (a regular expression on the path)
RULES = [
    (r"str(n?)cpy|str(n?)cat|stpcpy|strtok|gets", "use a Slice or a Buffer", None),
    (r"v?sprintf", "use buffer_printf() or snprintf()", None),
    (r"strto(l|ul|ll|ull|d|f|ld|imax|umax)|ato(i|l|ll|f)", "use basic/number.h", None),
    (r"alloca", "memory on the stack has a fixed size", None),
    (r"exit|quick_exit", "only main files end the process", r"src/(daemon|ctl)/main\.c|tests/.*"),
    (r"system|popen", "no shell", r"tests/.*"),
    (r"assert", "use CHECK(), which stays on", r"tests/.*"),
    # A store that takes its time is what the fake one imitates; SQLite's locks can only be tried.
    (
        r"usleep|sleep|nanosleep",
        "wait for a condition",
        r"src/store/fake/.*|src/store/sqlite/connection\.c|tests/.*",
    ),
    (r"localtime(_r)?|ctime(_r)?|asctime(_r)?|mktime|strftime", "use basic/clock.h: UTC", None),
    (r"s?rand(_r|om|om_r)?|drand48", "use getrandom()", r"tests/.*"),
    (
        r"PQ(exec\w*|connectdb\w*|setdb\w*|cancel\w*|requestCancel|reset|ping\w*|prepare"
        r"|describe\w*|fn|getCopyData)",
        "libpq is never called blocking: see src/store/postgres/",
        r"tests/.*",
    ),
    (r"pthread_\w+", "threads are work/'s alone", r"src/work/.*|src/host/gate\.c|tests/.*"),
]


def main():
    folder, report = root(), Report()
    rules = [
        (re.compile(r"(?<![\w.>])(" + what + r")\s*\("), why, allowed and re.compile(allowed))
        for what, why, allowed in RULES
    ]
    for name in tree_files(folder):
        if not name.startswith(("src/", "tests/")) or not name.endswith((".c", ".h")):
            continue
        code = code_only(read(folder, name))
        findings = []
        for pattern, why, allowed in rules:
            if allowed and allowed.fullmatch(name):
                continue
            for match in pattern.finditer(code):
                line = code.count("\n", 0, match.start()) + 1
                findings.append(f"{name}:{line}: {match.group(1)}(): {why}")
        report.case(findings)
    report.end()


if __name__ == "__main__":
    main()
