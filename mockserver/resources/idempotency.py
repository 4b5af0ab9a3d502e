"""Idempotency keys: a POST sent twice with one key is done once (draft-ietf-httpapi-idempotency-key-header).

    same key, same body            the stored answer again, with `idempotency-replayed: true`
    same key, another body         422
    the first is not answered yet  409

A key is kept per method and path, for a day, and the oldest of too many go first. Only an answer below 400 is kept: a
refusal had no effect, and leaves the key free for a better attempt.

When is "not answered yet"? The application acts in one go, so nothing is ever in progress for it; what takes time is
its answer on the way out. With `hold` a key stays in progress until `complete` is told that the answer has left;
without, it is complete at once.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from mockserver.problems import Problem
from mockserver.resources.answers import Handler
from mockserver.resources.bodies import read_bytes
from mockserver.seen import Seen
from rest_api_client.lazy_dataclasses import dataclass

DAY = 86_400.0
MOST_KEYS = 10_000
MOST_BYTES = 16 << 20
MOST_KEY = 255

Name = tuple[str, str, str]
"""Method, path, key."""


@dataclass
class _Stored:
    fingerprint: bytes
    expires: float
    answer: tuple[int, list[tuple[bytes, bytes]], bytes] | None = None
    in_progress: bool = True


class IdempotencyKeys:
    """Remembers what was answered to which key.

    Args:
        now: seconds, never going back.
        hold: whether a key stays in progress until `complete` is called.
        lifetime: seconds after which a key is forgotten.
    """

    def __init__(self, now: Callable[[], float], *, hold: bool = False, lifetime: float = DAY) -> None:
        self._now = now
        self._hold = hold
        self._lifetime = lifetime
        self._stored: OrderedDict[Name, _Stored] = OrderedDict()
        self._bytes = 0

    def begin(self, name: Name, fingerprint: bytes) -> Response | None:
        """The stored answer, or None for a first one, which is in progress from now on.

        Raises:
            Problem: 409 the first is still in progress, 422 it had another body.
        """
        self._expire()
        stored = self._stored.get(name)
        if stored is None:
            self._stored[name] = _Stored(fingerprint, self._now() + self._lifetime)
            return None
        if stored.fingerprint != fingerprint:
            raise Problem(422, "this Idempotency-Key came with another request: take a new key for a new request")
        if stored.in_progress or stored.answer is None:
            raise Problem(409, "the first request with this Idempotency-Key is still in progress: come back later")
        status, headers, body = stored.answer
        replay = Response(body, status)
        replay.raw_headers = [*headers, (b"idempotency-replayed", b"true")]
        return replay

    def store(self, name: Name, response: Response) -> None:
        """Keep this answer for the key that was begun; a refusal frees the key instead."""
        stored = self._stored.get(name)
        if stored is None:
            return
        if response.status_code >= 400:
            self.forget(name)
            return
        body = bytes(response.body)
        stored.answer = (response.status_code, list(response.raw_headers), body)
        stored.in_progress = self._hold
        self._bytes += len(body)
        while len(self._stored) > MOST_KEYS or self._bytes > MOST_BYTES:
            self.forget(next(iter(self._stored)))

    def settled(self, seen: Seen) -> None:
        """Tell that the answer to this request has left. Does nothing for a request without a key that is known."""
        if self._stored:
            self.complete(seen.method, seen.path, seen.header("idempotency-key"))

    def complete(self, method: str, path: str, key: str | None) -> None:
        """The same, by the request's parts."""
        stored = self._stored.get((method, path, key or ""))
        if stored is not None:
            stored.in_progress = False

    def forget(self, name: Name) -> None:
        """Free the key."""
        stored = self._stored.pop(name, None)
        if stored is not None and stored.answer is not None:
            self._bytes -= len(stored.answer[2])

    def _expire(self) -> None:
        # All live equally long, so the oldest stand first.
        while self._stored and next(iter(self._stored.values())).expires <= self._now():
            self.forget(next(iter(self._stored)))

    def guard(self, handler: Handler) -> Handler:
        """The handler, done once per key."""

        async def guarded(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            if key is None:
                return await handler(request)
            if not 0 < len(key) <= MOST_KEY:
                raise Problem(400, f"Idempotency-Key must have 1 to {MOST_KEY} characters, not {len(key)}")
            name = (request.method, request.url.path, key)
            body = await read_bytes(request)
            media = request.headers.get("content-type", "")
            replay = self.begin(name, hashlib.sha256(f"{request.url.query}\0{media}\0".encode() + body).digest())
            return replay if replay is not None else await self._first(name, handler, request)

        return guarded

    async def _first(self, name: Name, handler: Handler, request: Request) -> Response:
        try:
            response = await handler(request)
        except BaseException:
            self.forget(name)
            raise
        self.store(name, response)
        return response
