# SPDX-License-Identifier: MIT
"""What the fault tests ask of a process under pressure: its descriptors, memory and processor time, and
whether it answers /health meanwhile."""

import contextlib
import os
import socket
import struct
import threading
import time

import harness

TICKS = os.sysconf("SC_CLK_TCK")


def n_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid, name=None):
    """Of the process, or of its threads of that name."""
    total, n = 0, 0
    folder = f"/proc/{pid}/task"
    for thread in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError), open(f"{folder}/{thread}/stat") as file:
            comm, _, rest = file.read().partition("(")[2].rpartition(")")
            fields = rest.split()
            if name in (None, comm):
                n += 1
                total += int(fields[11]) + int(fields[12])
    assert n, f"no thread {name}"
    return total / TICKS


def cpu_nsec(pid, name):
    """Of its threads of that name, more exactly."""
    total, n = 0, 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm") as comm, open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
            if comm.read().strip() == name:
                n += 1
                total += int(stat.read().split()[0])
    assert n, f"no thread {name}"
    return total


def memory(pid, key="Private_Dirty"):
    """Bytes."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return [int(line.split()[1]) * 1024 for line in file if line.startswith(key + ":")][0]


def connect(port, timeout=15):
    sock = socket.create_connection(("127.0.0.1", port), timeout * harness.SLOW)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def reset(sock):
    """Ends it by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_answer(sock):
    """The head of an answer and what came with it; b"": the peer has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(65536)
        if not chunk:
            break
        data += chunk
    return data


class Background(threading.Thread):
    """Runs until the block is left."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(30 * harness.SLOW)
        assert not self.is_alive(), "an answer hangs"


class Asker(Background):
    """Asks an instance again and again; keeps how long each answer took."""

    PAUSE = 0.02  # seconds
    GOOD = 200    # the status

    def __init__(self, instance):
        super().__init__()
        self.instance = instance
        self.latencies = []
        self.bad = []  # other answers, and connections that broke

    def ask(self):
        """The status of one answer."""
        raise NotImplementedError

    def run(self):
        while not self.ended.is_set():
            start = time.monotonic()
            try:
                status = self.ask()
                if status != self.GOOD:
                    self.bad.append(status)
            except OSError as error:
                self.bad.append(repr(error))
            self.latencies.append(time.monotonic() - start)
            self.ended.wait(self.PAUSE)


class Health(Asker):
    """/health, on one connection as long as it lasts."""

    connection = None

    def ask(self):
        self.connection = self.connection or self.instance.connect()
        try:
            return self.instance.get("/health", connection=self.connection).status
        except OSError:
            self.connection.close()
            self.connection = None
            raise

    def __exit__(self, *error):
        super().__exit__(*error)
        if self.connection:
            self.connection.close()
