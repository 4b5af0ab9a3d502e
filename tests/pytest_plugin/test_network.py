"""The network is shut in tests that use our fixtures, and only in those."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.pytest_plugin.conftest import Run, text_of

SOURCE = """
import socket
import httpx
import pytest

def reach(port):
    socket.create_connection(("127.0.0.1", port)).close()
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine that is nobody's mock server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_nothing_leaves_but_for_the_servers_of_the_test(run: Run, port: int) -> None:
    """Another port of the same machine is as shut as the rest of the world; a name is not even looked up."""
    tests = f"""
def test_shut(mock_server, api_client):
    assert api_client.get("/users/7").status_code == 200
    reach({port})

def test_name(api_client):
    httpx.get("http://api.example.com/")

def test_session(mock_server_session):
    assert httpx.get(f"{{mock_server_session.url}}/users/7").status_code == 200
    reach({port})

def test_factory(make_mock_server):
    with make_mock_server() as server:
        assert httpx.get(f"{{server.url}}/users/7").status_code == 200
    reach({port})
"""
    result = run(SOURCE + tests)
    result.assert_outcomes(failed=4)
    text = text_of(result)
    assert f"about to connect to 127.0.0.1:{port}" in text
    assert "look up 'api.example.com'" in text
    assert "api_allow_network" in text


def test_a_mark_lets_a_test_out_and_the_ini_file_all_of_them(run: Run, port: int) -> None:
    """Without arguments everything is allowed, with some just these; tests without our fixtures are free anyway."""
    tests = f"""
@pytest.mark.api_allow_network
def test_all(mock_server):
    reach({port})

@pytest.mark.api_allow_network("127.0.0.1:{port}")
def test_one(mock_server):
    reach({port})
    assert httpx.get(f"{{mock_server.url}}/users/7").status_code == 200

@pytest.mark.api_allow_network("127.0.0.1:1")
def test_another(mock_server):
    with socket.socket() as own, pytest.raises(pytest.fail.Exception, match="the network is shut"):
        own.connect(("127.0.0.1", {port}))

def test_not_ours():
    reach({port})
"""
    run(SOURCE + tests).assert_outcomes(passed=4)
    run(SOURCE + f"def test_it(mock_server): reach({port})", "-oapi_network=allow").assert_outcomes(passed=1)


def test_what_is_recorded_may_come_from_the_network(run: Run, port: int) -> None:
    """A test whose cassette is being made is let out; one that plays is not."""
    tests = f"""
@pytest.mark.api_cassette("c", strictness="last_stays")
def test_it(http_cassette):
    with socket.socket() as own:
        try:
            own.connect(("127.0.0.1", {port}))
            print("OUT")
        except pytest.fail.Exception:
            print("SHUT")
"""
    assert "OUT" in text_of(run(SOURCE + tests, "-s"))
    written = """
from pathlib import Path
Path("cassettes/test_it").mkdir(parents=True)
Path("cassettes/test_it/c.yaml").write_text("interactions: []\\nversion: 1\\n")
"""
    assert "SHUT" in text_of(run(written + SOURCE + tests, "-s"))


def test_virtual_time_refuses_real_waits_and_sockets(run: Run) -> None:
    """A sleep of the test's own, a socket, chance without a seed: each fails and says what to use."""
    result = run(
        """
        import random
        import time
        import httpx
        import pytest

        def test_sleep(virtual_clock):
            time.sleep(0.01)

        def test_socket(virtual_clock):
            httpx.get("http://127.0.0.1:9/")

        def test_chance(virtual_clock):
            random.random()

        def test_fine(virtual_clock, api_client):
            virtual_clock.sleep(3600)
            api_client.post("/users", json={"name": "Ada", "email": "ada@example.com"}, idempotency_key=True)
        """
    )
    result.assert_outcomes(failed=3, passed=1)
    assert text_of(result).count("RealWorld") >= 3
