"""Bodies: sent whole each time, or refused before a byte leaves."""

from __future__ import annotations

import asyncio
import codecs
import copy
import gzip
import io
import os
import pickle
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client.exceptions import ClosedError, ConfigurationError
from rest_api_client.http.bodies import CHUNK, EMPTY, Body, BytesBody, FactoryBody, OneShotBody, ProgressBody, raw_body

DATA = bytes(range(256)) * 600  # more than two chunks


def sent(body: Body) -> bytes:
    """What one attempt puts on the wire."""
    chunks = body.open()
    if isinstance(chunks, AsyncIterator):

        async def collect() -> bytes:
            return b"".join([chunk async for chunk in chunks])

        return asyncio.run(collect())
    return b"".join(chunks)


async def numbers() -> AsyncIterator[bytes]:
    for number in (b"1", b"2"):
        yield number


@pytest.mark.parametrize(
    "content", [b"ab", bytearray(b"ab"), memoryview(b"ab"), memoryview(b"axbx")[::2], "ab", [b"a", b"b"], (b"ab",)]
)
def test_what_is_in_memory_is_sent_again(content: Any) -> None:
    """Bytes, text and lists of bytes have a length and can be sent any number of times."""
    body = raw_body(content)
    assert body.replayable
    assert body.length == 2
    assert [sent(body), sent(body)] == [b"ab", b"ab"]


def test_what_is_in_memory_is_a_copy() -> None:
    """Changing the caller's buffer or list afterwards does not change the request."""
    buffer, chunks = bytearray(b"ab"), [b"ab"]
    bodies = [raw_body(buffer), raw_body(chunks)]
    buffer[:] = b"xx"
    chunks.append(b"xx")
    assert [sent(body) for body in bodies] == [b"ab", b"ab"]


def test_bytes_bodies_are_values() -> None:
    """Equal bytes are equal bodies; the repr shows the size alone; nothing gives no chunk."""
    assert BytesBody(b"a") == BytesBody(b"a") != BytesBody(b"b")
    assert hash(BytesBody(b"a")) == hash(BytesBody(b"a"))
    assert BytesBody(b"a") != b"a"
    assert repr(BytesBody(b"hunter2")) == "<BytesBody 7 bytes>"
    assert list(EMPTY.open()) == []
    assert pickle.loads(pickle.dumps(EMPTY)) == EMPTY


@given(st.binary(max_size=200), st.integers(0, 250))
def test_a_file_is_sent_from_where_it_stood(data: bytes, position: int) -> None:
    """Each attempt gets the same bytes: from the position at building, to the end as it was then."""
    file = io.BytesIO(data)
    file.seek(position)
    body = raw_body(file)
    assert body.replayable
    assert body.length == len(data[position:])
    assert file.tell() == position
    assert sent(body) == data[position:]
    file.seek(0, io.SEEK_END)
    file.write(b"grown")
    assert sent(body) == data[position:]
    assert not file.closed


def test_a_large_file_is_read_in_chunks(tmp_path: Path) -> None:
    """No chunk is larger than CHUNK, and a path gives the same as an open file."""
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        for body in (raw_body(file), raw_body(path)):
            chunks = list(body.open())  # type: ignore[arg-type]
            assert max(map(len, chunks)) == CHUNK
            assert b"".join(chunks) == DATA
            assert body.length == len(DATA)
            assert sent(body) == DATA


def test_a_half_sent_file_starts_again(tmp_path: Path) -> None:
    """An attempt that broke off in the middle does not shorten the next one."""
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        body = raw_body(file)
        next(body.open())  # type: ignore[arg-type]
        assert sent(body) == DATA


def test_a_file_that_shrank_ends_early(tmp_path: Path) -> None:
    """The bytes that are left come, fewer than announced: the engine sees the difference."""
    path = tmp_path / "data"
    path.write_bytes(b"12345")
    body = raw_body(path)
    path.write_bytes(b"12")
    assert (body.length, sent(body)) == (5, b"12")


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.open(),
        lambda path: tempfile.NamedTemporaryFile("w+"),  # noqa: SIM115  the test closes it
        lambda path: tempfile.SpooledTemporaryFile(mode="w+"),  # noqa: SIM115  the test closes it
        lambda path: codecs.open(str(path), encoding="utf-8"),  # noqa: SIM115  the test closes it
        lambda path: io.StringIO("text"),
        lambda path: gzip.open(path, "rt"),  # noqa: SIM115  the test closes it
    ],
)
def test_a_text_file_is_refused(make: Callable[[Path], Any], tmp_path: Path) -> None:
    """Text of any make is refused when the request is built, with the mode that works."""
    path = tmp_path / "text"
    path.write_text("text")
    with make(path) as file, pytest.raises(ConfigurationError, match="open it with mode 'rb'"):
        raw_body(file)


def test_binary_files_of_odd_modes_are_taken(tmp_path: Path) -> None:
    """gzip's files, members of archives and spooled files give bytes, whatever they call their mode."""
    packed, archive = tmp_path / "data.gz", tmp_path / "data.zip"
    packed.write_bytes(gzip.compress(b"inside"))
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("member", b"inside")
    with (
        gzip.open(packed) as one,
        zipfile.ZipFile(archive) as reader,
        reader.open("member") as two,
        tempfile.SpooledTemporaryFile() as three,
    ):
        three.write(b"inside")
        three.seek(0)
        for file in (one, two, three):
            body = raw_body(file)  # type: ignore[arg-type]
            assert (body.length, sent(body), sent(body)) == (6, b"inside", b"inside")


def test_a_file_for_writing_is_refused(tmp_path: Path) -> None:
    """It is found out before anything is sent, not at the first read."""
    with (tmp_path / "x").open("wb") as file, pytest.raises(ConfigurationError, match="writing alone"):
        raw_body(file)


def test_a_closed_file_is_refused(tmp_path: Path) -> None:
    """Closed before the request: a configuration error; closed between two attempts: a ClosedError."""
    file = (tmp_path / "x").open("w+b")
    body = raw_body(file)
    file.close()
    with pytest.raises(ClosedError, match="again"):
        body.open()
    with pytest.raises(ConfigurationError, match="cannot read"):
        raw_body(file)


def test_a_pipe_is_sent_once(tmp_path: Path) -> None:
    """What cannot seek has no length and is never sent twice, by handle or by path."""
    reading, writing = os.pipe()
    os.write(writing, b"once")
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        body = raw_body(file)
        assert (body.replayable, body.length) == (False, None)
        assert sent(body) == b"once"
        with pytest.raises(ClosedError, match="give bytes"):
            body.open()
    fifo = raw_body(Path("/dev/null"))
    assert (fifo.replayable, fifo.length, sent(fifo)) == (False, None, b"")
    with pytest.raises(ClosedError, match="only once"):
        fifo.open()


class Minimal:
    """A file of few words: all it can do is read."""

    def __init__(self, *chunks: Any) -> None:
        self.chunks = list(chunks)

    def read(self, size: int) -> Any:
        return self.chunks.pop(0) if self.chunks else b""


def test_an_object_that_only_reads_is_a_one_shot_file() -> None:
    """Any object with `read` will do; what gives no bytes is named."""
    body = raw_body(Minimal(b"a", bytearray(b"b")))  # type: ignore[arg-type]
    assert (body.replayable, body.length, sent(body)) == (False, None, b"ab")
    for odd in ("text", None):
        with pytest.raises(ConfigurationError, match=f"gave {type(odd).__name__}"):
            sent(raw_body(Minimal(odd)))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["missing", ".", "nul\x00"])
def test_a_path_that_is_no_file_is_refused(path: str, tmp_path: Path) -> None:
    """Missing files and folders are found before anything is sent."""
    with pytest.raises(ConfigurationError, match=r"cannot read|directory"):
        raw_body(tmp_path / path)


def test_a_path_that_went_away_is_a_closed_error(tmp_path: Path) -> None:
    """A file deleted between two attempts cannot be sent again, and that is said."""
    path = tmp_path / "x"
    path.write_bytes(b"x")
    body = raw_body(path)
    path.unlink()
    with pytest.raises(ClosedError, match="cannot read"):
        sent(body)


def test_an_iterator_is_sent_once() -> None:
    """A generator, sync or async, is gone once read: the second `open` is refused."""
    for source in (iter([b"1", b"2"]), (c for c in (b"1", b"", b"2")), numbers(), {b"12"}):
        body = raw_body(source)
        assert (body.replayable, body.length) == (False, None)
        assert sent(body) == b"12"
        with pytest.raises(ClosedError, match="only once"):
            body.open()


def test_a_factory_makes_each_attempt_anew() -> None:
    """A callable may give a generator, an async generator, a list, bytes or an open file."""
    for make in (lambda: iter([b"1", b"2"]), numbers, lambda: [b"12"], lambda: b"12", lambda: io.BytesIO(b"12")):
        body = raw_body(make)  # type: ignore[arg-type]
        assert body.replayable
        assert [sent(body), sent(body)] == [b"12", b"12"]


def test_a_factory_that_gives_the_same_iterator_twice_is_found_out() -> None:
    """A used-up iterator would go out as an empty body."""
    source = iter([b"12"])
    body = raw_body(lambda: source)
    assert sent(body) == b"12"
    with pytest.raises(ClosedError, match="a new one each time"):
        body.open()
    chunks = [b"12"]
    assert [sent(body) for body in [raw_body(lambda: chunks)] * 2] == [b"12", b"12"]


def test_a_file_that_a_factory_opened_is_closed(tmp_path: Path) -> None:
    """It is closed after its last byte, and when the attempt is given up."""
    path = tmp_path / "data"
    path.write_bytes(DATA)
    opened: list[Any] = []

    def make() -> Any:
        opened.append(path.open("rb"))
        return opened[-1]

    body = raw_body(make)
    assert sent(body) == DATA
    half = body.open()
    next(half)  # type: ignore[arg-type]
    half.close()  # type: ignore[union-attr]
    assert [file.closed for file in opened] == [True, True]


@pytest.mark.parametrize("content", [5, None, 1.5, {"a": 1}, object()])
def test_what_is_no_body_is_refused(content: Any) -> None:
    """The message says what may be given; for a dict, where it belongs."""
    with pytest.raises(ConfigurationError, match=f"content={type(content).__name__}"):
        raw_body(content)


@pytest.mark.parametrize("made", [5, None, "text", {"a": 1}])
def test_what_a_factory_may_not_give(made: Any) -> None:
    """Text and the like are refused before the first byte."""
    with pytest.raises(ConfigurationError, match="iterable of bytes"):
        raw_body(lambda: made).open()


def test_text_chunks_are_refused() -> None:
    """A chunk that is no bytes is named by its type; in a list it is found at building."""

    async def texts() -> AsyncIterator[Any]:
        yield "text"

    for content in (iter(["text"]), texts(), iter([5])):
        with pytest.raises(ConfigurationError, match=r"a chunk of the body is (str|int)"):
            sent(raw_body(content))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="a chunk of the body is str"):
        raw_body(["text"])  # type: ignore[list-item]


def test_half_a_surrogate_pair_is_refused() -> None:
    """Text without UTF-8 is refused when the request is built."""
    with pytest.raises(ConfigurationError, match="surrogate"):
        raw_body("\ud800")


def test_empty_chunks_are_left_out() -> None:
    """An empty chunk would end a chunked body on the wire."""

    async def source() -> AsyncIterator[bytes]:
        for chunk in (b"", b"a", b""):
            yield chunk

    assert sent(ProgressBody(raw_body(source()), lambda done, total: done or pytest.fail("an empty chunk"))) == b"a"
    assert list(raw_body(iter([b"", b"a", b"", b"b", b""])).open()) == [b"a", b"b"]  # type: ignore[arg-type]


def test_progress_counts_each_attempt_from_0() -> None:
    """Told are the bytes handed over and the bytes in all, where known; async bodies too."""
    told: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None) -> None:
        told.append((done, total))

    body = ProgressBody(BytesBody(b"12"), progress)
    assert (body.length, body.replayable) == (2, True)
    assert [sent(body), sent(body)] == [b"12", b"12"]
    assert told == [(2, 2), (2, 2)]
    told.clear()
    assert sent(ProgressBody(raw_body(iter([b"1", b"23"])), progress)) == b"123"
    assert sent(ProgressBody(raw_body(numbers), progress)) == b"12"
    assert told == [(1, None), (3, None), (1, None), (2, None)]


def test_giving_up_an_async_upload_ends_its_source() -> None:
    """The caller's async generator runs its `finally` when the attempt is over, not when it is collected."""
    ended: list[bool] = []

    async def source() -> AsyncIterator[bytes]:
        try:
            yield b"1"
            yield b"2"
        finally:
            ended.append(True)

    async def give_up() -> None:
        chunks: Any = ProgressBody(raw_body(source()), lambda done, total: None).open()
        assert await anext(chunks) == b"1"
        await chunks.aclose()
        assert ended == [True]

    asyncio.run(give_up())


class Countdown:
    """An async iterator that is no generator."""

    def __init__(self) -> None:
        self.left = 2

    def __aiter__(self) -> Countdown:
        return self

    async def __anext__(self) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise StopAsyncIteration
        return b"x"

    def read(self) -> None:
        """Async files have this too, but it is no file's."""


def test_an_async_iterable_is_read_as_one() -> None:
    """Also where it has a `read`, as async files do."""
    assert sent(raw_body(Countdown())) == b"xx"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda body: pickle.loads(pickle.dumps(body))])
def test_what_belongs_to_a_process_stays_there(duplicate: Callable[[Body], Body]) -> None:
    """Duplicates of files, iterators and factories know their length and cannot be sent."""
    file = io.BytesIO(b"12")
    for body in (
        raw_body(file),
        OneShotBody(iter([b"12"]), 2),
        FactoryBody(lambda: [b"12"], 2),
        ProgressBody(BytesBody(b"12"), print),
    ):
        twin = duplicate(body)
        assert (twin.length, twin.replayable) == (2, False)
        with pytest.raises(ClosedError, match="stayed in the process"):
            twin.open()


def test_a_path_travels(tmp_path: Path) -> None:
    """A path means the same in another process."""
    path = tmp_path / "x"
    path.write_bytes(b"x")
    assert sent(pickle.loads(pickle.dumps(raw_body(path)))) == b"x"


def lines() -> Iterator[bytes]:
    yield b"x"


def test_the_words_of_the_seam() -> None:
    """Each kind of body fits the protocol that engines read."""
    for body in (EMPTY, raw_body(lines()), raw_body(lines), ProgressBody(EMPTY, print)):
        assert isinstance(body.replayable, bool)
        assert body.length is None or body.length >= 0


def test_a_generator_that_is_used_up_is_refused() -> None:
    """It would be sent as an empty body; the error says to make a new one."""

    def pieces() -> Iterator[bytes]:
        yield b"once"

    async def slow_pieces() -> AsyncIterator[bytes]:
        yield b"once"

    used, slow = pieces(), slow_pieces()
    assert list(used) == [b"once"]
    with pytest.raises(StopIteration):
        slow.aclose().send(None)  # type: ignore[attr-defined]
    for generator in (used, slow):
        with pytest.raises(ConfigurationError, match="used up"):
            raw_body(generator)
