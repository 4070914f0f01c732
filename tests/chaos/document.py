#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts the experiments, and the result of a run, into docs/chaos-engineering.md.

Usage: tests/chaos/document.py [RESULT]      RESULT: what script/chaos --json wrote; without it only the experiments
       tests/chaos/document.py --check       whether the experiments in the document are those of the program
"""

import json
import sys
import textwrap
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "load"), str(HERE.parent / "system")]

import chaos
import experiments
from report import fill, table

DOCUMENT = HERE.parents[1] / "docs" / "chaos-engineering.md"


def described():
    for one in experiments.EXPERIMENTS:
        yield f"### {one.name}\n\n" + textwrap.fill(one.hypothesis, 118)
        lines = [one.cause or f"{one.crowd} connections more, which create without a pause, for {one.lasts:g} s"]
        if one.end:
            lines.append(f"# {one.lasts:g} s later\n{one.end}")
        yield "```\n" + "\n".join(lines) + "\n```"
        yield textwrap.fill("Refuted by: " + "; ".join(chaos.refuted_by(one)) + ".", 118)


def failed(one, kind):
    by_status = one[f"failed_{kind}_by_status"]
    return f"{one[f'failed_{kind}']}" + (f" ({', '.join(f'{status}: {n}' for status, n in by_status.items())})" if by_status else "")


def results(found):
    rows = [[f"`{one['name']}`", one["requests"], failed(one, "get"), failed(one, "post"), f"{one['longest_get_ms']:.0f}", f"{one['longest_post_ms']:.0f}",
             f"{one['recover_seconds']:.1f} s", f"{one['shipped_seconds']:.1f} s", one["visits_without_row"] + one["verify"]["lost"],
             one["visits_again"], one["verify"]["twice"], one["verify"]["shed"], "holds" if one["holds"] else "does not: " + "; ".join(one["against"])]
            for one in found["experiments"]]
    return table(["experiment", "requests", "visits failed", "creates failed", "longest visit ms", "longest create ms", "to recover", "all shipped after",
                  "visits lost", "again", "twice", "shed", "the hypothesis"], rows)


def where(found):
    load = ", ".join(f"{one['load_before']:g}" for one in found["experiments"])
    return textwrap.fill(f"`script/chaos` on {found['where']}, {found['cpus']} CPUs, {found['date'][:10]}. The machine's load average before each was {load}:"
                         " above the number of CPUs others had a share of the time, and latencies say more about them than about the service.", 118)


def main():
    if len(sys.argv) > 2 or "--help" in sys.argv:
        print(__doc__)
        sys.exit(0 if "--help" in sys.argv else 2)
    before = DOCUMENT.read_text(encoding="utf-8")
    text = fill(before, "experiments", "\n\n".join(described()))
    if "--check" in sys.argv:
        if text != before:
            print(f"docs/{DOCUMENT.name}: not what tests/chaos/document.py writes")
        sys.exit(text != before)
    if len(sys.argv) == 2:
        found = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        text = fill(text, "where", where(found))
        text = fill(text, "results", results(found))
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
