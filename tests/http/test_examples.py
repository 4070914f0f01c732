#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/api.md: each endpoint has an example, and each example prints what the document says.

Usage: test_examples.py [--write]      --write: puts what was printed into the document
"""

import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

DOCUMENT = os.path.join(harness.ROOT, "docs", "api.md")
MANUAL = os.path.join(harness.ROOT, "man", "shortener-api.7")
BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHANGING = ((r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "2026-01-31T12:00:00"), (r'(short_code":")[A-Za-z0-9]{6}(")', r"\1GcZ0ed\2"),
            (r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:8080"))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def steady(text):
    """Without what is different each time."""
    text = text.replace("\r", "")
    for pattern, value in CHANGING:
        text = re.sub(pattern, value, text)
    return text


def commands(block):
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def run(blocks, url, folder):
    """What the commands of each block print, all of them in one shell."""
    script = []
    for block in blocks:
        for command in commands(block):
            script.append(re.sub(r"^URL=.*", f"URL={url}", command).replace("/tmp/", folder + "/"))
        script.append("echo --end--")
    done = subprocess.run(["bash", "-c", "\n".join(script)], capture_output=True, text=True, timeout=120 * harness.SLOW, check=False)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"{done.returncode}: {done.stderr}")
    return [steady(part.removeprefix("\n")) for part in done.stdout.split("--end--\n")[:-1]]


def filled(block, output):
    """The block with what it printed below its commands."""
    if output and not output.endswith("\n"):
        output += "\n"
    return "".join(f"$ {command}\n" for command in commands(block)) + output


class Examples(unittest.TestCase):
    def test_each_endpoint_has_one(self):
        endpoints = re.findall(r"^\.Ss ([A-Z]+ /.*)$", read(MANUAL), re.MULTILINE)
        self.assertGreater(len(endpoints), 15)
        parts = re.split(r"^### ", read(DOCUMENT), flags=re.MULTILINE)
        found = {part.split("\n")[0]: part for part in parts[1:]}
        self.assertEqual(sorted(found), sorted(endpoints))
        for name, part in found.items():
            self.assertRegex(part, r"```\n\$ ", name)

    def test_they_print_what_is_said(self):
        text = read(DOCUMENT)
        blocks = BLOCK.findall(text)
        with harness.Service() as service:
            service.start()
            outputs = run(blocks, f"http://127.0.0.1:{service.instances[0].port}", service.folder)
        self.assertEqual(len(outputs), len(blocks))
        fresh = iter([filled(block, output) for block, output in zip(blocks, outputs)])
        written = BLOCK.sub(lambda _: f"```\n{next(fresh)}```", text)
        if WRITE:
            with open(DOCUMENT, "w", encoding="utf-8") as file:
                file.write(written)
            return
        for block, output in zip(blocks, outputs):
            self.assertEqual(block, filled(block, output))


WRITE = "--write" in sys.argv[1:]

if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "--write"]
    harness.main()
