"""The permits of a bulkhead in this process, and the line of those who wait for one: see `token_state`."""

from __future__ import annotations

from collections.abc import Callable

from rest_api_client.policies.permits import PermitCommand, Permits
from rest_api_client.policies.priority_queue import PriorityLines
from rest_api_client.policies.token_state import TokenState


class PermitState(TokenState[PermitCommand, PriorityLines]):
    """Permits by key, and the lines to them.

    Args:
        fresh: makes the permits of a key that is new.
        now: monotonic seconds; the same clock for all who share this.
    """

    def __init__(self, fresh: Callable[[], Permits], now: Callable[[], float]) -> None:
        super().__init__(fresh, now, PriorityLines())

    def leave(self, key: str, token: int) -> bool:
        """Take a permit back of which nothing is to be learned; whether somebody waits for one.

        Whoever gets in line meanwhile asks once more from there, and so finds either the permit or this question.
        """
        self.land(key, token)
        return key in self.lines.busy
