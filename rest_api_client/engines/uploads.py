"""Uploads for an engine whose threads are not Python's.

Rust asks for the next chunk from a thread of its own. Were it inside a user's generator then, a source that hangs would
hang the engine, and an interpreter that ends meanwhile would take the process down (SIGABRT). So the source is read in
a daemon thread of ours, one chunk ahead, and Rust's thread only ever waits for that one, no longer than the deadline.
`stop` ends it at once, from any thread; at exit all uploads under way are stopped and waited for.

An upload that was stopped fails, it does not end: its server must not take half a body for a whole one.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextvars import copy_context
from typing import Protocol

from rest_api_client.clock import Clock
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.transport import Exchange

_AT_EXIT = 1.0
"""Seconds that the exit of the process waits for an engine to notice that an upload was stopped."""


class UploadStopped(Exception):
    """The exchange is over; there is nothing more to send. Seen by the engine only."""


class Stoppable(Protocol):
    """An upload under way."""

    def stop(self) -> None:
        """Let the engine's next wish for a chunk fail, one that waits now included. From any thread."""
        ...

    def finish(self) -> None:
        """The exchange has ended: the engine asks for nothing more."""
        ...


class Upload:
    """A sync iterator's chunks, read in a thread of ours from the moment the first one is asked for."""

    def __init__(self, chunks: Iterator[bytes], length: int | None, exchange: Exchange, clock: Clock) -> None:
        self._chunks = _Measured(length).each(chunks)
        self._exchange = exchange
        self._clock = clock
        self._changed = threading.Condition()
        self._next: list[bytes | Exception] = []
        self._begun = self._stopped = self._finished = False
        with _lock:
            _under_way.add(self)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._begun:
            self._begun = True
            context = copy_context()
            self._clock.start(lambda: context.run(self._read), name="upload")
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._next, self._exchange.remaining)
            if self._stopped or not self._next:
                raise UploadStopped
            chunk = self._next.pop()
            self._changed.notify_all()
        if isinstance(chunk, Exception):
            raise chunk
        self._exchange.bytes_sent += len(chunk)
        return chunk

    def _read(self) -> None:
        try:
            for chunk in self._chunks:
                if not self._offer(chunk):
                    return
        except Exception as error:  # it belongs to whoever sends the body
            self._offer(error)
        else:
            self._offer(StopIteration())

    def _offer(self, chunk: bytes | Exception) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._next)
            if self._stopped:
                return False
            self._next.append(chunk)
            self._changed.notify_all()
            return True

    def stop(self) -> None:
        """Let the engine's next wish for a chunk fail, and the reading thread end at its next chunk."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def finish(self) -> None:
        """The exchange has ended: nothing more is read."""
        with self._changed:
            self._stopped = self._finished = True
            self._changed.notify_all()

    def wait_until_finished(self, seconds: float) -> bool:
        """Block until `finish` was called, or so long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._finished, seconds)


class AsyncUpload:
    """An async iterator's chunks, read in the loop that sends them."""

    def __init__(self, chunks: AsyncIterator[bytes], length: int | None, exchange: Exchange) -> None:
        self._chunks = chunks
        self._measured = _Measured(length)
        self._exchange = exchange
        self._stopped = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._measured.each_async(self._chunks):
            if self._stopped:
                raise UploadStopped
            self._exchange.bytes_sent += len(chunk)  # before: behind the last chunk nobody asks again
            yield chunk

    def stop(self) -> None:
        """Let the engine's next wish for a chunk fail."""
        self._stopped = True

    finish = stop


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


_under_way: weakref.WeakSet[Upload] = weakref.WeakSet()
_lock = threading.Lock()


def stop_all() -> None:
    """Stop every upload, and wait until their engines are out of Python. Called when the process exits."""
    with _lock:
        uploads = list(_under_way)
    for upload in uploads:
        upload.stop()
    for upload in uploads:
        upload.wait_until_finished(_AT_EXIT)


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _under_way.clear()


atexit.register(stop_all)
if hasattr(os, "register_at_fork"):  # pragma: no branch  Windows has no fork
    os.register_at_fork(after_in_child=_forget)
