#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script/server and script/smoke as a newcomer runs them: from another folder, twice, with two
instances on one store; stopped by Ctrl-C, after which nothing of them runs any more."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START = 600  # seconds: it builds


def free_ports(n):
    """The first of n ports in a row that nobody listens on."""
    for first in range(18080, 28080, n):
        try:
            sockets = [socket.create_server(("127.0.0.1", first + i)) for i in range(n)]
        except OSError:
            continue
        for opened in sockets:
            opened.close()
        return first
    raise OSError("no ports are free")


class Server:
    """A running script/server; its output up to the line that says how to stop it."""

    def __init__(self, *arguments):
        command = [ROOT / "script/server", *arguments]
        # A session of its own stands for the terminal: Ctrl-C reaches the whole group.
        self.process = subprocess.Popen(
            command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, errors="replace",
        )  # fmt: skip
        watchdog = signal.signal(signal.SIGALRM, lambda *_: os.killpg(self.process.pid, 9))
        signal.alarm(START)
        self.output = ""
        for line in self.process.stdout:
            self.output += line
            if line.startswith("Ctrl-C"):
                break
        signal.alarm(0)
        signal.signal(signal.SIGALRM, watchdog)

    def interrupt(self):
        """Ctrl-C; its exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.output += self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(timeout=30)


class Scripts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="test-server-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(self.remove_run)
        self.port = free_ports(2)
        self.arguments = [f"--port={self.port}", f"--store=sqlite:{self.folder}/links.db"]

    def remove_run(self):
        """The folder that script/server made below build/run for the test's store."""
        for config in ROOT.glob("build/run/*/shortener.conf"):
            if self.folder in config.read_text(encoding="utf-8"):
                shutil.rmtree(config.parent)

    def get(self, port, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def smoke(self, port):
        command = [ROOT / "script/smoke", f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\n\d+ passed, 0 failed\n\Z")

    def test_server(self):
        server = Server(*self.arguments, "--instances", "2")
        self.assertIn(f"Serving on http://127.0.0.1:{self.port}\n", server.output, server.output)
        self.assertIn(f"Serving on http://127.0.0.1:{self.port + 1}\n", server.output)
        self.assertIn('"id":2000', self.get(self.port, "/urls/2000"))
        self.smoke(self.port)
        self.assertIn('"id":2001', self.get(self.port + 1, "/urls/2001"))
        self.assertEqual(server.interrupt(), 0, server.output)
        self.assertRaises(OSError, self.get, self.port, "/health")

        # Again, on the store that is there: it is neither seeded again nor emptied.
        server = Server(*self.arguments)
        self.assertIn('"id":2001', self.get(self.port, "/urls/2001"), server.output)
        self.smoke(self.port)
        self.assertEqual(server.interrupt(), 0, server.output)
        self.assertRaises(OSError, self.get, self.port, "/health")

    def test_port_is_taken(self):
        with socket.create_server(("127.0.0.1", self.port)):
            server = Server(*self.arguments)
            self.assertEqual(server.process.wait(timeout=30), 1)
            server.process.stdout.close()
        self.assertIn(f"port {self.port} is taken", server.output)

    def test_usage(self):
        for arguments in (["--port"], ["--port", "x"], ["--instances=0"], ["--odd"]):
            command = [ROOT / "script/server", *arguments]
            done = subprocess.run(command, capture_output=True, check=False, timeout=60)
            self.assertIn(done.returncode, (1, 2), arguments)


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
