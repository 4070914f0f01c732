# SPDX-License-Identifier: MIT
"""A private redis-server: own folder, a Unix socket and no port, ended by its pid."""

import contextlib
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

import harness

CONFIGURATION = """
port {port}
bind 127.0.0.1
unixsocket {folder}/socket
unixsocketperm 700
dir {folder}
daemonize no
databases 4
save ""
appendonly no
dbfilename dump.rdb
loglevel warning
logfile {folder}/log
{extra}
"""


def why_not():
    """None, or why no server can be started here."""
    path = os.environ.get("PATH", "") + ":/usr/bin:/usr/local/bin"
    return None if shutil.which("redis-server", path=path) else "redis-server is not installed"


def age_page(service, seconds=None):
    """As if no link had changed on the service's host for hours: Redis may be asked for all of them. Or only for so
    many seconds."""
    moved = 0 if seconds is None else int((time.clock_gettime(time.CLOCK_BOOTTIME) - seconds) * 1e6)
    with open(os.path.join(service.runtime, "page"), "r+b") as file, mmap.mmap(file.fileno(), 0) as page:
        struct.pack_into("<Q", page, 136, moved or 1)  # when the epoch moved
        for counter in range(65536):
            struct.pack_into("<Q", page, 4096 + 16 * counter + 8, moved)


class RedisError(Exception):
    """What the server answered with a minus."""


class Redis:
    """extra: further lines of its configuration. tcp: also a free port of 127.0.0.1."""

    def __init__(self, folder, extra="", tcp=False):
        self.folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.port = self.free_port() if tcp else 0
        self.socket = os.path.join(folder, "socket")
        self.url = "unix:" + self.socket
        self.path = os.path.join(folder, "redis.conf")
        self.extra = extra
        self.process = None
        self.start()

    @staticmethod
    def free_port():
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            return sock.getsockname()[1]

    def start(self):
        """Also after a stop or a kill: a dump.rdb in its folder is loaded."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        with open(self.path, "w") as file:
            file.write(CONFIGURATION.format(folder=self.folder, port=self.port, extra=self.extra))
        self.process = subprocess.Popen(["redis-server", self.path], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for(self.answers, 20, "redis-server to answer")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"redis-server exited {self.process.returncode}: {self.log()}")
        with contextlib.suppress(OSError, RedisError):
            return self.command("PING") == b"PONG"
        return False

    def log(self):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.folder, "log")) as file:
            return file.read()
        return ""

    def command(self, *words, timeout=10):
        """One command over a connection of its own; bytes, int, None or a list of these."""
        return self.commands(words, timeout=timeout)[0]

    def commands(self, *commands, timeout=10):
        """Several at once; their answers."""
        data = b""
        for words in commands:
            parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
            data += b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout * harness.SLOW)
            sock.connect(self.socket)
            sock.sendall(data)
            with sock.makefile("rb") as file:
                return [self.read(file) for _ in commands]

    def read(self, file):
        line = file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis-server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        n = int(rest)
        if n < 0:
            return None
        if kind == b"*":
            return [self.read(file) for _ in range(n)]
        return file.read(n + 2)[:-2]

    def keys(self):
        return sorted(self.command("KEYS", "*"))

    def signal(self, number):
        os.kill(self.process.pid, number)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        if self.process is None or self.process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
            self.signal(signal.SIGTERM)
        try:
            self.process.wait(10 * harness.SLOW)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
