#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What systemd reads is as it wants it, asked of its own programs. Usage: units.py FOLDER BUILD.

The tree is installed below a temporary root; systemd-analyze, -sysusers, -tmpfiles, systemctl and
journalctl work on that root.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lint import Report, root, skip

# Exposure in tenths, of systemd-analyze security: for a unit, and with an example drop-in.
EXPOSURE = {
    "shortener@1.service": 2,
    "shortener-recover.service": 7,
    "shortener-alertd.service": 11,
    "shortener-targets.service": 57,
}
EXPOSURE_WITH = {
    "access-log.conf": 2,
    "remote-store.conf": 11,
}
# Ports that Debian's packages of the same host take before anybody configures them: Prometheus, its
# gateway, Alertmanager and its gossip, node-exporter.
TAKEN = {9090, 9091, 9093, 9094, 9100}
UNITS = r"shortener.*\.(service|socket|target|timer)|system-shortener.*\.slice"


def run(*command):
    """Its exit status, and all that it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    return done.returncode, done.stdout


def install(build, target):
    environment = {**os.environ, "DESTDIR": target}
    subprocess.run(["cmake", "--install", build, "--prefix", "/usr"], env=environment, check=True,
                   capture_output=True)


def add_system(target, units):
    """What the units lean on, and any program that they call."""
    for path in Path("/lib/systemd/system").iterdir():
        wanted = path.suffix in (".target", ".slice") or path.name.startswith("systemd-journald")
        if wanted and path.is_file() and not (units / path.name).exists():
            shutil.copy(path, units)
    for name in ("etc/machine-id", "bin/sh"):
        path = Path(target, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
        path.chmod(0o755)


def instance(name):
    return name.replace("@.", "@1.")


def check_verify(target, names):
    status, text = run("systemd-analyze", "verify", "--man=no", f"--root={target}", *names)
    yield from text.splitlines()
    if status != 0:
        yield f"systemd-analyze verify: exit status {status}"


def exposure(target, name, tenths):
    status, text = run("systemd-analyze", "security", "--offline=true", "--no-pager",
                       f"--root={target}", f"--threshold={tenths}", name)
    if status != 0:
        yield f"{name}: more exposed than {tenths / 10}: {text.splitlines()[-1]}"


def check_examples(target, units, folder):
    """Each example: a drop-in that verifies and costs no more than it says."""
    dropins = units / "shortener@.service.d"
    for path in sorted((folder / "systemd/examples").glob("*.conf")):
        if path.name not in EXPOSURE_WITH:
            continue
        dropins.mkdir()
        shutil.copy(path, dropins)
        yield from check_verify(target, ["shortener@1.service"])
        yield from exposure(target, "shortener@1.service", EXPOSURE_WITH[path.name])
        shutil.rmtree(dropins)


def check_sysusers(target):
    status, text = run("systemd-sysusers", f"--root={target}")
    if status != 0:
        yield text
        return
    users = Path(target, "etc/passwd").read_text(encoding="utf-8")
    groups = Path(target, "etc/group").read_text(encoding="utf-8")
    if not re.search(r"^shortener:[^:]*:\d+:\d+:URL shortener:/var/lib/shortener:/\S*nologin$",
                     users, re.MULTILINE):
        yield f"sysusers.d makes no user shortener: {users}"
    if not re.search(r"^shortener-http:[^:]*:\d+:(www-data|nginx)$", groups, re.MULTILINE):
        yield f"sysusers.d makes no group shortener-http with nginx's user in it: {groups}"


def check_tmpfiles(target):
    status, text = run("systemd-tmpfiles", f"--root={target}", "--create",
                       "shortener.conf")
    if status != 0 or text:
        yield f"systemd-tmpfiles: exit status {status}: {text}"
    for name, mode in (("run/shortener", 0o755), ("var/lib/shortener", 0o750)):
        path = Path(target, name)
        if not path.is_dir() or path.stat().st_mode & 0o777 != mode:
            yield f"tmpfiles.d makes no /{name} with mode {mode:o}"


def check_preset(target):
    status, text = run("systemctl", f"--root={target}", "preset", "shortener.target")
    if status != 0:
        yield text
    link = Path(target, "etc/systemd/system/multi-user.target.wants/shortener.target")
    if not link.is_symlink():
        yield "the preset does not enable shortener.target"


def check_generator(target):
    """As many instances as /etc/default/shortener says, each a unit that is installed."""
    (generator,) = Path(target).glob("**/system-generators/shortener-generator")
    defaults = Path(target, "etc/default/shortener")
    n = int(re.search(r"^INSTANCES=(\d+)$", defaults.read_text(encoding="utf-8"), re.M).group(1))
    with tempfile.TemporaryDirectory() as out:
        status, text = run(str(generator), out, out, out, str(defaults))
        if status != 0 or text:
            yield f"generator: exit status {status}: {text}"
        links = {path.name: os.readlink(path)
                 for path in Path(out, "shortener.target.wants").iterdir()}
    wanted = {f"shortener@{i}.{kind}" for i in range(1, n + 1) for kind in ("socket", "service")}
    if set(links) != wanted:
        yield f"generator: made {sorted(links)}, not {sorted(wanted)}"
    for name, link in links.items():
        if not Path(target + link).is_file():
            yield f"generator: {name} points at {link}, which is not installed"


def check_generator_usage(target):
    (generator,) = Path(target).glob("**/system-generators/shortener-generator")
    if run(str(generator))[0] != 2:
        yield "generator: takes no arguments for three folders"
    with tempfile.TemporaryDirectory() as out:
        defaults = Path(out, "defaults")
        defaults.write_text("INSTANCES=3x\n", encoding="utf-8")
        status, text = run(str(generator), out, out, out, str(defaults))
        if status != 1 or f"{defaults}: INSTANCES=3x: not a number" not in text:
            yield f"generator: a typo in {defaults.name}: exit status {status}: {text}"
        names = sorted(path.name for path in Path(out, "shortener.target.wants").iterdir())
        if names != ["shortener@1.service", "shortener@1.socket"]:
            yield f"generator: a typo in {defaults.name} leaves {names}"
    if run(str(generator), "/nonexistent", "x", "x", "/nonexistent")[0] != 1:
        yield "generator: a folder that is not there is no error"


def check_alert_port(folder, target):
    """The socket of the alert receiver is free as installed, and is where the others look for it."""
    (socket,) = Path(target).glob("**/system/shortener-alertd.socket")
    (address,) = re.findall(r"^ListenStream=(\S+)$", socket.read_text(encoding="utf-8"), re.MULTILINE)
    if int(address.rsplit(":", 1)[1]) in TAKEN:
        yield f"{socket.name}: {address} is taken by another package as it is installed"
    for name in ("etc/alertd.conf", "monitoring/alertmanager.yml", "monitoring/prometheus.yml"):
        if address not in Path(folder, name).read_text(encoding="utf-8"):
            yield f"{name}: {socket.name} listens on {address}, which is not in there"


def check_catalog(target):
    (folder,) = Path(target).glob("**/systemd/catalog")
    status, text = run("journalctl", f"--root={target}", "--update-catalog")
    if status != 0 or "Failed" in text:
        yield text
        return
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("shortener*.catalog"))
    written = re.findall(r"^-- ([0-9a-f]{32})$", text, re.MULTILINE)
    listed = run("journalctl", f"--root={target}", "--list-catalog")[1]
    for message_id in written:
        if message_id not in listed:
            yield f"journalctl does not find catalog entry {message_id}"


def main():
    folder, report = root(), Report()
    if not shutil.which("systemd-analyze"):
        skip("systemd is not installed (script/bootstrap)")
    with tempfile.TemporaryDirectory() as target:
        install(sys.argv[2], target)
        (first,) = Path(target).glob("**/system/shortener@.service")
        units = first.parent
        names = [instance(path.name) for path in sorted(units.iterdir())
                 if re.fullmatch(UNITS, path.name)]
        add_system(target, units)
        report.case(list(check_verify(target, names)))
        for name in names:
            if name.endswith(".service"):
                report.case(list(exposure(target, name, EXPOSURE.get(name, 0))))
        for check in (check_sysusers, check_tmpfiles, check_preset, check_generator,
                      check_generator_usage, check_catalog):
            report.case(list(check(target)))
        report.case(list(check_examples(target, units, folder)))
        report.case(list(check_alert_port(folder, target)))
    report.end()


if __name__ == "__main__":
    main()
