# SPDX-License-Identifier: MIT
"""What is seen of the provisioned machine: every exporter, every panel while users are there, a
certificate that is about to expire; and that the figures are those that the load counted."""

import collections
import json
import math
import re
import sys
import urllib.parse

import packages
import stage as stages
from machine import wait_for
from stage import INSTANCES, LONG, Check, note
from traffic import Traffic

sys.path.insert(0, str(packages.TREE / "monitoring/dashboard"))

import panels  # noqa: E402

SHARE = 0.01  # by how much a figure may differ from what the load counted

# One that expires tomorrow, shown by nginx beside the site; and a BaseURL= that says so.
CERTIFICATE = """
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -keyout /run/test-certificate.key -out /run/test-certificate.pem 2>/dev/null
nginx -t -q && systemctl reload nginx
"""
TLS_SITE = "/etc/nginx/conf.d/90-test.conf"
TLS = """server {
    listen 127.0.0.1:443 ssl;
    ssl_certificate /run/test-certificate.pem;
    ssl_certificate_key /run/test-certificate.key;
    include snippets/shortener-server.conf;
}
"""
BASE_URL = "/etc/shortener/shortener.conf.d/90-test.conf"
TARGETS = "/etc/shortener/monitoring/targets/certificates.json"


def is_near(found, counted):
    return abs(found - counted) <= SHARE * counted


class Seen(Check):
    @classmethod
    def setUpClass(cls):
        machine = stages.stage.machine
        # The machine has no network card, and node-exporter leaves out the loopback.
        machine.run("ip link add card0 type veth peer name card1")
        machine.write(TLS_SITE, TLS)
        machine.shell(CERTIFICATE)
        machine.write(BASE_URL, "[Server]\nBaseURL=https://127.0.0.1\n")

    @classmethod
    def tearDownClass(cls):
        machine = stages.stage.machine
        machine.run("ip link delete card0")
        machine.run(f"rm -f {TLS_SITE} {BASE_URL} /run/test-certificate.key /run/test-certificate.pem; systemctl reload nginx")
        wait_for(lambda: json.loads(machine.path(TARGETS).read_text(encoding="utf-8")) == [], 20, "no certificate to be watched")

    def query(self, expression):
        """The series of an instant query on the machine's Prometheus."""
        url = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        answer = json.loads(self.machine.out(["curl", "-s", "--max-time", "20", url]))
        self.assertEqual(answer["status"], "success", expression)
        return answer["data"]["result"]

    def numbers(self, expression):
        """The values of a query; without those that are none, as the latency of an endpoint that nobody asks."""
        return [value for value in (float(one["value"][1]) for one in self.query(expression)) if math.isfinite(value)]

    def sum_of(self, expression):
        return sum(self.numbers(expression))

    def test_nothing_but_nginx_listens_outside(self):
        out = self.machine.out("ss -Hltunp")
        outside = [line for line in out.splitlines() if not re.match(r"(127\.\d+\.\d+\.\d+|\[::1\])(%\w+)?:", line.split()[4])]
        self.assertTrue(outside)
        self.assertEqual([line for line in outside if '(("nginx"' not in line or not line.split()[4].endswith(":80")], [])

    def test_everything_is_scraped(self):
        """The instances, and an exporter of each part: all of them are targets, and up."""
        def seen():
            return {(m["job"], m.get("part") or m["instance"]) for m in (one["metric"] for one in self.query("up == 1"))}
        wanted = {*(("shortener", str(n)) for n in INSTANCES), ("exporters", "postgresql"), ("exporters", "redis"),
                  ("exporters", "nginx"), ("node-exporter", "host"), ("shortener-alertd", "host"), ("prometheus", "host"),
                  ("alertmanager", "host"), ("certificates", "127.0.0.1:443")}  # fmt: skip
        # Not only they: for five minutes Prometheus shows what it scraped before `shortenerctl monitoring enable`.
        wait_for(lambda: seen() >= wanted, 90, "all targets to be up", pause=1)
        self.assertEqual(self.query("up == 0"), [])
        self.assertEqual([self.numbers(name) for name in ("pg_up", "redis_up", "nginx_up")], [[1], [1], [1]])

    def counters(self):
        """{figure: sum over the instances} of what the load can count too."""
        found = {int(one["metric"]["status"]): float(one["value"][1])
                 for one in self.query('sum by (status) (http_requests_total{job="shortener"})')}
        for name in ("redirects_total", "urls_created_total", "shortener_clicks_shipped_total"):
            found[name] = self.sum_of(f'{name}{{job="shortener"}}')
        return collections.Counter(found)

    def wait_numbers(self, queries):
        """Until each has some; whoever has none is named."""
        self.assertGreater(len(queries), 40)
        silent = dict(queries)

        def all_speak():
            for title in [title for title, text in silent.items() if self.numbers(text)]:
                del silent[title]
            return not silent
        try:
            wait_for(all_speak, 90, "all panels to have numbers", pause=2)
        except AssertionError as error:
            self.fail(f"{error}: {sorted(silent)}")

    def test_panels_under_load(self):
        """Each query has numbers while users are there; afterwards the sums over three instances are the load's."""
        self.wait_shipped()
        wait_for(lambda: self.counters()["shortener_clicks_shipped_total"] ==
                 sum(self.metric(n, "shortener_clicks_shipped_total") for n in INSTANCES), 20, "a scrape of the last visit")  # fmt: skip
        before, left_out = self.counters(), self.sum_of('redirects_total{job="shortener",instance!="3"}')
        with Traffic(self.machine, self.codes()) as traffic:
            traffic.go_on(20)
            for matcher in ('instance=~".+"', 'instance=~"2"'):
                self.wait_numbers({title: text.replace("$i", matcher) for title, text in panels.queries()})
        counted = collections.Counter(request.status for request in traffic.requests)
        counted.update({"redirects_total": counted[302], "urls_created_total": counted[201], "shortener_clicks_shipped_total": counted[302]})
        self.assertGreater(counted[302], 5000)
        self.assertEqual(traffic.failed()[:5], [])

        def grown():
            return {key: value - before[key] for key, value in self.counters().items() if value != before[key]}
        wait_for(lambda: all(is_near(grown().get(key, 0), value) for key, value in counted.items()), 30,
                 f"what Prometheus saw to be what the load counted: {dict(counted)}")  # fmt: skip
        found = grown()
        # One request beside it: codes() lists links.
        self.assertEqual({key: value for key, value in found.items() if not is_near(value, counted[key])}, {200: 1})
        note("what the load counted, and Prometheus summed over three instances: "
             + ", ".join(f"{key} {value} {found[key]:.0f}" for key, value in counted.items()))  # fmt: skip
        two = self.sum_of('redirects_total{job="shortener",instance!="3"}') - left_out
        self.assertFalse(is_near(two, counted[302]), "the comparison would not see that an instance is missing")

    if LONG:  # it waits for a minute; tests/monitoring has the rule
        def test_certificate_that_expires(self):
            """BaseURL= has made it a target by itself; its last days are an alert."""
            self.assertEqual(json.loads(self.machine.path(TARGETS).read_text(encoding="utf-8")), [{"targets": ["127.0.0.1:443"]}])
            days = wait_for(lambda: self.numbers("(probe_ssl_earliest_cert_expiry - time()) / 86400"), 90, "the certificate to be seen")
            self.assertTrue(0.9 < days[0] <= 1.0, days)
            firing = 'ALERTS{alertname="CertificateExpires",alertstate="firing",instance="127.0.0.1:443"}'
            wait_for(lambda: self.query(firing), 150, "CertificateExpires to fire", pause=1)
