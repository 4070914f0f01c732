#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A private PostgreSQL server: own folder, Unix socket there, ended by its pid.

    with postgres.Postgres() as server:
        server.create("shop")                # a database; its URL is server.url("shop")
        server.psql("SELECT 1", "shop")      # rows as lines of text

initdb refuses root: then everything runs as the user that the package made, `postgres`.

As a program: postgres.py [--pgbouncer=MODE] COMMAND [ARGUMENT]... runs the command with a server
that is its own; the folder of the socket is in SHORTENER_TEST_POSTGRES, the postmaster's pid in
SHORTENER_TEST_POSTGRES_PID, the socket of a PgBouncer before it in SHORTENER_TEST_PGBOUNCER. Python's standard library only.
"""

import atexit
import contextlib
import ctypes
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

import harness

PR_SET_PDEATHSIG = 1
ACCOUNT = "postgres"  # of the server's processes when the test is root


def program(name):
    """The newest installed version of one of the server's programs."""
    found = glob.glob(f"/usr/lib/postgresql/*/bin/{name}") + glob.glob(f"/usr/pgsql-*/bin/{name}")
    found.sort(key=lambda path: int("".join(filter(str.isdigit, path.split("/")[-3])) or 0))
    path = found[-1] if found else shutil.which(name)
    if not path:
        raise AssertionError(f"{name} is not installed: run script/bootstrap")
    return path


def as_account():
    """Options of subprocess for a command that must not be root's."""
    if os.geteuid() != 0:
        return {}
    return {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []}


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def state_of(pid):
    """A process' letter, see proc(5); X: it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]
    return "X"


def name_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
        return f"{file.read().split(chr(0))[0]} ({state_of(pid)})"
    return "gone"


def own_folder(prefix):
    """A new folder of the account that the servers run as; others may look into it."""
    folder = tempfile.mkdtemp(prefix=prefix)
    os.chmod(folder, 0o755)
    if os.geteuid() == 0:
        shutil.chown(folder, ACCOUNT, ACCOUNT)
    return folder


class PgBouncer:
    """In front of a server, on a socket of its own. mode: session or transaction."""

    def __init__(self, server, mode):
        self.folder = own_folder("shortener-pgb-")
        self.process = None
        path = os.path.join(self.folder, "pgbouncer.ini")
        with open(path, "w") as file:
            file.write(f"[databases]\n* = host={server.folder} port={server.port} user=postgres\n"
                       f"[pgbouncer]\nunix_socket_dir = {self.folder}\nunix_socket_mode = 0777\n"
                       f"listen_addr =\nlisten_port = 5432\nauth_type = any\npool_mode = {mode}\n"
                       f"default_pool_size = 20\nmax_client_conn = 200\nserver_reset_query = DISCARD ALL\n"
                       f"logfile = {self.folder}/log\n")
        self.process = subprocess.Popen([shutil.which("pgbouncer", path="/usr/sbin:/usr/bin"), "-q", path],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=die_with_parent, **as_account())
        harness.wait_for(lambda: os.path.exists(os.path.join(self.folder, ".s.PGSQL.5432")), 20,
                         "PgBouncer to listen")

    def close(self):
        self.process.terminate()
        self.process.wait(10 * harness.SLOW)
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Postgres:
    """A server. sync: as in production; without it what it wrote does not survive a power cut.
    tcp: listens on a free loopback port too. settings: of postgresql.conf. standby_of: another
    Postgres, whose standby this one is."""

    def __init__(self, sync=False, tcp=False, settings=None, standby_of=None):
        self.folder = own_folder("shortener-pg-")
        self.data = os.path.join(self.folder, "data")
        self.process = None
        self.n_made = 0
        self.port = free_port() if tcp else 5432
        self.settings = {
            "listen_addresses": "127.0.0.1" if tcp else "",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "unix_socket_permissions": "0777",
            "fsync": "on" if sync else "off",
            "synchronous_commit": "on",
            "full_page_writes": "on" if sync else "off",
            "max_connections": 100,
            "shared_buffers": "64MB",
            "logging_collector": "off",
            "log_checkpoints": "off",
            "log_min_messages": "warning",
            "restart_after_crash": "on",
            "timezone": "UTC",
            **(settings or {}),
        }
        try:
            self.make(standby_of)
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, *command, **kw):
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder,
                              timeout=120 * harness.SLOW, **as_account(), **kw)
        if done.returncode != 0:
            raise AssertionError(f"{command}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def make(self, standby_of):
        if standby_of:
            self.run(program("pg_basebackup"), "-h", standby_of.folder, "-p", str(standby_of.port),
                     "-U", "postgres", "-D", self.data, "-R", "-c", "fast", "--no-sync")
        else:
            self.run(program("initdb"), "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                     "--locale=C", "--no-sync")
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a") as file:
            for key, value in self.settings.items():
                file.write(f"{key} = '{value}'\n")

    # ---- the process ----

    def start(self, wait=True):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [program("postgres"), "-D", self.data], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, preexec_fn=die_with_parent, **as_account())
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def up():
            if self.process.poll() is not None:
                raise AssertionError(f"postgres exited {self.process.returncode}: {self.log()[-2000:]}")
            return subprocess.run([program("pg_isready"), "-q", "-h", self.folder, "-p", str(self.port)],
                                  check=False).returncode == 0
        harness.wait_for(up, 60, "PostgreSQL to accept connections")

    def stop(self, number=signal.SIGINT):
        """SIGINT: at once, in order; SIGQUIT: without a checkpoint, as after a crash."""
        if self.process and self.process.poll() is None:
            self.thaw()
            self.process.send_signal(number)
            self.process.wait(60 * harness.SLOW)

    def children(self):
        """The server's other processes."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return [int(pid) for pid in file.read().split()]

    def signal_all(self, number):
        for pid in [self.process.pid, *self.children()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self):
        """kill -9 of the postmaster; what is left of its children sees that and ends. Whoever is process 1 may
        take its time to bury them."""
        children = self.children()
        self.process.kill()
        self.process.wait()

        def left():
            return {pid: name_of(pid) for pid in children if state_of(pid) not in "ZX"}
        try:
            harness.wait_for(lambda: not left(), 60, "the postmaster's children to end")
        except AssertionError as error:
            raise AssertionError(f"{error}: {left()}") from None

    def freeze(self):
        """SIGSTOP of all its processes: its sockets stay open, nothing answers. A list of children that was
        read while one of them ended, or was made, may lack others: it is read until all in it stand still."""
        os.kill(self.process.pid, signal.SIGSTOP)

        def all_stand():
            pids = [self.process.pid, *self.children()]
            self.signal_all(signal.SIGSTOP)
            return pids == [self.process.pid, *self.children()] and all(state_of(pid) in "TZX" for pid in pids)

        harness.wait_for(all_stand, 10, "the server's processes to stop")

    def thaw(self):
        self.signal_all(signal.SIGCONT)

    def log(self):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.folder, "log"), errors="replace") as file:
            return file.read()
        return ""

    def close(self):
        with contextlib.suppress(Exception):
            self.stop()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- databases ----

    def psql(self, sql, database="postgres", check=True):
        """Runs SQL; returns the rows as text, columns separated by |."""
        done = subprocess.run(
            [program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p",
             str(self.port), "-U", "postgres", "-d", database, "-f", "-"], input=sql,
            capture_output=True, text=True, check=False, timeout=600 * harness.SLOW)
        if check and done.returncode != 0:
            raise AssertionError(f"psql: {sql}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def watchers(self, database):
        """The process ids of the connections on which instances listen: PostgreSQL does not show that,
        but it is they who answer SELECT 1 four times a second; the resolvers' do so once."""
        asked = {}
        end = time.monotonic() + 1.6
        while time.monotonic() < end:
            rows = self.psql("SELECT pid, query_start FROM pg_stat_activity"
                             f" WHERE datname = '{database}' AND query = 'SELECT 1'")
            for row in filter(None, rows.split("\n")):
                pid, at = row.split("|")
                asked.setdefault(int(pid), set()).add(at)
        return [pid for pid, times in asked.items() if len(times) >= 3]

    def create(self, database, schema=True):
        """A database; schema: with the newest schema in it, by shortenerctl."""
        self.psql(f'CREATE DATABASE "{database}"')
        if schema:
            done = subprocess.run([harness.CTL, "--config=/dev/null", "--store=" + self.url(database), "db", "migrate"],
                                  capture_output=True, text=True, check=False, timeout=120 * harness.SLOW)
            if done.returncode != 0:
                raise AssertionError(f"db migrate: {done.stdout}{done.stderr}")
        return self.url(database)

    def new_url(self):
        """The URL of a database that was made for the caller."""
        if not self.n_made:
            self.create("made_0")
        self.n_made += 1
        name = f"made_{self.n_made}"
        self.psql(f"CREATE DATABASE {name} TEMPLATE made_0")
        return self.url(name)

    def url(self, database="postgres", host=None, port=None, **parameters):
        """A connection string over the socket; host, port: another way to it."""
        query = {"host": host or self.folder, "port": port or self.port, "user": "postgres", **parameters}
        return f"postgresql:///{database}?" + urllib.parse.urlencode(query, safe="/")


_shared = []


def shared():
    """A server for the whole program, ended at its end."""
    if not _shared:
        _shared.append(Postgres())
        atexit.register(_shared[0].close)
    return _shared[0]


def main():
    with Postgres() as server:
        command, bouncer = sys.argv[1:], None
        environment = dict(os.environ, SHORTENER_TEST_POSTGRES=server.folder,
                           SHORTENER_TEST_POSTGRES_PID=str(server.process.pid))
        if command[0].startswith("--pgbouncer="):
            bouncer = PgBouncer(server, command.pop(0).partition("=")[2])
            environment["SHORTENER_TEST_PGBOUNCER"] = bouncer.folder
        try:
            done = subprocess.run(command, env=environment, check=False)
        finally:
            if bouncer:
                bouncer.close()
        if done.returncode != 0:
            print("The server's log ends with:", server.log()[-4000:], sep="\n", file=sys.stderr)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
