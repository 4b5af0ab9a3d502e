"""The faults of the wire, by name: each makes a function from the script of an answer to the one that is played.

Some spoil the answer they are given (`truncate`, `drip`), some need none (`reset_before`, `garbage`). All keep what
happens before the answer, its delays and its interim heads, as far as they get there. A script that never answers is
left as it is: there is nothing to spoil.

Where a fault breaks off inside the body, `after` counts the bytes of the body that still leave, half of them when not
given; the framing always promises at least one byte more.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Final

from mockserver.faults.fault import Catalogue, Fault
from rest_api_client.checks import check_above_zero, check_whole
from rest_api_client.http.framing import framing_fields, head_bytes
from rest_api_client.script import (
    Chunk,
    Close,
    End,
    Garbage,
    Head,
    Raw,
    Reset,
    Script,
    Stale,
    Stall,
    Step,
    Throttle,
    Upload,
)

Fields = tuple[tuple[str, str], ...]

LARGEST_FLOOD: Final = 100_000
LARGEST_FIELD: Final = 1 << 24
NO_HTTP: Final = bytes(range(128, 178))
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_CHUNKED: Fields = (("transfer-encoding", "chunked"),)


def reset_before() -> Fault:
    """RST before the first byte of the answer."""
    return _always(Reset())


def reset_in_head(after: int | None = None) -> Fault:
    """RST after so many bytes of the head, half of it when not given."""
    return _breaking_head(after, Reset())


def reset_mid_body(after: int | None = None) -> Fault:
    """RST after so many bytes of the body."""
    return _breaking_body(after, Reset(), _promised)


def early_close() -> Fault:
    """FIN before the first byte of the answer."""
    return _always(Close())


def close_in_head(after: int | None = None) -> Fault:
    """FIN after so many bytes of the head, half of it when not given."""
    return _breaking_head(after, Close())


def truncate(after: int | None = None) -> Fault:
    """FIN after so many bytes of a body whose content-length promises more."""
    return _breaking_body(after, Close(), _promised)


def truncate_chunked(after: int | None = None) -> Fault:
    """FIN after so many bytes of a chunked body, before the last chunk."""
    return _breaking_body(after, Close(), _chunked)


def malformed_chunk(after: int | None = None) -> Fault:
    """A chunk whose size is no number, after so many bytes of the body; then FIN."""
    return _breaking_body(after, Close(), _chunked, Raw(b"ZZ\r\nhello\r\n0\r\n\r\n"))


def bad_status_line(line: str = "HTP/1.1 20O OK") -> Fault:
    """Another first line."""
    return _rewriting_head(lambda head: line.encode("latin-1") + head[head.index(b"\r\n") :])


def header_without_colon(line: str = "this is not a header") -> Fault:
    """A line among the header fields that is none."""
    return _rewriting_head(lambda head: head[:-2] + line.encode("latin-1") + b"\r\n\r\n")


def bare_lf() -> Fault:
    """A head whose lines end in LF alone. Many clients take it (RFC 9112, section 2.2)."""
    return _rewriting_head(lambda head: head.replace(b"\r\n", b"\n"))


def two_content_lengths() -> Fault:
    """Two content-lengths that differ."""

    def fault(script: Script) -> Script:
        size = len(_body(script))
        return _with_head(script, lambda head: _framed(head, (_length(size), _length(size + 3))), Close())

    return fault


def length_and_chunked() -> Fault:
    """A content-length with transfer-encoding: chunked, where the latter holds (RFC 9112, section 6.3)."""

    def fault(script: Script) -> Script:
        return _with_head(script, lambda head: _framed(head, (_length(2), *_CHUNKED)), End())

    return fault


def huge_header(size: int = 200_000) -> Fault:
    """One field of so many bytes, 16 MiB at most."""
    check_whole("huge_header", 1, most=LARGEST_FIELD, size=size)
    field = (("x-huge", "a" * size),)
    return lambda script: _with_head(script, lambda head: Head(head.status, (*head.headers, *field), head.reason))


def garbage(data: bytes = NO_HTTP) -> Fault:
    """Bytes that are no HTTP in place of the answer; then FIN."""
    return _always(Garbage(data))


def headless() -> Fault:
    """The body alone, as HTTP/0.9 had it; then FIN."""

    def fault(script: Script) -> Script:
        return Script(*_before(script), Garbage(_body(script) or b"no head")) if _answers(script) else script

    return fault


def corrupt_gzip() -> Fault:
    """The body compressed by gzip, with a wrong checksum."""

    def fault(script: Script) -> Script:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        packed = bytearray(packer.compress(_body(script) or b"nothing") + packer.flush())
        packed[-6] ^= 0xFF
        return _with_body(script, bytes(packed), (("content-encoding", "gzip"),))

    return fault


def flood_1xx(count: int = 200) -> Fault:
    """So many interim answers (103) before the final one, 100,000 at most."""
    check_whole("flood_1xx", 1, most=LARGEST_FLOOD, count=count)
    flood = [Head(103, (("link", "</style.css>; rel=preload"),))] * count

    def fault(script: Script) -> Script:
        steps = script.steps
        place = 1 if isinstance(steps[0], Upload) else 0
        return Script(*steps[:place], *flood, *steps[place:]) if _answers(script) else script

    return fault


def extra_bytes(data: bytes = b"HTTP/1.1 500 Surprise\r\ncontent-length: 0\r\n\r\n") -> Fault:
    """Bytes behind a complete answer, on a connection that stays open."""

    def fault(script: Script) -> Script:
        return _with_body(script, _body(script), (), Raw(data))

    return fault


def drip(bytes_per_second: float = 50.0) -> Fault:
    """The whole answer, head and body, no faster than this."""
    throttle = Throttle(bytes_per_second)
    return lambda script: _first(script, throttle)


def stall_before_head() -> Fault:
    """Nothing comes, and the connection stays open."""
    return _always(Stall())


def stall_after_head() -> Fault:
    """The head, then nothing."""
    return _breaking_body(0, Stall(), _promised)


def stall_mid_body(after: int | None = None) -> Fault:
    """So many bytes of the body, then nothing."""
    return _breaking_body(after, Stall(), _promised)


def slow_upload(bytes_per_second: float = 1000.0) -> Fault:
    """The request's body is read no faster than this, then answered."""
    check_above_zero("slow_upload", unit="a number", bytes_per_second=bytes_per_second)
    return lambda script: Script(Upload(bytes_per_second), *(x for x in script.steps if not isinstance(x, Upload)))


def unread_upload() -> Fault:
    """Nothing of the request's body is read, and nothing is answered."""
    return _always(Upload(0), Stall())


def half_close() -> Fault:
    """The whole answer, then FIN one way: what the client sends is still read."""
    return lambda script: _with_body(script, _body(script), (("connection", "close"),), ending=Close(half=True))


def stale() -> Fault:
    """The whole answer; the next request on its connection is met with RST at its first byte."""
    return lambda script: _with_ending(script, Stale()) if _answers(script) else script


def answer(status: int = 200, headers: Iterable[tuple[str, str]] = (), body: str | bytes = b"") -> Fault:
    """This answer in place of the application's."""
    data = body.encode() if isinstance(body, str) else body
    return _always(Head(status, tuple(headers)), *((Chunk(data),) if data else ()), End())


CATALOGUE: Final[Catalogue] = {
    make.__name__: make
    for make in (
        reset_before, reset_in_head, reset_mid_body, early_close, close_in_head, truncate, truncate_chunked,
        malformed_chunk, bad_status_line, header_without_colon, bare_lf, two_content_lengths, length_and_chunked,
        huge_header, garbage, headless, corrupt_gzip, flood_1xx, extra_bytes, drip, stall_before_head, stall_after_head,
        stall_mid_body, slow_upload, unread_upload, half_close, stale, answer,
    )
}  # fmt: skip
"""The faults of the wire by name, for files, the command line and `x-fault` header fields."""


def _always(*steps: Step) -> Fault:
    script = Script(*steps)
    return lambda _: script


def _answers(script: Script) -> bool:
    return any(isinstance(step, Head) and step.status >= 200 for step in script.steps)


def _final(script: Script) -> Head:
    return next(step for step in script.steps if isinstance(step, Head) and step.status >= 200)


def _before(script: Script) -> tuple[Step, ...]:
    return script.steps[: script.steps.index(_final(script))]


def _behind(script: Script) -> tuple[Step, ...]:
    """What follows the final head, but for the ending."""
    return script.steps[script.steps.index(_final(script)) + 1 : -1]


def _body(script: Script) -> bytes:
    return b"".join(step.data for step in script.steps if isinstance(step, Chunk))


def _first(script: Script, step: Step) -> Script:
    """A step before all others but `Upload`."""
    place = 1 if isinstance(script.steps[0], Upload) else 0
    return Script(*script.steps[:place], step, *script.steps[place:])


def _length(size: int) -> tuple[str, str]:
    return ("content-length", str(size))


def _framed(head: Head, fields: Fields) -> Head:
    """The head with this framing in place of its own."""
    kept = [(name, value) for name, value in head.headers if name.lower() not in _FRAMING]
    return Head(head.status, (*kept, *fields), head.reason)


def _promised(head: Head, size: int) -> Head:
    return _framed(head, (_length(size),))


def _chunked(head: Head, size: int) -> Head:
    return _framed(head, _CHUNKED)


def _with_ending(script: Script, ending: Step) -> Script:
    return Script(*script.steps[:-1], ending)


def _with_head(script: Script, change: Callable[[Head], Head], ending: Step | None = None) -> Script:
    if not _answers(script):
        return script
    return Script(*_before(script), change(_final(script)), *_behind(script), ending or script.ending)


def _with_body(script: Script, body: bytes, fields: Fields, *extra: Step, ending: Step | None = None) -> Script:
    """The answer with this body and these fields besides, framed by the player."""
    if not _answers(script):
        return script
    head = _framed(_final(script), fields)
    return Script(*_before(script), head, *([Chunk(body)] if body else []), *extra, ending or End())


def _rewriting_head(change: Callable[[bytes], bytes]) -> Fault:
    """Another head, as bytes; then the body, framed by its length, and FIN."""

    def fault(script: Script) -> Script:
        if not _answers(script):
            return script
        head = _promised(_final(script), len(_body(script)))
        return Script(*_before(script), Raw(change(head_bytes(head))), Chunk(_body(script)), Close())

    return fault


def _breaking_head(after: int | None, ending: Step) -> Fault:
    check_whole("", 0, off="a half", after=after)

    def fault(script: Script) -> Script:
        if not _answers(script):
            return script
        head = _final(script)
        data = head_bytes(head, framing_fields("GET", head, script))
        most = len(data) - 1
        return Script(*_before(script), Raw(data[: len(data) // 2 if after is None else min(after, most)]), ending)

    return fault


def _breaking_body(after: int | None, ending: Step, frame: Callable[[Head, int], Head], *extra: Step) -> Fault:
    check_whole("", 0, off="a half", after=after)

    def fault(script: Script) -> Script:
        if not _answers(script):
            return script
        size = len(_body(script))
        most = size // 2 if after is None else min(after, size)
        head = frame(_final(script), max(size, most + 1))
        return Script(*_before(script), head, *_cut(_behind(script), most), *extra, ending)

    return fault


def _cut(steps: Iterable[Step], most: int) -> list[Step]:
    """The steps up to the one that brings the body to so many bytes, and that one shortened."""
    kept: list[Step] = []
    for step in steps:
        if not most:
            break
        piece = Chunk(step.data[:most]) if isinstance(step, Chunk) else step
        most -= len(piece.data) if isinstance(piece, Chunk) else 0
        kept.append(piece)
    return kept
