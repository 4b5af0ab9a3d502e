"""The bulkhead: at most so many attempts under way at once, so that one slow server does not take everything down.

A server that answers in 50 ms is busy with 5 of a client's 100 calls a second; one that hangs for 30 s soon has every
thread and connection the process owns. A bulkhead of 25 per origin ends that at 25: the next calls wait in a short
line, and what does not fit in there fails at once, while calls to other servers pass.

It stands below the rate limit, so that no permit is held by a call that waits for its turn there, and above the
engine's pool. A permit is held from there until the answer's body was read or closed: a stream holds one as long as it
is open. A retry gives its permit back before it waits for its next attempt.

The line is served by priority (`priority_queue`), strictly: as long as more important calls keep coming, less important
ones wait, until `max_wait` ends it.
"""

from __future__ import annotations

from dataclasses import field, replace
from functools import partial

from rest_api_client.checks import check_at_least, check_whole
from rest_api_client.context import Context
from rest_api_client.forecast import Forecast
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.door import Door, HeldStream
from rest_api_client.policies.keys import Key, check_key, key_of
from rest_api_client.policies.permit_state import PermitState
from rest_api_client.policies.permits import Leave, PermitCommand, Permits
from rest_api_client.policies.state import State
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed


@dataclass(frozen=True, kw_only=True)
class Bulkhead:
    """How many attempts may be under way at once, and who waits.

    Attributes:
        limit: attempts at once, for each key.
        queue: calls that may wait for one key; 0 refuses at once. Where it is full, the least important makes room for
            a more important one.
        max_wait: seconds a call may wait for its permit, and never more than half of what its deadline leaves; 0
            refuses at once, None sets no other limit.
        key: what has permits of its own: each "origin", "host" or "route", the whole "client", or each text a function
            gives.
        state: where permits are counted; give one to share it between clients of one clock.
    """

    limit: int = 25
    queue: int = 100
    max_wait: float | None = 10.0
    key: Key = "origin"
    state: State[PermitCommand] | None = field(default=None, compare=False, repr=False)
    door: Door | None = field(default=None, init=False, compare=False, repr=False)
    stage = Stage.BULKHEAD

    def __post_init__(self) -> None:
        check_whole("Bulkhead", 1, limit=self.limit)
        check_whole("Bulkhead", 0, queue=self.queue)
        check_at_least("Bulkhead", 0, off="half of what the deadline leaves", max_wait=self.max_wait)
        check_key("Bulkhead", self.key)
        if self.state is not None:
            object.__setattr__(self, "door", Door("Bulkhead", self.state, self.queue, self.max_wait))

    def bind(self, runtime: Runtime) -> Bulkhead:
        """This bulkhead with permits of its own, unless it was given a state."""
        if self.state is not None:
            return self
        return replace(self, state=PermitState(lambda: Permits(self.limit), runtime.now))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request when there is a permit for it.

        Raises:
            BulkheadFull: there is none, and no room to wait for one, or no turn came in time.
            LoadShed: its place in the line went to a more important call.
        """
        door, key = self.door, request.url.origin_text if self.key == "origin" else key_of(self.key, request)
        assert door is not None, "bind() first: a pipeline does"
        short = door.short
        token = (short.take(key) if short is not None else 0) or await door.enter(key, request, context)
        try:
            response = await proceed(request, context)
        except BaseException:
            await door.leave(key, Leave(token))
            raise
        if response.stream is not None:
            response.stream = HeldStream(response.stream, partial(door.leave, key, Leave(token)))
        elif short is None:
            await door.leave(key, Leave(token))
        elif short.leave(key, token):
            await door.admit(key)
        return response

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """Whether it would pass, wait or be refused now."""
        assert self.door is not None, "bind() first: a pipeline does"
        return await self.door.forecast(key_of(self.key, request), context)
