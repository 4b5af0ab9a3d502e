"""niquests, from a folder of its own: its urllib3 would take the place of the one that requests uses."""

from __future__ import annotations

import sys
from typing import Any

from tests.benchmarks.clients import TIMEOUT, Setup, blocks, new_file
from tests.benchmarks.niquests_folder import FOLDER

sys.path.insert(0, str(FOLDER))

import niquests


def _options(setup: Setup) -> dict[str, Any]:
    return {
        "pool_connections": 1,
        "pool_maxsize": setup.connections,
        "disable_http2": not setup.http2,
        "disable_http3": True,
    }


class Niquests:
    """A session."""

    def __init__(self, setup: Setup) -> None:
        self._session = niquests.Session(**_options(setup))
        self._session.verify = setup.ca or True

    def json(self, url: str) -> Any:
        return self._session.get(url, timeout=TIMEOUT).json()

    def download(self, url: str) -> int:
        with self._session.get(url, timeout=TIMEOUT, stream=True) as response:
            return sum(map(len, response.iter_content(65536)))

    def save(self, url: str) -> int:
        with new_file() as path:
            with self._session.get(url, timeout=TIMEOUT, stream=True) as response, path.open("wb") as file:
                file.writelines(response.iter_content(65536))
            return path.stat().st_size

    def upload(self, url: str) -> int:
        return int(self._session.post(url, data=blocks(), timeout=TIMEOUT).json()["number"])

    def close(self) -> None:
        self._session.close()


class AsyncNiquests:
    """An async session."""

    def __init__(self, setup: Setup) -> None:
        self._session = niquests.AsyncSession(**_options(setup))
        self._session.verify = setup.ca or True

    async def json(self, url: str) -> Any:
        return (await self._session.get(url, timeout=TIMEOUT)).json()

    async def close(self) -> None:
        await self._session.close()
