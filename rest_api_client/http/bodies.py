"""Request bodies: what can be sent again, and what cannot.

A body is bytes, replayable (a file that seeks back, a factory that makes it anew) or one-shot (an iterator that is gone
once read). Only the first two may be sent a second time; `open` says so before anything is sent, so that no server ever
receives an empty or half body in the place of a used-up one.
"""

from __future__ import annotations

import io
import stat
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import AsyncGeneratorType, GeneratorType
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias, cast

from rest_api_client.exceptions import ClosedError, ConfigurationError
from rest_api_client.typing import ContentTypes, Progress

if TYPE_CHECKING:
    from rest_api_client.transport import ByteStream

CHUNK = 65536
"""Bytes read from a file at once."""

Chunks: TypeAlias = Iterator[bytes] | AsyncIterator[bytes]


class Body(Protocol):
    """What a request carries."""

    @property
    def length(self) -> int | None:
        """Bytes in all, or None where that is not known before it was read (it is then sent chunked)."""
        ...

    @property
    def replayable(self) -> bool:
        """Whether `open` may be called again."""
        ...

    def open(self) -> Chunks:
        """The chunks from the start. An `AsyncIterator` only if the caller gave one.

        Raises:
            ClosedError: a one-shot body that was opened before.
        """
        ...


class BytesBody:
    """A body in memory."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def length(self) -> int:
        """Bytes in all."""
        return len(self.data)

    @property
    def replayable(self) -> bool:
        """Always."""
        return True

    def open(self) -> Iterator[bytes]:
        """All of it, at once."""
        return iter((self.data,) if self.data else ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BytesBody) and other.data == self.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"<BytesBody {len(self.data)} bytes>"


EMPTY = BytesBody(b"")


class LostBody:
    """What is left of a body that lives in one process alone, in a pickle or a deep copy of its request."""

    replayable = False

    def __init__(self, length: int | None) -> None:
        self.length = length

    def open(self) -> Chunks:
        """Nothing that could be sent.

        Raises:
            ClosedError: always.
        """
        raise ClosedError("this body stayed in the process it was made in: give bytes or a Path to send it from here")


class Local:
    """A body that a pickle or a deep copy of its request does without: an error about an upload must travel."""

    length: int | None

    def __reduce__(self) -> tuple[type[LostBody], tuple[int | None]]:
        return LostBody, (self.length,)


class FileBody(Local):
    """A binary file from where it stands: rewound for each attempt if it can seek, else one-shot. Never closed here.

    What is sent ends where the file ended when the request was built, so that a file that grows meanwhile does not
    overrun its announced length. Two attempts at once would share one position: give a Path where a call is hedged.
    """

    def __init__(self, file: IO[bytes]) -> None:
        # By its encoding, not its mode: gzip says 1 there, members of archives say "r", and both give bytes.
        if isinstance(file, io.TextIOBase) or getattr(file, "encoding", None) is not None:
            raise ConfigurationError(f"{file!r} is open as text: open it with mode 'rb'")
        self._file = file
        self._used = False
        try:
            if not getattr(file, "readable", lambda: True)():
                raise ConfigurationError(f"{file!r} is open for writing alone: open it with mode 'rb'")
            self.replayable = bool(getattr(file, "seekable", lambda: False)())
            self._start = file.tell() if self.replayable else 0
            self.length = self._measure()
        except ConfigurationError:
            raise
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot read {file!r}: {error}") from error

    def _measure(self) -> int | None:
        if not self.replayable:
            return None
        end = self._file.seek(0, io.SEEK_END)
        self._file.seek(self._start)
        return max(0, end - self._start)

    def open(self) -> Iterator[bytes]:
        """The file's bytes from where it stood when the request was built."""
        if self._used and not self.replayable:
            raise ClosedError(
                "this file cannot seek back and was sent already: give bytes, or a callable that opens it"
            )
        self._used = True
        try:
            if self.replayable:
                self._file.seek(self._start)
        except (OSError, ValueError) as error:
            raise ClosedError(f"cannot read {self._file!r} again: {error}") from error
        return _read(self._file, self.length)


class PathBody:
    """A file by its path, opened anew for each attempt."""

    def __init__(self, path: Path) -> None:
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot read {str(path)!r}: {error}") from error
        if stat.S_ISDIR(status.st_mode):
            raise ConfigurationError(f"{str(path)!r} is a directory: give the path of a file")
        self._path = path
        # A pipe or device says size 0 and is gone once read.
        self.replayable = stat.S_ISREG(status.st_mode)
        self.length: int | None = status.st_size if self.replayable else None
        self._used = False

    def open(self) -> Iterator[bytes]:
        """The file's bytes, as many as it had when the request was built."""
        if self._used and not self.replayable:
            raise ClosedError(f"{str(self._path)!r} can be read only once and was sent already: give bytes")
        self._used = True
        return self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        try:
            file = self._path.open("rb")
        except OSError as error:
            raise ClosedError(f"cannot read {str(self._path)!r}: {error}") from error
        with file:
            yield from _read(file, self.length)


def _read(file: IO[bytes], length: int | None) -> Iterator[bytes]:
    left = length
    while left is None or left > 0:
        chunk = file.read(CHUNK if left is None else min(CHUNK, left))
        if not isinstance(chunk, bytes | bytearray):
            raise ConfigurationError(f"{file!r} gave {type(chunk).__name__} instead of bytes: open it with mode 'rb'")
        if not chunk:
            return
        if left is not None:
            left -= len(chunk)
        yield bytes(chunk)


class FactoryBody(Local):
    """A body made anew for each attempt by a callable; a file that it opens is closed once it was read."""

    replayable = True

    def __init__(self, make: Callable[[], Iterable[bytes] | AsyncIterable[bytes]], length: int | None = None) -> None:
        self._make = make
        self._made: object = None
        self.length = length

    def open(self) -> Chunks:
        """What the callable makes, now.

        Raises:
            ClosedError: it gave the same iterator as before, which is used up.
            ConfigurationError: it gave something that is no body.
        """
        made = self._make()
        if made is self._made and isinstance(made, Iterator | AsyncIterator):
            raise ClosedError("the callable gave the iterator that was sent already: have it make a new one each time")
        self._made = made
        return _iterate(made)


class OneShotBody(Local):
    """An iterator that is gone once read; never sent twice."""

    replayable = False

    def __init__(self, source: Iterable[bytes] | AsyncIterable[bytes], length: int | None = None) -> None:
        self._source: Iterable[bytes] | AsyncIterable[bytes] | None = source
        self.length = length

    def open(self) -> Chunks:
        """The chunks, once."""
        source, self._source = self._source, None
        if source is None:
            raise ClosedError(
                "this body can be read only once and was sent already: give a callable that makes it anew"
            )
        return _iterate(source)


class ProgressBody(Local):
    """A body that tells how much of it was handed to the engine; counts from 0 again for each attempt."""

    def __init__(self, body: Body, progress: Progress) -> None:
        self._body = body
        self._progress = progress
        self.length = body.length
        self.replayable = body.replayable

    def open(self) -> Chunks:
        """The same chunks, counted."""
        chunks = self._body.open()
        return self._count(chunks) if isinstance(chunks, Iterator) else self._acount(chunks)

    def _count(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        sent = 0
        for chunk in chunks:
            yield chunk
            sent += len(chunk)
            self._progress(sent, self.length)

    async def _acount(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        sent = 0
        try:
            async for chunk in chunks:
                yield chunk
                sent += len(chunk)
                self._progress(sent, self.length)
        finally:
            await finish(chunks)


def _iterate(source: object) -> Chunks:
    if isinstance(source, AsyncIterable):
        return _atake(cast("AsyncIterable[object]", source))
    if isinstance(source, bytes | bytearray | memoryview):
        return iter((bytes(source),))
    if hasattr(source, "read"):
        return _drain(cast("IO[bytes]", source))
    if isinstance(source, Iterable) and not isinstance(source, str | Mapping):
        return _take(cast("Iterable[object]", source))
    raise ConfigurationError(f"a body must be an iterable of bytes, got {type(source).__name__}")


def _drain(file: IO[bytes]) -> Iterator[bytes]:
    try:
        yield from _read(file, None)
    finally:
        file.close()


def _take(source: Iterable[object]) -> Iterator[bytes]:
    for chunk in source:
        if piece := chunk if type(chunk) is bytes else _piece(chunk):
            yield piece


async def _atake(source: AsyncIterable[object]) -> AsyncIterator[bytes]:
    chunks = aiter(source)
    try:
        async for chunk in chunks:
            if piece := _piece(chunk):
                yield piece
    finally:
        await finish(chunks)


async def finish(chunks: object) -> None:
    """End an iterator that may be an async generator: left suspended, the collector would end it, in any loop."""
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


async def finish_both(chunks: object, stream: ByteStream) -> None:
    """End an iterator, then the stream it came from: that one also where the first fails or is cancelled."""
    try:
        if chunks is not stream:
            await finish(chunks)
    finally:
        await stream.aclose()


def _piece(chunk: object) -> bytes:
    """One chunk; an empty one is left out by the caller, since on the wire it would end a chunked body."""
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise ConfigurationError(f"a chunk of the body is {type(chunk).__name__}: give bytes; text needs encode()")
    return bytes(chunk)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"a text with half a surrogate pair is no UTF-8: {error.reason}") from error


def _used_up(content: object) -> bool:
    if isinstance(content, GeneratorType):
        return content.gi_frame is None
    return isinstance(content, AsyncGeneratorType) and content.ag_frame is None


def raw_body(content: ContentTypes) -> Body:
    """The body for `content=`.

    Raises:
        ConfigurationError: a type that cannot be sent, a text file, or a file that is not there.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        return BytesBody(bytes(content))
    if isinstance(content, str):
        return BytesBody(_utf8(content))
    if isinstance(content, Path):
        return PathBody(content)
    if _used_up(content):
        raise ConfigurationError("content= is a generator that was used up already: make a new one for each call")
    if isinstance(content, AsyncIterable):
        return OneShotBody(content)
    if hasattr(content, "read"):
        return FileBody(cast("IO[bytes]", content))
    if callable(content):
        return FactoryBody(content)
    if isinstance(content, list | tuple):
        return BytesBody(b"".join(_piece(chunk) for chunk in cast("Iterable[object]", content)))
    if isinstance(content, Iterable) and not isinstance(content, Mapping):
        return OneShotBody(content)
    hint = "; a dict goes to json= or data=" if isinstance(content, Mapping) else ""
    raise ConfigurationError(
        f"content={type(content).__name__}: give bytes, str, a binary file, a Path, an iterable of bytes or a callable"
        + hint
    )
