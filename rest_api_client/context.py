"""What travels down the chain beside the request.

A `Call` is made once per logical call and shared by all its attempts; a `Context` is one path through the chain: the
call's own, and a fresh one per attempt. Policies read time, chance and options here, and nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import field
from random import Random as Random  # noqa: TID251  the type alone, for all who are handed a generator
from typing import TYPE_CHECKING, Any, Final, Protocol

from rest_api_client.events import Event, Sink
from rest_api_client.exceptions import DeadlineExceeded, HookError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Attempt, Note, Request, Response
from rest_api_client.outcome import Classify, Kind, Outcome, classify_http
from rest_api_client.reasons import IN_FLIGHT
from rest_api_client.transport import Exchange, Timeouts
from rest_api_client.typing import UNSET, Unset

if TYPE_CHECKING:
    from rest_api_client.forecast import Forecast
    from rest_api_client.pipeline import Pipeline
    from rest_api_client.runtime import Runtime


NORMAL: Final = 2
"""The priority of a call that was given none, of 0 (shed first) to 4 (shed last)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """What the caller chose for one call. `UNSET` leaves it to the policy; `None` means off.

    Attributes:
        timeouts: limits per phase.
        deadline: seconds for the whole call.
        max_retries: attempts after the first.
        retry_unsafe: whether a request that is not idempotent may be sent again.
        follow_redirects: whether redirects are followed.
        auth: the authentication to use instead of the client's.
        priority: how important the call is, 0 to 4; the less important is shed first.
        stream: whether the body is left unread.
        bulk: whether it is then read to its end, and nobody looks at its pieces before.
        attempt_headers: whether `x-call-id` and `x-attempt` are sent.
    """

    timeouts: Timeouts = field(default_factory=Timeouts)
    deadline: float | Unset | None = UNSET
    max_retries: int | Unset = UNSET
    retry_unsafe: bool | Unset = UNSET
    follow_redirects: bool | Unset = UNSET
    auth: Any = UNSET
    priority: int = NORMAL
    stream: bool = False
    bulk: bool = False
    attempt_headers: bool = False


DEFAULT_OPTIONS = CallOptions()
_NOTHING_JUDGED: tuple[Response | None, Outcome] = (None, Outcome(Kind.REJECTED, IN_FLIGHT))


class Call:
    """One logical call: identity, start, deadline, and the record of its attempts.

    `last` is the newest answer or error that came from beyond this client: what a refusal or a passed deadline is
    chained from, so that it never hides the 503 behind it. `chain` is the pipeline it runs through. `judged` is the
    newest answer with its outcome, since several policies ask for the same.
    """

    # What most calls leave as it is stands in the class: making a call is on every request's path.
    only: frozenset[type[Event]] | None = None
    deadline: float | None = None
    last: Response | Exception | None = None
    chain: Pipeline | None = None
    judged: tuple[Response | None, Outcome] = _NOTHING_JUDGED
    _id: str | None = None

    def __init__(
        self,
        runtime: Runtime,
        random: Random,
        *,
        options: CallOptions = DEFAULT_OPTIONS,
        classify: Classify = classify_http,
        emit: Sink | None = None,
    ) -> None:
        self.runtime = runtime
        self.random = random
        self.options = options
        self.classify = classify
        self.emit = emit
        self.started = runtime.now()
        self.attempts: list[Attempt] = []

    @property
    def lock(self) -> threading.Lock:
        """For changing what is in `attempts`; to append needs none. Made when first asked for: most calls never ask."""
        made: threading.Lock = self.__dict__.setdefault("_lock", threading.Lock())
        return made

    def cause(self) -> Exception | None:
        """What `last` amounts to as an error; None where nothing went wrong there."""
        if isinstance(self.last, Response):
            return self.last.error() if self.last.status_code >= 400 else None
        return self.last

    @property
    def id(self) -> str:
        """32 hex digits, made when first asked for."""
        if self._id is None:
            self._id = f"{self.random.getrandbits(128):032x}"
        return self._id


class Kept(Protocol):
    """What a policy keeps in `context.memory` from one resend to the next."""

    async def aclose(self) -> None:
        """Give back what it holds: the attempt is over, however it ended. Raises nothing."""
        ...


class Context:
    """One path through the chain.

    Attributes:
        call: what all paths of this call share.
        runtime: the only way to wait.
        random: the only source of chance.
        options: what the caller chose.
        emit: takes an event, or None when nobody listens: ask before building one.
        exchange: the attempt's exchange; None above the attempt level.
        record: where this attempt's record stands in `call.attempts`; -1 above the attempt level.
        again: a request that this attempt wants sent next (`resend`).
        notes: what policies decided about this attempt (`note`).
        memory: what policies keep from one resend to the next; closed with the attempt (`keep`).
        withheld: names of the client's credentials left out, since they do not belong to the request's origin.
    """

    exchange: Exchange | None = None
    record = -1
    again: Request | None = None
    memory: Mapping[str, Any] | None = None
    withheld: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    def __init__(self, call: Call) -> None:
        self.call = call
        self.runtime = call.runtime
        self.random = call.random
        self.options = call.options
        self.emit = call.emit

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline (0 when it is past), or None without one."""
        deadline = self.call.deadline
        return None if deadline is None else max(0.0, deadline - self.runtime.now())

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the deadline would pass meanwhile.

        Raises:
            DeadlineExceeded: at once, when no time would be left afterwards.
        """
        left = self.remaining
        if left is not None and seconds >= left:
            raise DeadlineExceeded(f"a wait of {seconds:.3g} s does not fit in the {left:.3g} s left of the deadline")
        await self.runtime.sleep(seconds)

    def classify(self, request: Request, result: Response | BaseException) -> Outcome:
        """What an attempt's end means.

        Raises:
            HookError: the client's own `classify=` gave something else.
        """
        call = self.call
        judged, outcome = call.judged
        if judged is result:
            return outcome
        outcome = call.classify(request, result)
        if not isinstance(outcome, Outcome):
            raise HookError(f"classify must return an Outcome, got {type(outcome).__name__}", request=request)
        if isinstance(result, Response):  # an error would be kept alive by it, with all frames of its traceback
            call.judged = (result, outcome)
        return outcome

    def resend(self, request: Request) -> None:
        """Have the attempt level send this request next, once the present answer was given back.

        Authentication uses it: the new request passes breaker and limiter like any other.
        """
        self.again = request

    def keep(self, key: str, kept: Kept) -> None:
        """Keep something for the attempt's next resend, by the policy's own key, in `memory`."""
        self.memory = {**(self.memory or {}), key: kept}

    def note(self, policy: str, reason: str, wait: float = 0.0) -> None:
        """Write a decision into this attempt's record; above the attempt level, into the latest attempt's."""
        note = Note(policy, reason, wait)
        if self.exchange is not None:
            self.notes += (note,)
            return
        with self.call.lock:
            if self.call.attempts:
                self.call.attempts[-1].notes += (note,)

    async def forecast(self, request: Request) -> list[Forecast]:
        """What the policies of the attempt level would do with this request now; nothing where there is no chain."""
        chain = self.call.chain
        return [] if chain is None else await chain.forecast(request, self, attempt=True)

    def tell(self, kind: type[Event], request: Request, **details: Any) -> None:
        """Emit an event, if anybody listens to its kind (`Call.only`; None is all)."""
        if self.emit is not None and (self.call.only is None or kind in self.call.only):
            endpoint = request.template or request.url.path
            self.emit(
                kind(call_id=self.call.id, at=self.runtime.now(), method=request.method, endpoint=endpoint, **details)
            )
