# SPDX-License-Identifier: MIT
"""Starts real shortenerd processes for the black-box tests, and ends them.

Each Service has a folder of its own: store, spool, host page, log. Processes listen on a free
loopback port, or on a socket that the test holds and passes by LISTEN_FDS; they are ended by pid.
Python's standard library only.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SHORTENER_BUILD", os.path.join(ROOT, "build", "dev"))
DAEMON = os.path.join(BUILD, "shortenerd")
CTL = os.path.join(BUILD, "shortenerctl")
SLOW = 4 if os.environ.get("SHORTENER_SLOW") else 1  # sanitizers and coverage take longer


def wait_for(condition, seconds=10.0, what="condition", pause=0.01):
    """Polls until condition() is true; returns its value. The only place that sleeps."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"timed out: {what}")
        time.sleep(pause)


def listener(port=0):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(1024)
    sock.set_inheritable(True)
    return sock


def unix_listener(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(path)
    sock.listen(1024)
    sock.set_inheritable(True)
    return sock


def store_url(path):
    """A new store: a SQLite file, or with SHORTENER_TEST_STORE=postgres a database on a server that all
    services of this program share."""
    if os.environ.get("SHORTENER_TEST_STORE") != "postgres":
        return "sqlite:" + path
    import postgres  # pylint: disable=import-outside-toplevel
    return postgres.shared().new_url()


@contextlib.contextmanager
def held(service):
    """The store answers nobody while the block runs: the SQLite file is locked, the PostgreSQL server
    (the service's own, or the one that all services of this program share) is frozen."""
    if service.url.startswith("sqlite:"):
        lock = sqlite3.connect(service.database, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            lock.close()
        return
    import postgres  # pylint: disable=import-outside-toplevel
    server = getattr(service, "server", None) or postgres.shared()
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


class Instance:
    """One shortenerd process behind a listener that the test holds; path: and a Unix socket there."""

    def __init__(self, service, name, options=(), environment=None, wrapper=(), sock=None, path=None):
        self.service = service
        self.name = name
        self.options = list(options)
        self.environment = environment or {}
        self.wrapper = list(wrapper)
        self.sock = sock or listener()
        self.port = self.sock.getsockname()[1]
        self.unix = unix_listener(path) if path else None
        self.process = None
        self.log_path = os.path.join(service.folder, f"log-{name}")
        self.spool = os.path.join(service.state, f"state-{name}")

    def command(self):
        command = [DAEMON, f"--instance={self.name}", "--config=" + self.service.config, "--log-format=text"]
        # Under a sanitizer everything takes longer, a call's deadline included.
        slow = ["Store.Timeout=3s"] if SLOW > 1 else []
        for option in [*slow, "API.Access=open", f"Store.URL={self.service.url}", f"Clicks.Directory={self.spool}",
                       f"Server.RuntimeDirectory={self.service.runtime}",
                       *self.service.options, *self.options]:
            command.append("--set=" + option)
        return self.wrapper + command

    def start(self, wait=True):
        fds = [s.fileno() for s in (self.sock, self.unix) if s]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SHORTENER_")}
        environment.update(self.environment)
        log = open(self.log_path, "ab")

        # The shell sets LISTEN_PID, because it is known only in the child. One descriptor may have
        # the other's number, so all make room first; sh takes none of two digits, bash does.
        script = 'export LISTEN_PID=$$; exec "$@"'
        script += "".join(f" {200 + i}<&{fd}" for i, fd in enumerate(fds))
        script += "".join(f" {3 + i}<&{200 + i} {200 + i}<&-" for i in range(len(fds)))
        environment["LISTEN_FDS"] = str(len(fds))
        self.process = subprocess.Popen(["/bin/bash", "-c", script, "bash"] + self.command(), env=environment,
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds)
        log.close()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def up():
            if self.process.poll() is not None:
                raise AssertionError(f"shortenerd exited {self.process.returncode}: {self.log()[-2000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.get("/health").status == 200
        wait_for(up, 20, "shortenerd to answer /health")

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def signal(self, number):
        os.kill(self.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=20):
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.signal(signal.SIGTERM)
        return self.process.wait(seconds * SLOW)

    def restart(self):
        self.stop()
        return self.start()

    def connect(self, timeout=15):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOW)

    def request(self, method, path, body=None, headers=None, connection=None, timeout=15):
        own = connection is None
        connection = connection or self.connect(timeout)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            return Response(answer.status, answer.headers, data)
        finally:
            if own:
                connection.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body, **kw):
        return self.request("POST", path, body, **kw)

    def put(self, path, body, **kw):
        return self.request("PUT", path, body, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def heard(self):
        """How many changes the watcher has heard of; None: it hears none."""
        if not self.service.url.startswith("postgres") or self.metric("shortener_watcher_up ") != 1:
            return None
        return self.metric("shortener_watcher_changes_total ")

    def create(self, target="https://example.com/x", **fields):
        """A link. Returns when this instance has heard of it too, which makes it forget the code once more."""
        with self.hears_more():
            answer = self.post("/urls", {"url": target, **fields})
            assert answer.status == 201, answer
        return answer.json

    @contextlib.contextmanager
    def hears_more(self):
        """Ends when this instance has heard of the change made in the block (PostgreSQL)."""
        heard = self.heard()
        yield
        if heard is not None:
            wait_for(lambda: self.heard() != heard, 10, "the watcher to hear of a change", pause=0.002)

    def metric(self, line_start):
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(line_start):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def raw(self, data, timeout=5):
        """Sends bytes, half-closes nothing, reads until the peer closes or nothing comes for a while."""
        with socket.create_connection(("127.0.0.1", self.port), timeout * SLOW) as sock:
            sock.sendall(data)
            chunks = []
            with contextlib.suppress(socket.timeout, ConnectionError):
                while True:
                    chunk = sock.recv(65536)
                    if not chunk:
                        break
                    chunks.append(chunk)
            return b"".join(chunks)


    def at_once(self, heads, seconds=15):
        """The answers to these requests (heads without Connection: and the empty line), each on a connection of its
        own, which all lie there when the daemon looks."""
        def accepted():
            return self.metric("shortener_connections_accepted_total ")
        before = accepted()
        sockets = [socket.create_connection(("127.0.0.1", self.port), seconds * SLOW) for _ in heads]
        wait_for(lambda: accepted() - before > len(heads), 10, "the connections")
        self.signal(signal.SIGSTOP)
        try:
            for sock, head in zip(sockets, heads):
                sock.sendall(f"{head}Connection: close\r\n\r\n".encode())
        finally:
            self.signal(signal.SIGCONT)
        answers = [b"".join(iter(lambda s=sock: s.recv(65536), b"")) for sock in sockets]
        for sock in sockets:
            sock.close()
        return answers


class Service:
    """A store, a host page and the instances on them. state: where store and spools lie, if elsewhere.
    Caches are cold at a start unless warm_up, so that tests know who answers."""

    def __init__(self, options=(), state=None, warm_up=False):
        self.folder = tempfile.mkdtemp(prefix="shortener-test-")
        self.state = state or self.folder
        self.runtime = os.path.join(self.folder, "run")
        os.mkdir(self.runtime)
        self.database = os.path.join(self.state, "shortener.db")
        self.url = store_url(self.database)
        self.config = os.path.join(self.folder, "shortener.conf")
        with open(self.config, "w"):
            pass
        self.options = [*([] if warm_up else ["Cache.WarmUp=no"]), *options]
        self.instances = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def instance(self, name="1", **kw):
        instance = Instance(self, name, **kw)
        self.instances.append(instance)
        return instance

    def start(self, name="1", **kw):
        return self.instance(name, **kw).start()

    def ctl(self, *arguments, check=True, stdin=None, timeout=120):
        command = [CTL, "--config=" + self.config, "--store=" + self.url,
                   "--set=Server.RuntimeDirectory=" + self.runtime, *arguments]
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout * SLOW)
        if check and result.returncode != 0:
            raise AssertionError(f"{command}: {result.returncode}: {result.stdout}{result.stderr}")
        return result

    def seed(self):
        return self.ctl("seed", os.path.join(ROOT, "seed_data"))

    def close(self):
        for instance in self.instances:
            process = instance.process
            if process and process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    instance.signal(signal.SIGCONT)
                try:
                    instance.stop()
                except subprocess.TimeoutExpired:
                    instance.kill()
            instance.sock.close()
            if instance.unix:
                instance.unix.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def main(module="__main__"):
    """Runs a module's tests; the last line is a plain count."""
    program = unittest.main(module=module, exit=False, verbosity=1, warnings="ignore",
                            argv=[sys.argv[0]] + [a for a in sys.argv[1:]])
    result = program.result
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    text = f"{max(0, result.testsRun - failed - skipped)} passed, {failed} failed"
    print(text + (f", {skipped} skipped" if skipped else ""))
    sys.stdout.flush()
    sys.exit(1 if failed else 0)
