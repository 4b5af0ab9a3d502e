"""The clients, each set up as its own documentation recommends for retries, and told to make calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
import httpx
import httpx_retries
import stamina
import urllib3
from aiohttp_retry import ExponentialRetry, RetryClient

from rest_api_client import APIError, AsyncAPIClient
from tests.behaviour.scenes import Ask

Run = Callable[[str, Iterable[Ask]], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client: its distributions, how it is set up, and what runs it."""

    title: str
    packages: tuple[str, ...]
    setup: str
    run: Run


async def ours(url: str, asks: Iterable[Ask]) -> None:
    async with AsyncAPIClient(base_url=url) as client:

        async def call(ask: Ask) -> None:
            with suppress(APIError):
                await client.request(ask.method, ask.path, headers=ask.headers, content=ask.body)

        await asyncio.gather(*map(call, asks))


async def httpx_with_retries(url: str, asks: Iterable[Ask]) -> None:
    transport = httpx_retries.RetryTransport(retry=httpx_retries.Retry(total=5, backoff_factor=0.5))
    async with httpx.AsyncClient(base_url=url, transport=transport) as client:

        async def call(ask: Ask) -> None:
            with suppress(httpx.HTTPError):
                await client.request(ask.method, ask.path, headers=ask.headers, content=ask.body)

        await asyncio.gather(*map(call, asks))


async def stamina_over_httpx(url: str, asks: Iterable[Ask]) -> None:
    async with httpx.AsyncClient(base_url=url) as client:

        @stamina.retry(on=httpx.HTTPError, attempts=3)
        async def send(ask: Ask) -> None:
            response = await client.request(ask.method, ask.path, headers=ask.headers, content=ask.body)
            response.raise_for_status()

        async def call(ask: Ask) -> None:
            with suppress(httpx.HTTPError):
                await send(ask)

        await asyncio.gather(*map(call, asks))


async def aiohttp_with_retry(url: str, asks: Iterable[Ask]) -> None:
    options = ExponentialRetry(attempts=3, statuses={429, 500, 502, 503, 504}, exceptions={aiohttp.ClientError})
    async with RetryClient(retry_options=options) as client:

        async def call(ask: Ask) -> None:
            with suppress(aiohttp.ClientError):
                async with client.request(ask.method, url + ask.path, headers=ask.headers, data=ask.body) as response:
                    await response.read()

        await asyncio.gather(*map(call, asks))


async def urllib3_retry(url: str, asks: Iterable[Ask]) -> None:
    retries = urllib3.Retry(total=3, backoff_factor=0.5, status_forcelist=[429, 500, 502, 503, 504])
    with urllib3.PoolManager(maxsize=40, retries=retries) as pool:

        def call(ask: Ask) -> None:
            with suppress(urllib3.exceptions.HTTPError):
                pool.request(ask.method, url + ask.path, headers=ask.headers, body=ask.body)

        await asyncio.gather(*(asyncio.to_thread(call, ask) for ask in asks))


CLIENTS = (
    Client(
        title="this library",
        packages=("rest-api-client-kit",),
        setup="`AsyncAPIClient(base_url=...)`: the defaults",
        run=ours,
    ),
    Client(
        title="httpx-retries",
        packages=("httpx-retries", "httpx"),
        setup="`RetryTransport(retry=Retry(total=5, backoff_factor=0.5))`",
        run=httpx_with_retries,
    ),
    Client(
        title="urllib3.Retry",
        packages=("urllib3",),
        setup="`PoolManager(retries=Retry(total=3, backoff_factor=0.5, status_forcelist=[429, 500, 502, 503, 504]))`",
        run=urllib3_retry,
    ),
    Client(
        title="stamina over httpx",
        packages=("stamina", "httpx"),
        setup="`@stamina.retry(on=httpx.HTTPError, attempts=3)` round a call and `raise_for_status()`",
        run=stamina_over_httpx,
    ),
    Client(
        title="aiohttp-retry",
        packages=("aiohttp-retry", "aiohttp"),
        setup="`ExponentialRetry(attempts=3, statuses={429, 500, 502, 503, 504}, exceptions={aiohttp.ClientError})`",
        run=aiohttp_with_retry,
    ),
)
