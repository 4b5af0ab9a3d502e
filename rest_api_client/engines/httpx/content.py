"""A request's body as httpx takes it: opened before anything is sent, and closed whether or not it was read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol, cast

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.bodies import Body, Chunks


class Content(Protocol):
    """A request's body as httpx takes it.

    Attributes:
        failure: what the user's own iterator raised.
    """

    failure: Exception | None

    async def aclose(self) -> None:
        """End the user's iterator, read or not."""
        ...


class _OpenBody:
    """A body whose iterator is opened before anything is sent, and anew where httpcore sends it once more."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._chunks: Chunks | None = None
        self._fresh = False
        self.failure: Exception | None = None

    def open(self) -> Chunks:
        self._chunks = self._body.open()
        self._fresh = True
        return self._chunks

    def _take(self) -> Chunks:
        chunks = self._chunks if self._fresh and self._chunks is not None else self.open()
        self._fresh = False
        return chunks

    async def aclose(self) -> None:
        """End the user's iterator."""
        chunks = self._chunks
        if isinstance(chunks, AsyncIterator):
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        elif (close := getattr(chunks, "close", None)) is not None:
            close()


class SyncContent(_OpenBody):
    """What the sync half sends; the library mixes in its own stream class."""

    def open(self) -> Chunks:
        """Open the body.

        Raises:
            ConfigurationError: it is an async iterator.
        """
        chunks = super().open()
        if isinstance(chunks, AsyncIterator):
            raise ConfigurationError("a sync client cannot send an async iterator: give a plain one, bytes or a file")
        return chunks

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._take()
        assert isinstance(chunks, Iterator)
        return _Chunks(self, chunks)


class AsyncContent(_OpenBody):
    """What the async half sends; the library mixes in its own stream class."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Chunks(self, self._take())


class _Chunks:
    """The body's chunks; what the user's iterator raises is remembered as theirs."""

    def __init__(self, content: _OpenBody, chunks: Chunks) -> None:
        self._content = content
        self._chunks: Any = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return cast("bytes", next(self._chunks))
        except StopIteration:
            raise
        except Exception as error:
            self._content.failure = error
            raise

    async def __anext__(self) -> bytes:
        if not isinstance(self._chunks, AsyncIterator):
            try:
                return self.__next__()
            except StopIteration:
                raise StopAsyncIteration from None
        try:
            return cast("bytes", await anext(self._chunks))
        except StopAsyncIteration:
            raise
        except Exception as error:
            self._content.failure = error
            raise
