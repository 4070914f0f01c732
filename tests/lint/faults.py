#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The fault table has each program of tests/fault, and ctest runs it."""

import re
import sys

from lint import Report, read, root, tree_files

TABLE = "tests/fault/table.py"


def main():
    folder, report = root(), Report()
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder / "tests" / "fault"))
    import table  # pylint: disable=import-outside-toplevel

    files = tree_files(folder)
    rows = {row[0] for row in table.ROWS} - set(table.UNITS)
    made = set(re.findall(r"^\s*shortener_fault_test\((\w+)\)", read(folder, "tests/fault/CMakeLists.txt"), re.MULTILINE))
    programs = {name[len("tests/fault/"):-3] for name in files
                if re.fullmatch(r"tests/fault/\w+\.py", name) and name != TABLE}
    for name in sorted(programs | rows):
        findings = []
        if name not in rows:
            findings.append(f"{TABLE}: no row for {name}.py")
        if name not in programs:
            findings.append(f"{TABLE}: {name}: there is no tests/fault/{name}.py")
        elif name not in made:
            findings.append(f"tests/fault/CMakeLists.txt: no shortener_fault_test({name})")
        report.case(findings)
    report.end()


if __name__ == "__main__":
    main()
