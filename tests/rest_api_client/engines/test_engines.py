"""Engines are found by name, and what they rest on in the libraries is still there."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest

from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines import ENGINES, open_engine
from rest_api_client.exceptions import CapabilityError, ConfigurationError
from rest_api_client.transport import Capability
from tests.rest_api_client.engines.raw import RawServer
from tests.rest_api_client.engines.rigs import Rig, fetch


@pytest.mark.parametrize("face", ["sync", "async"])
@pytest.mark.parametrize("name", ENGINES)
def test_engines_are_found_by_name(name: str, face: Any) -> None:
    """Each name gives an engine that serves the face asked for and knows its name."""
    engine = open_engine(name, face=face, options=ConnectionOptions())
    assert engine.name == name
    assert (Capability.SYNC if face == "sync" else Capability.ASYNCIO) in engine.capabilities


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    """A name that is nearly right gets the right one shown."""
    with pytest.raises(ConfigurationError, match="did you mean 'httpx'"):
        open_engine("htpx", face="sync", options=ConnectionOptions())
    with pytest.raises(ConfigurationError, match="give 'httpx', 'httpx2', 'pyreqwest'"):
        open_engine("curl", face="sync", options=ConnectionOptions())


@pytest.mark.parametrize(("name", "extra"), [("httpx2", "httpx2"), ("pyreqwest", "fast")])
def test_a_missing_package_names_its_extra(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed is a ConfigurationError that says what to install."""
    for module in [module for module in sys.modules if module.startswith("rest_api_client.engines.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=rf"rest-api-client-kit\[{extra}\]"):
        open_engine(name, face="async", options=ConnectionOptions())


def test_transports_are_taken_as_they_are_or_adapted() -> None:
    """A transport of ours comes back itself; one of httpx comes in an adapter; the wrong face is refused."""
    ours = SimpleNamespace(capabilities=frozenset({Capability.SYNC}))
    assert open_engine(ours, face="sync", options=ConnectionOptions()) is ours
    with pytest.raises(CapabilityError, match="async client"):
        open_engine(ours, face="async", options=ConnectionOptions())
    mock = httpx.MockTransport(lambda request: httpx.Response(200))
    for face in ("sync", "async"):
        assert open_engine(mock, face=face, options=ConnectionOptions()).capabilities  # type: ignore[arg-type]


def test_engines_are_imported_only_when_asked_for() -> None:
    """Importing the package loads no engine."""
    code = "import sys, rest_api_client.engines as e; print([m for m in sys.modules if m.startswith(e.__name__ + '.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("package", [httpx, httpx2])
def test_the_private_attribute_that_we_rest_on_is_there(package: Any) -> None:
    """`HTTPTransport._pool` is httpcore's pool, and all that the transport uses: the lanes put their own there."""
    with package.HTTPTransport(verify=False) as transport:
        assert type(transport._pool).__name__ == "ConnectionPool"
        assert set(vars(transport)) == {"_pool"}
    asynchronous = package.AsyncHTTPTransport(verify=False)
    assert type(asynchronous._pool).__name__ == "AsyncConnectionPool"
    assert set(vars(asynchronous)) == {"_pool"}


def test_what_patches_the_library_keeps_working(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder or mock that replaces handle_request on httpx's class sees our requests and may answer them."""
    package: Any = httpx if rig.flavour == "httpx" else httpx2
    seen: list[str] = []

    def handle(self: object, request: Any) -> Any:
        seen.append(f"{request.method} {request.url}")
        return package.Response(201, content=b"recorded")

    async def handle_async(self: object, request: Any) -> Any:
        return handle(self, request)

    monkeypatch.setattr(package.HTTPTransport, "handle_request", handle)
    monkeypatch.setattr(package.AsyncHTTPTransport, "handle_async_request", handle_async)

    async def body() -> None:
        async with rig.engine() as engine:
            response, content = await fetch(engine, "http://a.test/x")
            assert (response.status_code, content) == (201, b"recorded")

    rig.run(body)
    assert seen == ["GET http://a.test/x"]


def test_an_engine_says_what_it_holds(rig: Rig) -> None:
    """Its repr counts what is in use and what is idle."""

    async def body(server: RawServer) -> None:
        async with rig.engine() as engine:
            await fetch(engine, server.url)
            assert "0 in use, 1 idle" in repr(engine)

    with RawServer() as server:
        rig.run(body, server)
