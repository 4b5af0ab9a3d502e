"""What a route's latency is lately."""

from __future__ import annotations

import math
import pickle
import random
import sys

import pytest

from rest_api_client.policies.latency import ERROR, LEAST, MOST, LatencyWindow, Quantile, Sample, latencies
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World


def filled(*samples: float, at: float = 0.0) -> LatencyWindow:
    """A window that has these samples."""
    window = LatencyWindow(30.0)
    for sample in samples:
        window.apply(Sample(sample), at)
    return window


@pytest.mark.parametrize("q", [0.0, 0.5, 0.9, 0.95, 0.99, 1.0])
def test_a_quantile_is_right_to_two_percent(q: float) -> None:
    """Of any distribution, here one with a long tail, a quantile is at most 2 % off."""
    chance = random.Random(3)
    samples = [chance.lognormvariate(-3, 1.5) for _ in range(5_000)]
    exact = sorted(samples)[int(q * 4_999)]
    assert filled(*samples).apply(Quantile(q), 1.0).value == pytest.approx(exact, rel=ERROR * 1.0001)


def test_nothing_is_known_without_samples() -> None:
    """A new route has no quantile."""
    assert LatencyWindow().apply(Quantile(0.5), 0.0).value is None


def test_a_quantile_needs_as_many_samples_as_are_asked_for() -> None:
    """With one sample fewer than `at_least` it is unknown."""
    window = filled(*[0.1] * 19)
    assert window.apply(Quantile(0.5, 20), 0.0).value is None
    window.apply(Sample(0.1), 0.0)
    assert window.apply(Quantile(0.5, 20), 0.0).value == pytest.approx(0.1, rel=ERROR)


def test_what_is_older_than_two_windows_is_forgotten() -> None:
    """A sample counts for one window at least, two at most."""
    window = filled(0.1)
    assert window.apply(Quantile(0.5), 29.0).value is not None
    assert window.apply(Quantile(0.5), 59.9).value is not None
    assert window.apply(Quantile(0.5), 60.0).value is None


def test_a_silence_forgets_everything() -> None:
    """After two windows without a sample nothing old is left, although no turn was noticed meanwhile."""
    window = filled(0.1)
    window.apply(Sample(5.0), 1_000.0)
    assert window.apply(Quantile(0.0), 1_000.0).value == pytest.approx(5.0, rel=ERROR)


def test_a_change_of_the_server_is_seen_within_two_windows() -> None:
    """Once the slow days are out of the window only the fast ones count."""
    window = filled(*[2.0] * 100)
    for second in range(61):
        window.apply(Sample(0.01), float(second))
    assert window.apply(Quantile(0.99), 61.0).value == pytest.approx(0.01, rel=ERROR)


@pytest.mark.parametrize(("odd", "counted"), [(-1.0, LEAST), (0.0, LEAST), (math.nan, LEAST), (math.inf, MOST)])
def test_odd_durations_are_counted_at_the_nearest_end(odd: float, counted: float) -> None:
    """No duration, however odd, breaks the window."""
    assert filled(odd).apply(Quantile(0.5), 0.0).value == pytest.approx(counted, rel=ERROR * 1.0001)


def test_an_answer_stands_for_a_while() -> None:
    """A quantile is read anew only after a sixteenth more samples, or a thirtieth of the window."""
    window = filled(*[0.1] * 160)
    first = window.apply(Quantile(1.0), 0.0)
    window.apply(Sample(9.0), 0.0)
    assert window.apply(Quantile(1.0), 0.5) is first
    assert window.apply(Quantile(1.0), 1.0).value == pytest.approx(9.0, rel=ERROR)
    for _ in range(11):
        window.apply(Sample(50.0), 1.0)
    assert window.apply(Quantile(1.0), 1.0).value == pytest.approx(50.0, rel=ERROR)


def test_its_memory_is_bounded() -> None:
    """A hundred thousand spread samples take no more than a few hundred numbers."""
    window = LatencyWindow(30.0)
    for number in range(100_000):
        window.apply(Sample(1e-6 * 1.0003**number), number / 1_000)
    assert sum(sys.getsizeof(kept) for kept in (window._new, window._old)) < 100_000


def test_routes_are_apart(world: World[VirtualClock]) -> None:
    """Each key has latencies of its own."""

    async def body() -> None:
        state = latencies(world.runtime.now)
        await state.apply("one", Sample(0.1))
        assert (await state.apply("one", Quantile(0.5))).value is not None
        assert (await state.apply("other", Quantile(0.5))).value is None

    world.run(body)


def test_commands_are_plain_data() -> None:
    """A command can go to another process."""
    for command in (Sample(0.1), Quantile(0.5, 20)):
        assert pickle.loads(pickle.dumps(command)) == command
