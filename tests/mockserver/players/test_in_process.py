"""The stage in process: a client in virtual time, under sync, asyncio and trio, with nothing that listens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mockserver import EvenLatency, MockServer, Outage, SlidingWindow
from mockserver.faults.decide import Faults
from mockserver.faults.plan import Plan
from mockserver.seen import Seen
from rest_api_client import APIClient, AsyncAPIClient
from rest_api_client.exceptions import (
    APIError,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    ReadTimeout,
    ServerError,
    WriteTimeout,
)
from rest_api_client.script import Chunk, Delay, End, Head, Refuse, Script, Stall
from rest_api_client.transport import Timeouts
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World


class ByPath:
    def __init__(self, **scripts: Script) -> None:
        self.scripts = scripts

    def answer(self, seen: Seen) -> Script | None:
        return self.scripts.get(seen.path.strip("/"))


def server(**settings: Any) -> MockServer:
    return MockServer(resources={"users": 3}, **{"faults": Faults(Plan(caller_faults=True)), **settings})


Asked = tuple[str, str, dict[str, Any]]


def ask(world: World[VirtualClock], serving: MockServer, *requests: Asked, **options: Any) -> list[Any]:
    """What each request gave: a response, or the error it ended in. No retries unless asked for."""
    settings = {"base_url": "http://stage", "clock": world.clock, "max_retries": 0, **options}

    async def synchronous() -> list[Any]:
        with APIClient(**settings, engine=serving.transport()) as client:
            return [_caught(client, request) for request in requests]

    async def asynchronous() -> list[Any]:
        async with AsyncAPIClient(**settings, engine=serving.transport()) as client:
            return [await _awaited(client, request) for request in requests]

    return world.run(synchronous if world.name == "sync" else asynchronous)


def _caught(client: APIClient, request: Asked) -> Any:
    try:
        return client.request(request[0], request[1], **request[2])
    except APIError as error:
        return error


async def _awaited(client: AsyncAPIClient, request: Asked) -> Any:
    try:
        return await client.request(request[0], request[1], **request[2])
    except APIError as error:
        return error


def faulty(fault: str) -> dict[str, Any]:
    return {"headers": {"x-fault": fault}}


def test_resources_are_served_and_journalled(world: World[VirtualClock]) -> None:
    """Status, body, query, journal: as on a socket."""
    serving = server()
    made, read, missing, odd = ask(
        world,
        serving,
        ("POST", "/users", {"json": {"name": "Ada"}}),
        ("GET", "/users/4?x=1", {}),
        ("GET", "/users/9", {}),
        ("GET", "/echo?q=%20a&q=b", {"headers": {"x-a": "b"}}),
    )
    assert (made.status_code, read.status_code, missing.status_code) == (201, 200, 404)
    assert read.data["name"] == "Ada"
    assert odd.data["query"] == [["q", " a"], ["q", "b"]]
    assert ["host", "stage"] in odd.data["headers"]
    assert [(e.method, e.path, e.query, e.status, e.processed) for e in serving.journal.entries[:2]] == [
        ("POST", "/users", "", 201, True),
        ("GET", "/users/4", "x=1", 200, True),
    ]
    assert serving.journal.entries[0].bytes_in == len(b'{"name":"Ada"}')
    assert serving.journal.entries[1].bytes_out == len(read.content)
    assert serving.journal.counts["in_flight"] == 0


def test_a_long_outage_is_lived_through_in_no_time(world: World[VirtualClock]) -> None:
    """Two hours of it, with retries against the server's clock, which is the client's."""
    serving = server(outages=[Outage(start=0, duration=7200)])
    (dead,) = ask(world, serving, ("GET", "/users/1", {}))
    world.run(world.runtime.sleep, 7200)
    (alive,) = ask(world, serving, ("GET", "/users/1", {}))
    assert isinstance(dead, ServerError)
    assert alive.status_code == 200
    assert [entry.arrived for entry in serving.journal.entries] == [0, 7200]


def test_limits_and_latency_go_by_the_client_s_clock(world: World[VirtualClock]) -> None:
    """One call in ten seconds: a client that heeds what it is told comes back after that, and is not refused."""
    serving = server(limit=SlidingWindow(1, 10.0), latency=EvenLatency(low=0.5, high=0.5))
    first, second = ask(world, serving, ("GET", "/users/1", {}), ("GET", "/users/1", {}), max_retries=2, deadline=60)
    assert (first.status_code, second.status_code) == (200, 200)
    assert serving.journal.statuses == {200: 2}
    assert [entry.delay for entry in serving.journal.entries] == [0.5, 0.5]
    assert 10 < serving.journal.entries[1].arrived < 11


@pytest.mark.parametrize(
    ("fault", "error", "at"),
    [
        ("stall_before_head", ReadTimeout, 5),
        ("stall_mid_body", ReadTimeout, 5),
        ("drip(bytes_per_second=1)", DeadlineExceeded, 20),
    ],
)
def test_timeouts_are_the_client_s(world: World[VirtualClock], fault: str, error: type[Exception], at: float) -> None:
    """To the second."""
    (met,) = ask(world, server(), ("GET", "/users/1", faulty(fault)), timeout=Timeouts.all(5), deadline=20)
    assert type(met) is error
    assert world.clock.monotonic() == at


def test_uploads_are_read_at_their_rate(world: World[VirtualClock]) -> None:
    """What nobody reads is a write timeout; what is read slowly takes its time, and is all there."""
    big = bytes(2_000_000)
    serving = server(stubs=ByPath(taken=Script(Head(200), End())))
    blocked, slow = ask(
        world,
        serving,
        ("POST", "/users", {"content": big, **faulty("unread_upload")}),
        ("POST", "/taken", {"content": big, **faulty("slow_upload(bytes_per_second=250000)")}),
        timeout=Timeouts(write=2, read=30),
    )
    assert type(blocked) is WriteTimeout
    assert slow.status_code == 200
    assert world.clock.monotonic() == 2 + 8
    assert [entry.bytes_in for entry in serving.journal.entries] == [0, 2_000_000]


def test_what_cannot_be_shown_is_refused(world: World[VirtualClock]) -> None:
    """With words on what can show it, and the journal's entry is closed."""
    serving = server(stubs=ByPath(refused=Script(Refuse())))
    late, stale, early = ask(
        world,
        serving,
        ("GET", "/refused", {}),
        ("GET", "/users/1", faulty("stale")),
        ("GET", "/users/1", faulty("refuse")),
    )
    assert isinstance(late, ConfigurationError)
    assert isinstance(stale, ConfigurationError)
    assert "MockServer" in str(stale)
    assert type(early) is ConnectError
    assert serving.journal.counts["in_flight"] == 0


def test_a_stream_is_journalled_to_its_end(world: World[VirtualClock]) -> None:
    """The entry is open while the body comes, and closed with it, read or dropped."""
    script = Script(Head(200), Chunk(b"a"), Delay(3), Chunk(b"b"), Stall())
    serving = server(stubs=ByPath(slow=script))

    async def body() -> None:
        settings: dict[str, Any] = {"base_url": "http://stage", "engine": serving.transport(), "clock": world.clock}
        if world.name == "sync":
            with APIClient(**settings) as client, client.stream("GET", "/slow") as response:
                pieces = response.iter_bytes()
                assert next(iter(pieces)) == b"a"
                assert serving.journal.counts["in_flight"] == 1
            return
        async with AsyncAPIClient(**settings) as other, other.stream("GET", "/slow") as response:
            coming = aiter(response.aiter_bytes())
            assert await anext(coming) == b"a"
            assert serving.journal.counts["in_flight"] == 1

    world.run(body)
    (entry,) = serving.journal.entries
    assert (entry.finished, entry.bytes_out, entry.status) == (0, 1, 200)


def test_several_clients_share_one_server() -> None:
    """Each with a transport of its own, all by the first one's clock; one transport serves one client at a time."""
    clock = VirtualClock()
    serving = server(limit=SlidingWindow(1, 60.0))
    one, other = serving.transport(), serving.transport()
    with clock.hold():
        clients = [APIClient(base_url="http://stage", engine=each, clock=clock, max_retries=0) for each in (one, other)]
        assert clients[0].get("/users/1").status_code == 200
        with pytest.raises(Exception, match="429"):
            clients[1].get("/users/1")
        with pytest.raises(ConfigurationError, match="another client"):
            APIClient(base_url="http://stage", engine=one, clock=clock)
        for client in clients:
            client.close()
    assert repr(one) == "<StageTransport, 2 asked>"


def test_a_server_with_a_socket_has_no_transport() -> None:
    """Its clock runs by itself."""
    with server() as running, pytest.raises(RuntimeError, match="another one"):
        running.transport()


def test_without_a_client_there_is_no_time() -> None:
    """And the error says who brings it."""
    with pytest.raises(RuntimeError, match="clock"):
        server().now()


def test_an_aborted_request_closes_its_entry() -> None:
    """Whoever gives up while the stage is silent."""
    clock = VirtualClock()
    serving = server()
    with clock.hold():
        client = APIClient(base_url="http://stage", engine=serving.transport(), clock=clock, max_retries=0, deadline=3)
        with client, pytest.raises(DeadlineExceeded):
            client.get("/users/1", headers={"x-fault": "stall_before_head"})
    assert (serving.journal.entries[0].finished, clock.monotonic()) == (3, 3)


def test_a_key_is_in_progress_until_its_first_answer_is_out() -> None:
    """409 in the meantime, however often; the same answer again afterwards, 422 for another body; one record."""
    clock, serving = VirtualClock(), server()
    post: dict[str, Any] = {"json": {"name": "Ada"}, "idempotency_key": "k", "max_retries": 0}
    options: dict[str, Any] = {"base_url": "http://stage", "clock": clock, "raise_for_status": False}

    async def body() -> list[Any]:
        async with AsyncAPIClient(engine=serving.transport(), **options) as client:
            first = asyncio.create_task(client.post("/users", headers={"x-fault-delay": "1"}, **post))
            await asyncio.sleep(0.5)
            early = [(await client.post("/users", **post)).status_code for _ in range(2)]
            made = await first
            again = await client.post("/users", **post)
            other = await client.post("/users", **{**post, "json": {"name": "Eve"}})
            users = await client.get("/users")
        replayed = again.headers.get("idempotency-replayed")
        return [made.status_code, early, again.status_code, replayed, other.status_code, len(users.data)]

    assert clock.run_asyncio(body) == [201, [409, 409], 201, "true", 422, 4]
