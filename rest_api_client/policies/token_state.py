"""Tokens that are taken and come back, by key, in this process.

Most requests find nobody waiting and enough left. For them there is a short way to the same pure object that `apply`
asks: without a command, a decision or a coroutine, and with the lock taken once. A token is taken under it; one that
comes back is only noted, with its moment, and counted before whatever comes next. It is a matter of speed alone:
`apply` does the same.

Each kind has the lines of those who wait, too: whoever shares the state shares the lines, so that all are served in one
order and hear of what another gave back. A store that many processes share has none; each process has its own then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from typing import Any, Generic, Protocol, TypeVar

from rest_api_client.policies.quotas import ONE, Costs
from rest_api_client.policies.state import CommandT, CommandT_contra, Decision, MemoryState, PureState


class Tokens(PureState[CommandT_contra], Protocol[CommandT_contra]):
    """What gives tokens out and takes them back."""

    def take(self, now: float, costs: Costs = ONE, /) -> int:
        """The number of a token, or 0 where one has to wait for it."""
        ...

    def land(self, token: int, now: float, /) -> object:
        """Take a token back that was used, at that moment. Each is counted once, whoever says so how often."""
        ...


class Lines(Protocol):
    """Those who wait."""

    @property
    def busy(self) -> Container[str]:
        """The keys that somebody waits for."""
        ...


LinesT = TypeVar("LinesT", bound=Lines)


class TokenState(MemoryState[CommandT], Generic[CommandT, LinesT]):
    """Tokens by key.

    Args:
        fresh: makes the tokens of a key that is new.
        now: monotonic seconds; the same clock for all who share this.
        lines: where those stand who wait for one.
    """

    _objects: Any

    def __init__(self, fresh: Callable[[], Tokens[CommandT]], now: Callable[[], float], lines: LinesT) -> None:
        super().__init__(fresh, now)
        self.lines = lines
        self._landed: deque[tuple[str, int, float]] = deque()

    def _apply(self, key: str, command: CommandT) -> Decision:
        self._count()
        return super()._apply(key, command)

    def take(self, key: str, costs: Costs = ONE) -> int:
        """A token, if there is one for whoever comes now and nobody is overtaken; else 0: `apply` says why."""
        if key in self.lines.busy and any(costs):
            return 0
        self._lock.acquire()
        try:
            if self._landed:
                self._count()
            tokens: Tokens[CommandT] | None = self._objects.get(key)
            if tokens is None:  # a new key: `apply` begins it
                return 0
            if len(self._objects) > 1:
                self._objects.move_to_end(key)
            return tokens.take(self._now(), costs)
        finally:
            self._lock.release()

    def land(self, key: str, token: int) -> None:
        """A token comes back that was used now."""
        self._landed.append((key, token, self._now()))

    def _count(self) -> None:
        """Under the lock: count what came back."""
        landed, objects = self._landed, self._objects
        while landed:
            key, token, moment = landed.popleft()
            if key in objects:
                objects[key].land(token, moment)

    def forget(self) -> None:
        """Start afresh; see `MemoryState.forget`."""
        super().forget()
        self._landed = deque()
