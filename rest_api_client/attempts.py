"""The attempt level: one request on the wire, recorded, and once more where authentication asks for it.

`AttemptLevel` is the only way down from retry, hedge and redirect; `Terminal` is its other end, where the engine is
called. Between them stand breaker, limiter and authentication. Each pass leaves one `Attempt` in the call's record,
whether it was answered, failed or cancelled.
"""

from __future__ import annotations

from typing import Protocol

from rest_api_client.context import Call, Context
from rest_api_client.events import AttemptEnded
from rest_api_client.exceptions import APIError, DeadlineExceeded, HookError, RefusedError, TransportError
from rest_api_client.http.redaction import redact_url
from rest_api_client.models import Attempt, Request, Response
from rest_api_client.transport import Exchange, Transport
from rest_api_client.typing import Proceed

MAX_RESENDS = 5
"""Round trips one attempt may take for authentication; Digest needs one, a multi-step scheme two or three."""


class Kept(Protocol):
    """What a policy keeps in `context.memory` from one resend to the next."""

    async def aclose(self) -> None:
        """Give back what it holds: the attempt is over, however it ended. Raises nothing."""
        ...


class AttemptLevel:
    """Runs the attempt chain and keeps its record."""

    def __init__(self, chain: Proceed) -> None:
        self._chain = chain

    async def __call__(self, request: Request, context: Context) -> Response:
        """One attempt: a single pass, or a few where authentication asks again."""
        memory: dict[str, Kept] = {}
        try:
            for _ in range(MAX_RESENDS + 1):
                attempt = _begin(context.call, memory)
                context.record = attempt.record
                response = await self._pass(request, attempt)
                if attempt.again is None:
                    return response
                request = attempt.again
                await close(response)
        finally:
            for kept in memory.values():
                await kept.aclose()
        raise HookError(f"authentication asked for more than {MAX_RESENDS} resends: it may be looping", request=request)

    async def _pass(self, request: Request, attempt: Context) -> Response:
        if attempt.options.attempt_headers:
            request = request.with_headers(x_call_id=attempt.call.id, x_attempt=str(attempt.record + 1))
        try:
            response = await self._chain(request, attempt)
        except BaseException as error:
            if isinstance(error, APIError):
                error.request = error.request or request
            _record(request, attempt, error)
            raise
        try:
            _record(request, attempt, response)
        except BaseException:
            await close(response)
            raise
        return response


def _begin(call: Call, memory: dict[str, Kept]) -> Context:
    attempt = Context(call)
    attempt.memory = memory
    attempt.exchange = Exchange(call.runtime.clock, call.options.timeouts, call.deadline)
    started = call.runtime.now() - call.started
    with call.lock:
        attempt.record = len(call.attempts)
        call.attempts.append(
            Attempt(number=attempt.record + 1, started=started, elapsed=0.0, url="", reason="in flight")
        )
    return attempt


def _record(request: Request, context: Context, result: Response | BaseException) -> None:
    """Finish the attempt's record, and tell it."""
    call, exchange = context.call, context.exchange
    assert exchange is not None
    record = call.attempts[context.record]
    record.url = redact_url(str(request.url))
    record.elapsed = call.runtime.now() - call.started - record.started
    record.sent = exchange.bytes_sent
    record.peer = exchange.peer
    record.http_version = exchange.http_version
    record.notes += context.notes
    if isinstance(result, Response):
        record.status_code = result.status_code
        record.reason = context.classify(request, result).reason
        call.last = result
    else:
        _record_error(request, context, record, result)
    if context.emit is not None:
        context.tell(AttemptEnded, request, attempt=record)


def _record_error(request: Request, context: Context, record: Attempt, error: BaseException) -> None:
    """Write down how it failed. asyncio, trio and threads cancel with classes of their own: here all are one."""
    if isinstance(error, APIError) and error.response is not None:
        record.status_code = error.response.status_code
    if isinstance(error, Exception):
        record.error, record.reason = type(error).__name__, context.classify(request, error).reason
        if not isinstance(error, RefusedError | DeadlineExceeded):
            context.call.last = error
    elif context.remaining == 0:
        record.error, record.reason = "DeadlineExceeded", "deadline"
    else:
        record.error, record.reason = "Cancelled", "cancelled"


class Terminal:
    """The end of the chain: the engine is called, and what it proves goes into the error."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def __call__(self, request: Request, context: Context) -> Response:
        """Send the request.

        Raises:
            APIError: with the request in it; a `TransportError` says whether the server can have acted on it.
        """
        exchange = context.exchange
        assert exchange is not None
        sent_at = context.runtime.time()
        exchange.handed_over = True
        try:
            response = await self._transport.send(request, exchange)
        except APIError as error:
            error.request = request
            if isinstance(error, TransportError) and exchange.unsent:
                error.processed = "no"
            raise
        response.request = request
        response.sent_at, response.received_at = sent_at, context.runtime.time()
        return response


async def close(response: Response) -> None:
    """Give back what an answer holds, read or not."""
    if response.stream is not None:
        await response.stream.aclose()
        response.stream = None
