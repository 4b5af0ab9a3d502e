"""What vcrpy's patches see of a cassette: a cassette of vcrpy that holds nothing itself.

A patched library asks whether a request can be played, and then has it played, or sends it and appends the answer. Here
the first question decides: it takes a recording, which belongs to that request object from then on, or reserves the
place at which its answer will stand. So two threads never share a recording, and what runs concurrently is recorded in
the order in which it began.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vcr.cassette import Cassette as VcrCassette  # type: ignore[import-untyped]
from vcr.persisters.filesystem import CassetteNotFoundError  # type: ignore[import-untyped]

from cassettes.cassette import Cassette
from cassettes.interaction import Asked, Interaction
from cassettes.session import Mode
from cassettes.vcr_form import read_answer, read_asked, write_answer
from rest_api_client.clock import SYSTEM
from rest_api_client.http.redaction import redact_url


@contextmanager
def patched(cassette: Cassette, path: Path, mode: Mode, ignored: frozenset[str]) -> Iterator[None]:
    """Every library that vcrpy knows plays from this cassette, and records on it."""
    with _Beneath.use(path=str(path), persister=_NoFile, ours=cassette, mode=mode, ignored=ignored), _masked_log():
        yield


class _NoFile:
    """vcrpy has nothing to load or to save: the file is not its affair."""

    @staticmethod
    def load_cassette(path: str, serializer: Any) -> Any:
        raise CassetteNotFoundError


class _Slot:
    """The place of an answer that is on its way."""

    def __init__(self, asked: Asked, started: float) -> None:
        self._asked = asked
        self._started = started
        self._response: dict[str, Any] | None = None

    @property
    def void(self) -> bool:
        """Whether no answer came."""
        return self._response is None

    def fill(self, response: dict[str, Any]) -> None:
        """This is the answer."""
        self._response = response

    def interaction(self) -> Interaction:
        """What was asked and answered."""
        assert self._response is not None
        return Interaction(self._asked, read_answer(self._response), started=self._started)


class _Beneath(VcrCassette):  # type: ignore[misc]
    """A cassette as vcrpy's patches use it."""

    def __init__(self, path: str, persister: Any, ours: Cassette, mode: Mode, ignored: frozenset[str]) -> None:
        super().__init__(path, persister=persister)
        self._ours = ours
        self._mode = mode
        self._ignored = ignored

    @property
    def write_protected(self) -> bool:
        """Never: a request that may not be sent was a miss before this is asked."""
        return False

    def can_play_response_for(self, request: Any) -> bool:
        """Whether a recording answers the request; it is the request's own from now on.

        Raises:
            CassetteMiss: none does, and nothing may be recorded.
        """
        if request.host in self._ignored:
            return False
        if not hasattr(request, "recording"):
            request.recording = self._recording_for(request)
        return isinstance(request.recording, Interaction)

    def _recording_for(self, request: Any) -> Interaction | _Slot:
        asked = _asked(request)
        if self._mode in {"none", "new"}:
            found = self._ours.play(asked, missing_ok=self._mode == "new")
            if found is not None:
                return found
        return self._reserved(asked)

    def _reserved(self, asked: Asked) -> _Slot:
        slot = _Slot(asked, self._ours.elapsed(SYSTEM))
        self._ours.reserve(slot)
        return slot

    def play_response(self, request: Any) -> dict[str, Any]:
        """The recorded answer, in vcrpy's form."""
        return write_answer(request.recording)

    def append(self, request: Any, response: dict[str, Any]) -> None:
        """Keep the answer, in the place that the request has; a hop of a redirect comes unannounced, and last."""
        if request.host in self._ignored:
            return
        slot = getattr(request, "recording", None)
        if not isinstance(slot, _Slot):
            slot = self._reserved(_asked(request))
        slot.fill({**response, "headers": {k: list(v) for k, v in response["headers"].items()}})

    def find_requests_with_most_matches(self, request: Any) -> list[Any]:
        """The request itself: the hop of a redirect is looked up as every other request is."""
        return [(request, [], [])]


def _asked(request: Any) -> Asked:
    body = request.body  # of a file or an iterator a new one each time
    if hasattr(body, "read"):
        body = body.read()
    elif isinstance(body, Iterator):
        body = list(body)
    elif not isinstance(body, bytes | bytearray | str | dict | list | tuple):
        body = None  # a form of aiohttp's, which vcrpy does not open either
    return read_asked({"method": request.method, "uri": request.uri, "headers": request.headers, "body": body})


@contextmanager
def _masked_log() -> Iterator[None]:
    """vcrpy's log lines show URLs: meanwhile without their secrets."""
    known = logging.root.manager.loggerDict.items()
    loggers = [each for name, each in known if name.startswith("vcr.") and isinstance(each, logging.Logger)]
    for logger in loggers:
        logger.addFilter(_mask)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_mask)


def _mask(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact_url(record.getMessage()), None
    return True
