"""Streams read as text, lines, values and events: the same whatever the chunks."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rest_api_client.exceptions import APIError, ConfigurationError, DecodeError, ResponseTooLarge
from rest_api_client.http.streaming import ServerSentEvent, events, lines, ndjson, text

Reader = Callable[[AsyncIterator[bytes]], AsyncIterator[Any]]


async def body(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def read(reader: Reader, chunks: Iterable[bytes]) -> list[Any]:
    """All that a reader gives, and the error it ends in; it must never suspend, as in the sync client."""
    given_out: list[Any] = []

    async def collect() -> None:
        try:
            async for item in reader(body(chunks)):
                given_out.append(item)  # noqa: PERF401 - what comes before an error counts
        except APIError as error:
            given_out.append((type(error), str(error)))

    with pytest.raises(StopIteration):
        collect().send(None)
    return given_out


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks: list[bytes] = []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    return [*chunks, data]


def limited_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    return lines(chunks, max_length=5)


def limited_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
    return events(chunks, max_length=12)


def utf16_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    return lines(chunks, "utf-16-le")


pieces_of_streams = st.sampled_from(
    b"\n|\r|\r\n|data|data:|data: x|id: 7|id:\0|event: e|retry: 10|:| |\xef|\xbb\xbf|\xef\xbb\xbf|"
    b"\xe2\x80\xa8|\x85|\x0b|{}|[1]|nul|\xff|a".split(b"|")
)
streams = st.lists(pieces_of_streams, max_size=40).map(b"".join) | st.binary(max_size=60)
splits = st.lists(st.integers(0, 5), max_size=60)


@pytest.mark.parametrize("reader", [lines, ndjson, events, limited_lines, limited_events, utf16_lines])
@given(data=streams, sizes=splits)
@example(data=b"\xef\xbb", sizes=[1])
@example(data=b"a\r\nb\r", sizes=[2, 1, 1])
def test_chunks_make_no_difference(reader: Reader, data: bytes, sizes: list[int]) -> None:
    """Any way of cutting the stream gives what the whole gives, errors included."""
    assert read(reader, cut(data, sizes)) == read(reader, [data])


@given(data=st.text(max_size=60), sizes=splits, encoding=st.sampled_from(["utf-8", "utf-16", "utf-32-be"]))
def test_text(data: str, sizes: list[int], encoding: str) -> None:
    """Text comes back whole, also where a character was cut in two."""
    pieces = read(lambda chunks: text(chunks, encoding), cut(data.encode(encoding, "replace"), sizes))
    assert "".join(pieces) == data.encode(encoding, "replace").decode(encoding)
    assert "" not in pieces


def test_text_replaces() -> None:
    """Bytes that do not fit become U+FFFD, also when the stream ends inside a character."""
    assert read(text, [b"a\xff", b"\xe2\x82"]) == ["a�", "�"]


def test_unknown_encoding() -> None:
    """An encoding that Python does not know is the caller's error."""
    assert read(lambda chunks: lines(chunks, "klingon"), [b"x"])[0][0] is ConfigurationError


@given(data=streams)
def test_lines(data: bytes) -> None:
    """Lines end where universal newlines end, and nowhere else: not at U+2028, U+0085 or a vertical tab."""
    expected = re.sub("\r\n?", "\n", data.decode(errors="replace")).split("\n")
    assert read(lines, [data]) == (expected if expected[-1] else expected[:-1])


def test_line_at_the_limit() -> None:
    """A line of exactly the limit passes; one character more is refused with the option to raise, finished or not."""
    assert read(limited_lines, [b"12345\n12345\r\n12345"]) == ["12345"] * 3
    for data in (b"123456", b"123456\n"):
        assert read(limited_lines, [b"ok\n", data]) == [
            "ok",
            (ResponseTooLarge, "a line of the stream is longer than 5 characters: raise max_length if it may be"),
        ]
    assert read(lambda chunks: lines(chunks, max_length=None), [b"123456"]) == ["123456"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    items=st.lists(values, max_size=8),
    end=st.sampled_from(["\n", "\r\n", "\n\n", " \n\t\n"]),
    sizes=splits,
    raw=st.booleans(),
)
def test_ndjson_round_trip(items: list[Any], end: str, sizes: list[int], raw: bool) -> None:
    """One value per line, blank lines skipped, the last line with or without an end."""
    data = end.join(json.dumps(item, ensure_ascii=raw) for item in items).encode()
    assert read(ndjson, cut(data, sizes)) == items


@pytest.mark.parametrize(
    ("data", "number"),
    [(b"{}\n\n{bad\n", 3), (b"\xff\n", 1), (b"[1]\n\x00[\x001\x00]\x00", 2), (b"[" * 200_000, 1), (b"1" * 5000, 1)],
    ids=["broken", "no UTF-8", "UTF-16", "deep", "long number"],
)
def test_ndjson_names_the_line(data: bytes, number: int) -> None:
    """A line that is no JSON is a DecodeError with its number; what came before it has been given."""
    kind, message = read(ndjson, [data])[-1]
    assert kind is DecodeError
    assert message.startswith(f"line {number} is no JSON (")


def test_ndjson_parser_of_choice() -> None:
    """Another parser may be given, which gets the line's bytes; a byte order mark before the first is no part of it."""
    seen: list[bytes] = []
    assert read(lambda chunks: ndjson(chunks, loads=seen.append), [b"\xef\xbb\xbf[1]\n\xef\xbb\xbf2"]) == [None, None]
    assert seen == [b"[1]", b"\xef\xbb\xbf2"]


E = ServerSentEvent


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"data: a\n\n", [E("message", "a")]),
        (b"data:a\rdata: b\r\rdata:  c\r\n\r\n", [E("message", "a\nb"), E("message", " c")]),
        (b"event: add\ndata: 73\n\nevent: add\n\ndata: x\n\n", [E("add", "73"), E("message", "x")]),
        (b": comment\n\n:\ndata: a\n:data: b\n\n", [E("message", "a")]),
        (b"data\n\ndata\ndata\n\ndata:", [E("message", ""), E("message", "\n")]),
        (
            b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
            [E("message", "a", "1"), E("message", "b", "1"), E("message", "c")],
        ),
        (b"id: 1\n\nid: 2\0\ndata: a\n\n", [E("message", "a", "1")]),
        (b"retry: 300\n\ndata: a\n\n", [E("message", "a", "", 300)]),
        ("retry: 3x\nretry:\nretry: -1\nretry: ٣\nretry: 1000000000000000\ndata: a\n\n".encode(), [E("message", "a")]),
        (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [E("message", "a")]),
        ("data: a\u2028b\x85c\x0bd\n\n".encode(), [E("message", "a\u2028b\x85c\x0bd")]),
        (b"Data: a\ndat: b\nfoo\n data: c\ndata : d\n\n", []),
        (b"data: a\n\ndata: b\n", [E("message", "a")]),
        (b"data: a\xff\n\n", [E("message", "a�")]),
        (b"", []),
    ],
)
def test_events(data: bytes, expected: list[ServerSentEvent]) -> None:
    """The WHATWG's rules, one by one."""
    assert read(events, [data]) == expected


def model(data: bytes) -> list[ServerSentEvent]:
    """The standard's own algorithm (section 9.2.6), word by word, on the whole stream."""
    stream = data.decode(errors="replace").removeprefix("﻿")
    buffer, kind, last, retry, found = "", "", "", None, []
    for line in re.split("\r\n|\r|\n", stream)[:-1]:
        if line == "":
            if buffer != "":
                found.append(ServerSentEvent(kind or "message", buffer.removesuffix("\n"), last, retry))
            buffer = kind = ""
            continue
        name, value = line.split(":", 1) if ":" in line else (line, "")
        value = value[1:] if value[:1] == " " else value
        if name == "data":
            buffer += value + "\n"
        if name == "event":
            kind = value
        if name == "id" and "\0" not in value:
            last = value
        if name == "retry" and re.fullmatch("[0-9]{1,15}", value):
            retry = int(value)
    return found


@given(data=streams)
def test_events_follow_the_model(data: bytes) -> None:
    """On any bytes the parser agrees with the standard's algorithm."""
    assert read(events, [data]) == model(data)


@pytest.mark.parametrize("data", [b"data: 123456\ndata: 123456\n", b"data: 1234567\n", b"data\n" * 14])
def test_event_at_the_limit(data: bytes) -> None:
    """Neither one line nor many may make an event larger than the limit."""
    assert read(limited_events, [b"data: 12345\ndata: 123456\n\n"]) == [E("message", "12345\n123456")]
    kind, message = read(limited_events, [data])[-1]
    assert kind is ResponseTooLarge
    assert "longer than 12 characters: raise max_length" in message


@pytest.mark.parametrize("reader", [text, lines, ndjson, events])
@pytest.mark.parametrize("size", [1, 100])
def test_one_endless_line_is_linear(reader: Reader, size: int) -> None:
    """Ten times the length of an unfinished line costs ten times the steps and copies, not a hundred times."""

    def work(length: int) -> int:
        steps = 0

        def trace(frame: object, event: str, argument: object) -> None:
            nonlocal steps
            steps += 1

        chunks = [b"1" * size] * (length // size)
        sys.setprofile(trace)
        try:
            read(reader, chunks)
        finally:
            sys.setprofile(None)
        return steps

    assert work(100_000) < 11 * work(10_000)


def test_many_bytes_in_one_line() -> None:
    """An unfinished line of many one-byte chunks ends whole."""
    (line,) = read(lines, (b"x" for _ in range(300_000)))
    assert line == "x" * 300_000
