#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The load tiers, and how the redirect path compares.

Usage: script/load bronze|silver|gold|compare [OPTION]...

  bronze, silver, gold  users who visit, list, create and think, as tests/load/tiers.json says
  compare               redirects without think time at 50 and 500 connections, through nginx and not,
                        beside nginx's own `return 302` and the figures of the reference

  --short               10 s a tier, 2 s a measurement of compare
  --url URL             a service that runs already (three instances and nginx of its own)
  --machine PID         it runs on the booted machine whose PID 1 has this number here, and so does nginx (at
                        http://127.0.0.1): the load comes from its network, its units are measured and disturbed
  --cold                of a machine: nothing is cached when the users come; the hits of the first minute count
  --access token        the API asks for a token: users are made who have one each (open)
  --limits              [Limits] are on, at a thousand times what `auto` gives, so that nothing is refused
  --token-file FILE     with --url or --machine: tokens that may read and write, one a line, which the users share
  --store postgres      with PostgreSQL, which syncs, and Redis; else one SQLite file
  --memory              store and spools in memory: not the disk is what is looked at
  --disturb restart     restarts an instance in the middle
  --disturb kill        kills one; then nobody creates, because a write is never sent twice
  --one-cpu             all of the service on CPU 0
  --rounds N            of compare; the medians count (3)
  --json FILE           writes the result there too
  --results FOLDER      where results are kept (build/load)

The result is kept in FOLDER/NAME.json and compared with the one before. Exits 1 when the tier does
not pass: its limits, and no request that failed or was refused.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import booted
import parts
import wrk

KEPT = os.path.join(parts.harness.ROOT, "build", "load")
SHORT_TIER = 10.0     # seconds
MEASURED = 10.0       # seconds of one measurement of compare
SHORT_MEASURED = 2.0
CONNECTIONS = (50, 500)
FIRST_MINUTE_HITS = 95  # percent, after a cold start

# The reference service on a 2-core machine, without think time: per second, p99 in ms.
REFERENCE = {("redirect", 50): (1096, 149), ("redirect", 500): (968, 766), ("gold mix", 500): (1356, 668)}
REDIRECTS_ONLY = {"mix": {"redirect": 100}, "per_page": 10}


def tiers():
    with open(os.path.join(HERE, "tiers.json")) as file:
        return json.load(file)


# ---- a tier ----

class Usage:
    """CPU and memory of the parts while a tier runs. A part that is restarted begins anew; PostgreSQL's
    processes that ended meanwhile are not counted."""

    def __init__(self, service):
        self.service = service
        self.begin = service.usage()
        self.start = time.monotonic()
        self.most = {name: memory for name, (_, memory) in self.begin.items()}

    def look(self):
        with contextlib.suppress(OSError):  # one is being restarted
            for name, (_, memory) in self.service.usage().items():
                self.most[name] = max(self.most[name], memory)

    def end(self):
        """{part: {cpu_percent, memory_mib}}; a part that was restarted meanwhile began anew."""
        passed = time.monotonic() - self.start
        self.look()
        return {name: {"cpu_percent": round(100 * max(0, used - self.begin[name][0]) / passed, 1),
                       "memory_mib": round(self.most[name] / 2**20, 1)} for name, (used, _) in self.service.usage().items()}


def by_endpoint(before, after):
    """{endpoint: {requests, mean_ms}} of the instances' own figures."""
    found = {}
    for name, value in after.items():
        if name.startswith("http_request_duration_seconds_count{"):
            labels = name[name.index("{"):]
            count = value - before.get(name, 0)
            total = after["http_request_duration_seconds_sum" + labels] - before.get("http_request_duration_seconds_sum" + labels, 0)
            if count > 0:
                endpoint = labels.split('endpoint="')[1].split('"')[0]
                one = found.setdefault(endpoint, {"requests": 0, "mean_ms": 0.0})
                one["mean_ms"] = round((one["mean_ms"] * one["requests"] + 1000 * total) / (one["requests"] + count), 4)
                one["requests"] += int(count)
    return found


REFUSED = (401, 403, 429)


def bad_statuses(before, after):
    """{status: requests} of 400 and above."""
    found = {}
    for name, value in after.items():
        if name.startswith("http_requests_total{"):
            status = int(name.split('status="')[1].split('"')[0])
            if status >= 400 and value > before.get(name, 0):
                found[status] = found.get(status, 0) + int(value - before.get(name, 0))
    return found


def hit_percent(before, after):
    hits = after.get("cache_hits_total", 0) - before.get("cache_hits_total", 0)
    misses = after.get("cache_misses_total", 0) - before.get("cache_misses_total", 0)
    return round(100 * hits / (hits + misses), 2) if hits + misses else None


def run_tier(service, folder, tier, scale, how, is_cold):
    codes = service.client.make_links(tier["links"])
    if is_cold:
        service.make_cold()
    before = service.metrics()
    crowd = wrk.Crowd(folder, service.url, tier, codes, scale, service.tokens)
    total = sum(seconds for seconds, _ in crowd.stages)
    usage = Usage(service)
    events = [(total * i / 10, usage.look) for i in range(1, 10)]
    if how:
        events.append((total * 0.55, lambda: service.disturb(how)))
    minute = []
    if is_cold:
        events.append((min(total, 60), lambda: minute.append(hit_percent(before, service.metrics()))))
    result = crowd.run(events)
    after = service.metrics()
    found = {**result.as_json(), "parts": usage.end()}
    if is_cold:
        found["first_minute_hit_percent"] = minute[0]
    if not how:  # else counters began anew
        found.update(hit_percent=hit_percent(before, after), endpoints=by_endpoint(before, after), statuses=bad_statuses(before, after))
    return found


def verdict(tier, found):
    """What is wrong; the bounds of the tier are the reference's, ours is that no request fails."""
    limit = tier["limit"]
    if found["requests"] == 0:
        yield "no request was answered"
    if found["p95_ms"] >= limit["p95_ms"]:
        yield f"p95 {found['p95_ms']} ms, not below {limit['p95_ms']}"
    if found["error_percent"] >= limit["error_percent"]:
        yield f"errors {found['error_percent']} %, not below {limit['error_percent']}"
    if found["errors"]:
        yield f"requests failed: {found['errors']}, answered with {found.get('statuses', {})}"
    if any(status in REFUSED for status in found.get("statuses", {})):
        yield f"requests were refused: {found['statuses']}"
    if found.get("first_minute_hit_percent", 100) < FIRST_MINUTE_HITS:
        yield f"cache hits of the first minute {found['first_minute_hit_percent']} %, below {FIRST_MINUTE_HITS}"


def print_tier(name, tier, found, last):
    reference = tier["reference"]
    print(f"\n{name}: {tier['users']} users, {found['seconds']:.0f} s, store {found['store']}\n")
    print(f"  {'':12}{'now':>12}{'last':>12}{'reference':>12}")
    for key, title, unit in (("per_second", "requests", "/s"), ("p50_ms", "p50", "ms"), ("p95_ms", "p95", "ms"), ("p99_ms", "p99", "ms"),
                             ("max_ms", "longest", "ms"), ("error_percent", "errors", "%"), ("hit_percent", "cache hits", "%"),
                             ("first_minute_hit_percent", "first minute", "%")):
        if key == "first_minute_hit_percent" and key not in found:
            continue
        cells = [found.get(key), (last or {}).get(key), {**reference, "hit_percent": 95, "error_percent": 0}.get(key)]
        print(f"  {title:12}" + "".join(f"{'-' if c is None else f'{c:g}':>12}" for c in cells) + f" {unit}")
    for part, use in found["parts"].items():
        print(f"  {part:12}{use['cpu_percent']:>10} % of a CPU{use['memory_mib']:>10} MiB")
    for endpoint, one in sorted(found.get("endpoints", {}).items()):
        print(f"    {endpoint:28}{one['requests']:>10} requests{one['mean_ms']:>10.3f} ms in the service, mean")


# ---- compare ----

def measure(folder, url, connections, seconds, codes, tier, seed, token=""):
    host = url.split("//")[1]
    script, output = wrk.write_script(folder, "compare", tier, codes, 0, seed, host, token)
    return wrk.run(script, output, url, connections, seconds)


def row(name, results, baseline, reference):
    """Medians of the rounds; baseline: requests per second of nginx's `return 302` in the same rounds."""
    rates = [result.requests / result.seconds for result in results]
    found = {"name": name, "per_second": round(statistics.median(rates)),
             "p50_ms": statistics.median(r.percentile_ms(0.50) for r in results),
             "p99_ms": statistics.median(r.percentile_ms(0.99) for r in results),
             "errors": sum(r.n_errors for r in results),
             "errors_by_kind": {kind: sum(r.errors.get(kind, 0) for r in results) for r0 in results for kind, n in r0.errors.items() if n}}
    if baseline:
        found["of_nginx_302"] = round(statistics.median(a / b for a, b in zip(rates, baseline)), 3)
    if reference:
        found["times_reference"] = round(found["per_second"] / reference[0], 1)
        found["p99_share_of_reference"] = round(found["p99_ms"] / reference[1], 4)
    return found


def compare(service, folder, seconds, rounds):
    codes = service.client.make_links(50)
    gold = tiers()["gold"]
    plain_url = service.plain_url()
    targets = [(f"nginx return 302, {n}", plain_url, n, REDIRECTS_ONLY, None) for n in CONNECTIONS]
    targets += [(f"redirects through nginx, {n}", service.url, n, REDIRECTS_ONLY, REFERENCE["redirect", n]) for n in CONNECTIONS]
    targets += [(f"redirects, one instance, {n}", service.direct_url(), n, REDIRECTS_ONLY, REFERENCE["redirect", n])
                for n in CONNECTIONS]
    targets += [("gold mix through nginx, 500", service.url, 500, gold, REFERENCE["gold mix", 500])]
    results = {name: [] for name, *_ in targets}
    for number in range(rounds):  # rounds of all alternate: the machine's speed drifts
        for name, url, connections, tier, _ in targets:
            results[name].append(measure(folder, url, connections, seconds, codes, tier, 1000 + number, *service.tokens[:1]))
    rows = []
    for name, _, connections, _, reference in targets:
        plain = [r.requests / r.seconds for r in results[f"nginx return 302, {connections}"]]
        rows.append(row(name, results[name], None if name.startswith("nginx") else plain, reference))
    return rows


def print_rows(rows, last):
    before = {one["name"]: one for one in (last or {}).get("rows", [])}
    print(f"\n{'':32}{'per s':>9}{'last':>9}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}{'of 302':>8}{'times ref.':>11}{'p99/ref.':>9}")
    for one in rows:
        cells = [one["per_second"], before.get(one["name"], {}).get("per_second"), one["p50_ms"], one["p99_ms"], one["errors"],
                 one.get("of_nginx_302"), one.get("times_reference"), one.get("p99_share_of_reference")]
        print(f"{one['name']:32}" + "".join(f"{'-' if c is None else f'{c:g}':>{w}}" for c, w in zip(cells, (9, 9, 9, 9, 8, 8, 11, 9))))


# ---- the program ----

def parse_arguments():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("name", choices=[*tiers(), "compare"])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--url")
    parser.add_argument("--machine", type=int)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--access", choices=["open", "token"], default="open")
    parser.add_argument("--limits", action="store_true")
    parser.add_argument("--token-file")
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--disturb", choices=["restart", "kill"])
    parser.add_argument("--one-cpu", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    parser.add_argument("--results", default=KEPT)
    if "--help" in sys.argv[1:] or "-h" in sys.argv[1:]:
        print(__doc__)
        sys.exit(0)
    options = parser.parse_args()
    if options.url and not options.machine and (options.disturb or options.one_cpu or options.name == "compare"):
        parser.error("--url: the service is not ours: no --disturb, --one-cpu or compare with it")
    if (options.url or options.machine) and (options.access == "token" or options.limits):
        parser.error("--access and --limits are of a service of its own; elsewhere: --token-file")
    if options.token_file and not (options.url or options.machine):
        parser.error("--token-file goes with --url or --machine")
    if options.machine and not options.url:
        options.url = "http://127.0.0.1"
    if options.cold and (not options.machine or options.name == "compare"):
        parser.error("--cold goes with --machine and a tier")
    return options


def read_tokens(path):
    if not path:
        return []
    with open(path) as file:
        tokens = file.read().split()
    if not tokens:
        raise SystemExit(f"load: {path}: no token")
    return tokens


def open_service(folder, options):
    if options.machine:
        return booted.Machine(options.url, options.machine, options.one_cpu, read_tokens(options.token_file))
    if options.url:
        return parts.Elsewhere(options.url, read_tokens(options.token_file))
    cpus = os.sched_getaffinity(0)
    if options.one_cpu:
        os.sched_setaffinity(0, {min(cpus)})
    try:
        return parts.Stack(folder, options.store, not options.memory, access=options.access, limits=options.limits)
    finally:
        os.sched_setaffinity(0, cpus)


def name_of(options):
    words = [options.name, options.machine and "booted", options.store == "postgres" and "postgres", options.short and "short",
             options.disturb, options.cold and "cold", options.memory and "memory",
             (options.access == "token" or options.token_file) and "token", options.limits and "limits", options.one_cpu and "one-cpu"]
    return "-".join(filter(None, words))


def look(service, folder, options, machine):
    """The result, and what is wrong with it."""
    name = name_of(options)
    if options.name == "compare":
        rows = compare(service, folder, SHORT_MEASURED if options.short else MEASURED, options.rounds)
        found = {"name": name, "store": service.store, "machine": machine, "rows": rows}
        print_rows(rows, keep(options.results, name, found))
        return found, [f"{one['name']}: requests failed: {one['errors_by_kind']}" for one in rows if one["errors"]]
    tier = tiers()[options.name]
    if options.disturb == "kill":
        tier["mix"]["redirect"] += tier["mix"].pop("create")
    scale = SHORT_TIER / sum(s for s, _ in tier["stages"]) if options.short else 1.0
    found = {"name": name, "store": service.store, "machine": machine,
             **run_tier(service, folder, tier, scale, options.disturb, options.cold)}
    print_tier(name, tier, found, keep(options.results, name, found))
    return found, list(verdict(tier, found))


def keep(folder, name, found):
    """The result before, if there is one; this one takes its place."""
    path, last = os.path.join(folder, name + ".json"), None
    with contextlib.suppress(OSError, ValueError), open(path) as file:
        last = json.load(file)
    os.makedirs(folder, exist_ok=True)
    with open(path, "w") as file:
        json.dump(found, file, indent=1)
    return last


def main():
    options = parse_arguments()
    if options.machine:
        booted.enter_network(options.machine)
    # Others on the machine make figures worse: what the load was before ours stands beside them.
    machine = {"cpus": len(os.sched_getaffinity(0)), "load_before": round(os.getloadavg()[0], 2),
               "date": time.strftime("%Y-%m-%d", time.gmtime())}
    with tempfile.TemporaryDirectory(prefix="shortener-load-") as folder, contextlib.closing(open_service(folder, options)) as service:
        found, wrong = look(service, folder, options, machine)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)
    sys.stdout.flush()
    for text in wrong:
        print(f"load: {text}", file=sys.stderr)
    print("passed" if not wrong else "FAILED")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
