"""The seam to the wire: a transport sends one request and gives back one answer, its body still raw.

    Transport.send(request, exchange) -> Response

An `Exchange` goes along with each attempt. It tells the engine how long each phase may last and when everything must be
over, and it is told by the engine how far things got: the phase, the bytes of the request that left, the other end's
address. From that the chain knows whether a failed request can have reached the server; no exception class proves it.
Anybody, from any thread, may call `exchange.abort()`: the engine then ends the exchange at once, with an error of our
tree.

Which face a transport serves is fixed when it is made: a sync transport's `send` never suspends. What an engine cannot
do is missing from its `capabilities`; asking for it is a `CapabilityError`, never silence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from rest_api_client.checks import check_above_zero
from rest_api_client.exceptions import DeadlineExceeded
from rest_api_client.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from rest_api_client.clock import Clock
    from rest_api_client.models import Request, Response


class Capability(StrEnum):
    """What an engine may be able to do."""

    SYNC = "sync client"
    ASYNCIO = "asyncio"
    TRIO = "trio"
    STREAM_RESPONSE = "streamed responses"
    STREAM_REQUEST = "streamed uploads"
    HTTP2 = "HTTP/2"
    PROXY = "HTTP proxies"
    SOCKS = "SOCKS proxies"
    UDS = "unix sockets"
    CUSTOM_CA = "custom CA bundle"
    SYSTEM_TRUST = "system trust store"
    CLIENT_CERT = "client certificate"
    NO_VERIFY = "verify=False"
    KEEPALIVE_EXPIRY = "keep-alive expiry"
    PER_HOST_LIMIT = "connections per host"
    PHASE_TIMEOUTS = "timeouts per phase"
    HARD_DEADLINE = "deadline cuts any phase"
    ABORT = "abort at once"
    PROVES_UNSENT = "proves a request unsent"
    REASON_PHRASE = "reason phrase"
    PEER = "peer address"
    RESOLVER = "own name resolver"
    FORK = "works after fork"
    VIRTUAL_TIME = "virtual time"


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """Seconds each phase of one attempt may last; None means no limit of its own.

    Attributes:
        connect: until a connection stands, TLS included (all addresses of a name share it).
        read: until the next bytes of the answer.
        write: until the next bytes of the request are accepted.
        pool: until a connection is free.
    """

    connect: float | None = 5.0
    read: float | None = 30.0
    write: float | None = 30.0
    pool: float | None = 10.0

    def __post_init__(self) -> None:
        check_above_zero(
            "Timeouts", off="no limit", connect=self.connect, read=self.read, write=self.write, pool=self.pool
        )

    @classmethod
    def all(cls, seconds: float | None) -> Timeouts:
        """The same limit for every phase."""
        return cls(connect=seconds, read=seconds, write=seconds, pool=seconds)


Phase: TypeAlias = Literal["queued", "connect", "tls", "write", "wait", "read", "done"]


class Exchange:
    """One attempt as the engine sees it.

    Attributes:
        timeouts: limits per phase.
        deadline: when everything must be over, in the clock's monotonic seconds, or None.
        whole: the body will be read at once: an engine may fetch its beginning, or all of it, together with the head.
        bulk: nobody waits for its pieces one by one: an engine may hold them back until they make a large one.
        phase: how far it got.
        handed_over: whether the engine was given the request at all; until then nothing can have been sent.
        bytes_sent: bytes of the request, head included, that were handed to the kernel; 0 proves it unsent.
        refused: the protocol itself says that the server did not act (HTTP/2 REFUSED_STREAM, GOAWAY).
        proof: whether this engine counts `bytes_sent`; without it nothing is proved.
        peer: the other end, "127.0.0.1:8080".
        http_version: as negotiated.
    """

    whole = False
    bulk = False
    phase: Phase = "queued"
    handed_over = False
    bytes_sent = 0
    refused = False
    proof = False
    peer: str | None = None
    http_version: str | None = None
    aborted = False

    def __init__(self, clock: Clock, timeouts: Timeouts, deadline: float | None = None) -> None:
        self.clock = clock
        self.timeouts = timeouts
        self.deadline = deadline
        self._abort: list[Callable[[], object]] = []

    @property
    def remaining(self) -> float | None:
        """Seconds left until the deadline (never below 0), or None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - self.clock.monotonic())

    def limit(self, timeout: float | None) -> float | None:
        """A phase's own limit cut to the time left.

        Raises:
            DeadlineExceeded: no time is left.
        """
        left = self.remaining
        if left is None:
            return timeout
        if left <= 0:
            raise DeadlineExceeded(f"the deadline passed in phase {self.phase!r}")
        return left if timeout is None else min(timeout, left)

    @property
    def unsent(self) -> bool:
        """Whether it is proved that the server has not acted on the request."""
        return self.refused or (self.proof and self.bytes_sent == 0)

    def on_abort(self, action: Callable[[], object]) -> None:
        """Have `action` called, from whatever thread aborts; at once if it was aborted before."""
        self._abort.append(action)
        if self.aborted:
            self.abort()

    def abort(self) -> None:
        """End the exchange now. Safe from any thread, any number of times."""
        # Without a lock: each action is taken from the list by one thread only, whoever comes first.
        self.aborted = True
        while self._abort:
            with suppress(Exception):
                self._abort.pop(0)()

    def over(self) -> None:
        """It has ended, and nothing is left to abort: what was said to `on_abort` is let go."""
        self._abort.clear()


class ByteStream(Protocol):
    """A body on its way: chunks, then the end, or an error of our tree."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks, once."""
        ...

    async def aclose(self) -> None:
        """Give back the connection, or drop it where the body was not read to its end. Idempotent."""
        ...


class Fetched:
    """A whole body that came with its head, for an exchange that asked for that (`whole`); still encoded.

    Who wants it whole takes `data`; to everybody else it is a stream of one chunk.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body, if there is any."""
        if self.data:
            yield self.data

    async def aclose(self) -> None:
        """Nothing is held."""


class Transport(Protocol):
    """An engine, real or scripted."""

    @property
    def name(self) -> str:
        """The word that selects it, for `describe()`."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do."""
        ...

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Send the request; give the answer once its head is there, its body in `response.stream`, still encoded.

        Raises:
            TransportError: no answer, `processed` "no" where that is proved.
            DeadlineExceeded: `exchange.deadline` passed.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection. Idempotent."""
        ...
