"""What the fixtures hand out, as context managers: servers, clients, clocks, cassettes of one test.

A fixture holds its part for a test, a factory (`make_mock_server` ...) for a block, under `@given` for an example: both
come here. What is made while a test goes by a virtual clock is in process and on that clock. Else servers have sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from mockserver import MockServer, Rules
from pytest_plugin.guards import virtual_time
from pytest_plugin.options import fault_seed
from pytest_plugin.watch import Seen, Watch
from rest_api_client import APIClient, AsyncAPIClient
from rest_api_client.virtual.clock import VirtualClock

C = TypeVar("C", APIClient, AsyncAPIClient)

IN_PROCESS = "http://mock-server.test"
"""The base URL of a server that has no socket."""


@contextmanager
def stage(watch: Watch, options: Mapping[str, Any]) -> Iterator[tuple[Seen, Rules | None]]:
    """A server of this test, and the rules its clients are held to.

    Args:
        watch: of the test.
        options: of MockServer.
    """
    given = {"seed": fault_seed(watch.config), **options}
    rules: Rules | None = given.pop("rules", Rules())
    server = MockServer(**given, rules=None)  # its own check is left out: the test's end is where it is made
    if watch.clock is not None:
        yield watch.saw(server), rules
        return
    with server:
        watch.let_out(server)
        yield watch.saw(server), rules


@contextmanager
def on_clock(watch: Watch, clock: VirtualClock | None = None) -> Iterator[VirtualClock]:
    """Virtual time for this test, or for an example of it."""
    with virtual_time(clock) as chosen:
        watch.be_virtual(chosen)
        try:
            yield chosen
        finally:
            watch.be_virtual(None)


def client_options(watch: Watch, server: MockServer | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a client: where it goes, on which clock, watched, and with chance from the seed."""
    given: dict[str, Any] = {"attempt_headers": True, "random": watch.random(), **options}
    if watch.clock is not None:
        given.setdefault("clock", watch.clock)
    if server is not None:
        given.setdefault("base_url", IN_PROCESS if watch.clock is not None else server.url)
        if watch.clock is not None:
            given.setdefault("engine", server.transport())
    given["events"] = [*given.get("events", ()), watch.events.append]
    return given


@contextmanager
def sync_client(kind: type[APIClient], options: Mapping[str, Any]) -> Iterator[APIClient]:
    """A client for threads."""
    with kind(**options) as client:
        yield client


@contextmanager
def async_client(kind: type[AsyncAPIClient], options: Mapping[str, Any]) -> Iterator[AsyncAPIClient]:
    """A client for loops. It is closed outside of them: its connections need none to be dropped."""
    client = kind(**options)
    try:
        yield client
    finally:
        loop = options["clock"].new_event_loop() if "clock" in options else asyncio.new_event_loop()
        try:
            loop.run_until_complete(client.aclose())
        finally:
            loop.close()
