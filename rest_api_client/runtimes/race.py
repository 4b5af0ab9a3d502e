"""What a race of attempts decides, and the loop that begins them; `Runtime.race` of both runtimes is built on it.

`Race` is plain: it is told what ended and says when the next attempt is due and who won. Attempts end in threads of
their own or in tasks of one loop, so it is locked; it never waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from rest_api_client.runtime import Runtime

T = TypeVar("T")


class _Bell(Protocol):
    def set(self) -> object: ...


class Race(Generic[T]):
    """The state of one race.

    Args:
        count: how many attempts there are.
        delays: when each is due, in seconds after `began`.
        good: whether a result ends the race.
        began: the moment of the first start.
    """

    def __init__(self, count: int, delays: Sequence[float], good: Callable[[T], bool], began: float) -> None:
        if not count or count != len(delays):
            raise ValueError(f"{count} starts and {len(delays)} delays: a race needs one delay for each start")
        if list(delays) != sorted(delays):
            raise ValueError(f"delays={list(delays)!r} must not fall: they count from the first start")
        self._due = [began + delay - delays[0] for delay in delays]
        self._good = good
        self._lock = threading.Lock()
        self._bell: _Bell | None = None
        self._begun = 0
        self._results: list[T] = []
        self._won = False
        self._error: BaseException = RuntimeError("the race was not run")
        self._fatal: BaseException | None = None
        self._running = 0
        self._abandoned = False

    def begin(self) -> int:
        """Count the next attempt as running and return its number."""
        with self._lock:
            self._begun += 1
            self._running += 1
            return self._begun - 1

    def succeed(self, result: T) -> bool:
        """Take an attempt's result; False where it came too late to be taken, and is still the attempt's own."""
        good = self._good(result)
        with self._lock:
            if self._abandoned:
                return False
            if good and not self._won:
                self._won = True
                self._results.append(result)
            else:
                self._results.insert(len(self._results) - self._won, result)
            return self._end()

    def fail(self, error: BaseException) -> bool:
        """Take an attempt's error; False where it came too late."""
        with self._lock:
            self._error = error
            return self._end()

    def stop(self, error: BaseException) -> bool:
        """End the whole race with an error that no other attempt can mend, e.g. KeyboardInterrupt; False if late."""
        with self._lock:
            self._fatal = error
            return self._end()

    def _end(self) -> bool:
        if self._abandoned:
            return False
        self._running -= 1
        if self._bell is not None:
            self._bell.set()
        return True

    def abandon(self) -> int:
        """Wait no longer for the attempts that still run, and return how many they are."""
        with self._lock:
            self._abandoned = True
            return self._running

    def listen(self, bell: _Bell) -> int:
        """Have `bell` set when the next attempt ends; return how many are running."""
        with self._lock:
            self._bell = bell
            return self._running

    def over(self) -> bool:
        """Say whether nothing that may still happen changes who won."""
        exhausted = self._begun == len(self._due) and not self._running
        return self._won or self._fatal is not None or exhausted

    def pause(self, now: float) -> float | None:
        """Return the seconds until the next attempt is due: 0 when nothing is running, None if there is none."""
        if self._begun == len(self._due):
            return None
        return max(0.0, self._due[self._begun] - now) if self._running else 0.0

    def take_losers(self, *, all_lost: bool) -> list[T]:
        """Return the results that nobody gets; every result, the winner's too, if `all_lost`."""
        kept = len(self._results) if all_lost or self._fatal is not None else len(self._results) - 1
        losers = self._results[: max(0, kept)]
        del self._results[: len(losers)]
        return losers

    def outcome(self) -> T:
        """Return the winner's result, or else the last one; raise the last error if there is none."""
        if self._fatal is not None:
            raise self._fatal
        if self._results:
            return self._results[-1]
        raise self._error


async def conduct(runtime: Runtime, race: Race[T], launch: Callable[[int], object]) -> None:
    """Begin each attempt when it is due, until the race is over."""
    while True:
        bell = runtime.event()
        race.listen(bell)
        if race.over():
            return
        pause = race.pause(runtime.now())
        if pause == 0.0:
            launch(race.begin())
        else:
            await runtime.wait(bell, pause)
