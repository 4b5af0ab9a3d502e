"""The same script gives the client the same outcome from both players; and every fault one typed outcome at all.

The table runs over the whole catalogue, both effects and two methods. What the player in process cannot show it refuses
with a ConfigurationError, which is listed here by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from mockserver import MockServer
from mockserver.faults.catalogue import CATALOGUE
from rest_api_client import APIClient, AsyncAPIClient
from rest_api_client.exceptions import APIError, TransportError
from rest_api_client.models import Response
from rest_api_client.script import Chunk, Close, Delay, End, Garbage, Head, Raw, Script, Throttle, Upload
from rest_api_client.transport import Timeouts, Transport
from rest_api_client.virtual.clock import VirtualClock
from tests.mockserver.wire.conftest import Scripts, make_server
from tests.patience import HANGS, wait_until

SOCKET_ONLY = {"stale"}
"""What needs a connection that is used again."""

BRISK = {"drip": "drip(bytes_per_second=20000)", "slow_upload": "slow_upload(bytes_per_second=100000)"}
FAULTS = [BRISK.get(name, name) for name in CATALOGUE]
UPLOAD = b"u" * 2000
SHORT = Timeouts(connect=HANGS, read=0.15, write=HANGS, pool=HANGS)
"""For what never comes."""
AMPLE = Timeouts.all(HANGS)
"""For all that comes."""


@pytest.fixture(scope="module")
def wire() -> Iterator[MockServer]:
    with make_server(stubs=Scripts()) as running:
        yield running


def told(response: Response) -> str:
    return f"{response.status_code} {response.content!r}"


def client(url: str, engine: str | Transport, timeout: Timeouts, clock: VirtualClock | None = None) -> APIClient:
    settings = {} if clock is None else {"clock": clock}
    return APIClient(base_url=url, engine=engine, max_retries=0, timeout=timeout, deadline=2 * HANGS, **settings)  # type: ignore[arg-type]


def outcome(asking: APIClient, method: str, path: str, headers: dict[str, str]) -> str:
    try:
        body = {"content": UPLOAD} if method == "POST" else {}
        return told(asking.request(method, path, headers=headers, **body))  # type: ignore[arg-type]
    except APIError as error:
        return type(error).__name__


def patience(expected: str) -> Timeouts:
    """How long to wait on the wire, where time is real, for what the player in process showed in no time."""
    return SHORT if expected == "ReadTimeout" else AMPLE


def on_the_wire(wire: MockServer, method: str, path: str, headers: dict[str, str], expected: str) -> str:
    with client(wire.url, "httpx", patience(expected)) as asking:
        return outcome(asking, method, path, headers)


def in_process(server: MockServer, method: str, path: str, headers: dict[str, str]) -> str:
    clock = VirtualClock()
    with clock.hold(), client("http://stage", server.transport(), SHORT, clock) as asking:
        return outcome(asking, method, path, headers)


@pytest.mark.parametrize("effect", ["done", "none"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("fault", FAULTS)
def test_both_players_give_the_same_outcome(wire: MockServer, fault: str, method: str, effect: str) -> None:
    """Each fault of the catalogue, before and after the effect; and both journals agree on what was processed."""
    headers = {"x-fault": fault, "x-fault-effect": effect}
    virtual = make_server(stubs=Scripts())
    played = in_process(virtual, method, "/text", headers)
    met = on_the_wire(wire, method, "/text", headers, played)
    assert played == ("ConfigurationError" if fault in SOCKET_ONLY else met)
    wait_until(lambda: wire.journal.counts["in_flight"] == 0)
    assert wire.journal.entries[-1].processed is virtual.journal.entries[-1].processed


HEAD = Head(200, (("content-type", "text/plain"),))
LONG = Head(200, (("content-length", "20"),))
ODD = {
    "raw message": Script(Raw(b"HTTP/1.1 201 Own\r\ncontent-length: 2\r\n\r\nok"), End()),
    "raw head, chunks": Script(
        Raw(b"HTTP/1.1 201 Own\r\ncontent-length: 4\r\n\r\n"), Chunk(b"ok"), Chunk(b"ay"), End()
    ),
    "raw, too short": Script(Raw(b"HTTP/1.1 201 Own\r\ncontent-length: 9\r\n\r\nok"), End()),
    "raw chunk": Script(Head(200, (("transfer-encoding", "chunked"),)), Raw(b"2\r\nok\r\n"), Chunk(b"ay"), End()),
    "raw in a length": Script(LONG, Raw(b"0123456789"), Chunk(b"0123456789"), End()),
    "length not met": Script(LONG, Chunk(b"0123456789"), End()),
    "length not met, close": Script(LONG, Chunk(b"0123456789"), Close()),
    "more than its length": Script(LONG, Chunk(b"x" * 30), End()),
    "until the close": Script(Head(200, (("connection", "close"),)), Chunk(b"x" * 30), End()),
    "garbage as a body": Script(Head(200, (("connection", "close"),)), Chunk(b"x"), Garbage(b"y")),
    "garbage as a chunk": Script(HEAD, Chunk(b"x"), Garbage(b"y")),
    "status 799": Script(Head(799), Chunk(b"x"), End()),
    "no body in 204": Script(Head(204), Chunk(b"x"), End()),
    "bad field": Script(Head(200, (("bad name", "x"),)), End()),
    "bad length": Script(Head(200, (("content-length", "ten"),)), Chunk(b"x"), End()),
    "drip, too slow": Script(Throttle(4), HEAD, End()),
    "drip": Script(Throttle(5000), HEAD, Chunk(b"x" * 100), End()),
    "interim": Script(Head(103), Delay(0.01), HEAD, Chunk(b"x"), End()),
    "half close, short": Script(LONG, Chunk(b"x"), Close(half=True)),
    "nothing": Script(Close(half=True)),
    "raw nothing": Script(Raw(b""), End()),
    "upload in a stub": Script(Upload(1e9), HEAD, Chunk(b"x"), End()),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ODD)
def test_odd_scripts_too(wire: MockServer, name: str, method: str) -> None:
    """Scripts that no fault makes, given by a stub."""
    virtual = make_server(stubs=Scripts())
    for server in (wire, virtual):
        stubs = server.stage.stubs
        assert isinstance(stubs, Scripts)
        stubs.by_path["/odd"] = ODD[name]
    played = in_process(virtual, method, "/odd", {})
    assert on_the_wire(wire, method, "/odd", {}, played) == played


@pytest.mark.parametrize("engine", ["httpx", "httpx2", "pyreqwest"])
def test_every_fault_ends_in_one_typed_outcome(wire: MockServer, engine: str) -> None:
    """On every engine, sync and async alike: a Response, or one error of our tree, the same for both faces."""

    def limits(fault: str) -> Timeouts:
        return patience(in_process(make_server(stubs=Scripts()), "GET", "/text", {"x-fault": fault}))

    async def asked(fault: str) -> str:
        async with AsyncAPIClient(
            base_url=wire.url, engine=engine, max_retries=0, timeout=limits(fault), deadline=2 * HANGS
        ) as asking:
            try:
                return told(await asking.get("/text", headers={"x-fault": fault}))
            except APIError as error:
                return type(error).__name__

    async def all_of_them() -> list[str]:
        return [await asked(fault) for fault in FAULTS]

    together = dict(zip(FAULTS, asyncio.run(all_of_them()), strict=True))
    assert not {"ConfigurationError", "APIError", "TransportError"} & set(together.values())
    for fault in FAULTS:
        with client(wire.url, engine, limits(fault)) as asking:
            assert (fault, outcome(asking, "GET", "/text", {"x-fault": fault})) == (fault, together[fault])


@pytest.mark.parametrize("engine", ["httpx", "httpx2", "pyreqwest"])
def test_a_stale_connection_is_an_error_or_sent_again(wire: MockServer, engine: str) -> None:
    """The next request meets RST, every time: without retries an error of transport, with them an answer."""
    with client(wire.url, engine, AMPLE) as asking:
        asking.get("/text", headers={"x-fault": "stale"})
        with pytest.raises(TransportError):
            asking.get("/text")
    with APIClient(base_url=wire.url, engine=engine, timeout=AMPLE, deadline=2 * HANGS) as asking:
        asking.get("/text", headers={"x-fault": "stale"})
        assert asking.get("/text").status_code == 200
