#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What POST /urls costs, second by second, on SQLite: for docs/bottleneck-report.md.

usage: creates.py [--seconds N] [--connections N] [--workers N,N...] [FOLDER...]

For each folder and number of workers a fresh store there and one instance, which is asked as fast as it answers; a
line each five seconds. With FOLDER in memory (/dev/shm) the disk is out of it; with the same on a disk, it is in.
Reads, writes and CPU for a create say something also on a busy machine, creates a second do not. SHORTENER_BUILD: the
build's folder.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import harness

STEP = 5  # seconds
COLUMNS = ("after s", "creates/s", "reads", "KiB", "writes", "KiB", "CPU us", "store MiB")


def used(pid):
    """(reads, bytes read, writes, bytes written, CPU seconds) of a process so far."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        fields = dict(line.split(": ") for line in file)
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        ticks = file.read().rsplit(")", 1)[1].split()[11:13]
    counts = [int(fields[name]) for name in ("syscr", "rchar", "syscw", "wchar")]
    return [*counts, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")]


def step(instance, connections):
    """Creates of one step, and what each took."""
    before = used(instance.process.pid)
    command = [os.path.join(harness.BUILD, "tests", "open-load"), str(instance.port), "create", "0", str(STEP), str(connections)]
    load = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    after = used(instance.process.pid)
    if set(load["statuses"]) != {"201"}:
        raise AssertionError(load)
    n = load["statuses"]["201"]
    return n, [(b - a) / n for a, b in zip(before, after)]


def measure(arguments, workers):
    with harness.Service() as service:
        instance = service.start(options=["Limits.Create=off", f"Server.Workers={workers}"])
        for second in range(STEP, arguments.seconds + 1, STEP):
            n, (reads, read, writes, written, cpu) = step(instance, arguments.connections)
            size = os.path.getsize(service.database) / 2**20
            print(f"{second:>9}{n / STEP:>11.0f}{reads:>11.1f}{read / 1024:>11.1f}{writes:>11.1f}{written / 1024:>11.1f}"
                  f"{cpu * 1e6:>11.0f}{size:>11.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("folders", nargs="*", default=[tempfile.gettempdir()])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workers", default="4")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        tempfile.tempdir = folder
        for workers in arguments.workers.split(","):
            print(f"{folder}, {workers} workers; reads, writes and CPU are of one create")
            print("".join(f"{name:>{9 if i == 0 else 11}}" for i, name in enumerate(COLUMNS)))
            measure(arguments, int(workers))


if __name__ == "__main__":
    main()
