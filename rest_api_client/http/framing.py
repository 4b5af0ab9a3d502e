"""The bytes of a script on an HTTP/1.1 connection, and the moments at which they leave (RFC 9112, section 6).

Both players go by this: the one on a socket writes these bytes, the one in process reads them as a client would, or
goes by the same rule of framing. A head that says nothing about framing gets what the steps behind it need:
content-length where the body ends well, else chunked; nothing where it says `connection: close`. HEAD, 204 and 304 have
no body, whatever the script says.
"""

from __future__ import annotations

import http
from collections.abc import Callable, Iterator
from math import inf

from rest_api_client.script import (
    Chunk,
    Delay,
    End,
    Garbage,
    Head,
    Raw,
    Script,
    Stale,
    Stall,
    Step,
    Throttle,
    Trailers,
    Upload,
)

SLICE = 0.05
"""Seconds of throttled bytes that leave at once: a slow body trickles, it does not pause and burst."""

Fields = tuple[tuple[str, str], ...]


def bodiless(method: str, status: int) -> bool:
    """Whether the answer ends with its head, whatever it says (RFC 9112, section 6.3)."""
    return method == "HEAD" or status in {204, 304}


def framing_fields(method: str, head: Head, script: Script) -> Fields:
    """What the final head lacks for the client to know where the body ends; nothing where it says so itself."""
    named = {name.lower(): value.lower() for name, value in head.headers}
    if bodiless(method, head.status) or "content-length" in named or "transfer-encoding" in named:
        return ()
    if named.get("connection") == "close":
        return ()
    if isinstance(script.ending, End | Stale) and not any(isinstance(step, Trailers) for step in script.steps):
        return (("content-length", str(sum(len(step.data) for step in script.steps if isinstance(step, Chunk)))),)
    return (("transfer-encoding", "chunked"),)


def head_bytes(head: Head, extra: Fields = ()) -> bytes:
    """Status line and fields."""
    reason = _phrase(head.status) if head.reason is None else head.reason
    lines = [f"HTTP/1.1 {head.status} {reason}", *(f"{name}: {value}" for name, value in (*head.headers, *extra))]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Encoder:
    """The bytes of each step of one script, asked in order.

    Args:
        script: what is played.
        method: of the request it answers.
        extra: fields that every final head gets, such as `date`.
    """

    def __init__(self, script: Script, method: str, extra: Fields = ()) -> None:
        self._script = script
        self._method = method
        self._extra = extra
        self._chunked = False
        self._trailers = False
        self._mute = False
        self._left: int | None = None
        self._close = False

    def encode(self, step: Step) -> bytes:
        """The bytes of this step; none for one that only waits or ends."""
        match step:
            case Head():
                return self._head(step)
            case Chunk(data):
                return b"" if self._mute else self._count(self._chunk(data))
            case Raw(data) | Garbage(data):
                return self._count(data)
            case Trailers(headers) if not self._mute:
                self._trailers = True
                return "".join(["0\r\n", *(f"{name}: {value}\r\n" for name, value in headers)]).encode("latin-1")
            case End() | Stale() if self._chunked:
                return b"\r\n" if self._trailers else b"0\r\n\r\n"
            case _:
                return b""

    @property
    def reusable(self) -> bool:
        """Once all is encoded: whether the client can tell that it is over, and may use the connection again."""
        return not self._close and not self._left

    def _head(self, head: Head) -> bytes:
        if head.status < 200:
            return head_bytes(head)
        fields = framing_fields(self._method, head, self._script)
        named = {name.lower(): value.strip().lower() for name, value in (*head.headers, *fields)}
        self._mute = bodiless(self._method, head.status)
        self._close = "close" in named.get("connection", "")
        if not self._mute:
            self._chunked = "transfer-encoding" in named
            length = named.get("content-length", "")
            if not self._chunked and length.isascii() and length.isdigit():
                self._left = int(length)
            self._close = self._close or (not self._chunked and self._left is None)
        return head_bytes(head, (*fields, *self._extra))

    def _chunk(self, data: bytes) -> bytes:
        # An empty chunk would be the last one.
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data

    def _count(self, data: bytes) -> bytes:
        if self._left is not None:
            self._left = max(0, self._left - len(data))
        return data


def timeline(script: Script, encode: Callable[[Step], bytes]) -> Iterator[tuple[float, Step, bytes | None]]:
    """What happens when: (seconds after the request arrived, the step, its bytes).

    The bytes are None where the whole step leaves at once: ask the encoder. A throttled step comes in pieces: `Chunk`s
    where it is one, else `Raw`s before the step itself with the last of its bytes.
    """
    now, rate = 0.0, inf
    for step in script.steps:
        if isinstance(step, Delay):
            now += step.seconds
        elif isinstance(step, Throttle):
            rate = step.bytes_per_second
        elif isinstance(step, Stall):
            yield inf, step, None
        elif rate == inf or not isinstance(step, Head | Chunk | Raw | Garbage):
            if not isinstance(step, Upload):
                yield now, step, None
        elif isinstance(step, Chunk):
            for piece in _pieces(step.data, rate):
                now += len(piece) / rate
                yield now, Chunk(piece), None
        else:
            *pieces, last = _pieces(encode(step), rate) or [b""]
            for piece in pieces:
                now += len(piece) / rate
                yield now, Raw(piece), piece
            now += len(last) / rate
            yield now, step, last


def _pieces(data: bytes, rate: float) -> list[bytes]:
    size = max(1, int(rate * SLICE))
    return [data[start : start + size] for start in range(0, len(data), size)]


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
