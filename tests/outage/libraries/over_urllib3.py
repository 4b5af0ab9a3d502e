"""urllib3, which blocks: each call runs in a greenlet, and where it would wait, the loop goes on with others.

`_make_request`, the method that would put a request on the socket, is the only one overridden; retries, back-off and
the handling of answers and errors are urllib3's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

import urllib3
import urllib3.util.retry
from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # it ships none
from urllib3 import HTTPConnectionPool, HTTPResponse, Retry
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from tests.outage.crowd import Call, Library
from tests.outage.wire import TIMEOUT, Refused, TimedOut, Wire, fields

T = TypeVar("T")


async def in_greenlet(function: Callable[[], T]) -> T:
    """Call a function that blocks by `block_on`."""
    child: Any = greenlet(function)
    step = child.switch()
    while not child.dead:
        try:
            value = await step
        except BaseException as error:  # it belongs to the function, which is raised in
            step = child.throw(error)
        else:
            step = child.switch(value)
    result: T = step
    return result


def block_on(awaitable: Awaitable[T]) -> T:
    """Inside `in_greenlet`: wait for `awaitable`."""
    parent: Any = getcurrent().parent
    result: T = parent.switch(awaitable)
    return result


class WirePool(HTTPConnectionPool):
    """A pool whose connections lead over the wire of the rehearsal."""

    wire: Wire

    def _make_request(  # type: ignore[override]  # all but four arguments in `options`
        self, conn: Any, method: str, url: str, **options: Any
    ) -> HTTPResponse:
        """One attempt."""
        timeout = options["timeout"].read_timeout
        try:
            answer = block_on(self.wire.ask(timeout))
        except Refused as error:
            raise NewConnectionError(conn, "connection refused") from error
        except TimedOut as error:
            raise ReadTimeoutError(self, url, f"Read timed out. (read timeout={timeout})") from error
        response = HTTPResponse(
            b"{}", fields(answer), answer.status or 0, request_method=method, retries=options["retries"]
        )
        response.read()
        return response


def _per_client(retries: Callable[[], Retry | None]) -> Library:
    """One pool per client of the crowd."""

    @asynccontextmanager
    async def library(wire: Wire) -> AsyncIterator[Call]:
        pools = [_pool(wire, retries()) for _ in range(wire.clients)]

        async def call(number: int) -> bool:
            try:
                return (await in_greenlet(lambda: pools[number].request("GET", "/things"))).status == 200
            except HTTPError:
                return False

        times = SimpleNamespace(sleep=lambda seconds: block_on(asyncio.sleep(seconds)), time=wire.clock.time)
        with patch.object(urllib3.util.retry, "time", times):
            yield call
        for pool in pools:
            pool.close()

    return library


def _pool(wire: Wire, retries: Retry | None) -> WirePool:
    pool = WirePool("api.test", maxsize=10, timeout=urllib3.Timeout(connect=TIMEOUT, read=TIMEOUT), retries=retries)
    pool.wire = wire
    return pool


def no_argument() -> None:
    return None


def usual_retry() -> Retry:
    return Retry(total=3, backoff_factor=0.5, status_forcelist=[429, 500, 502, 503, 504])


urllib3_default = _per_client(no_argument)
urllib3_usual = _per_client(usual_retry)
