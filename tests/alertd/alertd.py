# SPDX-License-Identifier: MIT
"""Starts real shortener-alertd processes for the tests, and stand-ins for Discord to post to.

Each Receiver has a folder of its own with log, evidence and queue; its listener is held by the test
and passed by LISTEN_FDS, so that it outlives the process. Processes are ended by pid.
"""

import contextlib
import glob
import http.client
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import harness

PROGRAM = os.path.join(harness.BUILD, "shortener-alertd")
OWN = ("SHORTENER_", "ALERT_LOG", "EVIDENCE_DIR", "DISCORD_WEBHOOK_URL", "GRAFANA_URL", "STATE_DIRECTORY",
       "CREDENTIALS_DIRECTORY", "LISTEN_", "NOTIFY_SOCKET", "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY",
       "HTTPS_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY")


def environment(extra=()):
    result = {k: v for k, v in os.environ.items() if not k.startswith(OWN)}
    result.update(extra)
    return result


def alert(name="ServiceDown", status="firing", severity="critical", instance="2", number=None, **annotations):
    """One alert as Alertmanager sends it."""
    labels = {"alertname": name, "severity": severity, "instance": instance, "job": "shortener"}
    if number is not None:
        labels["number"] = str(number)
    annotations.setdefault("summary", f"{name} on {instance}")
    return {"status": status, "labels": labels, "annotations": annotations, "startsAt": "2026-01-02T03:04:05.678Z",
            "endsAt": "2026-01-02T03:09:10Z" if status == "resolved" else "0001-01-01T00:00:00Z",
            "generatorURL": "http://127.0.0.1:9090/graph?g0.expr=up", "fingerprint": "0123456789abcdef"}


def batch(*alerts, status="firing"):
    return {"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status, "receiver": "default",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://127.0.0.1:9093",
            "alerts": list(alerts)}


class StandIn:
    """A webhook. `answers`: functions of the handler that are used up one a request, then 204 for ever."""

    def __init__(self, answers=()):
        self.answers = list(answers)
        self.requests = []  # (time, path, headers, body as JSON) of those that are answered with 2xx
        self.tries = []     # of all
        self.lock = threading.Lock()
        self.released = threading.Event()
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = (time.monotonic(), self.path, dict(self.headers), json.loads(body))
                with stand_in.lock:
                    stand_in.tries.append(request)
                    answer = stand_in.answers.pop(0) if stand_in.answers else status(204)
                self.request_read = request
                with contextlib.suppress(OSError):
                    answer(self, stand_in)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/api/webhooks/1/a-secret-token"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def embeds(self):
        """Of all messages that were taken."""
        with self.lock:
            return [e for _, _, _, body in self.requests for e in body["embeds"]]

    def alerts(self):
        with self.lock:
            return [a for _, _, _, body in self.requests for a in body["alerts"]]

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def status(code, body=b"", **headers):
    """An answer: sends the status. 2xx: the request counts as taken before the receiver can know."""

    def answer(handler, stand_in):
        if code // 100 == 2:
            with stand_in.lock:
                stand_in.requests.append(handler.request_read)
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang(handler, stand_in):
    """Reads the request and never answers."""
    stand_in.released.wait()
    handler.close_connection = True


class Receiver:
    def __init__(self, options=(), extra=None, folder=None, wrapper=()):
        self.own = tempfile.mkdtemp(prefix="shortener-alertd-")
        self.folder = folder or self.own
        self.log_file = os.path.join(self.folder, "log", "alerts.log")
        self.state = os.path.join(self.folder, "state")
        os.makedirs(self.state, exist_ok=True)
        os.makedirs(os.path.dirname(self.log_file), exist_ok=True)
        self.evidence = os.path.join(self.state, "evidence")
        self.journal = os.path.join(self.own, "journal")
        self.options = [f"Alerts.Log={self.log_file}", *options]
        self.extra = dict(extra or {})
        self.wrapper = list(wrapper)
        self.sock = harness.listener()
        self.port = self.sock.getsockname()[1]
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, wait=True):
        command = [*self.wrapper, PROGRAM, "--config=/dev/null", "--log-format=text"]
        command += ["--set=" + option for option in self.options]
        env = environment({"STATE_DIRECTORY": self.state, "LISTEN_FDS": "1", **self.extra})
        script = 'export LISTEN_PID=$$; exec "$@" ' + f"200<&{self.sock.fileno()} 3<&200 200<&-"
        with open(self.journal, "ab") as log:
            self.process = subprocess.Popen(["/bin/bash", "-c", script, "bash", *command], env=env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=[self.sock.fileno()])
        if wait:
            harness.wait_for(self.is_up, 20, "shortener-alertd to answer /health")
            harness.wait_for(self.has_keeper, 20, "its thread to have its name")
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"shortener-alertd exited {self.process.returncode}: {self.said()[-2000:]}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/health").status == 200

    def has_keeper(self):
        folder = f"/proc/{self.process.pid}/task"
        for task in os.listdir(folder):
            with open(f"{folder}/{task}/comm") as file:
                if file.read() == "keeper\n":
                    return True
        return False

    def said(self):
        with open(self.journal, errors="replace") as file:
            return file.read()

    def wait_said(self, text):
        """The log has a thread of its own: it may be a moment behind the answer."""
        harness.wait_for(lambda: text in self.said(), what=f'the log to say "{text}"')

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        os.kill(self.process.pid, signal.SIGTERM)
        return self.process.wait(20 * harness.SLOW)

    def request(self, method, path, body=None, timeout=30, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * harness.SLOW)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return harness.Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def post(self, body, path="/alert"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data)

    def page(self):
        return self.request("GET", "/").json

    def metric(self, line_start):
        for line in self.request("GET", "/metrics").body.decode().splitlines():
            if line.startswith(line_start):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def lines(self):
        with open(self.log_file, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def files(self):
        """{name: content} of the evidence."""
        result = {}
        for path in glob.glob(self.evidence + "/*"):
            with open(path, encoding="utf-8") as file:
                result[os.path.basename(path)] = json.load(file)
        return result

    def close(self):
        if self.process and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        self.sock.close()
        shutil.rmtree(self.own, ignore_errors=True)


@contextlib.contextmanager
def forwarding(answers=(), kind="discord", options=(), **kw):
    """A stand-in and a receiver that forwards to it, not started."""
    stand_in = StandIn(answers)
    try:
        with Receiver([*options, f"Alerts.Forward={kind}:{stand_in.url}"], **kw) as receiver:
            yield stand_in, receiver
            # Whatever the test was about, the URL is nowhere in what was said.
            assert "a-secret-token" not in receiver.said(), receiver.said()
    finally:
        stand_in.close()
