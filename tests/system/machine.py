# SPDX-License-Identifier: MIT
"""A machine that boots: systemd as PID 1 of a container on an overlay of the bare root.

What it writes is in memory and gone at its end; its network is its own and has a loopback only.
Nothing but machines that were started here is ever touched.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import root
from control import Groups

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MEMORY = "6G"  # the most that the machine's writes may take


class Failed(AssertionError):
    """A command in the machine failed."""


def wait_for(condition, seconds, what, pause=0.05):
    """Polls until condition() is true; returns its value. The only place that sleeps."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"timed out after {seconds} s: {what}")
        time.sleep(pause)


def own_mounts():
    """Goes on in a mount namespace of its own, so that nothing stays mounted whatever happens."""
    if os.environ.get("SHORTENER_TEST_UNSHARED"):
        return
    os.environ["SHORTENER_TEST_UNSHARED"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation=private", sys.executable, *sys.argv])


class Machine:
    """One booted container. `with Machine("name") as machine: machine.run("systemctl ...")`"""

    def __init__(self, name):
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"shortener-{name}-"))
        self.upper = self.folder / "memory"
        self.root = self.folder / "root"
        self.process = None
        self.leader = None
        self.groups = None
        self.console = self.folder / "console.log"
        self.is_mounted = False

    def __enter__(self):
        try:
            self.mount()
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def mount(self):
        lower = root.bare_root()
        for folder in (self.upper, self.root):
            folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEMORY},mode=755", "memory", self.upper], check=True)
        self.is_mounted = True
        for name in ("changes", "work"):
            (self.upper / name).mkdir()
        layers = f"lowerdir={lower},upperdir={self.upper}/changes,workdir={self.upper}/work"
        subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", self.root], check=True)

    def boot(self, seconds=90):
        """Starts PID 1 and waits until it has started what it wanted to."""
        command = [
            "setpriv", "--pdeathsig", "TERM", "systemd-nspawn", f"--directory={self.root}", "--boot", "--quiet",
            "--register=no", "--keep-unit", f"--machine=shortener-{os.getpid()}-{self.name}",
            "--hostname=shortener", "--private-network", "--console=pipe", "--link-journal=no", "--timezone=off",
        ]  # fmt: skip
        self.groups = Groups(f"shortener-{os.getpid()}-{self.name}")
        with open(self.console, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=self.groups.join)  # fmt: skip
        try:
            self.leader = wait_for(self.find_leader, seconds, "systemd to start")
            wait_for(self.is_up, seconds, "the machine to boot")
        except AssertionError as error:
            raise Failed(f"{error}: {self.console.read_text(errors='replace')[-3000:]}") from None

    def find_leader(self):
        """The process id, here, of the machine's PID 1."""
        if self.process.poll() is not None:
            raise AssertionError(f"systemd-nspawn exited {self.process.returncode}")
        pid = self.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{child}/status").read_text(encoding="ascii", errors="replace")
                comm = Path(f"/proc/{child}/comm").read_text(encoding="ascii").strip()
                pids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
                if comm == "systemd" and pids[-1] == "1" and len(pids) > 1:
                    return int(child)
        return None

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"systemd-nspawn exited {self.process.returncode}")
        return self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def enter(self, *namespaces):
        """The command line that goes into the machine, or into these namespaces of it only."""
        return ["nsenter", "--target", str(self.leader), *(namespaces or ("--all",)), "--"]

    def popen(self, command, **options):
        """A process in the machine; a string is a line of shell."""
        if isinstance(command, str):
            command = ["sh", "-c", command]
        environment = ["env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
                       "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", "NO_COLOR=1"]  # fmt: skip
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.enter() + environment + list(command), text=True, errors="replace", **options)

    def run(self, command, check=True, seconds=120, stdin=None):
        """Runs it in the machine; its result has returncode, stdout and stderr."""
        process = self.popen(command, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        try:
            out, err = process.communicate(stdin, seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise Failed(f"{command}: not done after {seconds} s: {out[-2000:]}{err[-2000:]}") from None
        if check and process.returncode != 0:
            raise Failed(f"{command}: exit {process.returncode}: {out[-3000:]}{err[-3000:]}")
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def out(self, command, **options):
        """What it prints, without the last line's end."""
        return self.run(command, **options).stdout.rstrip("\n")

    def shell(self, script, *arguments, **options):
        """Runs a script of the test in the machine's bash, under set -eu."""
        return self.run(["bash", "-euc", script, "bash", *arguments], **options)

    def property(self, unit, name):
        return self.out(["systemctl", "show", "--value", f"--property={name}", unit])

    def path(self, inside):
        """Where a file of the machine is, seen from here: it has mounts of its own below /run and /tmp."""
        top = Path(f"/proc/{self.leader}/root") if self.leader else self.root
        return top / inside.lstrip("/")

    def write(self, inside, text, mode=0o644):
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def copy(self, source, inside):
        """Copies a file or a folder into the machine."""
        self.path(inside).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-rT", "--no-preserve=ownership", source, self.path(inside)], check=True)

    def journal(self, *options):
        return self.out(["journalctl", "--no-pager", "--quiet", *options])

    def leave_room(self, size):
        """A smaller disk: what is on it now and this many bytes."""
        disk = os.statvfs(self.upper)
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        subprocess.run(["mount", "-o", f"remount,size={used + size}", self.upper], check=True)

    def reboot(self):
        """Off, and on again with what was written."""
        self.power_off()
        self.boot()

    def power_off(self, seconds=90):
        if self.process is None or self.process.poll() is not None:
            return
        with contextlib.suppress(Failed):
            if self.leader:
                self.run("systemctl poweroff", check=False)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"{self.name}: did not power off in {seconds} s") from None
        finally:
            self.leader = None
            self.groups.close()

    def close(self):
        if not self.folder.exists():
            return  # closed already
        try:
            self.power_off()
        finally:
            if self.is_mounted:
                subprocess.run(["umount", "--lazy", self.root], check=False)
                subprocess.run(["umount", "--lazy", self.upper], check=False)
            for path in (self.root, self.upper):
                if path.exists():
                    path.rmdir()
            if os.environ.get("SHORTENER_TEST_KEEP_LOG"):
                print(f"console of {self.name}: {self.console}")
            else:
                self.console.unlink(missing_ok=True)
                self.folder.rmdir()
