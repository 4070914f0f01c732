# SPDX-License-Identifier: MIT
"""What is measured: three instances behind the shipped nginx on free ports, or a service elsewhere."""

import http.client
import json
import os
import re
import sys
import tempfile
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import harness
import postgres
import proxy
import redis

TICKS = os.sysconf("SC_CLK_TCK")
USERS = 8  # who have a token each
# A thousand times what `auto` gives a client: all that come through one nginx here have one address.
RAISED = ["Limits.Create=600000/1min", "Limits.Read=6000000/1min", "Limits.Misses=120000/1min", "Limits.FailedAuth=30000/1min",
          "Limits.LinksPerUser=100000"]


class Client:
    """Requests to one address, with a token if there is one."""

    def __init__(self, url, token=""):
        self.url = url.rstrip("/")
        self.token = token
        self.parts = urllib.parse.urlsplit(self.url)

    def ask(self, method, path, body=None):
        kind = http.client.HTTPSConnection if self.parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.parts.hostname, self.parts.port, timeout=20)
        try:
            data = None if body is None else json.dumps(body)
            fields = {"Authorization": "Bearer " + self.token} if self.token else {}
            connection.request(method, self.parts.path + path, data, {"Content-Type": "application/json", **fields} if data else fields)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def make_links(self, n):
        codes = []
        for i in range(n):
            status, body = self.ask("POST", "/urls", {"url": f"https://www.example.com/load/setup/{i}"})
            if status != 201:
                raise SystemExit(f"load: {self.url}/urls: {status} {body[:200]!r}")
            codes.append(json.loads(body)["short_code"])
        return codes

    def metrics(self):
        """{series: value} of /metrics; nothing where it is not shown to us."""
        status, body = self.ask("GET", "/metrics")
        return parse(body.decode()) if status == 200 else {}


def parse(text):
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


def added(maps):
    """The sum of several /metrics, series by series."""
    total = {}
    for one in maps:
        for name, value in one.items():
            total[name] = total.get(name, 0) + value
    return total


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_bytes(pid):
    """Memory, shared pages by share."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.MULTILINE).group(1)) * 1024


class Elsewhere:
    """A service that runs already; tokens: of its users, where it asks for one."""

    def __init__(self, url, tokens=()):
        self.url = url
        self.tokens = list(tokens)
        self.client = Client(url, *self.tokens[:1])
        self.store = url

    def metrics(self):
        return self.client.metrics()

    def usage(self):
        return {}

    def close(self):
        pass


class Stack:
    """Three instances and nginx, with one SQLite file, or with a PostgreSQL that syncs, and Redis. disk:
    False has store and spools in memory, where a machine's slow disk is not what is looked at. access: who may use the
    API; with "token", users who have one each are made. limits: they are on, raised."""

    def __init__(self, folder, store="sqlite", disk=True, n_instances=3, access="open", limits=False):
        self.folder = folder
        self.disk = disk
        self.memory = None if disk else tempfile.TemporaryDirectory(prefix="shortener-load-", dir="/dev/shm")
        small = [] if disk else ["Clicks.SegmentSize=1M"]
        self.service = harness.Service(["Log.Level=warning", f"API.Access={access}", *(RAISED if limits else []), *small],
                                       state=None if disk else self.memory.name)
        self.proxy = self.postgres = self.redis = None
        self.store = store
        try:
            if store == "postgres":
                self.start_servers()
            paths = [os.path.join(folder, f"{n}.sock") for n in range(1, n_instances + 1)]
            self.instances = [self.service.instance(str(n), path=path) for n, path in enumerate(paths, 1)]
            for instance in self.instances:
                instance.start()
            self.tokens = self.make_tokens() if access == "token" else []
            self.proxy = proxy.Proxy(os.path.join(folder, "nginx"), paths)
        except BaseException:
            self.close()
            raise
        self.url = f"http://127.0.0.1:{self.proxy.port}"
        self.client = Client(self.url, *self.tokens[:1])

    def make_tokens(self):
        tokens = []
        for n in range(USERS):
            user = json.loads(self.service.ctl("--json", "user", "add", f"load-{n}", f"load-{n}@x.example").stdout)["id"]
            tokens.append(self.service.ctl("token", "create", f"--user={user}", "--scopes=read,write", "load").stdout.strip())
        return tokens

    def start_servers(self):
        self.postgres = postgres.Postgres(sync=self.disk)
        self.service.url = self.postgres.new_url()
        self.redis = redis.Redis(os.path.join(self.folder, "redis"))
        self.service.options.append("Cache.Redis=" + self.redis.url)

    def metrics(self):
        return added(parse(instance.get("/metrics").body.decode()) for instance in self.instances)

    def usage(self):
        """{part: (seconds of CPU, bytes)}"""
        groups = {"instances": [i.process.pid for i in self.instances], "nginx": self.proxy.pids()}
        if self.postgres:
            groups["PostgreSQL"] = [self.postgres.process.pid, *self.postgres.children()]
            groups["Redis"] = [self.redis.process.pid]
        return {name: (sum(map(cpu_seconds, pids)), sum(map(pss_bytes, pids))) for name, pids in groups.items()}

    def disturb(self, how):
        """Restarts an instance, or kills it; its socket stays open, as systemd keeps it."""
        instance = self.instances[0]
        if how == "kill":
            instance.kill()
        else:
            instance.stop()
        instance.start()

    def plain_url(self):
        """nginx's own `return 302`."""
        return f"http://127.0.0.1:{self.proxy.plain_port}"

    def direct_url(self):
        """An instance without nginx."""
        return f"http://127.0.0.1:{self.instances[0].port}"

    def close(self):
        if self.proxy:
            self.proxy.stop()
        self.service.close()
        for server in (self.postgres, self.redis):
            if server:
                server.close()
        if self.memory:
            self.memory.cleanup()
