#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The requests of hostile.json whole and cut at every byte, direct and behind the nginx site that is
shipped: one answer each, the same wherever it is cut, and never one in and two out.

Each goes out in three ways: whole; its first n bytes, and when these were read the rest; its first n
bytes, and then the end. A marked good request follows, in the same bytes and so on the same
connection where that stays open: it must be answered as what it is, or not at all where the case
closes. A request that is not whole has no answer but its refusal. Between nginx and the instance a
tap reads along, see tap.py.

Cases of more than LONG bytes are long by repetition: a cut is left out when the bytes around it are
those around an earlier one. Those of more than HUGE bytes are test_hostile.py's alone.
"""

import collections
import os
import re
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness
import run_hostile
import swarm
import tap

if shutil.which("nginx"):
    import nginx

LONG, HUGE = 500, 32768  # bytes
AROUND = 6  # bytes on either side of a cut
REFUSED = 300  # requests at least that are malformed or smuggle, no two the same
MARK = (b"GET /health HTTP/1.1\r\nHost: a.example\r\nX-Request-Id: marked\r\n"
        b"Connection: close\r\n\r\n")
# A request that nginx answers alone.
NO_HOST = b"GET / HTTP/1.1\r\n\r\n"
BARE_ERROR = b'{"error":"Bad request"}\n'  # how nginx answers HTTP/0.9
# May be said before a request is whole; and nginx does not wait for the body of a TRACE.
EARLY = {400, 408, 413, 414, 417, 431, 501, 505}
EARLY_NGINX = EARLY | {405}


def load():
    cases = []
    with open(run_hostile.CASES) as file:
        for case in run_hostile.json.load(file):
            case["data"] = run_hostile.case_bytes(case)
            if len(case["data"]) <= HUGE:
                case["ends"] = ends(case["data"])
                cases.append(case)
    different = {case["data"] for case in cases if min(case["expect"]) >= 400}
    assert len(different) >= REFUSED, f"{len(different)} requests that are refused, not {REFUSED}"
    return cases


def cuts(data):
    if len(data) <= LONG:
        return range(1, len(data))
    seen = {}
    for at in range(1, len(data)):
        seen.setdefault(data[max(at - AROUND, 0):at + AROUND], at)
    return sorted(seen.values())


def chunked_end(data, at):
    """Behind the last chunk and its trailers; None when they are not there or no chunks."""
    while True:
        size = re.compile(rb"([0-9A-Fa-f]{1,16})[^\r\n]*\r\n").match(data, at)
        if not size:
            return None
        if int(size.group(1), 16) == 0:
            last = re.compile(rb"([^\r\n]+\r\n)*\r\n").match(data, size.end())
            return last.end() if last else None
        at = size.end() + int(size.group(1), 16) + 2


def ends(data):
    """Where its requests end, as one sees it who takes bare LF too: what nothing is answered before."""
    result, at = [], 0
    while True:
        at = re.compile(rb"(\r?\n)*").match(data, at).end()
        head = re.compile(rb"(?s).*?\n\r?\n").match(data, at)
        if not head:
            return result
        at = head.end()
        length = re.search(rb"(?im)^content-length:[ \t]*(\d+)[ \t]*\r?$", head.group())
        if re.search(rb"(?im)^transfer-encoding:[ \t]*chunked[ \t]*\r?$", head.group()):
            at = chunked_end(data, at)
        elif length:
            at += int(length.group(1))
        if at is None or at > len(data):
            return result
        result.append(at)


def parse(received, heads):
    """The answers; heads: the places of those to HEAD. A body alone is one of HTTP/0.9."""
    answers = []
    if received[:1] == b"{":
        return [run_hostile.Answer(400, {"connection": "close"}, received)]
    while received:
        end = received.find(b"\r\n\r\n")
        first, *lines = received[:end].decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.1 (\d{3}) [ -~]*", first)
        if end < 0 or not found:
            raise run_hostile.Failure(f"no answer: {received[:200]!r}")
        status, fields = int(found.group(1)), {}
        received = received[end + 4:]
        if status < 200:
            continue
        for line in lines:
            name, _, value = line.partition(": ")
            if name.lower() in fields:
                raise run_hostile.Failure(f"a field twice: {line!r}")
            fields[name.lower()] = value
        length = 0 if len(answers) in heads or status == 204 else int(fields["content-length"])
        if len(received) < length:
            raise run_hostile.Failure(f"a body of {len(received)} bytes of {length}")
        answers.append(run_hostile.Answer(status, fields, received[:length]))
        received = received[length:]
    return answers


class Judge:
    """What is wrong with answers. proxied: nginx stands in front."""

    def __init__(self, proxied):
        self.proxied = proxied
        self.known = {}  # case's name -> statuses of its answers, as sent whole

    def expected(self, case):
        """(statuses of the first answer, how many answers, does it close)"""
        if self.proxied and "nginx" in case:
            return case["nginx"]["expect"], case["nginx"]["answers"], case["nginx"]["closes"]
        return case["expect"], case["answers"], case["closes"]

    def answers(self, case, received):
        heads = case.get("heads", [])
        answers = parse(received, heads)
        if self.proxied and received == BARE_ERROR:
            return answers
        for place, answer in enumerate(answers):
            if self.proxied:
                answer.fields.pop("server", None)
            run_hostile.check_answer(answer, place in heads)
        return answers

    def whole(self, case, exchange):
        expect, n, closes = self.expected(case)
        answers = self.answers(case, exchange.received)
        statuses = [a.status for a in answers]
        if statuses[:1] and statuses[0] not in expect:
            raise run_hostile.Failure(f"{statuses}, not {expect} first: {answers[0].body[:100]!r}")
        if len(answers) != n + (not closes):
            raise run_hostile.Failure(f"{statuses}: not {n} and {'nothing' if closes else 'the marked one'}")
        if answers[-1].fields.get("connection") != "close":
            raise run_hostile.Failure(f"{statuses}: closes without saying so")
        marked = [a.fields.get("x-request-id") for a in answers].count("marked")
        if marked != (not closes) or (marked and (answers[-1].fields["x-request-id"], statuses[-1]) != ("marked", 200)):
            raise run_hostile.Failure(f"{statuses}, {marked} of them with the mark, closes: {closes}")
        if self.known.setdefault(case["name"], statuses) != statuses:
            raise run_hostile.Failure(f"{statuses}, whole {self.known[case['name']]}")

    def part(self, case, exchange):
        answers = self.answers(case, exchange.received)
        statuses = [a.status for a in answers]
        if self.known[case["name"]][:len(statuses)] != statuses:
            raise run_hostile.Failure(f"{statuses}, whole {self.known[case['name']]}")
        early = EARLY_NGINX if self.proxied else EARLY
        n = sum(end <= len(exchange.first) for end in case["ends"])
        for answer in answers[n:]:
            if answer is not answers[-1] or answer.fields.get("connection") != "close" or answer.status not in early:
                raise run_hostile.Failure(f"{statuses}, and {n} requests are whole")


def whole(cases):
    for case in cases:
        yield swarm.Exchange(case["data"] + MARK, b"", (case, "whole"))


def in_two(cases):
    for case in cases:
        for at in cuts(case["data"]):
            yield swarm.Exchange(case["data"][:at], case["data"][at:] + MARK, (case, f"cut at {at}"))


def broken_off(cases):
    for case in cases:
        for at in cuts(case["data"]):
            yield swarm.Exchange(case["data"][:at], None, (case, f"ends after {at}"))


class Ways:
    """A subclass has cases, judge, swarm."""

    def play(self, exchanges, check):
        """Returns how many there were."""
        failures, n = collections.defaultdict(list), 0
        for exchange in self.swarm.run(exchanges):
            case, way = exchange.about
            n += 1
            try:
                check(case, exchange)
            except run_hostile.Failure as failure:
                failures[case["name"]].append(f"{case['name']}, {way}: {failure}")
        self.assertFalse(failures, f"{len(failures)} cases:\n" + "\n".join(f[0] for f in failures.values()))
        return n

    def play_every_byte(self):
        self.play(whole(self.cases), self.judge.whole)
        n = self.play(in_two(self.cases), self.judge.whole)
        n += self.play(broken_off(self.cases), self.judge.part)
        print(f"{type(self).__name__}: {len(self.cases)} cases whole, {n} pieces", flush=True)
        self.check_tap()

    def check_tap(self):
        """Nothing stands between."""


class Direct(Ways, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cases, cls.judge = load(), Judge(False)
        cls.service = harness.Service()
        path = os.path.join(cls.service.folder, "socket")
        cls.instance = cls.service.start(path=path)
        cls.swarm = swarm.Swarm(swarm.Loop(), path, MARK)

    @classmethod
    def tearDownClass(cls):
        cls.service.close()

    def test_every_byte(self):
        self.play_every_byte()


def keep_writes(text, n):
    """The upstream of writes is the last one, and without keepalive."""
    end = text.rindex("}")
    return f"{text[:end]}    keepalive {n};\n{text[end:]}"


class Proxied(Ways):
    """Behind nginx. A subclass edits the text of shortener-upstream.conf, or leaves it as it is."""

    @staticmethod
    def upstream(text):
        return text

    @classmethod
    def setUpClass(cls):
        if not shutil.which("nginx"):
            raise unittest.SkipTest("nginx is not installed")
        cls.cases, cls.judge = load(), Judge(True)
        cls.service = harness.Service()
        folder = cls.service.folder
        cls.instance = cls.service.start(path=os.path.join(folder, "instance"))
        loop = swarm.Loop()
        cls.tap = tap.Tap(loop, os.path.join(folder, "shortener-1.sock"), os.path.join(folder, "instance"))
        upstream = cls.service.ctl("nginx-upstream", "1").stdout
        cls.nginx = nginx.Site(os.path.join(folder, "nginx"), "sites-available/shortener", cls.upstream(upstream),
                               {"unix:/run/": f"unix:{folder}/"})
        cls.swarm = swarm.Swarm(loop, ("127.0.0.1", cls.nginx.ports[0]), NO_HOST)

    @classmethod
    def tearDownClass(cls):
        cls.nginx.stop()
        cls.tap.close()
        cls.service.close()

    def check_tap(self):
        self.assertEqual(self.tap.faults, [])
        self.assertGreater(self.tap.n_answers, len(self.cases))
        print(f"{type(self).__name__}: {len(self.tap.requests)} requests on {self.tap.n_connections} connections", flush=True)


class Shipped(Proxied, unittest.TestCase):
    def test_whole(self):
        self.play(whole(self.cases), self.judge.whole)
        self.check_tap()


class Kept(Proxied, unittest.TestCase):
    """Writes keep their connections too, which makes it harder than the site does."""

    @staticmethod
    def upstream(text):
        return keep_writes(text, 64)

    def test_every_byte(self):
        self.play_every_byte()


class OneConnection(Proxied, unittest.TestCase):
    """nginx keeps one connection for reads and one for writes, so what follows a case follows it there."""

    @staticmethod
    def upstream(text):
        return keep_writes(text.replace("keepalive 64;", "keepalive 1;"), 1)

    def follow(self, case):
        before = len(self.tap.requests)
        self.play(whole([case]), self.judge.whole)
        used = {connection for connection, _, _ in self.tap.requests[before:] if connection.open}
        before = len(self.tap.requests)
        for method in ("GET", "OPTIONS"):
            exchange = swarm.Exchange(MARK.replace(b"GET", method.encode()), b"", method)
            for answer in self.judge.answers({}, next(self.swarm.run([exchange])).received):
                self.assertEqual((answer.status, answer.fields["x-request-id"]), (200, "marked"), case["name"])
        followed = {connection for connection, _, _ in self.tap.requests[before:]}
        self.assertEqual(len(self.tap.requests) - before, 2, case["name"])
        self.assertLessEqual(used, followed, case["name"])
        return len(used)

    def test_what_follows_on_the_same_connection(self):
        n = sum(self.follow(case) for case in self.cases)
        self.assertGreater(n, len(self.cases) // 2)
        self.check_tap()
        print(f"OneConnection: {n} connections went on behind a case", flush=True)


if __name__ == "__main__":
    harness.main()
