#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No folder of src/ includes upward, and each target links what its files include.

The order is that of src/CMakeLists.txt. Includes of our own are written from src/: "basic/slice.h".
"""

import re

from lint import Report, code_only, read, root, tree_files

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)


def folder_order(folder):
    text = read(folder, "src/CMakeLists.txt")
    return re.search(r"foreach\(folder ([a-z0-9 ]+)\)", text).group(1).split()


def depends(folder, name):
    """The folders that src/NAME/CMakeLists.txt links."""
    path = f"src/{name}/CMakeLists.txt"
    if not (folder / path).exists():
        return None
    text = re.sub(r"#.*", "", read(folder, path))
    return set(re.findall(r"\b[a-z]+\b", " ".join(re.findall(r"DEPENDS([^)]*)", text))))


def reachable(folder, order, name):
    """Folders that come with what NAME links; None without a target."""
    direct = depends(folder, name)
    if direct is None:
        return None
    result = set()
    waiting = [entry for entry in direct if entry in order]
    while waiting:
        entry = waiting.pop()
        if entry not in result:
            result.add(entry)
            waiting += [below for below in depends(folder, entry) or () if below in order]
    return result


def check_file(name, text, order, linked):
    own = name.split("/")[1]
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        target = match.group(1).split("/")[0]
        if "/" not in match.group(1):
            yield f'{name}:{line}: write it from src/: "{own}/{match.group(1)}"'
        elif target not in order:
            yield f"{name}:{line}: no folder of src/: {match.group(1)}"
        elif order.index(target) > order.index(own):
            yield f"{name}:{line}: {own}/ includes {match.group(1)}, which is above it"
        elif target != own and linked is not None and target not in linked:
            yield f"{name}:{line}: src/{own}/CMakeLists.txt does not name {target} in DEPENDS"


def main():
    folder, report = root(), Report()
    order = folder_order(folder)
    linked = {name: reachable(folder, order, name) for name in order}
    for name in tree_files(folder):
        parts = name.split("/")
        if parts[0] != "src" or len(parts) < 3 or not name.endswith((".c", ".h", ".def")):
            continue
        if parts[1] not in order:
            report.case([f"{name}: src/CMakeLists.txt does not list {parts[1]}"])
            continue
        text = read(folder, name)
        kept = code_only(text)
        # Strings are blanked in `kept`: take the lines from the text, skip those in comments.
        lines = [
            line if re.match(r"\s*#", blanked) else ""
            for line, blanked in zip(text.split("\n"), kept.split("\n"))
        ]
        report.case(list(check_file(name, "\n".join(lines), order, linked[parts[1]])))
    report.end()


if __name__ == "__main__":
    main()
