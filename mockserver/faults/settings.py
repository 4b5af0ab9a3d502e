"""The short ways to say what goes wrong: errors by probability, a dead period. Each is a value, decided in plain code.

Whether a fault strikes is never drawn from a stream but computed from the seed and the request (see `chance`).
"""

from __future__ import annotations

import math

from rest_api_client.lazy_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Some requests are answered with a 5xx before anything is done.

    Args:
        probability: from 0 (never) to 1 (always).
        status: 500 to 599.
        retry_after: seconds for a `Retry-After` header; None sends none.
    """

    probability: float
    status: int = 503
    retry_after: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"Errors.probability must lie between 0 and 1, not {self.probability!r}")
        _check_status("Errors.status", self.status)
        if self.retry_after is not None and self.retry_after < 0:
            raise ValueError(f"Errors.retry_after must be None or at least 0 seconds, not {self.retry_after!r}")


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A dead period: every request of a span of time fails, whoever sends it.

    Args:
        start: seconds after the first request arrived (0: dead from the first request on). Counted from there and
            not from the server's start, because only the client knows when it begins.
        duration: how many seconds it lasts.
        status: answered with this 5xx and no `Retry-After`, as a gateway does whose service has gone.
        reset: instead, cut the connection with a TCP RST.
    """

    start: float
    duration: float
    status: int = 503
    reset: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.start < math.inf:
            raise ValueError(f"Outage.start must be at least 0 seconds, not {self.start!r}")
        if not 0 < self.duration < math.inf:
            raise ValueError(f"Outage.duration must be above 0 seconds, not {self.duration!r}")
        _check_status("Outage.status", self.status)

    def covers(self, since_first: float) -> bool:
        """Whether a request arriving that many seconds after the first one meets it."""
        return self.start <= since_first < self.start + self.duration


def _check_status(name: str, status: int) -> None:
    if not 500 <= status <= 599:
        raise ValueError(f"{name} must be a 5xx status, not {status!r}")
