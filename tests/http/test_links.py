#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""[Links]: targets that are refused, and blocklists that change while the service runs."""

import contextlib
import os
import signal
import sqlite3
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

REFUSED = {"error": "This URL is not allowed here"}
BLOCKED = {"error": "This link is blocked"}


class Links(unittest.TestCase):
    def setUp(self):
        self.service = harness.Service()
        self.addCleanup(self.service.close)
        self.list = os.path.join(self.service.folder, "blocklist")

    def write(self, text, path=None):
        path = path or self.list
        with open(path + ".new", "w") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def create(self, one, target):
        answer = one.post("/urls", {"url": target})
        return answer.status, answer.json

    def test_switches(self):
        one = self.service.start(options=["Links.PrivateTargets=refuse", "Links.MixedScripts=refuse",
                                          "Links.Credentials=allow", "Links.OwnHosts=t.example",
                                          "Server.BaseURL=https://s.example:8443/x"])
        for target in ("http://127.0.0.1/", "http://[::1]/", "http://localhost/", "http://p\u0430ypal.example/",
                       "http://t.example/abc", "https://S.example/abc"):
            self.assertEqual(self.create(one, target), (400, REFUSED), target)
        url = one.create("https://user:pass%20word@example.com/")
        answer = one.get("/" + url["short_code"])
        self.assertEqual(answer.headers["Location"], "https://user:pass%20word@example.com/")
        self.assertEqual(one.put(f"/urls/{url['id']}", {"url": "http://10.0.0.1/"}).json, REFUSED)

    def test_own_hosts_in_any_form(self):
        one = self.service.start(options=["Links.OwnHosts=b\u00fccher.example T.Example. 192.0.2.7 a<b",
                                          "Server.BaseURL=https://S.example./"])
        for target in ("http://b\u00fccher.example/", "http://xn--bcher-kva.example./", "http://BU\u0308CHER.example/",
                       "http://t.example./a", "http://t%2Eexample/", "http://t\u3002example/", "http://0xc0.0.0x207/",
                       "http://[::ffff:192.0.2.7]/", "http://[64:FF9B::192.0.2.7]:81/",
                       "https://s.example/", "https://s.example.:444/"):
            self.assertEqual(self.create(one, target), (400, REFUSED), target)
        self.assertEqual(self.create(one, "http://a.t.example/")[0], 201)
        self.assertIn("a<b is no host name", one.log())
        one.stop()
        one.options = ["Server.BaseURL=http://[::ffff:192.0.2.8]:8080/x"]
        one.start()
        for target in ("http://192.0.2.8/", "http://[::ffff:c000:208]:81/", "http://[64:ff9b::192.0.2.8]/"):
            self.assertEqual(self.create(one, target), (400, REFUSED), target)
        self.assertEqual(self.create(one, "http://[::ffff:192.0.2.9]/")[0], 201)

    def test_defaults_are_open_but_for_credentials(self):
        one = self.service.start()
        for target in ("http://127.0.0.1/", "http://localhost/", "http://p\u0430ypal.example/"):
            self.assertEqual(self.create(one, target)[0], 201, target)
        self.assertEqual(self.create(one, "http://user@example.com/")[0], 400)

    def test_blocklist(self):
        self.write("evil.example\n0.0.0.0 host.example\nhttps://example.com/bad\n")
        one = self.service.start(options=[f"Links.Blocklist={self.list}"])
        for target in ("http://evil.example/", "http://www.evil.example/x", "http://host.example/",
                       "https://example.com/bad"):
            self.assertEqual(self.create(one, target), (410, BLOCKED), target)
        good = one.create("https://example.com/good")
        self.assertEqual(one.put(f"/urls/{good['id']}", {"url": "http://evil.example/"}).status, 410)
        self.assertEqual(one.metric('shortener_blocked_total{at="create"}'), 5)
        self.assertEqual(one.metric("shortener_blocklist_entries"), 3)

    def test_targets_in_disguise(self):
        self.write("Evil.Example.\nb\u00fccher.example\n0.0.0.0 host.example\n203.0.113.9\n[2001:db8::9]\n"
                   "https://page.example/bad?x=1\n0.0.0.0 198.51.100.7\nhttp://203.0.113.77/mal\n[::ffff:192.0.2.8]\n"
                   "https://page.example/a[1]/x?u=/mal&v=(1)\n")
        one = self.service.start(options=[f"Links.Blocklist={self.list}", "Links.Credentials=allow"])
        for target in ("http://evil.example", "HTTP://EVIL.EXAMPLE:81/", "http://evil.example./", "http://a.evil.example.:80/",
                       "http://evil%2eexample/", "http://ev%69l.example/", "http://evil\u3002example/", "http://evil\uff0eexample/",
                       "http://\uff45vil.example/", "http://e\u00advil.example/", "http://\u212f\u0076il.example/",
                       "http://user:pw@evil.example/", "http://good.example@evil.example/", "http://x:@evil.example?@good.example",
                       "http://BU\u0308CHER.example/", "http://xn--BCHER-kva.example/", "http://a.xn--bcher-kva.example./",
                       "http://host.example.:8080/#x", "http://203.0.113.9.", "http://3405803785/", "http://0xcb007109/",
                       "http://0313.0.0161.9/", "http://203.28937/", "http://203.0.0x7109:443/", "http://\uff12\uff10\uff13.0.113.9/",
                       "http://[2001:DB8:0:0::0009]:8/", "http://[2001:db8::0.0.0.9]/", "https://page.example/bad?x=1#y",
                       "https://page.example.:443/%62ad?x=1", "https://u@page.example/a/../b%61d?x=1",
                       "https://page.example/%2e/bad?x=1", "http://[::ffff:203.0.113.9]/", "http://[0:0::0:FFFF:cb00:7109]:81/x",
                       "http://[64:ff9b::203.0.113.9]/", "http://[::ffff:0:203.0.113.9]/",
                       "http://[::ffff:198.51.100.7]/", "http://u@[::ffff:203.0.113.77]/m%61l#x", "http://192.0.2.8/",
                       "http://0xc0.0x208/", "https://page.example/a[1]/x?u=/mal&v=(1)", "https://page.example/a%5B1%5D/x?u=/mal&v=(1)",
                       "https://page.example/a[1]/x?u=%2Fmal&v=(1)", "https://page.example/a[1]/x?u=/mal&v=%281%29",
                       "https://page.example/%61%5b1]/x?%75=%2fmal&v=(%31%29#y"):
            self.assertEqual(self.create(one, target), (410, BLOCKED), target)
        for target in ("http://evil.example.com/", "http://notevil.example/", "http://a.host.example/", "http://evil.example@good.example/",
                       "http://good.example/http://evil.example/", "https://page.example/bad", "http://page.example/bad?x=1",
                       "http://203.0.113.90/", "http://9.203.0.113.9.example/", "http://[::ffff:203.0.113.90]/",
                       "http://[2001:db8::203.0.113.9]/", "http://[::ffff:203.0.113.77]/", "https://page.example/a[1]%2Fx?u=/mal&v=(1)",
                       "https://page.example/a[1]/x%3Fu=/mal&v=(1)", "https://page.example/a[1]/x?u=/mal%26v=(1)",
                       "https://page.example/a[1]/x?u%3D/mal&v=(1)"):
            self.assertEqual(self.create(one, target)[0], 201, target)

    def test_a_link_to_an_address_in_disguise_is_blocked_later(self):
        one = self.service.start()
        links = [one.create(target)["short_code"] for target in ("http://[::ffff:203.0.113.9]/", "http://[64:ff9b::cb00:714d]/mal")]
        one.stop()
        self.write("203.0.113.9\nhttp://203.0.113.77/mal\n")
        one.options = [f"Links.Blocklist={self.list}"]
        one.start()
        for code in links:
            answer = one.get("/" + code)
            self.assertEqual((answer.status, answer.json), (410, BLOCKED))

    def test_a_row_that_was_made_by_hand_puts_nothing_into_the_answer(self):
        """Whatever stands in the store, by the resolver and by the warm-up."""
        bad = ("https://a.example/\r\nX-Injected: yes", "https://a.example/\n\nbody", "https://a.example/\rX", "https://a.example/ b",
               "https://a.example/\tb", "https://a.example/\x7f", "https://\u00e9.example/", "https://a.example/" + "x" * 6200, "")
        with harness.Service(warm_up=True) as service:
            one = service.start()
            links = [one.create(f"https://good.example/{i}") for i in range(len(bad))]
            good = one.create("https://good.example/")
            one.stop()
            with contextlib.closing(sqlite3.connect(service.database)) as store, store:
                for link, location in zip(links, bad):
                    store.execute("UPDATE urls SET location = ? WHERE id = ?", (location, link["id"]))
            for warm in ("yes", "no"):
                one.options = [f"Cache.WarmUp={warm}"]
                one.start()
                if warm == "yes":
                    harness.wait_for(lambda: one.get("/" + good["short_code"]).headers["X-Cache"] == "HIT", 10, "the warm-up")
                for link, location in zip(links, bad):
                    for _ in range(2):
                        answer = one.raw(f"GET /{link['short_code']} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
                        self.assertTrue(answer.startswith(b"HTTP/1.1 404 "), (location, answer))
                        self.assertNotRegex(answer, b"(?i)x-injected|location:|a\\.example", location)
                one.stop()

    def test_warm_up_asks_the_list(self):
        warm = harness.Service(warm_up=True)
        self.addCleanup(warm.close)
        one = warm.start("1")
        codes = {name: one.create(f"http://{name}.example/")["short_code"] for name in ("evil", "good")}
        one.stop()
        self.write("evil.example\n")
        two = warm.start("2", options=[f"Links.Blocklist={self.list}"])
        harness.wait_for(lambda: two.metric('shortener_warmed_links_total{tier="local"}') == 2, 30, "the warm-up")
        harness.wait_for(lambda: "blocklist read: 1 " in two.log(), 10, "the list")
        harness.wait_for(lambda: two.metric("shortener_cache_entries ") == 2, 10, "the entries")
        lookups = two.metric("shortener_resolver_lookups_total ")
        self.assertEqual(two.get("/" + codes["evil"]).json, BLOCKED)
        self.assertEqual(two.get("/" + codes["good"]).status, 302)
        self.assertEqual(two.metric("shortener_resolver_lookups_total "), lookups)

    def test_changed_list_counts_for_cached_links_and_back(self):
        self.write("")
        one = self.service.start(options=[f"Links.Blocklist={self.list}"])
        url = one.create("http://later.example/")
        path = "/" + url["short_code"]
        for _ in range(3):
            self.assertEqual(one.get(path).status, 302)
        self.write("later.example\n")
        harness.wait_for(lambda: one.get(path).status == 410, 15, "the link to be blocked")
        events = one.get(f"/urls/{url['id']}/stats").json["redirect_count"]
        blocked = one.get(path)
        self.assertEqual((blocked.status, blocked.json), (410, BLOCKED))
        page = one.get(path, headers={"Accept": "text/html"})
        self.assertEqual((page.status, page.headers["Content-Type"]), (410, "text/html; charset=utf-8"))
        self.assertEqual(one.request("HEAD", path).status, 410)
        self.assertEqual(one.get(f"/urls/{url['id']}/stats").json["redirect_count"], events)
        self.assertGreaterEqual(one.metric('shortener_blocked_total{at="redirect"}'), 3)
        self.write("other.example\n")
        harness.wait_for(lambda: one.get(path).status == 302, 15, "the link to be free again")

    def test_list_that_vanishes_stays_in_use(self):
        self.write("evil.example\n")
        one = self.service.start(options=[f"Links.Blocklist={self.list}"])
        os.unlink(self.list)
        harness.wait_for(lambda: one.metric("shortener_blocklist_failed") == 1, 15, "the failure to show")
        self.assertEqual(self.create(one, "http://evil.example/")[0], 410)
        harness.wait_for(lambda: "stays in use" in one.log(), 5, "the message")
        self.write("evil.example\nmore.example\n")
        harness.wait_for(lambda: one.metric("shortener_blocklist_entries") == 2, 15, "the new list")
        self.assertEqual(one.metric("shortener_blocklist_failed"), 0)

    def test_reload_brings_a_list(self):
        one = self.service.start()
        self.assertEqual(self.create(one, "http://evil.example/")[0], 201)
        self.write("evil.example\n")
        with open(self.service.config, "w") as file:
            file.write(f"[Links]\nBlocklist={self.list}\nPrivateTargets=refuse\n")
        one.signal(signal.SIGHUP)
        harness.wait_for(lambda: self.create(one, "http://evil.example/")[0] == 410, 15, "the list")
        self.assertEqual(self.create(one, "http://127.0.0.1/"), (400, REFUSED))

    def test_missing_list_stops_the_start(self):
        one = self.service.instance(options=[f"Links.Blocklist={self.list}"]).start(wait=False)
        self.assertEqual(one.process.wait(20 * harness.SLOW), 78)
        self.assertIn("No such file", one.log())

    def test_a_million_entries_are_read_beside_the_loop(self):
        self.write("first.example\n")
        one = self.service.start(options=[f"Links.Blocklist={self.list}"])
        path = "/" + one.create()["short_code"]
        one.get(path)
        self.write("".join(f"host-{i}.example\n" for i in range(1000000)))
        slowest, done = [0.0], threading.Event()

        def visit():
            connection = one.connect()
            while not done.is_set():
                begin = time.monotonic()
                answer = one.get(path, connection=connection)
                slowest[0] = max(slowest[0], time.monotonic() - begin)
                assert answer.status == 302
            connection.close()

        thread = threading.Thread(target=visit)
        thread.start()
        try:
            harness.wait_for(lambda: one.metric("shortener_blocklist_entries") == 1000000, 60, "the list", pause=0.2)
        finally:
            done.set()
            thread.join()
        self.assertLess(one.metric("shortener_blocklist_bytes"), 16e6)
        # Reading takes seconds in a slow build; no visit waits that long.
        self.assertLess(slowest[0], 0.5 * harness.SLOW)
        self.assertEqual(self.create(one, "http://host-999999.example/")[0], 410)


if __name__ == "__main__":
    harness.main()
