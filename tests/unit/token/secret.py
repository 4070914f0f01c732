#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No branch and no address depends on a token's secret: valgrind holds it to be undefined while the
unit test of the tokens runs. Not for a build with a sanitizer, whose program valgrind cannot run."""

import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import harness


@unittest.skipUnless(shutil.which("valgrind"), "valgrind is not installed")
class Secret(unittest.TestCase):
    def test_no_branch_on_it(self):
        program = os.path.join(harness.BUILD, "tests", "test-token-token")
        result = subprocess.run(["valgrind", "--error-exitcode=99", "-q", program], capture_output=True, text=True,
                                timeout=300)
        # One test of the program compares as one must not, to show that this would be seen.
        self.assertEqual(result.returncode, 99, result.stderr)
        self.assertIn("test_branch_on_a_secret (", result.stderr)
        self.assertNotIn("test_secret_is_not_branched_on", result.stderr)


if __name__ == "__main__":
    harness.main()
