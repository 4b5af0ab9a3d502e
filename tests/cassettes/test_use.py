"""Modes, ages, names of files, and what happens when several record at once."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cassettes import (
    CassetteError,
    CassetteExpired,
    CassetteMiss,
    Limits,
    Matching,
    default_mode,
    load,
    use_cassette,
)
from rest_api_client.async_client import AsyncAPIClient
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import CapabilityError, ReadTimeout
from rest_api_client.models import Request
from rest_api_client.runtime import run_sync
from rest_api_client.script import Chunk, Delay, End, Head, Reset, Script, Stall
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.faces import any_client


class Service:
    """Answers with a number that counts up, for ever."""

    def __init__(self, first: int = 1) -> None:
        self.asked = first - 1

    def transport(self) -> ScriptedTransport:
        """A transport of its own for each client."""
        return ScriptedTransport(self.answer)

    def answer(self, request: Request, index: int) -> Script:
        """The next number."""
        self.asked += 1
        return respond(200, json={"n": self.asked})


def ask(path: Path | str, *paths: str, service: Service | None = None, **options: Any) -> list[Any]:
    """What the service said, or the class of the error."""
    inner = (service or Service()).transport()
    found: list[Any] = []
    with (
        use_cassette(path, inner=inner, **options) as cassette,
        APIClient(base_url="https://api.test", engine=cassette, max_retries=0) as client,
    ):
        for each in paths:
            try:
                found.append(client.get(each).data["n"])
            except CassetteError as error:
                found.append(type(error).__name__)
    return found


def test_none_plays_and_never_records(tmp_path: Path) -> None:
    """Without a file it is refused; with one, what was not recorded is a miss."""
    path = tmp_path / "a.yaml"
    with pytest.raises(CassetteError, match="mode='once'"):
        ask(path, "/a", mode="none")
    ask(path, "/a", mode="all")
    before = path.read_bytes()
    assert ask(path, "/a", "/b", mode="none") == [1, "CassetteMiss"]
    assert path.read_bytes() == before


def test_once_records_the_first_time_only(tmp_path: Path) -> None:
    """The second time it plays."""
    path = tmp_path / "a.yaml"
    service = Service()
    assert ask(path, "/a", "/a", mode="once", service=service) == [1, 2]
    assert ask(path, "/a", "/a", "/a", mode="once", service=service) == [1, 2, "CassetteMiss"]
    assert service.asked == 2


@pytest.mark.parametrize("form", ["a.yaml", "a.json", "a.jsonl"])
def test_new_plays_what_is_there_and_records_the_rest(tmp_path: Path, form: str) -> None:
    """More requests than were recorded go on where the recording ended, and stand behind it in the file."""
    path = tmp_path / form
    ask(path, "/a", "/a", mode="all")
    assert ask(path, "/a", "/a", "/a", "/b", "/a", mode="new", service=Service(101)) == [1, 2, 101, 102, 103]
    assert ask(path, "/a", "/a", "/a", "/a", "/b", mode="none") == [1, 2, 101, 103, 102]


def test_all_replaces(tmp_path: Path) -> None:
    """What was there before is gone."""
    path = tmp_path / "a.yaml"
    ask(path, "/a", "/b", mode="all")
    assert ask(path, "/a", mode="all", service=Service(7)) == [7]
    assert [each.asked.uri for each in load(path)[0]] == ["https://api.test/a"]


def test_refresh_shows_what_changes_before_it_replaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By field and JSON path; nothing is written where the reviewer says no, or where nothing has changed."""
    path = tmp_path / "a.yaml"
    ask(path, "/a", "/b", mode="all")
    before = path.read_bytes()
    shown: list[str] = []

    def no(difference: str) -> bool:
        shown.append(difference)
        return False

    ask(path, "/a", "/c", mode="refresh", service=Service(7), review=no)
    assert "~ GET https://api.test/a" in shown[0]
    assert "body $.n: recorded 1, asked 7" in shown[0]
    assert "+ GET https://api.test/c -> 200" in shown[0]
    assert "- GET https://api.test/b -> 200" in shown[0]
    assert path.read_bytes() == before
    ask(path, "/a", "/b", mode="refresh")
    assert path.read_bytes() == before
    ask(path, "/a", mode="refresh", service=Service(7))
    assert "2 recorded before, 1 now" in capsys.readouterr().err
    assert path.read_bytes() != before


def test_a_refresh_renews_the_date_and_asks_nobody_where_nothing_differs(tmp_path: Path) -> None:
    """Or an old recording would warn for ever; secrets of an old file are not shown as a difference."""
    path = tmp_path / "a.yaml"
    ask(path, "/a?token=first-secret-1", mode="all")
    old = path.read_text().replace("recorded: '20", "recorded: '19").replace("%3Ctoken-1%3E", "first-secret-1")
    path.write_text(old)

    def review(difference: str) -> bool:
        raise AssertionError(difference)

    day = timedelta(days=1)
    assert ask(path, "/a?token=second-secret-2", mode="refresh", review=review, expires_after=day) == [1]
    assert ask(path, "/a?token=x", mode="none", expires_after=day, on_expiry="fail") == [1]
    assert "first-secret-1" not in path.read_text()


def test_a_body_that_can_be_read_once_is_recorded_where_it_was_read_for_matching(tmp_path: Path) -> None:
    """Mode "new" compares the body first, and sends it then."""
    path = tmp_path / "once.yaml"
    matching = Matching(on=("method", "path", "body"))

    def echo(request: Request, index: int) -> Script:
        return respond(200, content="answered")

    def send(mode: Any, *bodies: bytes, **options: Any) -> list[str]:
        with (
            use_cassette(path, mode=mode, inner=ScriptedTransport(echo), **options) as cassette,
            APIClient(base_url="https://api.test", engine=cassette) as client,
        ):
            return [client.post("/", content=iter([body])).text for body in bodies]

    for body, mode in ((b"one", "all"), (b"two", "new"), (b"one", "new")):
        assert send(mode, body, matching=matching) == ["answered"]
    assert [each.asked.body for each in load(path)[0]] == [b"one", b"two"]
    send("new", b"three", b"four", b"five")  # nothing compares bodies now: two play
    assert [each.asked.body for each in load(path)[0]] == [b"one", b"two", b"five"]


def test_the_default_mode_records_nothing_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """CI is the variable that every service sets."""
    monkeypatch.setenv("CI", "true")
    assert default_mode() == "none"
    monkeypatch.setenv("CI", "false")
    assert default_mode() == "once"


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    """Before anything is sent or written."""
    for options in ({"mode": "never"}, {"time": "warp"}, {"strictness": "lax"}, {"on_expiry": "shrug"}):
        with pytest.raises(CassetteError, match="give"):
            ask(tmp_path / "a.yaml", mode=options.pop("mode", "all"), **options)  # type: ignore[arg-type]
    with pytest.raises(CassetteError, match="ends in"):
        ask(tmp_path / "a.txt", mode="all")


def test_a_block_that_fails_leaves_its_recording_unless_told_otherwise(tmp_path: Path) -> None:
    """record_on_error=False keeps half a recording from becoming a whole one."""
    for wanted in (True, False):
        path = tmp_path / f"{wanted}.yaml"
        with (
            pytest.raises(ZeroDivisionError),
            use_cassette(path, mode="once", inner=Service().transport(), record_on_error=wanted) as cassette,
            APIClient(base_url="https://api.test", engine=cassette) as client,
        ):
            1 / (client.get("/a").data["n"] - 1)
        assert path.exists() is wanted


def test_old_recordings_warn_or_fail_and_are_never_made_anew(tmp_path: Path) -> None:
    """A file that does not tell its date does not expire."""
    path = tmp_path / "a.yaml"
    ask(path, "/a", mode="all")
    day = timedelta(days=1)
    assert ask(path, "/a", mode="none", expires_after=day, on_expiry="fail") == [1]
    path.write_text(path.read_text().replace("recorded: '20", "recorded: '19"))
    with pytest.warns(CassetteExpired, match="mode='refresh'") as caught:
        assert ask(path, "/a", mode="once", expires_after=day) == [1]
    assert caught[0].filename == __file__
    with pytest.raises(CassetteExpired):
        ask(path, "/a", mode="none", expires_after=day, on_expiry="fail")
    ask(path, "/a", mode="all", timing=False)
    assert ask(path, "/a", mode="none", expires_after=day, on_expiry="fail") == [1]


def test_a_name_lies_in_its_folder(tmp_path: Path) -> None:
    """A str is a name, whose end may tell the form; a Path is taken as it is."""
    ask("users/list", "/a", mode="all", folder=tmp_path)
    ask("users.jsonl", "/a", mode="all", folder=tmp_path)
    ask("../../escape", "/a", mode="all", folder=tmp_path / "deep")
    found = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.*"))
    assert found[1:] == ["users.jsonl", "users/list.yaml"]
    assert found[0].startswith("deep/")


def test_the_order_of_the_whole_recording_can_be_insisted_on(tmp_path: Path) -> None:
    """strict: out of turn is a miss, and so is what was never asked for."""
    path = tmp_path / "a.yaml"
    ask(path, "/a", "/b", mode="all")
    assert ask(path, "/a", "/b", mode="none", strictness="strict") == [1, 2]
    with pytest.raises(CassetteError, match="2 of 2 recordings were never played"):
        ask(path, "/b", mode="none", strictness="strict")
    with (
        use_cassette(path, mode="none") as cassette,
        APIClient(base_url="https://api.test", engine=cassette) as client,
    ):
        client.get("/b")
        assert [each.asked.uri for each in cassette.cassette.unplayed] == ["https://api.test/a"]


def test_limits_hold_for_what_is_written(tmp_path: Path) -> None:
    """What could not be read again is not written; the old file stays."""
    path = tmp_path / "a.yaml"
    with pytest.raises(CassetteError, match="at most 500"):
        ask(path, "/a", "/b", mode="all", limits=Limits(size=500))
    assert not path.exists()
    assert os.listdir(tmp_path) == []


def test_two_cassettes_at_once_do_not_meet(tmp_path: Path) -> None:
    """Each client has its own; nothing stays behind when they end."""
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    handler = httpx.HTTPTransport.handle_request
    with (
        use_cassette(first, mode="all", inner=Service().transport()) as one,
        use_cassette(second, mode="all", inner=Service().transport()) as two,
        APIClient(base_url="https://api.test", engine=one) as a,
        APIClient(base_url="https://api.test", engine=two) as b,
    ):
        for _ in range(3):
            a.get("/a")
            b.get("/b")
    assert [each.asked.uri for each in load(first)[0]] == ["https://api.test/a"] * 3
    assert [each.asked.uri for each in load(second)[0]] == ["https://api.test/b"] * 3
    assert httpx.HTTPTransport.handle_request is handler


def test_retries_are_recorded_one_by_one(world: World[VirtualClock], tmp_path: Path) -> None:
    """Live [timeout, 503, 200] is played as [timeout, 503, 200]: the client's own retries see the same again."""
    scripts = [Script(Stall()), respond(503), respond(200, content="done")]

    async def attempts(**options: Any) -> list[str]:
        with use_cassette(tmp_path / "retry.yaml", **options) as cassette:
            async with any_client(world, engine=cassette, timeout=5) as client:
                response = await client.get("/things")
                return [attempt.reason for attempt in response.attempts]

    async def body() -> None:
        live = await attempts(mode="all", inner=ScriptedTransport(scripts))
        assert live == ["read timeout", "status 503", "ok"]
        assert await attempts(mode="none") == live
        assert await attempts(mode="none", time="virtual") == live

    world.run(body)


def test_recording_real_sockets_on_a_virtual_clock_is_refused(tmp_path: Path) -> None:
    """Time would run ahead of the server."""
    with (
        use_cassette(tmp_path / "a.yaml", mode="all") as cassette,
        pytest.raises(CapabilityError, match="record without clock="),
    ):
        APIClient(base_url="https://api.test", engine=cassette, clock=VirtualClock())


def test_what_the_client_gave_up_stays_silent(tmp_path: Path) -> None:
    """A cancelled attempt is recorded as silence: who gives it up again at the same moment never notices."""
    clock = VirtualClock()
    path = tmp_path / "cancel.yaml"

    async def impatient(**options: Any) -> str:
        with use_cassette(path, **options) as cassette:
            async with AsyncAPIClient(base_url="https://api.test", engine=cassette, clock=clock) as client:
                try:
                    async with asyncio.timeout(1):
                        await client.get("/slow")
                except TimeoutError:
                    return "gave up"
                return "answered"

    slow = ScriptedTransport(Script(Delay(9), Head(200), End()))
    assert clock.run_asyncio(lambda: impatient(mode="all", inner=slow)) == "gave up"
    assert [each.outcome for each in load(path)[0]] == ["abandoned"]
    assert clock.run_asyncio(lambda: impatient(mode="none")) == "gave up"


def test_a_body_that_was_left_early_plays_as_far_as_it_was_read(tmp_path: Path) -> None:
    """Reading on is a miss that says why."""
    path = tmp_path / "left.yaml"
    script = Script(Head(200), *(Chunk(f"event {n}\n".encode()) for n in range(9)), End())

    def read(pieces: int, **options: Any) -> list[bytes]:
        found: list[bytes] = []
        with (
            use_cassette(path, **options) as c,
            APIClient(base_url="https://api.test", engine=c) as client,
            client.stream("GET", "/events") as response,
        ):
            for piece in response.iter_bytes():
                found.append(piece)
                if len(found) == pieces:
                    break
        return found

    live = read(3, mode="all", inner=ScriptedTransport(script))
    assert read(3, mode="none") == live
    with pytest.raises(CassetteMiss, match="ends here, after 24 bytes"):
        read(4, mode="none")


def test_the_engine_alone_says_that_it_wants_a_client(tmp_path: Path) -> None:
    """It is given to clients, and shows what it is."""
    with use_cassette(tmp_path / "a.yaml", mode="all", inner=Service().transport()) as cassette:
        assert "mode 'all'" in repr(cassette)
        with APIClient(base_url="https://api.test", engine=cassette) as client:
            assert "recorded" in client.transport.name
            with pytest.raises(CassetteError, match="give the cassette to a client"):
                run_sync(cassette.send(None, None))  # type: ignore[arg-type]


def test_a_read_timeout_is_what_it_was(tmp_path: Path) -> None:
    """The class of the error, and that nobody knows whether the server acted."""
    path = tmp_path / "a.yaml"
    clock = VirtualClock()
    for options in ({"mode": "all", "inner": ScriptedTransport([Script(Stall()), Script(Reset())])}, {"mode": "none"}):
        with (
            use_cassette(path, **options) as c,  # type: ignore[arg-type]
            APIClient(base_url="https://api.test", engine=c, clock=clock, max_retries=0) as client,
        ):
            with pytest.raises(ReadTimeout) as caught:
                client.get("/")
            assert caught.value.processed == "unknown"
