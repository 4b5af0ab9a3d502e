"""The fixtures. What they need is imported when one of them is used, so that starting pytest costs nothing.

Of one test: `mock_server`, `api_client`, `async_api_client`, `http_faults`, `http_cassette`, `virtual_clock`. Of a
session: `mock_server_session` and the factories `make_...`, which give context managers and so go with `@given`. To be
overridden: `mock_server_config`, `api_client_config`, `api_client_class`, `async_api_client_class`, `api_cassette_dir`
and `api_cassette_config`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_plugin.during import attend
from pytest_plugin.markers import merged, outermost_first
from pytest_plugin.options import fault_replay, fault_seed
from pytest_plugin.watch import Seen, Watch, current, enter, keep

if TYPE_CHECKING:
    from mockserver import MockServer
    from pytest_plugin.faults import HttpFaults
    from rest_api_client import APIClient, AsyncAPIClient
    from rest_api_client.virtual.clock import VirtualClock

SHARED = frozenset(
    {"mock_server_session", "make_mock_server", "make_api_client", "make_async_api_client", "make_virtual_clock"}
)
"""Fixtures of the session. A test with one of these is watched and has no network, as with those of one test."""

MARKED = {"api_cassette": "http_cassette", "api_faults": "http_faults"}
"""Marks that bring a fixture with them."""


# To be overridden -----------------------------------------------------------------------------------------------------


@pytest.fixture
def mock_server_config() -> dict[str, Any]:
    """Options of MockServer for mock_server; override it. `rules` are checked when the test is over."""
    return {}


@pytest.fixture
def api_client_config() -> dict[str, Any]:
    """Options of api_client and async_api_client, below those of marks; override it."""
    return {}


@pytest.fixture
def api_client_class() -> type[APIClient]:
    """The class of api_client; override it to test your own."""
    from rest_api_client import APIClient

    return APIClient


@pytest.fixture
def async_api_client_class() -> type[AsyncAPIClient]:
    """The class of async_api_client; override it to test your own."""
    from rest_api_client import AsyncAPIClient

    return AsyncAPIClient


@pytest.fixture
def api_cassette_dir(request: pytest.FixtureRequest) -> Path:
    """Where the cassettes of a module lie, by default {test dir}/cassettes/{module}; override it."""
    from pytest_plugin.recorded import folder_of

    return folder_of(request.node)


@pytest.fixture
def api_cassette_config() -> dict[str, Any]:
    """Options of use_cassette for http_cassette, below those of marks; override it."""
    return {}


# Of one test ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def _api_watch(request: pytest.FixtureRequest) -> Iterator[Watch]:
    attend(request.config)  # also for a test that asks for a fixture by `request.getfixturevalue` only
    watch = Watch(request)
    keep(request.node, watch)
    enter(request.config, watch)
    try:
        shared = _shared(request, watch)
        watch.shut_network()
        yield watch
    finally:
        watch.open_network()
        enter(request.config, None)
    if shared is not None:
        from mockserver import Rules

        watch.judge(shared, Rules())


@pytest.fixture
def virtual_clock(_api_watch: Watch) -> Iterator[VirtualClock]:
    """A clock on which nothing waits: servers and clients of this test are in process and go by it."""
    from pytest_plugin.parts import on_clock

    with on_clock(_api_watch) as clock:
        yield clock


@pytest.fixture
def mock_server(
    request: pytest.FixtureRequest, _api_watch: Watch, mock_server_config: dict[str, Any]
) -> Iterator[MockServer]:
    """A mock server for this test, on a socket, or in process where the test has virtual_clock.

    Rules of good behaviour that its clients broke fail the test when it is over.
    """
    from pytest_plugin.parts import stage

    _first(request, "virtual_clock")
    with stage(_api_watch, mock_server_config) as (seen, rules):
        marks = list(outermost_first(request.node, "api_faults"))
        if marks or "http_faults" in request.fixturenames:
            faults = _faults(_api_watch, seen.server)
            for mark in marks:
                faults.add(*mark.args, **mark.kwargs)
        yield seen.server
        _api_watch.judge(seen, rules)


@pytest.fixture
def http_faults(_api_watch: Watch, mock_server: MockServer) -> HttpFaults:
    """What goes wrong on mock_server; marks `api_faults` have been heard."""
    from pytest_plugin.faults import HttpFaults

    return HttpFaults(mock_server, fault_seed(_api_watch.config))


@pytest.fixture
def http_cassette(
    request: pytest.FixtureRequest, _api_watch: Watch, api_cassette_dir: Path, api_cassette_config: dict[str, Any]
) -> Iterator[Any]:
    """The cassette of this test, as an engine for clients; see the mark api_cassette."""
    from pytest_plugin.recorded import cassette

    _first(request, "virtual_clock")
    with cassette(_api_watch, request.node, api_cassette_dir, api_cassette_config) as given:
        yield given


@pytest.fixture
def api_client(
    request: pytest.FixtureRequest,
    _api_watch: Watch,
    api_client_config: dict[str, Any],
    api_client_class: type[APIClient],
) -> Iterator[APIClient]:
    """A client of mock_server, or of what the mark api_client names; it plays http_cassette where the test has one."""
    from pytest_plugin.parts import sync_client

    kind, options = _client(request, _api_watch, api_client_class, api_client_config)
    with sync_client(kind, options) as client:
        yield client


@pytest.fixture
def async_api_client(
    request: pytest.FixtureRequest,
    _api_watch: Watch,
    api_client_config: dict[str, Any],
    async_api_client_class: type[AsyncAPIClient],
) -> Iterator[AsyncAPIClient]:
    """The same for asyncio and trio. It is closed when the test is over; `async with` is not needed."""
    from pytest_plugin.parts import async_client

    kind, options = _client(request, _api_watch, async_api_client_class, api_client_config)
    with async_client(kind, options) as client:
        yield client


def _shared(request: pytest.FixtureRequest, watch: Watch) -> Seen | None:
    """The session's server, where this test uses it."""
    if "mock_server_session" not in request.fixturenames:
        return None
    server = request.getfixturevalue("mock_server_session")
    watch.let_out(server)
    return watch.saw(server)


def _first(request: pytest.FixtureRequest, name: str) -> None:
    """Have another fixture made before this one, where the test uses it."""
    if name in request.fixturenames:
        request.getfixturevalue(name)


def _faults(watch: Watch, server: MockServer) -> HttpFaults:
    from pytest_plugin.faults import HttpFaults

    return HttpFaults(server, fault_seed(watch.config), fault_replay(watch.config))


def _client(request: pytest.FixtureRequest, watch: Watch, kind: Any, config: dict[str, Any]) -> tuple[Any, Any]:
    """The class of a client and its options."""
    from pytest_plugin.parts import client_options

    _first(request, "virtual_clock")
    kinds, options = merged(request.node, "api_client", most=1)
    options = {**config, **options}
    if "http_cassette" in request.fixturenames and "engine" not in options:
        options["engine"] = _engine(request, options)
    elsewhere = "engine" in options or options.get("base_url") is not None
    return (kinds[0] if kinds else kind), client_options(watch, None if elsewhere else _server(request), options)


def _engine(request: pytest.FixtureRequest, options: dict[str, Any]) -> Any:
    cassette = request.getfixturevalue("http_cassette")
    if options.get("base_url") is None:
        raise pytest.UsageError(
            f"{request.node.nodeid}: a client that plays a cassette needs the API's address: "
            "@pytest.mark.api_client(base_url='https://api.example.com'), or override api_client_config"
        )
    return cassette


def _server(request: pytest.FixtureRequest) -> MockServer:
    names = request.fixturenames
    shared = "mock_server_session" in names and "mock_server" not in names
    server: MockServer = request.getfixturevalue("mock_server_session" if shared else "mock_server")
    return server


@pytest.fixture(scope="session")
def api_fault_replay(request: pytest.FixtureRequest) -> str | None:
    """What --api-fault-replay gave: `rehearse(make, api_fault_replay or outage(duration=60))`."""
    return fault_replay(request.config)


# Of a session ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def mock_server_session(request: pytest.FixtureRequest) -> Iterator[MockServer]:
    """One mock server for the whole run, or for each worker of xdist; on a socket, never reset.

    `space(name)` gives a test a part of its own. What arrives during a test is judged when that test is over.
    """
    from mockserver import MockServer

    with MockServer(seed=fault_seed(request.config), rules=None) as server:
        yield server


Make = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="session")
def make_mock_server(request: pytest.FixtureRequest) -> Make:
    """`with make_mock_server(...) as server`: options of MockServer. Its rules are checked when the block ends."""
    return _block(request, "make_mock_server", _made_server)


@pytest.fixture(scope="session")
def make_api_client(request: pytest.FixtureRequest) -> Make:
    """`with make_api_client(server, ...) as client`: a client of that server, and options of APIClient."""
    return _block(request, "make_api_client", _made_client)


@pytest.fixture(scope="session")
def make_async_api_client(request: pytest.FixtureRequest) -> Make:
    """`with make_async_api_client(server, ...) as client`: the same for asyncio and trio."""
    return _block(request, "make_async_api_client", _made_async_client)


@pytest.fixture(scope="session")
def make_virtual_clock(request: pytest.FixtureRequest) -> Make:
    """`with make_virtual_clock() as clock`: virtual time for the block."""
    return _block(request, "make_virtual_clock", _made_clock)


def _block(request: pytest.FixtureRequest, name: str, make: Make) -> Make:
    @contextmanager
    def block(*arguments: Any, **options: Any) -> Iterator[Any]:
        watch = current(request.config)
        if watch is None:
            raise RuntimeError(f"{name} is for tests and for fixtures of one test: use {name}(...) inside one")
        with watch.block(), make(watch, *arguments, **options) as made:
            yield made

    return block


@contextmanager
def _made_server(watch: Watch, **options: Any) -> Iterator[MockServer]:
    from mockserver.rules import enforce
    from pytest_plugin.parts import stage

    with stage(watch, {**watch.asked("mock_server_config"), **options}) as (seen, rules):
        yield seen.server
        if rules is not None:
            enforce(seen.violations(rules))


@contextmanager
def _made_client(watch: Watch, server: MockServer | None = None, **options: Any) -> Iterator[APIClient]:
    from pytest_plugin.parts import client_options, sync_client

    given = client_options(watch, server, {**watch.asked("api_client_config"), **options})
    with sync_client(watch.asked("api_client_class"), given) as client:
        yield client


@contextmanager
def _made_async_client(watch: Watch, server: MockServer | None = None, **options: Any) -> Iterator[AsyncAPIClient]:
    from pytest_plugin.parts import async_client, client_options

    given = client_options(watch, server, {**watch.asked("api_client_config"), **options})
    with async_client(watch.asked("async_api_client_class"), given) as client:
        yield client


@contextmanager
def _made_clock(watch: Watch) -> Iterator[VirtualClock]:
    from pytest_plugin.parts import on_clock

    with on_clock(watch) as clock:
        yield clock
