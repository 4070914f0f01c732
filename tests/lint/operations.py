#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The operations documents are all there, and what they name is there too.

docs/: each of the thirteen exists and the README lists it. In all of them scripts exist and know the options
they are given, configuration keys exist, names in backquotes that look like an alert are one, our units exist.
chaos-engineering.md has the experiments of the program; capacity-plan.md says of each figure where it comes from;
decision-log.md has each decision and each library; the journal that incident-diagnosis.md quotes is of our messages.

runbook.py looks at metrics, shortenerctl and links; documents.py at paths.
"""

import re
import subprocess
import sys

from lint import Report, read, root, tree_files

from runbook import ALERTS, CODE, rules

NAMES = ("alert-pipeline", "api", "architecture", "bottleneck-report", "capacity-plan", "chaos-engineering", "decision-log",
         "deployment", "environment-variables", "failure-modes", "incident-diagnosis", "runbook", "troubleshooting")
# Where the options of a script are read, if not in itself.
OPTIONS = {"script/load": "tests/load/load.py", "script/chaos": "tests/chaos/chaos.py",
           "script/faults": "tests/fault/table.py"}
SCRIPT = re.compile(r"(?:^|[\s(])(script/[a-z]+)(?![\w.])((?: +[^\s|;&#<>`]+)*)", re.MULTILINE)
SOURCE = re.compile(r"`(?:script|tests)/|\bcomputed\b|\bassumed\b|\bdesign\b")
MESSAGE = re.compile(r"\b(?:shortenerd|shortener-alertd)\[\d+\]: (.*)")
LITERAL = re.compile(r'"((?:\\.|[^"\\\n])*)"')


def code_of(text):
    return [a or b for a, b in CODE.findall(text)]


def check_scripts(folder, name, code):
    for script, rest in SCRIPT.findall(code):
        if not (folder / script).exists():
            yield f"{name}: there is no {script}"
            continue
        known = read(folder, script) + (read(folder, OPTIONS[script]) if script in OPTIONS else "")
        for option in re.findall(r"--[a-z][a-z-]*", rest):
            if option not in known:
                yield f"{name}: {script} knows no {option}"


def known_keys(folder):
    found = set()
    for name in tree_files(folder):
        if name.startswith(("etc/", "systemd/", "monitoring/systemd/")):
            found |= set(re.findall(r"^#?([A-Z]\w+)=", read(folder, name), re.MULTILINE))
    return found


def check_keys(name, text, known):
    for key in re.findall(r"`(?:\[\w+\] )?([A-Z][a-z][A-Za-z]*)=[^`\s]*`", text):
        if key not in known:
            yield f"{name}: there is no option {key}="


def check_alerts(name, text, alerts):
    for word in re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z]+)+)`", text):
        if word not in alerts:
            yield f"{name}: there is no alert {word}"


def known_units(folder):
    return {re.sub(r"\.in$", "", file.split("/")[-1]) for file in tree_files(folder) if "systemd/" in file}


def check_units(name, code, units):
    for unit in re.findall(r"(?<![@\w])(shortener[\w-]*(?:@[\w*]*)?\.(?:service|socket|timer|target|path))\b", code):
        if re.sub(r"@[\w*]*\.", "@.", unit) not in units:
            yield f"{name}: there is no unit {unit}"


def check_chaos(folder):
    done = subprocess.run([sys.executable, str(folder / "tests/chaos/document.py"), "--check"], capture_output=True, text=True, check=False)
    yield from (done.stdout + done.stderr).split("\n")[:-1]
    text = read(folder, "docs/chaos-engineering.md")
    results = text[text.index("<!-- results -->"):].split("<!-- end -->")[0]
    for experiment in re.findall(r'^        "([a-z-]+)",$', read(folder, "tests/chaos/experiments.py"), re.MULTILINE):
        if f"| `{experiment}` |" not in results:
            yield f"docs/chaos-engineering.md: no result of {experiment}"


def check_figures(folder):
    """Each row of a table says where its figures come from; a sentence before the table may say it for all."""
    name, head = "docs/capacity-plan.md", None
    for number, line in enumerate(read(folder, name).split("\n"), 1):
        if not line.startswith("|"):
            head = None
        elif line.startswith("|---"):
            continue
        elif head is None:
            head = line
        elif re.search(r"\d", line) and not SOURCE.search(line.rstrip("| ").split("|")[-1]):
            yield f"{name}:{number}: says not where its figures come from"


def check_decisions(folder):
    name = "docs/decision-log.md"
    text = read(folder, name)
    for file in tree_files(folder):
        if re.fullmatch(r"docs/decisions/\d+-.*\.md", file) and f"](decisions/{file.split('/')[-1]})" not in text:
            yield f"{name}: no link to {file}"
    for package in re.findall(r"^(lib\S+-dev) +build", read(folder, "script/packages.txt"), re.MULTILINE):
        if package != "libc6-dev" and f"| `{package}` |" not in text:
            yield f"{name}: no library {package}"
    for record in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        for field in ("**Instead of**", "**Because**"):
            if field not in record:
                yield f"{name}: {record.splitlines()[0]}: no {field}"


def literals(folder):
    """The texts of the programs, without what is filled in, where enough is left to know one."""
    found = set()
    for name in tree_files(folder):
        if name.startswith("src/") and name.endswith(".c"):
            for text in LITERAL.findall(read(folder, name)):
                parts = [part for part in re.split(r"%[-+ #0]*[\d.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]|%", text) if len(part) >= 8]
                found |= set(parts)
    return found


def check_messages(folder):
    name = "docs/incident-diagnosis.md"
    known = literals(folder)
    for message in MESSAGE.findall(read(folder, name)):
        if not any(part in message for part in known):
            yield f"{name}: no program of ours logs: {message}"


def main():
    folder, report = root(), Report()
    alerts, keys, units, readme = rules(read(folder, ALERTS)), known_keys(folder), known_units(folder), read(folder, "README.md")
    for name in NAMES:
        path = f"docs/{name}.md"
        if not (folder / path).exists():
            report.case([f"there is no {path}"])
            continue
        report.case([] if f"({path})" in readme else [f"README.md: no link to {path}"])
    for name in tree_files(folder):
        if not re.fullmatch(r"docs/[\w-]+\.md|README\.md|HACKING\.md|CONTRIBUTING\.md", name):
            continue
        text = read(folder, name)
        findings = [*check_keys(name, text, keys), *check_alerts(name, text, alerts)]
        for code in code_of(text):
            findings += [*check_scripts(folder, name, code), *check_units(name, code, units)]
        report.case(findings)
    for check in (check_chaos, check_figures, check_decisions, check_messages):
        report.case(list(check(folder)))
    report.end()


if __name__ == "__main__":
    main()
