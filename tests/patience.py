"""How long a test waits for what has to come: so long that only what hangs is ever given up.

No figure here says how fast anything is. A test that passes does not wait; figures of time belong to `make prove`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

HANGS: Final = 30.0
"""Seconds after which something is held to hang, on however slow a machine."""


def wait_until(condition: Callable[[], object]) -> None:
    """Return when it holds; what another thread is about to do."""
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.001)
