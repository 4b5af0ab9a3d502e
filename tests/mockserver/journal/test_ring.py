"""The journal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.journal import REMEMBERED_CALLS, REMEMBERED_TARGETS, Entry, Journal, busiest


def entry(path: str = "/", arrived: float = 0.0, **rest: Any) -> Entry:
    return Entry(index=0, arrived=arrived, method="GET", path=path, **rest)


def opened(journal: Journal, *entries: Entry) -> list[Entry]:
    for each in entries:
        journal.open(each)
    return list(entries)


def test_a_request_is_there_before_it_is_answered() -> None:
    """With its number, and without a status; the counters know that it is in flight."""
    journal = Journal()
    first, second = opened(journal, entry("/a"), entry("/b"))
    assert (first.index, second.index, second.status) == (0, 1, None)
    assert journal.counts["in_flight"] == 2
    journal.answer(first, 200, 0.4)
    first.processed = True
    journal.close(first, 0.5)
    assert journal.counts == {"requests": 2, "in_flight": 1, "accepted": 1, "processed": 1, "faults": 0}
    assert journal.statuses == {200: 1}


def test_the_ring_forgets_and_the_counters_do_not() -> None:
    """Ten requests through a ring of three."""
    journal = Journal(size=3)
    for each in opened(journal, *(entry(f"/{number}") for number in range(10))):
        journal.answer(each, 200, 0.5)
        journal.close(each, 1.0)
    assert [each.path for each in journal.entries] == ["/7", "/8", "/9"]
    assert journal.counts["requests"] == 10
    assert journal.statuses == {200: 10}


def test_entries_are_found_by_their_values() -> None:
    """All values given must be equal."""
    journal = Journal()
    opened(journal, entry("/a", status=200), entry("/a", status=503), entry("/b", status=503))
    assert [each.index for each in journal.find(path="/a", status=503)] == [1]
    assert journal.count(status=503) == 2
    assert journal.count() == 3


def test_an_unknown_value_is_refused() -> None:
    """A misspelt name would otherwise silently find nothing."""
    with pytest.raises(TypeError, match="pathh"):
        Journal().find(pathh="/a")  # type: ignore[call-arg]


def test_calls_are_numbered_per_target_and_attempts_share_their_call() -> None:
    """Attempts of one call keep its number, whatever comes between."""
    journal = Journal()
    entries = opened(
        journal,
        entry(call_id="a", attempt=1),
        entry(call_id="b", attempt=1),
        entry(call_id="a", attempt=2),
        entry(),
        entry("/other", call_id="c", attempt=1),
        entry(query="page=2"),
        entry(call_id="a"),
    )
    assert [each.call for each in entries] == [0, 1, 0, 2, 0, 0, 3]
    assert entries[2].place == ("GET", "/", "", 0, 2)


def test_numbering_has_a_bounded_memory() -> None:
    """The longest unused target and the oldest call are forgotten first."""
    journal = Journal(size=1)
    opened(journal, entry("/first", call_id="a", attempt=1))
    opened(journal, *(entry("/busy", call_id=str(number), attempt=1) for number in range(REMEMBERED_CALLS + 1)))
    again, kept = opened(journal, entry("/busy", call_id="0", attempt=2), entry("/busy", call_id="5", attempt=2))
    assert (again.call, kept.call) == (REMEMBERED_CALLS + 1, 5)
    opened(journal, *(entry(f"/{number}") for number in range(REMEMBERED_TARGETS)))
    (anew,) = opened(journal, entry("/first", call_id="b", attempt=1))
    assert anew.call == 0


@given(st.lists(st.integers(0, 300)).map(sorted), st.integers(1, 50))
def test_the_busiest_window_is_the_brute_force_one(times: list[int], period: int) -> None:
    """Windows are open at their end."""
    expected = max((sum(start <= time < start + period for time in times) for start in times), default=0)
    assert busiest(times, period) == expected


def test_windows_count_accepted_requests_unless_told() -> None:
    """What was refused has not used the quota."""
    journal = Journal()
    opened(journal, entry(arrived=0.0), entry(arrived=0.5, accepted=False), entry(arrived=0.9), entry(arrived=1.0))
    assert journal.requests_in_any_window(1.0) == 2
    assert journal.requests_in_any_window(1.0, accepted_only=False) == 3


def test_senseless_sizes_are_refused() -> None:
    """A ring of nothing, a window of no time."""
    with pytest.raises(ValueError, match="size"):
        Journal(size=0)
    with pytest.raises(ValueError, match="period"):
        Journal().requests_in_any_window(0)
