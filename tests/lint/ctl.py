#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""shortenerctl's --help, its man page, its completion and its reserved words agree.

usage: ctl.py SOURCE SHORTENERCTL
"""

import re
import subprocess
import sys

from lint import Report, read, root

COMPLETION = "completion/bash/shortenerctl"
PAGE = "man/shortenerctl.1"
RULES = "src/ctl/rules.c"
ROUTES = "src/daemon/routes.c"


def output(command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def options_of(text, heading):
    """The options below a heading of --help: {"--type": takes a value}."""
    part = text.split(f"\n{heading}:\n", 1)
    if len(part) < 2:
        return {}
    lines = part[1].split("\n\n", 1)[0].split("\n")
    found = [re.match(r"  (--[a-z-]+)(=?)", line) for line in lines]
    return {match.group(1): match.group(2) == "=" for match in found if match}


def verbs_of(program):
    """{"db init": its --help}"""
    text = output([program, "--help"])
    lines = text.split("\nVerbs:\n", 1)[1].split("\n\n", 1)[0].split("\n")
    verbs = [re.match(r"  ((?:[a-z-]+ ?){1,2}?)(?= {2}| [A-Z[]| [a-z]+\|)", line) for line in lines]
    names = [match.group(1).strip() for match in verbs if match]
    if len(names) != len(lines):
        raise ValueError("--help has a line that this lint does not understand")
    return {name: output([program, *name.split(), "--help"]) for name in names}


def page_entries(folder):
    """{"db init": the lines of the man page that describe it}"""
    entries, name = {}, None
    for line in read(folder, PAGE).split("\n"):
        match = re.match(r"(?:\.It )?(?:Xo )?\.?Cm ((?:[a-z-]+ ?){1,2}?)(?: [A-Z].*)?$", line)
        if match and (line.startswith(".It Cm") or previous == ".It Xo"):
            name = match.group(1).strip()
            entries[name] = ""
        if name:
            entries[name] += line + "\n"
        previous = line
    return entries


def check_page(name, options, entries):
    if name not in entries:
        yield f"{PAGE}: no entry for {name}"
        return
    for option in options:
        if not re.search(rf"\bFl -{option[2:]}\b|\| -{option[2:]}\b", entries[name]):
            yield f"{PAGE}: {name}: no {option}"
    for option in re.findall(r"(?:Fl|\|) -([a-z-]+)", entries[name].split("\n.Sh")[0]):
        if f"--{option}" not in options and option != "json":
            yield f"{PAGE}: {name}: --help has no --{option}"


def completion(folder, call):
    return output(["bash", "-c", f'. "$0"; {call}', str(folder / COMPLETION)]).split()


def check_completion(folder, name, options):
    given = set(completion(folder, f'_shortenerctl_options "{name}"'))
    wanted = {option + ("=" if takes else "") for option, takes in options.items()}
    for option in sorted(wanted ^ given):
        yield f"{COMPLETION}: {name}: {option} is {'missing' if option in wanted else 'no option'}"


def check_words(folder, verbs):
    first = {name.split()[0] for name in verbs}
    for word in sorted(first ^ set(completion(folder, '_shortenerctl_words ""'))):
        yield f"{COMPLETION}: the first words differ: {word}"
    for family in sorted(first):
        wanted = {name.split()[1] for name in verbs if name.split()[0] == family and " " in name}
        for word in sorted(wanted ^ set(completion(folder, f"_shortenerctl_words {family}"))):
            yield f"{COMPLETION}: {family}: {word}"


def check_reserved(folder):
    """No code may be a route's first segment: the list is the routes'."""
    if not (folder / ROUTES).exists():
        return
    routes = set(re.findall(r'"/([a-z]+)', read(folder, ROUTES)))
    text = re.search(r"reserved\[\] = \{([^}]*)\}", read(folder, RULES)).group(1)
    for word in sorted(routes ^ set(re.findall(r'"([a-z]+)"', text))):
        yield f"{RULES}: reserved[] and {ROUTES} differ: {word}"


def main():
    folder, report, program = root(), Report(), sys.argv[2]
    verbs = verbs_of(program)
    entries = page_entries(folder)
    page = read(folder, PAGE)
    for name, text in verbs.items():
        every, own = options_of(text, "Options of every verb"), options_of(text, "Options")
        findings = [f"{PAGE}: no .It Fl -{option[2:]}" for option in every
                    if f".It Fl -{option[2:]}" not in page]
        report.case([*findings, *check_page(name, own, entries),
                     *check_completion(folder, name, {**every, **own})])
    report.case([f"{PAGE}: {name}: --help has no such verb" for name in entries
                 if name not in verbs])
    report.case(list(check_words(folder, verbs)))
    report.case(list(check_reserved(folder)))
    report.end()


if __name__ == "__main__":
    main()
