#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two instances behind a real nginx, over Unix sockets and over TCP, requests in turns."""

import collections
import http.client
import os
import re
import shutil
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

if shutil.which("nginx"):
    import nginx

CLIENT = "127.0.0.7"  # an address of the loopback that is nobody else's


@unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
class Proxied(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.service.seed()
        folder = cls.service.folder
        cls.instances = [cls.service.start(name, path=os.path.join(folder, f"socket-{name}")) for name in "12"]
        cls.nginx = nginx.Nginx(os.path.join(folder, "nginx"),
                                [f"unix:{folder}/socket-{name}" for name in "12"],
                                [f"127.0.0.1:{i.port}" for i in cls.instances])
        cls.unix, cls.tcp = cls.nginx.ports

    @classmethod
    def tearDownClass(cls):
        if hasattr(cls, "nginx"):
            cls.nginx.stop()
        cls.service.close()

    def connect(self, port=None, source=CLIENT):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.unix, timeout=15 * harness.SLOW,
                                                source_address=(source, 0))
        self.addCleanup(connection.close)
        return connection

    def send(self, connection, method, path, body=None, headers=None):
        return self.instances[0].request(method, path, body, headers, connection)

    def test_requests_alternate(self):
        for port in (self.unix, self.tcp):
            connection = self.connect(port)
            names = [self.send(connection, "GET", "/health").headers["X-Instance"] for _ in range(20)]
            self.assertEqual(names[2:], names[:-2])
            self.assertEqual(set(names), {"1", "2"})

    def test_connections_to_the_instances_are_kept(self):
        connection = self.connect()
        self.send(connection, "GET", "/health")
        self.send(connection, "GET", "/health")
        before = [i.metric("shortener_connections_accepted_total") for i in self.instances]
        for _ in range(100):
            self.assertEqual(self.send(connection, "GET", "/users/1").status, 200)
        after = [i.metric("shortener_connections_accepted_total") for i in self.instances]
        # Each metric() is a connection of its own, and nothing else is new.
        self.assertEqual([a - b for a, b in zip(after, before)], [1, 1])

    def check_visits(self, connection, path, n):
        """All are counted at once; an instance of a slow build may not wait so long for the store (250 ms), but says
        then how many are still on their way."""
        answer = self.send(connection, "GET", path + "/stats")
        pending, count = int(answer.headers.get("X-Clicks-Pending", 0)), answer.json["redirect_count"]
        self.assertTrue(n - pending <= count <= n, f"{count} of {n}, {pending} pending")
        if harness.SLOW == 1:
            self.assertEqual(pending, 0)

    def test_what_one_wrote_the_other_reads(self):
        for port in (self.unix, self.tcp):
            connection = self.connect(port)
            for i in range(20):
                target = f"https://example.com/{port}/{i}"
                url = self.send(connection, "POST", "/urls", {"url": target}).json
                path = f"/urls/{url['id']}"
                self.assertEqual(self.send(connection, "GET", path).json, url)
                # The visits of the round before may have come in behind it.
                newest = self.send(connection, "GET", "/events?per_page=10").json
                self.assertIn((url["id"], "created"), [(e["url_id"], e["event_type"]) for e in newest])
                for n in (1, 2, 3):
                    self.assertEqual(self.send(connection, "GET", "/" + url["short_code"]).headers["Location"], target)
                    self.check_visits(connection, path, n)
                self.send(connection, "PUT", path, {"url": target + "/new"})
                self.assertEqual(self.send(connection, "GET", "/" + url["short_code"]).headers["Location"], target + "/new")
                self.assertEqual(self.send(connection, "DELETE", path).status, 204)
                self.assertEqual(self.send(connection, "GET", "/" + url["short_code"]).status, 404)

    def test_answers_pass_unchanged(self):
        url = self.send(self.connect(), "POST", "/urls", {"url": "https://example.com/p"}).json
        requests = [("GET", "/users?per_page=3&page=2", None), ("HEAD", "/users/1", None), ("GET", "/users/0", None),
                    ("PATCH", "/urls", None), ("OPTIONS", "/urls", None), ("GET", "/a/b", None), ("GET", "/nosuch", None),
                    ("POST", "/urls", {}), ("GET", "/urls?user_id=x", None), ("GET", "/" + url["short_code"], None),
                    ("HEAD", "/" + url["short_code"], None)]
        own = {"Date", "Connection", "Server", "X-Request-Id"}
        for port in (self.unix, self.tcp):
            connection = self.connect(port)
            for method, path, body in requests:
                here, there = (self.send(c, method, path, body, {"X-Request-Id": "mine"})
                               for c in (connection, self.instances[0].connect()))
                self.assertEqual((here.status, here.body), (there.status, there.body), (method, path))
                self.assertEqual(here.headers["X-Request-Id"], "mine")
                for name, value in there.headers.items():
                    if name not in own and name != "X-Cache":
                        self.assertEqual(here.headers[name], value, (method, path, name))

    def test_the_clients_address_over_a_unix_socket(self):
        connection = self.connect()
        for forged in ({}, {"X-Forwarded-For": "6.6.6.6"}, {"X-Forwarded-For": "6.6.6.6, 127.0.0.1, "}):
            url = self.send(connection, "POST", "/urls", {"url": "https://example.com/a"}).json
            for _ in range(4):
                self.send(connection, "GET", "/" + url["short_code"], headers={"User-Agent": "a", **forged})
            rows = self.send(connection, "GET", f"/urls/{url['id']}/events").json[:4]
            self.assertEqual([r["details"] for r in rows], [{"ip": CLIENT, "user_agent": "a"}] * 4)

    def test_over_tcp_only_a_trusted_proxy_is_believed(self):
        for address, seen in (("", "127.0.0.1"), ("127.0.0.1", CLIENT)):
            with open(self.service.config, "w") as file:
                file.write(f"[Server]\nTrustedProxy={address}\n")
            for instance in self.instances:
                instance.signal(harness.signal.SIGHUP)

            def address_now():
                connection = self.connect(self.tcp)
                url = self.send(connection, "POST", "/urls", {"url": "https://example.com/a"}).json
                for _ in range(2):
                    self.send(connection, "GET", "/" + url["short_code"])
                rows = self.send(connection, "GET", f"/urls/{url['id']}/events").json[:2]
                return {r["details"]["ip"] for r in rows} == {seen}
            harness.wait_for(address_now, what=f"visits from {seen}", pause=0.05)

    def test_large_bodies_and_heads(self):
        connection = self.connect()
        form = (b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nusername,email\n%s%s'
                b"\r\n--b--\r\n")
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        for row, size, status in ((b"ten,ten@example.com\n", 10 << 20, 201), (b"eleven,eleven@example.com\n", 11 << 20, 413),
                                  (b"just,just@example.com\n", (10 << 20) + 1, 413)):
            body = form % (row, b"\n" * (size - len(row) - len(b"username,email\n")))
            answer = self.send(connection, "POST", "/users/bulk", body, kind)
            self.assertEqual(answer.status, status, answer)
            if status == 413:
                self.assertEqual(answer.json, {"error": "File too large (max 10MB)"})
        answer = self.send(connection, "POST", "/urls", b"x" * (2 << 20), {"Content-Type": "application/json"})
        self.assertEqual((answer.status, answer.json), (413, {"error": "Request body too large"}))

        target = "https://example.com/" + "\u00e9" * 1014
        url = self.send(connection, "POST", "/urls", {"url": target}).json
        for _ in range(4):
            answer = self.send(connection, "GET", "/" + url["short_code"])
            self.assertEqual((answer.status, len(answer.headers["Location"])), (302, 20 + 6 * 1014))

    def test_pipelining_and_many_clients(self):
        url = self.send(self.connect(), "POST", "/urls", {"url": "https://example.com/pipe"}).json
        one = f"GET /{url['short_code']} HTTP/1.1\r\nHost: a\r\n".encode()
        socks = [socket.create_connection(("127.0.0.1", self.unix), 15 * harness.SLOW) for _ in range(8)]
        for sock in socks:
            sock.sendall((one + b"\r\n") * 9 + one + b"Connection: close\r\n\r\n")
        seen = collections.Counter()
        for sock in socks:
            data = b""
            while chunk := sock.recv(65536):
                data += chunk
            sock.close()
            seen.update(re.findall(rb"HTTP/1.1 (\d+)", data))
        self.assertEqual(seen, {b"302": 80})
        stats = self.send(self.connect(), "GET", f"/urls/{url['id']}/stats")
        self.assertEqual((stats.json["redirect_count"], stats.headers["X-Clicks-Pending"]), (80, None))


if __name__ == "__main__":
    harness.main()
