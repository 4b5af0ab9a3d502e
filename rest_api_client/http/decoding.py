"""Content decoding in bounded steps: raw body bytes in, decoded pieces of at most 64 KiB out (RFC 9110, section 8.4).

A kilobyte of zeros can stand for a gigabyte. Whoever decodes a chunk whole learns its size too late, so every codec
here is asked for a little at a time and the limits are checked between two pieces: zlib by its `max_length`, brotli
(1.2 or newer) by its `output_buffer_limit`, zstd, whose binding has no such argument, by feeding it so few bytes at a
time that even the worst of them (4-byte blocks that stand for 128 KiB each) make 2 MiB at most. The output of every
layer is counted, since a chain may blow up in the middle and shrink again.

A body may be several gzip members or zstd frames in a row. Once one of them has ended, bytes that do not begin another
(zero padding, a stray line end) are ignored, as gzip itself does, and so is all that follows a deflate stream; after
the end of a brotli stream any byte is an error. An empty body is complete in every encoding (HEAD, 204 and 304 name one
and have none); a body that stops in the middle is a `DecodeError`, not a short body.

An encoding nobody here knows stops the work: it and those under it are left as they are, and `Decoder.left` names them.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from rest_api_client.exceptions import DecodeError, ResponseTooLarge
from rest_api_client.http.body_limits import BodyLimits, BodyMeter
from rest_api_client.lazy_dataclasses import dataclass

PIECE = 64 * 1024
"""The most bytes that are ever given at once."""
_ZLIB_STEP = 16 * 1024
"""What is not yet consumed is copied with every step: small steps keep that linear in the body."""
_ZSTD_STEP = 64
_ZSTD_WINDOW = 8 * 1024 * 1024
"""RFC 9659: a decoder of the content coding need not accept more, and this is what a frame may make us allocate."""


class Decoder:
    """Undoes the content encodings of one body.

    Each `decode` is to be used up before the next one; after an error the decoder is not to be used again.

    Attributes:
        left: encodings not undone, in the order in which they were applied; empty where all is decoded.

    Args:
        encodings: as applied, first to last (`content_encodings`).
        limits: what the body may become.
        split: whether larger pieces of what is not encoded are cut up as well.

    Raises:
        ResponseTooLarge: more encodings than `limits.max_encodings`.
    """

    def __init__(self, encodings: Sequence[str] = (), limits: BodyLimits | None = None, *, split: bool = True) -> None:
        limits = limits or BodyLimits()
        self._codecs: list[_Codec] = []
        self.left: tuple[str, ...] = ()
        self._meters = [BodyMeter(limits)]
        self._most = PIECE if split else sys.maxsize
        if encodings:
            self._open([name for name in encodings if name != "identity"], limits)

    def _open(self, chain: list[str], limits: BodyLimits) -> None:
        if limits.max_encodings is not None and len(chain) > limits.max_encodings:
            raise ResponseTooLarge(
                f"the body is encoded {len(chain)} times, more than {limits.max_encodings}: "
                "if the server means it, raise BodyLimits(max_encodings=...)"
            )
        while chain and chain[-1] in _FORMATS:
            self._codecs.append(_Codec(_FORMATS[chain.pop()]))
        self.left = tuple(chain)
        self._meters += [BodyMeter(limits) for _ in self._codecs[1:]]

    @property
    def raw_bytes(self) -> int:
        """Bytes received so far."""
        return self._meters[-1].raw

    @property
    def decoded_bytes(self) -> int:
        """Bytes given out so far."""
        return self._meters[-1].decoded

    def decode(self, chunk: bytes) -> Iterable[bytes]:
        """What the next bytes of the raw body stand for, in pieces of at most 64 KiB; all that can be known by now.

        Raises:
            DecodeError: not what the encoding says, or its codec is not installed.
            ResponseTooLarge: a limit is reached; no byte beyond it has been given.
        """
        if not self._codecs and 0 < (size := len(chunk)) <= self._most:
            self._meters[0].passed(size)
            return (chunk,)
        for meter in self._meters:
            meter.received(len(chunk))
        return self._through(0, chunk)

    def _through(self, depth: int, data: bytes) -> Iterator[bytes]:
        last = depth >= len(self._codecs) - 1
        for piece in self._codecs[depth].decode(data) if self._codecs else _split(data):
            self._meters[depth].produced(len(piece))
            if last:
                yield piece
            else:
                yield from self._through(depth + 1, piece)

    def finish(self) -> None:
        """Say that the raw body has ended.

        Raises:
            DecodeError: it ended too early.
        """
        for codec in self._codecs:
            if not codec.complete:
                raise DecodeError(f"the body ends in the middle of its {codec.name} data, after {self.raw_bytes} bytes")


def content_encodings(values: Iterable[str]) -> tuple[str, ...]:
    """The encodings that Content-Encoding fields name, in lower case, in the order in which they were applied."""
    names = (name.strip(" \t").lower() for value in values for name in value.split(","))
    return tuple(name for name in names if name)


def accept_encoding() -> str:
    """The Accept-Encoding field for what this environment can decode: br and zstd where their libraries are there."""
    return ", ".join(name for name in ("gzip", "deflate", "br", "zstd") if _FORMATS[name].available())


class _Stream(Protocol):
    """One gzip member, deflate or brotli stream, or zstd frame."""

    @property
    def error(self) -> type[Exception]:
        """What its library raises."""
        ...

    @property
    def eof(self) -> bool:
        """Whether its end has come; `unused_data` is what came behind it."""
        ...

    @property
    def unused_data(self) -> bytes: ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Everything the data stands for."""
        ...

    def after(self, head: bytes) -> _Stream | None:
        """The stream that these bytes, found behind its end, begin; None where they are stray."""
        ...


@dataclass(frozen=True, slots=True)
class _Format:
    """An encoding.

    Attributes:
        start: opens the first stream, given its first bytes.
        head: how many bytes that takes.
        step: how many bytes a stream is fed at a time.
        available: whether the library is there.
    """

    name: str
    start: Callable[[bytes], _Stream]
    head: int
    step: int
    available: Callable[[], bool] = lambda: True


class _Codec:
    """One layer: cuts the input into steps, opens one stream after another, ignores what is none."""

    def __init__(self, form: _Format) -> None:
        self.name = form.name
        self._form = form
        self._stream: _Stream | None = None
        self._held = b""  # the first bytes of a stream, too few to open it
        self._ignoring = False

    @property
    def complete(self) -> bool:
        """Whether the input may end here. Bytes held behind a whole stream are stray ones."""
        return not self._held if self._stream is None else self._stream.eof

    def decode(self, data: bytes) -> Iterator[bytes]:
        step = self._form.step
        return _gather(piece for i in range(0, len(data), step) for piece in self._step(data[i : i + step]))

    def _step(self, data: bytes) -> Iterator[bytes]:
        while data and not self._ignoring:
            if self._stream is None or self._stream.eof:
                self._held, data = b"", self._held + data
                if len(data) < self._form.head:
                    self._held = data
                    return
                stream = self._form.start(data) if self._stream is None else self._stream.after(data)
                if stream is None:
                    self._ignoring = True
                    return
                self._stream = stream
            yield from self._feed(self._stream, data)
            data = self._stream.unused_data

    def _feed(self, stream: _Stream, data: bytes) -> Iterator[bytes]:
        try:
            yield from stream.feed(data)
        except stream.error as error:
            raise DecodeError(f"the body is not the {self.name} data its headers announce: {error}") from error


def _gather(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at most `PIECE`, small ones put together."""
    held: list[bytes] = []
    size = 0
    for piece in filter(None, pieces):
        held.append(piece)
        size += len(piece)
        if size >= PIECE:
            whole = b"".join(held)
            rest = size % PIECE
            yield from _split(whole[: size - rest])
            held, size = ([whole[-rest:]], rest) if rest else ([], 0)
    if size:
        yield b"".join(held)


def _split(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


class _DeflateStream:
    error = zlib.error

    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)

    @classmethod
    def start(cls, head: bytes) -> _DeflateStream:
        """Zlib's header says so itself (RFC 1950, section 2.2); without one it is the bare stream some servers send."""
        wrapped = head[0] & 0x0F == 8 and head[0] >> 4 <= 7 and (head[0] << 8 | head[1]) % 31 == 0
        return cls(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)

    def feed(self, data: bytes) -> Iterator[bytes]:
        full = True
        # A full piece may leave output waiting inside although all input is consumed.
        while (data or full) and not self.eof:
            piece = self._stream.decompress(data, PIECE)
            data = self._stream.unconsumed_tail
            full = len(piece) == PIECE
            yield piece

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def after(self, head: bytes) -> _Stream | None:
        return None


class _GzipStream(_DeflateStream):
    @classmethod
    def start(cls, head: bytes) -> _GzipStream:
        return cls(16 + zlib.MAX_WBITS)

    def after(self, head: bytes) -> _Stream | None:
        return self.start(head) if head.startswith(b"\x1f\x8b") else None


class _BrotliStream:
    unused_data = b""

    def __init__(self, head: bytes) -> None:
        library = _required(_brotli(), "br", "brotli 1.2 or newer")
        self.error: type[Exception] = library.error
        self._stream: Any = library.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        piece = self._stream.process(data, output_buffer_limit=PIECE)
        # can_accept_more_data() alone is not enough: it turns true while output is still waiting.
        while piece or not self._stream.can_accept_more_data():
            yield piece
            piece = self._stream.process(b"", output_buffer_limit=PIECE)

    @property
    def eof(self) -> bool:
        return bool(self._stream.is_finished())

    def after(self, head: bytes) -> _Stream | None:
        # The library fails on bytes behind the end where they come with it; so must it be where they come later.
        raise DecodeError(f"the body goes on behind the end of its br data, with {head[:16]!r}")


class _ZstdStream:
    """One frame. The library's decompressor, dear to make (10 us), serves the following frames too."""

    _STARTS = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # also skippable frames: RFC 8878, section 3.1

    def __init__(self, head: bytes, decompressor: Any = None) -> None:
        library = _required(_zstandard(), "zstd", "zstandard")
        self.error: type[Exception] = library.ZstdError
        self._decompressor: Any = decompressor or library.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._stream: Any = self._decompressor.decompressobj(write_size=PIECE)

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._stream.decompress(data)

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data)

    def after(self, head: bytes) -> _Stream | None:
        return _ZstdStream(head, self._decompressor) if self._STARTS.match(head) else None


@cache
def _brotli() -> Any:
    """The library, or None where it is missing or too old to be bounded."""
    try:
        library = import_module("brotli")
    except ImportError:
        return None
    return library if hasattr(library.Decompressor, "can_accept_more_data") else None


@cache
def _zstandard() -> Any:
    try:
        return import_module("zstandard")
    except ImportError:
        return None


def _required(library: Any, encoding: str, name: str) -> Any:
    if library is None:
        raise DecodeError(
            f"the body is {encoding} encoded, which takes {name}: install 'rest-api-client-kit[compression]', "
            "or do not ask for it in Accept-Encoding"
        )
    return library


_GZIP = _Format("gzip", _GzipStream.start, head=2, step=_ZLIB_STEP)
_FORMATS = {
    "gzip": _GZIP,
    "x-gzip": _GZIP,
    "deflate": _Format("deflate", _DeflateStream.start, head=2, step=_ZLIB_STEP),
    "br": _Format("br", _BrotliStream, head=1, step=_ZLIB_STEP, available=lambda: _brotli() is not None),
    "zstd": _Format("zstd", _ZstdStream, head=4, step=_ZSTD_STEP, available=lambda: _zstandard() is not None),
}
