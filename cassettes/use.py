"""use_cassette: a file, a mode, and an engine to give to clients.

    with use_cassette("login", mode="once") as cassette:
        client = APIClient(base_url="https://api.example.com", engine=cassette)

    none      play; a request that was not recorded is an error. The default where the variable CI is set
    once      record where there is no file yet, else as none. The default elsewhere
    new       play what is recorded, record the rest behind it
    all       record everything, in the place of what was there
    refresh   as all; but what has changed is shown before the file is replaced

Nothing is patched: what does not have the engine is not recorded. One engine serves any number of clients, sync and
async; each is given a transport of its own.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cassettes import files, lines, scan
from cassettes.cassette import Cassette, Strictness
from cassettes.compare import compared
from cassettes.errors import CassetteError, CassetteExpired
from cassettes.interaction import Interaction
from cassettes.limits import DEFAULT_LIMITS, Limits
from cassettes.matching import DEFAULT_MATCHING, Matching
from cassettes.names import SUFFIXES, cassette_path
from cassettes.recording import RecordingTransport
from cassettes.redaction import DEFAULT_REDACTION, Redaction, Vault
from cassettes.replay import ReplayTime, ReplayTransport
from rest_api_client.clock import SYSTEM
from rest_api_client.connection import ConnectionOptions
from rest_api_client.engines import open_engine
from rest_api_client.exceptions import CapabilityError
from rest_api_client.runtimes.sync import SyncRuntime
from rest_api_client.transport import Capability, Exchange, Transport

if TYPE_CHECKING:
    from rest_api_client.models import Request, Response
    from rest_api_client.runtime import Runtime

Mode: TypeAlias = Literal["none", "once", "new", "all", "refresh"]
MODES = ("none", "once", "new", "all", "refresh")


def default_mode() -> Mode:
    """ "none" where the environment variable CI is set, else "once"."""
    return "none" if os.environ.get("CI", "").lower() not in {"", "0", "false"} else "once"


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
        self._time: ReplayTime = time
        self._inner = inner
        self._connection = connection

    name = "cassette"
    capabilities = ReplayTransport.capabilities

    def bind(self, runtime: Runtime) -> Transport:
        """The transport of one client."""
        replay = ReplayTransport(self.cassette, time=self._time).bind(runtime)
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
        if found is not None:
            return found
        exchange.proof, exchange.bytes_sent, exchange.phase = False, 0, "queued"
        return await self._recording.send(request, exchange)

    async def aclose(self) -> None:
        """Close the engine that records."""
        await self._recording.aclose()


def show_and_replace(difference: str) -> bool:
    """Write what a refresh changes to standard error, and agree."""
    sys.stderr.write(difference)
    return True


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
    on_expiry: Literal["warn", "fail"] = "warn",
    timing: bool = True,
    record_on_error: bool = True,
    review: Callable[[str], bool] = show_and_replace,
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
    path = _path(name, folder)
    chosen = _mode(mode, path)
    old, about = files.load(path, limits) if path.exists() else ([], {})
    _check_age(path, about, expires_after, on_expiry)
    playable = old if chosen in {"none", "new"} else []
    cassette = Cassette(playable, matching=matching, strictness=strictness, about=about)
    engine = CassetteEngine(
        cassette, path, chosen, time=time, inner=inner, connection=connection or ConnectionOptions()
    )
    saving = _Saving(path, chosen, old, cassette, redaction, limits, timing, review)
    try:
        yield engine
    except BaseException:
        if record_on_error:
            saving.save()
        raise
    saving.save()
    if strictness == "strict" and cassette.unplayed:
        left = cassette.unplayed
        raise CassetteError(
            f"{path}: {len(left)} of {len(cassette.interactions)} recordings were never played (strictness='strict'): "
            + "; ".join(each.label for each in left[:5])
        )


def _path(name: str | Path, folder: str | Path) -> Path:
    if isinstance(name, Path):
        files.check_suffix(name)
        return name
    suffix = next((each for each in SUFFIXES if str(name).lower().endswith(each)), "")
    return cassette_path(folder, name[: len(name) - len(suffix)] if suffix else name, suffix or ".yaml")


def _mode(mode: Mode | None, path: Path) -> Mode:
    mode = default_mode() if mode is None else mode
    if mode not in MODES:
        raise CassetteError(f"mode={mode!r}: give one of {', '.join(MODES)}")
    if mode == "none" and not path.exists():
        raise CassetteError(f"{path} is not there, and mode='none' records nothing: record it with mode='once'")
    if mode == "once":
        return "none" if path.exists() else "all"
    return mode


def _check_age(path: Path, about: dict[str, Any], limit: timedelta | None, action: str) -> None:
    if action not in ("warn", "fail"):
        raise CassetteError(f"on_expiry={action!r}: give 'warn' or 'fail'")
    age = recorded_age(about)
    if limit is None or age is None or age <= limit:
        return
    words = f"{path} was recorded {age.days} days ago, and may be {limit.days} days old: mode='refresh' records it anew"
    if action == "fail":
        raise CassetteExpired(words)
    warnings.warn(CassetteExpired(words), stacklevel=5)


def recorded_age(about: dict[str, Any]) -> timedelta | None:
    """How long ago a cassette says it was recorded; None where it does not tell."""
    try:
        then = datetime.fromisoformat(str(about["recorded"]))
    except (KeyError, ValueError):
        return None
    now = datetime.fromtimestamp(SYSTEM.time(), UTC)
    return now - (then if then.tzinfo else then.replace(tzinfo=UTC))


class _Saving:
    """What becomes of the recordings when the block ends."""

    def __init__(
        self,
        path: Path,
        mode: Mode,
        old: list[Interaction],
        cassette: Cassette,
        redaction: Redaction,
        limits: Limits,
        timing: bool,
        review: Callable[[str], bool],
    ) -> None:
        self._path, self._mode, self._old, self._cassette = path, mode, old, cassette
        self._redaction, self._limits, self._timing, self._review = redaction, limits, timing, review

    def save(self) -> None:
        """Write what was recorded, if anything."""
        recorded = self._cassette.recorded
        if self._mode == "none" or not recorded:
            return
        kept = self._old if self._mode == "new" else []
        clean = clean_interactions([*kept, *recorded], self._redaction, self._path, self._cassette.bindings.known())
        if self._mode == "refresh" and self._old:
            difference = compared(self._old, clean, str(self._path))
            if not difference or not self._review(difference):
                return
        if kept and self._path.suffix == ".jsonl":
            added = lines.write_lines(clean[len(kept) :], {}, first=len(kept), timing=self._timing)
            files.append(self._path, added, self._limits)
            return
        about = dict(self._cassette.about) if kept else {}
        if self._timing:
            about.setdefault("recorded", datetime.fromtimestamp(SYSTEM.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        files.replace(self._path, files.render(clean, about, self._path.suffix, timing=self._timing), self._limits)


def clean_interactions(
    interactions: list[Interaction], redaction: Redaction, path: object, bound: dict[str, str] | None = None
) -> list[Interaction]:
    """The interactions without their secrets, looked through once more.

    Raises:
        SecretFound: one is left.
    """
    vault = Vault(redaction, bound)
    clean = vault.scrubbed(interactions)
    scan.check(clean, vault.secrets() or redaction.known(), path)
    return clean
