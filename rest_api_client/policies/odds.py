"""How often retries succeed lately: counted per route over two windows that take turns, with bounded memory.

Samples go into the present window, the share is read from both, and when the present one is full of time the older is
forgotten: a figure rests on the last one to two windows. A route whose retries are refused for their poor odds would
never learn that it has recovered, so a small share of them is let through all the same.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.policies.state import ALLOW, Decision
from rest_api_client.reasons import PROBE, UNLIKELY

WINDOW: Final = 30.0
"""Seconds of one window."""


@dataclass(frozen=True, slots=True)
class Retried:
    """A retry ended: well, or not."""

    ok: bool


@dataclass(frozen=True, slots=True)
class Bet:
    """May a retry be made that needs a chance of `least`?

    Attributes:
        least: the share of retries that must have succeeded lately.
        at_least: retries from which on the share counts.
        probe: the share of hopeless retries that is let through.
    """

    least: float
    at_least: int
    probe: float


@dataclass(frozen=True, slots=True)
class Odds:
    """What is the share? The decision's `value`: None with fewer than `at_least` retries."""

    at_least: int


OddsCommand: TypeAlias = Retried | Bet | Odds


class RetryOdds:
    """One route's retries: pure, told the time."""

    __slots__ = ("_new", "_old", "_probes", "_turn")

    def __init__(self) -> None:
        self._new = [0, 0]
        self._old = [0, 0]
        self._turn = -math.inf
        self._probes = 0.0

    def apply(self, command: OddsCommand, now: float) -> Decision:
        """Count a retry, judge one, or say the share that succeeded."""
        if now >= self._turn:
            self._rotate(now)
        if isinstance(command, Retried):
            self._new[0] += 1
            self._new[1] += command.ok
            return ALLOW
        made, well = self._new[0] + self._old[0], self._new[1] + self._old[1]
        chance = well / made if made and made >= command.at_least else None
        if isinstance(command, Odds) or chance is None or chance >= command.least:
            return Decision("allow", value=chance)
        self._probes += command.probe
        if self._probes < 1 - 1e-9:  # ten tenths are a little less than 1
            return Decision("refuse", reason=UNLIKELY, value=chance)
        self._probes -= 1
        return Decision("allow", reason=PROBE, value=chance)

    def _rotate(self, now: float) -> None:
        late = now >= self._turn + WINDOW
        self._old, self._new = [0, 0] if late else self._new, [0, 0]
        self._turn = (now if late else self._turn) + WINDOW
