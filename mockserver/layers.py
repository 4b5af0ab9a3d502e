"""The layers a request passes, as pure ASGI, outermost first:

    control    /health and /__journal: never limited, faulted or journalled
    journal    takes the entry down when the head has been received
    outage     a dead gateway: nothing behind it sees the request, the rate limit does not count it
    limiter    429. What it refuses is not processed, and costs no quota
    latency    waits, on the loop's clock
    errors     5xx in place of the service: the request has been accepted, so it has cost quota
    resources  the application

The limiter stands before errors and latency because real gateways do: a service that fails has been called, and a
refusal comes at once. Limiter and journal use one and the same arrival time, so that what the journal shows is
exactly what the limiter judged.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mockserver.chance import Chance
from mockserver.faults import Errors, Outage, Slowness
from mockserver.journal import Entry, Journal
from mockserver.limits import Limit, limit_headers
from mockserver.problems import problem
from mockserver.wire import wire_of

ENTRY = "mockserver.entry"
REMEMBERED_KEYS = 10_000

Clock = Callable[[], float]
Headers = list[tuple[bytes, bytes]]


class Recording:
    """Journals every request, and follows the answer on its way out."""

    def __init__(
        self, app: ASGIApp, journal: Journal, clock: Clock, on_entry: Callable[[Entry], None] | None = None
    ) -> None:
        self.app = app
        self.journal = journal
        self.clock = clock
        self.on_entry = on_entry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        entry = scope[ENTRY] = _entry(scope, self.clock())
        self.journal.open(entry)
        try:
            await self.app(scope, _counting(receive, entry), self._following(send, entry))
        finally:
            self.journal.close(entry, self.clock())
            if self.on_entry is not None:
                self.on_entry(entry)

    def _following(self, send: Send, entry: Entry) -> Send:
        async def follow(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.journal.answer(entry, message["status"], self.clock())
                entry.retry_after = _digits(dict(message.get("headers", ())).get(b"retry-after", b"").decode("latin-1"))
                if entry.fault_id is not None:
                    _headers(message).append((b"x-fault-id", entry.fault_id.encode()))
            elif entry.method != "HEAD":
                entry.bytes_out += len(message.get("body", b""))
            await send(message)

        return follow


def _entry(scope: Scope, now: float) -> Entry:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    return Entry(
        index=0,
        arrived=now,
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        call_id=headers.get(b"x-call-id"),
        attempt=_digits(headers.get(b"x-attempt", "")),
        idempotency_key=headers.get(b"idempotency-key"),
    )


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _counting(receive: Receive, entry: Entry) -> Receive:
    async def count() -> Message:
        message = await receive()
        entry.bytes_in += len(message.get("body", b""))
        return message

    return count


class Dying:
    """Dead periods, counted from the first request."""

    def __init__(self, app: ASGIApp, outages: tuple[Outage, ...], chance: Chance) -> None:
        self.app = app
        self.outages = outages
        self.chance = chance
        self._first: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        entry = entry_of(scope)
        if self._first is None:
            self._first = entry.arrived
        since = entry.arrived - self._first
        outage = next((each for each in self.outages if each.covers(since)), None)
        if outage is None:
            await self.app(scope, receive, send)
            return
        entry.accepted = False
        entry.fault_id = self.chance.name("outage", entry.index)
        if outage.reset:
            wire_of(scope).reset()
        else:
            await problem(outage.status, "a dead period of the mock server")(scope, receive, send)


class Limiting:
    """Refuses with 429 what the limit does not allow, and tells every client where it stands.

    Args:
        app: what lies behind.
        limit: its settings; each key has a limit of its own.
        key: tells clients apart by their request; one limit for all when None.
    """

    def __init__(self, app: ASGIApp, limit: Limit, key: Callable[[Scope], str] | None = None) -> None:
        self.app = app
        self.limit = limit
        self.key = key
        self._limits: OrderedDict[str, Limit] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        entry = entry_of(scope)
        verdict = self._limit(scope).admit(entry.arrived)
        headers = limit_headers(self.limit, verdict)
        entry.accepted = verdict.allowed
        answer = self.app if verdict.allowed else problem(429, "too many requests: come back after Retry-After seconds")
        await answer(scope, receive, _adding(send, headers))

    def _limit(self, scope: Scope) -> Limit:
        key = self.key(scope) if self.key is not None else ""
        limit = self._limits.get(key) or self._limits.setdefault(key, self.limit.unused())
        self._limits.move_to_end(key)
        if len(self._limits) > REMEMBERED_KEYS:
            self._limits.popitem(last=False)
        return limit


class Slowing:
    """Waits before going on, as long as the request's own chance says."""

    def __init__(self, app: ASGIApp, latency: Slowness, chance: Chance) -> None:
        self.app = app
        self.latency = latency
        self.chance = chance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        entry = entry_of(scope)
        entry.delay = self.latency.seconds(self.chance.unit("latency", *entry.place))
        await asyncio.sleep(entry.delay)
        await self.app(scope, receive, send)


class Failing:
    """Answers some requests with a 5xx; the application never sees those."""

    def __init__(self, app: ASGIApp, errors: Errors, chance: Chance) -> None:
        self.app = app
        self.errors = errors
        self.chance = chance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        entry = entry_of(scope)
        if self.chance.unit("error", *entry.place) >= self.errors.probability:
            await self.app(scope, receive, send)
            return
        entry.fault_id = self.chance.name("error", *entry.place)
        pause = self.errors.retry_after
        headers = None if pause is None else {"retry-after": str(pause)}
        await problem(self.errors.status, "an error injected by the mock server", headers)(scope, receive, send)


class Processing:
    """Notes whether the application did what it was asked to do."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        entry = entry_of(scope)

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.processed = message["status"] < 400
            await send(message)

        await self.app(scope, receive, watch)


def entry_of(scope: Scope) -> Entry:
    """The journal's entry for this request."""
    return cast("Entry", scope[ENTRY])


def _adding(send: Send, headers: Headers) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            _headers(message).extend(headers)
        await send(message)

    return add


def _headers(message: Message) -> Headers:
    # ASGI allows any iterable here; a list of our own is changed without touching the application's.
    message["headers"] = headers = list(message.get("headers", ()))
    return headers
