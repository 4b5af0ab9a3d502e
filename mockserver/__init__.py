"""A mock server that fails as real ones do: true faults on the wire, limits that count, everything by seed.

`MockServer` runs it in a thread, or plays it in process and in virtual time; `python -m mockserver` on its own. What
arrived is in its `Journal`, what a client did wrong in `check()`. Here is what most need; the rest is in
`mockserver.faults`, `.limits`, `.matching`, `.stubs`, `.rules` and `.metrics`.
"""

import mockserver.extra  # noqa: F401  first
from mockserver.faults import Errors, EvenLatency, FaultRule, Faults, Latency, Outage, Phase, Plan, Slowness, fault
from mockserver.journal import Entry, Journal
from mockserver.limits import (
    Concurrency,
    FixedWindow,
    Limit,
    LimitRule,
    Limits,
    SlidingWindow,
    Together,
    TokenBucket,
    Verdict,
    by_header,
)
from mockserver.rules import BadBehaviour, Rules, Violation
from mockserver.server import MockServer
from mockserver.spaces import Space
from mockserver.stubs import Stub, Stubs, stub

__all__ = [
    "BadBehaviour",
    "Concurrency",
    "Entry",
    "Errors",
    "EvenLatency",
    "FaultRule",
    "Faults",
    "FixedWindow",
    "Journal",
    "Latency",
    "Limit",
    "LimitRule",
    "Limits",
    "MockServer",
    "Outage",
    "Phase",
    "Plan",
    "Rules",
    "SlidingWindow",
    "Slowness",
    "Space",
    "Stub",
    "Stubs",
    "Together",
    "TokenBucket",
    "Verdict",
    "Violation",
    "by_header",
    "fault",
    "stub",
]
