#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each file that can hold a comment says its licence in one of its first two lines."""

from lint import Report, read, root, tree_files

SUFFIXES = (".c", ".h", ".def", ".py", ".sh", ".sql", ".cmake", ".yml", ".yaml", ".pml", ".conf")
NAMES = ("CMakeLists.txt", "Vagrantfile", ".clang-tidy")
FOLDERS = ("script/", "man/", ".ci/", "completion/")
EXEMPT = ("script/packages.txt",)  # a list of names
LINE = "SPDX-License-Identifier: MIT"


def needs_line(name):
    if name in EXEMPT or "/corpus/" in name:
        return False
    return (
        name.endswith(SUFFIXES) or name.rsplit("/", 1)[-1] in NAMES or name.startswith(FOLDERS)
    )


def main():
    folder, report = root(), Report()
    for name in tree_files(folder):
        if needs_line(name):
            first = "\n".join(read(folder, name).split("\n")[:2])
            report.case([] if LINE in first else [f"{name}:1: no line {LINE}"])
    report.end()


if __name__ == "__main__":
    main()
