"""Other HTTP libraries, through vcrpy: the same cassettes, the same rules."""

from __future__ import annotations

import asyncio
import builtins
import json
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cassettes import CassetteError, CassetteMiss, Failure, Interaction, Matching, files, load, use_cassette, vcr
from mockserver import MockServer
from rest_api_client.client import APIClient
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.script import Reset, Script

SECRET = "s3cr3t-5f2b9c0d1e"


def with_httpx(url: str) -> list[Any]:
    """A login, a redirect and a list, by httpx."""
    with httpx.Client(base_url=url, follow_redirects=True) as client:
        token = client.post("/echo", params={"token": SECRET}, json={"password": SECRET}).json()["query"][0][1]
        hops = client.get("/redirect/2", headers={"authorization": f"Bearer {token}"})
        return [token, len(hops.history), hops.status_code, client.get("/users/7").json()["id"]]


def with_urllib3(url: str) -> list[Any]:
    """The same by urllib3."""
    urllib3 = pytest.importorskip("urllib3")
    with urllib3.PoolManager() as pool:
        answer = pool.request("POST", f"{url}/echo?token={SECRET}", json={"password": SECRET})
        token = answer.json()["query"][0][1]
        hops = pool.request("GET", f"{url}/redirect/2", headers={"authorization": f"Bearer {token}"})
        return [token, 2, hops.status, pool.request("GET", f"{url}/users/7").json()["id"]]


def with_requests(url: str) -> list[Any]:
    """The same by requests."""
    requests = pytest.importorskip("requests")
    with requests.Session() as session:
        token = session.post(f"{url}/echo", params={"token": SECRET}, json={"password": SECRET}).json()["query"][0][1]
        hops = session.get(f"{url}/redirect/2", headers={"authorization": f"Bearer {token}"})
        return [token, len(hops.history), hops.status_code, session.get(f"{url}/users/7").json()["id"]]


def with_aiohttp(url: str) -> list[Any]:
    """The same by aiohttp."""
    aiohttp = pytest.importorskip("aiohttp")

    async def flow() -> list[Any]:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{url}/echo", params={"token": SECRET}, json={"password": SECRET}) as response:
                token = (await response.json())["query"][0][1]
            async with session.get(f"{url}/redirect/2", headers={"authorization": f"Bearer {token}"}) as hops:
                history, status = len(hops.history), hops.status
            async with session.get(f"{url}/users/7") as user:
                return [token, history, status, (await user.json())["id"]]

    return asyncio.run(flow())


LIBRARIES = [with_httpx, with_urllib3, with_requests, with_aiohttp]


@pytest.mark.parametrize("flow", LIBRARIES)
@pytest.mark.parametrize("form", ["yaml", "jsonl"])
def test_a_library_is_recorded_and_played(flow: Callable[[str], list[Any]], form: str, tmp_path: Path) -> None:
    """Redirects, JSON and secrets included; played in strict order, without the server."""
    path = tmp_path / f"library.{form}"
    with MockServer(resources={"users": 9}) as server:
        url = server.url
        with vcr(path, mode="all"):
            live = flow(url)
    assert live == [SECRET, 2, 200, 7]
    assert SECRET not in path.read_text()
    with vcr(path, mode="none", strictness="strict") as cassette:
        assert flow(url) == live  # the token of this run, where the recording's was
    assert cassette.unplayed == []
    assert [each.asked.method for each in load(path)[0]] == ["POST", "GET", "GET", "GET", "GET"]


def ask(
    path: Path, *paths: str, answers: Callable[[httpx.Request], httpx.Response] | None = None, **options: Any
) -> Any:
    """What httpx gets, or the name of the error."""
    found: list[Any] = []
    transport = httpx.MockTransport(answers or (lambda request: httpx.Response(200, text=request.url.path)))
    with vcr(path, **options), httpx.Client(transport=transport, base_url="https://api.test") as client:
        for each in paths:
            try:
                found.append(client.get(each).text)
            except CassetteError as error:
                found.append(type(error).__name__)
    return found


def test_modes_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """none, once, new, all and refresh, as with use_cassette."""
    path = tmp_path / "modes.yaml"

    def other(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=f"new {request.url.path}")

    with pytest.raises(CassetteError, match="mode='once'"):
        ask(path, mode="none")
    assert ask(path, "/a", "/b", mode="once") == ["/a", "/b"]
    assert ask(path, "/a", "/a", mode="once", answers=other) == ["/a", "CassetteMiss"]
    assert ask(path, "/a", "/c", mode="new", answers=other) == ["/a", "new /c"]
    assert ask(path, "/a", "/b", "/c", mode="none") == ["/a", "/b", "new /c"]
    assert ask(path, "/a", "/b", "/c", mode="refresh", answers=other) == ["new /a", "new /b", "new /c"]
    assert "~ GET https://api.test/a" in capsys.readouterr().err
    assert ask(path, "/a", mode="none") == ["new /a"]


def test_matching_is_the_same(tmp_path: Path) -> None:
    """A body compared as JSON; the miss comes out of the library's own call and explains itself."""
    path = tmp_path / "body.yaml"
    matching = Matching(on=("method", "path", "body"), ignore=("$.at",))
    transport = httpx.MockTransport(lambda request: httpx.Response(201))
    with vcr(path, mode="all"), httpx.Client(transport=transport) as client:
        client.post("https://api.test/", json={"name": "Ada", "at": 1})
    with vcr(path, mode="none", matching=matching), httpx.Client(transport=transport) as client:
        with pytest.raises(CassetteMiss, match=r'body \$\.name: recorded "Ada", asked "Bob"'):
            client.post("https://api.test/", json={"name": "Bob", "at": 2})
        assert client.post("https://api.test/", json={"name": "Ada", "at": 3}).status_code == 201


def test_a_json_body_of_aiohttp_is_kept_as_it_was_sent(tmp_path: Path) -> None:
    """vcrpy sees the object, and not its bytes."""
    aiohttp = pytest.importorskip("aiohttp")
    path = tmp_path / "json.yaml"

    async def send(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{url}/echo", json={"a": [1, "x"]}):
                pass
            async with session.post(f"{url}/echo", json=[1, 2]):
                pass

    with MockServer() as server, vcr(path, mode="all"):
        asyncio.run(send(server.url))
    assert [json.loads(each.asked.body) for each in load(path)[0]] == [{"a": [1, "x"]}, [1, 2]]


def test_concurrent_requests_are_recorded_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    """Whichever is answered first; and they play to the callers that asked."""
    path = tmp_path / "crowd.yaml"
    turns = [asyncio.Event() for _ in range(10)]

    async def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.headers["x-number"])
        if number < 9:  # the last is answered first
            await turns[number + 1].wait()
        turns[number].set()
        return httpx.Response(200, text=str(number))

    async def crowd(**options: Any) -> list[str]:
        with vcr(path, **options):
            async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
                asked = [client.get("https://api.test/same", headers={"x-number": str(n)}) for n in range(10)]
                return [response.text for response in await asyncio.gather(*asked)]

    live = asyncio.run(crowd(mode="all"))
    assert live == [str(n) for n in range(10)]
    assert asyncio.run(crowd(mode="none")) == live


def test_what_our_client_recorded_plays_without_its_failures(tmp_path: Path) -> None:
    """vcrpy hands on whole answers only; what it cannot play stays in the file."""
    path = tmp_path / "ours.yaml"
    engine = ScriptedTransport([Script(Reset()), respond(503), respond(200, content="done")])
    with (
        use_cassette(path, mode="all", inner=engine) as cassette,
        APIClient(base_url="https://api.test", engine=cassette) as client,
    ):
        client.get("/a")
    assert ask(path, "/a", "/a", "/a", "/b", mode="new") == ["", "done", "/a", "/b"]
    assert [each.outcome for each in load(path)[0]] == ["ReadError", "503", "200", "200", "200"]


def test_a_request_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The error is the library's own."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too slow") if request.url.path == "/slow" else httpx.ConnectError("nobody")

    path = tmp_path / "fails.yaml"
    with pytest.raises(httpx.ReadTimeout):
        ask(path, "/slow", mode="all", answers=fail)
    assert not path.exists()


def test_hosts_can_be_left_alone(tmp_path: Path) -> None:
    """Neither played nor recorded."""
    path = tmp_path / "ignored.yaml"
    for mode in ("all", "none"):
        with vcr(path, mode=mode, ignore_hosts={"health.test"}):  # type: ignore[arg-type]
            transport = httpx.MockTransport(lambda request: httpx.Response(200, text=request.url.host))
            with httpx.Client(transport=transport) as client:
                assert client.get("https://health.test/").text == "health.test"
                assert client.get("https://api.test/").text == "api.test"
    assert [each.asked.uri for each in load(path)[0]] == ["https://api.test/"]


def test_the_log_of_vcrpy_shows_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the block lasts; afterwards its loggers are as they were."""
    caplog.set_level(logging.DEBUG)
    ask(tmp_path / "log.yaml", f"/a?token={SECRET}", mode="all")
    ask(tmp_path / "log.yaml", f"/a?token={SECRET}", mode="none")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("vcr")]
    assert any("token=***" in line for line in lines)
    assert not any(SECRET in line for line in lines)
    assert logging.getLogger("vcr.stubs.httpx_stubs").filters == []


def test_blocks_may_be_nested_and_must_not_overlap(tmp_path: Path) -> None:
    """The inner one has the requests; one of another thread is refused before it patches anything."""
    handler = httpx.HTTPTransport.handle_request
    refused: list[BaseException] = []

    def other() -> None:
        try:
            ask(tmp_path / "other.yaml", mode="all")
        except CassetteError as error:
            refused.append(error)

    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    with vcr(tmp_path / "outer.yaml", mode="all"), httpx.Client(transport=transport) as client:
        client.get("https://api.test/outer")
        with vcr(tmp_path / "inner.yaml", mode="all"):
            client.get("https://api.test/inner")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "one at a time" in str(refused[0])
    assert [each.asked.uri for each in load(tmp_path / "outer.yaml")[0]] == ["https://api.test/outer"]
    assert [each.asked.uri for each in load(tmp_path / "inner.yaml")[0]] == ["https://api.test/inner"]
    assert httpx.HTTPTransport.handle_request is handler


def test_without_vcrpy_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And importing the package never needs it."""
    monkeypatch.delitem(sys.modules, "cassettes.vcr_cassette", raising=False)
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "vcr":
            raise ModuleNotFoundError("No module named 'vcr'", name="vcr")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CassetteError, match=r"\[vcr\]"), vcr(tmp_path / "a.yaml", mode="all"):
        pass


def test_a_file_with_failures_alone_has_nothing_to_play(tmp_path: Path) -> None:
    """The miss says so."""
    path = tmp_path / "failures.yaml"
    asked = load_one(tmp_path)
    path.write_text(files.render([Interaction(asked, Script(Reset()), failure=Failure("ReadError"))], {}, ".yaml"))
    assert ask(path, "/a", mode="none") == ["CassetteMiss"]


def load_one(folder: Path) -> Any:
    """A request that was recorded."""
    ask(folder / "one.yaml", "/a", mode="all")
    return load(folder / "one.yaml")[0][0].asked
