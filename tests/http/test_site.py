#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The nginx files that are shipped, in front of two instances: only ports and paths are others."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

if shutil.which("nginx"):
    import nginx

CLIENT = "127.0.0.7"  # an address of the loopback that is nobody else's
HERE = "127.0.0.1"
BULK = (b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nusername,email\n%s\r\n--b--\r\n')


class Stub:
    """A Unix socket that takes requests and counts them; closes each connection with no answer."""

    def __init__(self, path):
        self.requests = []
        self.sock = harness.unix_listener(path)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.requests.append(sock.recv(65536).split(b"\r\n", 1)[0].decode())
            sock.close()

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
class Site(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.service.seed()
        folder = cls.service.folder
        cls.instances = [cls.service.start(name, path=os.path.join(folder, f"shortener-{name}.sock"))
                         for name in "12"]
        upstream = cls.service.ctl("nginx-upstream", "2").stdout
        cls.nginx = nginx.Site(os.path.join(folder, "nginx"), "sites-available/shortener", upstream,
                               {"unix:/run/": f"unix:{folder}/"})
        cls.port = cls.nginx.ports[0]

    @classmethod
    def tearDownClass(cls):
        if hasattr(cls, "nginx"):
            cls.nginx.stop()
        cls.service.close()

    def send(self, method, path, body=None, headers=None, source=CLIENT, connection=None):
        connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30 * harness.SLOW,
                                                              source_address=(source, 0))
        self.addCleanup(connection.close)
        return self.instances[0].request(method, path, body, headers, connection)

    def check_error(self, answer, status, text):
        self.assertEqual((answer.status, answer.json), (status, {"error": text}), answer)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertRegex(answer.headers["X-Request-Id"], r"^[A-Za-z0-9._-]{1,64}$")
        self.assertEqual(answer.headers["Retry-After"], "1" if status in (502, 503, 504) else None)

    def other(self, instance):
        return next(i for i in self.instances if i is not instance)

    def wait_for_both(self):
        def names():
            return {self.send("GET", "/health").headers["X-Instance"] for _ in range(20)}
        harness.wait_for(lambda: names() == {"1", "2"}, what="answers of both")

    def test_every_instance_is_asked(self):
        self.wait_for_both()

    def test_the_api_works(self):
        for _ in range(6):
            url = self.send("POST", "/urls", {"url": "https://example.com/site"}).json
            path = f"/urls/{url['id']}"
            for n in (1, 2, 3):
                answer = self.send("GET", "/" + url["short_code"])
                self.assertEqual((answer.status, answer.headers["Location"]), (302, "https://example.com/site"))
                # stats waits for the visit, for as long as a build that is not slow needs.
                harness.wait_for(lambda path=path, n=n: self.send("GET", path + "/stats").json["redirect_count"] == n,
                                 0 if harness.SLOW == 1 else 5, "the visit in the stats")
            self.assertEqual(self.send("PUT", path, {"title": "t"}).json["title"], "t")
            self.assertEqual(self.send("PATCH", path, {}).status, 405)
            self.assertEqual(self.send("OPTIONS", path).status, 200)
            self.assertEqual(self.send("DELETE", path).status, 204)
            rows = self.send("GET", path + "/events").json
            self.assertEqual({r["details"]["ip"] for r in rows if r["event_type"] == "redirect"}, {CLIENT})

    def test_request_ids(self):
        self.assertEqual(self.send("GET", "/users/1", headers={"X-Request-Id": "my-1.x"}).headers["X-Request-Id"], "my-1.x")
        for bad in ("a b", "x" * 65, "<>"):
            self.assertRegex(self.send("GET", "/users/1", headers={"X-Request-Id": bad}).headers["X-Request-Id"],
                             r"^[0-9a-f]{32}$")
        # nginx's own answers carry it too.
        answer = self.send("GET", "/ready", headers={"X-Request-Id": "my-2"})
        self.assertEqual((answer.status, answer.headers["X-Request-Id"]), (404, "my-2"))

    def test_metrics_and_ready_are_for_this_host(self):
        for path in ("/metrics", "/ready"):
            self.assertEqual(self.send("GET", path, source=HERE).status, 200)
            self.check_error(self.send("GET", path), 404, "Not found")
            forged = {"X-Forwarded-For": HERE, "X-Real-IP": HERE}
            self.check_error(self.send("GET", path, headers=forged), 404, "Not found")
            for odd in ("/" + path, path + "/../" + path[1:], path.replace("e", "%65")):
                self.check_error(self.send("GET", odd), 404, "Not found")

    def test_too_large(self):
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        for path, size, text in (("/urls", 12 << 20, "Request body too large"),
                                 ("/users/bulk", 12 << 20, "File too large (max 10MB)"),
                                 ("/users/bulk", (10 << 20) + 1, "File too large (max 10MB)")):
            answer = self.send("POST", path, BULK % (b"\n" * size), kind)
            self.assertEqual((answer.status, answer.json), (413, {"error": text}), path)
        row = b"site,site@example.com\n"
        answer = self.send("POST", "/users/bulk", BULK % (row + b"\n" * ((10 << 20) - len(row) - 200)), kind)
        self.assertEqual((answer.status, answer.json["imported"]), (201, 1))
        self.check_error(self.send("GET", "/" + "x" * 9000), 414, "URI too long")
        self.check_error(self.send("GET", "/users", headers={"X-Long": "x" * 9000}), 431,
                         "Request header fields too large")

    def test_what_nginx_refuses_is_json(self):
        chunks = [(b"%s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n" % line, 400, "Bad request")
                  for line in (b"GET /urls", b"POST /urls", b"PUT /urls/1", b"GET /users/bulk", b"POST /users/bulk", b"PUT /users/bulk",
                               b"GET /metrics")]
        for request, status, text in (*chunks, (b"GET / HTTP/1.1\r\n\r\n", 400, "Bad request"),
                                      (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Method not allowed"),
                                      (b"POST /urls HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 501,
                                       "Not implemented"),
                                      (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "HTTP version not supported")):
            with socket.create_connection(("127.0.0.1", self.port), 15 * harness.SLOW) as sock:
                sock.sendall(request)
                answer = b""
                while chunk := sock.recv(65536):
                    answer += chunk
                    if b"\n\r\n" in answer and answer.endswith(b"}\n"):
                        break
            self.assertRegex(answer, rb"^HTTP/1\.1 %d " % status)
            self.assertTrue(answer.endswith(b'{"error":"%s"}\n' % text.encode()), answer)
            self.assertNotRegex(answer, rb"Server: nginx/")
            if status == 405:
                self.assertIn(b"\r\nAllow: GET", answer)

    def test_a_page_of_another_site_changes_nothing(self):
        here = f"127.0.0.1:{self.port}"
        for host, origin, status in ((here, f"http://{here}", 201), ("s.example", "http://s.example", 201),
                                     ("s.example", "https://s.example", 201), (here, "http://127.0.0.1", 403),
                                     ("s.example", "http://evil.example", 403), ("s.example", "null", 403)):
            answer = self.send("POST", "/urls", {"url": "https://example.com/"}, {"Host": host, "Origin": origin})
            self.assertEqual(answer.status, status, (host, origin))
        self.check_error(self.send("POST", "/users/bulk", BULK % b"page,page@example.com", {
            "Content-Type": "multipart/form-data; boundary=b", "Sec-Fetch-Site": "cross-site"}), 403, "Forbidden")

    def test_a_large_location(self):
        target = "https://example.com/" + "\u00e9" * 1014
        url = self.send("POST", "/urls", {"url": target}).json
        for _ in range(4):
            answer = self.send("GET", "/" + url["short_code"])
            self.assertEqual((answer.status, len(answer.headers["Location"])), (302, 20 + 6 * 1014))

    def test_connections_of_reads_are_kept(self):
        for _ in range(4):
            self.send("GET", "/users/1")
        before = [i.metric("shortener_connections_accepted_total") for i in self.instances]
        for _ in range(100):
            self.assertEqual(self.send("GET", "/users/1").status, 200)
        after = [i.metric("shortener_connections_accepted_total") for i in self.instances]
        # Each metric() is a connection of its own, and nothing else is new.
        self.assertEqual([a - b for a, b in zip(after, before)], [1, 1])

    def test_an_instance_that_died(self):
        for instance in self.instances:
            self.wait_for_both()  # what nginx held for dead, it tries again after a second
            instance.kill()
            instance.unix.close()  # as systemd does behind a crash loop: nobody listens
            url = self.other(instance).create("https://example.com/died")
            try:
                for _ in range(40):
                    self.assertEqual(self.send("GET", "/" + url["short_code"]).status, 302)
                    self.assertEqual(self.send("GET", "/urls?per_page=1").status, 200)
                    # Nothing of a POST was sent to the dead one, so it may go to the other.
                    self.assertEqual(self.send("POST", "/urls", {"url": "https://example.com/again"}).status, 201)
            finally:
                os.unlink(os.path.join(self.service.folder, f"shortener-{instance.name}.sock"))
                instance.unix = harness.unix_listener(os.path.join(self.service.folder, f"shortener-{instance.name}.sock"))
                instance.start()

    def test_an_instance_that_hangs(self):
        url = self.send("POST", "/urls", {"url": "https://example.com/hangs"}).json
        path = f"/urls/{url['id']}"
        for instance in self.instances:
            self.wait_for_both()
            instance.signal(signal.SIGSTOP)
            try:
                # Reads go to the other one; a write that was sent is answered 504, and not sent twice.
                for _ in range(4):
                    self.assertEqual(self.send("GET", "/" + url["short_code"]).status, 302)
                answers = [self.send("PUT", path, {"title": f"{instance.name} {n}"}) for n in range(4)]
            finally:
                instance.signal(signal.SIGCONT)
            self.assertEqual({a.status for a in answers} - {200, 504}, set())
            for answer in answers:
                if answer.status == 504:
                    self.check_error(answer, 504, "Gateway timeout")
        harness.wait_for(lambda: self.send("GET", path + "/events?per_page=100").headers["X-Clicks-Pending"] is None,
                         what="visits")
        titles = [e["details"]["new_value"] for e in self.send("GET", path + "/events?per_page=100").json
                  if e["event_type"] == "updated"]
        self.assertEqual(len(titles), len(set(titles)), titles)


@unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
class Together(unittest.TestCase):
    """All instances die at once, under requests, and their sockets stay open."""

    def setUp(self):
        self.service = harness.Service()
        self.addCleanup(self.service.close)
        folder = self.service.folder
        self.instances = [self.service.start(name, path=os.path.join(folder, f"shortener-{name}.sock")) for name in "123"]
        self.code = self.instances[0].create("https://example.com/together")["short_code"]
        self.site = nginx.Site(os.path.join(folder, "nginx"), "sites-available/shortener",
                               self.service.ctl("nginx-upstream", "3").stdout, {"unix:/run/": f"unix:{folder}/"})
        self.addCleanup(self.site.stop)
        self.clients = [self.connect() for _ in range(24)]

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.site.ports[0], timeout=30 * harness.SLOW,
                                                source_address=(CLIENT, 0))
        self.addCleanup(connection.close)
        return connection

    def under_way(self):
        """Visits that nginx has passed on, to instances that do not answer yet."""
        for instance in self.instances:
            instance.signal(signal.SIGSTOP)
        for client in self.clients:
            client.request("GET", "/" + self.code)
        fence = self.connect()  # nginx answers this by itself, after what it has read before
        fence.request("GET", "/ready")
        self.assertEqual(fence.getresponse().status, 404)

    def statuses(self):
        answers = [client.getresponse() for client in self.clients]
        for answer in answers:
            answer.read()
        return [answer.status for answer in answers]

    def test_visitors_wait_for_them(self):
        self.under_way()  # now nginx has a connection to some instance for each client, and keeps it
        for instance in self.instances:
            instance.signal(signal.SIGCONT)
        self.assertEqual(self.statuses(), [302] * 24)
        self.under_way()
        for instance in self.instances:
            instance.signal(signal.SIGKILL)
        for instance in self.instances:
            instance.process.wait()
        for instance in self.instances:
            instance.start(wait=False)
        # Without counting, what broke is asked again and waits in the sockets; nginx answers nothing itself.
        self.assertEqual(self.statuses(), [302] * 24)
        client = self.connect()
        client.request("POST", "/urls", b'{"url":"https://example.com/new"}', {"Content-Type": "application/json"})
        self.assertEqual(client.getresponse().status, 201)


@unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
class Away(unittest.TestCase):
    """What nginx does when instances break off: stubs in their place, which count what they get."""

    def setUp(self):
        self.service = harness.Service()
        self.addCleanup(self.service.close)
        folder = self.service.folder
        self.stubs = [Stub(os.path.join(folder, f"shortener-{n}.sock")) for n in (1, 2, 3)]
        for stub in self.stubs:
            self.addCleanup(stub.close)
        upstream = nginx.Site.read("snippets/shortener-upstream.conf")
        self.site = nginx.Site(os.path.join(folder, "nginx"), "sites-available/shortener", upstream,
                               {"unix:/run/": f"unix:{folder}/", "max_fails=2 fail_timeout=1s": "max_fails=0"})
        self.addCleanup(self.site.stop)

    def send(self, method, path="/urls"):
        connection = http.client.HTTPConnection("127.0.0.1", self.site.ports[0], timeout=30 * harness.SLOW)
        connection.request(method, path, b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    def test_only_reads_are_sent_again(self):
        for method, path, n in (("GET", "/urls", 3), ("GET", "/abcdef", 3), ("GET", "/users/bulk", 3), ("POST", "/urls", 1),
                                ("POST", "/users/bulk", 1), ("PUT", "/urls/1", 1), ("DELETE", "/urls/1", 1),
                                ("PATCH", "/urls/1", 1), ("OPTIONS", "/urls", 1), ("PUT", "/users/bulk", 1)):
            for stub in self.stubs:
                stub.requests.clear()
            answer, body = self.send(method, path)
            self.assertEqual((answer.status, body), (502, b'{"error":"Bad gateway"}\n'), (method, path))
            self.assertEqual(answer.headers["Retry-After"], "1")
            sent = [request for stub in self.stubs for request in stub.requests]
            self.assertEqual(sent, [f"{method} {path} HTTP/1.1"] * n)

    def asked(self, method, path, size, chunked=False):
        """The status, the body, and how many stubs nginx has passed it on to."""
        for stub in self.stubs:
            stub.requests.clear()
        connection = http.client.HTTPConnection("127.0.0.1", self.site.ports[0], timeout=30 * harness.SLOW)
        self.addCleanup(connection.close)
        body = (b"x" * 65536 for _ in range(size // 65536)) if chunked else b"x" * size
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer may come before the body went
            connection.request(method, path, body, {"Content-Type": "application/json"}, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, answer.read(), sum(len(stub.requests) for stub in self.stubs)

    def test_only_an_import_may_be_as_large_as_a_file(self):
        """nginx keeps a body on its disk, and only then is anybody asked for a token."""
        passed, mebi = (502, b'{"error":"Bad gateway"}\n', 1), 1 << 20
        for path, limit, text in (("/urls", mebi, b"Request body too large"), ("/users", mebi, b"Request body too large"),
                                  ("/nosuch", mebi, b"Request body too large"),
                                  ("/users/bulk/", mebi, b"Request body too large"),
                                  ("/users/bulk", 11 * mebi, b"File too large (max 10MB)")):
            refused = (413, b'{"error":"%s"}\n' % text, 0)
            for chunked in (False, True):
                self.assertEqual(self.asked("POST", path, limit, chunked), passed, (path, chunked))
                self.assertEqual(self.asked("POST", path, limit + 65536, chunked), refused, (path, chunked))
        for method, path in (("PUT", "/urls/1"), ("DELETE", "/urls/1"), ("PATCH", "/urls/1"), ("GET", "/abcdef")):
            self.assertEqual(self.asked(method, path, mebi + 65536),
                             (413, b'{"error":"Request body too large"}\n', 0), method)


@unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
class Tls(unittest.TestCase):
    def test_the_example(self):
        service = harness.Service()
        self.addCleanup(service.close)
        folder = service.folder
        one = service.start(path=os.path.join(folder, "shortener-1.sock"))
        certificate, key = os.path.join(folder, "cert"), os.path.join(folder, "key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", "/CN=links.example.com", "-addext", "subjectAltName=DNS:links.example.com",
                        "-out", certificate, "-keyout", key], check=True, capture_output=True)
        port = nginx.free_port()
        site = nginx.Site(os.path.join(folder, "nginx"), "examples/shortener-tls.conf", service.ctl("nginx-upstream", "1").stdout,
                          {"unix:/run/": f"unix:{folder}/", "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
                           "listen [::]:443 ssl http2;": "",
                           "/etc/ssl/certs/links.example.com.pem": certificate,
                           "/etc/ssl/private/links.example.com.key": key})
        self.addCleanup(site.stop)

        plain = http.client.HTTPConnection("127.0.0.1", site.ports[0], timeout=15 * harness.SLOW)
        plain.request("POST", "/urls?x=1", b"{}", {"Host": "links.example.com"})
        answer = plain.getresponse()
        self.assertEqual((answer.status, answer.headers["Location"]), (308, "https://links.example.com/urls?x=1"))
        plain.close()

        context = ssl.create_default_context(cafile=certificate)
        with socket.create_connection(("127.0.0.1", port), 15 * harness.SLOW) as sock:
            with context.wrap_socket(sock, server_hostname="links.example.com") as tls:
                tls.sendall(b"GET /health HTTP/1.1\r\nHost: links.example.com\r\nConnection: close\r\n\r\n")
                answer = b""
                while chunk := tls.recv(65536):
                    answer += chunk
        self.assertRegex(answer, rb"^HTTP/1.1 200 OK")
        self.assertIn(b"Strict-Transport-Security: max-age=", answer)
        self.assertIsNotNone(re.search(rb"X-Instance: 1\r\n", answer))
        self.assertEqual(one.stop(), 0)


if __name__ == "__main__":
    harness.main()
