"""The exchange: time left, proof of what was sent, and an abort that comes from anywhere."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from rest_api_client.exceptions import ConfigurationError, DeadlineExceeded
from rest_api_client.transport import Capability, Exchange, Timeouts
from rest_api_client.virtual.clock import VirtualClock


def exchange(deadline: float | None = None) -> Exchange:
    return Exchange(VirtualClock(), Timeouts(), deadline)


@pytest.mark.parametrize("phase", ["connect", "read", "write", "pool"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "5", True])
def test_a_timeout_is_seconds_above_0(phase: str, value: Any) -> None:
    """The message names the phase, and the way to no limit."""
    with pytest.raises(ConfigurationError, match=rf"Timeouts\({phase}=.*None for no limit"):
        Timeouts(**{phase: value})
    assert getattr(Timeouts(**{phase: None}), phase) is None


def test_one_number_for_every_phase() -> None:
    """`Timeouts.all` sets all four, or none."""
    assert Timeouts.all(7) == Timeouts(connect=7, read=7, write=7, pool=7)
    assert Timeouts.all(None) == Timeouts(connect=None, read=None, write=None, pool=None)


def test_a_limit_is_cut_to_the_time_left() -> None:
    """A phase never outlasts the deadline; without a deadline it has its own limit alone."""
    clock = VirtualClock()
    limited = Exchange(clock, Timeouts(), clock.monotonic() + 10)
    assert limited.remaining == 10
    assert [limited.limit(5), limited.limit(30), limited.limit(None)] == [5, 10, 10]
    free = exchange()
    assert (free.remaining, free.limit(5), free.limit(None)) == (None, 5, None)


@pytest.mark.parametrize("late", [0.0, 3.0])
def test_a_passed_deadline_ends_every_phase(late: float) -> None:
    """The error names the phase; what remains is never below 0."""
    clock = VirtualClock()
    over = Exchange(clock, Timeouts(), clock.monotonic() - late)
    over.phase = "tls"
    assert over.remaining == 0
    with pytest.raises(DeadlineExceeded, match="'tls'"):
        over.limit(5)


@pytest.mark.parametrize(
    ("proof", "sent", "refused", "unsent"),
    [(True, 0, False, True), (True, 1, False, False), (False, 0, False, False), (False, 9, True, True)],
)
def test_only_proof_is_proof(proof: bool, sent: int, refused: bool, unsent: bool) -> None:
    """An engine that does not count proves nothing; a refusal of the protocol always does."""
    one = exchange()
    one.proof, one.bytes_sent, one.refused = proof, sent, refused
    assert one.unsent is unsent


def test_an_abort_calls_each_action_once() -> None:
    """In order, whatever one of them raises; an action that comes late is called at once."""
    called: list[str] = []

    def broken() -> None:
        called.append("broken")
        raise OSError

    one = exchange()
    one.on_abort(lambda: called.append("first"))
    one.on_abort(broken)
    one.on_abort(lambda: called.append("last"))
    one.abort()
    one.abort()
    assert one.aborted
    assert called == ["first", "broken", "last"]
    one.on_abort(lambda: called.append("late"))
    assert called[-1] == "late"


def test_an_abort_may_abort() -> None:
    """No lock is held while an action runs, so that it may use the exchange, from other threads too."""
    one = exchange()
    done = threading.Event()

    def elsewhere() -> None:
        thread = threading.Thread(target=lambda: one.on_abort(done.set))
        thread.start()
        thread.join()

    one.on_abort(one.abort)
    one.on_abort(elsewhere)
    one.abort()
    assert done.is_set()


def test_capabilities_have_words() -> None:
    """Each is shown to people under its own name."""
    assert len({str(capability) for capability in Capability}) == len(Capability)
