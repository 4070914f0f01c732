#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""shortenerctl start, stop, reload, rolling-restart, recover, nginx-upstream.

A program of the test stands in for systemctl: it writes down what it is asked and answers from a
file. tests/system does the same with the real one, on a booted system.
"""

import json
import os
import time

from shortenerctl import (CONFIG, FAILED, SOURCE, USAGE, Case, environment, main)

SYSTEMCTL = """#!/bin/bash
[[ $1 == show ]] && { cat "$FAKE/units"; exit 0; }
echo "$*" >>"$FAKE/calls"
[[ -e $FAKE/then ]] && cp "$FAKE/then" "$FAKE/units"
grep -qxF -- "$*" "$FAKE/refused" && exit 1
exit 0
"""


def shown(units):
    """What `systemctl show` prints of {name: state}."""
    return "\n".join(f"Id={name}\nActiveState={state}\n" for name, state in units.items())


def instances(**states):
    """{"1": "active", ...} with sockets that listen."""
    units = {}
    for name, state in states.items():
        units[f"shortener@{name[1:]}.service"] = state
        units[f"shortener@{name[1:]}.socket"] = "active"
    return units


class Units(Case):
    def setUp(self):
        super().setUp()
        self.write("systemctl", SYSTEMCTL)
        os.chmod(self.path("systemctl"), 0o755)
        self.write("calls", "")
        self.refuse()
        self.units({})

    def units(self, units):
        self.write("units", shown(units))

    def refuse(self, *calls):
        self.write("refused", "".join(call + "\n" for call in calls))

    def run_ctl(self, *words, **options):
        path = f"{self.folder}:{os.environ['PATH']}"
        env = {**environment(), "PATH": path, "FAKE": self.folder}
        return super().run_ctl(*words, **{"env": env, **options})

    def calls(self):
        lines = self.read("calls").decode().splitlines()
        self.write("calls", "")
        return lines

    def test_start(self):
        self.assertEqual(self.ctl("start", "1", "3"), "shortener@1.service: started\nshortener@3.service: started\n")
        self.assertEqual(self.calls(), ["start -- shortener@1.socket shortener@1.service",
                                        "start -- shortener@3.socket shortener@3.service"])

    def test_start_of_a_service_that_has_lost_its_socket(self):
        self.units({"shortener@1.service": "active", "shortener@1.socket": "failed"})
        self.ctl("start", "1")
        self.assertEqual(self.calls(), ["stop -- shortener@1.service",
                                        "start -- shortener@1.socket shortener@1.service"])

    def test_start_fails(self):
        self.refuse("start -- shortener@2.socket shortener@2.service")
        self.refused("start", "2", "3", message='shortener@2.service: not started: see "journalctl -xeu')
        self.assertEqual(len(self.calls()), 1)

    def test_stop(self):
        self.assertEqual(self.ctl("stop", "2"), "shortener@2.service: stopped\n")
        self.assertEqual(self.calls(), ["stop -- shortener@2.socket shortener@2.service",
                                        "reset-failed -- shortener@2.socket shortener@2.service"])
        self.refuse("stop -- shortener@2.socket shortener@2.service")
        self.refused("stop", "2", message="not stopped")

    def test_names(self):
        for words in (["start"], ["stop"], ["start", "a/b"], ["stop", "*"], ["start", "x" * 32], ["reload", ""],
                      ["recover", "1"], ["nginx-upstream"], ["nginx-upstream", "0"], ["nginx-upstream", "33"],
                      ["nginx-upstream", "x"]):
            self.refused(*words, status=USAGE)
        self.refused("start", "--", "-f", status=USAGE)
        self.assertEqual(self.calls(), [])

    def test_reload(self):
        self.units(instances(i10="active", i2="active", i3="failed", i1="reloading", i4="inactive"))
        lines = "".join(f"shortener@{n}.service: reloaded\n" for n in (1, 2, 10))
        self.assertEqual(self.ctl("reload"), lines)
        self.assertEqual(self.calls(), [f"reload -- shortener@{n}.service" for n in (1, 2, 10)])

        # One that refuses does not keep the others from it.
        self.refuse("reload -- shortener@2.service")
        self.refused("reload", message="shortener@2.service: not reloaded")
        self.assertEqual(len(self.calls()), 3)

    def test_a_bad_configuration_reaches_no_instance(self):
        self.units(instances(i1="active"))
        for verb in ("reload", "rolling-restart"):
            self.refused(verb, "--set=Server.Workers=0", status=CONFIG, message="Workers")
        self.assertEqual(self.calls(), [])

    def test_none_is_active(self):
        self.units(instances(i1="failed"))
        for verb in ("reload", "rolling-restart"):
            self.refused(verb, message="no instance is active: systemctl start shortener.target")
        self.assertEqual(self.calls(), [])

    def test_rolling_restart(self):
        self.units(instances(i10="active", i2="active", i1="active", i3="inactive"))
        self.assertEqual(self.ctl("rolling-restart"), "".join(f"shortener@{n}.service: restarted\n" for n in (1, 2, 10)))
        self.assertEqual(self.calls(), [f"restart -- shortener@{n}.service" for n in (1, 2, 10)])
        answer = json.loads(self.ctl("rolling-restart", "--json", "2"))
        self.assertEqual(answer, [{"result": "restarted", "unit": "shortener@2.service"}])

    def test_rolling_restart_stops_at_one_that_fails(self):
        self.units(instances(i1="active", i2="active"))
        self.write("then", shown(instances(i1="failed", i2="active")))
        self.refuse("restart -- shortener@1.service")
        self.refused("rolling-restart", message="shortener@1.service: not active after 10 s")
        self.assertEqual(self.calls(), ["restart -- shortener@1.service"])

    def test_rolling_restart_waits_ten_seconds(self):
        self.units(instances(i1="active", i2="active"))
        self.write("then", shown(instances(i1="activating", i2="active")))
        self.refuse("restart -- shortener@1.service")
        begin = time.monotonic()
        self.refused("rolling-restart", message="not active after 10 s")
        self.assertGreaterEqual(time.monotonic() - begin, 10)
        self.assertEqual(self.calls(), ["restart -- shortener@1.service"])

    def test_recover(self):
        self.units(instances(i1="active", i2="inactive"))
        self.assertEqual(self.ctl("recover"), "")
        self.assertEqual(self.calls(), [])
        self.assertEqual(self.ctl("recover", "--json"), "[]\n")

        units = instances(i1="active", i2="failed", i3="failed", i4="inactive")
        units["shortener@2.socket"] = "failed"
        self.units(units)
        self.assertEqual(self.ctl("recover"), "".join(f"shortener@{n}.service: had failed, started again\n" for n in (2, 3)))
        calls = self.calls()
        self.assertEqual(sorted(calls[:3]), ["reset-failed -- shortener@2.service", "reset-failed -- shortener@2.socket",
                                             "reset-failed -- shortener@3.service"])
        self.assertEqual(calls[3:], ["start -- shortener@2.socket shortener@2.service",
                                     "start -- shortener@3.socket shortener@3.service"])

    def test_recover_of_a_socket(self):
        self.units({"shortener@2.service": "active", "shortener@2.socket": "failed", "shortener-alertd.service": "failed"})
        self.ctl("recover")
        self.assertEqual(self.calls()[2:], ["stop -- shortener@2.service",
                                            "start -- shortener@2.socket shortener@2.service",
                                            "start -- shortener-alertd.service"])

    def test_recover_goes_on_behind_one_that_fails(self):
        self.units(instances(i1="failed", i2="failed"))
        self.refuse("start -- shortener@1.socket shortener@1.service")
        done = self.run_ctl("recover")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn(b"shortener@1.service: failed, and not started again", done.stderr)
        self.assertEqual(done.stdout, b"shortener@2.service: had failed, started again\n")

    def test_no_systemctl(self):
        os.unlink(self.path("systemctl"))
        self.refused("recover", env={**environment(), "PATH": self.folder},
                     message="systemctl: not found: this host is not run by systemd")

    def test_nginx_upstream(self):
        with open(os.path.join(SOURCE, "etc/nginx/snippets/shortener-upstream.conf"), encoding="ascii") as file:
            self.assertEqual(self.ctl("nginx-upstream", "3"), file.read())
        text = self.ctl("nginx-upstream", "32")
        self.assertEqual(text.count("server unix:/run/shortener-32.sock "), 3)
        self.assertEqual(text.count("server unix:"), 96)


RUNUSER = """#!/bin/bash
echo "$*" >>"$FAKE/calls"
case "$*" in
*pg_roles*) [[ -e $FAKE/broken ]] && exit 1; cat "$FAKE/role" ;;
*pg_database*) cat "$FAKE/database" ;;
esac
exit 0
"""
AS_POSTGRES = "-u postgres -- env -C / "


class Role(Case):
    """db init makes role and database as the account postgres; tests/system does it with a real one."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("only root becomes postgres")
        os.chmod(self.folder, 0o755)
        os.mkdir(self.path("run"))
        os.chown(self.path("run"), 65534, -1)  # nobody
        self.write("runuser", RUNUSER)
        os.chmod(self.path("runuser"), 0o755)
        for name in ("role", "database", "calls"):
            self.write(name, "")
        os.chmod(self.path("calls"), 0o666)

    def init(self, url="postgresql:///links"):
        env = {**environment(), "PATH": f"{self.folder}:{os.environ['PATH']}", "FAKE": self.folder,
               "PGHOST": self.folder,  # where no server listens
               "ASAN_OPTIONS": "detect_leaks=0"}  # who gives up root cannot be looked into
        self.write("calls", "")
        done = self.run_ctl("db", "init", "--store=" + url, env=env)
        self.assertEqual(done.returncode, 75, done.stderr)
        return done.stderr.decode(), self.read("calls").decode().splitlines()

    def test_what_is_missing_is_made(self):
        ask_role = AS_POSTGRES + "psql -XAtq -d postgres -c SELECT 1 FROM pg_roles WHERE rolname = 'nobody'"
        ask_database = AS_POSTGRES + "psql -XAtq -d postgres -c SELECT 1 FROM pg_database WHERE datname = 'links'"
        make_role, make_database = AS_POSTGRES + "createuser nobody", AS_POSTGRES + "createdb -E UTF8 -T template0 --locale=C -O nobody links"
        self.assertEqual(self.init()[1], [ask_role, make_role, ask_database, make_database])
        self.write("role", "1\n")
        self.assertEqual(self.init()[1], [ask_role, ask_database, make_database])
        self.write("database", "1\n")
        self.assertEqual(self.init()[1], [ask_role, ask_database])

    def test_other_stores_are_left_alone(self):
        for url in ("postgresql:///links?host=/x", "postgresql://elsewhere/links", "postgresql:///it's"):
            self.assertEqual(self.init(url)[1], [])
        os.chown(self.path("run"), 0, -1)
        self.assertEqual(self.init()[1], [])

    def test_it_cannot_be_made(self):
        self.write("broken", "")
        text, calls = self.init()
        self.assertEqual(len(calls), 1)
        self.assertIn("createuser nobody && createdb -E UTF8 -T template0 --locale=C -O nobody links", text)


if __name__ == "__main__":
    main()
