"""One test body for both clients.

`any_client(world, ...)` makes the client of the world's runtime and shows it with awaitable methods, so that one body
serves sync, asyncio and trio:

    async def body() -> None:
        async with any_client(world, engine=ScriptedTransport([respond(200)])) as client:
            assert (await client.get("/")).status_code == 200
    world.run(body)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from rest_api_client.async_client import AsyncAPIClient
from rest_api_client.client import APIClient
from rest_api_client.models import Response
from tests.conftest import World


class AwaitableClient:
    """A sync client behind `async def`s that never wait."""

    def __init__(self, client: APIClient) -> None:
        self.plain = client

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.plain, name)
        if name in {"get", "post", "put", "patch", "delete", "head", "options", "request", "download"}:
            return _awaitable(value)
        return value


def _awaitable(function: Callable[..., Response]) -> Callable[..., Awaitable[Response]]:
    async def call(*args: Any, **options: Any) -> Response:
        return function(*args, **options)

    return call


@asynccontextmanager
async def any_client(
    world: World[Any],
    sync: type[APIClient] = APIClient,
    asynchronous: type[AsyncAPIClient] = AsyncAPIClient,
    **options: Any,
) -> AsyncIterator[Any]:
    """The world's client, on its clock, closed at the end. The base URL is https://api.test unless given."""
    options = {"base_url": "https://api.test", "clock": world.clock, "random": 1} | options
    if world.name == "sync":
        with sync(**options) as client:
            yield AwaitableClient(client)
    else:
        async with asynchronous(**options) as async_client:
            yield async_client
