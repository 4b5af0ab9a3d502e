"""Tokens in memory: the short way decides as `apply` does, and takes the lock once for a request."""

from __future__ import annotations

import threading
from random import Random
from typing import Any

import pytest

from rest_api_client import APIClient
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.dimensions import Limits, Window
from rest_api_client.policies.quota_state import QuotaState
from rest_api_client.policies.quotas import ONE, Peek
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.runtime import run_sync


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def state_of(calls: int, now: Now) -> QuotaState:
    state = QuotaState(lambda: Limits({"requests": Window(amount=calls, period=10)}), now)
    run_sync(state.apply("a", Peek()))  # a key begins with a command
    return state


def test_what_came_back_is_counted_with_its_own_moment() -> None:
    """However late somebody asks: what was used at 3 is back at 13, for the short way and for a command alike."""
    now = Now()
    state = state_of(1, now)
    token = state.take("a", ONE)
    now.at = 3.0
    state.land("a", token)
    now.at = 12.0
    assert not state.take("a", ONE)
    assert run_sync(state.apply("a", Peek())).wait == pytest.approx(1.0)
    now.at = 13.0
    assert state.take("a", ONE)


def test_a_token_counts_once_whoever_says_so_how_often() -> None:
    """Two that come back as one leave room for one, not for two."""
    now = Now()
    state = state_of(2, now)
    first, second = state.take("a", ONE), state.take("a", ONE)
    for token in (first, first, second, 999):
        state.land("a", token)
    assert not state.take("a", ONE)
    now.at = 10.0
    assert [bool(state.take("a", ONE)) for _ in range(3)] == [True, True, False]


def test_a_key_that_is_used_is_not_the_one_forgotten() -> None:
    """Of the ten thousand keys that are kept, and one more, the one not asked for longest goes."""
    state = state_of(5, Now())
    run_sync(state.apply("b", Peek()))
    assert state.take("a")
    for number in range(9_999):
        run_sync(state.apply(f"key {number}", Peek()))
    assert [bool(state.take(key)) for key in ("a", "b")] == [True, False]


def test_what_came_back_for_a_forgotten_key_is_nobodys() -> None:
    """Neither a fork nor a key that made room is a reason to fail, or to count anything."""
    now = Now()
    state = state_of(1, now)
    token = state.take("a", ONE)
    state.land("a", token)
    state.forget()
    assert run_sync(state.apply("a", Peek())).verdict == "allow"
    state.land("gone", token)
    assert state.take("a", ONE)


def test_threads_never_get_more_than_there_is() -> None:
    """Eight take and give back as fast as they can: never are more out than the limit, and in the end none is."""
    state, out, most = QuotaState(lambda: Limits({"requests": Window(amount=3, period=1e-9)}), lambda: 0.0), [], []
    state._now = iter(range(10**9)).__next__  # every look at it is a moment later
    run_sync(state.apply("a", Peek()))

    def work(seed: int) -> None:
        random = Random(seed)
        for _ in range(300):
            token = state.take("a", ONE)
            if token:
                out.append(token)
                most.append(len(out))
                random.random()
                out.remove(token)
                state.land("a", token)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 3
    assert [bool(state.take("a", ONE)) for _ in range(4)] == [True, True, True, False]


class CountedLock:
    """A lock that knows how often it was taken."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.taken = 0

    def acquire(self) -> bool:
        self.taken += 1
        return self._lock.acquire()

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


@pytest.mark.parametrize("kind", [RateLimit(calls=100, period=60), ServerPacing(), Bulkhead()])
def test_a_request_that_finds_room_takes_a_policys_lock_once(kind: Any) -> None:
    """What nobody waits for costs one turn at the lock, coming and going together."""
    options: dict[str, Any] = {"pacing": None}
    with APIClient(engine=ScriptedTransport(respond(200)), policies=[kind], **options) as client:
        client.get("https://api.test/")
        policy = next(policy for policy in client._core.pipeline.policies if isinstance(policy, type(kind)))
        lock = policy.state._lock = CountedLock()
        for _ in range(5):
            client.get("https://api.test/")
        assert lock.taken == 5
