"""What a policy would do with a request, without doing it: the answers behind `client.explain`.

A policy that can say so has `async def forecast(request, context) -> Forecast`. It looks at its state and changes
nothing: no token is taken, no probe admitted, no line entered. What it says is true for the moment it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.reasons import OK

if TYPE_CHECKING:
    from rest_api_client.context import Context
    from rest_api_client.models import Request

Verdict: TypeAlias = Literal["pass", "wait", "refuse", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What one policy would do now.

    Attributes:
        policy: the policy's name.
        verdict: "pass" hands on; "wait" hands on after `wait` seconds; "refuse" raises, nothing is sent; "answer" gives
            a response of its own, nothing is sent.
        reason: a fixed word or two, the same that events, logs and `response.attempts` carry for this decision.
        text: one sentence for people.
        wait: seconds it would hold the request back, or after which asking again can succeed.
        takes: seconds that an attempt is expected to last, where the policy has learned it.
        facts: what it looked at, as plain data.
    """

    policy: str
    verdict: Verdict = "pass"
    reason: str = OK
    text: str = ""
    wait: float = 0.0
    takes: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Foresighted(Protocol):
    """A policy that can say what it would do."""

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """What it would do with this request now. Changes nothing."""
        ...


def behind(others: int) -> str:
    """The end of a sentence on a wait: how many stand before the request in a line."""
    return f", behind {others} other{'s' * (others > 1)}" if others else ""
