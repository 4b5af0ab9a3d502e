"""A body as it arrives: text, lines, NDJSON values, server-sent events.

Each generator takes chunks of bytes and only awaits the next one, so the same code serves the async client and the sync
one, whose runner never suspends. How the bytes were cut into chunks makes no difference to what comes out. Unfinished
text is kept as a list of pieces and joined once, so that a line of a million bytes that come one at a time costs a
million steps, not their square; no line or event may grow beyond a limit, since a stream has no other.

Nothing here closes the chunks: their owner does.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from rest_api_client.exceptions import DecodeError, ResponseTooLarge
from rest_api_client.http.charsets import TextDecoder
from rest_api_client.http.redaction import body_start
from rest_api_client.lazy_dataclasses import dataclass

MAX_LINE = 16 * 1024 * 1024
"""Characters that a line or an event may have, unless the caller says otherwise: room for a base64 image in one."""

_UNIVERSAL = re.compile(r"\r\n|\r|\n")
_NEWLINE = re.compile(r"\n")
_LONGEST_RETRY = 15
"""Digits: more would be over thirty thousand years."""


async def text(chunks: AsyncIterator[bytes], encoding: str = "utf-8") -> AsyncIterator[str]:
    """The body as text, each chunk's as it comes; bytes that do not fit the charset become U+FFFD.

    Raises:
        ConfigurationError: no such charset.
        DecodeError: bytes of which the charset can make nothing at all.
    """
    decoder = TextDecoder(encoding)
    async for chunk in chunks:
        if piece := decoder.decode(chunk):
            yield piece
    if piece := decoder.decode(b"", final=True):
        yield piece


async def lines(
    chunks: AsyncIterator[bytes], encoding: str = "utf-8", *, max_length: int | None = MAX_LINE
) -> AsyncIterator[str]:
    r"""The body's lines, without their ends: \n, \r\n or \r. A last line without an end counts, an empty one does not.

    Raises:
        ResponseTooLarge: a line has more than `max_length` characters (None: no limit).
        ConfigurationError, DecodeError: as `text` does.
    """
    splitter = LineSplitter(encoding, max_length=max_length)
    async for chunk in chunks:
        for line in splitter.feed(chunk):
            yield line
    for line in splitter.finish():
        yield line


async def ndjson(
    chunks: AsyncIterator[bytes],
    *,
    loads: Callable[[bytes], Any] | None = None,
    max_length: int | None = MAX_LINE,
) -> AsyncIterator[Any]:
    r"""The JSON value of each line (application/x-ndjson). Lines end with \n or \r\n, blank ones are skipped.

    Args:
        chunks: the body.
        loads: parses one line; raises ValueError. The standard library's parser by default, which wants UTF-8.
        max_length: bytes a line may have (None: no limit).

    Raises:
        DecodeError: a line is no UTF-8 or no JSON; the message gives its number, counted from 1.
        ResponseTooLarge: a line is longer than `max_length`.
    """
    # In latin-1 a character is a byte: lines can be cut, and turned back into their bytes.
    splitter = LineSplitter("latin-1", _NEWLINE, max_length)
    parser = ValueParser(loads or _loads)
    async for chunk in chunks:
        for line in splitter.feed(chunk):
            for value in parser.feed(line.encode("latin-1")):
                yield value
    for line in splitter.finish():
        for value in parser.feed(line.encode("latin-1")):
            yield value


async def events(chunks: AsyncIterator[bytes], *, max_length: int | None = MAX_LINE) -> AsyncIterator[ServerSentEvent]:
    """The events of a text/event-stream, as the WHATWG's rules read it. An event cut off at the end is dropped.

    Raises:
        ResponseTooLarge: a line, or the data of an event, has more than `max_length` characters (None: no limit).
    """
    splitter = LineSplitter("utf-8-sig", max_length=max_length)
    parser = EventParser(max_length)
    async for chunk in chunks:
        for line in splitter.feed(chunk):
            if event := parser.feed(line):
                yield event


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event.

    Attributes:
        event: its type, "message" where the server names none.
        data: its data lines, joined with newlines.
        id: the last id the server has given by now, "" if none: send it as Last-Event-ID to go on from here.
        retry: milliseconds the server has last asked to wait before connecting again, or None.
    """

    event: str
    data: str
    id: str = ""
    retry: int | None = None


class LineSplitter:
    """Cuts bytes into lines of text as they come.

    Args:
        charset: of the bytes.
        ends: what ends a line.
        max_length: characters a line may have (None: no limit); one more is `ResponseTooLarge`.
    """

    def __init__(
        self, charset: str = "utf-8", ends: re.Pattern[str] = _UNIVERSAL, max_length: int | None = MAX_LINE
    ) -> None:
        self._decoder = TextDecoder(charset)
        self._ends = ends
        self._max_length = max_length
        self._held: list[str] = []
        self._size = 0
        self._after_cr = False

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The lines that end in this chunk. Use them up before the next one."""
        return self._cut(self._decoder.decode(chunk))

    def finish(self) -> Iterator[str]:
        """What is left: the last line, where it has no end."""
        yield from self._cut(self._decoder.decode(b"", final=True))
        if self._size:
            yield self._take()

    def _cut(self, piece: str) -> Iterator[str]:
        if self._after_cr and piece:
            # A lone \r ended its line at once; this may be the other half of \r\n.
            piece = piece.removeprefix("\n")
            self._after_cr = False
        *ended, rest = self._ends.split(piece)
        for part in ended:
            self._hold(part)
            yield self._take()
        self._hold(rest)
        self._after_cr = self._after_cr or (self._ends is _UNIVERSAL and piece.endswith("\r"))

    def _hold(self, part: str) -> None:
        self._size += len(part)
        if self._max_length is not None and self._size > self._max_length:
            raise ResponseTooLarge(
                f"a line of the stream is longer than {self._max_length} characters: raise max_length if it may be"
            )
        if part:
            self._held.append(part)

    def _take(self) -> str:
        line = "".join(self._held)
        self._held, self._size = [], 0
        return line


class ValueParser:
    """Makes JSON values of lines, and knows the number of the line that is none."""

    def __init__(self, loads: Callable[[bytes], Any]) -> None:
        self._loads = loads
        self._number = 0

    def feed(self, line: bytes) -> Iterator[Any]:
        """The line's value; nothing for a blank line."""
        self._number += 1
        line = line.removeprefix(codecs.BOM_UTF8) if self._number == 1 else line
        if not line.strip(b" \t\r"):
            return
        try:
            yield self._loads(line)
        except (ValueError, RecursionError) as error:
            raise DecodeError(f"line {self._number} is no JSON ({error}); it starts with {body_start(line)}") from error


def _loads(line: bytes) -> Any:
    return json.loads(line.decode())  # given bytes, json would guess the encoding


class EventParser:
    """Makes events of lines (WHATWG HTML, section 9.2.6)."""

    def __init__(self, max_length: int | None = MAX_LINE) -> None:
        self._max_length = max_length
        self._id = ""
        self._retry: int | None = None
        self._event = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, line: str) -> ServerSentEvent | None:
        """The event that this line completes, if it does."""
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._add(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) <= _LONGEST_RETRY:
            self._retry = int(value)
        return None

    def _add(self, value: str) -> None:
        self._size += len(value) + 1
        if self._max_length is not None and self._size > self._max_length + 1:
            raise ResponseTooLarge(
                f"an event of the stream is longer than {self._max_length} characters: raise max_length if it may be"
            )
        self._data.append(value)

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event, self._data
        self._event, self._data, self._size = "", [], 0
        return ServerSentEvent(event or "message", "\n".join(data), self._id, self._retry) if data else None
