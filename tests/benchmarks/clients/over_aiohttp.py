"""aiohttp, as it is and with aiohttp-retry."""

from __future__ import annotations

import ssl
from typing import Any

import aiohttp

from tests.benchmarks.clients import TIMEOUT, Setup


def _session(setup: Setup) -> aiohttp.ClientSession:
    secured = ssl.create_default_context(cafile=setup.ca) if setup.ca else True
    connector = aiohttp.TCPConnector(limit=setup.connections, ssl=secured)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT))


class Aiohttp:
    """A session."""

    def __init__(self, setup: Setup) -> None:
        self._session: Any = _session(setup)

    async def json(self, url: str) -> Any:
        async with self._session.get(url) as response:
            return await response.json()

    async def close(self) -> None:
        await self._session.close()


class AiohttpRetry(Aiohttp):
    """With retries."""

    def __init__(self, setup: Setup) -> None:
        from aiohttp_retry import ExponentialRetry, RetryClient

        self._session = RetryClient(client_session=_session(setup), retry_options=ExponentialRetry(attempts=3))
