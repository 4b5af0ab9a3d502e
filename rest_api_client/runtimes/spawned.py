"""The task that `Runtime.spawn` returns: an outcome that any number of loops and threads may wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from rest_api_client.runtime import Event, Runtime, TaskCancelled

T = TypeVar("T")


class Spawned(Generic[T]):
    """One spawned task. Whoever runs it calls `succeed` or `fail`; a `fail` after that changes nothing.

    An error is kept for those who join. If nobody joins, nobody hears of it.
    """

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime = runtime
        self._name = name
        self._lock = threading.Lock()
        self._done = False
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._waiting: list[Event] = []
        self.stop: Callable[[], object] = lambda: None

    def succeed(self, result: T) -> None:
        """Keep the result and wake those who joined."""
        with self._lock:
            self._results.append(result)
            self._finish()

    def fail(self, error: BaseException | None) -> None:
        """Keep the error, None for a cancellation, and wake those who joined."""
        with self._lock:
            if not self._done:
                self._error = error or TaskCancelled(f"the task {self._name} was cancelled")
            self._finish()

    def _finish(self) -> None:
        self._done = True
        for event in self._waiting:
            event.set()

    def cancel(self) -> None:
        """Ask the task to end."""
        self.stop()

    async def join(self) -> T:
        """Wait for the result, or raise the error."""
        event = self._register()
        if event is not None:
            try:
                await self._runtime.wait(event)
            finally:
                with self._lock:
                    self._waiting.remove(event)
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _register(self) -> Event | None:
        event = self._runtime.event()
        with self._lock:
            if self._done:
                return None
            self._waiting.append(event)
            return event

    def __repr__(self) -> str:
        return f"<Spawned {self._name}: {'done' if self._done else 'running'}>"
