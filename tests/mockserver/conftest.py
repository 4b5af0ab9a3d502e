"""A stage without a socket, on a clock that the test moves; real sockets are in test_server.py."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mockserver import stage as stages
from mockserver.journal import Journal
from mockserver.limits import LimitRule, Limits
from mockserver.players.wire import Player
from mockserver.resources import application


class Stage:
    """An application, its journal, and the time."""

    def __init__(
        self, *, seed: int = 0, limit: Any = None, key: Any = None, resources: Any = None, **settings: Any
    ) -> None:
        self.now = 0.0
        self.journal = Journal()
        self.stage = stages.Stage(
            application=application({"users": 10, "orders": 5} if resources is None else resources, seed),
            journal=self.journal,
            clock=lambda: self.now,
            seed=seed,
            limits=None if limit is None else Limits([LimitRule(limit=limit, key=key)]),
            **settings,
        )
        self.app = Player(self.stage)

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


@pytest.fixture(scope="package", autouse=True)
def _unchecked() -> Iterator[None]:
    """These tests are rude to servers on purpose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOCKSERVER_CHECK", "off")
        yield


@pytest.fixture
def stage() -> Stage:
    """Nothing goes wrong on it."""
    return Stage()
