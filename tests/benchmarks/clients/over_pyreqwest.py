"""pyreqwest without anything round it: requests are built, sent and parsed in Rust."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from pyreqwest.client import ClientBuilder, SyncClientBuilder

from tests.benchmarks.clients import BLOCK, TIMEOUT, Setup, blocks, new_file


def _built(builder: Any, setup: Setup) -> Any:
    builder = builder.timeout(timedelta(seconds=TIMEOUT)).max_connections(setup.connections)
    if setup.ca:
        builder = builder.add_root_certificate_pem(Path(setup.ca).read_bytes())
    return (builder if setup.http2 else builder.http1_only()).build()


class Pyreqwest:
    """A sync client."""

    def __init__(self, setup: Setup) -> None:
        self._client = _built(SyncClientBuilder(), setup)

    def json(self, url: str) -> Any:
        return self._client.get(url).build().send().json()

    def download(self, url: str) -> int:
        with self._client.get(url).build_streamed() as response:
            reader, size = response.body_reader, 0
            while (piece := reader.read_chunk()) is not None:
                size += len(piece)
            return size

    def save(self, url: str) -> int:
        with new_file() as path:
            with self._client.get(url).build_streamed() as response, path.open("wb") as file:
                reader = response.body_reader
                while (piece := reader.read_chunk()) is not None:
                    file.write(piece)
            return path.stat().st_size

    def upload(self, url: str) -> int:
        return int(self._client.post(url).body_stream(blocks()).build().send().json()["number"])

    def close(self) -> None:
        self._client.close()


class HeadFirst(Pyreqwest):
    """The same, asked for what a client needs that judges an answer before it takes the body: see `_asked`."""

    def json(self, url: str) -> Any:
        with _asked(self._client.get(url)) as response:
            return _judged(response).json()


class AsyncPyreqwest:
    """An async client."""

    def __init__(self, setup: Setup) -> None:
        self._client = _built(ClientBuilder(), setup)

    async def json(self, url: str) -> Any:
        return await (await self._client.get(url).build().send()).json()

    async def close(self) -> None:
        await self._client.close()


class AsyncHeadFirst(AsyncPyreqwest):
    """The same, as `HeadFirst` does it."""

    async def json(self, url: str) -> Any:
        async with _asked(self._client.get(url)) as response:
            return await _judged(response).json()


def _asked(builder: Any) -> Any:
    """The head by itself, with as much of the body as has come; and a time for this request alone."""
    return builder.streamed_read_buffer_limit(len(BLOCK)).timeout(timedelta(seconds=TIMEOUT)).build_streamed()


def _judged(response: Any) -> Any:
    """The answer, if its status and fields let it pass."""
    fields = response.headers.items()
    if response.status >= 400 or not fields:
        raise ValueError(response.status)
    return response
