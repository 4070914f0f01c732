#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the reference service gets wrong: a test for each line of its list, named after it.

Not here, because what they are about is not part of this stage:
 3  Redis frozen                        with Redis; a frozen store is test_away.py
13  evidence files, Discord             with the alert receiver
16  inhibitions, exporters              with the monitoring
17  access control, published ports     with access control and packaging
Of 12, the JSON of nginx's own answers comes with its configuration; of 19, partitions of events
come with PostgreSQL.
"""

import os
import sqlite3
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def form(rows):
    return (b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\n' + rows + b"\r\n--b--\r\n")


def together(*functions):
    """Runs the functions at the same time; their results."""
    results, start = [None] * len(functions), threading.Barrier(len(functions))

    def run(i):
        start.wait()
        results[i] = functions[i]()
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.instances = [cls.service.start(name) for name in "123"]
        cls.one, cls.two, cls.three = cls.instances

    @classmethod
    def tearDownClass(cls):
        cls.service.close()

    def code(self, url, instance=None):
        return (instance or self.one).get("/" + url["short_code"])

    def visits(self, url):
        return self.one.get(f"/urls/{url['id']}/stats").json["redirect_count"]

    def test_01_visits_of_a_deleted_users_links_are_counted(self):
        user = self.one.post("/users", {"username": "one", "email": "one@example.com"}).json
        url = self.one.create(user_id=user["id"])
        self.assertEqual(self.one.delete(f"/users/{user['id']}").status, 204)
        for instance in self.instances * 2:
            self.assertEqual(self.code(url, instance).status, 302)
        self.assertEqual(self.visits(url), 6)

    def test_02_without_the_store_cached_links_health_and_metrics_go_on(self):
        with harness.Service() as service:
            one = service.start()
            url = one.create()
            one.get("/" + url["short_code"])
            lock = sqlite3.connect(service.database, isolation_level=None)
            lock.execute("PRAGMA busy_timeout = 5000")
            lock.execute("BEGIN EXCLUSIVE")
            for _ in range(5):
                self.assertEqual(one.get("/" + url["short_code"]).headers["X-Cache"], "HIT")
                for path in ("/health", "/metrics"):
                    self.assertEqual(one.get(path).status, 200)
                start = time.monotonic()
                self.assertEqual(one.post("/urls", {"url": "https://example.com/no"}).status, 503)
                self.assertLess(time.monotonic() - start, 1 * harness.SLOW)
            lock.execute("ROLLBACK")
            lock.close()
            harness.wait_for(lambda: one.get("/ready").status == 200, what="the store again")
            self.assertEqual(one.get(f"/urls/{url['id']}/stats").json["redirect_count"], 6)

    def test_04_active_urls_is_the_same_on_every_instance(self):
        for _ in range(3):
            self.one.create()
        active = int(self.one.get("/urls?is_active=true&per_page=0").headers["X-Total-Count"])
        for instance in self.instances:
            harness.wait_for(lambda i=instance: i.metric("active_urls") == active, what="active_urls")
            self.assertEqual(instance.metric("active_urls"), active)

    def test_05_parallel_puts_of_different_fields_both_take_effect(self):
        url = self.one.create()
        path = f"/urls/{url['id']}"
        for n in range(25):
            target, title = f"https://example.com/{n}", f"t{n}"
            together(lambda p=target: self.one.put(path, {"url": p}), lambda t=title: self.two.put(path, {"title": t}))
            now = self.three.get(path).json
            self.assertEqual((now["original_url"], now["title"]), (target, title))

    def test_06_of_parallel_deletes_one_wins_and_leaves_one_event(self):
        for _ in range(25):
            url = self.one.create()
            path = f"/urls/{url['id']}"
            answers = together(*(lambda i=i: i.delete(path).status for i in (self.one, self.two, self.one)))
            self.assertEqual(sorted(answers), [204, 404, 404])
            events = [e["event_type"] for e in self.one.get(path + "/events").json]
            self.assertEqual(events.count("deleted"), 1)

    def test_07_a_deactivated_link_never_redirects_again_though_fills_race(self):
        for _ in range(25):
            url = self.one.create()
            path = f"/urls/{url['id']}"
            together(lambda: self.one.put(path, {"is_active": False}), *(lambda i=i: self.code(url, i)
                                                                       for i in self.instances))
            for instance in self.instances * 2:
                self.assertEqual(self.code(url, instance).status, 404)

    def test_08_a_list_has_what_was_just_written(self):
        for n in range(20):
            writer, reader = self.instances[n % 3], self.instances[(n + 1) % 3]
            total = int(reader.get("/urls?per_page=1").headers["X-Total-Count"])
            url = writer.create()
            answer = reader.get(f"/urls?per_page=5&after={url['id'] - 1}")
            self.assertEqual(([u["id"] for u in answer.json], answer.headers["X-Total-Count"]), ([url["id"]], str(total + 1)))
            self.assertEqual([e["event_type"] for e in reader.get(f"/events?url_id={url['id']}").json], ["created"])

    def test_09_an_event_has_the_clients_address(self):
        # Through a real proxy: test_nginx.py. Here: a client is not believed.
        url = self.one.create()
        for _ in range(2):
            self.one.get("/" + url["short_code"], headers={"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6"})
        rows = self.one.get(f"/urls/{url['id']}/events?per_page=2").json
        self.assertEqual([r["details"]["ip"] for r in rows], ["127.0.0.1"] * 2)

    def test_10_bad_input_is_never_an_internal_error(self):
        url = self.one.create()["id"]
        huge = "9" * 40
        for path in (f"/{kind}?{name}={value}" for kind in ("users", "urls", "events") for name in ("page", "per_page", "after")
                     for value in ("-1", huge, "-" + huge, "%00", "NaN", "1e400", "\\ud800")):
            self.assertIn(self.one.get(path).status, (200, 400), path)
        for body in ('{"url_id":NaN,"event_type":"x"}', '{"url_id":1e400,"event_type":"x"}', "[" * 100000,
                     '{"url_id":%d,"event_type":"x\\u0000"}' % url, '{"url_id":%d,"event_type":"\\ud800"}' % url,
                     '{"url_id":%d,"event_type":"%s"}' % (url, "e" * 256), '{"url_id":%s,"event_type":"x"}' % huge):
            answer = self.one.post("/events", body.encode(), headers={"Content-Type": "application/json"})
            self.assertEqual(answer.status, 400, body[:60])

    def test_10_a_bad_row_does_not_stop_an_import(self):
        rows = (b"username,email,created_at\nten1,ten1@example.com,\nshort\nten2,ten2@example.com,never\n\xe9,e@example.com,\n"
                b"ten3,ten3@example.com,2024-01-02 03:04:05\n")
        answer = self.one.post("/users/bulk", form(rows), headers=FORM)
        self.assertEqual((answer.status, answer.json["imported"], [e["row"] for e in answer.json["errors"]]), (201, 2, [3, 4, 5]))

    def test_11_bom_titles_and_urls_that_passed(self):
        answer = self.one.post("/users/bulk", form(b"\xef\xbb\xbfusername,email\neleven,eleven@example.com\n"), headers=FORM)
        self.assertEqual(answer.json, {"count": 1, "imported": 1, "skipped": 0})
        for title in (5, ["a"], {"a": 1}, True):
            self.assertEqual(self.one.post("/urls", {"url": "https://example.com/", "title": title}).status, 400)
        for bad in ("https://exa mple.com/", "https://example.com/a b", "https://example.com:99999/",
                    "https://example.com/\r\nSet-Cookie:a=b", "https://example.com:x/"):
            self.assertEqual(self.one.post("/urls", {"url": bad}).status, 400, bad)

    def test_12_a_file_over_one_megabyte_goes_in_and_405_has_allow(self):
        rows = b"username,email\ntwelve,twelve@example.com\n" + b"\n" * (5 << 20)
        self.assertEqual(self.one.post("/users/bulk", form(rows), headers=FORM).status, 201)
        answer = self.one.post("/users/bulk", form(rows * 3), headers=FORM)
        self.assertEqual((answer.status, answer.json), (413, {"error": "File too large (max 10MB)"}))
        answer = self.one.request("PATCH", "/urls")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD, POST, OPTIONS"))

    def test_14_what_was_answered_survives_kill_9(self):
        with harness.Service() as service:
            one = service.start()
            url = one.create()
            for n in range(1, 4):
                new = one.create(f"https://example.com/{n}")
                for _ in range(10):
                    self.assertEqual(one.get("/" + url["short_code"]).status, 302)
                one.kill()
                one.start()
                self.assertEqual(one.get(f"/urls/{new['id']}").json, new)
                self.assertEqual([e["event_type"] for e in one.get(f"/urls/{new['id']}/events").json], ["created"])
                harness.wait_for(lambda m=10 * n: one.get(f"/urls/{url['id']}/stats").json["redirect_count"] == m,
                                 what="all visits")

    def test_14_a_redirect_does_not_wait_for_its_event(self):
        url = self.one.create()
        self.code(url)
        lock = sqlite3.connect(self.service.database, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        try:
            for _ in range(20):
                self.assertEqual(self.code(url).headers["X-Cache"], "HIT")
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        harness.wait_for(lambda: self.visits(url) == 21, what="the visits in the store")

    def test_15_unknown_codes_are_remembered_and_spoil_no_ratio(self):
        self.one.get("/unknown15")
        names = ("shortener_resolver_lookups_total", "cache_hits_total", "cache_misses_total")
        before = [self.one.metric(name) for name in names]
        for _ in range(20):
            self.assertEqual(self.one.get("/unknown15").status, 404)
        self.assertEqual([self.one.metric(name) for name in names], before)

    def test_18_a_code_is_never_a_routes_name(self):
        # urls is a code that 4 characters could make; test_api.py and the units draw many.
        for word in ("users", "urls", "events", "health", "metrics", "ready"):
            self.assertEqual(self.one.get("/" + word).status, 200)
            result = self.service.ctl("link", "add", "https://example.com/x", "--code=" + word, check=False)
            self.assertNotEqual(result.returncode, 0)

    def test_19_pages_by_after_and_kept_totals(self):
        url = self.one.create()
        for _ in range(3):
            self.code(url)
        self.assertEqual(self.visits(url), 3)
        rows = self.one.get("/urls?per_page=3").json
        self.assertEqual(self.one.get(f"/urls?per_page=2&after={rows[0]['id']}").json, rows[1:])
        with sqlite3.connect(self.service.database) as database:
            kept = database.execute("SELECT redirects FROM url_totals WHERE url_id = ?", (url["id"],)).fetchone()
            plan = database.execute("EXPLAIN QUERY PLAN SELECT id FROM events WHERE id < 9 ORDER BY id DESC LIMIT 1").fetchall()
        database.close()
        self.assertEqual(kept, (3,))
        self.assertIn("SEARCH", str(plan))

    def test_20_seeding_asks_before_it_replaces(self):
        before = [self.one.get(path).headers["X-Total-Count"] for path in ("/users", "/urls")]
        result = self.service.ctl("seed", os.path.join(harness.ROOT, "seed_data"), check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("--force", result.stdout + result.stderr)
        self.assertEqual([self.one.get(path).headers["X-Total-Count"] for path in ("/users", "/urls")], before)

    def test_20_the_schema_has_a_version(self):
        self.assertIn("1", self.service.ctl("db", "status").stdout)
        self.assertEqual(self.service.ctl("db", "migrate").returncode, 0)


if __name__ == "__main__":
    harness.main()
