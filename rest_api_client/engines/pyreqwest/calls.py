"""One call under way: its head, its body, and what it holds until it has really ended.

Nobody can stop a call whose head has not come. Who is cancelled meanwhile abandons it: it goes on in its task, and its
permit comes back with its end. Everything is given back once, by whoever comes first: the body's end, its closing, an
error, or the task of an abandoned call.
"""

from __future__ import annotations

import asyncio  # noqa: TID251  a task is asked whether it is being cancelled, nothing is waited on
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from anyio.lowlevel import checkpoint  # noqa: TID251  a cancellation in anyio's own words
from pyreqwest.exceptions import PyreqwestError

from rest_api_client.engines.errors import TIMER_GRAIN, aborted
from rest_api_client.engines.gate import Permit
from rest_api_client.engines.passage import deadline_of
from rest_api_client.engines.pyreqwest.errors import told
from rest_api_client.engines.pyreqwest.uploads import AsyncSource, Source, UploadStopped
from rest_api_client.exceptions import ClosedError, DeadlineExceeded, DecodeError
from rest_api_client.http.headers import Headers
from rest_api_client.models import Request, Response
from rest_api_client.runtime import Runtime, run_sync
from rest_api_client.transport import ByteStream, Exchange, Fetched

BUFFERED: Final = 65536
"""Bytes of a body fetched with its head where the whole is wanted anyway: most bodies cost one wait, not three."""
BULK: Final = 262144
"""Bytes of a body in bulk that are handed over at once: what they cost is mostly the handing over."""
_DIGITS: Final = len(str(BUFFERED))
"""Of a length that may fit: `int()` of a longer one could take long."""


def buffered(exchange: Exchange) -> int:
    """Bytes of the body that pyreqwest may hold back, until they or its end have come: with none, all come at once."""
    return BUFFERED if exchange.whole else BULK if exchange.bulk else 0


class Call:
    """One exchange under way: what it holds, until it has really ended."""

    context: Any = None
    answer: Any = None
    source: Source | AsyncSource | None = None
    _abandoned = False
    _ended = False

    def __init__(self, request: Request, exchange: Exchange, permit: Permit, runtime: Runtime) -> None:
        self.request = request
        self.exchange = exchange
        self._permit = permit
        self._runtime = runtime
        self._deadline = deadline_of(exchange, runtime)

    def left(self) -> float | None:
        """Seconds until the deadline.

        Raises:
            DeadlineExceeded: none are left.
        """
        if self.exchange.aborted:
            raise aborted(self.exchange)
        deadline = self._deadline
        if deadline is None:
            return None
        left = deadline - self._runtime.now()
        if left <= 0:
            raise DeadlineExceeded(f"the deadline passed in phase {self.exchange.phase!r}")
        return left

    @property
    def late(self) -> bool:
        """Whether the deadline passed, or will before anybody could look again."""
        return self._deadline is not None and self._deadline - self._runtime.now() <= TIMER_GRAIN

    def failed(self, error: BaseException) -> None:
        """End the call with what pyreqwest raised, in our words; errors of the user's own body are as they are.

        Raises:
            APIError: what the error means; whatever has no other words is left to the caller to raise again.
        """
        self.end()
        if isinstance(error, UploadStopped):
            self.left()
            raise aborted(self.exchange) from error
        if isinstance(error, PyreqwestError):
            raise told(error, self.exchange, late=self.late) from error

    async def open(self, opened: asyncio.Future[None]) -> None:
        """Wait for the head, in a task that nobody cancels; close the answer where nobody waits for it any more.

        Args:
            opened: is told the end of it, unless whoever waited there has gone.
        """
        try:
            try:
                self.answer = await self.context.__aenter__()
            except BaseException as error:
                self.failed(error)
                raise
        except Exception as error:
            if not opened.done():
                opened.set_exception(error)
            return
        except BaseException:
            opened.cancel()
            raise
        if self._abandoned:
            self.end()
        elif not opened.done():
            opened.set_result(None)

    def abandon(self) -> None:
        """Nobody waits for the head any more: if it is here, close; else let the call end by itself."""
        self._abandoned = True
        if self.source is not None:
            self.source.stop()
        if self.answer is not None:
            self.end()

    def response(self, stream: ByteStream) -> Response:
        """The answer in our words."""
        answer, exchange = self.answer, self.exchange
        exchange.phase = "read"
        try:
            self.left()
            headers = _headers(answer.headers)
        except BaseException:
            self.end()
            raise
        version = answer.version
        exchange.http_version = "HTTP/2" if version == "HTTP/2.0" else version
        return Response(
            answer.status, headers=headers, stream=stream, request=self.request, http_version=exchange.http_version
        )

    def end(self) -> None:
        """Give everything back. Idempotent."""
        if self._ended:
            return
        self._ended = True
        try:
            if self.answer is not None:
                self._leave()
        finally:
            if self.source is not None:
                self.source.stop()
            self._permit.give_back()
            self.exchange.over()

    def _leave(self) -> None:
        if hasattr(self.context, "__exit__"):
            self.context.__exit__(None, None, None)
        else:
            # It drops the connection at once and never suspends, so that no cancellation can come between.
            run_sync(self.context.__aexit__(None, None, None))


class _Body:
    """The raw body; its end, or `aclose`, ends the call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader: Any = None
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks, once."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk.

        Raises:
            TransportError: the body broke off; DeadlineExceeded: the deadline passed.
            ClosedError: it was closed, or read to its end.
        """
        chunk = await self._got(self._chunk)
        if not chunk:
            self._end()
            raise StopAsyncIteration
        return bytes(chunk)

    async def answer(self) -> Response:
        """The response with this body, or with all of it where it came with the head.

        Raises:
            APIError: the deadline passed meanwhile, or a field of the head cannot be told.
        """
        response = self._call.response(self)
        if self._fetched():
            data = await self._got(self._call.answer.bytes)
            self._end()
            response.stream = Fetched(bytes(data))
        return response

    def _fetched(self) -> bool:
        """Whether it is wanted whole and has come with the head: all of it, since the answer says how long it is."""
        if not self._call.exchange.whole:
            return False
        length = self._call.answer.get_header("content-length")
        return length is not None and len(length) <= _DIGITS and length.isdecimal() and int(length) < BUFFERED

    def _chunk(self) -> Any:
        if self._closed:
            raise ClosedError("the body was closed, or read to its end")
        self._call.left()
        if self._reader is None:
            self._reader = self._call.answer.body_reader
        return self._reader.read(BULK) if self._call.exchange.bulk else self._reader.read_chunk()

    async def _got(self, work: Callable[[], Any]) -> Any:
        """What the work gives. Its error ends the call, in our words."""
        raise NotImplementedError

    def _end(self) -> None:
        self._call.exchange.phase = "done"
        self._closed = True
        self._call.end()

    async def aclose(self) -> None:
        """Drop the connection where the body was not read to its end."""
        self._closed = True
        self._call.end()


class SyncBody(_Body):
    """The raw body of a sync call."""

    async def _got(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except BaseException as error:
            self._call.failed(error)
            raise


class AsyncBody(_Body):
    """The raw body of an async call."""

    async def _got(self, work: Callable[[], Any]) -> Any:
        try:
            return await heed(work)
        except BaseException as error:
            self._call.failed(error)
            raise


async def heed(work: Callable[[], Any]) -> Any:
    """Await pyreqwest so that no cancellation is lost, whoever cancels."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        result = await work()
    except asyncio.CancelledError:
        await checkpoint()  # anyio's own cancellation is raised here, and only that one does its scope take back
        raise
    if task.cancelling() <= before:  # pragma: no branch  tested; tracers lose thrown-into frames
        return result
    await checkpoint()  # the cancel was swallowed: heard here by anyio's scopes, and below by everybody else
    raise asyncio.CancelledError


def _headers(given: Any) -> Headers:
    try:
        return Headers.received_text(given.items())
    except ValueError as error:
        raise DecodeError(
            "the answer has a header field with bytes beyond ASCII, which pyreqwest cannot give: choose engine='httpx'"
        ) from error
