"""The circuit breaker: a server that mostly fails is left alone for a while, and then asked carefully.

Here the chain meets the circuit, whose rules and states are in `circuit`: which call passes, how it ended, who is told.

A failure is what the classifier calls "failed". 429 and other 4xx are answers of a server that works. Refusals of this
client's own policies count as nothing, and so does an attempt that was cancelled before its deadline; one that the
deadline cut off while it was on the wire is a failure. How long a call took is counted without what this client's own
policies held it back.

A call that passes a closed circuit of this process has a short way: `Circuits` shows a closed one without being asked,
and takes a success without a command. A shared store is asked twice.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import Final, NoReturn

from rest_api_client.context import Context
from rest_api_client.events import CircuitChanged, CircuitRefused
from rest_api_client.exceptions import APIError, CircuitOpenError, DeadlineExceeded
from rest_api_client.forecast import Forecast
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind
from rest_api_client.pipeline import Stage
from rest_api_client.policies.circuit import (
    ENTER,
    PEEK,
    BreakerCommand,
    Change,
    CircuitRules,
    Circuits,
    Report,
)
from rest_api_client.policies.keys import Key, check_key, key_of
from rest_api_client.policies.state import Decision, State
from rest_api_client.reasons import CIRCUIT_ISOLATED, OK, PROBE
from rest_api_client.runtime import Runtime
from rest_api_client.typing import Proceed

NAME: Final = "CircuitBreaker"


@dataclass(frozen=True, kw_only=True)
class CircuitBreaker(CircuitRules):
    """Stops calling a server that mostly fails. When, and for how long, is for the options of `CircuitRules` to say.

    Attributes:
        key: what has a breaker of its own: each "origin", "host" or "route", the whole "client", or each text a
            function gives.
        state: where the breakers are kept; give one to share them between clients of one clock (`memory`).
    """

    key: Key = "origin"
    state: State[BreakerCommand] | None = field(default=None, compare=False, repr=False)
    short: Circuits | None = field(default=None, init=False, compare=False, repr=False)
    stage = Stage.CIRCUIT_BREAKER

    def __post_init__(self) -> None:
        super().__post_init__()
        check_key(NAME, self.key)
        if isinstance(self.state, Circuits):
            object.__setattr__(self, "short", self.state)

    def bind(self, runtime: Runtime) -> CircuitBreaker:
        """This policy with breakers of its own, unless it was given some."""
        return self if self.state is not None else replace(self, state=self.memory(runtime.now))

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request unless the circuit is open.

        Raises:
            CircuitOpenError: it is; `retry_after` says for how long, where that is known.
        """
        state = self.state
        assert state is not None, "bind() first: a pipeline does"
        key = request.url.origin_text if self.key == "origin" else key_of(self.key, request)
        short = self.short
        closed = None if short is None else short.closed(key)
        epoch = await self._enter(state, key, request, context) if closed is None else closed.epoch
        began = 0.0 if self.slow_after is None else context.runtime.now()
        try:
            response = await proceed(request, context)
            failed = context.classify(request, response).kind is Kind.FAILED
        except BaseException as error:
            judged: bool | None = None
            try:
                judged = _failed(request, context, error)
            finally:  # a classifier that fails tells nothing of the server
                report = Report(epoch, judged, self._slow(context, began))
                _tell_change(await state.apply(key, report), key, request, context)
            raise
        slow = self.slow_after is not None and self._slow(context, began)
        if short is not None and closed is not None and not failed and not slow:
            short.succeeded(closed, key, epoch)
        else:
            _tell_change(await state.apply(key, Report(epoch, failed, slow)), key, request, context)
        return response

    def _slow(self, context: Context, began: float) -> bool:
        """Whether the call was out for long, less the time that other policies held it."""
        if self.slow_after is None:
            return False
        held = sum(note.wait for note in context.notes) if context.notes else 0.0
        return context.runtime.now() - began - held >= self.slow_after

    async def _enter(self, state: State[BreakerCommand], key: str, request: Request, context: Context) -> int:
        """The epoch of the circuit that let the call pass."""
        decision = await state.apply(key, ENTER)
        if decision.change is not None:
            _tell_change(replace(decision, reason=Change.RESTED), key, request, context)
        if decision.reason:
            context.note(NAME, decision.reason)
        if decision.verdict != "allow":
            self._refuse(decision, key, request, context)
        return decision.token

    def _refuse(self, decision: Decision, key: str, request: Request, context: Context) -> NoReturn:
        retry_after = decision.wait or None
        if decision.value is not None and context.emit is not None:
            context.tell(
                CircuitRefused,
                request,
                key=key,
                reason=decision.reason,
                retry_after=retry_after,
                suppressed=int(decision.value),
            )
        error = CircuitOpenError(f"{request.label}: the circuit of {key!r} is {_until(decision)}", request=request)
        error.retry_after = retry_after
        raise error

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """Whether the circuit would let the request pass now."""
        assert self.state is not None, "bind() first: a pipeline does"
        key = key_of(self.key, request)
        decision = await self.state.apply(key, PEEK)
        passes = decision.verdict == "allow"
        text = f"the circuit of {key!r} is " + ("closed" if passes else _until(decision))
        return Forecast(
            policy=NAME,
            verdict="pass" if passes else "refuse",
            reason=decision.reason or OK,
            text=f"the request would be a probe of {key!r}" if decision.reason == PROBE else text,
            wait=decision.wait,
            facts={"key": key},
        )


def _until(refusal: Decision) -> str:
    """In which state a circuit is that refuses, and until when, for people."""
    if refusal.wait:
        return f"open for {refusal.wait:.3g} s more"
    if refusal.reason == CIRCUIT_ISOLATED:
        return "isolated until it is reset"
    return "open until a probe has passed"


def _tell_change(decision: Decision, key: str, request: Request, context: Context) -> None:
    if decision.change is not None and context.emit is not None:
        before, after = decision.change
        context.tell(CircuitChanged, request, key=key, before=before, after=after, reason=decision.reason)


def _failed(request: Request, context: Context, error: BaseException) -> bool | None:
    """Whether an error is the server's failure; None where it says nothing about the server."""
    if isinstance(error, Exception) and not isinstance(error, DeadlineExceeded):
        failed = context.classify(request, error).kind is Kind.FAILED
        answered = isinstance(error, APIError) and error.response is not None
        return True if failed else False if answered else None
    on_the_wire = context.exchange is not None and context.exchange.handed_over
    return True if on_the_wire and context.remaining == 0 else None
