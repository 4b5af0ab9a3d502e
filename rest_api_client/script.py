"""Script: one vocabulary for everything that can happen to a response.

A script is a short list of timed steps that ends in exactly one way. The stage plays it on a real socket, the scripted
transport in virtual time; a cassette keeps it; a fault is a function from script to script. It is pure data: nothing
here waits, sends or decides.

    Script(Delay(0.2), Head(200, {"content-type": "text/plain"}), Chunk(b"hel"), Delay(1), Chunk(b"lo"), End())
    Script(Head(200, {"content-length": "100"}), Chunk(b"0123456789"), Reset())
    Script(Raw(b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"), Close())
    Script(Refuse())

`to_dict` and `from_dict` give the form that files hold (version 1). An unknown step is an error that names the version,
so that an old reader never plays half of a newer script.
"""

from __future__ import annotations

import base64
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from functools import cached_property
from typing import Any, ClassVar, TypeAlias, cast

from rest_api_client.checks import check_above_zero, check_at_least
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.utils import unknown

VERSION = 1
_LINE = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\xff]*")


def _check_data(data: object, step: str) -> None:
    if not isinstance(data, bytes):
        raise ConfigurationError(f"{step}(data=...): give bytes, not {type(data).__name__}")


def _fields(given: object, step: str) -> tuple[tuple[str, str], ...]:
    listed = given.items() if isinstance(given, Mapping) else given if isinstance(given, Iterable) else (None,)
    pairs = [cast("tuple[object, ...]", pair) for pair in cast("Iterable[object]", listed)]
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(x, str | int) for x in pair):
            raise ConfigurationError(f"{step}(headers=...): give (name, value) pairs of text, not {pair!r}")
        if not all(_LINE.fullmatch(str(x)) for x in pair):
            raise ConfigurationError(
                f"{step}(headers=...): {pair!r} is not one line of latin-1; Garbage sends any bytes"
            )
    return tuple((str(name), str(value)) for name, value in pairs)


@dataclass(frozen=True, slots=True)
class Delay:
    """Nothing happens for so many seconds."""

    seconds: float

    def __post_init__(self) -> None:
        check_at_least("Delay", 0, seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and header fields. Without a framing field the player adds what the steps that follow need."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    reason: str | None = None

    def __post_init__(self) -> None:
        if type(self.status) is not int or not 100 <= self.status <= 999:
            raise ConfigurationError(f"Head(status={self.status!r}): a status is a whole number of three digits")
        if self.reason is not None and (not isinstance(self.reason, str) or not _LINE.fullmatch(self.reason)):
            raise ConfigurationError(f"Head(reason={self.reason!r}): give one line of latin-1 text, or None")
        object.__setattr__(self, "headers", _fields(self.headers, "Head"))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of the body, as they leave the server (still encoded)."""

    data: bytes

    def __post_init__(self) -> None:
        _check_data(self.data, "Chunk")


@dataclass(frozen=True, slots=True)
class Throttle:
    """From here on, bytes of the answer come no faster than this; before the head, its bytes too."""

    bytes_per_second: float

    def __post_init__(self) -> None:
        check_above_zero("Throttle", unit="a number", bytes_per_second=self.bytes_per_second)


@dataclass(frozen=True, slots=True)
class Upload:
    """The request's body is read no faster than this; 0 reads none of it and goes on at once. Stands first."""

    bytes_per_second: float

    def __post_init__(self) -> None:
        check_at_least("Upload", 0, bytes_per_second=self.bytes_per_second)


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes exactly as given, framed by nobody, wherever they stand: a head that is none, a chunk of another size.

    Behind a head written this way nothing is framed: `Chunk` is sent as it is, and `End` adds nothing.
    """

    data: bytes

    def __post_init__(self) -> None:
        _check_data(self.data, "Raw")


@dataclass(frozen=True, slots=True)
class Trailers:
    """Trailer fields behind the body (RFC 9110, section 6.5)."""

    headers: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", _fields(self.headers, "Trailers"))


@dataclass(frozen=True, slots=True)
class End:
    """The answer is complete."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (RST)."""


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is closed (FIN), complete or not; `half`: one way only, what the client sends is still read."""

    half: bool = False

    def __post_init__(self) -> None:
        if type(self.half) is not bool:
            raise ConfigurationError(f"Close(half={self.half!r}): give True or False")


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing comes any more, and the connection stays open."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The answer is complete and the connection kept; the first byte of the next request on it is met with RST."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that are no HTTP, then the connection is closed."""

    data: bytes

    def __post_init__(self) -> None:
        _check_data(self.data, "Garbage")


@dataclass(frozen=True, slots=True)
class Refuse:
    """The connection is refused. Stands alone."""


Step: TypeAlias = (
    Upload | Delay | Head | Chunk | Raw | Throttle | Trailers | End | Reset | Close | Stall | Stale | Garbage | Refuse
)
ENDINGS = (End, Reset, Close, Stall, Stale, Garbage, Refuse)
_STEPS: dict[str, type[Any]] = {
    step.__name__.lower(): step for step in (Upload, Delay, Head, Chunk, Raw, Throttle, Trailers, *ENDINGS)
}


@dataclass(frozen=True, init=False)
class Script:
    """What happens to one response, in order. Exactly one ending, at the end; a body only behind a head or `Raw`.

    Raises:
        ConfigurationError: the steps cannot be played as written; the message names the step.
    """

    steps: tuple[Step, ...] = field(default=())
    version: ClassVar[int] = VERSION

    def __init__(self, *steps: Step) -> None:
        object.__setattr__(self, "steps", steps)
        _check(steps)

    @property
    def ending(self) -> Step:
        """The last step."""
        return self.steps[-1]

    @cached_property
    def head(self) -> Head | None:
        """The final head (a status of 200 or above); None where there is none."""
        return next((step for step in self.steps if isinstance(step, Head) and step.status >= 200), None)

    def to_dict(self) -> dict[str, Any]:
        """The form files hold."""
        return {"version": VERSION, "steps": [_dump(step) for step in self.steps]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Script:
        """Read what `to_dict` wrote.

        Raises:
            ConfigurationError: another version, an unknown step, or a step with wrong fields.
        """
        if not isinstance(data, Mapping):
            raise ConfigurationError(f"a script is an object with `version` and `steps`, not {type(data).__name__}")
        version = data.get("version")
        if type(version) is not int or version != VERSION:
            raise ConfigurationError(f"script version {version!r}: this release reads version {VERSION}")
        odd = sorted(str(name) for name in data if name not in {"version", "steps"})
        if odd:
            raise ConfigurationError(
                f"a script of version {VERSION} has no member {odd[0]!r}: a newer release wrote it"
            )
        steps = data.get("steps")
        if not isinstance(steps, list):
            raise ConfigurationError("a script needs a list of `steps`")
        return cls(*(_load(place, step) for place, step in enumerate(cast("list[object]", steps), 1)))


def _check(steps: tuple[Step, ...]) -> None:
    if not steps or type(steps[-1]) not in ENDINGS:
        raise ConfigurationError("a script ends in one of End, Reset, Close, Stall, Stale, Garbage, Refuse: add one")
    seen_head = seen_raw = seen_trailers = False
    for place, step in enumerate(steps, 1):
        if type(step) not in _STEPS.values():
            raise ConfigurationError(f"step {place}: {step!r} is not a step of script version {VERSION}")
        if isinstance(step, ENDINGS) and place < len(steps):
            raise ConfigurationError(f"step {place}: {step!r} ends the script, but {len(steps) - place} more follow")
        if isinstance(step, Upload) and place > 1:
            raise ConfigurationError(f"step {place}: Upload stands first: the answer begins behind it")
        if isinstance(step, Head) and seen_head:
            raise ConfigurationError(f"step {place}: a second Head; a script answers once")
        if seen_trailers and isinstance(step, Chunk | Trailers | Throttle):
            raise ConfigurationError(f"step {place}: {type(step).__name__} behind Trailers; the body is over there")
        seen_trailers = seen_trailers or isinstance(step, Trailers)
        seen_head = seen_head or (isinstance(step, Head) and step.status >= 200)
        seen_raw = seen_raw or isinstance(step, Raw)
        _check_begun(place, step, seen_head, seen_raw)
    if isinstance(steps[-1], Refuse) and len(steps) > 1:
        raise ConfigurationError("Refuse stands alone: a refused connection has nothing before it")


def _check_begun(place: int, step: Step, seen_head: bool, seen_raw: bool) -> None:
    """Nothing is in the body, or complete, before the answer has begun."""
    if isinstance(step, Trailers) and not seen_head:
        raise ConfigurationError(f"step {place}: Trailers needs a final Head (200 or above) before it")
    if isinstance(step, Chunk | End | Stale) and not (seen_head or seen_raw):
        raise ConfigurationError(
            f"step {place}: {type(step).__name__} needs a final Head (200 or above) or Raw before it"
        )


_Codec: TypeAlias = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def _load_bytes(value: str) -> bytes:
    return base64.b64decode(value, validate=True)


def _dump_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _dump_fields(value: tuple[tuple[str, str], ...]) -> list[list[str]]:
    return [[name, text] for name, text in value]


def _as_is(value: Any) -> Any:
    return value


_CODECS: dict[str, _Codec] = {"data": (_dump_bytes, _load_bytes), "headers": (_dump_fields, _as_is)}


def _dump(step: Step) -> dict[str, Any]:
    fields = {name: getattr(step, name) for name in step.__dataclass_fields__}
    shown = {name: _CODECS[name][0](value) if name in _CODECS else value for name, value in fields.items()}
    return {"step": type(step).__name__.lower(), **shown}


def _load(place: int, data: object) -> Step:
    entry = dict(cast("Mapping[str, Any]", data)) if isinstance(data, Mapping) else {}
    kind = _STEPS.get(named := str(entry.pop("step", None)))
    if kind is None:
        hint = unknown("step", named, _STEPS)
        raise ConfigurationError(
            f"step {place}: {reprlib.repr(data)} is not a step of script version {VERSION}: {hint}"
        )
    try:
        return cast(
            "Step",
            kind(**{name: _CODECS[name][1](value) if name in _CODECS else value for name, value in entry.items()}),
        )
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"step {place}: {reprlib.repr(data)} is not a step of script version {VERSION}: {error}"
        ) from error
