"""An answer whose body is read as it comes.

Both classes show the same response; one iterates with `for`, the other with `async for`, over the same generators of
`http.streaming`. The body can be read once. Leaving the block of `client.stream(...)` gives the connection back: to the
pool where the body was read to its end, else it is dropped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from rest_api_client.attempts import close
from rest_api_client.exceptions import ClosedError
from rest_api_client.http import streaming
from rest_api_client.http.bodies import finish, finish_both
from rest_api_client.http.headers import Headers
from rest_api_client.http.streaming import ServerSentEvent
from rest_api_client.models import Attempt, Response
from rest_api_client.policies.reading import read
from rest_api_client.runtimes.sync import SyncRuntime

ReaderT = TypeVar("ReaderT")


class _Unread:
    """The head of the answer, and its chunks, once."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self._readers: list[Any] = []

    @property
    def status_code(self) -> int:
        """The status."""
        return self.response.status_code

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return self.response.reason

    @property
    def headers(self) -> Headers:
        """The fields as received."""
        return self.response.headers

    @property
    def url(self) -> str:
        """Where the answer came from."""
        return self.response.url

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.response.ok

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """One record per request put on the wire for this call."""
        return self.response.attempts

    @property
    def http_version(self) -> str | None:
        """HTTP/1.1 or HTTP/2, or None where the engine does not tell."""
        return self.response.http_version

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        stream = self.response.stream
        if self.response.buffered:
            yield self.response.content
            return
        if stream is None:
            raise ClosedError("the body was read or closed already: a stream can be read once")
        self.response.stream = None
        chunks = aiter(stream)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await finish_both(chunks, stream)

    def _keep(self, reader: ReaderT) -> ReaderT:
        """Remember an iterator, since its user may drop it half-way: what it holds is given back with the block."""
        self._readers.append(reader)
        return reader

    def _bytes(self) -> AsyncGenerator[bytes, None]:
        return self._keep(self._chunks())

    def _text(self) -> AsyncIterator[str]:
        return self._keep(streaming.text(self._bytes(), self.response.encoding))

    def _lines(self) -> AsyncIterator[str]:
        return self._keep(streaming.lines(self._bytes(), self.response.encoding))

    def _ndjson(self) -> AsyncIterator[Any]:
        return self._keep(streaming.ndjson(self._bytes()))

    def _events(self) -> AsyncIterator[ServerSentEvent]:
        return self._keep(streaming.events(self._bytes()))

    async def _close(self) -> None:
        readers, self._readers = self._readers, []
        async with AsyncExitStack() as held:  # the last reader first, and all of them, whatever becomes of one
            held.push_async_callback(close, self.response)
            for reader in readers:
                held.push_async_callback(finish, reader)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.response!r}>"


class StreamedResponse(_Unread):
    """The answer of `APIClient.stream`."""

    def __init__(self, response: Response, runtime: SyncRuntime) -> None:
        super().__init__(response)
        self._runtime = runtime

    def iter_bytes(self) -> Iterator[bytes]:
        """The decoded body in pieces of at most 64 KiB, as they come."""
        return self._runtime.iterate(self._bytes())

    def iter_text(self) -> Iterator[str]:
        """The body as text; characters split over two pieces are put together."""
        return self._runtime.iterate(self._text())

    def iter_lines(self) -> Iterator[str]:
        r"""The body's lines without their ends (\\n, \\r\\n or \\r)."""
        return self._runtime.iterate(self._lines())

    def iter_ndjson(self) -> Iterator[Any]:
        """One parsed value per line (NDJSON, JSON Lines); blank lines are skipped.

        Raises:
            DecodeError: a line that is no JSON; the message gives its number.
        """
        return self._runtime.iterate(self._ndjson())

    def iter_events(self) -> Iterator[ServerSentEvent]:
        """Server-sent events, as the WHATWG HTML standard reads them."""
        return self._runtime.iterate(self._events())

    def read(self) -> Response:
        """Read the rest of the body; gives the whole response."""
        return self._runtime.run(read(self.response))

    def close(self) -> None:
        """Give the connection back. Idempotent."""
        self._runtime.run(self._close())


class AsyncStreamedResponse(_Unread):
    """The answer of `AsyncAPIClient.stream`."""

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The decoded body in pieces of at most 64 KiB, as they come."""
        return self._bytes()

    def aiter_text(self) -> AsyncIterator[str]:
        """The body as text; characters split over two pieces are put together."""
        return self._text()

    def aiter_lines(self) -> AsyncIterator[str]:
        r"""The body's lines without their ends (\\n, \\r\\n or \\r)."""
        return self._lines()

    def aiter_ndjson(self) -> AsyncIterator[Any]:
        """One parsed value per line (NDJSON, JSON Lines); blank lines are skipped.

        Raises:
            DecodeError: a line that is no JSON; the message gives its number.
        """
        return self._ndjson()

    def aiter_events(self) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events, as the WHATWG HTML standard reads them."""
        return self._events()

    async def aread(self) -> Response:
        """Read the rest of the body; gives the whole response."""
        return await read(self.response)

    async def aclose(self) -> None:
        """Give the connection back. Idempotent."""
        await self._close()
