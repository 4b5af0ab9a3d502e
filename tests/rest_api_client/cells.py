"""The cells of the wire tests: every engine under every face it serves.

    @every_cell
    def test_something(cell: Cell) -> None:
        async def body() -> None:
            async with cell.client(base_url=server.url) as client:
                await client.get("/")
        cell.run(body)

What an engine cannot do is asserted to be refused (`cell.can`), never skipped. Waits between attempts are a
millisecond here, so that retries cost no time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from rest_api_client import CapabilityError, ExponentialBackoff, RetryConfig
from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines import open_engine
from rest_api_client.streamed import AsyncStreamedResponse, StreamedResponse
from rest_api_client.transport import Capability
from tests.conftest import Body, T, World
from tests.rest_api_client.faces import AwaitableClient, any_client

ENGINES = ("httpx", "httpx2", "pyreqwest")
QUICK = ExponentialBackoff(base=0.001, cap=0.002)


def quick(retries: int = 2, **options: Any) -> RetryConfig:
    """So many retries, a millisecond apart, without a budget."""
    return RetryConfig(max_retries=retries, strategy=QUICK, budget=None, **options)


@dataclass(frozen=True)
class Cell:
    """One engine under one runtime: "sync", "asyncio" or "trio"."""

    engine: str
    runtime: str

    def __str__(self) -> str:
        return f"{self.engine}-{self.runtime}"

    @property
    def face(self) -> Any:
        """Which client it is for."""
        return "sync" if self.runtime == "sync" else "async"

    @property
    def world(self) -> World[Clock]:
        """The runtime, in real time."""
        return World(self.runtime, SYSTEM)

    def can(self, capability: Capability) -> bool:
        """Whether the engine says that it can do this."""
        return capability in open_engine(self.engine, face=self.face, options=ConnectionOptions()).capabilities

    def client(self, *, retries: int = 2, **options: Any) -> AbstractAsyncContextManager[Any]:
        """The client of this cell: no environment, no breaker, quick retries, a deadline of 20 s."""
        plain: dict[str, Any] = {"trust_env": False, "circuit_breaker": None, "retry": quick(retries), "deadline": 20.0}
        return any_client(self.world, **(plain | {"engine": self.engine} | options))

    def refuses(self, **options: Any) -> bool:
        """Whether a client with these options is refused as more than the engine can do."""

        async def body() -> None:
            async with self.client(**options):
                pass

        with pytest.raises(CapabilityError):
            self.run(body)
        return True

    def run(self, body: Body[T], *args: Any) -> T:
        """Run a body to its end under the runtime."""
        return self.world.run(body, *args)


CELLS = [
    Cell(engine, runtime)
    for engine in ENGINES
    for runtime in ("sync", "asyncio", "trio")
    if (engine, runtime) != ("pyreqwest", "trio")  # refused: see test_wire_share
]
every_cell = pytest.mark.parametrize("cell", CELLS, ids=str)
ASYNC_CELLS = [cell for cell in CELLS if cell.face == "async"]
every_async_cell = pytest.mark.parametrize("cell", ASYNC_CELLS, ids=str)


class Streamed:
    """A streamed answer of either face."""

    def __init__(self, response: StreamedResponse | AsyncStreamedResponse) -> None:
        self.response = response
        self.status_code = response.status_code

    def chunks(self) -> AsyncIterator[bytes]:
        """The decoded body."""
        if isinstance(self.response, StreamedResponse):
            return _awaitable(self.response.iter_bytes())
        return self.response.aiter_bytes()

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.chunks()])


async def _awaitable(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@asynccontextmanager
async def stream(client: Any, method: str, url: str, **options: Any) -> AsyncIterator[Streamed]:
    """`client.stream(...)` of either face."""
    if isinstance(client, AwaitableClient):
        with client.plain.stream(method, url, **options) as response:
            yield Streamed(response)
    else:
        async with client.stream(method, url, **options) as response:
            yield Streamed(response)


def with_options(client: Any, **options: Any) -> Any:
    """`client.with_options(...)` of either face: a light copy that shares the connections."""
    if isinstance(client, AwaitableClient):
        return AwaitableClient(client.plain.with_options(**options))
    return client.with_options(**options)


def engine_of(client: Any) -> Any:
    """The engine below a client."""
    return (client.plain if isinstance(client, AwaitableClient) else client)._core.transport


def under_way(client: Any) -> int:
    """How many permits the engine's gate has given out."""
    inside: int = engine_of(client).gate.inside
    return inside
