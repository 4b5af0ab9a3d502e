"""The clock: what time it is, and how a thread waits.

Everything that waits in this library waits on a `Clock`, directly in a thread or through a `Runtime`. There are two:
`SYSTEM`, the real one, and `rest_api_client.virtual.clock.VirtualClock`, on which a ten-minute back-off costs no time.

`monotonic()` of the one clock is the only `now` there is. An event loop has a clock of its own (`loop.time()`,
`trio.current_time()`) whose zero differs; the state of policies is shared between threads and loops, so such figures
must never meet in it. Durations may be given to a loop's timers, moments may not.

The last four methods of the protocol exist for clocks that must know who is running: the real clock ignores them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Flag(Protocol):
    """Something a thread can wait for; `threading.Event` is one. Once set it stays set."""

    def set(self) -> None:
        """Wake every thread that waits. Callable from any thread; never blocks."""
        ...

    def is_set(self) -> bool:
        """Say whether it was set."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is set or `timeout` seconds passed; return whether it is set."""
        ...


class Clock(Protocol):
    """One timeline for every thread, asyncio loop and trio run that shares it."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary zero; it never goes back."""
        ...

    def time(self) -> float:
        """Return the wall clock as seconds since 1970, for HTTP dates, cookies and expiry."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread; at once if `seconds` is not positive."""
        ...

    def flag(self) -> Flag:
        """Return a flag whose `wait` counts time on this clock."""
        ...

    def start(self, function: Callable[[], object], *, name: str) -> None:
        """Run `function` in a daemon thread that this clock knows of from now on."""
        ...

    def hold(self) -> AbstractContextManager[None]:
        """Count the calling thread as running for the length of the block, its own waits on this clock apart."""
        ...

    def rouse(self, thread: int) -> None:
        """Tell the clock that the loop running in `thread` (its `threading.get_ident()`) was just given work."""
        ...

    def require_loop(self) -> None:
        """Raise RuntimeError unless the event loop running in this thread keeps this clock's time."""
        ...


_LONGEST = threading.TIMEOUT_MAX / 2
"""Seconds. What is asked to last longer would raise an OverflowError; the moment it ends at must fit as well."""


class _Event(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(timeout if timeout is None else min(timeout, _LONGEST))


class SystemClock:
    """The time of this machine. It has no state: use the constant `SYSTEM`."""

    _free: AbstractContextManager[None] = nullcontext()

    def __reduce__(self) -> str:
        return "SYSTEM"

    # The functions themselves: every policy asks, several times per request.
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def sleep(self, seconds: float) -> None:
        """Block the calling thread with `time.sleep`."""
        if seconds > 0:
            time.sleep(min(seconds, _LONGEST))

    def flag(self) -> Flag:
        """Return a `threading.Event`."""
        return _Event()

    def start(self, function: Callable[[], object], *, name: str) -> None:
        """Run `function` in a daemon thread."""
        threading.Thread(target=function, name=name, daemon=True).start()

    def hold(self) -> AbstractContextManager[None]:
        """Do nothing: real time cannot be held."""
        return self._free

    def rouse(self, thread: int) -> None:
        """Do nothing: a real loop is woken by its own means."""

    def require_loop(self) -> None:
        """Accept every loop, also a virtual one; there `sleep` is virtual while `monotonic` stays real."""

    def __repr__(self) -> str:
        return "SYSTEM"


SYSTEM = SystemClock()
