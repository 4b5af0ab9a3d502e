"""Waiting until nothing happens any more, and looking at what happened since."""

import threading
import time

import anyio
import pytest

from mockserver.journal import Entry, Journal
from tests.patience import HANGS


def opened(journal: Journal, path: str = "/", **rest: str) -> Entry:
    entry = Entry(index=0, arrived=0.0, method="GET", path=path, **rest)  # type: ignore[arg-type]
    journal.open(entry)
    return entry


def test_an_unused_journal_is_quiet() -> None:
    """At once, whatever was asked for."""
    Journal().wait_until_quiet(quiet=60.0)


def test_it_waits_for_what_is_in_flight() -> None:
    """The thread that serves the request wakes the one that waits."""
    journal = Journal()
    entry = opened(journal)
    timer = threading.Timer(0.03, journal.close, (entry, 1.0))
    timer.start()
    journal.wait_until_quiet(HANGS)
    assert entry.finished == 1.0
    timer.join()


def test_it_waits_for_silence() -> None:
    """Counted from the last arrival, so that it need not begin anew."""
    journal = Journal()
    journal.close(opened(journal), 1.0)
    began = time.monotonic()
    journal.wait_until_quiet(HANGS, quiet=0.03)
    assert time.monotonic() - began > 0.02
    journal.wait_until_quiet(0.001, quiet=0.02)


def test_what_does_not_fall_silent_is_named() -> None:
    """The requests in flight, as far as they are held; or that more kept coming."""
    journal = Journal(size=7)
    entries = [opened(journal, f"/{number}") for number in range(7)]
    with pytest.raises(TimeoutError, match=r"GET /0 \(number 0\).* and 2 more"):
        journal.wait_until_quiet(0.01)
    journal.clear()
    with pytest.raises(TimeoutError, match="no longer in the ring"):
        journal.wait_until_quiet(0.01)
    for entry in entries:
        journal.close(entry, 1.0)
    with pytest.raises(TimeoutError, match="kept arriving"):
        journal.wait_until_quiet(0.01, quiet=60.0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_goes_on_while_it_waits(backend: str) -> None:
    """The request that it waits for is ended by the very loop."""
    journal = Journal()
    entry = opened(journal)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.until_quiet, HANGS)
            await anyio.sleep(0.01)
            journal.close(entry, 1.0)

    anyio.run(main, backend=backend)


def test_senseless_times_are_refused() -> None:
    """Before anything is waited for."""
    for times in ((0.0, 0.0), (1.0, -1.0)):
        with pytest.raises(ValueError, match="timeout must be above 0"):
            Journal().wait_until_quiet(times[0], quiet=times[1])


def test_what_came_since_a_mark() -> None:
    """Also where the ring has lost some of it, or was cleared."""
    journal = Journal(size=3)
    opened(journal, "/0")
    mark = journal.mark
    for number in range(1, 3):
        opened(journal, f"/{number}")
    assert [entry.path for entry in journal.since(mark)] == ["/1", "/2"]
    for number in range(3, 6):
        opened(journal, f"/{number}")
    assert [entry.path for entry in journal.since(mark)] == ["/3", "/4", "/5"]
    journal.clear()
    assert (journal.since(mark), len(journal), journal.counts["requests"]) == ((), 0, 6)
    assert opened(journal).index == 6


def test_functions_find_what_values_do_not() -> None:
    """Together with values, or alone."""
    journal = Journal()
    for path in ("/a", "/a", "/b"):
        opened(journal, path, call_id=path)
    assert [entry.index for entry in journal.find(lambda entry: entry.index > 0, path="/a")] == [1]
    assert [entry.index for entry in journal.find(lambda entry: entry.index > 0)] == [1, 2]
    assert journal.count(path="/a", call_id="/a") == 2
    assert journal.arrivals("/a") == {1: 0.0, 2: 0.0}


def test_reading_while_others_write() -> None:
    """What is read is a copy."""
    journal = Journal(size=50)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            journal.close(opened(journal), 1.0)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            indices = [entry.index for entry in journal]
            assert indices == sorted(indices)
            assert len(indices) <= 50
    finally:
        stop.set()
        writer.join()
