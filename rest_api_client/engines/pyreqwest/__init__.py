"""The pyreqwest engine: Rust's reqwest and hyper, near the speed of a raw socket.

What it can do and what not was measured, not read; the rules that follow from it:

- The deadline is each request's total timeout, which cuts every phase. Connect and read limits are the client's
  (`clients`); the read limit also counts the time until the head. There is no write limit. `Timeouts.pool` is our own
  gate's.
- A call that is cancelled before the head goes on in Rust. So it runs in a task of ours, and its permit comes back when
  it has really ended, not when nobody waits any more (`calls`).
- Its CancelledError is one that anyio does not recognise, and a native cancel that races with the result is lost:
  `calls.heed` sees to both.
- Iterators that are sent are read in a thread of ours (`uploads`): Rust's threads must not be inside Python when the
  interpreter ends, and a source that hangs must not hold up the deadline.
- After a fork its threads are gone and a call would wait for ever: the child is refused.
- It normalises URLs in its own way (`/a/%2e%2e/b` becomes `/b`): what it would change is refused.
- Field values beyond ASCII it would send as UTF-8, and cannot give when they are received: both are errors.
"""

from __future__ import annotations

from rest_api_client.engines.pyreqwest.engine import AsyncPyreqwestEngine, SyncPyreqwestEngine

__all__ = ["AsyncPyreqwestEngine", "SyncPyreqwestEngine"]
