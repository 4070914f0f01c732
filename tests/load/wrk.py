# SPDX-License-Identifier: MIT
"""Users by wrk: cohorts that come and go as a tier's stages say, and one figure of all of them."""

import os
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 15  # seconds until a request counts as failed
STEPS = 24    # cohorts of the largest tier's size


class Result:
    """Requests, errors by kind, and how many took how many microseconds: wrk's 500 quantiles of each run,
    each for a 500th of its requests. wrk counts a long one as those that would have come meanwhile too."""

    def __init__(self):
        self.requests = 0
        self.errors = {}
        self.latencies = {}
        self.longest_us = 0
        self.seconds = 0.0

    def add(self, path):
        values, requests = [], 0
        with open(path) as file:
            for line in file:
                name, value = line.split()
                if name == "requests":
                    requests = int(value)
                elif name.startswith("error_"):
                    self.errors[name[6:]] = self.errors.get(name[6:], 0) + int(value)
                elif name == "latency_us":
                    values.append(int(value))
                elif name == "longest_us":
                    self.longest_us = max(self.longest_us, int(value))
        for value in values if requests else ():
            self.latencies[value] = self.latencies.get(value, 0) + requests / len(values)
        self.requests += requests
        return self

    @property
    def n_errors(self):
        return sum(self.errors.values())

    def percentile_ms(self, share):
        wanted, seen = share * sum(self.latencies.values()), 0
        for value, count in sorted(self.latencies.items()):
            seen += count
            if seen >= wanted:
                return value / 1000
        return 0.0

    def as_json(self):
        return {"requests": self.requests, "seconds": round(self.seconds, 3),
                "per_second": round(self.requests / self.seconds, 1) if self.seconds else 0,
                "errors": {name: n for name, n in sorted(self.errors.items()) if n},
                "error_percent": round(100 * self.n_errors / max(1, self.requests), 4),
                **{f"p{int(100 * q)}_ms": self.percentile_ms(q) for q in (0.50, 0.95, 0.99)},
                "max_ms": self.longest_us / 1000}


def write_script(folder, name, tier, codes, think_seconds, seed, host, token=""):
    """A Lua script for a cohort; its path and that of what it will write."""
    bounds, total = {}, 0
    for kind in ("redirect", "list", "create", "health"):
        total += tier["mix"].get(kind, 0)
        bounds[kind] = total
    assert total == 100, tier
    output = os.path.join(folder, name + ".out")
    words = {"CODES": ",".join(f'"{code}"' for code in codes), "REDIRECT": bounds["redirect"], "LIST": bounds["list"],
             "CREATE": bounds["create"], "THINK_MS": int(1000 * think_seconds), "SEED": seed, "OUTPUT": output,
             "PER_PAGE": tier["per_page"], "HOST": host, "TOKEN": token}
    with open(os.path.join(HERE, "mix.lua")) as file:
        text = file.read()
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    path = os.path.join(folder, name + ".lua")
    with open(path, "w") as file:
        file.write(text)
    return path, output


def command(script, url, users, seconds, threads=1):
    return ["wrk", f"-t{min(threads, users)}", f"-c{users}", f"-d{max(1, round(seconds))}s", f"--timeout={TIMEOUT}s", "-s", script, url]


def run(script, output, url, users, seconds, threads=1):
    """One wrk to its end."""
    done = subprocess.run(command(script, url, users, seconds, threads), capture_output=True, text=True, check=False,
                          timeout=seconds + 120)
    if done.returncode != 0 or not os.path.exists(output):
        raise AssertionError(f"wrk: {done.returncode}: {done.stdout}{done.stderr}")
    result = Result().add(output)
    result.seconds = max(1, round(seconds))
    os.unlink(output)
    return result


def users_at(stages, when):
    """How many users there are `when` seconds after the start: straight lines between stages' ends."""
    begin, before = 0.0, 0
    for seconds, users in stages:
        if when < begin + seconds:
            return before + (users - before) * (when - begin) / seconds
        begin, before = begin + seconds, users
    return before


def cohorts(stages, users):
    """[(users, comes at, goes at)]: their sum follows the stages in steps of a cohort."""
    total = sum(seconds for seconds, _ in stages)
    size = max(1, -(-users // STEPS))
    result = []
    for low in range(0, users, size):
        wanted = low + min(size, users - low) / 2
        there = [t / 50 for t in range(int(total * 50)) if users_at(stages, t / 50) >= wanted]
        if there and there[-1] - there[0] >= 1:
            result.append((min(size, users - low), there[0], there[-1]))
    return result


class Crowd:
    """Runs the cohorts of a tier; `events` are called once each at their second. Cohorts take the tokens in turn."""

    def __init__(self, folder, url, tier, codes, scale, tokens=()):
        self.folder, self.url, self.tier, self.codes = folder, url, tier, codes
        self.tokens = tokens or [""]
        self.stages = [(seconds * scale, users) for seconds, users in tier["stages"]]
        self.threads = []
        self.error = None
        self.processes = []

    def cohort(self, number, users, begin, end, start):
        try:
            time.sleep(max(0, start + begin - time.monotonic()))
            host = self.url.split("//")[1].split("/")[0]
            script, output = write_script(self.folder, f"cohort-{number}", self.tier, self.codes, self.tier["think_seconds"],
                                          number + 1, host, self.tokens[number % len(self.tokens)])
            done = subprocess.run(command(script, self.url, users, end - begin), capture_output=True, text=True, check=False)
            if not os.path.exists(output):
                raise AssertionError(f"wrk: {done.returncode}: {done.stdout}{done.stderr}")
        except Exception as error:
            self.error = error

    def run(self, events=()):
        """events: [(second, function)]. Returns the Result."""
        start = time.monotonic()
        found = cohorts(self.stages, self.tier["users"])
        for number, (users, begin, end) in enumerate(found):
            thread = threading.Thread(target=self.cohort, args=(number, users, begin, end, start), daemon=True)
            thread.start()
            self.threads.append(thread)
        for second, function in sorted(events, key=lambda event: event[0]):
            time.sleep(max(0, start + second - time.monotonic()))
            function()
        for thread in self.threads:
            thread.join()
        if self.error:
            raise self.error
        result = Result()
        result.seconds = time.monotonic() - start
        for number in range(len(found)):
            result.add(os.path.join(self.folder, f"cohort-{number}.out"))
        return result
