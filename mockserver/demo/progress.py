"""Progress while the demo works: a moving bar per client on a terminal, else a plain line a second, fit for a log."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from mockserver.demo.show import find_rich


class Progress(Protocol):
    """Told how far a client has got; from any thread."""

    def __call__(self, client: str, done: int, total: int, retries: Counter[str]) -> None:
        """So many calls of this client have ended, after these retries in all."""
        ...


@contextmanager
def progress(out: TextIO, *, plain: bool) -> Iterator[Progress]:
    """Bars where they can be shown, else lines. The terminal is left tidy."""
    console = None if plain else find_rich(out)
    if console is None:
        yield Lines(out)
        return
    with _live(console) as live:
        yield Bars(live)


def silent(client: str, done: int, total: int, retries: Counter[str]) -> None:
    """Show nothing."""


class Lines:
    """A line a second, and one when a client's work is done."""

    def __init__(self, out: TextIO, every: float = 1.0) -> None:
        self._out = out
        self._every = every
        self._began = self._last = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, client: str, done: int, total: int, retries: Counter[str]) -> None:
        """Write a line, if it is time for one."""
        with self._lock:
            now = time.monotonic()
            if now - self._last >= self._every or done == total:
                self._last = now
                told = f"retries after {said(retries)}" if retries else "no retries"
                self._out.write(f"{now - self._began:5.1f} s  {client:<5}  {done:>3} of {total}  {told}\n")
                self._out.flush()


class Bars:
    """A bar per client, by rich."""

    def __init__(self, live: Any) -> None:
        self._live = live
        self._tasks: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, client: str, done: int, total: int, retries: Counter[str]) -> None:
        """Move the bar."""
        with self._lock:
            if client not in self._tasks:
                self._tasks[client] = self._live.add_task(client, total=total, retries="")
            self._live.update(self._tasks[client], completed=done, retries=said(retries))


def _live(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = ("{task.description:<5}", BarColumn(16), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.fields[retries]}", style="yellow"), console=console)


def said(retries: Counter[str]) -> str:
    """Retries by reason, in a few words."""
    counts = (f"{count} x {reason.removeprefix('status ')}" for reason, count in sorted(retries.items()))
    return ", ".join(counts)
