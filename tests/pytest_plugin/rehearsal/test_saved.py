"""Failing schedules on disk: kept, played first, read as cassettes, served on a socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr
from hypothesis import Phase, settings
from hypothesis import strategies as st

from cassettes import CassetteError, load
from mockserver import MockServer
from pytest_plugin.rehearsal import (
    Backstage,
    FaultSchedule,
    RehearsalFailed,
    Step,
    Workload,
    fault_schedules,
    rehearse,
    rehearsed,
    save,
    saved_schedule,
    stubs_of,
)
from rest_api_client import AsyncAPIClient
from tests.pytest_plugin.rehearsal.clients import RepeatsPosts

steps_only = fault_schedules(phases=0, limits=False, slow=False, cancels=0, jumps=0)
few = settings(
    max_examples=100, derandomize=True, database=None, deadline=None, report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)  # fmt: skip


def a_test(folder: Path, played: list[FaultSchedule], make: Any = RepeatsPosts, fails: type = RehearsalFailed) -> Any:
    """A test as a user has it, of a client that repeats POSTs."""

    @rehearsed(steps_only, saved=folder)
    @few
    def test_orders(schedule: FaultSchedule) -> None:
        played.append(schedule)
        rehearse(make, schedule).raise_()

    return test_orders


def test_the_simplest_failure_is_kept_and_played_first_next_time(tmp_path: Path) -> None:
    """The first run shrinks and saves; the second begins with what was saved, and ends there."""
    first: list[FaultSchedule] = []
    with pytest.raises(RehearsalFailed) as failed:
        a_test(tmp_path, first)()
    (path,) = tmp_path.iterdir()
    kept = saved_schedule(path)
    assert kept == failed.value.report.schedule
    assert f"saved: {path}, played first next time" in str(failed.value)
    assert len(kept) == 1
    before = path.read_bytes()
    second: list[FaultSchedule] = []
    with pytest.raises(RehearsalFailed):
        a_test(tmp_path, second)()
    assert second[0] == kept
    assert len(second) < len(first)
    assert path.read_bytes() == before


def test_once_mended_the_file_stays_an_ordinary_test(tmp_path: Path) -> None:
    """It is played first for as long as it is there, and passes."""
    with pytest.raises(RehearsalFailed):
        a_test(tmp_path, [])()
    (path,) = tmp_path.iterdir()
    played: list[FaultSchedule] = []
    a_test(tmp_path, played, make=lambda stage: AsyncAPIClient(**stage.options()))()
    assert played[0] == saved_schedule(path)
    assert not rehearse(RepeatsPosts, path).ok


def test_a_failure_of_the_tests_own_is_not_kept(tmp_path: Path) -> None:
    """Only what a rehearsal found is a rehearsal."""

    @rehearsed(st.just(FaultSchedule()), saved=tmp_path)
    @few
    def test_wrong(schedule: FaultSchedule) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        test_wrong()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A saved rehearsal: a GET, a POST that was done and cut off, and its repetition."""
    report = rehearse(RepeatsPosts, ["ok", Step("reset_before", effect="done")], workload=Workload(calls=2))
    return save(report, tmp_path / "orders.yaml")


def test_a_saved_rehearsal_is_a_cassette(kept: Path) -> None:
    """All attempts are in it, in order, the one that failed too; vcrpy reads the answers."""
    interactions, _ = load(kept)
    assert [f"{each.asked.method} {each.outcome}" for each in interactions] == [
        "GET 200", "POST ReadError", "POST 200", "GET 200",
    ]  # fmt: skip
    with vcr.use_cassette(str(kept), record_mode="none") as cassette:
        assert len(cassette) == 3


def test_the_same_cassette_is_served_on_a_socket(kept: Path) -> None:
    """Each attempt meets what it met in the rehearsal, by any program that speaks HTTP."""
    with (
        MockServer(stubs=stubs_of(kept), resources={}, rules=None) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        assert http.get("/things").json() == {"ok": True}
        with pytest.raises(httpx.TransportError):
            http.post("/things", json={})
        assert [http.post("/things", json={}).status_code for _ in range(2)] == [200, 200]
        assert http.get("/elsewhere").status_code == 404


def test_a_refused_connection_is_served_as_a_reset() -> None:
    """A server that has read a request cannot refuse it any more."""
    report = rehearse(lambda stage: AsyncAPIClient(**stage.options()), ["refuse"], workload=Workload(calls=1))
    with MockServer(stubs=stubs_of(report.interactions()), resources={}, rules=None) as server:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{server.url}/things")
        assert httpx.get(f"{server.url}/things").status_code == 200


def test_no_secret_is_written(tmp_path: Path) -> None:
    """Saved rehearsals are committed: credentials are placeholders in them."""

    def make(stage: Backstage) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=stage.url,
            transport=stage.async_httpx_transport(),
            headers={"authorization": "Bearer correct-horse-battery-staple"},
        )

    path = save(rehearse(make, workload=Workload(calls=1)), tmp_path / "secret.yaml")
    assert "correct-horse" not in path.read_text()


def test_what_is_no_rehearsal_is_refused(tmp_path: Path) -> None:
    """A cassette of another kind, a broken token, another name."""
    plain = tmp_path / "plain.yaml"
    plain.write_text("interactions: []\nversion: 1\n")
    with pytest.raises(CassetteError, match="is no rehearsal"):
        saved_schedule(plain)
    plain.write_text("interactions: []\nversion: 1\nx_rest_api_client: {version: 1, rehearsal: r1.zzz}\n")
    with pytest.raises(CassetteError, match="mistyped"):
        saved_schedule(plain)
    with pytest.raises(CassetteError, match=r"ends in \.yaml"):
        save(rehearse(RepeatsPosts), tmp_path / "x.json")
