# SPDX-License-Identifier: MIT
"""A private nginx with the shipped snippets in front of instances; ended by its pid.

Only what cannot be the same is replaced: sockets of the instances, ports, paths of nginx itself.
"""

import os
import re
import shutil
import socket
import subprocess

import harness

SOURCE = os.path.join(harness.ROOT, "etc", "nginx")

MAIN = """
{user}
daemon off;
worker_processes {workers};
worker_rlimit_nofile 8192;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/snippets/shortener-http.conf;
    include {folder}/snippets/shortener-upstream.conf;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
{tls}
        include {folder}/snippets/shortener-server.conf;
    }}
    server {{
        listen 127.0.0.1:{plain_port} backlog=1024;
        location / {{ return 302 https://www.example.com/some/where/that/is/usual; }}
    }}
    include {folder}/extra.conf;
}}
"""

TLS = """        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Proxy:
    """sockets: those of the instances. extra: text of another part of http{}. days: a self-signed
    certificate that long. port, tls_port, plain_port (a static `return 302`): where it listens."""

    def __init__(self, folder, sockets, extra="", days=None, workers="auto"):
        self.folder = folder
        os.makedirs(folder)
        self.port, self.tls_port, self.plain_port = free_port(), free_port(), free_port()
        shutil.copytree(os.path.join(SOURCE, "snippets"), os.path.join(folder, "snippets"))
        self.set_upstreams(sockets)
        if days:
            self.make_certificate(days)
        with open(os.path.join(folder, "extra.conf"), "w") as file:
            file.write(extra)
        self.path = os.path.join(folder, "nginx.conf")
        with open(self.path, "w") as file:
            file.write(MAIN.format(folder=folder, port=self.port, plain_port=self.plain_port, workers=workers,
                                   tls=TLS.format(folder=folder, port=self.tls_port) if days else "",
                                   user="user root;" if os.geteuid() == 0 else ""))
        self.process = subprocess.Popen(["nginx", "-p", folder, "-c", self.path, "-e", folder + "/start.log"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        harness.wait_for(self.listens, 20, "nginx to listen")

    def set_upstreams(self, sockets):
        path = os.path.join(self.folder, "snippets", "shortener-upstream.conf")
        with open(path) as file:
            text = file.read()
        servers = re.compile(r"(?:^    server unix:\S+( [^;]*);\n)+", re.MULTILINE)
        text, n = servers.subn(lambda m: "".join(f"    server unix:{path}{m.group(1)};\n" for path in sockets), text)
        assert n == 3, "the upstreams do not look as they used to"
        with open(path, "w") as file:
            file.write(text)

    def make_certificate(self, days):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", str(days),
                        "-keyout", self.folder + "/key.pem", "-out", self.folder + "/certificate.pem"],
                       check=True, capture_output=True, timeout=60)

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"nginx exited {self.process.returncode}: {self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def pids(self):
        """The master and its workers."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return [self.process.pid, *map(int, file.read().split())]

    def log(self):
        text = ""
        for name in ("start.log", "error.log"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    text += file.read()
        return text

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
