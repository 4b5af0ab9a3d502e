"""An engine that breaks where it is told to, and that knows what it was not given back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from rest_api_client.context import Context
from rest_api_client.engines.scripted import Answer, ScriptedTransport
from rest_api_client.exceptions import ConnectError, ReadError, RemoteProtocolError
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.script import Script
from rest_api_client.transport import ByteStream, Exchange
from rest_api_client.typing import Proceed


class OddError(Exception):
    """An error that is none of ours."""


class OddInterrupt(BaseException):
    """What Ctrl-C would be: more than an Exception."""


@dataclass(frozen=True)
class Fault:
    """What the engine does at one of its I/O points."""

    at: int
    kind: type[BaseException]

    @property
    def foreign(self) -> bool:
        """Whether a caller may be given this very error."""
        return self.kind in {OddError, OddInterrupt}


FAULTS: Final = (ReadError, ConnectError, RemoteProtocolError, OddError, OddInterrupt)


class Body:
    """A body that knows whether it was given back."""

    def __init__(self, engine: Engine, stream: ByteStream) -> None:
        self._engine = engine
        self._stream = stream
        self._chunks = aiter(stream)
        self._closed = False
        self.open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            self._engine.point("chunk")
            return await anext(self._chunks)
        except BaseException:
            self.open = False  # the end, or what no connection survives
            raise

    async def aclose(self) -> None:
        """Give it back; the first time, that may fail, too."""
        await self._stream.aclose()
        if not self._closed:
            self.open, self._closed = False, True
            await self._engine.rest()
            self._engine.point("close")


class Engine(ScriptedTransport):
    """A scripted server on a wire that breaks where it is told to."""

    def __init__(self, server: Answer | Script, fault: Fault | None = None) -> None:
        super().__init__(server)
        self._fault = fault
        self.live = False
        self.io = 0
        self.sending = 0
        self.bodies: list[Body] = []

    def point(self, where: str) -> None:
        """An I/O point: fail here, or not."""
        if not self.live:
            return
        self.io += 1
        fault = self._fault
        if fault is not None and self.io == fault.at and (fault.kind is not ConnectError or where == "connect"):
            raise fault.kind(f"the wire broke at I/O {self.io} ({where})")

    async def rest(self) -> None:
        """A moment in which a call can be cut, where an engine does not shield its closing."""
        if self._runtime is not None:
            await self._runtime.sleep(0)

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Send, between two points."""
        self.sending += 1
        try:
            exchange.proof = True
            self.point("connect")
            response = await super().send(request, exchange)
            assert response.stream is not None
            try:
                self.point("head")
            except BaseException:
                await response.stream.aclose()
                raise
        finally:
            self.sending -= 1
        response.stream = body = Body(self, response.stream)
        self.bodies.append(body)
        return response


@dataclass
class Pass:
    """One attempt as it was seen from just above authentication and the engine."""

    context: Context
    origin: str
    status: int | None = None
    error: BaseException | None = None
    in_time: bool = True

    @property
    def reached(self) -> bool:
        """Whether the server may have had it."""
        exchange = self.context.exchange
        assert exchange is not None
        return exchange.handed_over and not exchange.unsent


@dataclass(frozen=True)
class Spy:
    """Writes down each attempt that the policies above let pass."""

    passes: list[Pass]
    stage = Stage.ATTEMPT_MIDDLEWARE

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Hand on, and remember how it ended."""
        seen = Pass(context, str(request.url.origin))
        self.passes.append(seen)
        try:
            response = await proceed(request, context)
            seen.status = response.status_code
        except BaseException as error:
            seen.error, seen.in_time = error, context.remaining != 0
            raise
        return response
