"""One exchange on its way through an engine: what is left of its time, and how an abort reaches it.

Every wait on the wire is cut to what its exchange has left. Connecting (the name, all its addresses, the proxy, TLS)
shares one limit; a read or a write has its own; the deadline bounds them all. Whose exchange an operation belongs to
stands in a context variable, because a connection outlives many exchanges.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextvars import ContextVar

from rest_api_client.engines.errors import aborted
from rest_api_client.exceptions import (
    ConnectTimeout,
    DeadlineExceeded,
    PoolTimeout,
    ReadTimeout,
    RequestTimeout,
    WriteTimeout,
)
from rest_api_client.runtime import Runtime
from rest_api_client.transport import Exchange


def deadline_of(exchange: Exchange, runtime: Runtime) -> float | None:
    """When the exchange must be over, on the clock: by its own deadline or the caller's, whichever is first, if any."""
    deadline, own = exchange.deadline, runtime.deadline()
    return own if deadline is None else deadline if own is None else min(deadline, own)


class Passage:
    """One exchange on its way through the engine: what is left of its time, and how an abort reaches it."""

    __slots__ = ("_cancel", "_lock", "_wake", "connect_until", "deadline", "exchange", "runtime")

    def __init__(self, exchange: Exchange, runtime: Runtime) -> None:
        self.exchange = exchange
        self.runtime = runtime
        self.deadline = deadline_of(exchange, runtime)
        self.connect_until: float | None = None
        self._wake: Callable[[], object] | None = None
        self._cancel: Callable[[], object] | None = None
        self._lock = threading.Lock()
        exchange.on_abort(self._interrupt)

    def hold(self, wake: Callable[[], object] | None) -> None:
        """Say how an abort ends what the exchange waits for from now on; None: it waits for nothing more.

        Called at once if it was aborted before: who then waits is woken, and learns it from its `Patience`.
        """
        with self._lock:
            self._wake = wake
        if self.exchange.aborted:
            self._interrupt()

    def cancel_by(self, cancel: Callable[[], object] | None) -> None:
        """Have an abort do this instead, whatever is held: the connection belongs to others too."""
        with self._lock:
            self._cancel = cancel
        if self.exchange.aborted:
            self._interrupt()

    def _interrupt(self) -> None:
        with self._lock:
            end = self._cancel or self._wake
            if end is not None:
                end()

    def patience(self, seconds: float | None, late: type[RequestTimeout]) -> Patience:
        """The limit of one operation that begins now."""
        return Patience(self, None if seconds is None else self.runtime.now() + seconds, late)

    def connecting(self) -> Patience:
        """The limit of everything it takes to connect; it begins with the first call."""
        seconds = self.exchange.timeouts.connect
        if self.connect_until is None:
            self.connect_until = math.inf if seconds is None else self.runtime.now() + seconds
        return Patience(self, self.connect_until, ConnectTimeout)


class Patience:
    """How long one operation may still wait, and what to raise when that is over."""

    __slots__ = ("_late", "_passage", "_until")

    def __init__(self, passage: Passage, until: float | None, late: type[RequestTimeout]) -> None:
        self._passage = passage
        self._until = until
        self._late = late

    def left(self) -> float | None:
        """Seconds, above 0; None: no limit.

        Raises:
            RequestTimeout: the operation's own limit passed.
            DeadlineExceeded: the whole call's.
            ReadError: the exchange was aborted.
        """
        passage, until = self._passage, self._until
        if passage.exchange.aborted:
            raise aborted(passage.exchange)
        if until is None and passage.deadline is None:
            return None
        now = passage.runtime.now()
        if passage.deadline is not None:
            if passage.deadline <= now:
                raise DeadlineExceeded(f"the deadline passed in phase {passage.exchange.phase!r}")
            until = passage.deadline if until is None else min(until, passage.deadline)
        assert until is not None
        if until <= now:
            raise self._late(_TOO_LATE[self._late].format(passage.exchange.timeouts))
        return None if until == math.inf else until - now


_TOO_LATE: dict[type[RequestTimeout], str] = {
    ConnectTimeout: "no connection within {0.connect} s: the host, or the proxy, does not answer",
    ReadTimeout: "the server sent nothing for {0.read} s",
    WriteTimeout: "the server took nothing more of the request for {0.write} s",
    PoolTimeout: (
        "no free connection within {0.pool} s: all are in use. "
        "Close streamed responses before the next call, or raise max_connections"
    ),
}

current_passage: ContextVar[Passage] = ContextVar("current_passage")
"""The exchange that the streams of this task or thread work for."""


class on_passage:  # noqa: N801  it reads as the function that it would be, were that not three times the cost
    """A block in which whatever happens on a stream happens for this exchange."""

    __slots__ = ("_passage", "_token")

    def __init__(self, passage: Passage) -> None:
        self._passage = passage

    def __enter__(self) -> None:
        self._token = current_passage.set(self._passage)

    def __exit__(self, *failure: object) -> None:
        current_passage.reset(self._token)
