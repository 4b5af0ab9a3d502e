"""The client's own rate limit: requests wait for their turn here, instead of being refused there.

Two kinds, both exact (`quotas`):

    RateLimit(calls=100, period=60)   at most 100 requests in ANY 60 seconds
    RateLimit(rate=10, burst=20)      10 a second in the long run, 20 at once after a rest

It stands at the attempt level: a retry, a redirect, an authentication round trip is a request like any other. Waiters
stand in line, first come first served; only the head of the line sleeps. A call that cannot get its turn within
`max_wait` or before its deadline is refused at once, with the time after which it would have been let through; one that
is cancelled while it waits takes nothing with it, and one that never sent its request gives its token back.

`ServerPacing` (`server_pacing`) is the same for the server's own limit, learned from its answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from rest_api_client.checks import check_above_zero, check_at_least, check_whole
from rest_api_client.context import Context
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.keys import Key, check_key, key_of
from rest_api_client.policies.quotas import Land, QuotaCommand, TokenBucket, WindowLimit
from rest_api_client.policies.state import MemoryState, PureState, State
from rest_api_client.policies.token_queue import end_token, take_token
from rest_api_client.policies.waiting_line import WaitingLines
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """How many requests may go out, and who waits. Give `calls` and `period`, or `rate` and perhaps `burst`.

    Attributes:
        calls: requests in any window of `period` seconds.
        period: seconds.
        rate: requests a second, in the long run.
        burst: requests at once after a rest; a second's worth unless given. Over a latency of L seconds the full rate
            needs a burst of at least 1 + rate * L.
        key: what has a limit of its own: the "client", each "host" or "origin", or each text a function gives.
        max_wait: seconds a request may wait for its turn; 0 refuses at once, None waits as long as the deadline allows.
        state: where the count is kept; give one to share it between clients of one clock.
    """

    calls: int | None = None
    period: float | None = None
    rate: float | None = None
    burst: int | None = None
    key: Key = "client"
    max_wait: float | None = None
    state: State[QuotaCommand] | None = field(default=None, compare=False, repr=False)
    lines: WaitingLines = field(default_factory=WaitingLines, init=False, compare=False, repr=False)
    stage = Stage.RATE_LIMIT

    def __post_init__(self) -> None:
        window, bucket = self.calls is not None, self.rate is not None
        if window == bucket or (self.period is None) == window or (self.burst is not None and window):
            raise ConfigurationError(f"{self!r}: give calls= and period= (any window), or rate= and burst= (a bucket)")
        if self.calls is not None:
            check_whole("RateLimit", 1, calls=self.calls)
            check_above_zero("RateLimit", period=self.period)
        else:
            check_above_zero("RateLimit", unit="a number", rate=self.rate)
            check_whole("RateLimit", 1, off="a second's worth", burst=self.burst)
        check_at_least("RateLimit", 0, off="as long as the deadline allows", max_wait=self.max_wait)
        check_key("RateLimit", self.key)

    def fresh(self) -> PureState[QuotaCommand]:
        """The pure object of one key."""
        if self.calls is not None and self.period is not None:
            return WindowLimit(self.calls, self.period)
        assert self.rate is not None
        return TokenBucket(self.rate, self.burst or math.ceil(self.rate))

    def bind(self, runtime: Runtime) -> RateLimit:
        """This limit with a count of its own, unless it was given one."""
        return self if self.state is not None else replace(self, state=MemoryState(self.fresh, runtime.now))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request when its turn has come.

        Raises:
            RateLimitExceeded: its turn would come too late; `retry_after` says when.
        """
        state, key = self.state, key_of(self.key, request)
        assert state is not None, "bind() first: a pipeline does"
        token = await take_token(self.lines, state, key, request, context, self.max_wait)
        try:
            response = await proceed(request, context)
        except BaseException as error:
            await end_token(self.lines, state, key, token, context, error)
            raise
        await state.apply(key, Land(token))
        return response
