#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The requests of hostile.json against a service of their own; see run_hostile.py."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import run_hostile


CASES = 300  # at least: what was promised


def main():
    with harness.Service() as service:
        passed, failed = run_hostile.run("127.0.0.1", service.start().port)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or passed < CASES else 0)


if __name__ == "__main__":
    main()
