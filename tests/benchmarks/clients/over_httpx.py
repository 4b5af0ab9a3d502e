"""httpx and httpx2, which has the same words; httpx also with httpx-retries."""

from __future__ import annotations

import ssl
from types import ModuleType
from typing import Any

from tests.benchmarks.clients import TIMEOUT, Setup, blocks, new_file


def _options(library: ModuleType, setup: Setup) -> dict[str, Any]:
    size = setup.connections
    return {
        "verify": ssl.create_default_context(cafile=setup.ca) if setup.ca else True,
        "http2": setup.http2,
        "limits": library.Limits(max_connections=size, max_keepalive_connections=size),
    }


class Httpx:
    """A client."""

    def __init__(self, setup: Setup) -> None:
        import httpx

        self._client = self.opened(httpx, setup)

    def opened(self, library: ModuleType, setup: Setup) -> Any:
        """The library's own client."""
        return library.Client(**_options(library, setup), timeout=TIMEOUT)

    def json(self, url: str) -> Any:
        return self._client.get(url).json()

    def download(self, url: str) -> int:
        with self._client.stream("GET", url) as response:
            return sum(map(len, response.iter_bytes()))

    def save(self, url: str) -> int:
        with new_file() as path:
            with self._client.stream("GET", url) as response, path.open("wb") as file:
                file.writelines(response.iter_bytes())
            return path.stat().st_size

    def upload(self, url: str) -> int:
        return int(self._client.post(url, content=blocks()).json()["number"])

    def close(self) -> None:
        self._client.close()


class Httpx2(Httpx):
    """httpx2's."""

    def __init__(self, setup: Setup) -> None:
        import httpx2

        self._client = self.opened(httpx2, setup)


class HttpxRetries(Httpx):
    """With retries."""

    def opened(self, library: ModuleType, setup: Setup) -> Any:
        from httpx_retries import Retry, RetryTransport

        inner = library.HTTPTransport(**_options(library, setup))
        return library.Client(transport=RetryTransport(transport=inner, retry=Retry(total=2)), timeout=TIMEOUT)


class AsyncHttpx:
    """An async client."""

    def __init__(self, setup: Setup) -> None:
        import httpx

        self._client = self.opened(httpx, setup)

    def opened(self, library: ModuleType, setup: Setup) -> Any:
        """The library's own client."""
        return library.AsyncClient(**_options(library, setup), timeout=TIMEOUT)

    async def json(self, url: str) -> Any:
        return (await self._client.get(url)).json()

    async def close(self) -> None:
        await self._client.aclose()


class AsyncHttpx2(AsyncHttpx):
    """httpx2's."""

    def __init__(self, setup: Setup) -> None:
        import httpx2

        self._client = self.opened(httpx2, setup)


class AsyncHttpxRetries(AsyncHttpx):
    """With retries."""

    def opened(self, library: ModuleType, setup: Setup) -> Any:
        from httpx_retries import Retry, RetryTransport

        inner = library.AsyncHTTPTransport(**_options(library, setup))
        return library.AsyncClient(transport=RetryTransport(transport=inner, retry=Retry(total=2)), timeout=TIMEOUT)
