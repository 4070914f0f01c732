# SPDX-License-Identifier: MIT
"""Starts a private Prometheus, Alertmanager and exporters with the shipped configuration, ends them by
pid. Only addresses and paths of the configuration are replaced."""

import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

import harness

SOURCE = os.path.join(harness.ROOT, "monitoring")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def ask(port, method, path, body=None, timeout=20):
    """Status and body, as JSON where it is; status 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        answer = connection.getresponse()
        text = answer.read().decode()
        is_json = answer.getheader("Content-Type", "").startswith("application/json")
        return answer.status, json.loads(text) if is_json and text else text
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


class Program:
    """A server of a package, with its log in a file."""

    def __init__(self, folder, name, command, port, path="/metrics", environment=None):
        self.name = name
        self.port = port
        self.log_path = os.path.join(folder, f"{name}.log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **(environment or {})})
        harness.wait_for(lambda: self.answers(path), 60, f"{name} to answer")

    def answers(self, path):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} exited {self.process.returncode}: {self.log()[-2000:]}")
        return ask(self.port, "GET", path)[0] == 200

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Receiver:
    """A webhook receiver that keeps what it got: (monotonic time, message)."""

    def __init__(self):
        self.messages = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.messages.append((time.monotonic(), json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def alerts(self, status="firing"):
        """[(time, alert)] of that status."""
        return [(when, alert) for when, message in list(self.messages)
                for alert in message["alerts"] if alert["status"] == status]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def flags(name):
    """The words of ARGS in the shipped file of flags."""
    with open(os.path.join(SOURCE, "flags", name + ".env")) as file:
        return re.search(r'^ARGS="(.*)"$', file.read(), re.MULTILINE).group(1).split()


def with_flags(name, **changes):
    """The shipped flags, with the values of some replaced; each must be there. web_listen_address="..." """
    words = flags(name)
    for key, value in changes.items():
        found = [i for i, word in enumerate(words) if word.lstrip("-").split("=")[0].replace(".", "_").replace("-", "_") == key]
        assert len(found) == 1, (name, key, words)
        words[found[0]] = words[found[0]].split("=")[0] + "=" + value
    return words


class Stack:
    """A folder with a copy of the configuration, and what was started in it."""

    def __init__(self, folder):
        self.folder = folder
        self.programs = []
        self.etc = os.path.join(folder, "monitoring")
        shutil.copytree(SOURCE, self.etc)
        os.makedirs(os.path.join(self.etc, "targets"))
        self.ports = {}  # shipped port: the one in use

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for program in reversed(self.programs):
            program.stop()
        self.programs = []

    def port(self, shipped):
        """A free port that stands for the shipped one, everywhere."""
        if shipped not in self.ports:
            self.ports[shipped] = free_port()
        return self.ports[shipped]

    def start(self, name, command, shipped, path="/metrics", environment=None):
        program = Program(self.folder, name, command, self.port(shipped), path, environment)
        self.programs.append(program)
        return program

    def configure(self, name):
        """The copy of a configuration with the ports in use; its path."""
        path = os.path.join(self.etc, name)
        with open(path) as file:
            text = re.sub(r"127\.0\.0\.1:(\d+)", lambda m: f"127.0.0.1:{self.port(int(m.group(1)))}", file.read())
        with open(path, "w") as file:
            file.write(text)
        return path

    def listen(self, shipped):
        return f"127.0.0.1:{self.port(shipped)}"

    def alertmanager(self):
        words = with_flags("prometheus-alertmanager", config_file=self.configure("alertmanager.yml"),
                           web_listen_address=self.listen(9093))
        return self.start("alertmanager", ["prometheus-alertmanager", *words, "--storage.path=" + self.folder + "/alertmanager"],
                          9093, "/-/ready")

    def prometheus(self):
        words = with_flags("prometheus", config_file=self.configure("prometheus.yml"), web_listen_address=self.listen(9090),
                           web_console_templates=os.path.join(self.etc, "consoles"))
        return self.start("prometheus", ["prometheus", *words, "--storage.tsdb.path=" + self.folder + "/metrics"], 9090, "/-/ready")

    def node_exporter(self):
        return self.start("node-exporter", ["prometheus-node-exporter",
                                            *with_flags("prometheus-node-exporter", web_listen_address=self.listen(9100))], 9100)

    def targets(self, name, groups):
        """targets/NAME.json: [({label: value}, address)]."""
        with open(os.path.join(self.etc, "targets", name + ".json"), "w") as file:
            json.dump([{"targets": [address], "labels": labels} for labels, address in groups], file)

    def query(self, expression):
        """The result of an instant query."""
        status, answer = ask(self.port(9090), "GET", "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert status == 200 and answer["status"] == "success", (expression, status, answer)
        return answer["data"]["result"]


class Whole(Stack):
    """Three instances, nginx, PostgreSQL and Redis with their exporters, node-exporter, Alertmanager and
    Prometheus: all that the panels ask. certificate_days: of the certificate that nginx shows."""

    def __init__(self, folder, certificate_days=90):
        super().__init__(folder)
        self.receiver = Receiver()
        self.ports[9097] = self.receiver.port
        self.service = harness.Service()
        self.instances = []
        self.proxy = self.postgres = self.redis = None
        self.certificate_days = certificate_days

    def begin(self):
        import postgres
        import proxy
        import redis
        paths = [os.path.join(self.folder, f"{n}.sock") for n in (1, 2, 3)]
        self.postgres = postgres.Postgres()
        self.redis = redis.Redis(os.path.join(self.folder, "redis"))
        self.service.url = self.postgres.new_url()
        self.service.options.append("Cache.Redis=" + self.redis.url)
        self.instances = [self.service.instance(str(n), path=path).start() for n, path in zip((1, 2, 3), paths)]
        with open(self.configure("nginx-status.conf")) as file:
            self.proxy = proxy.Proxy(os.path.join(self.folder, "nginx"), paths, file.read(), self.certificate_days)
        self.exporters()
        self.targets("shortener", [({"instance": i.name}, f"127.0.0.1:{i.port}") for i in self.instances])
        self.targets("exporters", [({"instance": "host", "part": part}, self.listen(port))
                                   for part, port in (("postgresql", 9187), ("redis", 9121), ("nginx", 9113))])
        self.targets("certificates", [({}, f"127.0.0.1:{self.proxy.tls_port}")])
        self.alertmanager()
        self.prometheus()
        return self

    def exporters(self):
        name = "prometheus-postgres-exporter"
        source = f"user=postgres host={self.postgres.folder} port={self.postgres.port} dbname=postgres"
        self.start("postgres-exporter", [name, *with_flags(name, web_listen_address=self.listen(9187))], 9187,
                   environment={"DATA_SOURCE_NAME": source})
        name = "prometheus-redis-exporter"
        self.start("redis-exporter", [name, *with_flags(name, web_listen_address=self.listen(9121),
                                                        redis_addr="unix://" + self.redis.socket)], 9121)
        name = "prometheus-nginx-exporter"
        self.start("nginx-exporter", [name, *with_flags(name, web_listen_address=self.listen(9113),
                                                        nginx_scrape_uri=f"http://{self.listen(9112)}/status")], 9113)
        name = "prometheus-blackbox-exporter"
        self.start("blackbox-exporter", [name, *with_flags(name, web_listen_address=self.listen(9115),
                                                           config_file=self.etc + "/blackbox.yml")], 9115, "/-/healthy")
        self.node_exporter()

    def stop(self):
        super().stop()
        for part in (self.proxy, self.receiver):
            if part:
                part.stop()
        for part in (self.postgres, self.redis, self.service):
            if part:
                part.close()


class Traffic(threading.Thread):
    """A bit of everything through one address, until stopped; counts what was answered."""

    def __init__(self, port, pause=0.005):
        super().__init__(daemon=True)
        self.port = port
        self.pause = pause
        self.ended = threading.Event()
        self.counts = {}  # status: how many
        self.error = None
        self.codes = []

    def ask(self, method, path, body=None):
        status, answer = ask(self.port, method, path, body)
        self.counts[status] = self.counts.get(status, 0) + 1
        return answer

    def run(self):
        try:
            for n in range(20):
                self.codes.append(self.ask("POST", "/urls", {"url": f"https://example.com/{n}"})["short_code"])
            n = 0
            while not self.ended.wait(self.pause):
                n += 1
                self.ask("GET", "/" + self.codes[n * 7 % len(self.codes)])
                if n % 5 == 0:
                    self.ask("GET", "/urls?per_page=10")
                if n % 11 == 0:
                    self.ask("POST", "/urls", {"url": f"https://example.com/more/{n}", "title": "more"})
                if n % 17 == 0:
                    self.ask("GET", "/unknown%d" % (n % 3))
                if n % 23 == 0:
                    self.ask("POST", "/urls", {"url": "not a link"})
                if n % 29 == 0:
                    self.ask("GET", "/events?per_page=5")
        except Exception as error:
            self.error = error

    def stop(self):
        self.ended.set()
        self.join(60)
        if self.error:
            raise self.error
        return self.counts


@contextlib.contextmanager
def stack(kind=Stack, **options):
    """One in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="shortener-monitoring-", ignore_cleanup_errors=True) as folder:
        with kind(folder, **options) as result:
            yield result
