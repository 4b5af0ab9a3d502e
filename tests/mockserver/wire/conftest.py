"""A server for each combination of uvicorn's parsers and event loops, with faults on request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mockserver import MockServer
from mockserver.faults.decide import Faults
from mockserver.faults.plan import Plan
from mockserver.faults.rules import FaultRule
from mockserver.seen import Seen
from rest_api_client.script import Chunk, Close, End, Head, Script, Upload

TEXT = Script(Head(200, (("content-type", "text/plain"),)), Chunk(b"0123456789"), End())
COMBINATIONS = [(http, loop) for http in ("httptools", "h11") for loop in ("asyncio", "uvloop")]


class Scripts:
    """Stubs by path; a test may add some."""

    def __init__(self) -> None:
        self.by_path = {"/text": TEXT}

    def answer(self, seen: Seen) -> Script | None:
        return self.by_path.get(seen.path)


def leave_unread(script: Script) -> Script:
    """Nothing of the upload is read, and the connection closed."""
    return Script(Upload(0), Close())


UNREAD = FaultRule(leave_unread, path="/unread", name="unread")


def make_server(**settings: Any) -> MockServer:
    return MockServer(faults=Faults(Plan(caller_faults=True, rules=(UNREAD,))), resources={"users": 3}, **settings)


@pytest.fixture(scope="module", params=COMBINATIONS, ids=" on ".join)
def server(request: pytest.FixtureRequest) -> Iterator[MockServer]:
    """A server on which any request may ask for a fault."""
    http, loop = request.param
    with make_server(stubs=Scripts(), http=http, loop=loop) as running:
        yield running


@pytest.fixture
def scripts(server: MockServer) -> Iterator[dict[str, Script]]:
    """The scripts that `server` answers with, by path."""
    stubs = server.stage.stubs
    assert isinstance(stubs, Scripts)
    yield stubs.by_path
    stubs.by_path = {"/text": TEXT}
