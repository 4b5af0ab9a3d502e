"""What is done to each client: a server that provokes one kind of mistake, and the calls that are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mockserver import Errors, MockServer, SlidingWindow
from mockserver.faults import FaultRule, Plan, fault
from mockserver.limits import Limit
from mockserver.rules import Violation, check

WAIT = 90.0
"""Seconds in which all requests must have ended."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One logical call. `headers` go with each of its attempts."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A server and the calls that are all made at once."""

    says: str
    asks: tuple[Ask, ...]
    server: Callable[[], MockServer]
    limits: tuple[Limit, ...] = ()


def _asks(count: int, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[Ask, ...]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return tuple(
        Ask(
            method=method,
            path=path.format(number),
            headers={"x-call-id": f"call-{number}", **{name: value.format(number) for name, value in named.items()}},
            body=body,
        )
        for number in range(1, count + 1)
    )


LIMIT = SlidingWindow(10, 1.0)
LOSES = Plan(rules=[FaultRule(fault("reset"), method="POST", every=2, effect="done")])

SCENES: dict[str, Scene] = {
    "busy": Scene(
        says="a limit of 10 requests in any second, kept with 429 and a right Retry-After; 25 calls at once",
        asks=_asks(25, "/users/{}"),
        server=lambda: MockServer(limit=LIMIT),
        limits=(LIMIT,),
    ),
    "down": Scene(
        says="503 to everything, without Retry-After; 30 calls at once",
        asks=_asks(30, "/users/{}"),
        server=lambda: MockServer(errors=Errors(probability=1.0, status=503, retry_after=None)),
    ),
    "lost": Scene(
        says="every second POST is done, and then the connection is reset before the answer; 6 calls, without a key",
        asks=_asks(6, "/echo", "POST", b'{"total": 5}'),
        server=lambda: MockServer(faults=LOSES),
    ),
    "lost, with a key": Scene(
        says="the same, and each call brings an Idempotency-Key",
        asks=_asks(6, "/echo", "POST", b'{"total": 5}', idempotency_key="key-{}"),
        server=lambda: MockServer(faults=LOSES),
    ),
}


def judge(scene: Scene, server: MockServer) -> list[Violation]:
    """What a client did wrong."""
    server.journal.wait_until_quiet(WAIT)
    return check(server.journal, limits=scene.limits)
