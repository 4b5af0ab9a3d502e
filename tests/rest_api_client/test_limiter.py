"""A limit without a client: threads and tasks wait for their turn, pay, correct what they paid, or do not wait."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from rest_api_client.engines.scripted import respond
from rest_api_client.exceptions import ConfigurationError, RateLimitExceeded
from rest_api_client.limiter import AsyncLimiter, Limiter
from rest_api_client.policies.deadline import AmbientDeadline, ambient_deadline
from rest_api_client.policies.dimensions import Bucket, Window
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import Chain
from tests.rest_api_client.together import together

AnyWorld = World[Any]
TOKENS = RateLimit(calls=10, period=60, limits={"tokens": Window(amount=1000, period=60)})


class Both:
    """One limiter in the world's own face, asked in one way."""

    def __init__(self, world: AnyWorld, limit: RateLimit) -> None:
        self.sync = world.name == "sync"
        self.limiter: Any = (Limiter if self.sync else AsyncLimiter)(limit, clock=world.clock)

    async def __call__(self, method: str, *args: Any, **options: Any) -> Any:
        result = getattr(self.limiter, method)(*args, **options)
        return result if self.sync else await result

    async def hold(self, cost: Any, inside: Any, **options: Any) -> Any:
        if self.sync:
            with self.limiter.hold(cost, **options) as permit:
                return await inside(permit)
        async with self.limiter.hold(cost, **options) as permit:
            return await inside(permit)


def test_acquire_waits_and_says_how_long(world: AnyWorld) -> None:
    """With one call in 10 s the second waits 10 s, the third 10 more."""
    limiter = Both(world, RateLimit(calls=1, period=10))

    async def body() -> list[float]:
        return [await limiter("acquire") for _ in range(3)]

    assert world.run(body) == [0, 10, 10]
    assert world.clock.monotonic() == 20


def test_waiters_are_served_in_the_order_in_which_they_came(world: AnyWorld) -> None:
    """T12: the one that wants everything came first, and is not overtaken by those that want little."""
    limiter, log = Both(world, RateLimit(limits={"bytes": Bucket(rate=10, burst=100)})), list[int]()

    async def one(cost: int) -> None:
        await limiter("acquire", cost)
        log.append(cost)

    async def body() -> None:
        await together(world.runtime, (one, 50), (one, 100), (one, 1), (one, 2))

    world.run(body)
    assert log == [50, 100, 1, 2]


def test_try_acquire_never_waits(world: AnyWorld) -> None:
    """It is served while there is room, and not before those who wait already."""
    limiter = Both(world, RateLimit(calls=2, period=10))

    async def body() -> list[bool]:
        answers = [await limiter("try_acquire") for _ in range(3)]
        waiting = world.runtime.spawn(limiter, "acquire")
        await world.runtime.sleep(1)
        answers.append(await limiter("try_acquire"))
        await waiting.join()
        answers.append(await limiter("try_acquire"))
        return answers

    assert world.run(body) == [True, True, False, False, True]
    assert world.clock.monotonic() == 10


def test_max_wait_refuses_at_once_and_says_when(world: AnyWorld) -> None:
    """The call's own patience counts, else the limit's."""
    limiter = Both(world, RateLimit(calls=1, period=10, max_wait=5))

    async def body() -> None:
        await limiter("acquire")
        with pytest.raises(RateLimitExceeded, match=r"Limiter.* max_wait 5 s") as caught:
            await limiter("acquire")
        assert caught.value.retry_after == 10
        with pytest.raises(RateLimitExceeded, match="max_wait 9 s"):
            await limiter("acquire", max_wait=9)
        assert world.clock.monotonic() == 0
        assert await limiter("acquire", max_wait=None) == 10

    world.run(body)


@pytest.mark.parametrize("patience", ["max_wait", "deadline"])
def test_whoever_stands_in_line_gives_up_in_time(world: AnyWorld, patience: str) -> None:
    """The third came at 2 s for 25 s; the first held on for longer than could be foreseen, and the second is head."""
    limiter, log = Both(world, RateLimit(calls=1, period=10)), dict[str, float]()

    async def first() -> None:
        async def inside(permit: Any) -> None:
            await world.runtime.sleep(20)

        await limiter.hold(None, inside)

    async def second() -> None:
        await world.runtime.sleep(1)
        await limiter("acquire")
        log["second"] = world.runtime.now()

    async def third() -> None:
        await world.runtime.sleep(2)
        options = {"max_wait": 25} if patience == "max_wait" else {}
        if patience == "deadline":
            ambient_deadline.set(AmbientDeadline(world.clock, 27.0))
        with pytest.raises(RateLimitExceeded):
            await limiter("acquire", **options)
        log["third"] = world.runtime.now()

    async def body() -> None:
        for task in [world.runtime.spawn(each) for each in (first, second, third)]:
            await task.join()

    world.run(body)
    assert log == {"second": 30, "third": 27}


def test_a_deadline_round_it_counts(world: AnyWorld) -> None:
    """A wait that does not fit into the deadline of whoever asks is refused at once."""
    limiter = Both(world, RateLimit(calls=1, period=10))

    async def body() -> None:
        await limiter("acquire")
        token = ambient_deadline.set(AmbientDeadline(world.clock, 10.0))
        with pytest.raises(RateLimitExceeded, match="deadline 10 s"):
            await limiter("acquire")
        ambient_deadline.reset(token)

    world.run(body)


def test_what_is_held_is_in_use_until_the_block_ends(world: AnyWorld) -> None:
    """Held for 5 s, a call's place is free 10 s after that; `acquire` pays at once."""
    limiter = Both(world, RateLimit(calls=1, period=10))

    async def inside(permit: Any) -> float:
        await world.runtime.sleep(5)
        return float(permit.waited)

    async def body() -> list[float]:
        return [await limiter.hold(None, inside), await limiter.hold(None, inside), await limiter("acquire")]

    assert world.run(body) == [0, 10, 10]
    assert world.clock.monotonic() == 30


def test_what_was_held_too_much_is_given_back_and_too_little_is_a_debt(world: AnyWorld) -> None:
    """1000 tokens are held; 100 are paid, so 900 are there at once. Of 900 held 2000 are paid: nothing for a minute."""
    limiter = Both(world, TOKENS)

    async def less(permit: Any) -> None:
        permit.settle({"tokens": 100})

    async def more(permit: Any) -> None:
        permit.settle({"tokens": 2000})

    async def body() -> None:
        await limiter.hold({"tokens": 1000}, less)
        assert not await limiter("try_acquire", {"tokens": 901})
        await limiter.hold({"tokens": 900}, more, max_wait=0)
        assert await limiter("wait_time", {"tokens": 1}) == 60
        assert await limiter("try_acquire")

    world.run(body)


def test_what_was_given_back_wakes_whoever_waits_for_it(world: AnyWorld) -> None:
    """T12: cancelled, a permit costs nothing, whether the block ends well or by an error."""
    limiter = Both(world, TOKENS)

    async def give_up(permit: Any) -> None:
        await world.runtime.sleep(3)
        permit.cancel()
        raise ValueError("never sent")

    async def body() -> float:
        holding = world.runtime.spawn(limiter.hold, {"tokens": 1000}, give_up)
        await world.runtime.sleep(1)
        waited = await limiter("acquire", {"tokens": 1000})
        with pytest.raises(ValueError, match="never sent"):
            await holding.join()
        return float(waited)

    assert world.run(body) == 2


def test_a_cancelled_waiter_takes_nothing(world: AnyWorld) -> None:
    """T12: the next in line is served when the cancelled one would have been."""
    limiter = Both(world, RateLimit(calls=1, period=10))

    async def body() -> float:
        await limiter("acquire")
        first = world.runtime.spawn(limiter, "acquire")
        await world.runtime.sleep(1)
        second = world.runtime.spawn(limiter, "acquire")
        await world.runtime.sleep(1)
        first.cancel()
        return float(await second.join())

    assert world.run(body) == 9
    assert limiter.limiter.limit.tokens is not None
    assert "client" not in limiter.limiter.limit.tokens.lines.busy


def test_what_there_never_is_is_refused_by_all(world: AnyWorld) -> None:
    """Nobody waits for 1001 of 1000 tokens, and `try_acquire` does not call that a bad moment."""
    limiter = Both(world, TOKENS)

    async def body() -> None:
        for method in ("acquire", "try_acquire", "wait_time"):
            with pytest.raises(RateLimitExceeded, match=r"costs 1 requests, 1001 tokens, .*never more than 10 r"):
                await limiter(method, {"tokens": 1001})

    world.run(body)


def test_keys_have_limits_of_their_own(world: AnyWorld) -> None:
    """What one key used the other still has."""
    limiter = Both(world, RateLimit(calls=1, period=10))

    async def body() -> list[bool]:
        return [await limiter("try_acquire", key=key) for key in ("a", "a", "b")]

    assert world.run(body) == [True, False, True]


def test_a_client_and_limiters_of_both_faces_share_one_limit() -> None:
    """Whoever was given `limiter.limit` counts together, and stands in one line."""
    clock = VirtualClock()
    limiter = Limiter(RateLimit(calls=3, period=10), clock=clock)
    other = AsyncLimiter(limiter.limit, clock=clock)
    chain = Chain(SyncRuntime(clock), [limiter.limit], respond(200))
    limiter.acquire()
    SyncRuntime(clock).run(chain.send())

    async def body() -> tuple[bool, bool]:
        return await other.try_acquire(), await other.try_acquire()

    assert clock.run_asyncio(body) == (True, False)
    assert not limiter.try_acquire()
    assert limiter.wait_time() == 10


@pytest.mark.parametrize(
    "limit",
    [RateLimit(calls=1, period=1, cost=lambda request: 1), RateLimit(limits={"bytes": Bucket(rate=1)})],
    ids=["function", "none"],
)
def test_a_cost_that_the_limit_cannot_tell_must_be_said(limit: RateLimit) -> None:
    """A limiter has no request to ask a function with; and nobody pays nothing by mistake."""
    limiter = Limiter(limit, clock=VirtualClock())
    with pytest.raises(ConfigurationError, match="give cost="):
        limiter.acquire()
    assert limiter.try_acquire(1)


@pytest.mark.parametrize("cost", [-1, 1.5, True, {"tokens": "1"}, {"coins": 1}, 1, "1", [1]])
def test_an_impossible_cost_is_refused_and_nothing_taken(cost: Any) -> None:
    """A bare number is one too, where there are two dimensions."""
    limiter = Limiter(TOKENS, clock=VirtualClock())
    with pytest.raises(ConfigurationError, match=r"cost .*give whole numbers by name, as .*\"tokens\""):
        limiter.acquire(cost)
    assert limiter.wait_time({"tokens": 1000}) == 0


def test_a_limiter_is_of_a_rate_limit_and_a_patience_of_seconds() -> None:
    """Both are refused with what to give."""
    with pytest.raises(ConfigurationError, match="give a RateLimit"):
        Limiter(10)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="max_wait=-1"):
        Limiter(TOKENS).acquire(max_wait=-1)


def test_a_thousand_takes_from_threads_and_loops_at_once_lose_nothing() -> None:
    """Real threads and loops on one limiter: exactly what there is is given away."""
    limiter = Limiter(RateLimit(calls=500, period=3600))
    other = AsyncLimiter(limiter.limit)
    got: list[bool] = []

    async def loop() -> None:
        got.extend([await other.try_acquire() for _ in range(250)])

    def threads() -> None:
        got.extend(limiter.try_acquire() for _ in range(250))

    works = [threading.Thread(target=work) for work in (threads, lambda: asyncio.run(loop())) for _ in range(2)]
    for work in works:
        work.start()
    for work in works:
        work.join()
    assert (len(got), sum(got)) == (1000, 500)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_fresh_limit() -> None:
    """T14: what the parent's threads hold will never be given back in the child, so it starts afresh."""
    limiter = Limiter(RateLimit(calls=1, period=3600))
    with limiter.hold():
        child = os.fork()
        if child == 0:  # pragma: no cover - coverage does not follow a child that ends by _exit
            os._exit(0 if limiter.try_acquire() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not limiter.try_acquire()
