"""A limit's memory in this process, and the line of those who wait for it: see `token_state`."""

from __future__ import annotations

from collections.abc import Callable

from rest_api_client.policies.dimensions import Limits
from rest_api_client.policies.quotas import QuotaCommand
from rest_api_client.policies.token_state import TokenState
from rest_api_client.policies.waiting_line import WaitingLines


class QuotaState(TokenState[QuotaCommand, WaitingLines]):
    """Limits by key, and the lines to them.

    Args:
        fresh: makes the limits of a key that is new.
        now: monotonic seconds; the same clock for all who share this.
    """

    def __init__(self, fresh: Callable[[], Limits], now: Callable[[], float]) -> None:
        super().__init__(fresh, now, WaitingLines())
