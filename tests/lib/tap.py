# SPDX-License-Identifier: MIT
"""A relay between a proxy and an instance that reads along: one in, one out, and in order.

The proxy writes an X-Request-Id into each request, and the instance repeats it in the answer. So
whoever counts the requests of a connection wrongly, an answer has another id than its request, or
there is one without a request.
"""

import re
import socket

import harness
import swarm

FIELD = rb"(?im)^%s: ?([^\r\n]*)\r$"


def field(head, name):
    found = re.search(FIELD % name, head)
    return found.group(1) if found else None


def take_message(data, bodiless):
    """(head, what is behind the message); (None, data) when it is not whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None, data
    head = data[:end + 2]
    if field(head, b"Transfer-Encoding"):
        raise AssertionError(f"a proxy that buffers bodies sends no {head!r}")
    length = 0 if bodiless else int(field(head, b"Content-Length") or b"0")
    if len(data) < end + 4 + length:
        return None, data
    return head, data[end + 4 + length:]


class Pair:
    """One connection of the proxy's, and the one to the instance behind it."""

    def __init__(self, tap, near, number):
        self.tap, self.near, self.number = tap, near, number
        self.far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.far.connect(tap.instance)
        self.near_bytes = self.far_bytes = b""
        self.waiting = []  # (method, id) of requests without an answer
        self.open = True
        tap.loop.add(self.near, self.from_proxy)
        tap.loop.add(self.far, self.from_instance)

    def fault(self, text):
        self.tap.faults.append(f"connection {self.number}: {text}")

    def close(self):
        if self.open:
            self.open = False
            self.tap.loop.close(self.near)
            self.tap.loop.close(self.far)

    @staticmethod
    def forward(sock, data):
        try:
            sock.sendall(data)
        except OSError:
            pass  # the other end has gone: its end of file comes next, or came already

    def from_proxy(self):
        data = swarm.receive(self.near)
        if data is None:
            return
        if not data:
            self.close()  # what is unanswered, the proxy no longer wants
            return
        self.near_bytes += data
        head, self.near_bytes = take_message(self.near_bytes, False)
        while head:
            self.take_request(head)
            head, self.near_bytes = take_message(self.near_bytes, False)
        self.forward(self.far, data)

    def take_request(self, head):
        line = head.split(b"\r\n", 1)[0]
        ids = re.findall(FIELD % b"X-Request-Id", head)
        if len(ids) != 1:
            self.fault(f"the request ids {ids} in {head!r}")
            return
        self.waiting.append((line.split(b" ")[0], ids[0]))
        self.tap.requests.append((self, line, ids[0]))

    def from_instance(self):
        data = swarm.receive(self.far)
        if data is None:
            return
        if not data:
            if self.far_bytes:
                self.fault(f"an answer that is cut off: {self.far_bytes[:200]!r}")
            self.tap.loop.close(self.far)
            try:
                self.near.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return
        self.far_bytes += data
        while self.far_bytes:
            head, rest = take_message(self.far_bytes, self.waiting and self.waiting[0][0] == b"HEAD")
            if not head:
                break
            self.far_bytes = rest
            self.take_answer(head)
        self.forward(self.near, data)

    def take_answer(self, head):
        if head.startswith(b"HTTP/1.1 1"):
            return
        self.tap.n_answers += 1
        if not self.waiting:
            self.fault(f"an answer to nothing: {head!r}")
            return
        method, name = self.waiting.pop(0)
        # A head that was refused has no id that counts, but then nothing follows on its connection.
        refused = head[9:10] == b"4" and field(head, b"Connection") == b"close"
        if field(head, b"X-Request-Id") != name and not refused:
            self.fault(f"to {method!r} {name!r} the answer {head!r}")


class Tap:
    """Listens at path; instance: the Unix socket of the instance."""

    def __init__(self, loop, path, instance):
        self.loop, self.instance = loop, instance
        self.faults = []
        self.requests = []  # (connection, request line, id), in their order
        self.n_answers = 0
        self.n_connections = 0
        self.sock = harness.unix_listener(path)
        self.sock.setblocking(False)
        loop.add(self.sock, self.accept)

    def accept(self):
        while True:
            try:
                near, _ = self.sock.accept()
            except BlockingIOError:
                return
            self.n_connections += 1
            Pair(self, near, self.n_connections)

    def close(self):
        self.loop.close(self.sock)
