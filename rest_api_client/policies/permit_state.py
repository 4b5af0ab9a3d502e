"""The permits of a bulkhead in this process, and the line of those who wait for one: one belongs to the other.

Whoever shares the state shares the line, since a permit given back by one client may be what another's call waits for.
A store that many processes share has no lines; each process then has its own.

Most calls find a permit and nobody waiting. For them there is a short way, `enter` and `leave`, to the same count under
the same lock: without a command, a decision or a coroutine. It is a matter of speed alone; `apply` does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_api_client.policies.permits import PermitCommand, Permits
from rest_api_client.policies.priority_queue import PriorityLines
from rest_api_client.policies.state import MemoryState


class PermitState(MemoryState[PermitCommand]):
    """Permits by key, and the lines to them.

    Args:
        fresh: makes the permits of a key that is new.
        now: monotonic seconds; the same clock for all who share this.
    """

    _objects: Any

    def __init__(self, fresh: Callable[[], Permits], now: Callable[[], float]) -> None:
        super().__init__(fresh, now)
        self.lines = PriorityLines()

    def enter(self, key: str) -> int:
        """The token of a permit, if one is free and nobody is overtaken; else 0."""
        if key in self.lines.busy:
            return 0
        self._lock.acquire()
        try:
            permits: Permits | None = self._objects.get(key)
            if permits is None:  # a new key: `apply` begins it
                return 0
            self._objects.move_to_end(key)
            return permits.enter()
        finally:
            self._lock.release()

    def leave(self, key: str, token: int) -> bool:
        """Take a permit back of which nothing is to be learned; whether somebody waits for one."""
        self._lock.acquire()
        try:
            permits: Permits | None = self._objects.get(key)
            if permits is not None:
                permits.leave(token)
        finally:
            self._lock.release()
        return key in self.lines.busy
