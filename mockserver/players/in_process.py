"""Scripts in process: a transport of `rest_api_client` whose server is a stage, without a socket.

    client = APIClient(base_url="http://stage", engine=MockServer(resources={"users": 5}).transport())

Deterministic, and in the time of the client's clock: with a virtual one an hour's outage is over in milliseconds. The
journal, the limits and the faults go by the same clock, which is that of the first client where several share a server
(give each a transport of its own). Timeouts are those that the client asked for, and a script ends as it does on a
socket (see `rest_api_client.engines.played`); what cannot be shown is a ConfigurationError that says so.

Every request is a connection of its own.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from mockserver.journal import Journal
from mockserver.seen import Seen
from mockserver.stage import MOST_BODY, Performance
from rest_api_client.engines.played import Play, check_playable
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.models import Request, Response
from rest_api_client.script import Refuse, Script
from rest_api_client.transport import ByteStream, Capability, Exchange

if TYPE_CHECKING:
    from rest_api_client.runtime import Runtime


class Staging(Protocol):
    """A stage, or one that may be replaced by a fresh one."""

    @property
    def lock(self) -> threading.Lock:
        """Held while it decides."""
        ...

    @property
    def journal(self) -> Journal:
        """What arrived."""
        ...

    def go_by(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        """Take the time from here, unless there is a clock."""
        ...

    def begin(self, head: Seen) -> Performance:
        """The head of a request has been received. The performance must be ended, whatever happens."""
        ...


class StageTransport:
    """A stage as an engine.

    Args:
        stage: what is served.

    Raises:
        ConfigurationError: from `bind`, when another client uses it; from `send`, for a script that needs a socket.
    """

    name = "mockserver"
    capabilities = frozenset(
        {
            Capability.SYNC,
            Capability.ASYNCIO,
            Capability.TRIO,
            Capability.STREAM_RESPONSE,
            Capability.STREAM_REQUEST,
            Capability.PHASE_TIMEOUTS,
            Capability.HARD_DEADLINE,
            Capability.ABORT,
            Capability.PROVES_UNSENT,
            Capability.REASON_PHRASE,
            Capability.PEER,
            Capability.FORK,
            Capability.VIRTUAL_TIME,
        }
    )

    def __init__(self, stage: Staging) -> None:
        self.stage = stage
        self._runtime: Runtime | None = None

    def bind(self, runtime: Runtime) -> StageTransport:
        """Serve this client from now on."""
        if self._runtime is not None and self._runtime is not runtime:
            raise ConfigurationError("this transport belongs to another client: make one per client")
        began = runtime.now()
        self.stage.go_by(lambda: runtime.now() - began, runtime.time)
        self._runtime = runtime
        return self

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Have the stage answer, and play its script up to the head.

        Raises:
            ConfigurationError: the script cannot be shown without a socket.
            TransportError: what the script makes of the request.
        """
        exchange.proof = True
        with self.stage.lock:
            performance = self.stage.begin(_seen(request))
        try:
            answer = await self._answer(request, exchange, performance)
        except BaseException:
            self._end(performance)
            raise
        assert answer.stream is not None  # `Play` gives one always
        answer.stream = _Followed(answer.stream, performance, self._end)
        return answer

    async def _answer(self, request: Request, exchange: Exchange, performance: Performance) -> Response:
        play = Play(exchange, self._runtime, on_answer=performance.answered)
        early = None if performance.wants_body else self._script(performance, b"")
        play.connect(request, early)
        body = await play.upload(request.body, performance.upload, early)
        performance.received(len(body))
        script = self._script(performance, body[: MOST_BODY + 1]) if early is None else early
        if isinstance(script.ending, Refuse):
            raise ConfigurationError("a connection cannot be refused once the request is there: decide on its head")
        return await play.answer(script, request)

    def _script(self, performance: Performance, body: bytes) -> Script:
        # One at a time: a stage is no more made for threads than a server's loop is.
        with self.stage.lock:
            script = performance.answer(body)
        check_playable(script)
        return script

    def _end(self, performance: Performance) -> None:
        with self.stage.lock:
            performance.ended()

    async def aclose(self) -> None:
        """Let go of the client: another may take the transport."""
        self._runtime = None

    def __repr__(self) -> str:
        return f"<StageTransport, {self.stage.journal.counts['requests']} asked>"


class _Followed:
    """A body, and the journal's entry that is closed with it."""

    def __init__(self, inner: ByteStream, performance: Performance, end: Callable[[Performance], None]) -> None:
        self._pieces = aiter(inner)
        self._inner = inner
        self._performance = performance
        self._end = end

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._pieces)
        except BaseException:
            self._end(self._performance)
            raise
        self._performance.sent(len(piece))
        return piece

    async def aclose(self) -> None:
        """Drop what was not read."""
        await self._inner.aclose()
        self._end(self._performance)


def _seen(request: Request) -> Seen:
    path, _, query = request.url.target.partition("?")
    host = () if "host" in request.headers else (("host", request.url.netloc),)
    fields = ((name.decode("ascii").lower(), value.decode("latin-1")) for name, value in request.headers.raw())
    return Seen(
        method=request.method,
        path=unquote(path),
        query=query,
        fields=(*host, *fields),
        scheme=request.url.scheme,
    )
