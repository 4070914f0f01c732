# SPDX-License-Identifier: MIT
"""Runs an experiment on a system: load, cause, end, recovery, figures. What it broke is whole afterwards.

The system is a booted Machine of tests/system, or Here: this very host.
"""

import json
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system"), str(HERE.parent / "lib")]

import browser
import experiments
import measure
from looks import INSTANCES, Looks
from machine import Failed, Machine, wait_for
from stage import Later
from traffic import Traffic

HELP = 60.0       # seconds after which a system that does not recover by itself is helped
UNDO = "chaos-undo"
RESTORE = ("systemctl reset-failed 2>/dev/null; systemctl start 'postgresql*.service' redis-server@shortener.service"
           " nginx.service shortener.target")  # fmt: skip
PARTS = f"nginx.service {experiments.STORE} redis-server@shortener.service 'shortener@*.service'"
PROCESSES = ("shortenerd", "nginx", "postgres", "redis-server")
CODES = 50        # links that are visited
PAGE = "http://127.0.0.1:9090/consoles/shortener.html?range=300&theme=dark"
PAGE_SIZE = (1280, 3300)
LONG = 40.0       # seconds; a cause that lasts as long may have raised its alert at its end


class Here(Machine):
    """This host in the place of a booted machine."""

    def __init__(self):
        self.name = "here"
        self.folder = Path(tempfile.mkdtemp(prefix="shortener-chaos-"))

    def enter(self, *_):
        return []

    def path(self, inside):
        return Path(inside)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Lab(Looks):
    def __init__(self, machine, before=5.0, after=10.0, evidence=None, say=print):
        self.machine = machine
        self.before, self.after = before, after
        self.evidence = Path(evidence) if evidence else None
        self.say = say
        self.marks = []
        self.looking = []  # what still looks at the system

    # ---- the state of the system ----

    def is_whole(self):
        return (all(self.answer("/ready", port=5000 + n)[0] == 200 for n in INSTANCES)
                and all(self.metric(n, "shortener_redis_up ") == 1 for n in INSTANCES) and self.can_create())  # fmt: skip

    def can_create(self):
        status, _, _ = self.answer("/urls", "-H", "Content-Type: application/json", "-d", '{"url":"https://example.org/chaos"}')
        return status == 201

    def verify(self):
        return json.loads(self.machine.run("shortenerctl --json clicks verify", check=False).stdout)

    def cpu(self):
        """{part: seconds} that its processes have used; those that ended are counted by PostgreSQL's first one only."""
        ticks = int(self.machine.out("getconf CLK_TCK"))
        out = self.machine.out("cat /proc/[0-9]*/stat 2>/dev/null", check=False)
        used = dict.fromkeys(PROCESSES, 0.0)
        for comm, rest in re.findall(r"^\d+ \((.*)\) (.*)$", out, re.MULTILINE):
            if comm in used:
                used[comm] += sum(map(int, rest.split()[11:15])) / ticks
        return used

    def rows_of(self, tag):
        """{request id: visits} and {target: [code]} of a load."""
        rows = self.sql(f"SELECT request_id, count(*) FROM events WHERE type = 1 AND request_id LIKE '{tag}.%' GROUP BY request_id")
        found = {}
        for target, code in self.sql(f"SELECT target, code FROM urls WHERE target LIKE 'https://example.org/{tag}.%'"):
            found.setdefault(target, []).append(code)
        return {name: int(n) for name, n in rows}, found

    # ---- what is kept for those who write about it ----

    def keep(self, name, moment):
        """What an operator would look at, at this moment."""
        if not self.evidence:
            return
        folder = self.evidence / name
        folder.mkdir(parents=True, exist_ok=True)
        for what, command in (("doctor", "shortenerctl doctor"), ("clicks", "shortenerctl clicks status"),
                              ("df", "df -h /var/lib/shortener"), ("units", "systemctl list-units --failed --plain --no-legend"),
                              ("cpu", f"systemctl show -p Id -p CPUUsageNSec -p MemoryCurrent {PARTS}")):
            done = self.machine.run(command, check=False)
            (folder / f"{what}-{moment}.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
        for n in INSTANCES:
            (folder / f"metrics-{n}-{moment}.txt").write_text(self.answer("/metrics", port=5000 + n)[2], encoding="utf-8")

    def picture(self, name, moment):
        """The console page as an operator sees it, where there is a browser to see it with."""
        if not self.evidence or not shutil.which("chromium"):
            return
        folder = (self.evidence / name).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        browser.screenshot(PAGE, str(folder / f"page-{moment}.png"), *PAGE_SIZE, prefix=self.machine.enter("--net"))

    def keep_logs(self, name, begin, end):
        """The journal, alerts, and what Prometheus saw; begin, end: seconds of the epoch."""
        if not self.evidence:
            return
        folder = self.evidence / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "journal.txt").write_text(self.machine.journal("-o", "short-precise", f"--since=@{int(begin)}"), encoding="utf-8")
        (folder / "alerts.log").write_text(self.machine.out("cat /var/log/shortener/alerts.log", check=False), encoding="utf-8")
        (folder / "nginx-error.log").write_text(self.machine.out("tail -n 200 /var/log/nginx/error.log", check=False), encoding="utf-8")
        for what, query in (("alerts", "ALERTS"), ("store-up", "shortener_store_up"), ("pending", "shortener_clicks_pending"),
                            ("shed", "shortener_clicks_shed_total"), ("redirects", "sum(rate(redirects_total[15s]))"),
                            ("failed", 'sum by (status) (rate(http_requests_total{status=~"5.."}[15s]))')):
            text = self.machine.out(["curl", "-s", "--get", "http://127.0.0.1:9090/api/v1/query_range", "--data-urlencode", f"query={query}",
                                     "-d", f"start={begin:.0f}", "-d", f"end={end:.0f}", "-d", "step=5"], check=False)  # fmt: skip
            (folder / f"prometheus-{what}.json").write_text(text, encoding="utf-8")

    # ---- one experiment ----

    def mark(self, what):
        self.marks.append((time.monotonic(), what))
        self.say(f"  {what}")

    def arm(self, experiment):
        """If this program dies before it ends the cause, systemd does."""
        seconds = experiment.lasts + 60
        self.disarm()
        self.machine.run(["systemd-run", "--quiet", f"--unit={UNDO}", f"--on-active={seconds:g}", "sh", "-c", experiment.end])

    def disarm(self):
        self.machine.run(f"systemctl stop {UNDO}.timer; systemctl reset-failed {UNDO}.service", check=False)

    def keep_meanwhile(self, experiment, traffic):
        """As long as the cause lasts. Beside it what an operator would see, which may take longer: a store that
        hangs makes his commands wait too."""
        kept = Later(lambda: self.keep(experiment.name, "during")) if self.evidence else None
        traffic.go_on(experiment.lasts)
        if kept:
            self.looking.append(kept)

    def hold(self, experiment, traffic):
        """The cause, for as long as it lasts; it is over however this is left."""
        if experiment.crowd:
            with Traffic(self.machine, ["none"], visitors=0, writers=experiment.crowd, pause=0.0) as crowd:
                self.mark(f"{experiment.crowd} connections create without a pause")
                self.keep_meanwhile(experiment, crowd)
            return crowd
        try:
            if experiment.end:
                self.arm(experiment)
            self.mark(experiment.cause)
            self.machine.run(experiment.cause)
            if experiment.lasts:
                self.keep_meanwhile(experiment, traffic)
            if experiment.lasts >= LONG:
                self.picture(experiment.name, "during")
        finally:
            if experiment.end:
                self.machine.run(experiment.end)
                self.mark(experiment.end)
                self.disarm()
        return None

    def recover(self):
        """When all was well again, and whether that needed help."""
        try:
            wait_for(self.is_whole, HELP, "the system to be whole")
            return time.monotonic(), False
        except AssertionError:
            self.help()
            return time.monotonic(), True

    def help(self):
        self.mark(f"it does not recover by itself: {RESTORE}")
        self.machine.run(RESTORE, check=False)
        wait_for(self.is_whole, HELP, "the system to be whole after all was started")

    def run(self, experiment):
        """The experiment's result, for the table and for JSON."""
        self.say(f"{experiment.name}: {experiment.hypothesis}")
        wait_for(self.is_whole, 30, "the system to be whole before it is broken")
        self.wait_shipped()
        verify, codes, clock, begin = self.verify(), self.codes(CODES), time.time(), time.monotonic()
        self.marks, cpu = [], self.cpu()
        try:
            with Traffic(self.machine, codes) as traffic:
                traffic.go_on(self.before)
                self.keep(experiment.name, "before")
                broke = time.monotonic()
                crowd = self.hold(experiment, traffic)
                over = time.monotonic() if experiment.end or experiment.crowd else broke
                whole, is_helped = self.recover()
                self.mark("all parts are well")
                traffic.go_on(self.after)
            self.wait_shipped()
        except BaseException:
            self.machine.run(RESTORE, check=False)
            raise
        times = measure.Times(begin, broke, over, whole, time.monotonic())
        used_by = self.cpu()
        while self.looking:
            self.looking.pop().wait()
        self.keep(experiment.name, "after")
        self.picture(experiment.name, "after")
        self.keep_logs(experiment.name, clock, time.time())
        result = self.report(experiment, traffic, crowd, times, is_helped, verify)
        n = result["requests"] + (len(crowd.requests) if crowd else 0)
        result["cpu_us_a_request"] = {name: round(1e6 * max(0.0, used - cpu[name]) / n, 1) for name, used in used_by.items()}
        return result

    def report(self, experiment, traffic, crowd, times, is_helped, verify):
        rows, found = self.rows_of(traffic.tag)
        result = measure.figures(traffic.requests, times, rows, found, measure.of_verify(verify, self.verify()))
        if crowd:
            _, created = self.rows_of(crowd.tag)
            lost, twice = measure.links(crowd.requests, created)
            result["crowd"] = {"requests": len(crowd.requests), "created": len(crowd.good("post")),
                               "by_status": measure.statuses(crowd.requests, "post"),
                               "longest_ms": round(1000 * crowd.longest(), 1), "links_lost": lost, "links_twice": twice}  # fmt: skip
            result["links_lost"] += lost
            result["links_twice"] += twice
        against = list(measure.refutations(experiment, result))
        if is_helped:
            against.append(f"it was not well {HELP:g} s later and was helped")
        return {"name": experiment.name, "hypothesis": experiment.hypothesis, "holds": not against, "against": against, **result,
                "marks": [{"second": round(when - times.begin, 2), "what": what} for when, what in self.marks],
                "seconds": measure.seconds(traffic.requests, times.begin)}  # fmt: skip


__all__ = ["Failed", "Here", "Lab", "experiments"]
