"""Uploads for an engine whose threads are not Python's.

Rust asks for the next chunk from a thread of its own. Were it inside a user's generator then, a source that hangs would
hang the engine, and an interpreter that ends meanwhile would take the process down (SIGABRT). So the source is read in
a daemon thread of ours, a megabyte ahead at most, and Rust's thread only ever waits for that one, no longer than
the deadline. `stop` ends it at once, from any thread; at exit all uploads under way are stopped and waited for,
and so is whatever thread of Rust's is still telling a loop something.

An upload that was stopped fails, it does not end: its server must not take half a body for a whole one.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any

from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.transport import Exchange

AT_EXIT = 1.0
"""Seconds that the exit of the process waits for an engine to notice that its uploads were stopped."""
AHEAD = 1024 * 1024
"""Bytes that a source may be ahead: for two threads to take turns costs more than to send a chunk."""
_GLANCE = 0.002
_STRANGERS = 0.1
"""Seconds that it waits, at most, for threads that Python did not start to leave it."""


class UploadStopped(Exception):
    """The exchange is over; there is nothing more to send. Seen by the engine only."""


class Source:
    """A sync iterator, read in a thread of ours from the moment the first chunk is asked for."""

    def __init__(self, chunks: Iterator[bytes], length: int | None, exchange: Exchange, clock: Clock) -> None:
        self._chunks = chunks if length is None else _Measured(length).each(chunks)
        self._exchange = exchange
        self._clock = clock
        self._ready: SimpleQueue[bytes | Exception | None] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()  # an Event would cost its waiter two turns more
        self._read = self._taken = 0
        self._full = self._stopped = False

    def upload(self) -> Iterator[bytes]:
        """What the engine is given: the chunks, in whatever thread it asks for them.

        The next one blocks until it is there, the deadline passed or `stop` was called; then it is `UploadStopped`.
        """
        upload = self._give()
        with _lock:
            _handed[upload] = self
        return upload

    def _give(self) -> Generator[bytes, None, None]:
        # As long as chunks are there it calls nothing that is written in Python: in a thread that Python does not know,
        # a frame is the first and the last of its stack, whose memory is mapped and unmapped each time.
        context = copy_context()
        self._clock.start(lambda: context.run(self._pour), name="upload")
        exchange, now = self._exchange, self._clock.monotonic
        while True:
            left = None if exchange.deadline is None else max(0.0, exchange.deadline - now())
            try:
                chunk = self._ready.get(True, left)
            except Empty:
                raise UploadStopped from None
            if self._stopped:
                raise UploadStopped
            if chunk is None:
                return
            if isinstance(chunk, Exception):
                raise chunk
            self._taken += len(chunk)
            if self._full and self._read == self._taken:
                self._full = False
                self._room.put(None)
            exchange.bytes_sent += len(chunk)
            yield chunk

    def _pour(self) -> None:
        try:
            for chunk in self._chunks:
                self._read += len(chunk)
                self._ready.put(chunk)
                if self._read - self._taken >= AHEAD:
                    self._wait()
                if self._stopped:
                    return
        except Exception as error:  # it belongs to whoever sends the body
            self._ready.put(error)
        else:
            self._ready.put(None)

    def _wait(self) -> None:
        """Wait until all is taken: a source that went on with every chunk that is would take turns with the engine."""
        self._full = True
        # Looked at after that was said, so that either this sees what was taken or `_give` wakes it.
        while self._read != self._taken and not self._stopped:
            self._room.get()
            self._full = True

    def stop(self) -> None:
        """Let the engine's next wish for a chunk fail, and the reading thread end at its next one. From any thread."""
        self._stopped = True
        self._ready.put(None)
        self._room.put(None)


class AsyncSource:
    """An async iterator, read in the loop that sends it."""

    def __init__(self, chunks: AsyncIterator[bytes], length: int | None, exchange: Exchange) -> None:
        self._chunks = _Measured(length).each_async(chunks)
        self._exchange = exchange
        self._stopped = False

    def upload(self) -> AsyncIterator[bytes]:
        """What the engine is given: the chunks."""
        upload = _AsyncUpload(self)
        with _lock:
            _handed[upload] = self
        return upload

    async def take(self) -> bytes:
        """The next chunk.

        Raises:
            StopAsyncIteration: the source has ended.
            UploadStopped: `stop` was called.
        """
        chunk = await anext(self._chunks)
        if self._stopped:
            raise UploadStopped
        self._exchange.bytes_sent += len(chunk)
        return chunk

    def stop(self) -> None:
        """Let the engine's next wish for a chunk fail."""
        self._stopped = True


class _AsyncUpload:
    def __init__(self, source: AsyncSource) -> None:
        self._source = source

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        source = self._source
        del self  # the traceback of an error would keep it alive
        return await source.take()


class _Measured:
    """Holds a body to the length that its header names.

    The engine stops asking once it has so many bytes, so the last chunk is held back until the source has said that it
    is the last.
    """

    def __init__(self, length: int | None) -> None:
        self._length = length
        self._size = 0
        self._held: bytes | None = None

    def each(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if (ready := self._take(chunk)) is not None:
                yield ready
        if self._held is not None:
            yield self._held

    async def each_async(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            if (ready := self._take(chunk)) is not None:
                yield ready
        if self._held is not None:
            yield self._held

    def _take(self, chunk: bytes) -> bytes | None:
        if self._length is None:
            return chunk
        self._size += len(chunk)
        if self._size > self._length:
            raise ConfigurationError(
                f"the body is longer than its length of {self._length} bytes: correct content-length"
            )
        ready, self._held = self._held, chunk
        return ready


_handed: weakref.WeakKeyDictionary[Any, Source | AsyncSource] = weakref.WeakKeyDictionary()
"""What the engine alone holds: as long as it lives, the engine may still call into Python."""
_lock = threading.Lock()


def stop_all(clock: Clock = SYSTEM) -> None:
    """Stop every upload, and wait until the engines have let go of them."""
    with _lock:
        sources = list(_handed.values())
    for source in sources:
        source.stop()
    until = clock.monotonic() + AT_EXIT
    while _handed and clock.monotonic() < until:
        clock.sleep(_GLANCE)


def leave(clock: Clock = SYSTEM) -> None:
    """Stop every upload, and wait until no thread of Rust's is in Python. Called when the process exits.

    One that comes in, or is in, when the interpreter is gone ends the process by SIGABRT. So it is given a moment to
    come, and then as long as it takes, within limits: a debugger's threads are strangers, too.
    """
    stop_all(clock)
    until = clock.monotonic() + _STRANGERS
    clock.sleep(_GLANCE)
    while _strangers() and clock.monotonic() < until:
        clock.sleep(_GLANCE)


def _strangers() -> set[int]:
    known = {thread.ident for thread in threading.enumerate()}
    return {ident for ident in sys._current_frames() if ident not in known}  # noqa: SLF001  it is documented


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _handed.clear()


atexit.register(leave)
if hasattr(os, "register_at_fork"):  # pragma: no branch  Windows has no fork
    os.register_at_fork(after_in_child=_forget)
