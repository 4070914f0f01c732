# SPDX-License-Identifier: MIT
"""PostgreSQL and Redis stopped and started, in any order, and a boot without both."""

import itertools

from machine import wait_for
from stage import INSTANCES, LONG, Check

STORE = "postgresql.service"
REDIS = "redis-server@shortener.service"


class Away(Check):
    def setUp(self):
        for n in INSTANCES:
            wait_for(lambda n=n: self.answer("/urls/1", port=5000 + n)[0] == 200, 20, f"{n}: the API")
        self.pids = [self.pid(n) for n in INSTANCES]

    def tearDown(self):
        self.machine.run(["systemctl", "unmask", STORE, "postgresql@15-main.service", REDIS])
        self.machine.run(["systemctl", "start", STORE, REDIS])
        self.wait_whole()

    def wait_whole(self):
        for n in INSTANCES:
            wait_for(lambda n=n: '"connected"' in self.answer("/health", port=5000 + n)[2], 20, f"{n}: the store")
            wait_for(lambda n=n: self.metric(n, "shortener_redis_up ") == 1, 20, f"{n}: Redis")

    def warm(self):
        """A link that each instance has in its cache, and one that none knows."""
        code, cold = self.codes(40)[-2:]
        for n in INSTANCES:
            self.assertEqual(self.answer(f"/{code}", port=5000 + n)[0], 302)
        return code, cold

    def check_store_away(self, code):
        for n in INSTANCES:
            self.assertEqual(self.answer(f"/{code}", port=5000 + n)[0], 302, "a cached redirect")
            self.assertEqual(self.answer("/health", port=5000 + n)[0], 200)
        status, fields, body = self.answer("/urls/1")
        self.assertEqual((status, body), (503, '{"error":"Service unavailable"}\n'))
        self.assertIn("retry-after", fields)

    def test_store_and_redis_in_any_order(self):
        orders = [order for order in itertools.product((STORE, REDIS), repeat=2)] if LONG else [(STORE, REDIS), (REDIS, REDIS)]
        for first_off, first_on in orders:
            with self.subTest(off=first_off, on=first_on):
                code, _ = self.warm()
                self.wait_shipped()
                visits = int(self.sql("SELECT count(*) FROM events WHERE type = 1")[0][0])
                second_off = REDIS if first_off == STORE else STORE
                second_on = REDIS if first_on == STORE else STORE
                self.machine.run(["systemctl", "stop", first_off])
                self.machine.run(["systemctl", "stop", second_off])
                wait_for(lambda: self.answer("/urls/1")[0] == 503, 10, "the store to be away")
                self.check_store_away(code)
                self.machine.run(["systemctl", "start", first_on])
                self.machine.run(["systemctl", "start", second_on])
                self.wait_whole()
                wait_for(lambda: self.answer("/urls/1")[0] == 200, 10, "the API to be back")
                self.create()
                self.wait_shipped()
                after = int(self.sql("SELECT count(*) FROM events WHERE type = 1")[0][0])
                self.assertEqual(after - visits, len(INSTANCES), "visits while the store was away")
        self.assertEqual([self.pid(n) for n in INSTANCES], self.pids, "no instance was restarted")

    def test_redis_away_is_no_matter(self):
        self.machine.run(["systemctl", "stop", REDIS])
        for code in self.codes(20):
            self.assertEqual(self.answer(f"/{code}")[0], 302)
        self.create()
        self.assertEqual([self.pid(n) for n in INSTANCES], self.pids)

    def test_boot_without_both(self):
        """The instances start, say that they are degraded, and are whole when the others come."""
        code = self.codes(1)[0]
        self.machine.run(["systemctl", "mask", STORE, "postgresql@15-main.service", REDIS])
        self.machine.reboot()
        for n in INSTANCES:
            wait_for(lambda n=n: self.is_active(f"shortener@{n}.service"), 30, f"instance {n} to be active")
        health = self.answer("/health", port=5001)
        self.assertEqual((health[0], '"degraded"' in health[2]), (200, True), health)
        self.assertEqual(self.answer("/ready", port=5001)[0], 503)
        self.assertEqual(self.answer(f"/{code}")[0], 503)
        self.assertEqual(self.machine.out("systemctl list-units --failed --plain --no-legend 'shortener*'"), "")
        self.machine.run(["systemctl", "unmask", STORE, "postgresql@15-main.service", REDIS])
        self.machine.run(["systemctl", "start", STORE, REDIS])
        self.wait_whole()
        self.assertEqual(self.answer(f"/{code}")[0], 302)
