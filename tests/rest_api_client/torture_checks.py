"""What a call must not leave behind: each check looks into one policy's own state, and gives a sentence per finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from rest_api_client.events import HedgeDecided, RetryDecided
from rest_api_client.exceptions import DeadlineExceeded, TransportError
from rest_api_client.policies.adaptive_retry import AdaptiveRetry
from rest_api_client.policies.bulkhead import Bulkhead
from rest_api_client.policies.circuit import Breaker, Circuit
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.coalesce import Coalesce
from rest_api_client.policies.concurrency import AdaptiveConcurrency
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.policies.token_state import TokenState
from tests.rest_api_client.faces import AwaitableClient
from tests.rest_api_client.torture import Set
from tests.rest_api_client.torture_engine import Engine, Pass

BYTES, TRUE_BYTES = 10, 7
"""What a request is expected to cost, and what it turns out to have cost."""
BURST: Final = 1000.0
"""Tokens of a budget that is never refilled."""


def leftovers(client: Any, stage: Set, engine: Engine) -> list[str]:
    """Everything that is not as it should be when nothing is under way."""
    policies = (client.plain if isinstance(client, AwaitableClient) else client)._core.pipeline.policies
    found = list(_engine(engine)) + [f"{stage.auth_open} authentications open"] * bool(stage.auth_open)
    for policy in policies:
        for kind, check in CHECKS:
            if isinstance(policy, kind):
                found += check(policy, stage)
    found += [f"left in the folder: {name}" for name in _parts(stage)]
    return found


def _engine(engine: Engine) -> Iterable[str]:
    if engine.sending:
        yield f"{engine.sending} requests are being sent"
    for number, body in enumerate(engine.bodies):
        if body.open:
            yield f"the body of answer {number} was not given back"


def _parts(stage: Set) -> list[str]:
    if not stage.folder.name:
        return []
    found = [entry.name for entry in stage.folder.iterdir() if entry.name != "data"]
    whole = (stage.folder / "data").read_bytes()
    return found if whole in (b"old", stage.memory["whole"]) else [*found, f"data of {len(whole)} bytes"]


def _objects(policy: Any) -> dict[str, Any]:
    state = policy.state
    if isinstance(state, TokenState):
        state._count()  # what came back is counted by whoever asks next
    return dict(state._objects)


def _rate_limit(policy: RateLimit, stage: Set) -> Iterable[str]:
    reached = [seen for seen in stage.passes if seen.reached]
    answered = sum(seen.status is not None for seen in reached)
    due = {"requests": len(reached), "bytes": BYTES * (len(reached) - answered) + TRUE_BYTES * answered}
    for key, limits in _objects(policy).items():
        if limits.flying:
            yield f"RateLimit: tokens in flight: {limits.flying}"
        for name, count in zip(policy.dimensions(), limits.counts, strict=True):
            if count.flying:
                yield f"RateLimit: {count.flying} {name} of {key} in flight"
            if count._ever != due[name]:
                yield f"RateLimit: {count._ever} {name} counted, {due[name]} used"
    yield from _lines("RateLimit", policy)


def _lines(name: str, policy: Any) -> Iterable[str]:
    waiting = policy.tokens.lines.busy
    if waiting:
        yield f"{name}: somebody waits: {list(waiting)}"


def _pacing(policy: ServerPacing, stage: Set) -> Iterable[str]:
    for key, pace in _objects(policy).items():
        if pace.sent.flying:
            yield f"ServerPacing: tokens of {key} in flight: {pace.sent.flying}"
    yield from _lines("ServerPacing", policy)


def _permits(policy: Any, stage: Set) -> Iterable[str]:
    name = type(policy).__name__
    for key, permits in _objects(policy).items():
        inside = getattr(permits, "_permits", permits).inside
        if inside:
            yield f"{name}: {inside} permits of {key} are out"
    if policy.door.lines.busy:
        yield f"{name}: somebody waits: {list(policy.door.lines.busy)}"


def _breaker(policy: CircuitBreaker, stage: Set) -> Iterable[str]:
    for key, breaker in _objects(policy).items():
        judged = [failure(seen) for seen in stage.passes if seen.origin == key]
        counted = [failed for failed in judged if failed is not None]
        if breaker.probing:
            yield f"CircuitBreaker: {breaker.probing} probes of {key} are out"
        yield from _counts(key, breaker, counted)


def _counts(key: str, breaker: Breaker, counted: list[bool]) -> Iterable[str]:
    if breaker.state is not Circuit.CLOSED or breaker.epoch:
        return  # what was counted before it changed is forgotten
    window = breaker.window
    if (window.calls, window.failures) != (len(counted), sum(counted)):
        yield (
            f"CircuitBreaker: {window.failures} failures of {window.calls} counted for {key}, "
            f"there were {sum(counted)} of {len(counted)}"
        )


def failure(seen: Pass) -> bool | None:
    """Whether an attempt was the server's failure; None where it tells nothing about the server."""
    if seen.status is not None:
        return seen.status >= 500
    error = seen.error
    if isinstance(error, TransportError):
        return True
    if isinstance(error, Exception) and not isinstance(error, DeadlineExceeded):
        return None
    assert seen.context.exchange is not None
    return True if not seen.in_time and seen.context.exchange.handed_over else None


def _budget(policy: RetryConfig, stage: Set) -> Iterable[str]:
    retries = [event for event in stage.events if isinstance(event, RetryDecided) and event.decision == "retry"]
    paid = [event for event in retries if not event.reason.startswith("status 429")]  # those name a time: they are free
    hedges = [event for event in stage.events if isinstance(event, HedgeDecided) and event.decision == "hedge"]
    spent = sum(BURST - bucket.tokens for bucket in _objects(policy).values())
    if spent != len(paid) + len(hedges):
        yield f"budget: {spent} spent, on {len(paid)} retries and {len(hedges)} hedges"


def _rates(policy: AdaptiveRetry, stage: Set) -> Iterable[str]:
    yield from _lines("AdaptiveRetry", policy)


def _flights(policy: Coalesce, stage: Set) -> Iterable[str]:
    assert policy.flights is not None
    if len(policy.flights):
        yield f"Coalesce: {len(policy.flights)} flights"


CHECKS: Final[tuple[tuple[type[Any], Callable[[Any, Set], Iterable[str]]], ...]] = (
    (RateLimit, _rate_limit),
    (ServerPacing, _pacing),
    (Bulkhead, _permits),
    (AdaptiveConcurrency, _permits),
    (CircuitBreaker, _breaker),
    (RetryConfig, _budget),
    (AdaptiveRetry, _rates),
    (Coalesce, _flights),
)
