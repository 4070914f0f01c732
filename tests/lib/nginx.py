# SPDX-License-Identifier: MIT
"""A private nginx in front of instances: own folder, own ports, ended by its pid."""

import os
import socket
import subprocess

import harness

CONFIGURATION = """
{user}
daemon off;
master_process off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 16m;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_buffer_size 16k;  # a Location has up to 6 KB
    proxy_buffers 8 16k;
{upstreams}
}}
"""

UPSTREAM = """
    upstream u{port} {{
{servers}
        keepalive 8;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://u{port}; }}
    }}
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Nginx:
    """One listener for each list of servers ("127.0.0.1:8001", "unix:/path"), in turns."""

    def __init__(self, folder, *upstreams):
        self.folder = folder
        os.mkdir(folder)
        self.ports = [free_port() for _ in upstreams]
        blocks = [UPSTREAM.format(port=port, servers="\n".join(f"        server {s};" for s in servers))
                  for port, servers in zip(self.ports, upstreams)]
        self.run("".join(blocks))

    def run(self, blocks):
        self.path = os.path.join(self.folder, "nginx.conf")
        with open(self.path, "w") as file:
            file.write(self.configuration(blocks))
        self.process = subprocess.Popen(["nginx", "-p", self.folder, "-c", self.path, "-e", self.folder + "/start.log"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for(self.listens, 10, "nginx to listen")

    def configuration(self, blocks):
        return CONFIGURATION.format(folder=self.folder, upstreams=blocks,
                                    user="user root;" if os.geteuid() == 0 else "")

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"nginx exited {self.process.returncode}: {self.log()}")
        try:
            for port in self.ports:
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

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
            self.process.wait(10)


BARE = """
{user}
daemon off;
master_process off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include site;
}}
"""
FILES = os.path.join(harness.ROOT, "etc", "nginx")


class Site(Nginx):
    """The files that are shipped: a site and its snippets, with other ports and paths. replace:
    {text of the files: what stands there instead}; upstream: the text of shortener-upstream.conf."""

    def __init__(self, folder, site, upstream, replace):
        self.folder = folder
        self.ports = [free_port()]
        os.makedirs(os.path.join(folder, "snippets"))
        texts = {"site": self.read(site), "snippets/shortener-upstream.conf": upstream}
        for name in ("http", "server"):
            name = f"snippets/shortener-{name}.conf"
            texts[name] = self.read(name)
        replace = {"listen 80;": f"listen 127.0.0.1:{self.ports[0]};", "listen [::]:80;": "", **replace}
        for name, text in texts.items():
            for old, new in replace.items():
                text = text.replace(old, new)
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        self.run("")

    @staticmethod
    def read(name):
        with open(os.path.join(FILES, name)) as file:
            return file.read()

    def configuration(self, blocks):
        return BARE.format(folder=self.folder, user="user root;" if os.geteuid() == 0 else "")
