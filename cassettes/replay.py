"""ReplayTransport: an engine that answers from a cassette.

It plays scripts as the scripted transport does, and by the same player: each attempt takes the next recording that
matches it, with the same pieces of the same body, and ends in the same class of error where it failed. What a
recording says of time is left out (`off`), or lived through on the client's clock: a virtual one (`virtual`, which
insists on it) or whatever it has (`real`). A read timeout shorter than a recorded pause then ends in a `ReadTimeout`,
as it would have.

A complete answer is complete whatever its framing fields say: bodies that a filter shortened still arrive whole, and
the fields are shown as they were recorded. An attempt that the client gave up stays silent until it is given up again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from cassettes.errors import CassetteError, CassetteMiss
from cassettes.interaction import Interaction
from cassettes.tape import asked
from rest_api_client.clock import SYSTEM
from rest_api_client.engines.played import Play, check_playable
from rest_api_client.engines.scripted import ScriptedTransport
from rest_api_client.exceptions import APIError, ReadError
from rest_api_client.http.bodies import EMPTY, BytesBody, finish_both
from rest_api_client.http.framing import bodiless
from rest_api_client.http.headers import Headers
from rest_api_client.models import Request, Response
from rest_api_client.script import Chunk, Delay, Head, Reset, Script, Step, Throttle
from rest_api_client.transport import ByteStream, Exchange

if TYPE_CHECKING:
    from cassettes.cassette import Cassette
    from rest_api_client.runtime import Runtime

ReplayTime: TypeAlias = Literal["off", "virtual", "real"]
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})


class ReplayTransport:
    """Answers from `cassette`, for sync and async clients alike; never touches a network.

    Args:
        cassette: what was recorded. Several clients may play from one, each through a transport of its own.
        time: "off" leaves every pause out; "virtual" and "real" live through them on the client's clock.
        runtime: what it waits on. A client gives its own.

    Raises:
        CassetteError: time="virtual" in a client without a virtual clock, or no such time.
    """

    name = "cassette"
    capabilities = ScriptedTransport.capabilities

    def __init__(self, cassette: Cassette, *, time: ReplayTime = "off", runtime: Runtime | None = None) -> None:
        if time not in ("off", "virtual", "real"):
            raise CassetteError(f"time={time!r}: give 'off', 'virtual' or 'real'")
        if time == "virtual" and runtime is not None and runtime.clock is SYSTEM:
            raise CassetteError("time='virtual' needs a client with clock=VirtualClock(); 'real' waits on any clock")
        self.cassette = cassette
        self._time: ReplayTime = time
        self._runtime = runtime

    def bind(self, runtime: Runtime) -> ReplayTransport:
        """The same, waiting on this runtime."""
        return ReplayTransport(self.cassette, time=self._time, runtime=runtime)

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Play the recording that matches, up to its head.

        Raises:
            CassetteMiss: no recording matches; the message shows the nearest one.
            TransportError: what the recorded attempt ended in.
        """
        found = await self.take(request, exchange, missing_ok=False)
        assert isinstance(found, Response)  # it would have been a miss
        return found

    async def take(self, request: Request, exchange: Exchange, *, missing_ok: bool) -> Response | Request:
        """Like `send`; where a miss is no error, the request to send instead, its body read if it was needed."""
        exchange.proof = True
        play = Play(exchange, self._runtime)
        play.check()
        body = await play.upload(request.body, None, None) if self.cassette.reads_bodies else b""
        interaction = self.cassette.play(asked(request, body), missing_ok=missing_ok)
        if interaction is None:
            read = self.cassette.reads_bodies and not request.body.replayable
            return request.replace(body=BytesBody(body)) if read else request
        if interaction.failure is not None and interaction.failure.unsent:
            exchange.bytes_sent = 0
            await play.upload(EMPTY, None, None)
        else:
            play.connect(request, None)
            await play.upload(EMPTY if self.cassette.reads_bodies else request.body, None, None)
        return await self._perform(interaction, play, request)

    async def _perform(self, interaction: Interaction, play: Play, request: Request) -> Response:
        script = self._played(interaction, request)
        check_playable(script)
        try:
            response = await play.answer(script, request)
        except ReadError as error:
            raise _named(interaction, error, play.exchange) from None
        stream = response.stream
        if (head := interaction.head) is not None and response.headers.names != [name for name, _ in head.headers]:
            response.headers = Headers.received(
                [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers]
            )
        if stream is not None and not interaction.plain:
            response.stream = _NamedStream(stream, interaction, play.exchange)
        return response

    def _played(self, interaction: Interaction, request: Request) -> Script:
        """The script as the player is to have it; the recorded one itself where nothing need change."""
        script = interaction.script
        *steps, ending = script.steps
        broken = interaction.failure is not None or (interaction.abandoned and interaction.head is not None)
        if broken:
            ending = Reset()  # at once, and then called by its name
        if broken or (interaction.plain and not _is_framed(steps, request.method)):
            steps = [_unframed(step) if isinstance(step, Head) else step for step in steps]
        if self._time == "off":
            steps = [step for step in steps if type(step) is not Delay and type(step) is not Throttle]
        steps.append(ending)
        return script if steps == list(script.steps) else _checked_before(steps)

    async def aclose(self) -> None:
        """Let go of the client's runtime."""
        self._runtime = None

    def __repr__(self) -> str:
        return f"ReplayTransport({self.cassette!r})"


def _checked_before(steps: list[Step]) -> Script:
    """The script of steps that come from one: nothing about them needs to be looked at again."""
    script = object.__new__(Script)
    object.__setattr__(script, "steps", tuple(steps))
    return script


def _is_framed(steps: list[Step], method: str) -> bool:
    """Whether an answer says truly, by its length, where its body ends: the usual case."""
    head = next(step for step in steps if isinstance(step, Head))
    if bodiless(method, head.status):
        return False
    size = str(sum([len(step.data) for step in steps if type(step) is Chunk]))
    return [(name, value) for name, value in head.headers if name in _FRAMING] == [("content-length", size)]


def _unframed(head: Head) -> Head:
    return replace(head, headers=tuple(field for field in head.headers if field[0].lower() not in _FRAMING))


def _named(interaction: Interaction, error: ReadError, exchange: Exchange) -> APIError:
    """The reset in the player's words is, in the cassette's, what the attempt failed with."""
    if exchange.aborted or (interaction.failure is None and not interaction.abandoned):
        return error
    if interaction.failure is not None:
        return interaction.failure.exception()
    return CassetteMiss(
        f"{interaction.label}: the recording ends here, after {len(interaction.body)} bytes, because the client left "
        "the body there when it was recorded: record it again (mode='refresh')"
    )


class _NamedStream:
    """A body whose breaking is called what it was called when it was recorded."""

    def __init__(self, inner: ByteStream, interaction: Interaction, exchange: Exchange) -> None:
        self._inner = inner
        self._pieces = aiter(inner)
        self._interaction = interaction
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except ReadError as error:
            raise _named(self._interaction, error, self._exchange) from None

    async def aclose(self) -> None:
        """Close the body."""
        await finish_both(self._pieces, self._inner)
