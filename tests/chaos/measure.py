# SPDX-License-Identifier: MIT
"""Figures of one experiment from the requests of its load; nothing here touches a system.

Times are seconds of CLOCK_MONOTONIC. A request has failed when it is not what it asked for: 302, 201.
"""

from collections import Counter, namedtuple

GOOD = {"get": 302, "post": 201}
SLOW = 1.0  # seconds; a request that took longer is not the usual service

# What happened when: begin of the load, the cause, its end, each instance ready again, all shipped.
Times = namedtuple("Times", "begin broke over whole shipped")


def is_good(request):
    return request.status == GOOD[request.kind]


def longest(requests, kind):
    return max((r.end - r.start for r in requests if r.kind == kind), default=0.0)


def percentile(requests, kind, share):
    took = sorted(r.end - r.start for r in requests if r.kind == kind)
    return took[min(len(took) - 1, int(share * len(took)))] if took else 0.0


def statuses(requests, kind):
    """{status: how many} of the requests that failed."""
    return dict(sorted(Counter(r.status for r in requests if r.kind == kind and not is_good(r)).items()))


def recovery(requests, times):
    """Seconds from the end of the cause until nothing failed or was slow any more and all parts were well."""
    bad = [r.end for r in requests if r.end > times.over and (not is_good(r) or r.end - r.start > SLOW)]
    return max([times.whole, *bad]) - times.over


def outage(requests):
    """Seconds from the first failed request's begin to the last one's end."""
    bad = [r for r in requests if not is_good(r)]
    return max(r.end for r in bad) - min(r.start for r in bad) if bad else 0.0


def seconds(requests, begin):
    """One entry a second of the load, by when requests ended: what a graph would show."""
    found = {}
    for r in requests:
        one = found.setdefault(int(r.end - begin), {"get": 0, "get_failed": 0, "post": 0, "post_failed": 0, "longest_ms": 0.0})
        one[r.kind + ("" if is_good(r) else "_failed")] += 1
        one["longest_ms"] = max(one["longest_ms"], round(1000 * (r.end - r.start), 1))
    return [{"second": second, **one} for second, one in sorted(found.items())]


def visits(requests, rows):
    """rows: {request id: rows in the store}. (answered visits without a row, rows beyond one a request)"""
    lost = sum(1 for r in requests if r.kind == "get" and is_good(r) and r.id not in rows)
    return lost, sum(n - 1 for n in rows.values() if n > 1)


def links(requests, found):
    """found: {target: [code]}. Creates that were answered 201 and are not there; targets there twice."""
    lost = 0
    for r in requests:
        if r.kind == "post" and is_good(r):
            target, code = r.what.split(" ")
            lost += found.get(target) != [code]
    return lost, sum(1 for codes in found.values() if len(codes) > 1)


def of_verify(before, after):
    """lost, twice and shed of `shortenerctl --json clicks verify`, as they changed."""
    def lost(report):
        return sum(s["next_seq"] - s["first_seq"] - s["rows"] - s["shed"] - s["bad"] - s["damaged"] for s in report["spools"])

    def shed(report):
        return sum(s["shed"] + s["bad"] + s["damaged"] for s in report["spools"])
    return {"lost": lost(after) - lost(before), "twice": after["duplicates"] - before["duplicates"],
            "shed": shed(after) - shed(before), "sound": after["sound"]}


def figures(requests, times, rows, found, verify):
    lost, again = visits(requests, rows)
    links_lost, links_twice = links(requests, found)
    return {
        "requests": len(requests),
        "per_second": round(len(requests) / (max(r.end for r in requests) - times.begin)),
        "failed_get": sum(statuses(requests, "get").values()), "failed_get_by_status": statuses(requests, "get"),
        "failed_post": sum(statuses(requests, "post").values()), "failed_post_by_status": statuses(requests, "post"),
        "p99_get_ms": round(1000 * percentile(requests, "get", 0.99), 1),
        "longest_get_ms": round(1000 * longest(requests, "get"), 1),
        "longest_post_ms": round(1000 * longest(requests, "post"), 1),
        "outage_seconds": round(outage(requests), 2),
        "recover_seconds": round(recovery(requests, times), 2),
        "shipped_seconds": round(times.shipped - max(r.end for r in requests), 2),
        "visits_without_row": lost, "visits_again": again, "verify": verify,
        "links_lost": links_lost, "links_twice": links_twice,
    }  # fmt: skip


def refutations(experiment, result):
    """What speaks against the hypothesis; nothing if it holds."""
    bounds, verify = experiment.bounds, result["verify"]
    if result["failed_get"] > bounds.failed_get:
        yield f"{result['failed_get']} visits failed, by status: {result['failed_get_by_status']}"
    odd = {status: n for status, n in result["failed_post_by_status"].items() if status not in bounds.statuses}
    if odd:
        yield f"creates were answered otherwise than expected: {odd}"
    for name, what in (("get", "visit"), ("post", "create")):
        if result[f"longest_{name}_ms"] > 1000 * getattr(bounds, f"longest_{name}"):
            yield f"the longest {what} took {result[f'longest_{name}_ms']:g} ms"
    if result["recover_seconds"] > bounds.recover:
        yield f"it took {result['recover_seconds']:g} s to recover"
    if result["visits_without_row"] > (verify["shed"] if experiment.shed else 0):
        yield f"{result['visits_without_row']} answered visits are not in the store, {verify['shed']} are counted as shed"
    if verify["shed"] and not experiment.shed:
        yield f"{verify['shed']} visits were shed"
    if result["visits_again"] > bounds.again:
        yield f"{result['visits_again']} visits are there again"
    if verify["lost"] or verify["twice"] or not verify["sound"]:
        yield f"clicks verify: {verify['lost']} lost, {verify['twice']} twice"
    if result["links_lost"] or result["links_twice"]:
        yield f"links: {result['links_lost']} lost, {result['links_twice']} twice"
