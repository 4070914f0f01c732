# SPDX-License-Identifier: MIT
"""Debian's Chromium without a window: what a page looks like, and what is in it after its scripts ran."""

import os
import subprocess
import tempfile

import harness

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars")


def chromium(url, *flags, seconds=20, prefix=()):
    """What it wrote; virtual time runs until the page is done or `seconds` of it passed. prefix: the words of a command
    that runs another one, in the network of a machine."""
    with tempfile.TemporaryDirectory(prefix="shortener-browser-") as profile:
        done = subprocess.run([*prefix, "chromium", *FLAGS, "--user-data-dir=" + profile, f"--virtual-time-budget={seconds * 1000}",
                               *flags, url], capture_output=True, text=True, timeout=180 * harness.SLOW, check=False,
                              env={**os.environ, "HOME": profile})
    if done.returncode != 0:
        raise AssertionError(f"chromium: {done.returncode}: {done.stderr[-3000:]}")
    return done.stdout


def page_text(url):
    """The page as HTML, after its scripts ran."""
    return chromium(url, "--dump-dom")


def screenshot(url, path, width=1440, height=900, scale=1, prefix=()):
    chromium(url, f"--screenshot={path}", f"--window-size={width},{height}", f"--force-device-scale-factor={scale}", prefix=prefix)
    if not os.path.exists(path):
        raise AssertionError(f"chromium made no {path}")
