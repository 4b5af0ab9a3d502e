"""Calls that nobody awaits any more, and the collector ending them in the midst of something else."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")


class CollectingKey(str):
    """A key that runs the collector when it is looked up for the n-th time, as any new object may."""

    lookup: int

    def __new__(cls, text: str, lookup: int) -> Self:
        key = super().__new__(cls, text)
        key.lookup = lookup
        return key

    def __hash__(self) -> int:
        self.lookup -= 1
        if not self.lookup:
            gc.collect()
        return super().__hash__()


class Never:
    """What never comes."""

    def __await__(self) -> Any:
        yield


def abandon(call: Coroutine[Any, Any, None]) -> None:
    """Begin a call and leave it to the collector."""
    call.send(None)
    ring: list[object] = [call]
    ring.append(ring)


def uncollected(work: Callable[[], T], patience: float = 10) -> T:
    """What `work` gives, with no collection but those it asks for; it fails where it hangs."""
    results: list[T] = []
    gc.collect()
    gc.disable()
    try:
        thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
        thread.start()
        thread.join(patience)
    finally:
        gc.enable()
    assert results, "it hangs, or raised"
    return results[0]
