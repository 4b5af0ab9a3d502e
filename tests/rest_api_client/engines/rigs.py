"""Rigs: one test body under the sync client's face, asyncio and trio, on httpx and httpx2."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import trio

from rest_api_client.clock import SYSTEM
from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines import open_engine
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.runtime import run_sync
from rest_api_client.transport import Exchange, Timeouts

T = TypeVar("T")


@dataclass(frozen=True)
class Rig:
    """A flavour and a face."""

    flavour: str
    library: str

    @property
    def face(self) -> str:
        return "sync" if self.library == "sync" else "async"

    def run(self, body: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run the body to its end."""
        if self.library == "sync":
            return run_sync(body(*args))
        if self.library == "trio":
            return trio.run(functools.partial(body, *args))
        return asyncio.run(body(*args))

    def make(self, **options: Any) -> Any:
        """An engine."""
        options.setdefault("trust_env", False)
        return open_engine(self.flavour, face=self.face, options=ConnectionOptions(**options))

    @asynccontextmanager
    async def engine(self, **options: Any) -> AsyncIterator[Any]:
        """An engine that is closed, and found clean, at the end of the block."""
        engine = self.make(**options)
        try:
            yield engine
        finally:
            await engine.aclose()
        assert_clean(engine)
        assert len(engine._stock) == 0


def assert_clean(engine: Any) -> None:
    """No permit, waiter or lane is left over."""
    assert engine.gate.inside == 0
    assert engine.gate.waiting == 0
    assert not engine._busy


def request(url: str, method: str = "GET", **parts: Any) -> Request:
    return Request(method=method, url=URL.parse(url), **parts)


def exchange(deadline: float | None = None, **timeouts: Any) -> Exchange:
    """An exchange; `deadline` in seconds from now."""
    at = None if deadline is None else SYSTEM.monotonic() + deadline
    return Exchange(SYSTEM, Timeouts(**timeouts), at)


async def read(response: Response) -> bytes:
    """The raw body, read to its end."""
    assert response.stream is not None
    return b"".join([chunk async for chunk in response.stream])


async def fetch(engine: Any, url: str, method: str = "GET", **parts: Any) -> tuple[Response, bytes]:
    """One whole exchange."""
    response = await engine.send(request(url, method, **parts), exchange(deadline=10))
    return response, await read(response)
