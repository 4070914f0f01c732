#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/environment-variables.md is what the tables of options say, and the variables work.

Usage: environment.py FOLDER SHORTENERD ALERTD [--write]

With --write it makes the file. The tables are read from --dump-config of the programs.
"""

import os
import re
import subprocess
import sys

from lint import Report, root

DOCUMENT = "docs/environment-variables.md"

HEAD = """# Environment variables

Written by `tests/lint/environment.py`; see shortener.conf(5) for what each option does in full.

Each option of a configuration file is a variable too: `SHORTENER_`, the section, `_`, the key, all in capitals.
A variable wins over the files and loses against `--set`. An unknown `SHORTENER_` variable of a known section is
refused like an unknown key. Under systemd variables are set in a drop-in (`systemctl edit shortener@`,
`Environment=`); a file in `/etc/shortener/shortener.conf.d` is the better place: it is checked before a reload.

`script/server` passes all of them on. "Reloadable" options change with `shortenerctl reload`.

## shortenerd and shortenerctl
"""

OTHERS = """
## Others

| variable | program | what |
|---|---|---|
| `STATE_DIRECTORY` | shortenerd, shortener-alertd | from systemd: spool; evidence and queue |
| `RUNTIME_DIRECTORY` | shortenerd | from systemd: the host page, when `RuntimeDirectory=` is the default |
| `CREDENTIALS_DIRECTORY` | shortener-alertd | from systemd: the webhook of Discord |
| `LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES` | both daemons | from systemd: the sockets |
| `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID` | both daemons | from systemd: readiness and watchdog |
| `ALERT_LOG`, `EVIDENCE_DIR`, `GRAFANA_URL` | shortener-alertd | `Log=`, `Evidence=`, `GrafanaURL=`; they win over the files |
| `DISCORD_WEBHOOK_URL` | shortener-alertd | the webhook of Discord, when neither `Forward=` nor a credential is set |
| `TMPDIR` | both daemons | where bodies beyond 64 KB lie while they come in |
"""


def dump(program, environment=None):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SHORTENER_")}
    return subprocess.run([program, "--config=/dev/null", "--dump-config"], capture_output=True, text=True, check=False,
                          env={**clean, **(environment or {})})


def options(program):
    """[(section, key, help, allowed, default, reloadable)]"""
    done = dump(program)
    if done.returncode != 0:
        raise SystemExit(f"{program}: {done.stderr}")
    found, section, comments = [], "", []
    for line in done.stdout.splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match.group(1)
        elif line.startswith("# "):
            comments.append(line[2:])
        elif "=" in line and comments:
            allowed, rest = re.fullmatch(r"(.*); default: (.*)", comments[-1]).groups()
            default = rest.removesuffix("; reloadable")
            found.append((section, line.split("=")[0], " ".join(comments[:-1]), allowed, "" if default == "(empty)" else default,
                          rest.endswith("; reloadable")))
            comments = []
    return found


def variable(section, key):
    return f"SHORTENER_{section}_{key}".upper()


def table(rows):
    lines = ["", "| variable | what | allowed | default | |", "|---|---|---|---|---|"]
    for section, key, text, allowed, default, reloadable in rows:
        cells = [f"`{variable(section, key)}`", text, allowed, f"`{default}`" if default else "", "reloadable" if reloadable else ""]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def document(daemon, alertd):
    return HEAD + table(options(daemon)) + "\n## shortener-alertd\n" + table(options(alertd)) + OTHERS


def check_variables(program):
    """All of them with their defaults are accepted; an unknown one is not."""
    rows = options(program)
    done = dump(program, {variable(section, key): default for section, key, _, _, default, _ in rows if default})
    if done.returncode != 0:
        yield f"{program}: defaults as variables: {done.stderr.strip()}"
    if dump(program, {variable(rows[0][0], "Nonsense"): "1"}).returncode == 0:
        yield f"{program}: an unknown variable is accepted"


def main():
    folder, report = root(), Report()
    daemon, alertd = sys.argv[2:4]
    text = document(daemon, alertd)
    path = folder / DOCUMENT
    if sys.argv[4:] == ["--write"]:
        path.write_text(text, encoding="utf-8")
    same = path.exists() and path.read_text(encoding="utf-8") == text
    report.case([] if same else [f"{DOCUMENT}: options have changed: run tests/lint/environment.py . {daemon} {alertd} --write"])
    for program in (daemon, alertd):
        report.case(list(check_variables(program)))
    report.end()


if __name__ == "__main__":
    main()
