#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Start, stop, reload, activation, logs: what systemd and operators see."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

RESTARTS = 100 if os.environ.get("SHORTENER_TEST_LONG") else 10


class Notify:
    """A notification socket, as systemd's."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(10)
        self.seen = []

    def wait(self, text):
        while not any(text in m for m in self.seen):
            self.seen.append(self.sock.recv(4096).decode())

    def wait_for(self, pattern):
        """The match in a message that comes from now on."""
        while True:
            self.seen.append(self.sock.recv(4096).decode())
            match = re.fullmatch(pattern, self.seen[-1])
            if match:
                return match

    def close(self):
        self.sock.close()


class Lifecycle(unittest.TestCase):
    def setUp(self):
        self.service = harness.Service()
        self.addCleanup(self.service.close)

    def test_notifies(self):
        notify = Notify(self.service.folder)
        self.addCleanup(notify.close)
        one = self.service.start(environment={"NOTIFY_SOCKET": notify.path, "WATCHDOG_USEC": "1000000"})
        notify.wait("READY=1")
        notify.wait("WATCHDOG=1")
        one.signal(signal.SIGHUP)
        notify.wait("RELOADING=1")
        one.signal(signal.SIGTERM)
        notify.wait("STOPPING=1")
        self.assertEqual(one.process.wait(20), 0)

    def test_status_says_what_goes_on(self):
        with open(self.service.database, "wb") as file:
            file.write(b"this is no database\n" * 1000)
        notify = Notify(self.service.folder)
        self.addCleanup(notify.close)
        one = self.service.start(environment={"NOTIFY_SOCKET": notify.path})
        notify.wait("STATUS=serving")
        notify.wait_for(r"STATUS=\d+ req/s, store away, 0 clicks pending")
        os.rename(self.service.database, self.service.database + ".aside")
        harness.wait_for(lambda: one.get("/ready").status == 200, what="/ready")
        began = time.monotonic()
        notify.wait_for(r"STATUS=\d+ req/s, store up, 0 clicks pending")
        self.assertLess(time.monotonic() - began, 3 * harness.SLOW)  # the figures alone: 5 s
        url = one.create()
        for _ in range(20):
            self.assertEqual(one.get("/" + url["short_code"]).status, 302)
        status = notify.wait_for(r"STATUS=(\d+) req/s, hit (\d+) %, store up, (\d+) clicks pending")
        self.assertGreater(int(status.group(1)), 0)
        self.assertEqual(int(status.group(2)), 95)  # the first of 20 was a miss
        # What does not change is not told again.
        notify.wait_for(r"STATUS=0 req/s, hit 95 %, store up, 0 clicks pending")
        notify.sock.settimeout(6)
        with self.assertRaises(TimeoutError):
            notify.sock.recv(4096)

    def test_a_stop_keeps_its_own_status(self):
        notify = Notify(self.service.folder)
        self.addCleanup(notify.close)
        one = self.service.start(environment={"NOTIFY_SOCKET": notify.path})
        notify.wait("STATUS=serving")
        with socket.create_connection(("127.0.0.1", one.port)) as slow:
            slow.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            one.signal(signal.SIGTERM)
            notify.wait("STATUS=draining")
            notify.sock.settimeout(6)  # figures would come now
            with self.assertRaises(TimeoutError):
                notify.sock.recv(4096)
            self.assertIsNone(one.process.poll())
            slow.sendall(b"1\r\n\r\n")
            self.assertIn(b" 200 OK", slow.recv(65536))
        self.assertEqual(one.process.wait(20), 0)

    def test_ready_when_the_store_does_not_answer(self):
        """A server that takes connections and says nothing, and a Timeout= of half a minute."""
        frozen = socket.socket(socket.AF_UNIX)
        self.addCleanup(frozen.close)
        frozen.bind(os.path.join(self.service.folder, ".s.PGSQL.5432"))
        frozen.listen(64)
        self.service.url = f"postgresql:///x?host={self.service.folder}"
        notify = Notify(self.service.folder)
        self.addCleanup(notify.close)
        began = time.monotonic()
        one = self.service.instance(environment={"NOTIFY_SOCKET": notify.path}, options=["Store.Timeout=30s"])
        one.start(wait=False)
        notify.wait("READY=1")
        self.assertLess(time.monotonic() - began, 5 * harness.SLOW)
        self.assertEqual(one.get("/metrics").status, 200)
        harness.wait_for(lambda: "away" in one.log(), what="the log to say why")

    def test_store_visits_survive_stop(self):
        one = self.service.start()
        url = one.create()
        for _ in range(10):
            one.get("/" + url["short_code"])
        self.assertEqual(one.stop(), 0)
        one.start()
        self.assertEqual(one.get(f"/urls/{url['id']}/stats").json["redirect_count"], 10)

    def test_libraries_that_are_not_needed_are_not_loaded(self):
        one = self.service.start()

        def loads(name):
            with open(f"/proc/{one.process.pid}/maps") as file:
                return name in file.read()
        self.assertTrue(one.create()["short_code"])
        self.assertFalse(loads("libpq.so") or loads("libcrypto.so") or loads("libldap"))

    def test_reload(self):
        one = self.service.start()
        with open(self.service.config, "w") as file:
            file.write("[Links]\nCodeLength=12\n")
        one.signal(signal.SIGHUP)
        harness.wait_for(lambda: "configuration reloaded" in one.log(), what="reload")
        self.assertEqual(len(one.create()["short_code"]), 12)
        with open(self.service.config, "w") as file:
            file.write("[Links]\nCodeLength=9\nNoSuch=1\n")
        one.signal(signal.SIGHUP)
        harness.wait_for(lambda: "not reloaded" in one.log(), what="refused reload")
        self.assertIn("NoSuch", one.log())
        self.assertEqual(len(one.create()["short_code"]), 12)

    def test_second_of_the_same_name_refuses(self):
        self.service.start("1")
        second = self.service.instance("1")
        second.start(wait=False)
        self.assertEqual(second.process.wait(20), 1)
        self.assertIn("running", second.log())

    def test_bad_usage_and_configuration(self):
        def run(*arguments, **environment):
            return subprocess.run([harness.DAEMON, *arguments], capture_output=True, text=True, timeout=20,
                                  env={**os.environ, **environment})
        self.assertEqual(run("--nosuch").returncode, 2)
        self.assertEqual(run("extra").returncode, 2)
        self.assertEqual(run("--log-format=xml").returncode, 2)
        self.assertEqual(run("--set=Server.Workers=0", "--check-config").returncode, 78)
        self.assertEqual(run("--set=Server.NoSuch=1", "--check-config").returncode, 78)
        self.assertEqual(run("--config=/nonexistent/file", "--check-config").returncode, 78)
        self.assertEqual(run("--check-config").returncode, 0)
        blocklist = run("--set=Links.Blocklist=/nonexistent/file", "--check-config")
        self.assertEqual((blocklist.returncode, blocklist.stderr),
                         (78, "shortenerd: [Links] Blocklist=: /nonexistent/file: No such file or directory\n"))
        pipe = os.path.join(self.service.folder, "pipe")
        os.mkfifo(pipe)
        piped = run("--set=Links.Blocklist=" + pipe, "--check-config", "--dump-config")
        self.assertEqual((piped.returncode, "pipe cannot be read twice" in piped.stderr, piped.stdout), (78, True, ""))
        long_path = run("--set=Clicks.Directory=/" + "a" * 255)
        self.assertEqual((long_path.returncode, "255 bytes" in long_path.stderr), (78, True), long_path.stderr)
        self.assertIn("Workers=4", run("--dump-config").stdout)
        self.assertIn("Workers=7", run("--dump-config", SHORTENER_SERVER_WORKERS="7").stdout)
        self.assertRegex(run("--version").stdout, r"^shortenerd \d+\.\d+\.\d+\n$")
        self.assertIn("--instance", run("--help").stdout)
        folder = tempfile.mkdtemp(dir=self.service.folder)
        nothing = run("--set=Server.RuntimeDirectory=" + folder, "--set=Clicks.Directory=" + folder + "/spool",
                      "--set=Store.URL=sqlite:" + folder + "/db")
        self.assertEqual((nothing.returncode, "nothing to listen on" in nothing.stderr), (78, True), nothing.stderr)
        database = sqlite3.connect(folder + "/other")
        database.execute("CREATE TABLE bookmarks (x)")
        database.close()
        other = run("--set=Server.RuntimeDirectory=" + folder, "--set=Clicks.Directory=" + folder + "/spool",
                    "--set=Store.URL=sqlite:" + folder + "/other", "--set=Server.Listen=127.0.0.1:0")
        self.assertEqual(other.returncode, 78, other.stderr)
        self.assertIn("is another program's database", other.stderr)

    def test_a_store_that_can_be_none(self):
        def run(url, *arguments):
            return subprocess.run([harness.DAEMON, "--set=Server.RuntimeDirectory=" + folder,
                                   "--set=Clicks.Directory=" + folder + "/spool", "--set=Store.URL=" + url,
                                   "--set=Server.Listen=127.0.0.1:0", *arguments], capture_output=True, text=True, timeout=20)
        folder = tempfile.mkdtemp(dir=self.service.folder)
        for url, why in (("sqlite:" + folder, "is a folder: name a file, such as shortener.db in it"),
                         ("sqlite:/dev/null/x.db", "can be no file: a part of its path is one, where a folder should be")):
            for arguments in ((), ("--check-config",)):
                done = run(url, *arguments)
                self.assertEqual((done.returncode, done.stderr.splitlines()[0]),
                                 (78, f'shortenerd: [Store] URL=: "{url}" {why}'))
        bad = run("postgresql://u:hush@h/db?nonsense=1", "--check-config")
        self.assertEqual((bad.returncode, "u:***@h/db?nonsense=1" in bad.stderr), (78, True), bad.stderr)
        self.assertEqual(run("sqlite:/nonexistent/x.db", "--check-config").returncode, 0)

    def test_names_of_instances(self):
        # X-Instance, the journal and the host page have it as it is.
        for name in ("", "a b", "a/b", "a\r\nX-Evil: y", "\xe9", "a" * 32):
            result = subprocess.run([harness.DAEMON, "--instance=" + name, "--check-config"], capture_output=True,
                                    text=True, timeout=20)
            self.assertEqual(result.returncode, 2, name)
            self.assertIn("--instance: ", result.stderr)
        for name in ("1", "A-b_c.9", "a" * 31):
            self.assertEqual(subprocess.run([harness.DAEMON, "--instance=" + name, "--check-config"],
                                            timeout=20).returncode, 0, name)

    def test_why_the_store_is_away_at_the_start(self):
        one = self.service.start("away", options=["Store.URL=sqlite:/nonexistent/db"])
        # It answers while the store is being opened: the message may come after the first answer.
        harness.wait_for(lambda: re.search("sqlite:/nonexistent/db: away: .*No such file", one.log()), 10,
                         "the reason in the log")
        one.stop()

    def test_a_file_is_no_leftover_of_a_socket(self):
        path = os.path.join(self.service.folder, "precious")
        with open(path, "w") as file:
            file.write("data")
        done = subprocess.run([harness.DAEMON, "--set=Server.RuntimeDirectory=" + self.service.folder,
                               "--set=Clicks.Directory=" + path + ".spool", f"--set=Store.URL=sqlite:{path}.db",
                               "--set=Server.Listen=unix:" + path], timeout=20, check=False, capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(path, done.stderr)
        with open(path) as file:
            self.assertEqual(file.read(), "data")

    def test_listens_without_activation(self):
        path = os.path.join(self.service.folder, "http.sock")
        folder = tempfile.mkdtemp(dir=self.service.folder)
        probe = harness.listener()
        port = probe.getsockname()[1]
        probe.close()
        process = subprocess.Popen([harness.DAEMON, "--set=Server.RuntimeDirectory=" + folder,
                                    "--set=Clicks.Directory=" + folder + "/spool",
                                    "--set=Store.URL=sqlite:" + folder + "/db",
                                    f"--set=Server.Listen=127.0.0.1:{port}", f"--set=Server.Listen=unix:{path}"],
                                   stderr=subprocess.DEVNULL)
        try:
            def listens():  # the file is there a moment before
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                    return sock.connect_ex(path) == 0
            harness.wait_for(listens, what="socket")

            def ask(family, address):
                with socket.socket(family, socket.SOCK_STREAM) as sock:
                    sock.connect(address)
                    sock.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                    return sock.recv(4096)
            self.assertIn(b" 200 OK", ask(socket.AF_UNIX, path))
            self.assertIn(b" 200 OK", ask(socket.AF_INET, ("127.0.0.1", port)))
        finally:
            process.terminate()
            self.assertEqual(process.wait(20), 0)

    def test_forwarded_for_counts_from_trusted_peers(self):
        one = self.service.start(options=["Server.TrustedProxy=127.0.0.0/8"])
        url = one.create()
        for forwarded in ("203.0.113.9", "6.6.6.6, 203.0.113.9", "203.0.113.9, 127.0.0.5", "203.0.113.9:8080",
                          "[2001:db8::9]:8080", "2001:db8::9, 127.0.0.5"):
            one.get("/" + url["short_code"], headers={"X-Forwarded-For": forwarded})
        events = [e for e in one.get(f"/urls/{url['id']}/events").json if e["event_type"] == "redirect"]
        self.assertEqual([e["details"]["ip"] for e in events], ["2001:db8::9"] * 2 + ["203.0.113.9"] * 4)
        # A proxy that names its client by no address: the client is nobody, and not the proxy.
        for forwarded in ("<script>, 127.0.0.5", "unknown, 127.0.0.5", "1.2.3, 127.0.0.5", ", 127.0.0.5"):
            one.get("/" + url["short_code"], headers={"X-Forwarded-For": forwarded})
        one.get("/" + url["short_code"], headers={"X-Forwarded-For": "<script>"})
        events = one.get(f"/urls/{url['id']}/events?per_page=5").json
        self.assertEqual([e["details"]["ip"] for e in events], ["unknown"] * 5)

    def visit_with(self, instance, code, fields):
        """A GET with these X-Forwarded-For fields, in their order."""
        connection = instance.connect()
        connection.putrequest("GET", "/" + code)
        for i, field in enumerate(fields):
            connection.putheader("x-forwarded-FOR" if i % 2 else "X-Forwarded-For", field)
            connection.putheader("X-Other", "203.0.113.77")
        connection.endheaders()
        self.assertEqual(connection.getresponse().status, 302)
        connection.close()

    def test_forwarded_for_in_several_fields_is_one_list(self):
        one = self.service.start(options=["Server.TrustedProxy=127.0.0.0/8"])
        url = one.create()
        cases = ((["6.6.6.6", "203.0.113.9"], "203.0.113.9"), (["203.0.113.9", "127.0.0.5"], "203.0.113.9"),
                 (["6.6.6.6, 203.0.113.9", "127.0.0.5, 127.0.0.6"], "203.0.113.9"),
                 (["6.6.6.6", "203.0.113.9", "127.0.0.5", "127.0.0.6"], "203.0.113.9"),
                 (["127.0.0.5", "127.0.0.6"], "127.0.0.5"), (["203.0.113.9", ""], "unknown"),
                 (["203.0.113.9", "<script>, 127.0.0.5"], "unknown"), (["203.0.113.9", "<script>"], "unknown"))
        for fields, _ in cases:
            self.visit_with(one, url["short_code"], fields)
        events = [e for e in one.get(f"/urls/{url['id']}/events").json if e["event_type"] == "redirect"]
        self.assertEqual([e["details"]["ip"] for e in reversed(events)], [address for _, address in cases])

    def test_forwarded_for_of_others_does_not_count(self):
        one = self.service.start(options=["Server.TrustedProxy=192.0.2.0/24"])
        url = one.create()
        for fields in (["6.6.6.6"], ["6.6.6.6", "192.0.2.1"], ["192.0.2.1", "6.6.6.6"]):
            self.visit_with(one, url["short_code"], fields)
        events = [e for e in one.get(f"/urls/{url['id']}/events").json if e["event_type"] == "redirect"]
        self.assertEqual([e["details"]["ip"] for e in events], ["127.0.0.1"] * 3)

    def test_log_formats(self):
        one = self.service.start()
        one.get("/users", headers={"X-Request-Id": "find-me"})
        harness.wait_for(lambda: "find-me" in one.log(), what="log line")
        line = [l for l in one.log().splitlines() if "find-me" in l][0]
        self.assertRegex(line, r"method=GET route=users.list_users status=200 duration_usec=\d+ remote_addr=127.0.0.1")
        self.assertNotRegex(one.log(), r"route=(health|metrics|urls.redirect)")

    def test_debug_is_an_access_log(self):
        one = self.service.start(options=["Log.Level=debug"])
        url = one.create()
        for name in ("miss", "hit"):
            answer = one.get("/" + url["short_code"], headers={"X-Request-Id": name})
            self.assertEqual((answer.status, answer.headers["X-Cache"]), (302, name.upper()))
        one.get("/health", headers={"X-Request-Id": "look"})
        harness.wait_for(lambda: "request_id=look" in one.log(), what="log line")
        lines = {name: line for line in one.log().splitlines() for name in ("miss", "hit", "look")
                 if f"request_id={name}" in line}
        for name in ("miss", "hit"):
            self.assertRegex(lines[name], rf"route=urls.redirect_short_url status=302 .* code={url['short_code']}$")
        self.assertRegex(lines["look"], r"method=GET route=\S+ status=200")
        self.assertEqual(one.get(f"/urls/{url['id']}/stats").json["redirect_count"], 2)

    def test_descriptors_are_known_by_name_and_kind(self):
        def unix_health(path):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(15 * harness.SLOW)
                sock.connect(path)
                sock.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                return sock.recv(4096)

        # Called otherwise, or no listening stream socket: left alone, and said so.
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagram.bind(("127.0.0.1", 0))
        datagram.set_inheritable(True)
        for i, (sock, names, message) in enumerate([(harness.listener(), "other:http", "called other"),
                                                    (datagram, "http:http", "no listening stream socket")]):
            path = os.path.join(self.service.folder, f"named-{i}")
            one = self.service.instance(f"n{i}", sock=sock, path=path, environment={"LISTEN_FDNAMES": names})
            one.start(wait=False)
            self.assertIn(b" 200 OK", unix_health(path))
            harness.wait_for(lambda one=one, message=message: message in one.log(), 10, message)
            self.assertEqual(one.stop(), 0)

        # In any order, and answers over TCP leave at once.
        one = self.service.start("n2", path=os.path.join(self.service.folder, "named-2"),
                                 environment={"LISTEN_FDNAMES": "http:http"})
        self.assertIn(b" 200 OK", unix_health(os.path.join(self.service.folder, "named-2")))
        self.assertEqual(one.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)

        # None of them ours, and no Listen= either.
        one = self.service.instance("n3", environment={"LISTEN_FDNAMES": "other"})
        one.start(wait=False)
        self.assertEqual(one.process.wait(20 * harness.SLOW), 78)
        self.assertIn("nothing to listen on", one.log())

    def test_drain_answers_what_is_in_flight(self):
        one = self.service.start()
        url = one.create()
        connection = one.connect()
        one.get("/" + url["short_code"], connection=connection)
        one.signal(signal.SIGTERM)
        harness.wait_for(lambda: "stopping" in one.log(), what="drain")
        answer = one.get("/" + url["short_code"], connection=connection)
        self.assertEqual((answer.status, answer.headers["Connection"]), (302, "close"))
        self.assertEqual(one.process.wait(20), 0)

    def test_restarts_under_load_fail_nothing(self):
        one = self.service.start()
        url = one.create()
        path, stop = "/" + url["short_code"], threading.Event()
        counts, failures = [0] * 4, []

        def visit(n):
            connection = one.connect()
            while not stop.is_set():
                try:
                    answer = one.get(path, connection=connection)
                    counts[n] += 1
                    if answer.status != 302:
                        failures.append(answer)
                except Exception as error:  # every error is a failed request
                    failures.append(repr(error))
                    connection.close()
                    connection = one.connect()

        threads = [threading.Thread(target=visit, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(RESTARTS):
            at = sum(counts)
            harness.wait_for(lambda: sum(counts) > at + 20, what="traffic")
            self.assertEqual(one.stop(), 0)
            one.start(wait=False)
        harness.wait_for(lambda: sum(counts) > at + 40, what="traffic")
        stop.set()
        for thread in threads:
            thread.join()
        print(f"{RESTARTS} restarts, {sum(counts)} visits, {len(failures)} failures")
        self.assertEqual(failures, [])
        one.wait_ready()
        self.assertEqual(one.get(f"/urls/{url['id']}/stats").json["redirect_count"], sum(counts))


if __name__ == "__main__":
    harness.main()
