#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks one part at a time under load through nginx, and compares what happens with what is believed.

Usage: script/chaos [OPTION]... [EXPERIMENT]...

  kill-instance     SIGKILL to one of three instances
  kill-redis        SIGKILL to Redis
  freeze-postgres   SIGSTOP to PostgreSQL for 10 s
  fill-disk         no room left on the disk for 15 s
  overload          400 connections more that create links without a pause, for 15 s
  kill-all          SIGKILL to all instances at once

Without names, all of them in this order. Each: load, the cause, its end, load until all is well and a
while longer; then every answer that was given is looked up in the store. The system is a Debian that is
booted for this, as by script/test --system, and thrown away at the end; as root.

  --list            the names
  --dry-run         says what each would do, and does nothing
  --packages FOLDER packages that are built already
  --hold SECONDS    how long a cause lasts that is ended: other than the above
  --json FILE       the result there too (build/chaos.json)
  --before SECONDS  of load before the cause (5)
  --evidence FOLDER keeps the journal, alerts, metrics, what shortenerctl said and, where there is
                    chromium, pictures of the console page, by experiment
  --here            breaks THIS HOST, which script/provision has set up; its visitors notice
  --yes             with --here: does not ask

Whatever was broken is repaired at the end, also when this is interrupted; a timer of systemd repairs it
when this program is killed. Exits 1 when a hypothesis does not hold, 2 when it was not run.
"""

import argparse
import json
import os
import signal
import sys
import textwrap
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

import experiments
import lab
import machine as machines
import stage

KEPT = HERE.parents[1] / "build" / "chaos.json"
BEFORE, AFTER = 5.0, 10.0  # seconds of load
SPARE = 1 << 29            # bytes; the disk that the booted system has left, so that it can be filled
WARNING = """\
chaos: --here: this breaks {host}, on which you are, and not a system made for it.
  Instances, Redis and PostgreSQL are killed or stopped, its disk is filled, and load is put on it.
  Visitors get errors meanwhile; several thousand links to https://example.org/ and their visits stay
  in its store. Never do this where real visitors are.
"""


def refuse(text):
    print(f"chaos: {text}", file=sys.stderr)
    sys.exit(2)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("names", nargs="*")
    for name in ("--list", "--dry-run", "--here", "--yes", "--help"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--packages")
    parser.add_argument("--hold", type=float)
    parser.add_argument("--before", type=float, default=BEFORE)
    parser.add_argument("--json", default=str(KEPT))
    parser.add_argument("--evidence")
    options = parser.parse_args(arguments)
    if options.help:
        print(__doc__)
        sys.exit(0)
    unknown = [name for name in options.names if name not in experiments.BY_NAME]
    if unknown:
        refuse(f"no such experiment: {unknown[0]}; there are {' '.join(experiments.BY_NAME)}")
    return options


def chosen(options):
    found = [experiments.BY_NAME[name] for name in options.names] or experiments.EXPERIMENTS
    if options.hold is not None:
        found = [one._replace(lasts=options.hold) if one.end or one.crowd else one for one in found]
    return found


def paragraph(text, first, indent):
    return textwrap.fill(text, 110, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def refuted_by(one):
    bounds = one.bounds
    odd = ", ".join(["201", *(str(status) if status else "not at all" for status in bounds.statuses)])
    yield f"more than {bounds.failed_get} failed visits; creates answered other than {odd}"
    yield f"a visit of more than {bounds.longest_get:g} s, a create of more than {bounds.longest_post:g} s"
    yield f"more than {bounds.recover:g} s to recover"
    yield "an answered visit that is not in the store" + (", nor counted as shed" if one.shed else "") + "; a lost link"
    yield "anything that clicks verify finds"


def dry_run(found, options):
    for one in found:
        print(one.name)
        print(paragraph(one.hypothesis, "  ", "  "))
        for number, step in enumerate(experiments.steps(one, options.before, AFTER), 1):
            print(paragraph(step, f"  {number}. ", "     "))
        print(paragraph("; ".join(refuted_by(one)), "  Refuted by: ", "  ") + "\n")


def confirm(options):
    """The host that this runs on is not broken by mistake."""
    print(WARNING.format(host=os.uname().nodename), file=sys.stderr)
    if os.getuid() != 0:
        refuse("--here must be run as root")
    if options.yes:
        return
    if not sys.stdin.isatty():
        refuse("--here wants --yes where nobody can be asked")
    if input("Type the name of this host to break it: ") != os.uname().nodename:
        refuse("that is not its name; nothing was touched")


def check_here(system):
    """A host as script/provision makes it, or none of ours to break."""
    for unit in [f"shortener@{n}.service" for n in lab.INSTANCES] + ["nginx.service", "redis-server@shortener.service"]:
        if system.property(unit, "ActiveState") != "active":
            refuse(f"--here: {unit} is not active: this is for a host that script/provision has set up")
    if lab.Lab(system).answer("/urls")[0] != 200:
        refuse("--here: the API asks for a token: this is for a host that script/provision has set up (Access=open)")


COLUMNS = (("", "", 16), ("", "requests", 10), ("visits", "failed", 8), ("creates", "failed", 9), ("visit,", "longest", 9),
           ("create,", "longest", 9), ("to", "recover", 9), ("shipped", "all", 9), ("visits", "lost", 8), ("visits", "again", 8),
           ("visits", "shed", 8))  # fmt: skip


def print_table(results):
    """Again: a request whose first instance died with the visit recorded, and which nginx gave to another."""
    for line in (0, 1):
        print("".join(f"{column[line]:>{column[2]}}" for column in COLUMNS) + ("  the hypothesis" if line else ""))
    for one in results:
        cells = (one["name"], one["requests"], one["failed_get"], one["failed_post"], f"{one['longest_get_ms']:.0f} ms",
                 f"{one['longest_post_ms']:.0f} ms", f"{one['recover_seconds']:.1f} s", f"{one['shipped_seconds']:.1f} s",
                 one["visits_without_row"] + one["verify"]["lost"], one["visits_again"] + one["verify"]["twice"],
                 one["verify"]["shed"])  # fmt: skip
        print("".join(f"{cell:>{column[2]}}" for cell, column in zip(cells, COLUMNS)) + f"  {'holds' if one['holds'] else 'DOES NOT HOLD'}")
    for one in results:
        for text in one["against"]:
            print(f"{one['name']}: {text}")


def write(path, results, where):
    """The machine-readable result."""
    found = {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "where": where, "cpus": len(os.sched_getaffinity(0)),
             "experiments": results}  # fmt: skip
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def run_all(system, found, options, where):
    """True if every hypothesis holds. What was found so far is written after each."""
    results = []
    for one in found:
        load = round(os.getloadavg()[0], 2)  # others on the machine make figures worse
        result = lab.Lab(system, options.before, AFTER, options.evidence).run(one)
        results.append({**result, "load_before": load})
        write(options.json, results, where)
    print_table(results)
    return all(one["holds"] for one in results)


def run_booted(found, options):
    machines.own_mounts()
    stage.stage = stage.Stage("chaos")
    try:
        stage.stage.prepare(options.packages, second=False)
        stage.stage.provision()
        stage.stage.machine.leave_room(SPARE)
        return run_all(stage.stage.machine, found, options, "a booted Debian 12")
    finally:
        stage.stage.close()


def run_here(found, options):
    confirm(options)
    system = lab.Here()
    try:
        check_here(system)
        return run_all(system, found, options, "this host")
    finally:
        system.close()


SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def end(number, _):
    """A signal is an exception, so that what was broken is repaired; a second one does not disturb that."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    options = parse_arguments(sys.argv[1:])
    found = chosen(options)
    if options.list:
        print("\n".join(one.name for one in found))
        return
    if options.dry_run:
        dry_run(found, options)
        return
    for number in SIGNALS:
        signal.signal(number, end)
    if options.here:
        holds = run_here(found, options)
    else:
        if os.getuid() != 0:
            refuse("booting a system wants root; --list and --dry-run do not")
        holds = run_booted(found, options)
    print("passed" if holds else "FAILED")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
