"""The clients that meet the faults: this library on each engine, and others as they come, without retries.

Each answers a text: "200, 10 bytes", or the class of what was raised; of two requests both, joined by "; ".
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rest_api_client import APIClient, AsyncAPIClient
from rest_api_client.exceptions import APIError
from rest_api_client.transport import Timeouts
from tests.faults.rows import UPLOAD, Row
from tests.patience import HANGS

ENGINES: Final = ("httpx", "httpx2", "pyreqwest")
BRIEF: Final = 0.25
"""Seconds of patience with what never comes."""


@dataclass(frozen=True)
class Meeting:
    """Where a client meets a fault, and what it may trust."""

    row: Row
    url: str
    trust: ssl.SSLContext
    authority: Path

    @property
    def patience(self) -> float:
        return BRIEF if self.row.silent else HANGS

    @property
    def requests(self) -> list[tuple[str, dict[str, str], bytes | None]]:
        content = UPLOAD if self.row.method == "POST" else None
        fields = {"x-fault": self.row.fault} if self.row.fault else {}
        return [(self.row.method, fields, content), *[(self.row.method, {}, content)] * (self.row.asks - 1)]

    def ours(self, engine: str) -> dict[str, Any]:
        connect, read = (BRIEF if self.row.silent == what else HANGS for what in ("connect", "read"))
        brief = Timeouts(connect=connect, read=read, write=HANGS, pool=HANGS)
        return {
            "base_url": self.url, "engine": engine, "max_retries": 0, "timeout": brief, "deadline": 2 * HANGS,
            "verify": self.trust if engine != "pyreqwest" else str(self.authority),
        }  # fmt: skip


def _body(content: bytes | None) -> dict[str, Any]:
    return {} if content is None else {"content": content}


def told(status: int, body: bytes) -> str:
    return f"{status}, {len(body)} bytes"


def ours_sync(engine: str, meeting: Meeting) -> str:
    """This library without retries. A foreign exception is not caught: it is a defect."""
    seen = []
    with APIClient(**meeting.ours(engine)) as client:
        for method, fields, content in meeting.requests:
            try:
                response = client.request(method, "/text", headers=fields, **_body(content))
                seen.append(told(response.status_code, response.content))
            except APIError as error:
                seen.append(type(error).__name__)
    return "; ".join(seen)


def ours_async(engine: str, meeting: Meeting) -> str:
    """The same, awaited."""

    async def run() -> str:
        seen = []
        async with AsyncAPIClient(**meeting.ours(engine)) as client:
            for method, fields, content in meeting.requests:
                try:
                    response = await client.request(method, "/text", headers=fields, **_body(content))
                    seen.append(told(response.status_code, response.content))
                except APIError as error:
                    seen.append(type(error).__name__)
        return "; ".join(seen)

    return asyncio.run(run())


async def _each(meeting: Meeting, ask: Callable[[str, dict[str, str], bytes | None], Awaitable[str]]) -> str:
    return "; ".join([await _one(ask(*request)) for request in meeting.requests])


async def _one(asking: Awaitable[str]) -> str:
    try:
        return await asking
    except Exception as error:  # whatever a client raises is what the table is about
        return type(error).__name__


def httpx_like(package: str, meeting: Meeting) -> str:
    module = __import__(package)

    async def run() -> str:
        async with module.AsyncClient(timeout=meeting.patience, verify=meeting.trust, trust_env=False) as client:

            async def ask(method: str, fields: dict[str, str], content: bytes | None) -> str:
                response = await client.request(method, f"{meeting.url}/text", headers=fields, content=content)
                return told(response.status_code, response.content)

            return await _each(meeting, ask)

    return asyncio.run(run())


def with_aiohttp(meeting: Meeting) -> str:
    import aiohttp

    async def run() -> str:
        patience = aiohttp.ClientTimeout(sock_connect=meeting.patience, sock_read=meeting.patience)
        connector = aiohttp.TCPConnector(ssl=meeting.trust)
        async with aiohttp.ClientSession(timeout=patience, connector=connector) as session:

            async def ask(method: str, fields: dict[str, str], content: bytes | None) -> str:
                url = f"{meeting.url}/text"
                async with session.request(method, url, headers=fields, data=content) as response:
                    return told(response.status, await response.read())

            return await _each(meeting, ask)

    return asyncio.run(run())


def with_requests(meeting: Meeting) -> str:
    import requests

    with requests.Session() as session:
        session.trust_env = False

        async def ask(method: str, fields: dict[str, str], content: bytes | None) -> str:
            response = session.request(
                method, f"{meeting.url}/text", headers=fields, data=content, timeout=meeting.patience,
                verify=str(meeting.authority),
            )  # fmt: skip
            return told(response.status_code, response.content)

        return asyncio.run(_each(meeting, ask))


PEERS: Final[dict[str, Callable[[Meeting], str]]] = {
    "httpx": lambda meeting: httpx_like("httpx", meeting),
    "httpx2": lambda meeting: httpx_like("httpx2", meeting),
    "requests": with_requests,
    "aiohttp": with_aiohttp,
}
