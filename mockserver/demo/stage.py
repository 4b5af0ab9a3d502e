"""The server's side of the demo: a process of its own, and what its journal says afterwards.

The journal is read with the standard library, so that the witness has nothing to do with the client on trial.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mockserver.journal import Entry
from rest_api_client.lazy_dataclasses import dataclass

READY = "mockserver ready on "
START_TIMEOUT = 15.0
"""Seconds a server may take until it is ready; it takes one, of which Faker's import is the most."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What goes wrong, as options of `python -m mockserver`.

    Args:
        users: how many there are.
        quota: requests in any second.
        errors: probability of a 503.
        latency: from, to, in seconds.
        dead: START:SECONDS[:reset] of periods in which nothing works, counted from the first request.
        seed: decides data, errors and latency.
    """

    users: int
    quota: int
    errors: float
    latency: tuple[float, float]
    dead: tuple[str, ...]
    seed: int

    def options(self) -> list[str]:
        """The command line without the interpreter."""
        low, high = self.latency
        dead = [word for period in self.dead for word in ("--dead", period)]
        return [
            *("--rate-limit", f"{self.quota}/1s", "--errors", f"{self.errors:g}", "--latency", f"{low:g}-{high:g}"),
            *(*dead, "--resource", f"users:{self.users}", "--resource", "orders:0"),
            *("--seed", str(self.seed), "--log", "off"),
        ]


class NotStartedError(RuntimeError):
    """The mock server did not get ready."""


@contextmanager
def serve(options: list[str]) -> Iterator[str]:
    """The URL of a mock server in a process of its own, which ends with the block, whatever happens in it.

    Raises:
        NotStartedError: when it does not get ready; what it had to say stands on standard error.
    """
    command = [sys.executable, "-m", "mockserver", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  our own words
        try:
            yield _url(process)
        finally:
            _stop(process)


def _url(process: subprocess.Popen[str]) -> str:
    # A pipe has no timeout on all systems: the timer ends the process, and with it the line.
    timer = threading.Timer(START_TIMEOUT, process.kill)
    timer.start()
    assert process.stdout is not None
    line = process.stdout.readline()
    timer.cancel()
    if not line.startswith(READY):
        process.kill()
        raise NotStartedError(
            f"the mock server did not start (exit status {process.wait()}): run `{' '.join(map(str, process.args))}`"  # type: ignore[arg-type]
        )
    return line.removeprefix(READY).strip()


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()


@dataclass(frozen=True)
class Seen:
    """What the server saw: its rate limit, and every request in order of arrival."""

    quota: int
    window: float
    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, journal: Mapping[str, Any]) -> Seen:
        """Out of the JSON of GET /__journal.

        Raises:
            ValueError: for a journal without a sliding window, or one that has lost its first entries.
        """
        limit = journal["limit"] or {}
        if limit.get("kind") != "window":
            raise ValueError(
                f"the server's limit is {limit or 'off'}: run it with --rate-limit and --limit-kind window"
            )
        entries = tuple(Entry(**each) for each in journal["entries"])
        if len(entries) != journal["counts"]["requests"]:
            raise ValueError(f"the journal kept {len(entries)} of {journal['counts']['requests']} requests: send fewer")
        return cls(limit["calls"], limit["period"], entries)


def read_journal(url: str) -> Seen:
    """What the server at `url` saw so far."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy on the way to oneself
    with direct.open(f"{url}/__journal", timeout=10) as answer:
        return Seen.read(json.load(answer))
