# SPDX-License-Identifier: MIT
"""The experiments: what is believed, what is broken by which command, what ends it, what would refute it.

Commands are lines of shell that run as root in the system under test. They are data, so that
--dry-run shows what a run would do.
"""

from collections import namedtuple

# What would refute the hypothesis. failed_get: requests; statuses: what a POST may be answered besides
# 201 (0: the connection broke); longest_get, longest_post, recover: seconds; again: visits of one
# request that two instances recorded, a share of the requests under way when something was killed.
Bounds = namedtuple("Bounds", "failed_get statuses longest_get longest_post recover again", defaults=(0, (), 2.0, 3.0, 15.0, 0))

# cause: the command that breaks something. end: the command that ends it, None if it must heal by
# itself. lasts: seconds between both. crowd: connections of creating clients in the place of a command.
# shed: visits may be given up, as long as each is counted.
Experiment = namedtuple("Experiment", "name hypothesis cause end lasts crowd shed bounds", defaults=(None, None, 0.0, 0, False, Bounds()))

CONNECTIONS = 64   # of the steady load: 56 visit, 8 create
FILLER = "/var/lib/shortener/chaos-filler"
STORE = "'postgresql@*.service'"

EXPERIMENTS = [
    Experiment(
        "kill-instance",
        "An instance that is killed fails no visitor: its socket stays open, nginx asks another one, and systemd"
        " starts it again. A create that was under way on it may be answered 502 and is never sent twice. Every"
        " visit that was answered is in the store.",
        cause="systemctl kill --signal=KILL shortener@2.service",
        bounds=Bounds(statuses=(0, 502), again=CONNECTIONS),
    ),
    Experiment(
        "kill-redis",
        "Redis is a cache and nothing else: without it nothing fails and nothing is slow, and it is asked again"
        " when it is back.",
        cause="systemctl kill --signal=KILL redis-server@shortener.service",
    ),
    Experiment(
        "freeze-postgres",
        "A store that hangs parks the workers and nothing else: redirects go on, creates are answered 503 within"
        " their timeout, visits wait in the spool. When it goes on, so does everything, without a restart and"
        " without a lost visit.",
        cause=f"systemctl kill --signal=STOP {STORE}",
        end=f"systemctl kill --signal=CONT {STORE}",
        lasts=10.0,
        bounds=Bounds(statuses=(503,)),
    ),
    Experiment(
        "fill-disk",
        "With no room left redirects go on; a visit that cannot be kept is counted. Creates are answered 503."
        " With room again all is as before, and nothing must be repaired.",
        cause="fallocate --length \"$(df --output=avail --block-size=1 /var/lib/shortener | tail -n 1)\""
        f" {FILLER}; cat /dev/zero >>{FILLER} 2>/dev/null || true",
        end=f"rm -f {FILLER}",
        lasts=15.0,
        shed=True,
        bounds=Bounds(statuses=(503,), recover=30.0),
    ),
    Experiment(
        "overload",
        "More creates than the store can commit are refused with 503 instead of piling up; visitors are answered"
        " all the while, and what was accepted is kept.",
        lasts=15.0,
        crowd=400,
        bounds=Bounds(statuses=(503,)),
    ),
    Experiment(
        "kill-all",
        "All instances killed at once: their sockets queue, the visitors wait for the restart and are answered. What"
        " was under way at that moment is asked again by nginx, creates excepted.",
        cause="systemctl kill --signal=KILL 'shortener@*.service'",
        bounds=Bounds(statuses=(0, 502), longest_get=5.0, longest_post=5.0, again=CONNECTIONS),
    ),
]  # fmt: skip

BY_NAME = {experiment.name: experiment for experiment in EXPERIMENTS}


def steps(experiment, before, after):
    """The experiment as lines for a reader."""
    yield f"load: {CONNECTIONS} connections through nginx for {before:g} s, 56 visit and 8 create"
    if experiment.end:
        yield f"in case this program is killed: systemd-run --on-active={experiment.lasts + 60:g} {experiment.end}"
    if experiment.crowd:
        yield f"break: {experiment.crowd} connections more, which create without a pause, for {experiment.lasts:g} s"
    else:
        yield f"break: {experiment.cause}"
    if experiment.end:
        yield f"after {experiment.lasts:g} s, or when anything goes wrong: {experiment.end}"
    elif not experiment.crowd:
        yield "nobody helps"
    yield "wait until each instance is ready, reaches Redis, and a create is answered 201"
    yield f"load for {after:g} s more, then wait until all visits are shipped"
    yield "shortenerctl clicks verify, and the store's row for each 302 and 201 that was answered"
