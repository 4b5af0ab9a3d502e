"""The client's own rate limit: requests wait for their turn here, instead of being refused there.

Two kinds, both exact, and several dimensions at once (`dimensions`):

    RateLimit(calls=100, period=60)   at most 100 requests in ANY 60 seconds
    RateLimit(rate=10, burst=20)      10 a second in the long run, 20 at once after a rest
    RateLimit(calls=500, period=60, limits={"tokens": Window(amount=30_000, period=60)}, cost=..., true_cost=...)

It stands at the attempt level: a retry, a redirect, an authentication round trip is a request like any other. Waiters
stand in line, first come first served, and a large request that came first is not overtaken by small ones; only the
head of the line sleeps. A call that cannot get its turn within `max_wait` or before its deadline is refused at once,
with the time after which it would have been let through; one that is cancelled while it waits takes nothing with it,
and one that never sent its request gives back all it took.

`ServerPacing` (`server_pacing`) is the same for the server's own limit, learned from its answers; `Limiter` (`limiter`)
is this one without a client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from rest_api_client.attempts import close
from rest_api_client.checks import check_above_zero, check_at_least, check_whole
from rest_api_client.context import Context
from rest_api_client.exceptions import ConfigurationError, RateLimitExceeded
from rest_api_client.forecast import Forecast
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.dimensions import SLOWEST, Bucket, Dimension, Limits, Window
from rest_api_client.policies.keys import Key, check_key, key_of
from rest_api_client.policies.prices import Cost, Prices, TrueCost
from rest_api_client.policies.quota_state import QuotaState
from rest_api_client.policies.quotas import Costs, Land, QuotaCommand, Take
from rest_api_client.policies.state import State
from rest_api_client.policies.token_queue import TokenQueue
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed

NAME = "RateLimit"


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """How many requests may go out, and who waits. Give `calls` and `period`, or `rate` and perhaps `burst`, or
    `limits`, or requests and `limits` together.

    Attributes:
        calls: requests in any window of `period` seconds.
        period: seconds.
        rate: requests a second, in the long run.
        burst: requests at once after a rest; a second's worth unless given. Over a latency of L seconds the full rate
            needs a burst of at least 1 + rate * L.
        limits: further dimensions by name, each a `Window` or a `Bucket`; a request goes when it has room in all.
        cost: what a request is expected to cost: whole numbers by name, `{"tokens": 1200}`, or a plain number where
            there is one dimension only; or a function of the request that gives one of these. Unless it says otherwise
            a request costs 1 of "requests" and nothing else. One that costs more than there ever is is refused.
        true_cost: a function of request and response that gives what the request really cost, None for what was
            expected. It is asked for each answer, whatever its status; of a stream only the head is there.
        key: what has a limit of its own: the "client", each "host", "origin" or "route", or each text a function gives.
        max_wait: seconds a request may wait for its turn; 0 refuses at once, None waits as long as the deadline allows.
        state: where the count is kept; give one to share it, and the line, between clients of one clock.
    """

    calls: int | None = None
    period: float | None = None
    rate: float | None = None
    burst: int | None = None
    limits: Mapping[str, Dimension] = field(default_factory=dict, hash=False)
    cost: Cost | None = field(default=None, hash=False)
    true_cost: TrueCost | None = None
    key: Key = "client"
    max_wait: float | None = None
    state: State[QuotaCommand] | None = field(default=None, compare=False, repr=False)
    tokens: TokenQueue | None = field(default=None, init=False, compare=False, repr=False)
    short: QuotaState | None = field(default=None, init=False, compare=False, repr=False)
    prices: Prices = field(init=False, compare=False, repr=False)
    usual: Costs | None = field(init=False, compare=False, repr=False)
    stage = Stage.RATE_LIMIT

    def __post_init__(self) -> None:
        self._check_requests()
        _check_limits(self.limits, self.calls is not None or self.rate is not None)
        object.__setattr__(self, "limits", dict(self.limits))  # the caller's own may change later
        check_at_least(NAME, 0, off="as long as the deadline allows", max_wait=self.max_wait)
        check_key(NAME, self.key)
        if self.true_cost is not None and not callable(self.true_cost):
            raise ConfigurationError(
                f"RateLimit(true_cost={self.true_cost!r}): give a function of request and response"
            )
        prices = Prices(tuple(self.dimensions()), self.cost, self.true_cost)
        if self.state is not None:
            object.__setattr__(self, "tokens", TokenQueue(NAME, self.state, self.max_wait, self.too_large))
            object.__setattr__(self, "short", self.state if isinstance(self.state, QuotaState) else None)
        object.__setattr__(self, "prices", prices)
        object.__setattr__(self, "usual", None if callable(self.cost) else prices.usual)

    def _check_requests(self) -> None:
        window, bucket = self.calls is not None, self.rate is not None
        both, neither = window and bucket, not (window or bucket or self.limits)
        if both or neither or (self.period is None) == window or (self.burst is not None and not bucket):
            raise ConfigurationError(f"{self!r}: give calls= and period= (any window), or rate= and burst= (a bucket)")
        if window:
            check_whole(NAME, 1, calls=self.calls)
            check_above_zero(NAME, period=self.period)
        if bucket:
            check_at_least(NAME, SLOWEST, unit="a number", rate=self.rate)
            check_whole(NAME, 1, off="a second's worth", burst=self.burst)

    def dimensions(self) -> dict[str, Dimension]:
        """What is counted, by name: "requests" first where they are limited."""
        if self.calls is not None and self.period is not None:
            return {"requests": Window(amount=self.calls, period=self.period), **self.limits}
        if self.rate is not None:
            return {"requests": Bucket(rate=self.rate, burst=self.burst), **self.limits}
        return dict(self.limits)

    def fresh(self) -> Limits:
        """The pure object of one key."""
        return Limits(self.dimensions())

    def bind(self, runtime: Runtime) -> RateLimit:
        """This limit with a count of its own, unless it was given one, for requests that say nothing of their cost.

        Raises:
            ConfigurationError: it limits what no request ever costs.
        """
        if self.cost is None and self.true_cost is None and not all(self.prices.usual):
            free = ", ".join(name for name in self.prices.names if name != "requests")
            raise ConfigurationError(f"{self!r}: give cost= or true_cost=, or no request ever costs {free}")
        return self.counting(runtime)

    def counting(self, runtime: Runtime) -> RateLimit:
        """This limit with a count of its own, unless it was given one."""
        return self if self.state is not None else replace(self, state=QuotaState(self.fresh, runtime.now))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request when its turn has come.

        Raises:
            RateLimitExceeded: its turn would come too late, `retry_after` says when; or never, at this cost.
            HookError: `cost` or `true_cost` gave no amount.
        """
        tokens, key = self.tokens, "client" if self.key == "client" else key_of(self.key, request)
        assert tokens is not None, "bind() first: a pipeline does"
        short, costs = self.short, self.prices.of(request) if self.usual is None else self.usual
        token = short.take(key, costs) if short is not None else 0
        if not token:
            token = await tokens.take(key, request, context, Take(costs))
        try:
            response = await proceed(request, context)
        except BaseException as error:
            await tokens.end(key, token, context, error)
            raise
        if short is not None and self.true_cost is None:
            short.land(key, token)
        else:
            await self._settle(tokens, key, token, costs, request, response)
        return response

    async def _settle(
        self, tokens: TokenQueue, key: str, token: int, costs: Costs, request: Request, response: Response
    ) -> None:
        used = costs
        try:
            used = self.prices.paid(request, response, costs)
        except BaseException:
            await close(response)
            raise
        finally:
            await tokens.state.apply(key, Land(token, used))
            if used != costs:
                tokens.lines.nudge(key)

    def too_large(self, label: str, costs: Costs, request: Request | None = None) -> RateLimitExceeded:
        """What says that no wait helps."""
        spent = self.prices.shown(costs)
        most = self.prices.shown(count.most for count in self.fresh().counts)
        return RateLimitExceeded(
            f"{label}: it costs {spent}, and there is never more than {most}: ask for less, or raise the limit",
            request=request,
        )

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """Whether the request would go now, wait or be refused; nothing is taken and no line entered."""
        assert self.tokens is not None, "bind() first: a pipeline does"
        costs = self.prices.of(request)
        facts = {"cost": dict(zip(self.prices.names, costs, strict=True))}
        return await self.tokens.forecast(key_of(self.key, request), context, costs, facts)


def _check_limits(limits: object, requests: bool) -> None:
    if not isinstance(limits, Mapping):
        raise ConfigurationError(f"RateLimit(limits={limits!r}): give a dict of names and Window(...) or Bucket(...)")
    for name, dimension in limits.items():
        if not isinstance(name, str) or not isinstance(dimension, Window | Bucket):
            raise ConfigurationError(
                f"RateLimit(limits={{{name!r}: {dimension!r}}}): give a name and a Window(amount=, period=) "
                "or a Bucket(rate=, burst=)"
            )
    if requests and "requests" in limits:
        raise ConfigurationError(
            f"RateLimit(limits={limits!r}): requests are limited twice; give calls= or rate= alone"
        )
