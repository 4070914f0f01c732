#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each MESSAGE_ID of the code has an entry in the journal's catalog, and each entry one there."""

import re

from lint import Report, read, root, tree_files

DEFINED = re.compile(r'^#\s*define\s+(MESSAGE_[A-Z_]+)\s+"([^"]*)"', re.MULTILINE)
ENTRY = re.compile(r"^-- (\S+)(?: (\S+))?\n(.*?)(?=^-- |\Z)", re.MULTILINE | re.DOTALL)
HEADER = re.compile(r"Subject: \S.*\nDefined-By: \S.*\nDocumentation: man:\S.*\n\n\S")


def defined_ids(folder):
    """{id: [file:line of each definition]}"""
    found = {}
    for name in tree_files(folder):
        if name.startswith("src/") and name.endswith((".c", ".h")):
            text = read(folder, name)
            for match in DEFINED.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                found.setdefault(match.group(2), []).append(f"{name}:{line}: {match.group(1)}")
    return found


def catalog(folder):
    """[(file, id, text)]"""
    result = []
    for name in tree_files(folder):
        if name.endswith(".catalog"):
            result += [(name, match.group(1), match.group(3))
                       for match in ENTRY.finditer(read(folder, name))]
    return result


def main():
    folder, report = root(), Report()
    defined, entries = defined_ids(folder), catalog(folder)
    known = {message_id for _, message_id, _ in entries}
    for message_id, places in defined.items():
        findings = []
        if not re.fullmatch(r"[0-9a-f]{32}", message_id):
            findings.append(f"{places[0]}: no 128 bits in small hexadecimal digits")
        if len(places) > 1:
            findings.append(f"{places[1]}: the same id as {places[0]}")
        if message_id not in known:
            findings.append(f"{places[0]}: no entry -- {message_id} in systemd/*.catalog")
        report.case(findings)
    for name, message_id, text in entries:
        findings = []
        if message_id not in defined:
            findings.append(f"{name}: {message_id}: no code logs it")
        if not HEADER.match(text):
            findings.append(f"{name}: {message_id}: wants Subject, Defined-By, Documentation, text")
        findings += [f"{name}: longer than 90 columns: {line}" for line in text.split("\n")
                     if len(line) > 90]
        report.case(findings)
    report.end()


if __name__ == "__main__":
    main()
