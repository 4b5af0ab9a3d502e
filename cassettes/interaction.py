"""One attempt as it is kept: what was asked, and the script of what came of it.

Whatever an attempt ends in has a script: an answer, a reset, silence. Two things about a failure no script tells:
under which name the client met it (a connect timeout and a DNS error both are "no answer"), and whether it was proved
that the server saw nothing. They stand beside it as a `Failure`. Its name comes from a closed table, so that a file
can never name a class to import.

An attempt that the client itself gave up (a hedge that lost, a cancelled task, a stream left early) is `abandoned`: the
server was never heard to the end, and what it would have said is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from itertools import chain
from typing import TypeAlias

from cassettes.errors import CassetteError
from rest_api_client import exceptions
from rest_api_client.exceptions import APIError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.script import Chunk, Delay, End, Head, Script

Fields: TypeAlias = tuple[tuple[str, str], ...]

_NAMED = (
    "TransportError", "ConnectError", "NameResolutionError", "TLSError", "ProxyError", "ReadError", "WriteError",
    "RemoteProtocolError", "RequestTimeout", "ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout",
    "DeadlineExceeded",
)  # fmt: skip
FAILURES: dict[str, type[APIError]] = {name: getattr(exceptions, name) for name in _NAMED}
"""The errors an attempt can be recorded with, by name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it is kept and compared.

    Attributes:
        method: as sent.
        uri: absolute, encoded.
        headers: names in lower case.
        body: whole, however it was sent.
    """

    method: str
    uri: str
    headers: Fields = ()
    body: bytes = b""

    def __repr__(self) -> str:
        """Without its headers and its body, which may hold credentials: a traceback shows arguments."""
        from rest_api_client.http.redaction import redact_url

        return f"<Asked {self.method} {redact_url(self.uri)}>"

    def header(self, name: str) -> str | None:
        """The first value of a field, its name in lower case; None where there is none."""
        return next((value for key, value in self.headers if key == name), None)


def check_text(asked: Asked) -> None:
    """Raises TypeError or ValueError where a part of a request that was read is no text, or half of a character."""
    "".join((asked.method, asked.uri, *chain.from_iterable(asked.headers))).encode()


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed.

    Attributes:
        error: a name of `FAILURES`.
        unsent: it was proved that the server did not act on the request.
    """

    error: str
    unsent: bool = False

    def __post_init__(self) -> None:
        if self.error not in FAILURES:
            raise CassetteError(f"{self.error!r} is no failure a cassette knows: {', '.join(FAILURES)}")
        if type(self.unsent) is not bool:
            raise CassetteError(f"Failure(unsent={self.unsent!r}): give True or False")

    def exception(self) -> APIError:
        """The error, as the client met it."""
        return FAILURES[self.error](f"{self.error}, as it was recorded")


@dataclass(slots=True)
class Interaction:
    """A request, and what came of it.

    Attributes:
        asked: the request.
        told: the script, or what makes it once it is needed: of a long cassette few are.
        failure: how it failed, where it did.
        abandoned: the client stopped listening before the script was over.
        started: seconds after the recording began.
        source: the entry of the file it was read from, to be written again as it was.
    """

    asked: Asked
    told: Script | Callable[[], Script]
    failure: Failure | None = None
    abandoned: bool = False
    started: float = 0.0
    source: object = field(default=None, repr=False, compare=False)

    @property
    def script(self) -> Script:
        """What came of it."""
        if not isinstance(self.told, Script):
            self.told = self.told()
        return self.told

    @property
    def head(self) -> Head | None:
        """The head of the answer, where one came."""
        return next((step for step in self.script.steps if isinstance(step, Head) and step.status >= 200), None)

    @property
    def body(self) -> bytes:
        """What came of the answer's body, still encoded."""
        return b"".join(step.data for step in self.script.steps if isinstance(step, Chunk))

    @property
    def plain(self) -> bool:
        """Whether it is an answer and nothing else, as every recorder has it: a head, a body, and the end of it."""
        return self.failure is None and is_answer(self.script)

    def __repr__(self) -> str:
        return f"<Interaction {self.label}>"

    @property
    def label(self) -> str:
        """Method, masked URL and outcome, for people."""
        from rest_api_client.http.redaction import redact_url

        return f"{self.asked.method} {redact_url(self.asked.uri)} -> {self.outcome}"

    @property
    def outcome(self) -> str:
        """The status, the name of the failure, or how it ended."""
        head, failed = self.head, self.failure.error if self.failure else ""
        status = str(head.status) if head is not None else ""
        ended = "abandoned" if self.abandoned else "" if self.plain or failed else type(self.script.ending).__name__
        return ", ".join(word for word in (status, failed, ended) if word)


def is_answer(script: Script) -> bool:
    """Whether a script is a head, pieces of a body with pauses between them, and `End`."""
    steps = script.steps
    if not isinstance(steps[-1], End):
        return False
    body = steps[1:-1] if isinstance(steps[0], Head) else steps[2:-1]
    begins = isinstance(steps[0], Head) or (isinstance(steps[0], Delay) and isinstance(steps[1], Head))
    return begins and all(isinstance(step, Chunk | Delay) for step in body)
