# SPDX-License-Identifier: MIT
"""The service of a booted machine, a container whose PID 1 we know: its parts are systemd's units."""

import contextlib
import ctypes
import glob
import os
import re
import subprocess
import sys

import parts

# What a part is called here, and its units.
UNITS = (("instances", r"shortener@\d+\.service"), ("nginx", r"nginx\.service"), ("PostgreSQL", r"postgresql@.*\.service"),
         ("Redis", r"redis-server@shortener\.service"), ("monitoring", r"(prometheus.*|shortener-alertd)\.service"))
VICTIM = 2  # the instance that is restarted or killed


def enter_network(leader):
    """Goes on in the machine's network, where the load is to come from; all else stays the host's."""
    if os.readlink("/proc/self/ns/net") != os.readlink(f"/proc/{leader}/ns/net"):
        os.execvp("nsenter", ["nsenter", f"--target={leader}", "--net", "--", sys.executable, *sys.argv])


PLAIN_PORT = 5302  # nginx's own `return 302`, for compare
PLAIN_SITE = "etc/nginx/conf.d/90-load.conf"
PLAIN = f"""server {{
    listen 127.0.0.1:{PLAIN_PORT} backlog=1024;
    access_log off;
    location / {{ return 302 https://www.example.com/some/where/that/is/usual; }}
}}
"""


class Machine(parts.Elsewhere):
    """leader: the process id of its PID 1. one_cpu: all that runs there, on the first CPU."""

    def __init__(self, url, leader, one_cpu=False, tokens=()):
        super().__init__(url, tokens)
        self.leader = leader
        self.group = self.group_of(leader).rsplit("/", 1)[0]  # its own is init.scope
        self.store = "the booted machine's"
        self.root = f"/proc/{leader}/root/"
        sockets = glob.glob(self.root + "run/shortener-[0-9].sock")
        self.instance_urls = [f"http://127.0.0.1:500{path[-6]}" for path in sorted(sockets)]
        self.cpus = os.sched_getaffinity(0) if one_cpu else None
        if one_cpu:
            self.pin({min(self.cpus)})

    @staticmethod
    def group_of(pid):
        with open(f"/proc/{pid}/cgroup") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
        return next(path for _, name, path in lines if name in ("", "name=systemd"))

    def processes(self):
        """[(pid, its group)] of all that runs there."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                group = self.group_of(pid)
                if group.startswith(self.group + "/"):
                    found.append((int(pid), group))
        return found

    def usage(self):
        """As Stack's. A process that ends between two looks takes its CPU time with it."""
        found, running = {}, self.processes()
        for name, pattern in UNITS:
            pids = [pid for pid, group in running if re.search(f"/{pattern}(/|$)", group)]
            cpu = memory = 0
            for pid in pids:
                with contextlib.suppress(OSError):
                    cpu, memory = cpu + parts.cpu_seconds(pid), memory + parts.pss_bytes(pid)
            if pids:
                found[name] = (cpu, memory)
        return found

    def metrics(self):
        return parts.added(parts.Client(url).metrics() for url in self.instance_urls)

    def command(self, line):
        subprocess.run(["nsenter", f"--target={self.leader}", "--all", "--", "sh", "-c", line], check=True, timeout=120,
                       stdin=subprocess.DEVNULL, stdout=sys.stderr)

    def disturb(self, how):
        self.command(f"systemctl restart shortener@{VICTIM}" if how == "restart" else f"systemctl kill --signal=KILL shortener@{VICTIM}")

    def make_cold(self):
        """No instance and no Redis remembers anything."""
        self.command("systemctl stop shortener.target && redis-cli -s /run/redis-shortener/redis.sock FLUSHALL"
                     " && systemctl start shortener.target && shortenerctl doctor >/dev/null")

    def plain_url(self):
        with open(self.root + PLAIN_SITE, "w") as file:
            file.write(PLAIN)
        self.reload_nginx()
        return f"http://127.0.0.1:{PLAIN_PORT}"

    def reload_nginx(self):
        """Until the old workers are gone, who would close what is connected to them."""
        def workers():
            found = set()
            for pid, group in self.processes():
                with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
                    if "/nginx.service" in group and file.read().startswith("nginx: worker"):
                        found.add(pid)
            return found
        old = workers()
        self.command("nginx -t -q && systemctl reload nginx")
        parts.harness.wait_for(lambda: not old & workers(), 60, "nginx's old workers to end")

    def direct_url(self):
        return self.instance_urls[0]

    def pin(self, cpus):
        """All threads there, and by inheritance what they start."""
        for pid, _ in self.processes():
            for task in glob.glob(f"/proc/{pid}/task/*"):
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(os.path.basename(task)), cpus)

    def close(self):
        if self.cpus:
            self.pin(self.cpus)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.root + PLAIN_SITE)
            self.reload_nginx()
