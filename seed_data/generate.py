#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes users.csv, urls.csv and events.csv, the data set that `shortenerctl seed` loads.

usage: generate.py [DIRECTORY]        default: the folder of this script

The same bytes come out of every run and every Python 3: all choices are made from
random.Random(SEED).random(), which the language promises to keep, and from integer arithmetic.

Each link gets a history first (created, visited, updated, disabled, deleted), and the rows are
what that history leaves: the last event of a field agrees with the link's row, no link is visited
before it exists or while it is inactive, and updated_at is the time of the last change.
All names are made up; hosts and addresses are those that RFC 2606, 3849 and 5737 reserve.
"""

import calendar
import csv
import json
import os
import random
import sys
import time

SEED = 20260228

N_USERS = 400
N_URLS = 2000
N_INACTIVE = 353
N_DELETED = 182  # of the inactive ones; the others were disabled by an update
N_UPDATED = 540
N_PAUSED = 30  # links that were disabled and enabled again: two of the updates each
N_REDIRECTS = 700
MAX_OWNED = 12
CODE_LENGTH = 6

CODE_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RESERVED_CODES = {"health", "events"}  # first segments of routes that have a code's length
DAY = 86400

DOMAINS = ["example.com", "example.net", "example.org",
           "mail.example.com", "post.example.net", "inbox.example.org"]

ADJECTIVES = """amber ancient autumn bold brave breezy bright calm clever cloudy copper cosmic crimson
curious daring dusty eager early fancy fearless frosty gentle golden happy hidden humble icy jolly keen
lively lucky mellow mighty misty modest noble patient polite proud quick quiet rapid rustic sandy silent
silver snowy solar steady sunny swift tidy tiny velvet vivid warm wild windy wise witty""".split()

NOUNS = """acorn anchor badger beacon birch brook canyon cedar cliff comet condor coral crane creek
dolphin dune eagle ember falcon fern finch fjord forest fox garnet glacier harbor hawk heron island
lagoon lantern lark lynx maple marlin meadow meteor moose otter owl panda pebble pine prairie puffin
quartz raven reef river robin salmon sparrow spruce thistle tiger tundra valley walrus willow""".split()

TITLE_FIRST = """Annual Beginner Complete Daily Detailed Essential Faster Friendly Internal Modern Monthly
Open Practical Public Quarterly Quick Revised Simple Updated Weekly""".split()
TITLE_SECOND = """Budget Climate Cloud Cooking Customer Data Design Energy Event Garden Hardware Health
History Kernel Language Library Marketing Network Product Project Release Research Security Storage
Student Team Travel Web""".split()
TITLE_THIRD = """Agenda Almanac Archive Atlas Bulletin Catalog Checklist Dashboard Digest Guide Handbook
Journal Manual Notes Overview Plan Report Review Roadmap Summary Tutorial Workshop""".split()

SITE_HOSTS = ["www", "blog", "docs", "shop", "news", "wiki", "learn", "forum", "media", "status"]
SITE_PATHS = ["articles", "posts", "guides", "items", "topics", "reports", "downloads", "events",
              "projects", "talks"]
SOURCES = ["newsletter", "spring", "social", "print", "partner"]

DELETE_REASONS = ["user_requested", "user_requested", "policy_cleanup", "duplicate", "expired"]

AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bots.example.com/about)",
    "PreviewBot/1.4 (+https://preview.example.net/)",
    "UptimeMonitor/3.0 (+https://status.example.org/)",
    "curl/8.5.0",
]

REFERRERS = ["https://www.example.com/", "https://search.example.net/", "https://social.example.org/feed",
             "https://mail.example.com/inbox"]


def moment(text):
    """Seconds since the epoch of a date and time in UTC."""
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


def shown(seconds):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


USERS_FROM, USERS_TO = moment("2024-01-02 08:00:00"), moment("2026-01-30 18:00:00")
URLS_FROM, URLS_TO = moment("2025-01-01 09:00:00"), moment("2026-02-20 17:00:00")
LAST_CHANGE = moment("2026-02-27 23:59:59")


class Dice:
    """Choices, from random() alone."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, n):
        return int(self.random() * n)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def pick(self, items):
        return items[self.below(len(items))]

    def chance(self, percent):
        return self.below(100) < percent

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items

    def sorted_moments(self, n, low, high):
        """n moments in order, the first and the last on the ends of the range."""
        return sorted([low, high] + [self.between(low, high) for _ in range(n - 2)])


def make_users(dice):
    names = set()
    users = []
    for i, created in enumerate(dice.sorted_moments(N_USERS, USERS_FROM, USERS_TO)):
        name = None
        while name is None or name in names:
            name = "%s%s%02d" % (dice.pick(ADJECTIVES), dice.pick(NOUNS), dice.below(100))
        names.add(name)
        users.append({"id": i + 1, "username": name, "email": name + "@" + dice.pick(DOMAINS),
                      "created": created})
    return users


def make_owners(dice, users, times):
    """The owner's id of each link: who joined before it was made, 1 to MAX_OWNED links each. One
    user owns none."""
    idle = dice.pick(users[: N_USERS // 2])
    owners = [None] * len(times)
    owned = {user["id"]: 0 for user in users if user is not idle}
    # The latest to join choose first, because fewest links are young enough for them.
    for user in reversed(users):
        if user is not idle:
            free = [i for i, t in enumerate(times) if owners[i] is None and t > user["created"]]
            i = dice.pick(free)
            owners[i] = user["id"]
            owned[user["id"]] = 1
    # Some own more than others: a ticket for each time that an id is listed.
    tickets = [user["id"] for user in users if user is not idle for _ in range(dice.pick([1, 1, 2, 4]))]
    joined = {user["id"]: user["created"] for user in users}
    for i, t in enumerate(times):
        while owners[i] is None:
            candidate = dice.pick(tickets)
            if owned[candidate] < MAX_OWNED and joined[candidate] < t:
                owners[i] = candidate
                owned[candidate] += 1
    return owners


def make_code(dice, taken):
    while True:
        code = "".join(dice.pick(CODE_ALPHABET) for _ in range(CODE_LENGTH))
        if code.lower() not in taken and code.lower() not in RESERVED_CODES:
            taken.add(code.lower())
            return code


def make_target(dice):
    host = "%s.example.%s" % (dice.pick(SITE_HOSTS), dice.pick(["com", "net", "org"]))
    target = "https://%s/%s/%s-%s-%d" % (host, dice.pick(SITE_PATHS), dice.pick(ADJECTIVES),
                                         dice.pick(NOUNS), dice.between(1, 9999))
    return target + "?source=" + dice.pick(SOURCES) if dice.chance(15) else target


def make_title(dice):
    return "%s %s %s" % (dice.pick(TITLE_FIRST), dice.pick(TITLE_SECOND), dice.pick(TITLE_THIRD))


def make_urls(dice, users):
    times = dice.sorted_moments(N_URLS, URLS_FROM, URLS_TO)
    owners = make_owners(dice, users, times)
    inactive = dice.shuffled(range(N_URLS))[:N_INACTIVE]
    deleted, disabled = set(inactive[:N_DELETED]), set(inactive[N_DELETED:])
    taken = set()
    urls = []
    for i, created in enumerate(times):
        # Two minutes at least, so that a link's changes have room between the two. One in fourteen
        # is corrected on its first day; the median age at the last change is then about 72 days.
        latest = min(created + DAY, LAST_CHANGE) if dice.chance(7) else LAST_CHANGE
        updated = dice.between(created + 120, latest)
        urls.append({
            "id": i + 1, "user": owners[i], "code": make_code(dice, taken),
            "first_target": make_target(dice), "title": make_title(dice),
            "active": i not in deleted and i not in disabled,
            "deleted": i in deleted, "disabled": i in disabled,
            "created": created, "updated": updated,
            "changes": [],   # (moment, field, new value as text), in order
            "pause": None,   # (from, to) of a time in which it was disabled
        })
    return urls


def changes_of(dice, url, fields):
    """Gives the link its updates: the last of all at updated_at, the others in order before it."""
    last = url["updated"] - (1 if url["deleted"] else 0)
    n = len(fields)
    moments = sorted(dice.between(url["created"] + 1, last - 1) for _ in range(n - 1)) + [last]
    for when, field in zip(moments, fields):
        if field == "title":
            url["title"] = make_title(dice)
            value = url["title"]
        elif field == "original_url":
            url["target"] = make_target(dice)
            value = url["target"]
        else:
            value = field.split()[1]
            field = "is_active"
        url["changes"].append((when, field, value))
    pause = [when for when, field, _ in url["changes"] if field == "is_active"]
    if len(pause) > 1:
        url["pause"] = (pause[0], pause[1])


def make_changes(dice, urls):
    fields = {}  # link's index -> its updates, in order
    for url in urls:
        url["target"] = url["first_target"]
        if url["disabled"]:
            fields[url["id"]] = ["is_active False"]
    active = [url["id"] for url in urls if url["active"]]
    for i in dice.shuffled(active)[:N_PAUSED]:
        fields[i] = ["is_active False", "is_active True"]
    n_left = N_UPDATED - sum(len(f) for f in fields.values())
    for _ in range(n_left):
        url = dice.pick(urls)
        # In front, so that a disabled link's last change is that it was disabled.
        fields.setdefault(url["id"], []).insert(0, "title" if dice.chance(55) else "original_url")
    for url in urls:
        if url["id"] in fields:
            changes_of(dice, url, fields[url["id"]])


def make_visits(dice, urls):
    """N_REDIRECTS pairs (link, moment): a few popular links and a long tail."""
    ranked = dice.shuffled(urls)
    sums = []
    total = 0
    for rank in range(len(ranked)):
        total += 1000000 // (rank + 3)
        sums.append(total)
    visits = []
    while len(visits) < N_REDIRECTS:
        ticket = dice.below(total)
        low, high = 0, len(sums) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if sums[middle] <= ticket else (low, middle)
        url = ranked[low]
        end = LAST_CHANGE if url["active"] else url["updated"] - 2
        when = dice.between(url["created"] + 1, end)
        if not url["pause"] or not url["pause"][0] <= when <= url["pause"][1]:
            visits.append((url, when))
    return visits


def visitor(dice):
    network = dice.below(4)
    if network == 3:
        ip = "2001:db8:%x::%x" % (dice.between(1, 0xffff), dice.between(1, 0xffff))
    else:
        ip = "%s.%d" % (["192.0.2", "198.51.100", "203.0.113"][network], dice.between(1, 254))
    details = {"ip": ip, "user_agent": dice.pick(AGENTS)}
    if dice.chance(40):
        details["referrer"] = dice.pick(REFERRERS)
    return details


def make_events(dice, urls):
    events = []
    for url in urls:
        events.append((url["created"], url, "created",
                       {"original_url": url["first_target"], "short_code": url["code"]}))
        for when, field, value in url["changes"]:
            events.append((when, url, "updated", {"field": field, "new_value": value}))
        if url["deleted"]:
            events.append((url["updated"], url, "deleted", {"reason": dice.pick(DELETE_REASONS)}))
    for url, when in make_visits(dice, urls):
        events.append((when, url, "redirect", visitor(dice)))
    return sorted(events, key=lambda event: event[0])  # stable: a link's history keeps its order


def write(directory, name, columns, rows):
    with open(os.path.join(directory, name), "w", encoding="ascii", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit("usage: generate.py [DIRECTORY]")
    directory = sys.argv[1] if len(sys.argv) == 2 else os.path.dirname(os.path.abspath(__file__))
    dice = Dice(SEED)
    users = make_users(dice)
    urls = make_urls(dice, users)
    make_changes(dice, urls)
    events = make_events(dice, urls)

    write(directory, "users.csv", ["id", "username", "email", "created_at"],
          [[user["id"], user["username"], user["email"], shown(user["created"])] for user in users])
    write(directory, "urls.csv",
          ["id", "user_id", "short_code", "original_url", "title", "is_active", "created_at", "updated_at"],
          [[url["id"], url["user"], url["code"], url["target"], url["title"], url["active"],
            shown(url["created"]), shown(url["updated"])] for url in urls])
    write(directory, "events.csv", ["id", "url_id", "user_id", "event_type", "timestamp", "details"],
          [[i + 1, url["id"], url["user"], kind, shown(when),
            json.dumps(details, sort_keys=True, separators=(",", ":"))]
           for i, (when, url, kind, details) in enumerate(events)])


if __name__ == "__main__":
    main()
