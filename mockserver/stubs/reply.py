"""An answer as people write it down: status, header fields, a body, a delay, a fault. It becomes a script when asked.

The body is one of `json`, `text`, `body` (bytes) or `chunks`; texts of the first two and of header fields may hold
places (see `places`). An answer without places is one script, made once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, Final, TypeAlias, cast

from mockserver.matching.comparing import check_json
from mockserver.seen import Seen
from mockserver.stubs.places import Filling, has_places, path_names
from rest_api_client.checks import check_at_least, check_flag
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.script import Chunk, Delay, End, Head, Script, Step
from rest_api_client.typing import UNSET

Fault: TypeAlias = Callable[[Script], Script]
Fields: TypeAlias = tuple[tuple[str, str], ...]

_FILLED: Final = ("headers", "text", "json")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer, made from the request it answers.

    Args:
        status: the status code.
        headers: header fields, as a mapping or pairs; a content type is added that goes with the body.
        json: the body as JSON; None is null.
        text: the body as text, sent as UTF-8.
        body: the body as bytes, sent as they are.
        chunks: the body in pieces, each text or bytes, each sent on its own.
        every: seconds between two chunks.
        delay: seconds before the answer.
        fault: what goes wrong with it.
        template: fill places such as `{path.id}`; False leaves braces alone.

    Raises:
        ConfigurationError: two bodies, no JSON, a place that names no source, or header fields that cannot be sent.
    """

    status: int = 200
    headers: Fields | Mapping[str, str] = ()
    json: Any = UNSET
    text: str | None = None
    body: bytes | None = None
    chunks: tuple[str | bytes, ...] | None = None
    every: float = 0.0
    delay: float = 0.0
    fault: Fault | None = None
    template: bool = True
    _fixed: Script | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", Head(self.status, cast("Fields", self.headers)).headers)
        if self.status < 200:
            raise ConfigurationError(f"Reply(status={self.status!r}): give 200 or above; interim answers need a script")
        check_at_least("Reply", 0, every=self.every, delay=self.delay)
        check_flag("Reply", template=self.template)
        self._check_body()
        places = any([self._has_places(name) for name in _FILLED])  # noqa: C419 (all are checked)
        script = self._made(None)  # made once even with places, so that what cannot be played is refused now
        object.__setattr__(self, "_fixed", None if places else script)

    def _check_body(self) -> None:
        given = [name for name in ("text", "body", "chunks") if getattr(self, name) is not None]
        if self.json is not UNSET:
            check_json("Reply(json=...)", self.json)
            given.append("json")
        if len(given) > 1:
            raise ConfigurationError(f"Reply({', '.join(f'{name}=...' for name in given)}): give one body")
        if self.every and self.chunks is None:
            raise ConfigurationError(f"Reply(every={self.every!r}): it stands between chunks; give chunks=")
        for name, kind, called in (("text", str, "a text"), ("body", bytes, "bytes")):
            if not isinstance(getattr(self, name), kind | None):
                raise ConfigurationError(f"Reply({name}={getattr(self, name)!r}): give {called}")
        if self.chunks is not None:
            object.__setattr__(self, "chunks", _pieces(self.chunks))
        if self.fault is not None and not callable(self.fault):
            raise ConfigurationError(f"Reply(fault={self.fault!r}): give a function from script to script")

    def _filled(self, name: str) -> Any:
        """What may hold places."""
        value = getattr(self, name)
        return [text for _, text in value] if name == "headers" else value

    def _has_places(self, name: str) -> bool:
        try:
            return self.template and has_places(self._filled(name))
        except ConfigurationError as error:
            raise ConfigurationError(f"Reply({name}=...): {error}") from error

    @property
    def path_names(self) -> frozenset[str]:
        """What its places name of the path."""
        return frozenset(each for name in _FILLED if self.template for each in path_names(self._filled(name)))

    @property
    def fixed(self) -> Script | None:
        """The script that every request gets; None where the answer has places."""
        return self._fixed

    def __call__(self, seen: Seen, captures: Mapping[str, str], n: int = 1) -> Script:
        """The script for this request; `n`: the how manieth answer it is."""
        return self._fixed or self._made(Filling(seen, captures, n))

    def _made(self, filling: Filling | None) -> Script:
        steps: list[Step] = [Delay(self.delay)] if self.delay else []
        steps += [Head(self.status, self._fields(filling)), *self._body(filling), End()]
        script = Script(*steps)
        return script if self.fault is None else self.fault(script)

    def _fields(self, filling: Filling | None) -> Fields:
        fields = cast("Fields", self.headers)
        kind = self._content_type()
        if kind is not None and not any(name.lower() == "content-type" for name, _ in fields):
            fields = (("content-type", kind), *fields)
        return fields if filling is None else tuple((name, filling.field(value)) for name, value in fields)

    def _content_type(self) -> str | None:
        if self.json is not UNSET:
            return "application/json"
        if self.text is not None or (self.chunks and isinstance(self.chunks[0], str)):
            return "text/plain; charset=utf-8"
        return None if self.body is None else "application/octet-stream"

    def _body(self, filling: Filling | None) -> Iterator[Step]:
        if self.chunks is not None:
            for number, piece in enumerate(self.chunks):
                if number and self.every:
                    yield Delay(self.every)
                yield Chunk(piece.encode() if isinstance(piece, str) else piece)
        elif body := self._whole(filling):
            yield Chunk(body)

    def _whole(self, filling: Filling | None) -> bytes:
        if self.json is not UNSET:
            value = self.json if filling is None else filling.json(self.json)
            return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        if self.text is not None:
            return (self.text if filling is None else filling.text(self.text)).encode("utf-8", "replace")
        return self.body or b""


def _pieces(chunks: object) -> tuple[str | bytes, ...]:
    if isinstance(chunks, str | bytes):
        raise ConfigurationError(f"Reply(chunks={chunks!r}): give a list of texts or bytes")
    pieces = tuple(cast("tuple[str | bytes, ...]", chunks))
    if not pieces or not all(isinstance(piece, str | bytes) and piece for piece in pieces):
        raise ConfigurationError(f"Reply(chunks={chunks!r}): give one text or more, none of them empty")
    return pieces
