# SPDX-License-Identifier: MIT
"""What the fault tests share: load that remembers what it was promised, and the audit of the store.

A promise is an answer that a client has read completely: a 302 (its visit is kept) or a 2xx to a
write (it is committed). Requests that broke off promise nothing.
"""

import array
import contextlib
import fcntl
import http.client
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time

import harness

LONG = bool(os.environ.get("SHORTENER_TEST_LONG"))
HEAD = re.compile(rb"HTTP/1\.1 (\d+) .*?X-Request-Id: (\S+)", re.S)


def some(*choices):
    """All of them in the long form, else one."""
    return choices if LONG else [random.choice(choices)]


class Visitor(threading.Thread):
    """One connection that sends pipelined GETs, each with a request id of its own, and reconnects."""

    def __init__(self, load, number, instance):
        super().__init__(daemon=True)
        self.load = load
        self.error = None
        self.instance = instance
        self.sock = None
        self.prefix = f"{load.tag}.{number}."
        self.n_sent = 0
        self.answered = []  # (request id, time.time() when it was read)
        self.statuses = {}
        self.longest = 0.0  # seconds for a whole batch
        self.latencies = array.array("f")  # of all batches
        self.broken = 0     # connections that ended otherwise than by a promised close

    def batch(self):
        ids, parts = [], []
        for _ in range(self.load.depth):
            self.n_sent += 1
            ids.append(self.prefix + str(self.n_sent))
            parts.append(b"GET /%s HTTP/1.1\r\nHost: a\r\nUser-Agent: %s\r\nX-Request-Id: %s\r\n\r\n"
                         % (random.choice(self.load.codes), self.load.agent, ids[-1].encode()))
        return ids, b"".join(parts)

    def read_batch(self, sock, ids):
        """True if the connection can go on."""
        data, n = b"", 0
        while n < len(ids):
            chunk = sock.recv(1 << 16)
            if not chunk:
                return False
            now = time.time()
            parts = (data + chunk).split(b"\r\n\r\n")
            data = parts.pop()
            for part in parts:
                match = HEAD.search(part)
                status, request_id = int(match[1]), match[2].decode()
                assert request_id == ids[n], (request_id, ids[n])
                n += 1
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if status == 302:
                    self.answered.append((request_id, now))
                if b"\r\nConnection: close" in part:
                    return False
        return True

    def run(self):
        try:
            self.visit()
        except Exception as error:
            self.error = error

    def visit(self):
        while not self.load.ended.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.instance.port), 15 * harness.SLOW) as sock:
                    self.sock = sock
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    while not self.load.ended.is_set():
                        ids, data = self.batch()
                        start = time.monotonic()
                        sock.sendall(data)
                        if not self.read_batch(sock, ids):
                            break
                        self.latencies.append(time.monotonic() - start)
                        self.longest = max(self.longest, self.latencies[-1])
                        if self.load.pause:
                            self.load.ended.wait(self.load.pause)
            except OSError:
                self.broken += 1

    def abort(self):
        with contextlib.suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


class Writer(threading.Thread):
    """POST, PUT and DELETE on one connection; remembers what was answered with 2xx."""

    def __init__(self, load, number, instance):
        super().__init__(daemon=True)
        self.load = load
        self.error = None
        self.instance = instance
        self.number = number
        self.connection = None
        self.links = {}     # id: what must be there, {"code", "title": those it may have, "active"}
        self.latencies = []
        self.times = {}     # id: time.time() of the last promise
        self.failures = []  # answers that are not 2xx
        self.broken = 0

    def request(self, connection, method, path, body=None):
        start = time.monotonic()
        answer = self.instance.request(method, path, body, connection=connection)
        self.latencies.append(time.monotonic() - start)
        if answer.status // 100 != 2:
            self.failures.append((method, path, answer.status))
        return answer

    def round(self, connection, n):
        answer = self.request(connection, "POST", "/urls",
                              {"url": f"https://example.com/{self.number}/{n}", "title": "0"})
        if answer.status != 201:
            return
        url = answer.json
        link = {"code": url["short_code"], "title": {"0"}, "active": {True}}
        self.links[url["id"]] = link
        self.times[url["id"]] = time.time()
        link["title"] = {"0", "1"}  # until it is answered both are possible
        if self.request(connection, "PUT", f"/urls/{url['id']}", {"title": "1"}).status == 200:
            link["title"] = {"1"}
            self.times[url["id"]] = time.time()
        if n % 3 == 0:
            link["active"] = {True, False}
            if self.request(connection, "DELETE", f"/urls/{url['id']}").status == 204:
                link["active"] = {False}
                self.times[url["id"]] = time.time()

    def run(self):
        try:
            self.write()
        except Exception as error:
            self.error = error

    def write(self):
        n, self.connection = 0, self.instance.connect()
        while not self.load.ended.is_set():
            n += 1
            try:
                self.round(self.connection, n)
            except (OSError, http.client.HTTPException, ValueError):
                self.broken += 1
                self.connection.close()
                self.connection = self.instance.connect()
            if self.load.write_pause:
                self.load.ended.wait(self.load.write_pause)
        self.connection.close()

    def abort(self):
        with contextlib.suppress(OSError, AttributeError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)


class Load:
    """Visitors and writers on all the instances given, from start to stop."""

    counter = 0

    def __init__(self, instances, codes, connections=4, depth=8, writers=0, pause=0.0, write_pause=0.0,
                 agent_size=60):
        Load.counter += 1
        self.tag = f"t{os.getpid()}.{Load.counter}"
        self.codes = [code.encode() for code in codes]
        self.depth = depth
        self.pause = pause
        self.write_pause = write_pause
        self.agent = b"u" * agent_size
        self.ended = threading.Event()
        self.visitors = [Visitor(self, n, instances[n % len(instances)]) for n in range(connections)]
        self.writers = [Writer(self, n, instances[n % len(instances)]) for n in range(writers)]

    def start(self):
        for thread in self.visitors + self.writers:
            thread.start()
        return self

    def stop(self, abort=False):
        """abort: nobody is there to answer what is under way."""
        self.ended.set()
        for thread in self.visitors + self.writers:
            while abort and thread.is_alive():
                thread.abort()
                thread.join(0.05)
            thread.join(60 * harness.SLOW)
            assert not thread.is_alive(), "a request hangs"
        self.raise_errors()
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def raise_errors(self):
        """What went wrong in a thread is the test's failure."""
        for thread in self.visitors + self.writers:
            if thread.error:
                raise thread.error

    @property
    def n_answered(self):
        return sum(len(v.answered) for v in self.visitors)

    @property
    def n_written(self):
        return sum(len(w.links) for w in self.writers)

    def answered(self):
        return [pair for v in self.visitors for pair in v.answered]

    def statuses(self):
        total = {}
        for visitor in self.visitors:
            for status, n in visitor.statuses.items():
                total[status] = total.get(status, 0) + n
        return total


def make_links(instance, n=20):
    return [instance.create(f"https://example.com/{i}")["short_code"] for i in range(n)]


def wait_shipped(*instances, seconds=60):
    """Until nothing is pending on any of them."""
    def shipped():
        with contextlib.suppress(OSError, http.client.HTTPException):
            return all(i.get("/metrics").status == 200 and i.metric("shortener_clicks_pending ") == 0
                       for i in instances)
    harness.wait_for(shipped, seconds, "all visits shipped", pause=0.05)


class Audit:
    """The store as the proof of design/clicks.md wants it, counted here in SQL and by shortenerctl."""

    def __init__(self, service):
        self.service = service
        self.load()
        self.known = set(self.ids)
        self.shed = sum(s[4] for s in self.spools)
        self.bad = sum(s[5] for s in self.spools)
        self.damaged = sum(s[6] for s in self.spools)

    def load(self):
        database = sqlite3.connect(self.service.database, timeout=10)
        try:
            def rows(sql):
                return database.execute(sql).fetchall()
            self.ids = [r[0] for r in rows("SELECT request_id FROM events WHERE type = 1 AND spool IS NOT NULL")]
            self.spools = rows("SELECT s.id, first_seq, next_seq, rows, shed, bad, damaged,"
                               " (SELECT count(*) FROM events e WHERE e.spool = s.id) FROM spools s")
            self.doubled = rows("SELECT spool, seq, count(*) FROM events WHERE spool IS NOT NULL"
                                " GROUP BY spool, seq HAVING count(*) > 1")
            self.drift = rows("SELECT u.id FROM urls u LEFT JOIN url_totals t ON t.url_id = u.id LEFT JOIN"
                              " (SELECT url_id, count(*) AS n FROM events WHERE type = 1 GROUP BY url_id) e"
                              " ON e.url_id = u.id WHERE coalesce(t.redirects, 0) <> coalesce(e.n, 0)")
            self.urls = {r[0]: r[1:] for r in rows("SELECT id, code, title, is_active FROM urls")}
            self.created = dict(rows("SELECT url_id, count(*) FROM events WHERE type = 2 GROUP BY url_id"))
            self.integrity = rows("PRAGMA quick_check")[0][0]
        finally:
            database.close()

    def lost(self, answered):
        """Those of (request id, time) that are not in the store."""
        return [pair for pair in answered if pair[0] not in self.known]

    def check(self, test):
        """What holds whatever was lost."""
        test.assertEqual(self.integrity, "ok")
        test.assertEqual(self.doubled, [], "(spool, seq) twice")
        test.assertEqual(len(self.ids), len(self.known), "request ids twice")
        test.assertEqual(self.drift, [], "totals")
        for _, first, after, n_rows, shed, bad, damaged, found in self.spools:
            test.assertEqual((after - first, n_rows), (n_rows + shed + bad + damaged, found))
        verify = self.service.ctl("clicks", "verify", check=False)
        test.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)
        complete = self.shed + self.bad + self.damaged == 0
        test.assertIn("No visit was lost or counted twice.\n" if complete else
                      f"{self.shed + self.bad + self.damaged} are not in the store", verify.stdout)
        return self

    def check_nothing_lost(self, test, answered):
        self.check(test)
        lost = self.lost(answered)
        test.assertEqual(lost[:5], [], f"{len(lost)} of {len(answered)} visits lost")
        test.assertEqual((self.shed, self.bad, self.damaged), (0, 0, 0), "shed, bad, damaged")
        return self

    def check_writes(self, test, load, until=None, since=None):
        """Each write that was answered (before `until`, after `since`) is there."""
        for writer in load.writers:
            for link_id, link in writer.links.items():
                if until is not None and writer.times[link_id] > until:
                    continue
                if since is not None and writer.times[link_id] < since:
                    continue
                test.assertIn(link_id, self.urls, "an answered POST is not there")
                code, title, active = self.urls[link_id]
                test.assertEqual(code, link["code"])
                test.assertIn(title, link["title"])
                test.assertIn(bool(active), link["active"])
                test.assertEqual(self.created.get(link_id), 1)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


class Disk:
    """An ext4 file system on a loop device, that can lose its power; the image is in memory, because
    the speed of this machine's disk is not what is tested. Root only."""

    SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
    FLUSH_LOG = 1          # the journal is written, data is not
    DROP_LOG = 2           # nothing more is written

    def __init__(self, megabytes):
        self.folder = tempfile.mkdtemp(prefix="shortener-disk-")
        run("mount", "-t", "tmpfs", "-o", f"size={megabytes + 8}M", "disk", self.folder)
        self.image = os.path.join(self.folder, "image")
        self.path = os.path.join(self.folder, "mounted")
        os.mkdir(self.path)
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-F", self.image)
        self.is_mounted = False
        self.mount()

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)
        self.is_mounted = True

    def unmount(self):
        run("umount", self.path)
        self.is_mounted = False

    def cut(self, flag):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, self.SHUTDOWN, struct.pack("I", flag))
        finally:
            os.close(fd)

    def close(self):
        if self.is_mounted:
            self.unmount()
        run("umount", self.folder)
        os.rmdir(self.folder)


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if result.returncode != 0:
        raise OSError(f"{' '.join(command)}: {result.stderr.strip()}")


def own_mounts():
    """Goes on in a mount namespace of its own, so that nothing stays mounted whatever happens."""
    if os.environ.get("SHORTENER_TEST_UNSHARED") or os.geteuid() != 0:
        return
    os.environ["SHORTENER_TEST_UNSHARED"] = "1"
    os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])


def why_no_disk():
    """None, or why no file system can be mounted here."""
    if os.geteuid() != 0:
        return "needs root for loop devices"
    try:
        disk = Disk(8)
    except OSError as error:
        return f"no loop device: {error}"
    try:
        disk.cut(Disk.DROP_LOG)
    except OSError as error:
        return f"EXT4_IOC_SHUTDOWN: {error}"
    finally:
        disk.close()
    return None


class Inject:
    """strace on one thread of an instance, or on several, while the block runs.

    what is strace's, such as "pwrite64:signal=SIGKILL:when=3" or "fdatasync:error=EIO:when=1+"; it
    counts the calls of each thread for itself. path: only those of this file."""

    def __init__(self, instance, threads, what, path=None):
        self.instance = instance
        self.threads = threads
        self.what = what
        self.only = ["-P", path] if path else []
        self.process = None
        self.tids = []

    def __enter__(self):
        folder = f"/proc/{self.instance.process.pid}/task"
        # A thread takes its name when it runs first, which may be after the service is ready.
        self.tids = harness.wait_for(lambda: [t for t in os.listdir(folder) if read_text(f"{folder}/{t}/comm").strip() in self.threads],
                                     what=f"a thread {self.threads}")
        call = self.what.split(":")[0]
        command = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e", "inject=" + self.what, *self.only]
        self.process = subprocess.Popen(command + [a for t in self.tids for a in ("-p", t)],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        harness.wait_for(lambda: all(self.is_traced(t) for t in self.tids), what="strace to attach")
        return self

    def is_traced(self, tid):
        """Or killed already."""
        try:
            return "TracerPid:\t0\n" not in read_text(f"/proc/{self.instance.process.pid}/task/{tid}/status")
        except OSError:
            return True

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20 * harness.SLOW)


def read_text(path):
    with open(path) as file:
        return file.read()


def why_no_strace():
    if not shutil.which("strace"):
        return "strace is not installed"
    result = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True)
    return None if result.returncode == 0 else "strace: " + result.stderr.strip()
