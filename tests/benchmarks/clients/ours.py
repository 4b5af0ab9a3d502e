"""Ours, on each engine: bare (no policy that can be turned off), and full (every default, and a limiter)."""

from __future__ import annotations

from typing import Any

from rest_api_client import APIClient, AsyncAPIClient
from rest_api_client.connection import ConnectionOptions
from tests.benchmarks.clients import TIMEOUT, Setup, blocks, new_file

BARE: dict[str, Any] = {
    "deadline": None,
    "retry": None,
    "pacing": None,
    "circuit_breaker": None,
    "attempt_times": None,
    "redirects": None,
}
FULL: dict[str, Any] = {"rate_limit_calls": 200_000, "rate_limit_period": 1.0}
"""A limit that nobody meets: what is paid for is that it is asked."""


def _connection(setup: Setup) -> ConnectionOptions:
    return ConnectionOptions(max_connections=setup.connections, verify=setup.ca or True, http2=setup.http2)


class Ours:
    """A sync client."""

    engine = "httpx"
    options = FULL

    def __init__(self, setup: Setup) -> None:
        self._client = APIClient(engine=self.engine, timeout=TIMEOUT, connection=_connection(setup), **self.options)

    def json(self, url: str) -> Any:
        return self._client.get(url).data

    def download(self, url: str) -> int:
        with self._client.stream("GET", url) as response:
            return sum(map(len, response.iter_bytes()))

    def save(self, url: str) -> int:
        with new_file() as path:
            self._client.download(url, path)
            return path.stat().st_size

    def upload(self, url: str) -> int:
        return int(self._client.post(url, content=blocks()).data["number"])

    def close(self) -> None:
        self._client.close()


class AsyncOurs:
    """An async client."""

    engine = "httpx"
    options = FULL

    def __init__(self, setup: Setup) -> None:
        self._client = AsyncAPIClient(
            engine=self.engine, timeout=TIMEOUT, connection=_connection(setup), **self.options
        )

    async def json(self, url: str) -> Any:
        return (await self._client.get(url)).data

    async def close(self) -> None:
        await self._client.aclose()


class FullHttpx(Ours):
    pass


class FullHttpx2(Ours):
    engine = "httpx2"


class FullPyreqwest(Ours):
    engine = "pyreqwest"


class BareHttpx(Ours):
    options = BARE


class BareHttpx2(FullHttpx2):
    options = BARE


class BarePyreqwest(FullPyreqwest):
    options = BARE


class AsyncFullHttpx(AsyncOurs):
    pass


class AsyncFullHttpx2(AsyncOurs):
    engine = "httpx2"


class AsyncFullPyreqwest(AsyncOurs):
    engine = "pyreqwest"


class AsyncBareHttpx(AsyncOurs):
    options = BARE


class AsyncBareHttpx2(AsyncFullHttpx2):
    options = BARE


class AsyncBarePyreqwest(AsyncFullPyreqwest):
    options = BARE
