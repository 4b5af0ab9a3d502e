"""What calls tell: records one can search, counters, and nothing at all where nobody listens."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rest_api_client.context import Call, Context
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.events import (
    AttemptEnded,
    CallEnded,
    CallStarted,
    CircuitChanged,
    CircuitRefused,
    Coalesced,
    ConcurrencyChanged,
    CredentialsWithheld,
    DownloadResumed,
    Event,
    FellBack,
    HedgeDecided,
    HedgeEnded,
    NotStarted,
    Queued,
    RateCut,
    RateLimited,
    Redirected,
    RetryDecided,
    RetryProbed,
)
from rest_api_client.exceptions import ConnectError
from rest_api_client.middleware import Middleware
from rest_api_client.models import Attempt, Note, Request, Response
from rest_api_client.pipeline import Pipeline
from rest_api_client.policies.reading import Read
from rest_api_client.runtime import Aborted
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.script import Refuse, Script
from rest_api_client.telemetry import LOGGER, MetricsCollector, Telemetry, describe, log_event
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.chain import a_request

COMMON: dict[str, Any] = {"call_id": "c1", "at": 1.0, "method": "GET", "endpoint": "/things/{id}"}
ATTEMPT = Attempt(
    number=2, started=0.0, elapsed=0.5, url="https://api.test/things/7", status_code=503, reason="status 503"
)
NOTES = (Note("RateLimit", "queued", 2.0), Note("CircuitBreaker", "probe"))
PROBED = Attempt(number=1, started=0.0, elapsed=0.5, url="https://api.test/things/7", status_code=200, notes=NOTES)
EVENTS: list[tuple[Event, int, str, dict[str, Any]]] = [
    (
        CallEnded(url="u", duration=1.5, status_code=200, error=None, reason="ok", attempts=3, **COMMON),
        logging.INFO, "200 in 1.500 s, 3 attempt(s)",
        {"url": "u", "duration": 1.5, "status": 200, "retry_count": 2, "reason": "ok"},
    ),
    (
        CallEnded(url="u", duration=0.0, status_code=503, error=None, reason="status 503", attempts=0, **COMMON),
        logging.WARNING, "503 in", {"status": 503, "retry_count": 0},
    ),
    (
        CallEnded(url="u", duration=0.0, status_code=None, error="ConnectError", reason="connect error", attempts=1,
         **COMMON),
        logging.WARNING, "ConnectError in", {"status": None, "reason": "connect error"},
    ),
    (
        CallEnded(url="u", duration=0.0, status_code=None, error="Aborted", reason="cancelled", attempts=1, **COMMON),
        logging.INFO, "Aborted in", {"reason": "cancelled"},
    ),
    (AttemptEnded(attempt=ATTEMPT, **COMMON), logging.DEBUG, "attempt 2 ended: status 503 in 0.500 s",
     {"url": ATTEMPT.url, "duration": 0.5, "status": 503, "retry_count": 1, "reason": "status 503", "notes": []}),
    (AttemptEnded(attempt=PROBED, **COMMON), logging.DEBUG, "attempt 1 ended: ok in 0.500 s (queued, probe)",
     {"notes": ["queued", "probe"]}),
    (RetryDecided(attempt=1, decision="retry", delay=0.25, reason="status 503", **COMMON), logging.INFO,
     "retry in 0.250 s after status 503", {"retry_count": 1, "decision": "retry", "reason": "status 503"}),
    (RetryDecided(attempt=1, decision="budget empty", delay=None, reason="status 503", **COMMON), logging.INFO,
     "budget empty after status 503", {"decision": "budget empty"}),
    (RetryProbed(attempt=1, reason="probe", **COMMON), logging.INFO, "a retry after attempt 1 is made as a probe",
     {"reason": "probe"}),
    (NotStarted(takes=0.5, left=0.1, reason="would not finish", **COMMON), logging.INFO,
     "not started: takes 0.500 s, 0.100 s left", {"reason": "would not finish"}),
    (RateLimited(waited=2.0, refused=False, reason="limit", **COMMON), logging.INFO, "held back 2.000 s by limit",
     {"duration": 2.0}),
    (RateLimited(waited=0.0, refused=True, reason="limit", **COMMON), logging.INFO, "refused by limit",
     {"reason": "limit"}),
    (Queued(key="https://o:443", waited=2.0, refused=False, reason="queued", **COMMON), logging.INFO,
     "waited 2.000 s in line for https://o:443: queued", {"reason": "queued", "duration": 2.0}),
    (Queued(key="https://o:443", waited=2.0, refused=True, reason="shed", **COMMON), logging.INFO,
     "refused after 2.000 s in line for https://o:443: shed", {"reason": "shed", "duration": 2.0}),
    (ConcurrencyChanged(key="https://o:443", before=20, after=19, **COMMON), logging.DEBUG,
     "concurrency of https://o:443: 20 to 19", {"reason": "concurrency changed"}),
    (RateCut(key="https://o:443", rate=1.4, **COMMON), logging.INFO,
     "https://o:443 asks for fewer requests: 1.4 a second", {"reason": "rate cut"}),
    (HedgeDecided(decision="hedge", delay=0.25, **COMMON), logging.INFO, "no answer in 0.250 s: hedge",
     {"reason": "hedge", "duration": 0.25}),
    (HedgeEnded(copies=2, winner=2, **COMMON), logging.DEBUG, "copy 2 of 2 won", {"reason": "hedge ended"}),
    (HedgeEnded(copies=2, winner=None, **COMMON), logging.DEBUG, "all 2 copies failed", {}),
    (CircuitChanged(key="api", before="closed", after="open", reason="slow calls", **COMMON), logging.WARNING,
     "circuit of api: closed to open, slow calls",
     {"reason": "slow calls"}),
    (CircuitRefused(key="api", reason="circuit open", retry_after=2.0, suppressed=0, **COMMON), logging.INFO,
     "refused by the circuit of api", {"reason": "circuit open"}),
    (CircuitRefused(key="api", reason="circuit open", retry_after=None, suppressed=7, **COMMON), logging.INFO,
     "refused by the circuit of api, and 7 more since", {}),
    (FellBack(how="replica", reason="status 503", error=None, **COMMON), logging.WARNING,
     "fallback to a replica after status 503", {"decision": "fell back", "reason": "status 503"}),
    (FellBack(how="function", reason="status 503", error="ZeroDivisionError", **COMMON), logging.WARNING,
     "fallback to a function after status 503 failed too with ZeroDivisionError", {"decision": "fallback failed"}),
    (DownloadResumed(what="continued", at_byte=7, **COMMON), logging.INFO, "download continued at byte 7",
     {"reason": "continued"}),
    (Coalesced(leader="c0", **COMMON), logging.DEBUG, "shares the request of call c0", {"reason": "coalesced"}),
    (Redirected(status_code=302, url="https://o/x", **COMMON), logging.DEBUG, "302 leads to https://o/x",
     {"status": 302, "url": "https://o/x", "reason": "redirected"}),
    (CredentialsWithheld(origin="https://o:443", names=("authorization",), **COMMON), logging.WARNING,
     "withheld from https://o:443: authorization", {"reason": "credentials withheld"}),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    """Give the logger its level back."""
    before = LOGGER.level
    yield
    LOGGER.setLevel(before)


@pytest.mark.parametrize(("event", "level", "text", "fields"), EVENTS)
def test_each_event_is_a_record_one_can_search(
    event: Event, level: int, text: str, fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Level, a sentence for people, and the fields a log store indexes."""
    caplog.set_level(logging.DEBUG, "rest_api_client")
    log_event(event)
    [record] = caplog.records
    assert record.levelno == level
    assert record.getMessage().startswith("GET /things/{id}: ")
    assert text in record.getMessage()
    assert record.getMessage() == f"GET /things/{{id}}: {describe(event)}"
    expected = {"call_id": "c1", "method": "GET", "endpoint": "/things/{id}"} | fields
    assert {name: getattr(record, name) for name in expected} == expected


def test_what_is_below_the_level_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    """Attempts are for debugging alone; starts are no records at all."""
    caplog.set_level(logging.INFO, "rest_api_client")
    log_event(AttemptEnded(attempt=ATTEMPT, **COMMON))
    caplog.set_level(logging.DEBUG, "rest_api_client")
    log_event(CallStarted(url="u", **COMMON))
    assert describe(CallStarted(url="u", **COMMON)) == ""
    assert caplog.records == []


def run(
    sinks: tuple[Any, ...], script: Script, *middleware: Middleware, withheld: tuple[str, ...] = ()
) -> tuple[Any, Call]:
    """One call through Telemetry: its response or error, and the call."""
    world = World("sync", VirtualClock())
    call = Call(world.runtime, random.Random(1))

    async def body() -> Any:
        chain = Pipeline(
            [Telemetry(sinks), *middleware, Read()], ScriptedTransport(script).bind(world.runtime), world.runtime
        )
        context = Context(call)
        context.withheld = withheld
        try:
            return await chain(a_request(url="https://api.test/x?token=hunter2", template="/x"), context)
        except BaseException as error:
            return error

    return world.run(body), call


def test_a_call_tells_its_start_and_end() -> None:
    """With masked URL, duration and number of attempts; the attempts come between them."""
    LOGGER.setLevel(logging.CRITICAL)
    told: list[Event] = []
    _, call = run((told.append,), respond(200, delay=2))
    assert [type(event).__name__ for event in told] == ["CallStarted", "AttemptEnded", "CallEnded"]
    end = told[-1]
    assert isinstance(end, CallEnded)
    assert (end.duration, end.status_code, end.error, end.reason, end.attempts) == (2.0, 200, None, "ok", 1)
    assert {event.call_id for event in told} == {call.id}
    assert "hunter2" not in repr(told)


async def cancelling(request: Request, context: Context, proceed: Any) -> Response:
    raise Aborted


@pytest.mark.parametrize(
    ("script", "middleware", "error", "reason"),
    [
        (Script(Refuse()), (), "ConnectError", "connect error"),
        (respond(200), (Middleware(cancelling),), "Aborted", "cancelled"),
    ],
)
def test_a_call_that_fails_tells_so(script: Script, middleware: Any, error: str, reason: str) -> None:
    """The error passes unchanged; a cancellation is no failure."""
    told: list[Event] = []
    result, _ = run((told.append,), script, *middleware)
    assert type(result).__name__ == error
    end = told[-1]
    assert isinstance(end, CallEnded)
    assert (end.status_code, end.error, end.reason) == (None, error, reason)


def test_withheld_credentials_are_told() -> None:
    """Names alone, and where they were not sent."""
    told: list[Event] = []
    run((told.append,), respond(200), withheld=("authorization",))
    [event] = [event for event in told if isinstance(event, CredentialsWithheld)]
    assert (event.origin, event.names) == ("https://api.test:443", ("authorization",))


def test_where_nobody_listens_nothing_is_built(caplog: pytest.LogCaptureFixture) -> None:
    """A silent log and no sinks: a good call has not even an id, and a bad one leaves no trace."""
    caplog.set_level(logging.CRITICAL, "rest_api_client")
    _, call = run((), respond(200))
    assert call._id is None
    run((), respond(503), withheld=("a",))
    assert caplog.records == []


def test_a_log_of_warnings_alone_costs_little(caplog: pytest.LogCaptureFixture) -> None:
    """Python's default: a good call builds no event, a bad one leaves its warning."""
    caplog.set_level(logging.WARNING, "rest_api_client")
    _, call = run((), respond(200))
    assert call._id is None
    assert caplog.records == []
    run((), respond(503))
    result, _ = run((), Script(Refuse()))
    assert isinstance(result, ConnectError)
    run((), respond(200), withheld=("authorization",))
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3


def test_a_log_of_everything_gets_everything(caplog: pytest.LogCaptureFixture) -> None:
    """Beside the sinks, which hear the same."""
    caplog.set_level(logging.DEBUG, "rest_api_client")
    told: list[Event] = []
    run((told.append,), respond(200))
    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO"]
    assert len(told) == 3


def test_metrics_count_by_what_matters() -> None:
    """Calls by method, endpoint and end; attempts and retries by reason; waits and durations in sums and buckets."""
    collector = MetricsCollector()
    for event, *_ in EVENTS:
        collector(event)
    collector(CallEnded(url="u", duration=0.005, status_code=200, error=None, reason="ok", attempts=1, **COMMON))
    collector(CallEnded(url="u", duration=99.0, status_code=200, error=None, reason="ok", attempts=1, **COMMON))
    collector(CallStarted(url="u", **COMMON))
    shown = collector.snapshot()
    assert shown["calls"] == {
        "GET /things/{id} 200": 3, "GET /things/{id} 503": 1, "GET /things/{id} ConnectError": 1,
        "GET /things/{id} Aborted": 1,
    }  # fmt: skip
    assert (shown["attempts"], shown["retries"], shown["refused"]) == (
        {"status 503": 1, "ok": 1},
        {"status 503": 1},
        {"budget empty": 1},
    )
    assert shown["waited"] == 6.25
    durations: Any = shown["durations"]
    assert (durations["0.005"], durations["2.5"], durations["+Inf"], sum(durations.values())) == (4, 1, 1, 6)
    assert json.loads(json.dumps(shown)) == shown
    collector.reset()
    assert collector.snapshot() == MetricsCollector().snapshot()


def test_metrics_may_be_shared_by_threads() -> None:
    """No event is lost, whoever counts, looks or resets meanwhile."""
    collector = MetricsCollector()
    event = AttemptEnded(attempt=ATTEMPT, **COMMON)

    def count() -> None:
        for _ in range(500):
            collector(event)
            collector.snapshot()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collector.attempts["status 503"] == 2000


def test_telemetry_is_a_value() -> None:
    """Equal where its sinks are, so that a light copy of a client keeps it."""
    assert Telemetry() == Telemetry()
    assert Telemetry((print,)) != Telemetry()
    assert repr(Telemetry()) == "Telemetry(sinks=())"
    assert SyncRuntime(VirtualClock()).now() == 0


def test_a_collector_shows_what_it_counted() -> None:
    """Its repr is for the interactive prompt."""
    assert repr(MetricsCollector()) == "<MetricsCollector of 0 calls, 0 attempts>"
