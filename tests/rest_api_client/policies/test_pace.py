"""What is known of a server's limits, as a pure object: windows, remainders, buckets, stops, pauses."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.http.rate_limit_fields import Reading
from rest_api_client.http.resets import LONGEST
from rest_api_client.policies.pace import RELEASE, Lesson, Pace
from rest_api_client.policies.quotas import Land, Peek, Return, Take
from rest_api_client.policies.server_limits import LATEST, MARGIN, MEMORY, SPREAD


def _take(pace: Pace, now: float) -> int:
    token = pace.take(now)
    assert token, pace.apply(Take(), now)
    return token


def _learn(pace: Pace, now: float, token: int | None = None, **said: Any) -> None:
    """The answer to a request, taken now unless its token is given, states one limit."""
    pace.apply(Lesson(_take(pace, now) if token is None else token, (Reading(**said),)), now)


def _wait(pace: Pace, now: float, ahead: int = 0) -> float:
    decision = pace.apply(Peek(ahead), now)
    return decision.wait if decision.verdict == "wait" else 0.0


def _passes(pace: Pace, now: float, times: int) -> list[bool]:
    return [pace.take(now) > 0 for _ in range(times)]


def test_what_was_sent_before_a_window_was_learned_counts() -> None:
    """Three went out, the first answer says three a minute: the fourth waits for a minute."""
    pace = Pace()
    first, *_ = (_take(pace, 0) for _ in range(3))
    _learn(pace, 1, first, limit=3, window=60)
    assert _wait(pace, 1) == pytest.approx(60 + MARGIN)


def test_what_others_used_of_the_quota_counts_as_used() -> None:
    """The server counts 8 of 10, this client sent one: two are left, the rest is back when the server says so."""
    pace = Pace()
    first = _take(pace, 0)
    _learn(pace, 1, first, limit=10, window=60, remaining=2, reset=30)
    assert _passes(pace, 1, 3) == [True, True, False]
    assert _wait(pace, 1) == pytest.approx(30 + MARGIN)


def test_others_that_come_and_go_do_not_fill_the_memory() -> None:
    """However often a server says that others used all of it, so many moments are kept at most."""
    pace = Pace()
    for now in range(3):
        pace.apply(Lesson(0, (Reading(limit=MEMORY, window=0.5, remaining=0),)), now)
    assert len(pace.sent.landed) == len(pace.sent.others) == MEMORY


def test_two_that_end_in_the_wrong_order_leave_the_window_in_the_right_one() -> None:
    """A thread may say late that its request is over: each still comes back when its own time is up."""
    pace = Pace()
    first, second, third = (_take(pace, 0) for _ in range(3))
    pace.land(second, 2.0)
    pace.land(third, 1.0)
    _learn(pace, 2.0, first, limit=3, window=60)
    assert _wait(pace, 2.0) == pytest.approx(59 + MARGIN)


def test_a_window_no_longer_named_is_forgotten() -> None:
    """The newest answer that names windows names all of them; one that names none changes nothing."""
    pace = Pace()
    _learn(pace, 0, limit=1, window=60, name="a")
    _learn(pace, 0, 0, dimension="tokens", remaining=5, reset=9)
    assert _wait(pace, 0) > 0
    _learn(pace, 0, 0, limit=5, window=60, name="b")
    assert _wait(pace, 0) == 0


def test_a_remainder_bounds_what_is_open_and_ends_with_the_reset() -> None:
    """Two remain: two may be open; what lands without a word counts; after the reset one whole quota may go out."""
    pace = Pace()
    _learn(pace, 0, remaining=2, reset=30, limit=3)
    first, second = _take(pace, 0), _take(pace, 0)
    assert _wait(pace, 0) == 30
    pace.apply(Land(first), 1)
    _learn(pace, 1, second, remaining=0, reset=29, limit=3)
    assert _wait(pace, 2) == 28
    assert _wait(pace, 30) == 0
    assert _passes(pace, 30, 4) == [True, True, True, False]


def test_an_old_answer_does_not_raise_the_remainder() -> None:
    """An answer overtaken on its way says 5 after another said 0: the smaller figure is the newer one."""
    pace = Pace()
    late, early = _take(pace, 0), _take(pace, 0)
    _learn(pace, 1, early, remaining=0, reset=10)
    _learn(pace, 1, late, remaining=5, reset=10)
    assert _wait(pace, 1) > 0


def test_a_newer_answer_raises_the_remainder() -> None:
    """A quota that refills on the way: what was sent after the last figure was learned knows better."""
    pace = Pace()
    _learn(pace, 0, remaining=1, reset=10)
    _learn(pace, 1, remaining=7, reset=10)
    assert _passes(pace, 1, 8) == [True] * 7 + [False]


@pytest.mark.parametrize("quota", [None, 0])
def test_after_a_reset_without_a_quota_nothing_is_known(quota: int | None) -> None:
    """Then requests pass until an answer says more; a quota of 0 is none."""
    pace = Pace()
    _learn(pace, 0, remaining=0, reset=10, limit=quota)
    assert _wait(pace, 5) == 5
    tokens = [_take(pace, 10) for _ in range(50)]
    pace.apply(Land(tokens[0]), 11)
    assert _wait(pace, 11) == 0


def test_a_reset_is_waited_for_a_little_longer_than_said() -> None:
    """T5: by a tenth at most, and never by more than a second: many clients wait for the same one."""
    pace = Pace()
    pace.apply(Lesson(0, (Reading(remaining=0, reset=5),), chance=1.0), 0)
    assert _wait(pace, 0) == pytest.approx(5 * (1 + SPREAD))
    pace.apply(Lesson(0, (Reading(remaining=0, reset=3600),), chance=1.0), 0)
    assert _wait(pace, 0) == 3600 + LATEST


def test_a_bucket_gives_back_one_by_one() -> None:
    """38 of 40 used, two a second come back: two go at once, each further one after half a second more."""
    pace = Pace()
    _learn(pace, 0, limit=40, remaining=2, refill=2.0)
    tokens = [_take(pace, 0), _take(pace, 0)]
    assert _wait(pace, 0) == 0.5
    assert _wait(pace, 0, ahead=3) == 2.0
    pace.apply(Land(tokens[0]), 0.25)
    _learn(pace, 0.5, limit=40, remaining=0, refill=2.0)
    _learn(pace, 0.5, tokens[1], limit=40, remaining=30, refill=2.0)  # it was overtaken
    assert _wait(pace, 0.5) == 0.5
    pace.apply(Lesson(99, (Reading(limit=40, remaining=30, refill=1e-300),)), 1)
    assert _passes(pace, 1, 31) == [True] * 30 + [False]
    assert _wait(pace, 1) == LONGEST


def test_what_cannot_be_counted_stops_at_nothing_left() -> None:
    """No token of a model is left: nothing passes until they are back; an answer that was overtaken changes nothing."""
    pace = Pace()
    old = _take(pace, 0)
    _learn(pace, 0, dimension="tokens", remaining=0, reset=30)
    _learn(pace, 1, old, dimension="tokens", remaining=100, reset=29)
    assert _wait(pace, 1) == 29
    assert _wait(pace, 30) == 0
    _learn(pace, 30, dimension="tokens", remaining=100, reset=60)
    assert _wait(pace, 31) == 0


def test_what_cannot_be_counted_stops_at_less_than_any_request_used() -> None:
    """Eight requests used 100 tokens or more each: with 99 left there is no use in sending another."""
    pace = Pace()
    for number in range(8):
        _learn(pace, number, dimension="tokens", remaining=899 - 100 * number, reset=60 - number)
        assert _wait(pace, number) == 0
    _learn(pace, 8, dimension="tokens", remaining=99, reset=52)
    assert _wait(pace, 8) == 52


@pytest.mark.parametrize(
    "said",
    [
        {"remaining": 0},
        {"limit": 5},
        {"dimension": "tokens", "remaining": 0},
        {"limit": MEMORY + 1, "window": 60},
        {"limit": 0, "window": 60},
        {"dimension": "content-bytes", "limit": 5, "window": 60},
    ],
)
def test_too_little_is_no_limit(said: dict[str, Any]) -> None:
    """Without a time there is nothing to wait for."""
    pace = Pace()
    _learn(pace, 0, **said)
    assert all(_passes(pace, 0, 100))


def test_only_so_many_limits_are_kept() -> None:
    """A server that names ever new ones costs no more than the newest sixteen."""
    pace = Pace()
    for number in range(100):
        _learn(pace, 0, 0, remaining=50, reset=60, name=str(number))
    assert len(pace.limits) == 16
    assert "requests 99" in pace.limits


def test_memory_is_bounded() -> None:
    """A server that never names a limit costs no more than so many moments; what lands twice counts once."""
    pace = Pace()
    for _ in range(MEMORY + 5):
        pace.apply(Land(_take(pace, 0)), 0)
    pace.apply(Land(12345678), 0)
    pace.apply(Return(12345678), 0)
    assert len(pace.sent.landed) == MEMORY


def test_a_request_that_never_left_is_not_counted() -> None:
    """Its place is free at once."""
    pace = Pace()
    _learn(pace, 0, limit=2, window=60)
    token = _take(pace, 0)
    assert not pace.take(0)
    pace.apply(Return(token), 0)
    assert pace.take(0)


# --- spreading ---


def _sent_times(pace: Pace, start: float, number: int) -> list[float]:
    """When so many requests go out that all want to go at once, each answered at once and without a word."""
    now, times = start, []
    for _ in range(number):
        now += _wait(pace, now)
        times.append(now)
        pace.apply(Land(_take(pace, now)), now)
    return times


def test_what_remains_is_spread_where_it_would_be_burnt() -> None:
    """Of 30 in a minute 20 go at once; the last 10 are spread over the time left, and the next quota is not touched."""
    pace = Pace(spread=60.0)
    pace.apply(Lesson(0, (Reading(limit=30, remaining=30, reset=60),)), 0)
    times = _sent_times(pace, 0, 30)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times[20:])]
    assert times[19] == 0
    assert all(gap > 4 for gap in gaps)
    assert 50 < times[-1] <= 60


def test_a_window_is_spread_in_the_same_way() -> None:
    """Where quota and window are known, too."""
    pace = Pace(spread=60.0)
    pace.apply(Lesson(0, (Reading(limit=30, window=60),)), 0)
    times = _sent_times(pace, 0, 30)
    assert times[19] == 0
    assert times[-1] > 40


@pytest.mark.parametrize("spread", [None, 59.0])
def test_a_reset_far_away_is_not_waited_for_in_steps(spread: float | None) -> None:
    """Spreading is for the last so many seconds before a reset, or switched off."""
    pace = Pace(spread=spread)
    pace.apply(Lesson(0, (Reading(limit=30, remaining=30, reset=60),)), 0)
    assert _sent_times(pace, 0, 30) == [0] * 30


@given(
    quota=st.integers(3, 200),
    span=st.floats(1, 60),
    share=st.floats(0, 0.6),
    window=st.booleans(),
)
def test_an_ample_quota_slows_nobody(quota: int, span: float, share: float, window: bool) -> None:
    """Whoever sends less than two thirds of a quota, at once, window after window, never waits."""
    pace = Pace(spread=60.0)
    said = {"window": span} if window else {"remaining": quota, "reset": span}
    pace.apply(Lesson(0, (Reading(limit=quota, **said),)), 0)  # type: ignore[arg-type]
    for turn in range(3):
        start = turn * (span + 1)
        assert _sent_times(pace, start, int(quota * share)) == [start] * int(quota * share)


@given(quota=st.integers(2, 100), span=st.floats(5, 60), load=st.floats(0.1, 0.9))
def test_an_even_pace_slows_nobody(quota: int, span: float, load: float) -> None:
    """Whoever stays below the limit and sends evenly never waits, however near to it."""
    pace = Pace(spread=60.0)
    pace.apply(Lesson(0, (Reading(limit=quota, remaining=quota, reset=span),)), 0)
    gap = span / quota / load
    for number in range(2 * quota):
        now = number * gap
        assert _wait(pace, now) == 0
        pace.apply(Land(_take(pace, now)), now)


# --- pauses ---


def test_after_a_pause_requests_go_one_after_the_other() -> None:
    """T5: none before its end, none at the same moment, all within a tenth more of it."""
    pace = Pace()
    pace.apply(Lesson(0, pause=20.0), 0)
    times = _sent_times(pace, 0, 60)
    assert times[0] == 20
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times[-1] <= 20 * (1 + SPREAD)


def test_after_a_long_pause_nobody_waits_much_longer() -> None:
    """An hour's pause does not make a line of minutes."""
    pace = Pace()
    pace.apply(Lesson(0, pause=3600.0), 0)
    assert _sent_times(pace, 0, 500)[-1] <= 3600 + RELEASE
    assert _sent_times(pace, 3600 + 3 * RELEASE, 50) == [3600 + 3 * RELEASE] * 50


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Two answers, two figures: the later end holds."""
    pace = Pace()
    pace.apply(Lesson(0, pause=30.0), 0)
    pace.apply(Lesson(0, pause=5.0), 1)
    assert _wait(pace, 1) == 29


def test_a_guessed_pause_grows_until_a_request_is_let_through() -> None:
    """60 s, 120, 240 ... to 960, once for each time it was too short, however many answers say so at once."""
    pace = Pace()
    now, waits = 0.0, []
    for _ in range(7):
        for _ in range(3):
            pace.apply(Lesson(0, pause=60.0, growing=True), now)
        waits.append(_wait(pace, now))
        now += waits[-1]
    assert waits == [60, 120, 240, 480, 960, 960, 960]
    pace.apply(Lesson(0, (Reading(remaining=9),), fine=True), now)
    pace.apply(Lesson(0, pause=60.0, growing=True), now)
    assert _wait(pace, now) == 60


def test_a_guessed_pause_is_not_shortened_by_a_pause_that_was_not_guessed() -> None:
    """A guess while a measured pause holds is as long as a first guess."""
    pace = Pace()
    pace.apply(Lesson(0, pause=30.0), 0)
    pace.apply(Lesson(0, pause=60.0, growing=True), 1)
    assert _wait(pace, 1) == 60


@given(
    said=st.lists(
        st.builds(
            Reading,
            dimension=st.sampled_from(["requests", "tokens"]),
            limit=st.none() | st.integers(0, 10**15),
            remaining=st.none() | st.integers(0, 10**15),
            reset=st.none() | st.floats(0, LONGEST),
            window=st.none() | st.floats(0, LONGEST),
            refill=st.none() | st.floats(0, 1e9),
            name=st.sampled_from(["a", "b"]),
        ),
        max_size=4,
    ),
    pauses=st.lists(st.floats(0, LONGEST), min_size=1, max_size=3),
    ahead=st.integers(0, 3),
)
def test_no_lesson_makes_the_next_one_wait_beyond_the_bounds(
    said: list[Reading], pauses: list[float], ahead: int
) -> None:
    """Whatever a server says, the first in line has at most the longest wait there is before it."""
    pace = Pace(spread=60.0)
    for pause in pauses:
        pace.apply(Lesson(pace.take(0), tuple(said), pause=pause, chance=1.0), 0)
    assert 0 <= _wait(pace, 0) <= LONGEST + LATEST + MARGIN
    assert _wait(pace, 0, ahead) >= 0
