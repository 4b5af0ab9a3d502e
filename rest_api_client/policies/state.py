"""Where a policy's memory lives, apart from its options and from any waiting.

A policy asks `await state.apply(key, command)` and gets a `Decision`. Commands and decisions are plain data, so that
the same question can go to memory in this process or, later, to a store that many processes share. `MemoryState` keeps
one pure object per key and asks it under a lock held for a few lines; it never suspends.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, Literal, Protocol, TypeVar

from rest_api_client.checks import check_whole
from rest_api_client.forks import in_child
from rest_api_client.lazy_dataclasses import dataclass

CommandT = TypeVar("CommandT")
CommandT_contra = TypeVar("CommandT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Decision:
    """A state's answer.

    Attributes:
        verdict: "allow", "wait" (ask again in `wait` seconds) or "refuse".
        wait: seconds until asking again can succeed, where known.
        reason: a fixed word or two.
        token: names what was granted, for giving it back.
        change: the state before and after, where this command moved what has states.
        value: the figure that was asked for, where one was.
    """

    verdict: Literal["allow", "wait", "refuse"]
    wait: float = 0.0
    reason: str = ""
    token: int = 0
    change: tuple[str, str] | None = None
    value: float | None = None


ALLOW = Decision("allow")


class PureState(Protocol[CommandT_contra]):
    """What decides: plain code that is told the time and never waits."""

    def apply(self, command: CommandT_contra, now: float, /) -> Decision:
        """Carry out a command at `now` (monotonic seconds)."""
        ...


class State(Protocol[CommandT_contra]):
    """What a policy asks. Sharing one between clients is explicit: `state=`."""

    async def apply(self, key: str, command: CommandT_contra, /) -> Decision:
        """Carry out a command on the state of `key`."""
        ...


class MemoryState(Generic[CommandT]):
    """State in this process: for threads, tasks and loops alike.

    Args:
        fresh: makes the pure object of a key that is new.
        now: monotonic seconds; the same clock for every client that shares this state.
        max_keys: keys kept; the one not asked for longest is forgotten first.
    """

    def __init__(
        self, fresh: Callable[[], PureState[CommandT]], now: Callable[[], float], max_keys: int = 10_000
    ) -> None:
        check_whole("MemoryState", 1, max_keys=max_keys)
        self._fresh = fresh
        self._now = now
        self._max_keys = max_keys
        self._objects: OrderedDict[str, PureState[CommandT]] = OrderedDict()
        # Reentrant: the collector may end an abandoned call, which gives back what it holds, in the midst of a command.
        # The short ways, which every request takes, call acquire() and release(): `with` costs nearly twice as much.
        self._lock = threading.RLock()
        in_child(self.forget)

    async def apply(self, key: str, command: CommandT) -> Decision:
        """Carry out a command at once."""
        with self._lock:
            return self._apply(key, command)

    def _apply(self, key: str, command: CommandT) -> Decision:
        found = self._objects.get(key)
        if found is None:
            found = self._objects[key] = self._fresh()
            if len(self._objects) > self._max_keys:
                self._objects.popitem(last=False)
        else:
            self._objects.move_to_end(key)
        return found.apply(command, self._now())

    def forget(self) -> None:
        """Start afresh, with a fresh lock.

        Each state does so in a forked child: a thread that is not here any more may have held the lock, and what such
        threads were granted will never be given back here.
        """
        self._objects, self._lock = OrderedDict(), threading.RLock()

    def __getstate__(self) -> Any:
        raise TypeError("state does not travel: pickle the policy without it, and share a store between processes")
