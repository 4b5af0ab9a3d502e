"""A rate limit alone: for whatever is not sent by one of our clients.

    limiter = Limiter(RateLimit(calls=10, period=1))
    limiter.acquire()                                   # waits for its turn, and pays at that moment

    with limiter.hold({"tokens": 1200}) as permit:      # keeps what it took until the end of the block
        answer = ask(...)
        permit.settle({"tokens": answer.tokens})        # ... and pays what it really cost

    if limiter.try_acquire(): ...                       # never waits

`AsyncLimiter` is the same with `await`. Both are the policy's own limit, line and decisions without a chain round it.
`hold` is the stricter of the two: its units count as in use until the block ends, so that the limit is kept where the
work arrives and not only where it starts. `acquire` is for what is over at once.

One limiter serves threads, tasks and event loops alike. `limiter.limit` is the bound limit: given to a client
(`rate_limit=limiter.limit`), to a decorator's policies or to another limiter it is shared with all of them, line
included. A forked child begins with a fresh one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from rest_api_client.checks import check_at_least
from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.policies.deadline import ambient_moment
from rest_api_client.policies.prices import Amount, Prices
from rest_api_client.policies.quotas import Costs, Land, Return, Take
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.state import Decision
from rest_api_client.policies.token_queue import Turn
from rest_api_client.runtime import Runtime
from rest_api_client.runtimes.asynchronous import AsyncRuntime
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.typing import UNSET, Unset


class Permit:
    """What was taken, until the block that holds it ends.

    Attributes:
        waited: seconds it took to get it.
        key: whose limit it was taken from.
        end: what the limit is told at the end.
    """

    __slots__ = ("_costs", "_prices", "_token", "end", "key", "waited")

    def __init__(self, prices: Prices, key: str, costs: Costs, token: int, waited: float) -> None:
        self.waited = waited
        self.key = key
        self.end: Land | Return = Land(token)
        self._token = token
        self._costs = costs
        self._prices = prices

    def settle(self, cost: Amount) -> None:
        """Say what it really cost. Less is given back at the end of the block, more is a debt; the last word counts.

        Raises:
            ConfigurationError: it is no amount, or names a dimension that is not there.
        """
        self.end = Land(self._token, self._prices.read(cost, self._costs))

    def cancel(self) -> None:
        """Say that nothing was used: everything is given back at the end of the block."""
        self.end = Return(self._token)


class _Turns:
    """What both limiters do."""

    def __init__(self, limit: RateLimit, runtime: Runtime) -> None:
        if not isinstance(limit, RateLimit):
            raise ConfigurationError(f"Limiter({limit!r}): give a RateLimit(...)")
        self.limit = limit.counting(runtime)
        assert self.limit.tokens is not None
        self._tokens = self.limit.tokens
        self._runtime = runtime

    async def take(self, cost: Amount | None, key: str, max_wait: float | Unset | None) -> Permit:
        limit, runtime = self.limit, self._runtime
        patience = limit.max_wait if isinstance(max_wait, Unset) else max_wait
        if patience is not limit.max_wait:
            check_at_least("Limiter", 0, off="as long as it takes", max_wait=patience)
        costs = self._costs(cost, key)
        turn = Turn(self._tokens, key, runtime, patience, ambient_moment(runtime.clock), Take(costs))
        decision = await turn.come()
        if not decision.token:
            raise turn.refusal(decision, "Limiter")
        return Permit(limit.prices, key, costs, decision.token, turn.waited)

    async def end(self, permit: Permit) -> None:
        await self._tokens.state.apply(permit.key, permit.end)
        self._tokens.lines.nudge(permit.key)

    async def pay(self, cost: Amount | None, key: str, max_wait: float | Unset | None) -> float:
        permit = await self.take(cost, key, max_wait)
        await self.end(permit)
        return permit.waited

    async def try_to_pay(self, cost: Amount | None, key: str) -> bool:
        costs = self._costs(cost, key)
        turn = Turn(self._tokens, key, self._runtime, 0, None, Take(costs))
        decision = self._fitting(await turn.come(), costs)
        if decision.token:
            await self._tokens.state.apply(key, Land(decision.token))
        return bool(decision.token)

    async def wait_time(self, cost: Amount | None, key: str) -> float:
        costs = self._costs(cost, key)
        decision, _ = await self._tokens.peek(key, costs)
        return self._fitting(decision, costs).wait

    def _fitting(self, decision: Decision, costs: Costs) -> Decision:
        if decision.verdict == "refuse":
            raise self.limit.too_large("Limiter", costs)
        return decision

    def _costs(self, cost: Amount | None, key: object) -> Costs:
        if not isinstance(key, str):
            raise ConfigurationError(f"Limiter(key={key!r}): give text, as str(number)")
        prices = self.limit.prices
        if cost is not None:
            return prices.read(cost)
        if callable(prices.cost) or (prices.cost is None and not any(prices.usual)):
            raise ConfigurationError(f"Limiter: give cost=, as {{{prices.names[0]!r}: 1}}; {self.limit!r} says none")
        return prices.usual


class Limiter:
    """A rate limit for threads.

    Args:
        limit: what is limited. One that is bound already (`limiter.limit`) is shared.
        clock: what the waits go by; the same for all who share the limit.

    Raises:
        ConfigurationError: no `RateLimit`.
    """

    def __init__(self, limit: RateLimit, *, clock: Clock = SYSTEM) -> None:
        self._runtime = SyncRuntime(clock)
        self._turns = _Turns(limit, self._runtime)

    @property
    def limit(self) -> RateLimit:
        """The bound limit, for sharing."""
        return self._turns.limit

    def acquire(
        self, cost: Amount | None = None, *, key: str = "client", max_wait: float | Unset | None = UNSET
    ) -> float:
        """Wait for one's turn and pay; the seconds it took.

        Args:
            cost: units by name, or a number where there is one dimension; by default the limit's own.
            key: whose limit; each text has one of its own.
            max_wait: seconds it may take, None for any number; by default the limit's own.

        Raises:
            RateLimitExceeded: it would take too long, `retry_after` says how long; or there is never so much.
            ConfigurationError: `cost` is no amount.
        """
        return self._runtime.run(self._turns.pay(cost, key, max_wait))

    def try_acquire(self, cost: Amount | None = None, *, key: str = "client") -> bool:
        """Pay if there is room now and nobody waits; never waits. The rest as for `acquire`."""
        return self._runtime.run(self._turns.try_to_pay(cost, key))

    @contextmanager
    def hold(
        self, cost: Amount | None = None, *, key: str = "client", max_wait: float | Unset | None = UNSET
    ) -> Iterator[Permit]:
        """Wait for one's turn, keep what it takes for the block, and pay at its end, however it ends.

        The rest as for `acquire`.
        """
        permit = self._runtime.run(self._turns.take(cost, key, max_wait))
        try:
            yield permit
        finally:
            self._runtime.run(self._turns.end(permit))

    def wait_time(self, cost: Amount | None = None, *, key: str = "client") -> float:
        """Seconds until whoever came now could be served, at the earliest. Takes nothing."""
        return self._runtime.run(self._turns.wait_time(cost, key))


class AsyncLimiter:
    """A rate limit for tasks, on asyncio and trio, in any number of loops. The rest as for `Limiter`."""

    def __init__(self, limit: RateLimit, *, clock: Clock = SYSTEM) -> None:
        self._turns = _Turns(limit, AsyncRuntime(clock))

    @property
    def limit(self) -> RateLimit:
        """The bound limit, for sharing."""
        return self._turns.limit

    async def acquire(
        self, cost: Amount | None = None, *, key: str = "client", max_wait: float | Unset | None = UNSET
    ) -> float:
        """Wait for one's turn and pay; see `Limiter.acquire`. Cancelled while it waits it takes nothing with it."""
        return await self._turns.pay(cost, key, max_wait)

    async def try_acquire(self, cost: Amount | None = None, *, key: str = "client") -> bool:
        """Pay if there is room now and nobody waits; see `Limiter.try_acquire`."""
        return await self._turns.try_to_pay(cost, key)

    @asynccontextmanager
    async def hold(
        self, cost: Amount | None = None, *, key: str = "client", max_wait: float | Unset | None = UNSET
    ) -> AsyncIterator[Permit]:
        """Wait for one's turn, and keep what it takes for the block; see `Limiter.hold`."""
        permit = await self._turns.take(cost, key, max_wait)
        try:
            yield permit
        finally:
            await self._turns.end(permit)

    async def wait_time(self, cost: Amount | None = None, *, key: str = "client") -> float:
        """Seconds until whoever came now could be served, at the earliest; see `Limiter.wait_time`."""
        return await self._turns.wait_time(cost, key)
