"""The attempt level: one request on the wire, recorded, and once more where authentication asks for it.

`AttemptLevel` is the only way down from retry, hedge and redirect; `Terminal` is its other end, where the engine is
called. Between them stand breaker, limiter and authentication. Each pass leaves one `Attempt` in the call's record,
whether it was answered, failed or cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from rest_api_client.context import Call, Context, Kept
from rest_api_client.events import AttemptEnded
from rest_api_client.exceptions import APIError, DeadlineExceeded, HookError, RefusedError, TransportError
from rest_api_client.http.bodies import finish
from rest_api_client.models import Attempt, Request, Response
from rest_api_client.reasons import CANCELLED, NO_TIME
from rest_api_client.transport import ByteStream, Capability, Exchange, Transport
from rest_api_client.typing import Proceed

if TYPE_CHECKING:
    from rest_api_client.runtime import Runtime

MAX_RESENDS = 5
"""Round trips one attempt may take for authentication; Digest needs one, a multi-step scheme two or three."""

DRAINED = 4096
"""Bytes of an unwanted answer that are read to save its connection: an error page; more costs more than connecting."""

DRAIN_SECONDS = 0.05
"""And seconds: about what a new connection would take. A server that drips cannot hold up a retry for longer."""

_DIGITS = 10


class AttemptLevel:
    """Runs the attempt chain and keeps its record."""

    def __init__(self, chain: Proceed) -> None:
        self._chain = chain

    async def __call__(self, request: Request, context: Context) -> Response:
        """One attempt: a single pass, or a few where authentication asks again."""
        attempt, resends = _begin(context.call), 0
        try:
            while True:
                context.record = attempt.record
                if attempt.options.attempt_headers:
                    request = request.with_headers(x_call_id=attempt.call.id, x_attempt=str(attempt.record + 1))
                try:
                    response = await self._chain(request, attempt)
                except BaseException as error:
                    _record(request, attempt, error)
                    raise
                try:
                    _record(request, attempt, response)
                except BaseException:
                    await close(response)
                    raise
                if attempt.again is None:
                    return response
                request, resends = attempt.again, resends + 1
                await drain(response, attempt)
                if resends > MAX_RESENDS:
                    raise HookError(
                        f"authentication asked for more than {MAX_RESENDS} resends: it may be looping", request=request
                    )
                attempt = _begin(context.call, attempt.memory)
        finally:
            if attempt.memory is not None:
                for kept in attempt.memory.values():
                    await kept.aclose()


def _begin(call: Call, memory: Mapping[str, Kept] | None = None) -> Context:
    attempt = Context(call)
    if memory is not None:
        attempt.memory = memory
    options = call.options
    exchange = attempt.exchange = Exchange(call.runtime.clock, options.timeouts, call.deadline)
    if options.stream:
        exchange.bulk = options.bulk
    else:
        exchange.whole = True
    attempts = call.attempts
    place = attempt.record = len(attempts)
    record = Attempt.begun(place + 1, call.runtime.now() - call.started)
    attempts.append(record)
    while attempts[place] is not record:  # another of this call's threads has begun one meanwhile
        place = attempt.record = place + 1
        record.number = place + 1
    return attempt


def _record(request: Request, context: Context, result: Response | BaseException) -> None:
    """Finish the attempt's record, and tell it."""
    call, exchange = context.call, context.exchange
    assert exchange is not None
    record = call.attempts[context.record]
    record.sent_to = request.url
    record.elapsed = call.runtime.now() - call.started - record.started
    record.sent = exchange.bytes_sent
    record.peer = exchange.peer
    record.http_version = exchange.http_version
    if context.notes:
        record.notes += context.notes
    if isinstance(result, Response):
        record.status_code = result.status_code
        outcome = context.classify(request, result)
        record.reason = outcome.reason
        if outcome.retry_after is not None:
            result.retry_after = outcome.retry_after
        call.last = result
    else:
        _record_error(request, context, record, result)
    if context.emit is not None and (call.only is None or AttemptEnded in call.only):
        context.tell(AttemptEnded, request, attempt=record)


def _record_error(request: Request, context: Context, record: Attempt, error: BaseException) -> None:
    """Write down how it failed. asyncio, trio and threads cancel with classes of their own: here all are one."""
    if isinstance(error, APIError):
        error.request = error.request or request
    if isinstance(error, APIError) and error.response is not None:
        record.status_code = error.response.status_code
    if isinstance(error, Exception):
        record.error, record.reason = type(error).__name__, context.classify(request, error).reason
        if not isinstance(error, RefusedError | DeadlineExceeded):
            context.call.last = error
    elif context.remaining == 0:
        record.error, record.reason = "DeadlineExceeded", NO_TIME
    else:
        record.error, record.reason = "Cancelled", CANCELLED


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
        response.request, response.exchange = request, exchange
        response.sent_at, response.received_at = sent_at, context.runtime.time()
        return response


async def drain(response: Response, context: Context) -> None:
    """Give back an answer that nobody wants, before another request is sent or waited for.

    What little may be left of it is read first, so that its connection can serve the next request: at most `DRAINED`
    bytes within `DRAIN_SECONDS`, and nothing of a body that says it is longer, or where the engine could not be stopped
    in time. Whatever does not end by then is closed, its connection with it. (pyreqwest does the like by itself.)
    """
    stream, exchange, chain = response.stream, response.exchange, context.call.chain
    if stream is None:
        return
    try:
        stoppable = chain is not None and Capability.ABORT in chain.transport.capabilities
        if stoppable and exchange is not None and _short(response):
            await _read_off(stream, exchange, context.runtime)
    finally:
        await close(response)


def _short(response: Response) -> bool:
    length = response.headers.get("content-length", "0")
    return length.isascii() and length.isdigit() and len(length) < _DIGITS and int(length) <= DRAINED


async def _read_off(stream: ByteStream, exchange: Exchange, runtime: Runtime) -> None:
    limits, until, taken = exchange.timeouts, runtime.now() + DRAIN_SECONDS, 0
    exchange.timeouts = replace(limits, read=min(limits.read or DRAIN_SECONDS, DRAIN_SECONDS))
    chunks = aiter(stream)
    try:
        with suppress(APIError, TimeoutError), runtime.fail_after(until):
            async for piece in chunks:
                taken += len(piece)
                if taken > DRAINED or runtime.now() >= until:
                    return
    finally:
        await finish(chunks)


async def close(response: Response) -> None:
    """Give back what an answer holds, read or not."""
    if response.stream is not None:
        await response.stream.aclose()
        response.stream = None
