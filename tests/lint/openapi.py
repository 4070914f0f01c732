#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/openapi.json is what the service writes, and has the route table's operations.

Usage: openapi.py FOLDER SHORTENERD [--write]      --write: brings the document up to date
"""

import json
import re
import subprocess
import sys

from lint import Report, read, root

DOCUMENT = "docs/openapi.json"
TABLE = "src/daemon/routes.c"
ROUTE = r'\.method = HTTP_(\w+),\s*\.pattern = "([^"]+)",\s*\.name = "([^"]+)"'


def operations(document):
    """{(method, path, operationId)}"""
    return {(method.upper(), path, operation["operationId"])
            for path, item in document["paths"].items() for method, operation in item.items()}


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def is_there(document, reference):
    for key in reference.removeprefix("#/").split("/"):
        if key not in document:
            return False
        document = document[key]
    return True


def main():
    folder, report = root(), Report()
    text = subprocess.run([sys.argv[2], "--dump-openapi"], capture_output=True, text=True, check=True).stdout
    if "--write" in sys.argv:
        (folder / DOCUMENT).write_text(text, encoding="utf-8")
    current = read(folder, DOCUMENT) == text
    report.case([] if current else [f"{DOCUMENT}: is not what shortenerd --dump-openapi writes"])
    document = json.loads(text)
    table = set(re.findall(ROUTE, read(folder, TABLE)))
    for route in table ^ operations(document):
        report.case([f"{' '.join(route)}: either no route of {TABLE} or no operation of {DOCUMENT}"])
    report.case([] if table else [f"{TABLE}: no routes found"])
    used = set(references(document))
    for reference in used:
        report.case([] if is_there(document, reference) else [f"{DOCUMENT}: no {reference}"])
    for kind, items in document["components"].items():
        for name in items if kind != "securitySchemes" else ():
            found = f"#/components/{kind}/{name}" in used
            report.case([] if found else [f"{DOCUMENT}: nothing uses {kind}/{name}"])
    report.end()


if __name__ == "__main__":
    main()
