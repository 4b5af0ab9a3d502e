"""vcr: the same cassettes for other HTTP libraries (requests, urllib3, aiohttp, httpx, botocore, tornado, httplib2).

    with vcr("login", mode="once"):
        requests.get("https://api.example.com/users")

vcrpy is beneath: it patches those libraries, and nobody knows them better. Which recording answers, what counts as a
secret, where the file lies and how it is written is this package's affair; so the files are the same, whoever wrote
them. What vcrpy cannot do stays undone: it hands on only whole answers, so that failures are neither recorded nor
played here, and a stream arrives at its end.

Its patches are the whole process's. A second block may stand inside the first; one that overlaps it from another thread
or task is refused, since each would record what is the other's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any

from cassettes.cassette import Cassette, Strictness
from cassettes.errors import CassetteError
from cassettes.limits import DEFAULT_LIMITS, Limits
from cassettes.matching import DEFAULT_MATCHING, Matching
from cassettes.redaction import DEFAULT_REDACTION, Redaction
from cassettes.session import Mode, OnExpiry, Review, Session, path_of, resolved, show_and_replace

_open: list[Cassette] = []
_innermost: ContextVar[Cassette | None] = ContextVar("innermost", default=None)


@contextmanager
def vcr(
    name: str | Path,
    *,
    mode: Mode | None = None,
    folder: str | Path = "cassettes",
    matching: Matching = DEFAULT_MATCHING,
    strictness: Strictness = "ordered",
    redaction: Redaction = DEFAULT_REDACTION,
    limits: Limits = DEFAULT_LIMITS,
    expires_after: timedelta | None = None,
    on_expiry: OnExpiry = "warn",
    record_on_error: bool = True,
    review: Review = show_and_replace,
    ignore_hosts: Collection[str] = (),
) -> Iterator[Cassette]:
    """A cassette that plays to, and records, every HTTP library that vcrpy knows, as long as the block lasts.

    The options are those of `use_cassette`; a file that one of them wrote plays with the other.

    Args:
        ignore_hosts: hosts whose requests go through, neither played nor recorded.

    Raises:
        CassetteError: as `use_cassette`; vcrpy is not installed; or another thread or task has such a block open.
        CassetteMiss: from the library's own call, where no recording answers it.
    """
    path = path_of(name, folder)
    chosen = resolved(mode, path)
    session = Session(
        path=path, mode=chosen, matching=matching, strictness=strictness, redaction=redaction, limits=limits,
        expires_after=expires_after, on_expiry=on_expiry, timing=True, record_on_error=record_on_error, review=review,
        answers_only=True,
    )  # fmt: skip
    patched = _patched()
    if _open and _innermost.get() is not _open[-1]:
        raise CassetteError(
            "another thread or task has a vcr() block open, and vcrpy patches the whole process: open one at a time, "
            "or use use_cassette(), which patches nothing"
        )
    with session.opened() as cassette:
        _open.append(cassette)
        token = _innermost.set(cassette)
        try:
            with patched(cassette, path, chosen, frozenset(ignore_hosts)):
                yield cassette
        finally:
            _open.remove(cassette)
            _innermost.reset(token)


def _patched() -> Any:
    try:
        from cassettes.vcr_cassette import patched
    except ModuleNotFoundError as error:
        raise CassetteError("vcr() needs vcrpy: pip install 'rest-api-client-kit[vcr]'") from error
    return patched
