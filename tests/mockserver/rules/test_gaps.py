"""The statistics of waits between attempts."""

import random

import pytest

from mockserver.rules.gaps import alike, coincide, shrinks
from tests.prove.behaviour import STRATEGIES, drawn


@pytest.mark.parametrize("name", STRATEGIES)
def test_honest_strategies_raise_no_alarm(name: str) -> None:
    """200 seeds each here; `make prove` takes 10,000."""
    for seed in range(200):
        waits = drawn(STRATEGIES[name], seed)
        assert not coincide(waits), seed
        assert not any(shrinks(waits, k) for k in range(4)), seed


def test_shrinking_waits_are_found_through_jitter() -> None:
    """Full jitter over a wait that falls to a quarter; sixty calls."""
    chance = random.Random(1)
    assert shrinks([[chance.uniform(0, 1), chance.uniform(0, 0.25)] for _ in range(60)], 0)


def test_one_long_pause_is_no_trend() -> None:
    """The mean falls, the calls do not."""
    assert not shrinks([[100.0, 1.0], *([[1.0, 1.0]] * 30)], 0)


def test_the_same_wait_is_found_through_a_little_noise() -> None:
    """Nine in ten within 5 %, or 2 ms."""
    assert alike([1.0 + 0.001 * n for n in range(18)] + [3.0, 4.0])
    assert not alike([1.0] * 17 + [2.0, 3.0, 4.0])
    assert coincide([[0.5]] * 20)
    assert not coincide([[0.5]] * 19)
    assert not coincide([])


def test_waits_at_the_cap_are_no_missing_jitter() -> None:
    """The first ones differ, the later ones are all at the cap."""
    chance = random.Random(1)
    assert not coincide([[chance.uniform(1, 3), 20.0] for _ in range(30)])
