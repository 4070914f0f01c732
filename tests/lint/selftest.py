#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The lints find what they are for: each one runs over small trees, good ones and bad ones."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
SPDX = "/* SPDX-License-Identifier: MIT */\n"
ORDER = "foreach(folder basic sys http)\n"


def run(lint, files):
    """Output and exit code of a lint over a tree of {name: text}."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if text.startswith("#!"):
                path.chmod(0o755)
        if lint == "format":
            os.symlink(HERE.parents[1] / ".clang-format", Path(folder, ".clang-format"))
        command = [sys.executable, HERE / f"{lint}.py", folder]
        if lint in ("options", "openapi"):
            command.append(Path(folder, "table"))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr, done.returncode


class Lints(unittest.TestCase):
    def good(self, lint, files):
        output, code = run(lint, files)
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"\A[1-9]\d* passed, 0 failed\n\Z")

    def bad(self, lint, files, *findings):
        output, code = run(lint, files)
        self.assertEqual(code, 1, output)
        for finding in findings:
            self.assertIn(finding, output)

    def test_faults(self):
        tree = {
            "tests/fault/table.py": 'UNITS = {"memory": ()}\nROWS = (("memory", "", ""), ("kill", "", ""))\n',
            "tests/fault/kill.py": "",
            "tests/fault/CMakeLists.txt": "shortener_fault_test(kill)\n",
        }
        self.good("faults", tree)
        self.bad("faults", {**tree, "tests/fault/new.py": ""}, "no row for new.py")
        self.bad("faults", {**tree, "tests/fault/CMakeLists.txt": ""}, "no shortener_fault_test(kill)")
        del tree["tests/fault/kill.py"]
        self.bad("faults", tree, "there is no tests/fault/kill.py")

    def test_layers(self):
        tree = {
            "src/CMakeLists.txt": ORDER,
            "src/basic/CMakeLists.txt": "shortener_library(basic SOURCES a.c)",
            "src/basic/a.c": '#include "basic/a.h"\n',
            "src/sys/CMakeLists.txt": "shortener_library(sys SOURCES b.c DEPENDS basic)",
            "src/sys/b.c": '#include <a.h>\n#include "basic/a.h"\n/* #include "http/x.h" */\n',
            "src/http/CMakeLists.txt": "shortener_library(http SOURCES c.c\n DEPENDS sys)",
            "src/http/c.c": '#include "basic/a.h"\n#include "sys/b.h"\n',
        }
        self.good("layers", tree)
        self.bad(
            "layers",
            {**tree, "src/basic/a.c": '\n#include "http/c.h"\n#include "a.h"\n'},
            "src/basic/a.c:2: basic/ includes http/c.h, which is above it",
            'src/basic/a.c:3: write it from src/: "basic/a.h"',
        )
        self.bad(
            "layers",
            {**tree, "src/sys/CMakeLists.txt": "shortener_library(sys SOURCES b.c)"},
            "src/sys/b.c:2: src/sys/CMakeLists.txt does not name basic in DEPENDS",
        )
        self.bad("layers", {**tree, "src/odd/a.c": ""}, "src/CMakeLists.txt does not list odd")

    def test_catalog(self):
        one, two = "0123456789abcdef" * 2, "fedcba9876543210" * 2
        entry = "-- {}\nSubject: It started\nDefined-By: us\nDocumentation: man:us(8)\n\nIt did.\n"
        tree = {
            "src/daemon/a.c": f'#define MESSAGE_STARTED "{one}"\n#define LOG_MESSAGE_MAX 1024u\n',
            "systemd/us.catalog": "# comment\n\n" + entry.format(one),
        }
        self.good("catalog", tree)
        self.bad("catalog", {**tree, "src/daemon/b.c": f'\n#define MESSAGE_STOPPED "{two}"\n'},
                 f"src/daemon/b.c:2: MESSAGE_STOPPED: no entry -- {two}")
        self.bad("catalog", {**tree, "src/daemon/b.c": f'#define MESSAGE_AGAIN "{one}"\n'},
                 "src/daemon/b.c:1: MESSAGE_AGAIN: the same id as src/daemon/a.c:1: MESSAGE_STARTED")
        self.bad("catalog", {**tree, "src/daemon/b.c": '#define MESSAGE_SHORT "123"\n'},
                 "MESSAGE_SHORT: no 128 bits")
        self.bad("catalog", {**tree, "systemd/b.catalog": entry.format(two)},
                 f"systemd/b.catalog: {two}: no code logs it")
        self.bad("catalog", {**tree, "systemd/us.catalog": f"-- {one}\nSubject: x\n\ntext\n"},
                 "wants Subject, Defined-By, Documentation, text")

    def test_forbidden(self):
        good = '/* exit() */ "strcpy(a)"; snprintf(x); _exit(1); x.exit(2); tests->system(3);\n'
        self.good("forbidden", {"src/basic/a.c": good, "src/daemon/main.c": "exit(1);"})
        self.bad(
            "forbidden",
            {"src/basic/a.c": "\nstrcpy(a, b); sprintf(a);\nexit (1); pthread_create(x);\n"},
            "src/basic/a.c:2: strcpy():",
            "src/basic/a.c:2: sprintf():",
            "src/basic/a.c:3: exit():",
            "src/basic/a.c:3: pthread_create():",
        )
        self.good("forbidden", {"src/work/a.c": "pthread_create(x);", "tests/a.c": "system(x);"})

    def test_spdx(self):
        script = "#!/bin/sh\n# SPDX-License-Identifier: MIT\n"
        self.good("spdx", {"src/a.c": SPDX, "script/x": script, "README.md": "x"})
        self.bad("spdx", {"src/a.c": "int x;\n"}, "src/a.c:1: no line")
        self.bad("spdx", {"script/x": "#!/bin/sh\n\n\n" + script}, "script/x:1: no line")

    def test_length(self):
        body = "static int f(int a,\n             int b) {\n" + "        a;\n" * 57 + "}\n"
        self.good("length", {"src/a.c": body, "tests/lint/length-exceptions.txt": "# x\n"})
        longer = body.replace("}", "        b;\n}")
        self.bad("length", {"src/a.c": longer}, "src/a.c:1: src/a.c:f has 61 lines; at most 60")
        listed = {"src/a.c": longer, "tests/lint/length-exceptions.txt": "src/a.c:f 61 # why\n"}
        self.good("length", listed)
        self.bad("length", {**listed, "src/a.c": body}, "src/a.c:f needs it no more")
        self.bad("length", {"src/a.c": "int x;\n" * 501}, "src/a.c has 501 lines; at most 500")
        self.good("length", {"tests/a.c": "int x;\n" * 501})
        self.bad("length", {"src/a.c": "int " + "x" * 100 + ";\n"}, "src/a.c:1: 105 characters")

    def test_paths(self):
        self.good("paths", {"a": "/var/lib/shortener /tmp/x\n"})
        self.bad("paths", {"a": "\n/home/" + "somebody/x\n"}, "a:2: a path of one machine")
        self.bad("paths", {"a.orig": "x"}, "a.orig: does not belong")
        self.bad("paths", {"a": "x" * 1048577}, "a: 1048577 bytes")

    def test_format(self):
        if run("format", {"src/a.c": "int x;\n"})[1] == 77:
            self.skipTest("clang-format-14 is not installed")
        self.good("format", {"src/a.c": "int x;\n"})
        self.bad("format", {"src/a.c": "int y;\nint  x;\n"}, "src/a.c:2: run clang-format-14 -i")

    def test_shell(self):
        if run("shell", {"x": "\n"})[1] == 77:
            self.skipTest("shellcheck is not installed")
        self.good("shell", {"x": '#!/bin/sh\necho "$1"\n', "y": "text\n"})
        self.bad("shell", {"x": "#!/bin/sh\necho $1\n"}, "x:2:6: note: Double quote")

    def test_manuals(self):
        page = ".Dd January 1, 2026\n.Dt A 1\n.Os\n.Sh NAME\n.Nm a\n.Nd x\n.Sh DESCRIPTION\nx\n"
        if run("manuals", {"man/a.1": page})[1] == 77:
            self.skipTest("mandoc is not installed")
        self.good("manuals", {"man/a.1": page + ".Xr nginx 8\n"})
        self.bad("manuals", {"man/a.1": page + ".Xr b 1\n"}, "man/a.1:9: no such page: b(1)")
        self.bad("manuals", {"man/a.1": page + ".Oddity\n"}, "skipping unknown macro")

    def test_routes(self):
        row = '{.method = HTTP_GET, .pattern = "/users/{id}", .name = "x"},\n'
        page = ".Ss GET /users/{id}\n"
        tree = {"src/daemon/routes.c": row, "man/shortener-api.7": page}
        self.good("routes", tree)
        self.bad("routes", {**tree, "man/shortener-api.7": "x\n"}, "no section .Ss GET /users/{id}")
        more = page + ".Ss PUT /users/{id}\n"
        self.bad("routes", {**tree, "man/shortener-api.7": more}, "PUT /users/{id} is no route")

    def test_metrics(self):
        items = ".It Li http_requests_total Pq counter by method, endpoint, status\n"
        items += ".It Li http_request_duration_seconds Pq histogram by method, endpoint\n"
        page = f".Sh METRICS\n{items}.It Li hits Pq counter by tier\n.Sh FILES\n"
        table = 'METRIC(A, "counter", "hits", "tier=\\"local\\"", "Help")\n'
        tree = {"src/metrics/metrics.def": table, "man/shortenerd.8": page}
        self.good("metrics", tree)
        gauge = {**tree, "src/metrics/metrics.def": table.replace("counter", "gauge")}
        self.bad("metrics", gauge, "wants .It Li hits Pq gauge by tier")
        self.bad("metrics", {**tree, "src/metrics/metrics.def": ""}, "hits is not in src/metrics")

    def test_documents(self):
        text = "[a](b.md) <https://x> `src/x.c` `tests/NAME/y` [c](https://x/y)\n"
        self.good("documents", {"a.md": text, "b.md": "", "src/x.c": ""})
        self.bad("documents", {"a.md": text, "b.md": ""}, "a.md:1: there is no src/x.c")
        self.bad("documents", {"docs/a.md": "\n[a](b.md)", "src/x.c": ""}, "docs/a.md:2: there is")

    def test_options(self):
        page = ".Sh OPTIONS\n.Ss [A]\n.Bl\n.It Va Key Ns =\nText.\nDefault: 1.\nReloadable.\n"
        page += ".It Va Other Ns =\nText.\nDefault: none.\n.El\n.Sh FILES\n"
        tree = {
            "man/shortener.conf.5": page,
            "etc/shortener.conf": "[A]\n#Key=1\n#Other=\n",
            "table": "#!/bin/sh\nprintf 'A\\tKey\\t1\\tyes\\nA\\tOther\\t\\tno\\n'\n",
        }
        self.good("options", tree)
        other = {**tree, "etc/shortener.conf": "[A]\n#Key=2\n#Other=\n"}
        self.bad("options", other, "etc/shortener.conf: missing or different: A Key 1")
        other = {**tree, "man/shortener.conf.5": page.replace("Reloadable.\n", "")}
        self.bad("options", other, "not in the table like that: A Key 1 no")
        other = {**tree, "etc/shortener.conf": "[A]\n#Other=\n#Key=1\n"}
        self.bad("options", other, "the order is not that of the table")

    def test_openapi(self):
        text = ('{"components":{"schemas":{"A":{}}},"paths":{"/a":{"get":{"operationId":"a.list",'
                '"x":{"$ref":"#/components/schemas/A"}}}}}\n')
        row = '{.method = HTTP_GET, .pattern = "/a", .name = "a.list"},\n'
        tree = {"docs/openapi.json": text, "src/daemon/routes.c": row, "table": f"#!/bin/sh\necho '{text.strip()}'\n"}
        self.good("openapi", tree)
        other = {**tree, "docs/openapi.json": text.replace("list", "find")}
        self.bad("openapi", other, "docs/openapi.json: is not what shortenerd --dump-openapi writes")
        other = {**tree, "src/daemon/routes.c": row + row.replace("GET", "POST").replace("list", "make")}
        self.bad("openapi", other, "POST /a a.make: either no route")
        for old, new, finding in (("schemas/A", "schemas/B", "no #/components/schemas/B"),
                                  ('"A":{}', '"A":{},"C":{}', "nothing uses schemas/C")):
            other = {**tree, "docs/openapi.json": text.replace(old, new), "table": tree["table"].replace(old, new)}
            self.bad("openapi", other, finding)

    def summary(self, cases, *extra, **environment):
        """Last lines and exit code of tests/summary.py over [(status, output)]."""
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write("<testsuite>")
            for status, output in cases:
                text = f"<system-out>{output}</system-out>"
                file.write(f'<testcase name="t" status="{status}">{text}</testcase>')
            file.write("</testsuite>")
            file.flush()
            command = [sys.executable, HERE.parent / "summary.py", f"x={file.name}", *extra]
            env = {"PATH": os.environ["PATH"], **environment}
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        return done.stdout.split("\n")[-2], done.returncode

    def test_summary(self):
        cmocka = "[  PASSED  ] 3 test(s).\n"
        self.assertEqual(self.summary([("run", cmocka), ("run", "")]), ("4 passed, 0 failed", 0))
        self.assertEqual(self.summary([("run", "x\n7 passed, 0 failed\n")])[0], "7 passed, 0 failed")
        failed = cmocka + "[  FAILED  ] 2 test(s), listed below:\n[  FAILED  ] a\n"
        self.assertEqual(self.summary([("fail", failed)]), ("3 passed, 2 failed", 1))
        # It passed by its counts and crashed all the same.
        self.assertEqual(self.summary([("fail", cmocka)]), ("3 passed, 1 failed", 1))
        self.assertEqual(self.summary([("fail", "")]), ("0 passed, 1 failed", 1))
        self.assertEqual(self.summary([]), ("0 passed, 0 failed", 1))
        self.assertEqual(self.summary([("run", "")], "y=2/0", "z=0/1"), ("3 passed, 1 failed", 1))
        self.assertEqual(self.summary([("run", "")], "y=/nowhere"), ("1 passed, 1 failed", 1))

    def test_summary_counts_what_was_skipped(self):
        cases = [("run", ""), ("notrun", ""), ("run", "5 passed, 0 failed, 1 skipped\n")]
        self.assertEqual(self.summary(cases), ("6 passed, 0 failed", 0))
        self.assertEqual(self.summary(cases, CI="1"), ("6 passed, 2 failed", 1))

    def test_dashboard(self):
        source = HERE.parents[1]
        names = ["src/metrics/metrics.def", "monitoring/rules/recording.yml", "monitoring/rules/alerts.yml",
                 "monitoring/grafana/dashboards/url-shortener.json", "monitoring/consoles/shortener.html"]
        names += ["src/alertd/metrics.def"]
        names += [f"monitoring/dashboard/{name}" for name in ("generate", "panels.py", "page.html", "page.css", "page.js")]
        tree = {name: (source / name).read_text(encoding="utf-8") for name in names}
        self.good("dashboard", tree)

        def changed(name, old, new):
            self.assertIn(old, tree[name])
            return {**tree, name: tree[name].replace(old, new, 1)}
        for name, old, new, finding in (
            (names[3], '"x": 6', '"x": 5', "overlaps"), (names[3], '"x": 18', '"x": 19', "24 columns"),
            (names[3], '"id": 3', '"id": 2', "twice"), (names[3], '"unit": "reqps"', '"unit": "apples"', "unit apples"),
            (names[3], "redirects_total{", "redirect_total{", "no metric redirect_total"),
            (names[3], '"10s"', '"20s"', "refresh"), (names[3], '"title": "Latency"', '"title": "Delay"', "the rows are not"),
            (names[4], "<title>", "<title>x", "not what monitoring/dashboard/generate writes"),
            (names[2], "shortener_store_up{", "shortener_store_on{", "StoreDown: there is no metric shortener_store_on"),
            (names[1], "rate(cache_hits_total", "rate(hits_total", "there is no metric hits_total"),
        ):
            self.bad("dashboard", changed(name, old, new), finding)

    def test_operations(self):
        names = re.findall(r'"([a-z-]+)"', (HERE / "operations.py").read_text(encoding="utf-8").split("NAMES = (")[1].split(")")[0])
        self.assertEqual(len(names), 13)
        tree = {f"docs/{name}.md": "\n" for name in names}
        tree["README.md"] = "".join(f"[x](docs/{name}.md)\n" for name in names)
        tree["monitoring/rules/alerts.yml"] = "    - alert: StoreDown\n      for: 5s\n      severity: critical\n      runbook: runbook.md#storedown\n"
        tree["etc/shortener.conf"] = "[Clicks]\n#Keep=24h\n"
        tree["systemd/shortener@.service.in"] = ""
        tree["script/load"], tree["tests/load/load.py"] = "#!/bin/sh\n", "--short\n"
        tree["script/packages.txt"] = "libpq-dev  build\nlibc6-dev  build\nlibcmocka-dev  test\n"
        tree["tests/chaos/experiments.py"], tree["tests/chaos/document.py"] = '        "kill-all",\n', "pass\n"
        tree["docs/chaos-engineering.md"] = "<!-- results -->\n| `kill-all` | 1 |\n<!-- end -->\n"
        tree["docs/decisions/0001-a.md"] = ""
        tree["docs/decision-log.md"] = "### C\n**Instead of** **Because** [1](decisions/0001-a.md)\n\n| `libpq-dev` |\n"
        tree["docs/capacity-plan.md"] = "| a | how |\n|---|---|\n| 12 us | `tests/x.py` |\n\n| b | how |\n|---|---|\n| 1 | computed |\n"
        tree["src/a.c"] = 'log("store is back: %s after %" PRIu64 " s", x);\n'
        tree["docs/incident-diagnosis.md"] = "shortenerd[12]: store is back: sqlite:x after 2 s\n"
        tree["docs/runbook.md"] = "`Keep=1h` of `[Clicks]`, `StoreDown`, `script/load gold --short`, `systemctl stop shortener@2.service`\n"
        self.good("operations", tree)
        without = {name: text for name, text in tree.items() if name != "docs/architecture.md"}
        self.bad("operations", without, "there is no docs/architecture.md")
        for name, text, finding in (
            ("README.md", tree["README.md"].replace("[x](docs/api.md)", ""), "README.md: no link to docs/api.md"),
            ("docs/runbook.md", "`Kept=1h`", "docs/runbook.md: there is no option Kept="),
            ("docs/runbook.md", "`StoreGone`", "docs/runbook.md: there is no alert StoreGone"),
            ("docs/runbook.md", "```\nscript/load gold --fast\n```", "docs/runbook.md: script/load knows no --fast"),
            ("docs/runbook.md", "`script/lode`", "docs/runbook.md: there is no script/lode"),
            ("docs/runbook.md", "`shortener-x.timer`", "docs/runbook.md: there is no unit shortener-x.timer"),
            ("tests/chaos/document.py", "print('differs')\n", "differs"),
            ("tests/chaos/experiments.py", '        "kill-none",\n', "no result of kill-none"),
            ("docs/capacity-plan.md", "| a | how |\n|---|---|\n| 12 us | guess |\n", "docs/capacity-plan.md:3: says not where"),
            ("docs/decision-log.md", "### C\n**Instead of** **Because** `libpq-dev`\n| `libpq-dev` |\n", "no link to docs/decisions/0001-a.md"),
            ("docs/decision-log.md", tree["docs/decision-log.md"].replace("| `libpq-dev` |", ""), "no library libpq-dev"),
            ("docs/decision-log.md", tree["docs/decision-log.md"].replace("**Because**", ""), "C: no **Because**"),
            ("docs/incident-diagnosis.md", "shortenerd[12]: the store is gone\n", "no program of ours logs: the store is gone"),
        ):
            self.bad("operations", {**tree, name: text}, finding)


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed")
    sys.exit(1 if failed else 0)
