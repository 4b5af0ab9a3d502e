"""A stage without a socket, on a clock that the test moves; real sockets are in test_server.py."""

import asyncio
from typing import Any

import httpx
import pytest

from mockserver.app import Staging
from mockserver.journal import Journal


class Stage:
    """An application, its journal, and the time."""

    def __init__(self, **settings: Any) -> None:
        self.now = 0.0
        self.journal = Journal()
        self.app = Staging(**{"resources": {"users": 10, "orders": 5}, **settings}).build(
            self.journal, lambda: self.now
        )

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.ask_all((method, path, options))[0]

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def ask_all(self, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx.Response]:
        """Several requests at once."""

        async def run() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://stage") as client:
                return await asyncio.gather(*(client.request(m, p, **options) for m, p, options in requests))

        return asyncio.run(run())


@pytest.fixture
def stage() -> Stage:
    """Nothing goes wrong on it."""
    return Stage()
