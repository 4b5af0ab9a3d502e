"""This library's own defaults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from rest_api_client import APIError, AsyncAPIClient, Request, Response
from rest_api_client.engines.scripted import ScriptedTransport
from rest_api_client.exceptions import ConnectError, DeadlineExceeded, ReadTimeout
from rest_api_client.http.headers import Headers
from rest_api_client.transport import Exchange
from tests.outage.crowd import Call, Library
from tests.outage.wire import TIMEOUT, URL, Refused, TimedOut, Wire, fields


class WireEngine:
    """An engine that sends over the wire of the rehearsal."""

    name = "simulated"
    capabilities = ScriptedTransport.capabilities

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """One attempt."""
        exchange.proof = True
        exchange.phase = "connect"
        try:
            answer = await self._wire.ask(exchange.limit(exchange.timeouts.read))
        except Refused as error:
            raise ConnectError("connection refused") from error
        except TimedOut as error:
            exchange.bytes_sent = 1
            if exchange.remaining == 0:
                raise DeadlineExceeded("the deadline passed") from error
            raise ReadTimeout(f"no byte of the answer for {TIMEOUT:g} s") from error
        exchange.bytes_sent = 1
        return Response(answer.status or 0, headers=Headers(fields(answer)), content=b"{}", request=request)

    async def aclose(self) -> None:
        """Nothing to close."""


def with_options(**options: Any) -> Library:
    """Our client with its defaults, and `options` on top."""

    @asynccontextmanager
    async def library(wire: Wire) -> AsyncIterator[Call]:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(_client(wire, number)) for number in range(wire.clients)]

            async def call(number: int) -> bool:
                try:
                    return (await clients[number].get(URL)).status_code == 200
                except APIError:
                    return False

            yield call

    def _client(wire: Wire, number: int) -> AsyncAPIClient:
        return AsyncAPIClient(
            engine=WireEngine(wire), timeout=TIMEOUT, clock=wire.clock, random=wire.seed * 1000 + number, **options
        )

    return library


ours = with_options()
