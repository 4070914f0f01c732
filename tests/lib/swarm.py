# SPDX-License-Identifier: MIT
"""Many connections at once on one thread: what is sent in one or two segments, what comes back.

A Loop watches sockets; a Swarm sends exchanges over new connections, hundreds together. The second
segment leaves when the peer has read the first: epoll hands out what became ready in its order, so a
peer that has answered a request that was sent behind all first segments has read these before. On
Unix sockets the kernel is asked as well.
"""

import fcntl
import select
import socket
import struct
import termios
import time

import harness

WIDTH = 200  # exchanges at once
CLOSE = b"\r\nConnection: close\r\n"
SECONDS = 20  # for all of them; nothing here waits for a time limit of the service


def receive(sock):
    """What is there; b"": the end; None: nothing (an event may be that of an earlier descriptor's)."""
    try:
        return sock.recv(262144, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


class Loop:
    def __init__(self):
        self.epoll = select.epoll()
        self.handlers = {}

    def add(self, sock, handler):
        """handler() is called when the socket is readable or has ended."""
        self.handlers[sock.fileno()] = handler
        self.epoll.register(sock.fileno(), select.EPOLLIN)

    def close(self, sock):
        if self.handlers.pop(sock.fileno(), None):
            self.epoll.unregister(sock.fileno())
        sock.close()

    def run_until(self, condition, what):
        end = time.monotonic() + SECONDS * harness.SLOW
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"timed out: {what()}")
            for fd, _ in self.epoll.poll(left):
                handler = self.handlers.get(fd)
                if handler:
                    handler()


class Exchange:
    """first, and then rest in a segment of its own ("": there is none; None: the end of what is sent)."""

    def __init__(self, first, rest, about):
        self.first, self.rest, self.about = first, rest, about
        self.received = b""
        self.sock = None


class Swarm:
    """address: of a Unix socket (str) or TCP; barrier: a request whose answer the peer gives alone,
    and closes."""

    def __init__(self, loop, address, barrier):
        self.loop, self.address, self.barrier = loop, address, barrier
        self.unix = isinstance(address, str)
        self.n_open = 0

    def connect(self):
        if self.unix:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Closed behind the peer's end of file: a reset instead of a port that is taken for a minute.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.settimeout(SECONDS * harness.SLOW)
        sock.connect(self.address)
        return sock

    @staticmethod
    def send(sock, data):
        try:
            sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused, and more than is dropped: what was answered is still there to read

    @staticmethod
    def end(sock):
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer was faster

    @staticmethod
    def unread(sock):
        """Bytes that the peer has not read; of a Unix socket."""
        return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]

    def wait_until_read(self, exchanges):
        with self.connect() as sock:
            sock.sendall(self.barrier)
            while sock.recv(65536):
                pass
        if self.unix:
            harness.wait_for(lambda: not any(self.unread(e.sock) for e in exchanges), SECONDS, "segments to be read", 0.001)

    def receive(self, exchange):
        data = receive(exchange.sock)
        if data is None:
            return
        exchange.received += data
        if not data:
            self.loop.close(exchange.sock)
            self.n_open -= 1
        elif CLOSE in data:
            self.end(exchange.sock)  # nginx waits five seconds for it otherwise

    def run_together(self, exchanges):
        for exchange in exchanges:
            exchange.sock = self.connect()
            self.send(exchange.sock, exchange.first)
            self.n_open += 1
        if any(e.rest for e in exchanges):
            self.wait_until_read(exchanges)
        for exchange in exchanges:
            if exchange.rest is None:
                self.end(exchange.sock)
            elif exchange.rest:
                self.send(exchange.sock, exchange.rest)
            self.loop.add(exchange.sock, lambda e=exchange: self.receive(e))
        self.loop.run_until(lambda: self.n_open == 0,
                            lambda: [(e.about, e.received[:200]) for e in exchanges if e.sock.fileno() >= 0][:3])

    def run(self, exchanges):
        """exchanges: an iterable; yields each with what was received up to the peer's end of file."""
        together = []
        for exchange in exchanges:
            together.append(exchange)
            if len(together) == WIDTH:
                self.run_together(together)
                yield from together
                together = []
        if together:
            self.run_together(together)
            yield from together
