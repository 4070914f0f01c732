#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lists on the seeded service: windows, totals, links to neighbours, and filters, as api.md has them."""

import collections
import csv
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

USERS, URLS, EVENTS = 400, 2000, 3422  # rows of seed_data/
HUGE = "9223372036854775808"


def rows_of(name):
    with open(os.path.join(harness.ROOT, "seed_data", name + ".csv"), newline="") as file:
        return list(csv.DictReader(file))


class Lists(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = harness.Service()
        cls.service.seed()
        cls.one = cls.service.start()
        cls.connection = cls.one.connect()

    @classmethod
    def tearDownClass(cls):
        cls.connection.close()
        cls.service.close()

    def get(self, path):
        return self.one.get(path, connection=self.connection)

    def ids(self, path):
        answer = self.get(path)
        self.assertEqual(answer.status, 200, (path, answer))
        return [row["id"] for row in answer.json]

    def links(self, path):
        """{relation: path} of an answer's Link."""
        found = re.findall(r'<([^<>]*)>; rel="(\w+)"', self.get(path).headers.get("Link", ""))
        return {relation: target for target, relation in found}

    def test_order_and_defaults(self):
        self.assertEqual(self.ids("/users"), list(range(1, 26)))
        self.assertEqual(self.ids("/urls"), list(range(1, 26)))
        self.assertEqual(self.ids("/events"), list(range(EVENTS, EVENTS - 25, -1)))
        own = self.ids("/urls/1/events?per_page=100")
        self.assertEqual(own, sorted(own, reverse=True))

    def test_windows(self):
        for path, first, step in (("/users", 1, 1), ("/urls", 1, 1), ("/events", EVENTS, -1)):
            def expected(start, n):
                return [first + step * i for i in range(start, start + n)]
            for query, rows in (
                    ("page=2", expected(25, 25)), ("per_page=3&page=4", expected(9, 3)), ("per_page=100", expected(0, 100)),
                    ("per_page=101", expected(0, 100)), ("per_page=9223372036854775807", expected(0, 100)),
                    ("per_page=0", []), ("per_page=-0", []), ("page=0&per_page=2", expected(0, 2)), ("page=99999", []),
                    ("page=9223372036854775807&per_page=100", []), ("page=9223372036854775807", []),
                    ("page=abc&per_page=xyz", expected(0, 25)), ("page=&per_page=", expected(0, 25)),
                    ("page=1.5&per_page=1e1", expected(0, 25)), ("page=0x2", expected(0, 25)), ("page", expected(0, 25)),
                    ("page=2&page=3&per_page=5&per_page=7", expected(5, 5)), ("page=abc&page=3", expected(0, 25)),
                    ("page=-1&page=3", None), ("%70age=2", expected(25, 25)), ("page=%32", expected(25, 25)),
                    ("Page=2", expected(0, 25)), ("page=002&per_page=010", expected(10, 10)), ("&&page=2&&", expected(25, 25)),
                    ("page=2;per_page=3", expected(0, 25)), ("unknown=1", expected(0, 25)), ("page=%00", expected(0, 25))):
                if rows is not None:
                    self.assertEqual(self.ids(f"{path}?{query}"), rows, query)

    def test_numbers_that_are_refused(self):
        for path in ("/users", "/urls", "/events", "/urls/1/events"):
            for name in ("page", "per_page"):
                for value in ("-1", "-5", HUGE, "99999999999999999999", "-99999999999999999999", "-" + HUGE, "1" * 300):
                    answer = self.get(f"{path}?{name}={value}")
                    self.assertEqual((answer.status, answer.json),
                                     (400, {"error": f"{name} must be a positive integer"}), (path, value))
        self.assertEqual(self.get("/users?page=-1&per_page=-1").json, {"error": "page must be a positive integer"})
        self.assertEqual(self.get("/urls/99999/events?page=-1").status, 404)

    def test_totals(self):
        urls, events = rows_of("urls"), rows_of("events")
        active = sum(u["is_active"] == "True" for u in urls)
        owner = collections.Counter(u["user_id"] for u in urls).most_common(1)[0]
        for path, total in (("/users", USERS), ("/users?page=9999", USERS), ("/users?per_page=0", USERS), ("/urls", URLS),
                            ("/events", EVENTS), ("/urls?is_active=true", active), ("/urls?is_active=no", URLS - active),
                            (f"/urls?user_id={owner[0]}", owner[1]), ("/urls?user_id=99999", 0),
                            ("/events?event_type=redirect", 700), ("/events?event_type=none", 0),
                            ("/events?url_id=1", sum(e["url_id"] == "1" for e in events)),
                            ("/urls/1/events", sum(e["url_id"] == "1" for e in events)), ("/users?after=399", USERS),
                            (f"/events?user_id={owner[0]}", sum(e["user_id"] == owner[0] for e in events))):
            self.assertEqual(self.get(path).headers["X-Total-Count"], str(total), path)

    def test_links_to_neighbours(self):
        self.assertEqual(self.links("/users?per_page=100&page=2"),
                         {"first": "/users?page=1&per_page=100", "prev": "/users?page=1&per_page=100",
                          "next": "/users?page=3&per_page=100", "last": "/users?page=4&per_page=100"})
        self.assertEqual(set(self.links("/users")), {"first", "next", "last"})
        self.assertEqual(set(self.links("/users?page=16")), {"first", "prev", "last"})
        self.assertEqual(self.links("/users?page=9999")["prev"], "/users?page=16&per_page=25")
        self.assertEqual(self.links("/users?per_page=0"), {})
        kept = self.links("/urls?is_active=%74rue&x=%22%3E%3Cy&page=2&per_page=10")["next"]
        self.assertEqual(kept, "/urls?is_active=%74rue&x=%22%3E%3Cy&page=3&per_page=10")
        for hostile in ("a=%0d%0aevil:1", "a=<b>", 'a=";x', "a=%"):
            answer = self.get("/urls?" + hostile)
            self.assertNotIn("evil", answer.headers)
            self.assertEqual(len(re.findall(r'<[^<>"]*>; rel="\w+"', answer.headers["Link"])), 3, hostile)

    def walk(self, path, window):
        """All ids by following next, and the number of answers."""
        seen, n = [], 0
        while path:
            seen += self.ids(path)
            path = self.links(path).get("next")
            self.assertTrue(path is None or window in path, path)
            n += 1
        return seen, n

    def test_walk_by_page_and_by_after(self):
        for start, window, rows in (
                ("/users?per_page=100", "page=", list(range(1, USERS + 1))),
                ("/users?per_page=100&after=0", "after=", list(range(1, USERS + 1))),
                ("/users?per_page=99&after=4", "after=", list(range(5, USERS + 1))),
                ("/urls?per_page=100&after=1000", "after=", list(range(1001, URLS + 1))),
                (f"/events?per_page=100&after={EVENTS - 2000}", "after=", list(range(EVENTS - 2001, 0, -1)))):
            seen, n = self.walk(start, window)
            self.assertEqual(seen, rows)
            self.assertEqual(n, -(-len(rows) // (99 if "99" in start else 100)))

    def test_after(self):
        for query, rows in (("after=400", []), ("after=399", [400]), ("after=" + HUGE, []), ("after=-5&per_page=2", [1, 2]),
                            ("after=abc&per_page=1", [1]), ("after=&per_page=1", [1]), ("after=2&page=3&per_page=2", [3, 4]),
                            ("after=2&after=9&per_page=1", [3]), ("after=2&per_page=0", [])):
            self.assertEqual(self.ids("/users?" + query), rows, query)
        self.assertEqual(self.ids("/events?after=3&per_page=2"), [2, 1])
        self.assertEqual(self.ids("/events?after=1"), [])
        own = self.ids("/urls/1/events")
        self.assertEqual(self.ids(f"/urls/1/events?after={own[0]}"), own[1:])
        some = self.ids("/urls?is_active=false&per_page=10")
        self.assertEqual(self.ids(f"/urls?is_active=false&after={some[3]}&per_page=6"), some[4:])
        visits = self.ids("/events?event_type=redirect&per_page=10")
        self.assertEqual(self.ids(f"/events?event_type=redirect&after={visits[3]}&per_page=6"), visits[4:])

    def test_url_filters(self):
        rows = rows_of("urls")
        active = {int(u["id"]) for u in rows if u["is_active"] == "True"}
        for value, wanted in (("true", 1), ("TRUE", 1), ("True", 1), ("1", 1), ("yes", 1), ("YeS", 1), ("false", 0), ("0", 0),
                              ("junk", 0), ("", 0), ("2", 0), ("tru", 0), ("true ".replace(" ", "%20"), 0), ("on", 0)):
            ids = self.ids("/urls?per_page=100&is_active=" + value)
            self.assertEqual({i in active for i in ids}, {bool(wanted)}, value)
        owner = collections.Counter(u["user_id"] for u in rows if u["is_active"] == "False").most_common(1)[0][0]
        for query, wanted in ((f"user_id={owner}", {"True", "False"}), (f"user_id={owner}&is_active=1", {"True"}),
                              (f"is_active=no&user_id={owner}", {"False"}), (f"user_id=000{owner}", {"True", "False"}),
                              (f"user_id={owner}&user_id=1", {"True", "False"})):
            self.assertEqual(self.ids("/urls?per_page=100&" + query),
                             [int(u["id"]) for u in rows if u["user_id"] == owner and u["is_active"] in wanted], query)
        for value in ("0", "-1", "99999999", HUGE, "-" + HUGE, "9" * 40):
            self.assertEqual(self.ids("/urls?user_id=" + value), [], value)

    def test_filters_that_are_no_integers(self):
        for path, name in (("/urls", "user_id"), ("/events", "user_id"), ("/events", "url_id")):
            for value in ("abc", "", "1.5", "1.0", "1e2", "0x1", "true", "%00", "1%00", "--1", "-", "1_0", "%D9%A1", "null"):
                answer = self.get(f"{path}?{name}={value}")
                self.assertEqual((answer.status, answer.json), (400, {"error": f"{name} must be an integer"}), (path, value))
        self.assertEqual(self.get("/urls?user_id").status, 400)
        self.assertEqual(self.get("/events?url_id=x&user_id=x").json, {"error": "url_id must be an integer"})

    def test_event_filters(self):
        rows = rows_of("events")
        url = collections.Counter(e["url_id"] for e in rows).most_common(1)[0][0]
        owner = next(e["user_id"] for e in rows if e["url_id"] == url)

        def wanted(**fields):
            return [int(e["id"]) for e in reversed(rows) if all(e[k] == v for k, v in fields.items())][:100]
        for query, ids in (
                ("event_type=deleted", wanted(event_type="deleted")), ("type=updated", wanted(event_type="updated")),
                ("event_type=deleted&type=updated", wanted(event_type="deleted")), ("event_type=", wanted()),
                ("event_type=&type=deleted", wanted()), ("type=", wanted()), ("event_type=Deleted", []),
                ("event_type=delete", []), ("event_type=%20deleted", []), ("event_type=d%65leted", wanted(event_type="deleted")),
                (f"url_id={url}", wanted(url_id=url)), (f"user_id={owner}", wanted(user_id=owner)),
                (f"url_id={url}&user_id={owner}&type=redirect", wanted(url_id=url, user_id=owner, event_type="redirect")),
                (f"url_id={url}&event_type=redirect", wanted(url_id=url, event_type="redirect")),
                (f"user_id={owner}&event_type=created", wanted(user_id=owner, event_type="created")),
                ("url_id=99999999", []), ("url_id=0", []), ("user_id=-1", []), ("user_id=" + HUGE, []),
                (f"url_id={url}&user_id=99999", []), ("event_type=" + "x" * 1000, [])):
            self.assertEqual(self.ids("/events?per_page=100&" + query), ids, query)

    def test_stats_of_the_seed(self):
        visits = collections.Counter(e["url_id"] for e in rows_of("events") if e["event_type"] == "redirect")
        for url, n in visits.most_common(20) + [("7", visits["7"])]:
            self.assertEqual(self.get(f"/urls/{url}/stats").json["redirect_count"], n)

    def test_rows_are_those_of_the_seed(self):
        for kind, page in (("users", 3), ("urls", 7)):
            rows = rows_of(kind)[(page - 1) * 100:page * 100]
            for row, seen in zip(rows, self.get(f"/{kind}?per_page=100&page={page}").json, strict=True):
                for key, value in row.items():
                    if key.endswith("_at"):
                        value = value.replace(" ", "T")
                    shown = "" if seen[key] is None else str(seen[key])
                    self.assertEqual(shown, value, (kind, key))


if __name__ == "__main__":
    harness.main()
