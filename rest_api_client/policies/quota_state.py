"""A limit's memory in this process, and the line of those who wait for it: one belongs to the other.

Whoever shares the state shares the line, so that two clients, or a client and a `Limiter`, are served in one order and
hear of what the other gave back. A store that many processes share has no lines; each process then has its own.

Most requests find nobody waiting and enough left. For them there is a short way, `take` and `end`, to the same pure
object under the same lock: without a command, a decision or a coroutine. It is a matter of speed alone; `apply` does
the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_api_client.policies.dimensions import Limits
from rest_api_client.policies.quotas import Costs, QuotaCommand
from rest_api_client.policies.state import MemoryState
from rest_api_client.policies.waiting_line import WaitingLines


class QuotaState(MemoryState[QuotaCommand]):
    """Limits by key, and the lines to them.

    Args:
        fresh: makes the limits of a key that is new.
        now: monotonic seconds; the same clock for all who share this.
    """

    _objects: Any

    def __init__(self, fresh: Callable[[], Limits], now: Callable[[], float]) -> None:
        super().__init__(fresh, now)
        self.lines = WaitingLines()

    def take(self, key: str, costs: Costs) -> int:
        """A token, if there is one for whoever comes now and nobody is overtaken; else 0."""
        if key in self.lines.busy and any(costs):
            return 0
        self._lock.acquire()
        try:
            limits: Limits | None = self._objects.get(key)
            if limits is None:  # a new key: `apply` begins it
                return 0
            if len(self._objects) > 1:
                self._objects.move_to_end(key)
            return limits.take(costs, self._now())
        finally:
            self._lock.release()

    def end(self, key: str, token: int) -> None:
        """Take a token back, with what it was taken for; see `Limits.end`."""
        self._lock.acquire()
        try:
            limits: Limits | None = self._objects.get(key)
            if limits is not None:
                limits.end(token, None, self._now())
        finally:
            self._lock.release()
