"""After a fork: what a child must not inherit.

A lock may have been held by a thread that is not in the child, a waiter may be nobody any more, a permit may never be
given back. Whoever keeps such things says so once, and is called in every forked child.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import MethodType
from typing import cast
from weakref import WeakKeyDictionary

# Not WeakMethod: in CPython 3.11 its callback fails, aloud, for what still lives when the interpreter ends.
_methods: WeakKeyDictionary[object, list[Callable[[object], None]]] = WeakKeyDictionary()


def in_child(method: Callable[[], None]) -> None:
    """Have a bound method called in every forked child, as long as its object lives. It must not raise."""
    bound = cast("MethodType", method)
    _methods.setdefault(bound.__self__, []).append(bound.__func__)


def _forked() -> None:
    for owner, functions in list(_methods.items()):
        for function in functions:
            function(owner)


if hasattr(os, "register_at_fork"):  # pragma: no branch  Windows has no fork
    os.register_at_fork(after_in_child=_forked)
