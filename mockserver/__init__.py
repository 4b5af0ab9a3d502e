"""A mock server that fails as real ones do: a rate limit that counts, seeded 5xx and latency, dead periods.

`MockServer` runs it in a thread; `python -m mockserver` on its own. What arrived is in its `Journal`.
"""

try:
    import faker
    import starlette
    import uvicorn
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        f"the mock server needs {_missing.name}: pip install 'rest-api-client-kit[mockserver]'", name=_missing.name
    ) from _missing

from mockserver.faults import Errors, EvenLatency, Latency, Outage, Slowness
from mockserver.journal import Entry, Journal
from mockserver.limits import Limit, SlidingWindow, TokenBucket, Verdict
from mockserver.server import MockServer

del faker, starlette, uvicorn

__all__ = [
    "Entry",
    "Errors",
    "EvenLatency",
    "Journal",
    "Latency",
    "Limit",
    "MockServer",
    "Outage",
    "SlidingWindow",
    "Slowness",
    "TokenBucket",
    "Verdict",
]
