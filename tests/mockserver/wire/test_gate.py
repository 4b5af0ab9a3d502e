"""What connections meet at the gate, before any HTTP: on both loops, told by the kernel."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from mockserver import MockServer
from mockserver.faults.decide import Faults
from mockserver.faults.plan import Plan
from mockserver.faults.schedule import Phase, Schedule
from mockserver.gate import Gate
from tests.mockserver.wire.talking import ask, connect, get, listen, whole
from tests.patience import wait_until

HEALTH = get(path="/health")
BYE = get(path="/health", connection="close")
OK = b"HTTP/1.1 200 OK"


@pytest.fixture(params=["asyncio", "uvloop"])
def server(request: pytest.FixtureRequest) -> Iterator[MockServer]:
    with MockServer(resources={"users": 1}, loop=request.param) as running:
        yield running


def passes(server: MockServer) -> bool:
    return ask(server.port, BYE).data.startswith(OK)


def outcome(server: MockServer, *, silent: bool = False) -> str:
    """What one connection meets. An end is waited for, unless nothing is to come."""
    try:
        talk = ask(server.port, BYE, (lambda talk: True) if silent else None)
    except ConnectionResetError:
        return "RST"
    return "passed" if talk.data else talk.end


def test_refused_and_back(server: MockServer) -> None:
    """The port is kept, whoever stands is left alone, and everybody may come back."""
    port = server.port
    with closing(connect(port)) as before:
        for _ in range(2):
            server.gate.refuse()
            server.gate.refuse()
            with pytest.raises(ConnectionRefusedError):
                connect(port)
            with closing(socket.socket()) as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
            before.sendall(HEALTH)
            assert listen(before, whole).data.startswith(OK)
            server.gate.open()
            assert passes(server)


def test_swallowed_syns_and_back(server: MockServer) -> None:
    """Connecting takes as long as the client's patience, and works again afterwards."""
    server.gate.swallow()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            connect(server.port, patience=0.05)
    server.gate.open()
    assert passes(server)


def test_accepted_and_then_reset_closed_or_ignored(server: MockServer) -> None:
    """For as many connections as asked; the next one passes."""
    for fault, expected in (("reset", "RST"), ("close", "FIN"), ("silence", "silence")):
        server.gate.fail(fault, connections=2)  # type: ignore[arg-type]
        assert [outcome(server, silent=expected == "silence") for _ in range(2)] == [expected, expected]
        assert outcome(server) == "passed"


def test_by_the_number_of_the_connection(server: MockServer) -> None:
    """Counted from 1 since the start; orders that overlap are met one after the other."""
    server.gate.fail("close", first=2, connections=1)
    server.gate.fail("reset", first=2, connections=2)
    assert [outcome(server) for _ in range(5)] == ["passed", "FIN", "RST", "RST", "passed"]
    assert server.gate.accepted == 5


def test_until_told_otherwise(server: MockServer) -> None:
    """All connections, until the gate is opened."""
    server.gate.fail("close")
    assert [outcome(server) for _ in range(4)] == ["FIN"] * 4
    server.gate.open()
    assert passes(server)


def test_everybody_is_cut(server: MockServer) -> None:
    """Connections that stand, idle, stalled or ignored, are reset; new ones pass."""
    server.gate.fail("silence", connections=1)
    socks = [connect(server.port) for _ in range(3)]
    socks[1].sendall(HEALTH)
    assert listen(socks[1], whole).data.startswith(OK)
    wait_until(lambda: server.gate.accepted == 3)
    server.gate.cut()
    assert [listen(sock).end for sock in socks] == ["RST"] * 3
    for sock in socks:
        sock.close()
    assert passes(server)


def test_the_gate_may_be_set_before_the_start() -> None:
    """A server that starts refusing, or with an order waiting."""
    server = MockServer(resources={"users": 1})
    server.gate.refuse()
    server.gate.fail("close", connections=1)
    server.gate.cut()
    with server:
        with pytest.raises(ConnectionRefusedError):
            connect(server.port)
        server.gate.become("open")
        assert [outcome(server) for _ in range(2)] == ["FIN", "passed"]


def test_from_the_server_s_own_thread() -> None:
    """Whoever is called back there may close the door behind a request."""
    running: list[MockServer] = []
    with MockServer(resources={"users": 1}, on_entry=lambda entry: running[0].gate.refuse()) as server:
        running.append(server)
        assert ask(server.port, get(path="/users/1", connection="close")).data.startswith(OK)
        with pytest.raises(ConnectionRefusedError):
            connect(server.port)


def test_from_many_threads(server: MockServer) -> None:
    """The door is changed forty times while clients come; in the end it is open, and nothing is lost."""

    def change() -> None:
        for _ in range(10):
            server.gate.refuse()
            server.gate.open()

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passes(server)


def test_a_stop_is_quick_with_the_gate_in_any_state() -> None:
    """Nobody who was kept waiting keeps the server."""
    closings: list[Callable[[Gate], None]] = [Gate.swallow, Gate.refuse, lambda gate: gate.fail("silence")]
    for close in closings:
        server = MockServer(resources={"users": 1}).start()
        close(server.gate)
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", server.port))
        server.stop()
        sock.close()
        server.gate.open()  # nothing happens any more


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"fault": "explode"}, "give one of reset"),
        ({"fault": "reset", "connections": 0}, "connections=0"),
        ({"fault": "reset", "first": True}, "first=True"),
        ({"fault": "garbage"}, "tls="),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, object], message: str) -> None:
    """Before anything is changed."""
    with pytest.raises(ValueError, match=message):
        MockServer(resources={"users": 1}).gate.fail(**asked)  # type: ignore[arg-type]


def test_phases_open_and_close_the_gate() -> None:
    """From 60 ms after the first request connections are refused, those that stand are reset, and later all is well."""
    schedule = Schedule((Phase(start=0.06, duration=0.15, connection="refused"),))
    now = 0.0
    with MockServer(resources={"users": 1}, faults=Faults(Plan(schedule=schedule))) as server:
        server.go_by(lambda: now, time.time)
        with closing(connect(server.port)) as standing:
            standing.sendall(get(path="/users/1"))
            assert listen(standing, whole).data.startswith(OK)
            now = 0.1
            wait_until(lambda: server.gate.door == "refused")
            with pytest.raises(ConnectionRefusedError):
                connect(server.port)
            standing.sendall(get(path="/users/1"))
            assert listen(standing).end == "RST"
        now = 0.3
        wait_until(lambda: server.gate.door == "open")
        assert passes(server)
