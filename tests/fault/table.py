#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The fault table: everything that this service is broken by, what it promises then, and what was measured.

Usage: script/faults [OPTION]... [FAULT]...

  FAULT         only these, by the name in the first column; else all
  --long        in full: 200 kills, 50 power cuts, 10,000 idle connections, an hour of mixed load, ...
                (hours; for the figures the machine should do nothing else)
  --limit N     seconds that one program may take, see LIMITS; then all that it has started is killed
  --markdown    the table as Markdown
  --list        the names and promises, without running anything

Runs the programs of tests/fault, and the unit tests that make each allocation and each write fail, one
after another. Each keeps its whole output in build/faults/NAME.log. Exits 1 when a promise was not held, or could
not be tried. SHORTENER_TEST_MINUTES= of --long is that of tests/fault/mixed.py.
"""

import argparse
import contextlib
import ctypes
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("SHORTENER_BUILD", os.path.join(ROOT, "build", "release"))
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.MULTILINE)
CMOCKA = re.compile(r"^\[  PASSED  \] (\d+) test\(s\)", re.MULTILINE)
WIDTHS = (12, 26, 34, 66, 8)
PR_SET_CHILD_SUBREAPER = 36
LIMITS = (900, 7200)  # seconds of one program, and with --long
TITLES = ("fault", "what is done", "promise", "measured", "held")

# name, what is done, what is promised. The name is that of the program here; or of unit tests, by a pattern.
ROWS = (
    ("memory", "each allocation fails once, one after another", "an error or 503; no crash, no leak, nothing half done"),
    ("writes", "each write, sync and rename of the spool fails", "what is answered is kept or counted as shed"),
    ("errors", "EIO and ENOSPC on system calls of a running instance, by strace", "answers as OnFull= says; nothing else is lost"),
    ("syscalls", "SIGKILL at each system call of append and ship", "what was answered is in the store, once"),
    ("kill", "kill -9 at random moments under load, one and two instances", "what was answered is in the store, once"),
    ("powercut", "ext4 loses its power under load, each Sync= mode", "what the mode promises is there after the boot"),
    ("damage", "spool files are damaged while nothing runs", "only what was damaged is lost, and counted"),
    ("full", "the spool's disk is full, or MaxSize= is reached", "OnFull=; goes on within a second when there is room"),
    ("frozen", "the store is locked, frozen, read-only, moved away", "cached redirects as before; the rest answers within a second"),
    ("writers", "eight writers without a pause beside two shippers", "no write fails, p99 below 50 ms"),
    ("postgres", "PostgreSQL freezes, dies, fails over, is restored", "cached redirects go on; no visit lost or stored twice"),
    ("drain", "PostgreSQL was down for millions of visits", "ready at once, little memory, shipped half as fast as COPY"),
    ("network", "a host's cable is pulled, twice", "cached redirects go on and are counted; 503 within a second; then it follows"),
    ("coherence", "two hosts edit while Redis is frozen, killed, flushed, old", "never an older target; a second later on another host"),
    ("races", "the five races of three careless instances", "none is lost"),
    ("expiry", "a day of old visits is dropped while visits are shipped", "shipping goes on; each visit is counted"),
    ("clock", "the clock jumps an hour or two, forward and back", "visits once each; limits go by the monotonic clock"),
    ("descriptors", "no descriptor is left for clients", "who is connected is served, store and spool have theirs, the loop "
     "sleeps, one log line"),
    ("idle", "10,000 idle connections (2,000) beside live load", "p99 at most 1.2 times as long, below 512 bytes each"),
    ("slow", "4,000 slow clients (150) of each kind, by slowhttptest", "all live requests served; slow ones ended by 408 or closed"),
    ("churn", "connections that are reset in the middle of something", "no descriptor, memory or exchange is left of them"),
    ("overload", "three times the peak of creates and of misses, open loop", "at least 90 % of the peak done, refusals early, redirects "
     "served"),
    ("mixed", "an hour (seconds) of load, a fault a minute", "each 302 that was read is counted, once; memory flat"),
)
UNITS = {"memory": ("test-*-memory", "test-api-faults"), "writes": ("test-clicks-faults",)}


class Result:
    def __init__(self, name, output, status, limit=None):
        """limit: the seconds after which a program was killed, if one was."""
        counts = COUNTS.findall(output)
        lines = [line.strip() for line in output.splitlines() if line.strip() and not COUNTS.match(line)]
        n_passed = int(counts[-1][0]) if counts else sum(map(int, CMOCKA.findall(output)))
        if name in UNITS:
            lines = [f"{n_passed} tests passed"]
        if limit is not None:
            lines.append(f"killed after {limit:g} s")
        self.measured = lines or ["nothing"]
        self.skipped = bool(counts and int(counts[-1][2] or 0)) and limit is None
        self.held = status == 0 and n_passed > 0 and not self.skipped and limit is None

    @property
    def word(self):
        return "held" if self.held else "skipped" if self.skipped else "NOT HELD"


def programs(name):
    if name not in UNITS:
        return [[sys.executable, os.path.join(HERE, name + ".py")]]
    return [[path] for pattern in UNITS[name] for path in sorted(glob.glob(os.path.join(BUILD, "tests", pattern)))]


def adopt_orphans():
    """What a program leaves behind becomes a child of this one, and can be found."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def parents():
    """{pid: its parent's} of all that run."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path) as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(path.split("/")[2])] = int(parent)
    return found


def descendants():
    """All that this process has started, and what that has."""
    running, found = parents(), {os.getpid()}
    while True:
        more = {pid for pid, parent in running.items() if parent in found} - found
        if not more:
            return found - {os.getpid()}
        found |= more


def kill_all():
    """What is stopped starts nothing while the others are looked for."""
    stopped = set()
    while True:
        found = descendants() - stopped
        if not found:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        stopped |= found
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def execute(command, environment, errors, limit):
    """(standard output, exit status or None when it took longer)."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=errors or output, start_new_session=True)
        status = None
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        finally:  # of an interrupt, too: this is another session than the terminal's
            kill_all()
            process.wait()
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitpid(-1, 0)
        output.seek(0)
        return output.read(), status


def run(name, environment, limit):
    """Standard output has the figures, standard error what went wrong; cmocka has all in the latter."""
    folder = os.path.join(ROOT, "build", "faults")
    os.makedirs(folder, exist_ok=True)
    output, failed, late, commands = "", False, False, programs(name)
    with open(os.path.join(folder, name + ".log"), "w") as log:
        for command in commands:
            text, status = execute(command, environment, None if name in UNITS else log, limit)
            output += text
            failed, late = failed or status != 0, late or status is None
            log.write(text + (f"{command[-1]}: killed after {limit:g} s\n" if status is None else ""))
    return Result(name, output, 1 if failed or not commands else 0, limit if late else None)


def print_text(rows):
    def line(cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS)).rstrip())

    line(TITLES)
    line(["-" * width for width in WIDTHS])
    for row in rows:
        columns = [[part for text in cell.split("\n") for part in textwrap.wrap(text, width) or [""]]
                   for cell, width in zip(row, WIDTHS)]
        for n in range(max(map(len, columns))):
            line([column[n] if n < len(column) else "" for column in columns])
        print()


def print_markdown(rows):
    print("| " + " | ".join(TITLES) + " |\n|" + "---|" * len(TITLES))
    for row in rows:
        print("| " + " | ".join(cell.replace("\n", "<br>").replace("|", "\\|") for cell in row) + " |")


def arguments():
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, add_help=False)
    parser.add_argument("names", nargs="*")
    for option in ("--long", "--markdown", "--list", "--help"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("--limit", type=float)
    options = parser.parse_args()
    unknown = set(options.names) - {row[0] for row in ROWS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    return options


def main():
    options = arguments()
    if options.help:
        print(__doc__.strip())
        return 0
    chosen = [row for row in ROWS if not options.names or row[0] in options.names]
    if options.list:
        for name, done, promise in chosen:
            print(f"{name}: {done}: {promise}")
        return 0
    environment = {**os.environ, "SHORTENER_BUILD": BUILD}
    environment.pop("SHORTENER_TEST_LONG", None)
    if options.long:
        environment["SHORTENER_TEST_LONG"] = "1"
    adopt_orphans()
    rows, results = [], []
    for name, done, promise in chosen:
        start = time.monotonic()
        result = run(name, environment, options.limit or LIMITS[options.long])
        print(f"{name}: {result.word}, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        results.append(result)
        rows.append((name, done, promise, "\n".join(result.measured), result.word))
    (print_markdown if options.markdown else print_text)(rows)
    n_held = sum(result.held for result in results)
    print(f"{n_held} held, {len(results) - n_held} not")
    return 0 if n_held == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
