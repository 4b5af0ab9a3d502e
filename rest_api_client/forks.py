"""After a fork: what a child must not inherit.

A lock may have been held by a thread that is not in the child, a waiter may be nobody any more, a permit may never be
given back. Whoever keeps such things says so once, and is called in every forked child.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

_methods: set[weakref.WeakMethod[Callable[[], None]]] = set()


def in_child(method: Callable[[], None]) -> None:
    """Have a bound method called in every forked child, as long as its object lives. It must not raise."""
    _methods.add(weakref.WeakMethod(method, _methods.discard))


def _forked() -> None:
    for reference in list(_methods):
        method = reference()
        if method is not None:  # pragma: no branch  an object that dies between the listing and the asking
            method()


if hasattr(os, "register_at_fork"):  # pragma: no branch  Windows has no fork
    os.register_at_fork(after_in_child=_forked)
