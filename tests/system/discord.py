#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A stand-in for Discord on 127.0.0.1, run in the network of a machine.

Usage: discord.py PORT FILE

Each message that is posted becomes a line of FILE when it was answered: {"at": seconds of the epoch,
"status": 204, "body": ...}; status 0: it was never answered. What it answers is told by PUT /, whose body
is a mode: take (204), hang (not before the next mode, and then not at all), slow (204 after 5 s),
500, or 429 (with Retry-After: 1).
"""

import http.server
import json
import sys
import threading
import time

SLOW = 5.0  # seconds


class Discord(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port, path):
        super().__init__(("127.0.0.1", port), Handler)
        self.mode = "take"
        self.changed = threading.Event()  # of this mode; another one has another
        self.lock = threading.Lock()
        self.file = open(path, "a", encoding="utf-8")

    def set_mode(self, mode):
        with self.lock:
            before, self.mode, self.changed = self.changed, mode, threading.Event()
        before.set()

    def keep(self, status, body):
        with self.lock:
            print(json.dumps({"at": time.time(), "status": status, "body": body}), file=self.file, flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"])).decode()

    def do_PUT(self):
        self.server.set_mode(self.body())
        self.answer(204)

    def do_POST(self):
        body = json.loads(self.body())
        with self.server.lock:
            mode, changed = self.server.mode, self.server.changed
        if mode == "hang":
            self.server.keep(0, body)
            changed.wait()
            self.close_connection = True
            return
        if mode == "slow":
            changed.wait(SLOW)
        status = int(mode) if mode.isdigit() else 204
        # Before the answer leaves: who is killed then has not got it, but it counts as taken.
        self.server.keep(status, body)
        self.answer(status, **({"Retry_After": "1"} if status == 429 else {}))

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    Discord(int(sys.argv[1]), sys.argv[2]).serve_forever()
