#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`cmake --install` puts every file where the documents say. Usage: install.py FOLDER BUILD."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from lint import Report, root, tree_files

WANTED = {
    "usr/sbin/shortenerd": 0o755,
    "usr/bin/shortenerctl": 0o755,
    "etc/shortener/shortener.conf": 0o644,
    "usr/share/doc/shortener/LICENSE": 0o644,
    "usr/share/doc/shortener/NEWS.md": 0o644,
    "usr/share/doc/shortener/README.md": 0o644,
    "usr/share/shortener/openapi.json": 0o644,
    "usr/share/bash-completion/completions/shortenerctl": 0o644,
    "usr/sbin/shortener-alertd": 0o755,
    "etc/shortener/alertd.conf": 0o644,
    "etc/logrotate.d/shortener-alertd": 0o644,
    "usr/share/bash-completion/completions/shortener-alertd": 0o644,
    "usr/share/doc/shortener-alertd/examples/private-webhook.conf": 0o644,
    "lib/systemd/system-preset/90-shortener-alertd.preset": 0o644,
    "usr/lib/systemd/catalog/shortener-alertd.catalog": 0o644,
    "usr/lib/sysusers.d/shortener-alertd.conf": 0o644,
    "usr/lib/tmpfiles.d/shortener-alertd.conf": 0o644,
    "etc/default/shortener": 0o644,
    "etc/redis/redis-shortener.conf": 0o644,
    "etc/nginx/sites-available/shortener": 0o644,
    "etc/nginx/snippets/shortener-http.conf": 0o644,
    "etc/nginx/snippets/shortener-server.conf": 0o644,
    "etc/nginx/snippets/shortener-upstream.conf": 0o644,
    "usr/share/doc/shortener-nginx/examples/shortener-tls.conf": 0o644,
    "usr/share/doc/shortener/examples/access-log.conf": 0o644,
    "usr/share/doc/shortener/examples/memory.conf": 0o644,
    "usr/share/doc/shortener/examples/remote-store.conf": 0o644,
    "lib/systemd/system-generators/shortener-generator": 0o755,
    "lib/systemd/system-preset/90-shortener.preset": 0o644,
    "lib/systemd/system/redis-server@shortener.service.d/shortener.conf": 0o644,
    "usr/lib/systemd/catalog/shortener.catalog": 0o644,
    "usr/lib/sysusers.d/shortener-nginx.conf": 0o644,
    "usr/lib/sysusers.d/shortener.conf": 0o644,
    "usr/lib/tmpfiles.d/shortener.conf": 0o644,
}


def wanted_monitoring(path):
    """Where a file of monitoring/ goes: what is edited to /etc, the rest to /usr/share."""
    below = path.relative_to("monitoring")
    if below.parts[0] in ("rules", "flags") or path.suffix in (".yml", ".conf") and len(below.parts) == 1:
        return {f"etc/shortener/monitoring/{below}": 0o644}
    if below.parts[0] in ("consoles", "grafana"):
        return {f"usr/share/shortener/monitoring/{below}": 0o644}
    if below.parts[0] == "systemd":
        return {f"lib/systemd/system/{below.name.replace('.in', '')}": 0o644}
    return {}


def wanted(folder):
    result = dict(WANTED)
    for name in tree_files(folder):
        path = Path(name)
        if path.parts[0] == "monitoring":
            result.update(wanted_monitoring(path))
        elif path.parts[0] == "man":
            result[f"usr/share/man/man{path.suffix[1:]}/{path.name}"] = 0o644
        elif path.parts[0] == "systemd" and re.search(r"\.(service|socket|slice|target|timer)\.in$", name):
            result[f"lib/systemd/system/{path.stem}"] = 0o644
        elif path.parts[0] == "seed_data" and path.suffix == ".csv":
            result[f"usr/share/shortener/seed_data/{path.name}"] = 0o644
    return result


def installed(build):
    with tempfile.TemporaryDirectory() as target:
        environment = {**os.environ, "DESTDIR": target}
        command = ["cmake", "--install", build, "--prefix", "/usr"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        files = [path for path in Path(target).rglob("*") if path.is_file()]
        return {str(file.relative_to(target)): file.stat().st_mode & 0o777 for file in files}


def main():
    folder, report = root(), Report()
    want, have = wanted(folder), installed(sys.argv[2])
    for name, mode in want.items():
        if name not in have:
            report.case([f"/{name} is not installed"])
        else:
            good = have[name] == mode
            report.case([] if good else [f"/{name} has mode {have[name]:o}, not {mode:o}"])
    for name in have:
        if name not in want:
            report.case([f"/{name} is installed; tests/lint/install.py does not know it"])
    report.end()


if __name__ == "__main__":
    main()
