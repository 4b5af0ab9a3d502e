"""What an exchange holds until its body has ended: a lane, a permit, and the abort that could reach it.

However an exchange ends, well, badly, early or never read, everything is given back exactly once; only a body that was
read to its end, with nothing behind it, leaves a lane that can serve the next one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn, Protocol, TypeVar

from rest_api_client.engines.errors import translate
from rest_api_client.engines.gate import Permit
from rest_api_client.engines.httpx.lanes import Lane
from rest_api_client.engines.httpx.library import Library
from rest_api_client.engines.passage import Passage, on_passage
from rest_api_client.exceptions import APIError, ProxyError, RequestTimeout, TransportError
from rest_api_client.http.headers import Headers
from rest_api_client.models import Response
from rest_api_client.runtime import current_abort

T = TypeVar("T")

_REFUSED_STREAM = 7


class Owner(Protocol):
    """Whose lanes they are: the engine.

    Attributes:
        library: its half of httpx.
    """

    library: Library

    async def guard(self, lane: Lane, passage: Passage, work: Coroutine[Any, Any, T]) -> T:
        """Await work on a lane, however long it takes; the deadline and an abort end it."""
        ...

    def free(self, lane: Lane, *, keep: bool) -> None:
        """Take a lane back from an exchange."""
        ...


class Hold:
    """What one exchange holds until its body has ended: a lane and a permit."""

    def __init__(self, engine: Owner, lane: Lane, permit: Permit, passage: Passage) -> None:
        self._engine = engine
        self.lane = lane
        self._permit = permit
        self.passage = passage
        abort = current_abort.get()
        self._forget: Callable[[], object] | None = (
            abort.register(passage.exchange.abort) if abort is not None else None
        )

    def answer(self, answer: Any) -> Response:
        """The response, which holds lane and permit from now on."""
        exchange, extensions = self.passage.exchange, answer.extensions
        exchange.phase = "read"
        exchange.http_version = extensions.get("http_version", b"HTTP/1.1").decode("ascii", "replace")
        return Response(
            answer.status_code,
            headers=Headers.received(answer.headers.raw),
            stream=Body(self, answer.stream, self._engine.library),
            reason=extensions.get("reason_phrase", b"").decode("latin-1"),
            http_version=exchange.http_version,
        )

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """See `Owner.guard`."""
        return await self._engine.guard(self.lane, self.passage, work)

    async def cut(self, chunks: Any) -> None:
        """End the reading of the body where it stands."""
        if not self.lane.shared:
            self.lane.drop()
        if chunks is not None:
            await self._engine.library.unwind(chunks)

    def keep(self) -> None:
        """The exchange ended well: the lane can serve the next one."""
        self._end(keep=True)

    def drop(self) -> None:
        """The exchange ended badly, or early: the connection goes with it."""
        self._end(keep=False)

    def _end(self, *, keep: bool) -> None:
        if self._forget is not None:
            self._forget()
        self.passage.hold(None)
        self.passage.exchange.over()
        self._engine.free(self.lane, keep=keep)
        self._permit.give_back()

    def reraise(self, error: Exception) -> NoReturn:
        """Raise the error of our tree for whatever came out of httpx, or out of our streams below it."""
        ours = self._translate(error)
        if ours is not error:
            raise ours from error
        raise error from error.__cause__ or error.__context__  # httpcore passes it on with `from None`

    def _translate(self, error: Exception) -> APIError:
        exchange, proxy = self.passage.exchange, self.lane.key.proxy
        if _refused(error):
            exchange.refused = True
        ours = error if isinstance(error, APIError) else translate(error, exchange)
        if proxy is None or exchange.phase not in {"queued", "connect"}:
            return ours
        if isinstance(ours, RequestTimeout) or exchange.aborted or not isinstance(ours, TransportError):
            return ours
        return ProxyError(f"the proxy {proxy.host}:{proxy.port} let nothing through: {ours}")


def _refused(error: BaseException | None) -> bool:
    """Whether HTTP/2 says that the request was not acted on (RFC 9113, section 8.7)."""
    while error is not None:
        for event in error.args:
            kind = type(event).__name__
            if kind == "StreamReset" and event.error_code == _REFUSED_STREAM:
                return True
            if kind == "ConnectionTerminated" and event.last_stream_id == 0:
                return True
        error = error.__cause__
    return False


class Body:
    """The answer's body, as it comes."""

    def __init__(self, hold: Hold, stream: Any, library: Library) -> None:
        self._hold = hold
        self._stream = stream
        self._library = library
        self._chunks: Any = None
        self._closed = False
        self._reading = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        self._reading = True
        try:
            with on_passage(self._hold.passage):
                chunk = await self._hold.guard(self._pull())
        except BaseException as error:
            self._closed = True
            self._hold.drop()
            if isinstance(error, Exception):
                self._hold.reraise(error)
            raise
        finally:
            self._reading = False
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def _pull(self) -> bytes | None:
        if self._chunks is None:
            self._chunks = self._library.iterate(self._stream)
        chunk = await self._library.pull(self._chunks)
        if chunk is None:
            self._closed = True
            await self._library.close(self._stream)
            self._hold.passage.exchange.phase = "done"
            if self._library.leftover(self._hold.lane.transport):
                self._hold.drop()
            else:
                self._hold.keep()
        return chunk

    async def aclose(self) -> None:
        """Give the connection back, or drop it where the body was not read to its end. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._reading:  # another task or thread is at it: it ends, and gives back
            self._hold.passage.exchange.abort()
            return
        try:
            with on_passage(self._hold.passage), suppress(Exception):
                await self._hold.cut(self._chunks)
                await self._library.close(self._stream)
        finally:
            self._hold.drop()
