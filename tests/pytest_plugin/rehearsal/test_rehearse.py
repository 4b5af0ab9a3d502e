"""Rehearsals: any client, in virtual time or on a socket; what is reported, and that it is the same every time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings

from mockserver import stub
from mockserver.faults import ConstantLatency, outage
from mockserver.rules import Rules
from pytest_plugin.rehearsal import (
    Ask,
    Backstage,
    Cancel,
    ClockJump,
    FaultSchedule,
    Promises,
    RehearsalFailed,
    Step,
    Workload,
    fault_schedules,
    rehearse,
)
from rest_api_client import APIClient, AsyncAPIClient
from rest_api_client.virtual.clock import VirtualClock

SILENT = "stall_before_head"


def ours(stage: Backstage) -> AsyncAPIClient:
    return AsyncAPIClient(**stage.options())


def ours_sync(stage: Backstage) -> APIClient:
    return APIClient(**stage.options())


def bare(stage: Backstage) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=stage.url, transport=stage.async_httpx_transport(), timeout=3.0)


def bare_sync(stage: Backstage) -> httpx.Client:
    return httpx.Client(base_url=stage.url, transport=stage.httpx_transport(), timeout=3.0)


CLIENTS = [ours, ours_sync, bare, bare_sync]


@pytest.mark.parametrize("make", CLIENTS)
def test_any_client_is_rehearsed_in_virtual_time(make: Callable[[Backstage], Any]) -> None:
    """Ours and httpx's, sync and async: a healthy server answers every call, and nothing is broken."""
    report = rehearse(make, workload=Workload(callers=2, calls=2)).raise_()
    assert [call.how for call in report.calls] == ["answered 200"] * 6
    assert [entry.method for entry in report.entries] == ["GET", "POST", "GET", "POST", "GET", "GET"]
    assert [round(call.started, 3) for call in report.calls] == [0, 0.5, 1, 1.5, 61.5, 61.5]


@pytest.mark.parametrize("make", [bare, bare_sync])
def test_an_httpx_client_keeps_its_own_timeouts(make: Callable[[Backstage], Any]) -> None:
    """Its transport is asked for 3 seconds of patience, and raises after as many virtual ones."""
    report = rehearse(make, [SILENT], workload=Workload(calls=1))
    call = report.calls[0]
    assert isinstance(call.error, httpx.ReadTimeout)
    assert call.ended == 3.0
    assert report.ok


def test_ten_thousand_examples_of_our_client_begin_with_these() -> None:
    """Our client, with its defaults, breaks nothing, whatever goes wrong."""

    @settings(max_examples=150, derandomize=True, database=None, deadline=None)
    @given(fault_schedules())
    def rehearsal(schedule: FaultSchedule) -> None:
        rehearse(ours, schedule).raise_()

    rehearsal()


def test_our_sync_client_goes_through_the_same() -> None:
    """In threads; cancellations are told to be skipped."""

    @settings(max_examples=40, derandomize=True, database=None, deadline=None)
    @given(fault_schedules())
    def rehearsal(schedule: FaultSchedule) -> None:
        report = rehearse(ours_sync, schedule).raise_()
        assert [each.partition(":")[0] for each in report.skipped] == (["cancels"] if schedule.cancels else [])

    rehearsal()


def test_the_same_schedule_gives_the_same_run_five_times() -> None:
    """Five minutes with an outage in the middle, twenty clients, chance on both sides: one log."""
    schedule = FaultSchedule(
        phases=outage(start=60.0, duration=120.0, how="error").phases, latency=ConstantLatency(0.2), seed=3
    )
    workload = Workload(callers=20, calls=10, every=30.0, methods=("GET",), shared=False)
    logs = [rehearse(ours, schedule, workload=workload).log() for _ in range(5)]
    assert logs == [logs[0]] * 5
    assert len(logs[0]) > 400


def test_another_seed_gives_another_run() -> None:
    """Jitter is drawn from it."""
    runs = {str(rehearse(ours, FaultSchedule(steps=["error(503)"], seed=seed)).log()) for seed in range(3)}
    assert len(runs) == 3


def test_chance_of_the_process_is_seeded_and_given_back() -> None:
    """A client that draws from `random` itself is the same in each run, and a test's own draws are left alone."""

    def call(client: httpx.Client, ask: Ask) -> httpx.Response:
        return client.get(f"/{random.random()}")

    random.seed(5)
    wanted = random.random()
    random.seed(5)
    paths = [[e.path for e in rehearse(bare_sync, workload=Workload(calls=2, call=call)).entries] for _ in range(2)]
    assert paths[0] == paths[1]
    assert random.random() == wanted


def test_a_failure_says_all_of_it() -> None:
    """What was broken, the schedule, the timeline, and the token that plays it again."""

    class Twice:
        def __init__(self, stage: Backstage) -> None:
            self.http = bare(stage)

        async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
            try:
                return await self.http.request(method, path, **options)
            except httpx.ReadError:
                return await self.http.request(method, path, **options)

    schedule = FaultSchedule(steps=["ok", Step("reset_before", effect="done")])
    with pytest.raises(RehearsalFailed) as failed:
        rehearse(Twice, schedule).raise_()
    said = str(failed.value)
    for part in ("broken: repeats", "request 2: step(reset_before, effect=done)", "POST /things", "virtual seconds"):
        assert part in said
    token = said.rpartition("rehearse(..., '")[2].partition("'")[0]
    assert not rehearse(Twice, token).ok
    assert len(failed.value.report.interactions()) == len(failed.value.report.entries)


def test_a_call_that_never_ends_is_told() -> None:
    """Without a timeout a silent server is waited for as long as patience lasts."""
    for make in (
        lambda stage: httpx.AsyncClient(base_url=stage.url, transport=stage.async_httpx_transport(), timeout=None),
        lambda stage: httpx.Client(base_url=stage.url, transport=stage.httpx_transport(), timeout=None),
    ):
        report = rehearse(make, [SILENT], workload=Workload(calls=1))
        assert {each.rule for each in report.broken} >= {"ended"}
        assert "never ended" in str(RehearsalFailed(report))


def test_an_error_that_is_nobodys_own_is_told() -> None:
    """A KeyError out of a client is no way for a call to end."""

    async def call(client: Any, ask: Ask) -> None:
        raise KeyError("status")

    report = rehearse(bare, workload=Workload(call=call), promises=Promises(recovery=None))
    assert [each.rule for each in report.broken] == ["typed"]
    allowed = Promises(recovery=None, errors=(KeyError,))
    assert rehearse(bare, workload=Workload(call=call), promises=allowed).ok


def test_a_deadline_is_what_the_client_says_or_what_is_given() -> None:
    """Ours tells its own; for others it is given."""

    def slack(stage: Backstage) -> AsyncAPIClient:
        return AsyncAPIClient(**{**stage.options(), "deadline": 2.0})

    slow = FaultSchedule(steps=[Step(late=1.5)])
    assert rehearse(slack, slow).ok
    report = rehearse(bare, slow, promises=Promises(deadline=1.0))
    assert [each.rule for each in report.broken] == ["deadline"]


def test_a_cancelled_call_ends_where_it_is_cancelled() -> None:
    """The caller gives up after a second: the call is over then, and the server's side of it too."""
    schedule = FaultSchedule(steps=[SILENT], cancels=(Cancel(call=1, after=1.0),))
    report = rehearse(ours, schedule, workload=Workload(calls=1)).raise_()
    assert (report.calls[0].outcome, report.calls[0].ended) == ("cancelled", 1.0)
    assert report.entries[0].finished == 1.0


def test_a_client_that_swallows_cancellations_is_told() -> None:
    """It goes on for more than a second."""

    async def call(client: httpx.AsyncClient, ask: Ask) -> httpx.Response:
        try:
            return await client.get("/slow")
        except asyncio.CancelledError:
            await asyncio.sleep(5)
            raise

    schedule = FaultSchedule(steps=[SILENT], cancels=(Cancel(call=1, after=1.0),))
    report = rehearse(bare, schedule, workload=Workload(calls=1, call=call))
    assert [each.rule for each in report.broken] == ["ended"]


def test_what_is_held_in_the_end_is_told_by_name() -> None:
    """Permits and tokens, as the client counts them."""
    promises = Promises(held=lambda client: {"permits": 2, "tokens": 0})
    (violation,) = rehearse(ours, promises=promises).broken
    assert violation.rule == "held"
    assert "{'permits': 2}" in violation.text


def test_the_wall_clock_jumps() -> None:
    """The date that server and client see is set; what is measured is not."""
    seen: list[tuple[float, float]] = []

    def make(stage: Backstage) -> AsyncAPIClient:
        clock = stage.clock

        class Watching(AsyncAPIClient):
            async def prepare_request(self, request: Any) -> Any:
                seen.append((clock.monotonic(), clock.time()))
                return request

        return Watching(**stage.options())

    rehearse(make, FaultSchedule(jumps=(ClockJump(at=0.5, seconds=-3600.0),)), workload=Workload(calls=2))
    (first, date), (second, later) = seen[:2]
    assert second - first == 1.0
    assert later - date == 1.0 - 3600.0


def test_the_server_answers_what_it_is_told_to() -> None:
    """Stubs, or resources, in place of the answer to everything."""
    report = rehearse(ours, workload=Workload(calls=1), stubs=[stub("GET", "/things", status=204)])
    assert report.calls[0].status == 204
    users = Workload(calls=1, path="/users/1")
    assert rehearse(ours, workload=users, resources={"users": 3}).calls[0].status == 200
    report = rehearse(ours, workload=Workload(calls=1, path="/nowhere"), stubs=[])
    assert report.entries[0].status == 404


def test_a_limit_of_the_server_is_a_rule_where_it_is_asked_for() -> None:
    """By default a client that was not told of a limit is not blamed."""
    schedule = FaultSchedule(limit="window(1, 60.0)")
    workload = Workload(callers=2, calls=6, methods=("GET",))
    assert "limit" not in {each.rule for each in rehearse(bare, schedule, workload=workload).broken}
    assert "limit" in {
        each.rule for each in rehearse(bare, schedule, workload=workload, rules=Rules(connections=None)).broken
    }


def test_each_caller_may_have_a_client_of_its_own() -> None:
    """`shared=False`: as many clients as callers."""
    made: list[Backstage] = []

    def make(stage: Backstage) -> AsyncAPIClient:
        made.append(stage)
        return ours(stage)

    rehearse(make, workload=Workload(callers=3, shared=False))
    assert len(made) == 3
    made.clear()
    rehearse(make, workload=Workload(callers=3))
    assert len(made) == 1


@pytest.mark.parametrize("make", CLIENTS)
def test_the_same_client_goes_through_it_on_a_socket(make: Callable[[Backstage], Any]) -> None:
    """Real sockets and real time, with the very same function: a reset and an error, at once."""
    promises = Promises(recovery=0.01)
    workload = Workload(calls=2, every=0.0, methods=("GET",), patience=30.0)
    report = rehearse(make, ["error(503)", "reset_before"], live=True, workload=workload, promises=promises)
    assert report.live
    assert {each.rule for each in report.broken} == set()
    assert report.entries[0].status == 503
    assert report.entries[1].status is None
    assert "virtual" not in report.text()


def test_a_client_of_a_base_url_alone_is_rehearsed_on_a_socket() -> None:
    """It is given `stage.url`, and knows nothing else."""

    def make(stage: Backstage) -> httpx.Client:
        return httpx.Client(base_url=stage.url)

    workload = Workload(calls=1, patience=30.0)
    report = rehearse(make, live=True, workload=workload, promises=Promises(recovery=None))
    assert [call.status for call in report.calls] == [200]


def test_a_client_that_does_not_close_is_told_and_left() -> None:
    """Its rehearsal ends all the same."""

    class Stuck(httpx.AsyncClient):
        async def __aexit__(self, *error: object) -> None:
            await asyncio.Event().wait()

    report = rehearse(lambda stage: Stuck(base_url=stage.url, transport=stage.async_httpx_transport()))
    assert report.skipped == ["a client did not close within 60 s"]


@pytest.mark.parametrize(
    "options",
    [
        {"callers": 0},
        {"calls": 1.5},
        {"every": -1},
        {"patience": 0},
        {"methods": ()},
        {"methods": "GET"},
        {"path": "x"},
    ],
)
def test_a_workload_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    """With the name of the option."""
    with pytest.raises(ValueError, match=f"Workload.{next(iter(options))}"):
        Workload(**options)


@pytest.mark.parametrize("options", [{"deadline": 0}, {"recovery": -1}, {"tolerance": -0.1}])
def test_promises_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """With the name of the option."""
    with pytest.raises(ValueError, match=f"Promises.{next(iter(options))}"):
        Promises(**options)


def test_in_virtual_time_the_clock_is_virtual() -> None:
    """What a client is made of goes by it."""
    stages: list[Backstage] = []
    rehearse(lambda stage: stages.append(stage) or ours(stage))  # type: ignore[func-returns-value]
    assert isinstance(stages[0].clock, VirtualClock)
