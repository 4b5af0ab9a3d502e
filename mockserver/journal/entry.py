"""One request as the journal has it: plain data, filled in while the request is served."""

from __future__ import annotations

from dataclasses import fields
from typing import TypedDict

from rest_api_client.lazy_dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request, as the server saw it.

    Attributes:
        index: counts requests from 0.
        arrived: seconds from the server's start until the head of the request was received (monotonic).
        answered: the same, just before the first byte of the answer goes out. A client that obeys `retry_after` does
            not arrive again before `answered + retry_after`.
        finished: the same, when all has been sent; None while it is being served.
        method: as sent.
        path: without the query, percent-decoded.
        query: as sent, without the question mark.
        call_id: the header `x-call-id`, which names one logical call over all its attempts; without it, what the
            journal's `identify` says.
        attempt: the header `x-attempt`, counted from 1.
        idempotency_key: the header `idempotency-key`.
        call: how many other calls this target (method, path and query) had seen before this one.
        accepted: let through by the rate limit. False when refused, and in a dead period, which lies before it.
        processed: it reached the application, which did what it was asked (answered below 400).
        delay: seconds of injected latency.
        fault_id: the name of the fault injected, also sent as `x-fault-id`.
        status: None while none was answered, and for ever where the connection was cut; 499 where the client went away
            before its body was complete (nginx's number for it, sent to nobody).
        retry_after: the header as answered, where it was in seconds.
        not_before: the moment, on the clock of `arrived`, until which Retry-After asked the client to stay away, be it
            in seconds or as a date; None without one that can be read.
        bytes_in: received, of the body.
        bytes_out: sent, of the body.
        connection: the number of the connection it came on; 0 where there is none (in process).
        caller: who sent it: the address and the user agent, or what the journal's `caller` says.
        origin: scheme and authority it was addressed to, as `http://127.0.0.1:8000`.
        credential: digests of the credentials it brought, each `field:digest`, with a blank between; None without any.
            The digest is keyed: equal credentials have equal digests in one process, and nothing leads back.
        body_digest: a digest of the body; "" of an empty one; None where the body was not read.
        body: the beginning of the body as text, where the journal keeps bodies.
    """

    index: int
    arrived: float
    method: str
    path: str
    query: str = ""
    call_id: str | None = None
    attempt: int | None = None
    idempotency_key: str | None = None
    call: int = 0
    accepted: bool = True
    processed: bool = False
    delay: float = 0.0
    fault_id: str | None = None
    status: int | None = None
    retry_after: int | None = None
    not_before: float | None = None
    answered: float | None = None
    finished: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    connection: int = 0
    caller: str = ""
    origin: str = ""
    credential: str | None = None
    body_digest: str | None = None
    body: str | None = None

    @property
    def place(self) -> tuple[str, str, str, int, int]:
        """What chance is asked about: the same request of the same call in every run."""
        return (self.method, self.path, self.query, self.call, self.attempt or 1)

    @property
    def target(self) -> str:
        """Path and query, for people to read."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def credentials(self) -> tuple[str, ...]:
        """The digests of the credentials it brought, one by one."""
        return () if self.credential is None else tuple(self.credential.split(" "))

    def to_json(self) -> dict[str, object]:
        """All fields, as JSON has them."""
        return {name: getattr(self, name) for name in _NAMES}


_NAMES = tuple(each.name for each in fields(Entry))


class Wanted(TypedDict, total=False):
    """What entries can be picked by; each given must be equal."""

    index: int
    method: str
    path: str
    query: str
    call_id: str | None
    attempt: int | None
    idempotency_key: str | None
    call: int
    accepted: bool
    processed: bool
    fault_id: str | None
    status: int | None
    retry_after: int | None
    connection: int
    caller: str
    origin: str
    credential: str | None
    body_digest: str | None
