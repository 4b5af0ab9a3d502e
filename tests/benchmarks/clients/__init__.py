"""HTTP clients to compare: each does the same few things in its own words, as its documentation says.

A client is opened for a `Setup` and told whole URLs. What is common to all: all have the same limit of connections, and
keep them alive; an answer's JSON is parsed; a request may take 30 seconds; nothing is asked of the
environment but where a client does so by default. Modules are imported by the process that needs them only.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

TIMEOUT = 30.0
BLOCK = b"x" * 65536
BLOCKS = 1600
"""An upload: 100 MiB."""


@dataclass(frozen=True)
class Setup:
    """What a client is opened for.

    Attributes:
        connections: allowed at once, and kept alive.
        ca: a file with the certificate to trust, for https.
        http2: speak HTTP/2.
    """

    connections: int = 1
    ca: str | None = None
    http2: bool = False


class Client(Protocol):
    """A client that blocks."""

    def __init__(self, setup: Setup) -> None: ...

    def json(self, url: str) -> Any:
        """What the answer's JSON says."""

    def download(self, url: str) -> int:
        """The bytes of a body that is read as it comes, and let go."""

    def save(self, url: str) -> int:
        """The bytes of a file in which a body was saved."""

    def upload(self, url: str) -> int:
        """What the server says it got, of `blocks()`."""

    def close(self) -> None:
        """Let go of the connections."""


class AsyncClient(Protocol):
    """One for asyncio, opened inside a loop."""

    def __init__(self, setup: Setup) -> None: ...

    async def json(self, url: str) -> Any:
        """What the answer's JSON says."""

    async def close(self) -> None:
        """Let go of the connections."""


SYNC = {
    "raw socket": "bare_socket:BareSocket",
    "pyreqwest": "over_pyreqwest:Pyreqwest",
    "pyreqwest, head first": "over_pyreqwest:HeadFirst",
    "ours on pyreqwest, bare": "ours:BarePyreqwest",
    "ours on pyreqwest": "ours:FullPyreqwest",
    "httpx": "over_httpx:Httpx",
    "httpx + httpx-retries": "over_httpx:HttpxRetries",
    "ours on httpx, bare": "ours:BareHttpx",
    "ours on httpx": "ours:FullHttpx",
    "httpx2": "over_httpx:Httpx2",
    "ours on httpx2, bare": "ours:BareHttpx2",
    "ours on httpx2": "ours:FullHttpx2",
    "requests": "over_requests:Requests",
    "requests, trust_env off": "over_requests:RequestsAlone",
    "requests + Retry": "over_requests:RequestsRetry",
    "requests + Retry, trust_env off": "over_requests:RequestsRetryAlone",
    "niquests": "over_niquests:Niquests",
}
ASYNC = {
    "pyreqwest": "over_pyreqwest:AsyncPyreqwest",
    "pyreqwest, head first": "over_pyreqwest:AsyncHeadFirst",
    "ours on pyreqwest, bare": "ours:AsyncBarePyreqwest",
    "ours on pyreqwest": "ours:AsyncFullPyreqwest",
    "aiohttp": "over_aiohttp:Aiohttp",
    "aiohttp + aiohttp-retry": "over_aiohttp:AiohttpRetry",
    "httpx": "over_httpx:AsyncHttpx",
    "httpx + httpx-retries": "over_httpx:AsyncHttpxRetries",
    "ours on httpx, bare": "ours:AsyncBareHttpx",
    "ours on httpx": "ours:AsyncFullHttpx",
    "httpx2": "over_httpx:AsyncHttpx2",
    "ours on httpx2, bare": "ours:AsyncBareHttpx2",
    "ours on httpx2": "ours:AsyncFullHttpx2",
    "niquests": "over_niquests:AsyncNiquests",
}
"""Titles, for tables, and where each is."""


def chosen(titles: Iterable[str], *, quick: bool) -> list[str]:
    """All of them, or for a look only the plainest of each library."""
    return [title for title in titles if not quick or not any(mark in title for mark in ("+", "2", "niquests"))]


def find(title: str, *, asynchronous: bool) -> Any:
    """The class of a client, by its title."""
    module, _, name = (ASYNC if asynchronous else SYNC)[title].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


@contextmanager
def new_file() -> Iterator[Path]:
    """Where a file can be made; it goes in the end."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "body"


def blocks() -> Iterator[bytes]:
    """A body of 100 MiB, made as it is sent."""
    for _ in range(BLOCKS):
        yield BLOCK
