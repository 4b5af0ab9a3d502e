"""The real clock, which has next to nothing of its own."""

from __future__ import annotations

import pickle
import threading
import time

import pytest

from rest_api_client.clock import SYSTEM
from tests.patience import HANGS


def test_the_system_clock_tells_the_machines_time() -> None:
    """Both figures lie between two readings of the standard library."""
    before, wall = time.monotonic(), time.time()
    assert before <= SYSTEM.monotonic() <= time.monotonic()
    assert wall <= SYSTEM.time() <= time.time()


def test_only_a_positive_sleep_reaches_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delay that came out as zero or negative does not wait and does not fail."""
    slept: list[float] = []
    monkeypatch.setattr("rest_api_client.clock.time.sleep", slept.append)
    for seconds in (-1.0, 0.0, 0.5):
        SYSTEM.sleep(seconds)
    assert slept == [0.5]


def test_a_started_thread_is_a_daemon_and_sets_a_flag() -> None:
    """A thread that hangs must not keep the interpreter alive."""
    flag, seen = SYSTEM.flag(), list[tuple[str, bool]]()

    def body() -> None:
        thread = threading.current_thread()
        seen.append((thread.name, thread.daemon))
        flag.set()

    with SYSTEM.hold():
        SYSTEM.start(body, name="worker")
        assert flag.wait(HANGS)
    assert flag.is_set()
    assert seen == [("worker", True)]


def test_the_system_clock_needs_no_loop() -> None:
    """What virtual clocks must be told, the real one takes without complaint."""
    SYSTEM.rouse(threading.get_ident())
    SYSTEM.require_loop()
    assert repr(SYSTEM) == "SYSTEM"


def test_the_system_clock_stays_itself_when_it_is_pickled() -> None:
    """Whatever holds the clock can go to another process."""
    assert pickle.loads(pickle.dumps(SYSTEM)) is SYSTEM
