#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What documents point at is there: links, and paths of the tree in backquotes."""

import re

from lint import Report, read, root, tree_files

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
PATH = re.compile(r"`((?:src|tests|script|man|etc|docs|seed_data|\.github)/[\w./-]*)`")
PLACEHOLDER = re.compile(r"(FOLDER|NAME|PRESET)")
EXEMPT = re.compile(r"NEWS\.md")


def exists(folder, base, target):
    return (folder / target).exists() or (folder / base).parent.joinpath(target).exists()


def main():
    folder, report = root(), Report()
    for name in tree_files(folder):
        if not name.endswith(".md") or EXEMPT.fullmatch(name):
            continue
        text = read(folder, name)
        findings = []
        for pattern in (LINK, PATH):
            for match in pattern.finditer(text):
                if PLACEHOLDER.search(match.group(1)):
                    continue
                if not exists(folder, name, match.group(1)):
                    line = text.count("\n", 0, match.start()) + 1
                    findings.append(f"{name}:{line}: there is no {match.group(1)}")
        report.case(findings)
    report.end()


if __name__ == "__main__":
    main()
