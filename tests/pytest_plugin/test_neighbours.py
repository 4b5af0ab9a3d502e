"""Beside other plugins: each alone, many at once, none. In processes of their own, as a user starts pytest.

The neighbours are installed where our own suite does not find them (`make test` sets them up): pytest-recording and
cassetter, for one, own the same option and cannot be loaded together.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_plugin.summary import Session

NEIGHBOURS = Path(sys.prefix) / "neighbours"

COMMON = """
import httpx

def test_socket(mock_server, api_client):
    assert api_client.get("/users/7").data["id"] == 7
    assert httpx.get(f"{mock_server.url}/users/7").json()["id"] == 7

def test_virtual(virtual_clock, api_client, http_faults):
    http_faults.add("error(503, retry_after=20)", first=1)
    api_client.get("/users/7")
    assert virtual_clock.monotonic() > 20

def test_theirs_is_not_ours():
    pass
"""

ASYNC = """
import pytest

@pytest.mark.{mark}
async def test_virtual_loop(virtual_clock, async_api_client, http_faults):
    http_faults.add("error(503, retry_after=20)", first=1)
    await async_api_client.get("/users/7")
    assert virtual_clock.monotonic() > 20

@pytest.mark.{mark}
async def test_real_loop(mock_server, async_api_client):
    await async_api_client.get("/users/7")
"""

RECORDING = """
import pytest

@pytest.mark.vcr
def test_theirs(vcr, mock_server, api_client):
    assert api_client.get("/users/7").data["id"] == 7
    assert len(vcr) == 1

@pytest.mark.api_cassette(patched=True)
def test_ours(mock_server, http_cassette):
    assert httpx.get(f"{mock_server.url}/users/7").json()["id"] == 7
    assert len(http_cassette.recorded) == 1
"""

CASSETTER = """
import pytest

@pytest.mark.vcr
def test_theirs(cassette, vcr, mock_server):
    assert httpx.get(f"{mock_server.url}/users/7").json()["id"] == 7

@pytest.mark.api_cassette("ours")
@pytest.mark.api_client(base_url="http://api.test")
def test_ours(http_cassette):
    assert http_cassette.path.name == "ours.yaml"
"""

RESPX = """
def test_theirs(respx_mock, virtual_clock):
    respx_mock.get("http://api.test/").respond(204)
    assert httpx.get("http://api.test/").status_code == 204
"""

PYTEST_HTTPX = """
def test_theirs(httpx_mock, virtual_clock):
    httpx_mock.add_response(status_code=204)
    assert httpx.get("http://api.test/").status_code == 204
"""


@dataclass(frozen=True)
class Neighbour:
    """A plugin, the tests that go with it, and how many of them pass."""

    plugins: tuple[str, ...]
    source: str
    passed: int
    options: tuple[str, ...] = ()


def _source(*parts: str) -> str:
    return COMMON + "".join(parts)


ONCE = ("--record-mode=once", "--api-cassettes=once")

ALONE = {
    "none": Neighbour((), _source(), 3),
    "pytest-recording": Neighbour(("recording",), _source(RECORDING), 5, ONCE),
    "cassetter": Neighbour(("cassetter",), _source(CASSETTER), 5, ONCE),
    "respx": Neighbour(("respx",), _source(RESPX), 4),
    "pytest-httpx": Neighbour(("pytest_httpx",), PYTEST_HTTPX.replace("\ndef", "import httpx\n\ndef", 1), 1),
    "pytest-asyncio": Neighbour(("asyncio",), _source(ASYNC.format(mark="asyncio")), 5),
    "pytest-asyncio, auto": Neighbour(
        ("asyncio",), _source(ASYNC.replace("@pytest.mark.{mark}\n", "")), 5, ("--asyncio-mode=auto",)
    ),
    "anyio": Neighbour(("anyio",), _source(ASYNC.format(mark="anyio")), 7),
    "pytest-trio": Neighbour(("trio",), _source(ASYNC.format(mark="trio")), 5),
    "hypothesis": Neighbour(("hypothesispytest",), _source(), 3),
    "all at once": Neighbour(
        ("anyio", "asyncio", "trio", "hypothesispytest", "respx", "recording"),
        _source(*(ASYNC.replace("loop(", f"{m}(").format(mark=m) for m in ("asyncio", "trio", "anyio")), RESPX),
        12,
    ),
}  # fmt: skip


def start(folder: Path, plugins: tuple[str, ...], *options: str) -> str:
    """Run pytest as a process with just these plugins and ours, and say what it printed."""
    if not NEIGHBOURS.is_dir():
        pytest.skip(f"{NEIGHBOURS} is not there: `make test` installs the plugins that ours is tried beside")
    chosen = [word for plugin in ("rest_api_client", *plugins) for word in ("-p", plugin)]
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_ADDOPTS"}}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-Werror", *chosen, *options],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(NEIGHBOURS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ALONE)
def test_it_lives_beside(tmp_path: Path, name: str) -> None:
    """Our fixtures do what they do, the neighbour's do too, and nobody warns."""
    neighbour = ALONE[name]
    (tmp_path / "test_it.py").write_text(neighbour.source)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    plugins, options = neighbour.plugins, neighbour.options
    if "asyncio" not in plugins:
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
    if name == "all at once":
        options = ("-Wignore::pytest.PytestAssertRewriteWarning",)  # of anyio, which the others import before
    said = start(tmp_path, plugins, *options)
    assert f"{neighbour.passed} passed" in said, said
    assert "failed" not in said
    assert "error" not in said.lower().replace("-werror", "")


def test_workers_of_xdist_add_up(tmp_path: Path) -> None:
    """Two workers: one page, one summary, a cassette for each test, orphans known though nobody has all the tests."""
    (tmp_path / "test_it.py").write_text(
        """
import pytest
from rest_api_client.engines.scripted import ScriptedTransport, respond

pytestmark = pytest.mark.api_client(base_url="https://api.example.com")

@pytest.fixture
def api_cassette_config():
    return {"inner": ScriptedTransport([respond(200, json={}), respond(200, json={})])}

@pytest.mark.api_cassette
@pytest.mark.parametrize("n", range(6))
def test_it(api_client, n, request):
    api_client.get("/a")
    if request.config.getoption("--api-cassettes") == "all":
        api_client.get("/b")
    assert n != 3
"""
    )
    said = start(tmp_path, ("xdist",), "-n2", "--api-cassettes=all")
    assert "1 failed, 5 passed" in said, said
    folder = tmp_path / "cassettes" / "test_it"
    assert len(list(folder.iterdir())) == 6
    (folder / "test_it[9].yaml").write_text("interactions: []\\nversion: 1\\n")
    said = start(tmp_path, ("xdist",), "-n2", "--api-cassettes=none", "--api-report=page.html")
    assert "1 failed, 5 passed" in said, said
    assert said.count("HTTP timeline") == 1
    assert "5 recordings not played:" in said
    assert "1 cassette of no test:" in said
    assert "test_it[9].yaml" in said
    assert (tmp_path / "page.html").read_text().count("<svg") == 1


def test_after_a_crashed_worker_nobody_speaks_of_orphans(suite: pytest.Pytester) -> None:
    """What it had collected is not known, so nothing can be said to belong to no test."""
    summary = Session(suite.parseconfig())
    controller = summary.config.pluginmanager.get_plugin("rest_api_client_controller")
    assert summary.collected.whole
    controller.pytest_testnodedown(node=SimpleNamespace(), error="crashed")
    assert not summary.collected.whole
