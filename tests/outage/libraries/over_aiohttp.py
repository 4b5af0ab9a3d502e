"""aiohttp-retry, over a session that stands in for aiohttp's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
from aiohttp_retry import ExponentialRetry, RetryClient

from tests.outage.crowd import Call
from tests.outage.wire import TIMEOUT, URL, Refused, TimedOut, Wire


class WireAnswer:
    """What aiohttp-retry reads of an answer."""

    def __init__(self, method: str, status: int) -> None:
        self.method = method
        self.status = status
        self.closed = True


class WireSession:
    """What aiohttp-retry calls of a session: `request`, and `close` at the end."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def request(self, method: str, url: str, **options: Any) -> WireAnswer:
        """One attempt."""
        try:
            answer = await self._wire.ask(TIMEOUT)
        except Refused as error:
            raise aiohttp.ClientConnectionError("connection refused") from error
        except TimedOut as error:
            raise aiohttp.ServerTimeoutError("no answer in time") from error
        return WireAnswer(method, answer.status or 0)

    async def close(self) -> None:
        """Nothing to close."""


def retry_client(session: aiohttp.ClientSession) -> RetryClient:
    options = ExponentialRetry(
        attempts=3, statuses={429, 500, 502, 503, 504}, exceptions={aiohttp.ClientError, TimeoutError}
    )
    return RetryClient(client_session=session, retry_options=options)


@asynccontextmanager
async def aiohttp_retry(wire: Wire) -> AsyncIterator[Call]:
    """One retrying client per client of the crowd."""
    sessions = [cast("aiohttp.ClientSession", WireSession(wire)) for _ in range(wire.clients)]
    clients = [retry_client(session) for session in sessions]

    async def call(number: int) -> bool:
        try:
            async with clients[number].get(URL) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    yield call
    for client in clients:
        await client.close()
