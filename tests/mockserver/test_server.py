"""The server on real sockets: starting, stopping, and what goes over the wire."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import httpx
import pytest

from mockserver import Entry, Errors, MockServer, Outage, SlidingWindow
from tests.patience import HANGS, wait_until

GET_ECHO = b"GET /echo HTTP/1.1\r\nhost: stage\r\n\r\n"


@pytest.fixture(params=["auto", "asyncio"])
def any_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On uvloop where it is installed, and on asyncio's own loop: what goes over the wire must be the same."""
    if request.param == "asyncio":
        monkeypatch.setattr("uvicorn.Config.get_loop_factory", lambda _: asyncio.SelectorEventLoop)


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as running:
        yield running


def connect(server: MockServer) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=HANGS)


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_a_request_is_answered_and_journalled(server: MockServer) -> None:
    """Once the answer has been read, its entry is complete but for the end."""
    answer = httpx.get(f"{server.url}/users/7")
    assert (answer.status_code, answer.json()["id"]) == (200, 7)
    assert answer.headers["server"] == "mockserver"
    assert "date" in answer.headers
    (entry,) = server.journal.entries
    assert (entry.status, entry.processed, entry.bytes_out) == (200, True, len(answer.content))
    assert entry.answered is not None
    assert 0 <= entry.arrived <= entry.answered < server.now()


def test_two_servers_run_side_by_side() -> None:
    """Each with a port and a journal of its own."""
    with MockServer() as one, MockServer() as two:
        assert one.port != two.port
        httpx.get(f"{one.url}/echo")
        assert (one.journal.count(), two.journal.count()) == (1, 0)


def test_it_answers_after_start_and_not_after_stop() -> None:
    """The port is free again at once; stopping twice, or before the start, is nothing."""
    server = MockServer()
    server.stop()
    server.start()
    port = server.port
    server.stop()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with MockServer(port=port) as again:
        assert httpx.get(f"{again.url}/health").status_code == 200


def test_it_has_no_address_before_it_is_started() -> None:
    """And says what to do; its repr does not fail."""
    server = MockServer()
    with pytest.raises(RuntimeError, match="start"):
        _ = server.url
    assert repr(server) == "<MockServer not started>"


def test_it_starts_once(server: MockServer) -> None:
    """A second start would lose the first thread."""
    with pytest.raises(RuntimeError, match="once"):
        server.start()


def test_a_taken_port_is_an_error_that_helps(server: MockServer) -> None:
    """It names the address, and the way out."""
    with pytest.raises(OSError, match=f"127.0.0.1:{server.port}.*port 0"):
        MockServer(port=server.port).start()


def test_ipv6() -> None:
    """The address stands in brackets, and the journal knows that ::1 is loopback."""
    with MockServer(host="::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        assert httpx.get(f"{server.url}/__journal").status_code == 200


@pytest.mark.usefixtures("any_loop")
def test_stop_cuts_stalled_connections_at_once_and_quietly(caplog: pytest.LogCaptureFixture) -> None:
    """A delayed answer, a half-sent body, a slow stream, an idle connection: not waited for, and nothing in the log."""
    stalled = [
        b"GET /delay/100 HTTP/1.1\r\nhost: stage\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nhost: stage\r\ncontent-length: 100\r\n\r\nhalf",
        b"GET /sse?count=9&interval=60 HTTP/1.1\r\nhost: stage\r\n\r\n",
        b"GET /ec",
        b"",
    ]
    server = MockServer().start()
    sockets = [connect(server) for _ in stalled]
    for sock, sent in zip(sockets, stalled, strict=True):
        sock.sendall(sent)
    wait_until(lambda: server.journal.counts["in_flight"] == 3)
    with caplog.at_level(logging.DEBUG, "uvicorn"):
        server.stop()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert server.journal.counts["in_flight"] == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "mockserver"]
    for sock in sockets:
        with closing(sock), suppress(ConnectionResetError):
            read_all(sock)  # ends, by FIN or RST


@pytest.mark.usefixtures("any_loop")
def test_a_client_that_goes_away_mid_body_is_no_crash(server: MockServer, caplog: pytest.LogCaptureFixture) -> None:
    """The journal says 499, nothing was processed, and nothing is logged."""
    with closing(connect(server)) as sock:
        sock.sendall(b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{")
        wait_until(lambda: server.journal.counts["in_flight"] == 1)
    wait_until(lambda: server.journal.counts["in_flight"] == 0)
    (entry,) = server.journal.entries
    assert (entry.status, entry.processed, entry.bytes_in) == (499, False, 1)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.usefixtures("any_loop")
def test_answers_are_not_held_back_by_nagle() -> None:
    """Without TCP_NODELAY the body would wait 40 ms for the client's delayed ACK of the head."""
    with MockServer() as server, closing(connect(server)) as sock:
        sock.sendall(GET_ECHO)
        assert sock.recv(1)
        with far_end(sock) as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def far_end(sock: socket.socket) -> socket.socket:
    """The server's socket of this connection; server and client are one process (Linux)."""
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            other = socket.socket(fileno=os.dup(int(descriptor)))
            with suppress(OSError):
                if other.getpeername() == sock.getsockname():
                    return other
            other.close()
    raise AssertionError("no such connection")


@pytest.mark.usefixtures("any_loop")
def test_a_reset_is_a_reset_on_the_wire() -> None:
    """The kernel itself reports RST: ECONNRESET, and the connection is not in the orderly states of a FIN."""
    with MockServer(outages=[Outage(start=0, duration=60, reset=True)]) as server:
        for _ in range(3):
            with closing(connect(server)) as sock:
                sock.sendall(GET_ECHO)
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
                # After FIN the state would be CLOSE_WAIT (8); only RST leads straight to CLOSE (7).
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x07"
        assert httpx.get(f"{server.url}/health").status_code == 200
        assert [(entry.status, entry.processed) for entry in server.journal.entries] == [(None, False)] * 3
        assert all(entry.fault_id for entry in server.journal.entries)


@pytest.mark.usefixtures("any_loop")
def test_a_reset_also_cuts_an_upload(caplog: pytest.LogCaptureFixture) -> None:
    """What still arrives is not parsed, and uvicorn does not answer it."""
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n"
    with (
        MockServer(outages=[Outage(start=0, duration=60, reset=True)]) as server,
        closing(connect(server)) as sock,
        pytest.raises((ConnectionResetError, BrokenPipeError)),
    ):
        sock.sendall(head + bytes(100_000_000))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_connection_survives_what_was_refused_with_its_body_unread() -> None:
    """A 429 to a POST and a 503 to the next leave the connection in step."""
    with MockServer(limit=SlidingWindow(1, 60.0)) as server, closing(connect(server)) as sock:
        sock.sendall(GET_ECHO)
        posts = b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-length: 70000\r\n\r\n" + b"x" * 70000
        for status in (b"200", b"429", b"429"):
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(65536)
            assert head.startswith(b"HTTP/1.1 " + status)
            sock.sendall(posts)


def test_only_loopback_may_read_the_journal() -> None:
    """And X-Forwarded-For neither opens nor shuts it."""
    with MockServer() as server:
        assert httpx.get(f"{server.url}/__journal", headers={"x-forwarded-for": "8.8.8.8"}).status_code == 200
    stranger = httpx.ASGITransport(server._app, client=("192.0.2.1", 1))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=stranger, base_url="http://stage") as client:
            return await client.get("/__journal", headers={"x-forwarded-for": "127.0.0.1"})

    assert asyncio.run(ask()).status_code == 403


def test_a_head_is_answered_without_a_body(server: MockServer) -> None:
    """With the headers of the GET; the journal counts no bytes."""
    answer = httpx.head(f"{server.url}/users?per_page=2")
    assert (answer.status_code, answer.content, answer.headers["x-total-count"]) == (200, b"", "500")
    assert server.journal.entries[0].bytes_out == 0


def test_a_crash_of_the_application_is_loud(
    server: MockServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect of ours is a 500 that says so, and a traceback in the log; the server goes on."""

    def crash(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("mockserver.resources.collection.Collection.read", crash)
    answer = httpx.get(f"{server.url}/users/1")
    assert answer.status_code == 500
    assert "the mock server itself failed: ZeroDivisionError" in answer.json()["detail"]
    wait_until(lambda: any(record.exc_info for record in caplog.records))
    assert httpx.get(f"{server.url}/echo").status_code == 200


def test_a_failed_start_is_raised_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not lost in the thread; the port is free again."""

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no start today")

    monkeypatch.setattr("uvicorn.Server.startup", fail)
    server = MockServer()
    with pytest.raises(RuntimeError, match="no start today"):
        server.start()
    server.stop()
    monkeypatch.undo()
    with MockServer(port=server.port):
        pass


def test_a_missing_extra_says_what_to_install() -> None:
    """Instead of the name of a module nobody asked for."""
    code = "import sys; sys.modules['faker'] = None; import mockserver"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.stderr.splitlines()[-1].endswith("needs faker: pip install 'rest-api-client-kit[mockserver]'")


def test_every_finished_entry_is_handed_out() -> None:
    """In the server's thread, complete."""
    seen: list[Entry] = []
    with MockServer(errors=Errors(probability=1), on_entry=seen.append) as server:
        httpx.get(f"{server.url}/echo")
        wait_until(lambda: seen)
    assert (seen[0].status, seen[0].finished is not None) == (503, True)


def test_hundreds_of_connections_at_once_keep_the_limit() -> None:
    """Three hundred requests from thirty threads: exactly the quota is accepted, by the server's own clock."""
    with MockServer(limit=SlidingWindow(50, 60.0)) as server:

        def hammer() -> None:
            with httpx.Client(base_url=server.url) as client:
                for _ in range(10):
                    client.get("/status/200")

        threads = [threading.Thread(target=hammer) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.journal.statuses == {200: 50, 429: 250}
        assert server.journal.requests_in_any_window(60.0) == 50


@pytest.mark.parametrize(
    "settings",
    [
        {"errors": 0.1},
        {"limit": 5},
        {"latency": 0.5},
        {"outages": Outage(start=1, duration=1)},
        {"resources": ["users"]},
    ],
)
def test_settings_of_a_wrong_kind_are_refused_before_anything_starts(settings: dict[str, Any]) -> None:
    """A number in the place of `Errors`, or one outage without its list, says what to give."""
    with pytest.raises(ValueError, match="give"):
        MockServer(**settings)
