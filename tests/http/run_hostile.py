#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sends the requests of hostile.json to a running service and checks what comes back.

Usage: run_hostile.py HOST PORT [NAME...]

Each case goes out whole, in two pieces cut at several places, and short ones byte by byte. Checked
are the status of the first answer, the number of answers, and whether the connection is closed or
answers a following GET /health. Every answer must have the fields that each answer has, an error a
JSON text, and none a Location. Prints what failed; the last line is `N passed, N failed`.

A case of hostile.json has a name; the bytes as raw (text), raw_hex, or parts ([text, times]...);
expect, the statuses that the first answer may have; answers, how many there are; closes; heads, the
places of those without a body because HEAD asked. "parser": false means that it is not the parser
that refuses it; nginx, what of these is otherwise behind nginx, which refuses some and mends others
(test_smuggling.py). Interim answers (1xx) do not count.
"""

import json
import os
import re
import select
import socket
import sys
import time

CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile.json")
SECONDS = 10 * (4 if os.environ.get("SHORTENER_SLOW") else 1)  # for all of one exchange
PAUSE = 0.002  # between two pieces, so that the service reads them apart
SHORT = 160  # bytes that are also sent one by one
LONG = 4096  # bytes beyond which one cut is enough
FOLLOWING = b"GET /health HTTP/1.1\r\nHost: a.example\r\nX-Request-Id: following\r\n\r\n"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Failure(Exception):
    pass


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body


class Peer:
    """One connection: sends pieces and reads answers at the same time."""

    def __init__(self, address):
        self.sock = socket.create_connection(address, timeout=SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.received = b""
        self.ended = False
        self.deadline = time.monotonic() + SECONDS

    def close(self):
        self.sock.close()

    def wait(self, writing):
        left = self.deadline - time.monotonic()
        ready = select.select([self.sock], [self.sock] if writing else [], [], max(left, 0))
        if not ready[0] and not ready[1]:
            raise Failure(f"nothing happened for {SECONDS} s; received {self.received[:200]!r}")
        return ready

    def receive(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        self.received += data
        self.ended = self.ended or not data

    def send(self, data):
        """Until all is sent or the service will read no more; it may answer early."""
        while data and not self.ended:
            readable, writable, _ = self.wait(True)
            if readable:
                self.receive()
            if writable:
                try:
                    data = data[self.sock.send(data):]
                except ConnectionError:
                    return

    def read_until(self, condition):
        while not condition() and not self.ended:
            self.wait(False)
            self.receive()

    def take(self, n):
        self.read_until(lambda: len(self.received) >= n)
        if len(self.received) < n:
            raise Failure(f"the connection ended within an answer: {self.received[:200]!r}")
        data, self.received = self.received[:n], self.received[n:]
        return data

    def answer(self, to_head):
        """The next final answer; None when the connection ends in place of it."""
        self.read_until(lambda: b"\r\n\r\n" in self.received)
        if not self.received:
            return None
        end = self.received.find(b"\r\n\r\n")
        head = self.take(end + 4 if end >= 0 else len(self.received) + 1).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        found = re.fullmatch(r"HTTP/1\.1 (\d{3}) [ -~]+", first)
        if not found:
            raise Failure(f"not a status line: {first!r}")
        status = int(found.group(1))
        if status < 200:
            return self.answer(to_head)
        fields = {}
        for line in lines:
            name, colon, value = line.partition(": ")
            if not colon or name.lower() in fields:
                raise Failure(f"an odd field in an answer: {line!r}")
            fields[name.lower()] = value
        length = 0 if to_head or status in (204, 304) else int(fields.get("content-length", "-1"))
        if length < 0:
            raise Failure("an answer without Content-Length")
        return Answer(status, fields, self.take(length))


def check_answer(answer, to_head):
    fields = answer.fields
    for name in ("date", "x-request-id", "x-content-type-options"):
        if name not in fields:
            raise Failure(f"{answer.status} without {name}")
    if not REQUEST_ID.fullmatch(fields["x-request-id"]):
        raise Failure(f"X-Request-Id {fields['x-request-id']!r}")
    for name in ("server", "location"):
        if name in fields:
            raise Failure(f"{answer.status} with {name}: {fields[name]!r}")
    if answer.status == 405 and "allow" not in fields:
        raise Failure("405 without Allow")
    if answer.status >= 500 and answer.status not in (501, 505):
        raise Failure(f"{answer.status}: {answer.body!r}")
    if answer.status >= 400 and not to_head:
        try:
            good = list(json.loads(answer.body)) == ["error"]
        except ValueError:
            good = False
        if not good:
            raise Failure(f"{answer.status} with the body {answer.body[:200]!r}")


def case_bytes(case):
    if "raw" in case:
        return case["raw"].encode("latin-1")
    if "raw_hex" in case:
        return bytes.fromhex(case["raw_hex"])
    return b"".join(text.encode("latin-1") * times for text, times in case["parts"])


def check_end(peer, case, last):
    """Behind the last answer: closed, or still good for a request, and nothing else."""
    if not case["closes"]:
        peer.send(FOLLOWING)
        answer = peer.answer(False)
        if not answer:
            raise Failure("the connection does not answer a following request")
        if answer.status != 200 or answer.fields.get("x-request-id") != "following":
            raise Failure(f"in place of a following request's: {answer.status} {answer.fields}")
    else:
        if last.fields.get("connection") != "close":
            raise Failure("closes without saying so")
        peer.read_until(lambda: peer.received)
    if peer.received:
        raise Failure(f"more than {case['answers']} answers: {peer.received[:200]!r}")


def run_way(address, case, pieces):
    peer = Peer(address)
    try:
        for i, piece in enumerate(pieces):
            if i > 0 and len(pieces) == 2:
                time.sleep(PAUSE)
            peer.send(piece)
        for i in range(case["answers"]):
            to_head = i in case.get("heads", [])
            answer = peer.answer(to_head)
            if not answer:
                raise Failure(f"{i} answers instead of {case['answers']}")
            if i == 0 and answer.status not in case["expect"]:
                raise Failure(f"{answer.status}, not one of {case['expect']}: {answer.body[:200]!r}")
            check_answer(answer, to_head)
        check_end(peer, case, answer)
    finally:
        peer.close()


def ways(data):
    """(what it is called, pieces)"""
    yield "whole", [data]
    head = data.find(b"\r\n\r\n")
    cuts = {1, len(data) // 2, len(data) - 1, head + 2, head + 4}
    if len(data) > LONG:
        cuts = {len(data) // 2}
    for cut in sorted(cut for cut in cuts if 0 < cut < len(data)):
        yield f"cut at {cut} of {len(data)}", [data[:cut], data[cut:]]
    if len(data) <= SHORT:
        yield "byte by byte", [data[i:i + 1] for i in range(len(data))]


def run(host, port, names=()):
    """Returns how many cases passed and how many failed."""
    with open(CASES) as file:
        cases = [case for case in json.load(file) if not names or case["name"] in names]
    failed = 0
    for case in cases:
        failures = []
        for way, pieces in ways(case_bytes(case)):
            try:
                run_way((host, port), case, pieces)
            except (Failure, OSError) as failure:
                failures.append(f"{way}: {failure}")
        for text in failures[:2]:
            print(f"FAILED {case['name']}, {text}", flush=True)
        failed += bool(failures)
    return len(cases) - failed, failed


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.split("\n\n")[1])
    passed, failed = run(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
