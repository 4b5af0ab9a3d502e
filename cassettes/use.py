"""use_cassette: a file, a mode, and an engine to give to clients.

    with use_cassette("login", mode="once") as cassette:
        client = APIClient(base_url="https://api.example.com", engine=cassette)

Nothing is patched: what does not have the engine is not recorded. One engine serves any number of clients, sync and
async; each is given a transport of its own. The modes are told in `cassettes.session`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cassettes.cassette import Cassette, Strictness
from cassettes.errors import CassetteError
from cassettes.limits import DEFAULT_LIMITS, Limits
from cassettes.matching import DEFAULT_MATCHING, Matching
from cassettes.recording import RecordingTransport
from cassettes.redaction import DEFAULT_REDACTION, Redaction
from cassettes.replay import ReplayTime, ReplayTransport
from cassettes.session import Mode, OnExpiry, Review, Session, path_of, resolved, show_and_replace
from rest_api_client.clock import SYSTEM
from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines import open_engine
from rest_api_client.exceptions import CapabilityError
from rest_api_client.models import Request, Response
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.transport import Capability, Exchange, Transport

if TYPE_CHECKING:
    from rest_api_client.runtime import Runtime


class CassetteEngine:
    """What `use_cassette` gives: an engine for clients.

    Attributes:
        cassette: what is played, and what was recorded so far.
        path: the file.
        mode: as it was resolved.
    """

    def __init__(
        self, cassette: Cassette, path: Path, mode: Mode, *, time: ReplayTime, inner: Any, connection: ConnectionOptions
    ) -> None:
        self.cassette = cassette
        self.path = path
        self.mode = mode
        self._replay = ReplayTransport(cassette, time=time)
        self._inner = inner
        self._connection = connection

    name = "cassette"
    capabilities = ReplayTransport.capabilities

    def bind(self, runtime: Runtime) -> Transport:
        """The transport of one client."""
        replay = self._replay.bind(runtime)
        if self.mode == "none":
            return replay
        inner = open_engine(
            self._inner,
            face="sync" if isinstance(runtime, SyncRuntime) else "async",
            options=self._connection,
            clock=runtime.clock,
        )
        if runtime.clock is not SYSTEM and Capability.VIRTUAL_TIME not in inner.capabilities:
            raise CapabilityError(
                f"mode={self.mode!r} records through {inner.name!r}, which waits for real sockets, on which a virtual "
                "clock would run ahead: record without clock=, then play with it"
            )
        recording = RecordingTransport(inner, self.cassette).bind(runtime)
        return _Mixed(replay, recording) if self.mode == "new" else recording

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Not without a client: raises CassetteError."""
        raise CassetteError("give the cassette to a client: APIClient(engine=cassette)")

    async def aclose(self) -> None:
        """Nothing to close: each client closes its own transport."""

    def __repr__(self) -> str:
        return f"<CassetteEngine {str(self.path)!r}, mode {self.mode!r}, {self.cassette!r}>"


class _Mixed:
    """What is recorded is played, the rest is recorded."""

    name = "cassette"

    def __init__(self, replay: ReplayTransport, recording: RecordingTransport) -> None:
        self._replay = replay
        self._recording = recording
        self.capabilities = recording.capabilities

    async def send(self, request: Request, exchange: Exchange) -> Response:
        """Play the recording, or record."""
        found = await self._replay.take(request, exchange, missing_ok=True)
        if isinstance(found, Response):
            return found
        exchange.proof, exchange.bytes_sent, exchange.phase = False, 0, "queued"
        return await self._recording.send(found, exchange)

    async def aclose(self) -> None:
        """Close the engine that records."""
        await self._recording.aclose()


@contextmanager
def use_cassette(
    name: str | Path,
    *,
    mode: Mode | None = None,
    folder: str | Path = "cassettes",
    inner: Any = "httpx",
    connection: ConnectionOptions | None = None,
    time: ReplayTime = "off",
    matching: Matching = DEFAULT_MATCHING,
    strictness: Strictness = "ordered",
    redaction: Redaction = DEFAULT_REDACTION,
    limits: Limits = DEFAULT_LIMITS,
    expires_after: timedelta | None = None,
    on_expiry: OnExpiry = "warn",
    timing: bool = True,
    record_on_error: bool = True,
    review: Review = show_and_replace,
) -> Iterator[CassetteEngine]:
    """An engine for clients that plays from a cassette, or records one; the file is written when the block ends.

    Args:
        name: of the cassette, in `folder`: any text, it never leads out of it; or a Path, taken as it is. Its end tells
            the form: .yaml (the default), .json, .jsonl.
        mode: "none", "once", "new", "all", "refresh"; None for `default_mode()`.
        folder: where cassettes with a name lie.
        inner: the engine that is recorded, as in a client: a name, a transport, or an httpx transport.
        connection: connection options of an inner engine that is given by name.
        time: "off", "virtual" or "real": whether pauses are played, and on what clock.
        matching: what of a request is compared.
        strictness: "ordered", "strict" or "last_stays".
        redaction: what counts as a secret.
        limits: of the file.
        expires_after: how old the recordings may be; files that do not tell their date do not expire.
        on_expiry: "warn", or "fail" with CassetteExpired. Nothing is ever recorded anew because of its age.
        timing: whether the moments of the answer and the pieces of its body are written.
        record_on_error: whether the file is written when the block ends in an exception.
        review: in mode "refresh", is shown the difference; the file is replaced where it says True.

    Raises:
        CassetteError: an option that cannot work; no file in mode "none"; a file that is no cassette; with
            strictness="strict", recordings that were never played.
        SecretFound: a secret would be written; the old file is still there.
    """
    path = path_of(name, folder)
    session = Session(
        path=path, mode=resolved(mode, path), matching=matching, strictness=strictness, redaction=redaction,
        limits=limits, expires_after=expires_after, on_expiry=on_expiry, timing=timing,
        record_on_error=record_on_error, review=review,
    )  # fmt: skip
    with session.opened() as cassette:
        yield CassetteEngine(
            cassette, path, session.mode, time=time, inner=inner, connection=connection or ConnectionOptions()
        )
