"""ScriptedTransport: an engine without a socket, whose servers play scripts.

    engine = ScriptedTransport([Script(Reset()), respond(200, json={"id": 7})])
    client = APIClient(base_url="https://api.test", engine=engine)

Each request is answered by the next script, in the time of the client's clock; what a client meets there, and what
cannot be shown, is told in `played`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from rest_api_client.engines.played import Play, check_playable
from rest_api_client.exceptions import ConfigurationError, ConnectError
from rest_api_client.http.headers import Headers, HeaderTypes
from rest_api_client.http.serializers import JSON_SERIALIZER
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.script import Chunk, Delay, End, Head, Script, Upload
from rest_api_client.transport import Capability, Exchange
from rest_api_client.typing import UNSET, JSONValue

if TYPE_CHECKING:
    from rest_api_client.runtime import Runtime

Answer: TypeAlias = Callable[[Request, int], Script]
"""(request, how many requests came before it) -> what the server does."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as the scripted server saw it.

    Attributes:
        request: as the transport was given it.
        body: its bytes, read to the end; empty where the connection was refused.
        at: when its last byte arrived, in the clock's monotonic seconds.
        script: what it was answered with.
    """

    request: Request
    body: bytes
    at: float
    script: Script


def respond(
    status: int = 200,
    *,
    json: JSONValue = UNSET,
    content: bytes | str = b"",
    headers: HeaderTypes | None = None,
    delay: float = 0.0,
) -> Script:
    """The script of an ordinary answer, after `delay` seconds.

    Raises:
        ConfigurationError: both `json` and `content`, or a status that has not three digits.
    """
    fields = Headers(headers)
    body = content.encode() if isinstance(content, str) else content
    if json is not UNSET:
        if body:
            raise ConfigurationError("respond(json=..., content=...): a response has one body; give one of them")
        body = JSON_SERIALIZER.dumps(json)
        fields.setdefault("content-type", JSON_SERIALIZER.content_type)
    wait = (Delay(delay),) if delay else ()
    return Script(*wait, Head(status, tuple(fields.multi_items())), *((Chunk(body),) if body else ()), End())


class ScriptedTransport:
    """Answers requests with scripts, for sync and async clients alike.

    Args:
        scripts: one script for every request; or several, each for one request, in turn; or a callable
            `(request, index) -> Script`.
        runtime: what it waits on. A client gives its own (`bind`); without any, only scripts that need no waiting can
            be played.

    `requests` lists what was asked of it, oldest first. A client's threads may share it.

    Raises:
        ConfigurationError: something in `scripts` is no Script.
    """

    name = "scripted"
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

    def __init__(self, scripts: Script | Iterable[Script] | Answer, *, runtime: Runtime | None = None) -> None:
        self._answer = _answers(scripts)
        self._runtime = runtime
        self._lock = threading.Lock()
        self._asked = 0
        self.requests: list[Arrival] = []

    def bind(self, runtime: Runtime) -> ScriptedTransport:
        """Wait on this runtime from now on.

        Raises:
            ConfigurationError: another client uses this transport and was not closed.
        """
        if self._runtime is not None and self._runtime is not runtime:
            raise ConfigurationError("this ScriptedTransport belongs to another client: make one per client")
        self._runtime = runtime
        return self

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Play the next script up to its head.

        Raises:
            ConfigurationError: no script is left, or the script cannot be played.
            TransportError: what the script makes of the request.
        """
        exchange.proof = True
        script = self._next(request)
        check_playable(script)
        play = Play(exchange, self._runtime)
        try:
            play.connect(request, script)
        except ConnectError:
            self._note(request, b"", exchange, script)
            raise
        first = script.steps[0]
        body = await play.upload(request.body, first.bytes_per_second if isinstance(first, Upload) else None, script)
        self._note(request, body, exchange, script)
        return await play.answer(script, request)

    async def aclose(self) -> None:
        """Let go of the client's runtime: another client may use this transport now."""
        self._runtime = None

    def _next(self, request: Request) -> Script:
        with self._lock:
            index, self._asked = self._asked, self._asked + 1
            script = self._answer(request, index)
        if not isinstance(script, Script):
            raise ConfigurationError(f"request {index + 1}: the callable gave {script!r}, which is no Script")
        return script

    def _note(self, request: Request, body: bytes, exchange: Exchange, script: Script) -> None:
        with self._lock:
            self.requests.append(Arrival(request, body, exchange.clock.monotonic(), script))

    def __repr__(self) -> str:
        return f"<ScriptedTransport, {self._asked} asked>"


def _answers(scripts: Script | Iterable[Script] | Answer) -> Answer:
    if isinstance(scripts, Script):
        return lambda request, index: scripts
    if callable(scripts):
        return scripts
    if not isinstance(scripts, Iterable):
        raise ConfigurationError(
            f"scripts={scripts!r}: give a Script, several, or a callable (request, index) -> Script"
        )
    listed = list(scripts)
    for place, script in enumerate(listed, 1):
        if not isinstance(script, Script):
            raise ConfigurationError(f"script {place} is {script!r}: give a Script, for example respond(200)")

    def answer(request: Request, index: int) -> Script:
        if index >= len(listed):
            raise ConfigurationError(
                f"{request.label} is request {index + 1}, and {len(listed)} scripts were given: "
                "add one, or give a callable"
            )
        return listed[index]

    return answer
