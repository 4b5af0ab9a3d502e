"""httpx bare, and what people put on it: a transport that retries, or a decorator round the call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from unittest.mock import patch

import httpx
import httpx_retries
import stamina
import tenacity
from tenacity import stop_after_attempt, wait_exponential, wait_random_exponential

from tests.outage.crowd import Call, Library
from tests.outage.wire import TIMEOUT, URL, Refused, TimedOut, Wire, fields


class WireTransport(httpx.AsyncBaseTransport):
    """An httpx transport that sends over the wire of the rehearsal."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One attempt."""
        try:
            answer = await self._wire.ask(request.extensions["timeout"]["read"])
        except Refused as error:
            raise httpx.ConnectError("connection refused") from error
        except TimedOut as error:
            raise httpx.ReadTimeout("no answer in time") from error
        return httpx.Response(answer.status or 0, headers=fields(answer), content=b"{}")


def _per_client(
    wrap: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport],
    get: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]],
) -> Library:
    """One `httpx.AsyncClient` per client of the crowd, its transport wrapped, its calls made by `get`."""

    @asynccontextmanager
    async def library(wire: Wire) -> AsyncIterator[Call]:
        clients = [httpx.AsyncClient(transport=wrap(WireTransport(wire)), timeout=TIMEOUT) for _ in range(wire.clients)]

        async def call(number: int) -> bool:
            try:
                return (await get(clients[number])).status_code == 200
            except (httpx.HTTPError, tenacity.RetryError):
                return False

        times = SimpleNamespace(monotonic=wire.clock.monotonic)
        with patch.object(tenacity, "time", times):  # stamina stands on tenacity
            yield call
        for client in clients:
            await client.aclose()

    return library


def _as_it_is(transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    return transport


async def plain(client: httpx.AsyncClient) -> httpx.Response:
    return await client.get(URL)


def retrying_transport(transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    return httpx_retries.RetryTransport(transport=transport)


def retrying_transport_with_backoff(transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    return httpx_retries.RetryTransport(transport=transport, retry=httpx_retries.Retry(total=5, backoff_factor=0.5))


@stamina.retry(on=httpx.HTTPError)
async def stamina_defaults(client: httpx.AsyncClient) -> httpx.Response:
    response = await client.get(URL)
    response.raise_for_status()
    return response


@stamina.retry(on=httpx.HTTPError, attempts=3)
async def stamina_three(client: httpx.AsyncClient) -> httpx.Response:
    response = await client.get(URL)
    response.raise_for_status()
    return response


@tenacity.retry(stop=stop_after_attempt(3), wait=wait_exponential(multiplier=1, min=4, max=10))
async def tenacity_exponential(client: httpx.AsyncClient) -> httpx.Response:
    response = await client.get(URL)
    response.raise_for_status()
    return response


@tenacity.retry(stop=stop_after_attempt(6), wait=wait_random_exponential(min=1, max=60))
async def tenacity_random(client: httpx.AsyncClient) -> httpx.Response:
    response = await client.get(URL)
    response.raise_for_status()
    return response


httpx_bare = _per_client(_as_it_is, plain)
httpx_retries_defaults = _per_client(retrying_transport, plain)
httpx_retries_backoff = _per_client(retrying_transport_with_backoff, plain)
stamina_default = _per_client(_as_it_is, stamina_defaults)
stamina_readme = _per_client(_as_it_is, stamina_three)
tenacity_fixed = _per_client(_as_it_is, tenacity_exponential)
tenacity_jitter = _per_client(_as_it_is, tenacity_random)
