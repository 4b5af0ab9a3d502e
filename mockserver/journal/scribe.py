"""Makes an entry of a request, and says no more of it than may be shown.

A credential is never written down. What is kept is a digest (BLAKE2b, 8 bytes) with a key that this process drew when
it started: enough to see that the same credential turned up at another origin, useless to whoever reads the journal.
It covers what comes after the scheme (`Bearer x` and `token x` are the same credential), and each cookie by itself.

This runs for every request, so it goes through the header fields once, and hashes only where there is something to
hash.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from hashlib import blake2b

from mockserver.journal.entry import Entry
from mockserver.seen import Seen
from rest_api_client.lazy_dataclasses import dataclass

CREDENTIAL_FIELDS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token", "x-csrf-token"}
)

_KEY = secrets.token_bytes(16)
_LONGEST_AGENT = 200


@dataclass(frozen=True, kw_only=True)
class Scribe:
    """Writes entries.

    Attributes:
        identify: names the logical call of a request that brings no `x-call-id`; None where it cannot tell.
        caller: tells clients apart; by address and user agent when None.
        bodies: bytes of each request's body that are kept as text; 0 for none.
        key: what credentials are digested with; a key drawn at the start of the process when None. Two journals can be
            compared only if they have the same.

    Raises:
        ValueError: `bodies` is below 0.
    """

    identify: Callable[[Seen], str | None] | None = None
    caller: Callable[[Seen], str] | None = None
    bodies: int = 0
    key: bytes | None = None

    def __post_init__(self) -> None:
        if self.bodies < 0:
            raise ValueError(f"bodies must be 0 or more bytes, not {self.bodies!r}")

    def entry(self, seen: Seen, arrived: float) -> Entry:
        """What the head of a request tells. The journal numbers it when it is opened."""
        headers = dict(seen.fields)
        call_id = headers.get("x-call-id")
        if call_id is None and self.identify is not None:
            call_id = self.identify(seen)
        attempt = headers.get("x-attempt")
        brings = not CREDENTIAL_FIELDS.isdisjoint(headers)
        return Entry(
            index=0,
            arrived=arrived,
            method=seen.method,
            path=seen.path,
            query=seen.query,
            call_id=call_id,
            attempt=None if attempt is None else _digits(attempt),
            idempotency_key=headers.get("idempotency-key"),
            connection=seen.connection,
            caller=f"{seen.client} {headers.get('user-agent', '')[:_LONGEST_AGENT]}"
            if self.caller is None
            else self.caller(seen),
            origin=f"{seen.scheme}://{headers.get('host', '')}",
            credential=" ".join(self._digests(seen)) if brings else None,
        )

    def body(self, entry: Entry, body: bytes) -> None:
        """Note what the body was, once it has been read."""
        entry.body_digest = blake2b(body, digest_size=8).hexdigest() if body else ""
        if self.bodies:
            entry.body = body[: self.bodies].decode("utf-8", "replace")

    def _digests(self, seen: Seen) -> Iterator[str]:
        key = _KEY if self.key is None else self.key
        for name, value in seen.fields:
            if name in CREDENTIAL_FIELDS:
                for part in value.split(";") if name == "cookie" else (value.rpartition(" ")[2],):
                    yield f"{name}:{blake2b(part.strip().encode(), digest_size=8, key=key).hexdigest()}"


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
