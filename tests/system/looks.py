# SPDX-License-Identifier: MIT
"""How the provisioned machine is looked at: units, HTTP, the store. For the checks, and for tests/chaos.

Whoever inherits from Looks has the Machine in the attribute machine.
"""

import json
import re

from machine import wait_for

INSTANCES = (1, 2, 3)


class Looks:
    # ---- units ----

    def pid(self, n):
        """The instance's process id as the machine has it; 0 if there is none."""
        return int(self.machine.property(f"shortener@{n}.service", "MainPID"))

    def is_active(self, unit):
        return self.machine.property(unit, "ActiveState") == "active"

    def wait_active(self, *units, seconds=20):
        for unit in units:
            wait_for(lambda u=unit: self.is_active(u), seconds, f"{unit} to be active")

    def wait_ready(self, *instances, seconds=20):
        for n in instances or INSTANCES:
            wait_for(lambda n=n: self.answer("/ready", port=5000 + n)[0] == 200, seconds, f"instance {n} to be ready")

    def start_all(self):
        """As it is meant to be; after a check that broke something."""
        self.machine.run("systemctl reset-failed 'shortener@*' 2>/dev/null; systemctl start shortener.target")
        self.wait_ready()

    # ---- HTTP ----

    def answer(self, path, *options, port=80):
        """Status, header fields in small letters, body."""
        done = self.machine.run(["curl", "-si", "--max-time", "15", *options, f"http://127.0.0.1:{port}{path}"],
                                check=False)  # fmt: skip
        if done.returncode != 0:
            return 0, {}, ""
        text = done.stdout
        while True:
            head, _, body = text.replace("\r\n", "\n").partition("\n\n")
            if not head.startswith("HTTP/1.1 100"):
                break
            text = body
        lines = head.split("\n")
        fields = dict(line.lower().split(": ", 1) if ": " not in line else
                      [line.split(": ", 1)[0].lower(), line.split(": ", 1)[1]] for line in lines[1:] if ":" in line)
        return int(lines[0].split(" ")[1]), fields, body

    def create(self, target="https://example.org/", port=80):
        status, _, body = self.answer("/urls", "-H", "Content-Type: application/json", "-d",
                                      json.dumps({"url": target}), port=port)  # fmt: skip
        if status != 201:
            raise AssertionError(f"POST /urls: {status} {body}")
        return json.loads(body)["short_code"]

    def codes(self, n=50):
        """Active codes of the sample data."""
        status, _, body = self.answer(f"/urls?is_active=true&per_page={n}")
        if status != 200:
            raise AssertionError(f"GET /urls: {status} {body}")
        return [url["short_code"] for url in json.loads(body)]

    def metric(self, n, line_start):
        _, _, body = self.answer("/metrics", port=5000 + n)
        for line in body.splitlines():
            if line.startswith(line_start):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    # ---- the store ----

    def store_url(self):
        config = self.machine.out("shortenerd --dump-config")
        return re.search(r"^\[Store\][^\[]*?^URL=(.*?)(?:\s*#.*)?$", config, re.MULTILINE | re.DOTALL)[1]

    def sql(self, statement):
        """Rows of columns, as text."""
        url = self.store_url()
        if url.startswith("sqlite:"):
            out = self.machine.out(["sqlite3", "-separator", "|", "-cmd", ".timeout 10000",
                                    url.removeprefix("sqlite:"), statement])  # fmt: skip
        else:
            out = self.machine.out(["runuser", "-u", "shortener", "--", "psql", "-XAtq", "-d", url, "-c", statement])
        return [line.split("|") for line in out.split("\n") if line]

    def wait_shipped(self, seconds=60):
        wait_for(lambda: all(self.metric(n, "shortener_clicks_pending ") == 0 for n in INSTANCES), seconds,
                 "all visits shipped")  # fmt: skip
