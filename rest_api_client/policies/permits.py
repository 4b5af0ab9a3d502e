"""Permits: how many calls may be under way at once, as a count that knows whom it admitted.

Each permit has a token that no other permit of any count in this process has. What is given back must be out: a token
of a count that was forgotten since (too many keys, a fork) frees nothing, so that the count is never below the truth.
"""

from __future__ import annotations

from itertools import count
from typing import Final, TypeAlias

from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.policies.quotas import ONE, Costs
from rest_api_client.policies.state import ALLOW, Decision
from rest_api_client.reasons import QUEUED


@dataclass(frozen=True, slots=True)
class Enter:
    """May one more call be under way?"""


@dataclass(frozen=True, slots=True)
class Leave:
    """A call is over.

    Attributes:
        token: its permit.
        latency: seconds its answer took, or None where that says nothing about the server. Of a call that was dropped:
            seconds after which its deadline cut it off, or None where the server itself ended it.
        dropped: whether the server failed it, asked for fewer, or did not answer in time.
    """

    token: int
    latency: float | None = None
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Peek:
    """Would one more be admitted now? The decision's `value` is the limit."""


PermitCommand: TypeAlias = Enter | Leave | Peek
ENTER: Final = Enter()
PEEK: Final = Peek()
FULL: Final = Decision("wait", reason=QUEUED)

_tokens = count(1)


class Permits:
    """A count with a limit, which may be changed at any time: pure. A lower limit is reached as calls leave."""

    __slots__ = ("_free", "_out", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free: list[int] = []
        self._out: set[int] = set()

    @property
    def inside(self) -> int:
        """How many permits are out."""
        return len(self._out)

    def apply(self, command: PermitCommand, now: float) -> Decision:
        """Carry out a command."""
        if isinstance(command, Enter):
            token = self.take(now)
            return Decision("allow", token=token) if token else FULL
        if isinstance(command, Leave):
            self.land(command.token, now)
            return ALLOW
        return Decision("wait" if self.inside >= self.limit else "allow", value=self.limit)

    def take(self, now: float, costs: Costs = ONE) -> int:
        """The token of a permit, or 0 where none is left."""
        if len(self._out) >= self.limit:
            return 0
        token = self._free.pop() if self._free else next(_tokens)
        self._out.add(token)
        return token

    def land(self, token: int, now: float) -> bool:
        """Take a permit back; False if it is not one that is out."""
        if token not in self._out:
            return False
        self._out.remove(token)
        self._free.append(token)
        return True
