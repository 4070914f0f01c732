#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 at any moment: what was answered is forwarded, once. The sender does as Alertmanager: what
was not answered it sends again, with the same bytes."""

import collections
import http.client
import json
import os
import random
import socket
import threading
import time
import unittest

import alertd
import faults
import harness
from alertd import alert, batch, forwarding, hang, status

KILLS = 60 if os.environ.get("SHORTENER_TEST_LONG") else 12


class Sender(threading.Thread):
    """Posts batches of up to three alerts one after the other, each until it is answered with 200."""

    def __init__(self, receiver, name):
        super().__init__(daemon=True)
        self.receiver = receiver
        self.label = name
        self.ended = threading.Event()
        self.answered = []
        self.n_tries = 0
        self.error = None

    def run(self):
        try:
            n = 0
            while not self.ended.is_set():
                names = [f"{self.label}-{n + i}" for i in range(1 + n % 3)]
                n += len(names)
                self.post(json.dumps(batch(*[alert(summary=name) for name in names])).encode())
                self.answered += names
        except Exception as error:
            self.error = error

    def post(self, body):
        while True:
            self.n_tries += 1
            try:
                if self.receiver.request("POST", "/alert", body, timeout=5).status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass


class Kill(unittest.TestCase):
    def settle(self, stand_in, receiver, n):
        harness.wait_for(lambda: receiver.page()["pending"] == 0, 60, "the queue to empty")
        counts = collections.Counter(e["description"] for e in stand_in.embeds())
        self.assertEqual(sum(counts.values()), n, counts)
        self.assertEqual(max(counts.values()), 1)

    def test_between_reception_and_forwarding(self):
        for answers in ([hang] * 100, [status(500)] * 100):
            with forwarding(answers) as (stand_in, receiver):
                receiver.start()
                for n in range(25):
                    self.assertEqual(receiver.post(batch(alert(summary=f"{n}a"), alert(summary=f"{n}b"))).status, 200)
                harness.wait_for(lambda: stand_in.tries, what="a first try")
                receiver.kill()
                stand_in.answers.clear()
                self.assertEqual(stand_in.embeds(), [])
                receiver.start()
                self.settle(stand_in, receiver, 50)
                self.assertEqual([e["description"] for e in stand_in.embeds()], [f"{n}{c}" for n in range(25) for c in "ab"])
                self.assertEqual(receiver.page()["total_alerts_received"], 50)
                # A second start has nothing left to do.
                receiver.kill()
                receiver.start()
                receiver.post(batch(alert(summary="last")))
                self.settle(stand_in, receiver, 51)

    def test_restart(self):
        """A stop lets the message that is under way end, so that a restart repeats nothing at all."""
        def slow(handler, stand_in):
            time.sleep(0.3)
            status(204)(handler, stand_in)
        with forwarding([slow] * 1000) as (stand_in, receiver):
            receiver.start()
            receiver.post(batch(*[alert(summary=str(n)) for n in range(200)]))
            for _ in range(4):
                harness.wait_for(lambda n=len(stand_in.tries): len(stand_in.tries) > n + 1, what="messages under way")
                self.assertEqual(receiver.stop(), 0)
                receiver.start()
            self.settle(stand_in, receiver, 200)

    @unittest.skipIf(faults.why_no_strace(), faults.why_no_strace())
    def test_between_disk_and_answer(self):
        """Killed before each sync of a POST: it was not answered and is sent again, and forwarded once."""
        for when in (1, 2, 3):
            body = batch(alert(summary="only one"))
            with forwarding() as (stand_in, receiver):
                receiver.start()
                with faults.Inject(receiver, ("keeper",), f"fdatasync:signal=SIGKILL:when={when}"):
                    with self.assertRaises((OSError, http.client.HTTPException)):
                        receiver.post(body)
                    receiver.process.wait(20 * harness.SLOW)
                self.assertEqual(stand_in.embeds(), [])
                receiver.start()
                self.assertEqual(receiver.post(body).status, 200)
                self.settle(stand_in, receiver, 1)
                repeated = receiver.metric('shortener_alertd_posts_total{result="repeated"}')
                self.assertEqual(repeated, 0 if when == 1 else 1)
                self.assertEqual(len(receiver.lines()), 1 if when == 1 else 2)
                # The same bytes once more are a repetition of Alertmanager's own: a new message.
                self.assertEqual(receiver.post(body).status, 200)
                harness.wait_for(lambda: len(stand_in.embeds()) == 2, what="the reminder")

    @unittest.skipIf(faults.why_no_strace(), faults.why_no_strace())
    def test_failed_syncs(self):
        """A disk that fails to sync: 503, and nothing is claimed."""
        for when, part in ((1, "evidence"), (2, "alerts log"), (3, "queue")):
            with forwarding() as (stand_in, receiver):
                receiver.start()
                with faults.Inject(receiver, ("keeper",), f"fdatasync:error=EIO:when={when}"):
                    self.assertEqual(receiver.post(batch(alert(summary="lost"))).status, 503)
                receiver.wait_said(f"{part}: ")
                self.assertEqual((receiver.lines(), receiver.files()), ([], {}))
                self.assertEqual(receiver.post(batch(alert(summary="kept"))).status, 200)
                self.settle(stand_in, receiver, 1)
                self.assertEqual(len(receiver.lines()), 1)
                receiver.kill()
                receiver.start()
                self.settle(stand_in, receiver, 1)
                self.assertEqual(receiver.page()["total_alerts_received"], 1)

    @unittest.skipIf(faults.why_no_strace(), faults.why_no_strace())
    def test_client_gives_up(self):
        """A client that is gone before its answer, and sends again: forwarded once."""
        with forwarding() as (stand_in, receiver):
            receiver.start()
            body = json.dumps(batch(alert(summary="impatient"))).encode()
            with faults.Inject(receiver, ("keeper",), "fdatasync:delay_enter=1500000:when=1"):
                with socket.create_connection(("127.0.0.1", receiver.port)) as sock:
                    sock.sendall(b"POST /alert HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    harness.wait_for(lambda: os.listdir(receiver.evidence), what="the request to be under way")
                # It is gone; the same again, while the first is not decided.
                self.assertEqual(receiver.post(body).status, 503)
                harness.wait_for(lambda: receiver.page()["total_alerts_received"] == 1, 20, "the slow sync")
            self.assertEqual(receiver.post(body).status, 200)
            self.settle(stand_in, receiver, 1)
            self.assertEqual(receiver.metric('shortener_alertd_posts_total{result="repeated"}'), 1)

    def test_slow_disk(self):
        """A sync of 12 s: clients get their 503 after 10, others their pages at once, and the alert that
        was kept after all is forwarded once although it is sent again."""
        if faults.why_no_strace():
            self.skipTest(faults.why_no_strace())
        with forwarding() as (stand_in, receiver):
            receiver.start()
            body = batch(alert(summary="slow"))
            with faults.Inject(receiver, ("keeper",), "fdatasync:delay_enter=12000000:when=1"):
                statuses = []
                thread = threading.Thread(target=lambda: statuses.append(receiver.post(body).status))
                start = time.monotonic()
                thread.start()
                while not statuses:
                    before = time.monotonic()
                    self.assertEqual(receiver.request("GET", "/health").status, 200)
                    self.assertLess(time.monotonic() - before, 1.0 * harness.SLOW)
                    time.sleep(0.1)  # a pace
                thread.join()
                self.assertEqual(statuses, [503])
                self.assertGreater(time.monotonic() - start, 9.5)
                # Sent again while the first is not decided, and when it is.
                self.assertEqual(receiver.post(body).status, 503)
                harness.wait_for(lambda: receiver.page()["total_alerts_received"] == 1, 20, "the slow sync")
            self.assertEqual(receiver.post(body).status, 200)
            self.settle(stand_in, receiver, 1)

    def test_at_any_moment(self):
        """Senders, a stand-in that answers at once, and a kill again and again."""
        chance = random.Random(5)
        with forwarding() as (stand_in, receiver):
            receiver.start()
            senders = [Sender(receiver, name) for name in "abc"]
            for sender in senders:
                sender.start()
            for _ in range(KILLS):
                # Not a condition that is waited for: the moment is meant to be any.
                time.sleep(chance.uniform(0.05, 0.4))
                receiver.kill()
                receiver.start()
            for sender in senders:
                sender.ended.set()
            for sender in senders:
                sender.join(60)
                self.assertIsNone(sender.error)
            harness.wait_for(lambda: receiver.page()["pending"] == 0, 60, "the queue to empty")
            answered = [name for sender in senders for name in sender.answered]
            counts = collections.Counter(e["description"] for e in stand_in.embeds())
            lost = [name for name in answered if name not in counts]
            twice = {name: n for name, n in counts.items() if n > 1}
            print(f"{KILLS} kills: {len(answered)} alerts answered in {sum(s.n_tries for s in senders)} tries, "
                  f"{len(lost)} lost, {len(twice)} twice", flush=True)
            self.assertEqual(lost, [])
            self.assertGreater(len(answered), KILLS)
            # Only what was under way to the stand-in in the moment of a kill may come again.
            self.assertLessEqual(len(twice), 10 * KILLS)
            self.assertTrue(all(n == 2 for n in twice.values()), twice)
            lines = [a["annotations"]["summary"] for line in receiver.lines() for a in line["alerts"]["alerts"]]
            self.assertEqual(set(answered) - set(lines), set())


if __name__ == "__main__":
    harness.main()
