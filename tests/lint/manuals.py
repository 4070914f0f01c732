#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Man pages pass mandoc -Tlint, and name each other only where there is a page."""

import re
import shutil
import subprocess

from lint import Report, read, root, skip, tree_files

# Pages of other projects that ours may point at.
OTHERS = {
    "nginx(8)", "sqlite3(1)", "systemd.socket(5)", "systemd-socket-activate(1)", "systemd(1)",
    "journalctl(1)", "systemd.exec(5)", "promtool(1)", "curl(1)", "sd_listen_fds(3)",
    "systemd.service(5)", "sd_notify(3)", "systemd-tmpfiles(8)", "systemctl(1)", "systemd.generator(7)", "systemd.unit(5)",
    "systemd-analyze(1)", "sysusers.d(5)", "tmpfiles.d(5)", "systemd.preset(5)", "redis-server(1)",
    "systemd.resource-control(5)", "psql(1)", "coredumpctl(1)", "systemd-sysusers(8)",
}  # fmt: skip


def main():
    folder, report = root(), Report()
    if not shutil.which("mandoc"):
        skip("mandoc is not installed (script/bootstrap)")
    pages = [name for name in tree_files(folder) if re.fullmatch(r"man/[\w.-]+\.[1-8]", name)]
    ours = {re.sub(r"man/(.*)\.(\d)$", r"\1(\2)", name) for name in pages}
    for name in pages:
        command = ["mandoc", "-T", "lint", "-W", "warning", name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        findings = [line for line in (done.stdout + done.stderr).split("\n") if line]
        text = read(folder, name)
        for match in re.finditer(r"^\.Xr (\S+) (\d)", text, re.MULTILINE):
            page = f"{match.group(1)}({match.group(2)})"
            if page not in ours | OTHERS:
                line = text.count("\n", 0, match.start()) + 1
                findings.append(f"{name}:{line}: no such page: {page}")
        report.case(findings)
    report.end()


if __name__ == "__main__":
    main()
