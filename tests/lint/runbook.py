#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The operations documents speak of what there is.

Each alert has its section in docs/runbook.md, reached by its annotation, and no other section looks like
an alert; severity and duration there are the rule's. In all of docs/: metrics exist, units are ours or
well-known, verbs and options of shortenerctl exist, links to headings lead somewhere.

Usage: runbook.py FOLDER SHORTENERCTL
"""

import re
import subprocess
import sys

from dashboard import EXPORTERS, known_metrics, metric_names
from lint import Report, read, root, tree_files

RUNBOOK = "docs/runbook.md"
ALERTS = "monitoring/rules/alerts.yml"
UNITS = re.compile(r"(shortener|nginx|postgresql|redis-server|prometheus|systemd|certbot|grafana)[\w@*.-]*")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
CODE = re.compile(r"```\n(.*?)```|`([^`\n]+)`", re.DOTALL)



def rules(text):
    """{alert: (for, severity, runbook)}"""
    found = {}
    for block in re.split(r"^ *- alert: ", text, flags=re.MULTILINE)[1:]:
        lasts = re.search(r"^ *for: (\S+)", block, re.MULTILINE)
        found[block.split("\n")[0]] = (lasts.group(1) if lasts else "0s", re.search(r"severity: (\w+)", block).group(1),
                                       re.search(r"runbook: (\S+)", block).group(1))
    return found


def anchor(heading):
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def sections(text):
    """{heading of the third level: its text}"""
    parts = re.split(r"^### (.+)\n", text, flags=re.MULTILINE)
    return {name: re.split(r"^## ", body, flags=re.MULTILINE)[0] for name, body in zip(parts[1::2], parts[2::2])}


def said(lasts):
    """How the section says how long it takes."""
    if lasts == "0s":
        return r"at once"
    number, unit = re.fullmatch(r"(\d+)([sm])", lasts).groups()
    return rf"(after {number} {'min' if unit == 'm' else 's'}|below \d+ days|when the oldest .* waited for)"


def check_alert(name, rule, found):
    lasts, severity, runbook = rule
    if name not in found:
        yield f"{RUNBOOK}: no section ### {name}"
        return
    if runbook != f"runbook.md#{anchor(name)}":
        yield f"{ALERTS}: {name}: runbook is {runbook}, not runbook.md#{anchor(name)}"
    first = found[name].strip().split("\n\n")[0].replace("\n", " ")
    if not re.match(rf"{severity}, {said(lasts)}", first):
        yield f"{RUNBOOK}: {name}: does not begin with \"{severity}, {said(lasts)}\""
    if "```\n" not in found[name] and name != "CertificateExpires":
        yield f"{RUNBOOK}: {name}: says nothing to type"


def help_of(program, verbs):
    """The text of --help, cached; None when there is no such verb."""
    if verbs not in help_of.known:
        done = subprocess.run([program, *verbs, "--help"], capture_output=True, text=True, check=False)
        help_of.known[verbs] = done.stdout if done.returncode == 0 else None
    return help_of.known[verbs]


help_of.known = {}


def check_commands(name, code, program):
    """shortenerctl in code: the verb and its options are there."""
    for command in re.findall(r"(?:^|[\s\"(])shortenerctl ([a-z][^\n|;&>`]*)", code):
        words = [word for word in command.split() if re.fullmatch(r"[a-z][a-z-]*", word)]
        text = None
        for n in (2, 1):
            text = text or (help_of(program, tuple(words[:n])) if len(words) >= n else None)
        if text is None or text.startswith("Usage: shortenerctl [OPTION]... VERB"):
            yield f"{name}: there is no verb: shortenerctl {command.strip()}"
            continue
        for option in re.findall(r"--[a-z-]+", command):
            if option not in text:
                yield f"{name}: shortenerctl {command.strip()}: no {option}"


def check_names(name, code, known):
    for metric in re.findall(r"\b(?:shortener|process|http|redirects|cache|urls|active|instance)_?:?[a-z_:0-9]*_(?:total|bytes|seconds|fds|up|urls|bucket)\b", code):
        if metric not in known and not metric.startswith(EXPORTERS):
            yield f"{name}: there is no metric {metric}"
    for unit in re.findall(r"systemctl (?:status|restart|start|reload|stop|enable|disable)(?: --now)? ((?:'?[\w@*.-]+'? ?)+)", code):
        for one in unit.replace("'", "").split():
            if one not in ("UNIT", "UNIT...") and not UNITS.fullmatch(one):
                yield f"{name}: unit {one}"


def check_links(folder, name, text):
    for target in re.findall(r"\]\(([^)\s]*#[^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        path, heading = target.split("#", 1)
        where = (folder / name).parent / path if path else folder / name
        if not where.exists() or heading not in {anchor(h) for _, h in HEADING.findall(where.read_text(encoding="utf-8"))}:
            yield f"{name}: there is no {target}"


def main():
    folder, report, program = root(), Report(), sys.argv[2]
    text, found = read(folder, RUNBOOK), rules(read(folder, ALERTS))
    known = known_metrics(folder)
    for name, rule in found.items():
        report.case(list(check_alert(name, rule, sections(text))))
    report.case([f"{RUNBOOK}: {name} is no alert" for name in sections(text) if re.fullmatch(r"(?:[A-Z][a-zA-Z]+){2,}", name)
                 and name not in found])
    for name in tree_files(folder):
        if name.startswith("docs/") and name.endswith(".md") and not name.startswith("docs/decisions/"):
            body = read(folder, name)
            findings = list(check_links(folder, name, body))
            for code in (a or b for a, b in CODE.findall(body)):
                findings += [*check_commands(name, code, program), *check_names(name, code, known)]
            report.case(findings)
    for row in re.findall(r"^\| [^|]+ \| `(.+)` \|$", text, re.MULTILINE):
        missing = [m for m in metric_names(row) if m not in known and not m.startswith(EXPORTERS)]
        report.case([f"{RUNBOOK}: there is no metric {m}" for m in missing])
    report.end()


if __name__ == "__main__":
    main()
