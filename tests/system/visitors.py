#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Visitors and writers on kept connections; runs in the network of the machine under test.

Usage: visitors.py FILE     codes on standard input, one a line; ends when standard input ends

One thread, one epoll. Each connection has one request under way, then a pause, so that the load is
steady and the client's own turn is short. Every request has an id of its own. FILE gets one line a
request: `start end kind status id what`, times of CLOCK_MONOTONIC; status 0 is no answer.

A visit whose kept connection was closed under it is sent again, as browsers do. A create is not: it may
have been done, and a second one would hide that it was done twice. It counts as not answered.
"""

import argparse
import heapq
import json
import os
import random
import re
import select
import socket
import sys
import time

LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)
DEADLINE = 10.0  # seconds until a request counts as not answered


class Client:
    """One connection, opened again when the server has closed it."""

    kind_name = None
    is_safe = False  # may be sent again when nobody knows whether it was done: GET and HEAD

    def __init__(self, load, number):
        self.load = load
        self.number = number
        self.n = 0
        self.sock = None
        self.is_used = False  # the connection has carried an answer already
        self.begin()

    def begin(self):
        self.kind, self.id, self.what = None, None, None
        self.request, self.data = b"", b""
        self.start = 0.0

    def make(self):
        raise NotImplementedError

    def go(self):
        """Sends the next request."""
        self.n += 1
        self.id = f"{self.load.tag}.{self.number}.{self.n}"
        self.request, self.data = self.make(), b""
        self.start = time.monotonic()
        self.send()

    def send(self):
        try:
            if self.sock is None:
                self.open()
            self.sock.sendall(self.request)
        except OSError:
            self.broken()

    def open(self):
        self.is_used = False
        self.sock = socket.create_connection(self.load.address, DEADLINE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.load.epoll.register(self.sock, select.EPOLLIN)
        self.load.clients[self.sock.fileno()] = self

    def drop(self):
        if self.sock is not None:
            self.load.epoll.unregister(self.sock)
            del self.load.clients[self.sock.fileno()]
            self.sock.close()
            self.sock = None

    def broken(self):
        """A kept connection that was closed is no failure of a request that is safe to send again."""
        again = self.is_safe and self.is_used and not self.data
        self.drop()
        if again:
            self.send()
        else:
            self.done(0)

    def readable(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data and self.id is None:
            self.drop()  # idle, and closed by the server
        elif not data:
            self.broken()
        else:
            self.data += data
            self.look()

    def look(self):
        head, blank, body = self.data.partition(b"\r\n\r\n")
        if not blank:
            return
        length = LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            if length is None:
                self.drop()
                self.done(int(head[9:12]))
            return
        self.is_used = True
        if b"\r\nConnection: close" in head:
            self.drop()
        self.answered(int(head[9:12]), body)

    def answered(self, status, _body):
        self.done(status)

    def done(self, status):
        self.load.record(self, status)
        self.begin()
        self.load.later(self)


class Visitor(Client):
    kind_name = "get"
    is_safe = True

    def make(self):
        self.what = random.choice(self.load.codes)
        return (f"GET /{self.what} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: booted\r\n"
                f"X-Request-Id: {self.id}\r\n\r\n").encode()  # fmt: skip


class Writer(Client):
    """Creates links; what names the link by its target, and by its code once it is known."""

    kind_name = "post"

    def make(self):
        self.what = f"https://example.org/{self.id}"
        body = json.dumps({"url": self.what})
        return (f"POST /urls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nX-Request-Id: {self.id}\r\n\r\n{body}").encode()  # fmt: skip

    def answered(self, status, body):
        if status == 201:
            self.what = f"{self.what} {json.loads(body)['short_code']}"
        self.done(status)


class Load:
    def __init__(self, options, codes, out):
        self.address = (options.host, options.port)
        self.tag = options.tag
        self.pause = options.pause
        self.codes = codes
        self.out = out
        self.epoll = select.epoll()
        self.clients = {}
        self.waiting = []  # (when, number, client): those that pause
        everyone = [Visitor(self, n) for n in range(options.visitors)]
        everyone += [Writer(self, n) for n in range(options.visitors, options.visitors + options.writers)]
        self.everyone = everyone

    def record(self, client, status):
        print(f"{client.start:.6f} {time.monotonic():.6f} {client.kind_name} {status} {client.id} {client.what}",
              file=self.out)  # fmt: skip

    def later(self, client):
        when = time.monotonic() + random.uniform(0.5, 1.5) * self.pause
        heapq.heappush(self.waiting, (when, client.number, client))

    def run(self):
        for client in self.everyone:
            self.later(client)
        self.epoll.register(sys.stdin, select.EPOLLIN)
        is_ended = False
        while not is_ended:
            is_ended = self.turn()
        while any(client.id is not None for client in self.everyone):  # those under way are waited for
            self.turn(go=False)

    def turn(self, go=True):
        now = time.monotonic()
        while go and self.waiting and self.waiting[0][0] <= now:
            heapq.heappop(self.waiting)[2].go()
        wait = max(0.0, self.waiting[0][0] - time.monotonic()) if go and self.waiting else 0.05
        for fd, _ in self.epoll.poll(min(wait, 0.05)):
            if fd == sys.stdin.fileno():
                self.epoll.unregister(fd)
                return True
            if fd in self.clients:
                self.clients[fd].readable()
        for client in self.everyone:
            if client.id is not None and now - client.start > DEADLINE:
                client.drop()
                client.done(0)
        return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--visitors", type=int, default=56)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.03)
    parser.add_argument("--tag", default=f"b{os.getpid()}")
    parser.add_argument("--codes", required=True)
    options = parser.parse_args()
    with open(options.codes, encoding="ascii") as file:
        codes = file.read().split()
    with open(options.file, "w", encoding="ascii", buffering=1 << 16) as out:
        Load(options, codes, out).run()


if __name__ == "__main__":
    main()
