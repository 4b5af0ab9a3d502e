"""Content decoding: right, whatever the chunks, and never more than the limits allow."""

from __future__ import annotations

import gzip
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress

import brotli
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from rest_api_client.exceptions import ConfigurationError, DecodeError, ResponseTooLarge
from rest_api_client.http import decoding
from rest_api_client.http.body_limits import BodyLimits, BodyMeter
from rest_api_client.http.decoding import PIECE, Decoder, accept_encoding, content_encodings


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate, zlib": ("deflate", zlib.compress),
    "deflate, raw": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
}
every_encoding = pytest.mark.parametrize(("name", "encode"), ENCODERS.values(), ids=ENCODERS)
UNLIMITED = BodyLimits(max_decoded_bytes=None, max_ratio=None)


def chunks_of(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


def decoded(decoder: Decoder, chunks: Iterator[bytes] | list[bytes]) -> bytes:
    pieces = [piece for chunk in chunks for piece in decoder.decode(chunk)]
    decoder.finish()
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


bodies = st.binary(max_size=2000) | st.tuples(st.binary(max_size=20), st.integers(1, 20_000)).map(lambda x: x[0] * x[1])
splits = st.lists(st.integers(0, 100), max_size=20)


@every_encoding
@given(body=bodies, sizes=splits)
def test_round_trip(name: str, encode: Callable[[bytes], bytes], body: bytes, sizes: list[int]) -> None:
    """What was encoded comes back, however the chunks are cut."""
    assert decoded(Decoder([name], UNLIMITED), chunks_of(encode(body), sizes)) == body


@every_encoding
def test_byte_by_byte(name: str, encode: Callable[[bytes], bytes]) -> None:
    """One byte at a time gives the same as all at once."""
    body = bytes(range(256)) * 300
    data = encode(body)
    assert decoded(Decoder([name]), [data[i : i + 1] for i in range(len(data))]) == body


@given(names=st.lists(st.sampled_from(sorted(ENCODERS)), max_size=5), body=st.binary(max_size=300), sizes=splits)
def test_chain(names: list[str], body: bytes, sizes: list[int]) -> None:
    """A chain of encodings is undone from the last to the first."""
    data = body
    for name in names:
        data = ENCODERS[name][1](data)
    decoder = Decoder([ENCODERS[name][0] for name in names])
    assert decoded(decoder, chunks_of(data, sizes)) == body
    assert (decoder.raw_bytes, decoder.decoded_bytes) == (len(data), len(body))


@every_encoding
def test_large_output_comes_whole(name: str, encode: Callable[[bytes], bytes]) -> None:
    """Nothing stays inside a codec when one chunk stands for megabytes."""
    body = b"\0" * 3_000_001
    assert sum(map(len, Decoder([name], UNLIMITED).decode(encode(body)))) == len(body)


@pytest.mark.parametrize("encodings", [[], ["identity"]])
def test_identity(encodings: list[str]) -> None:
    """Without an encoding the body passes in pieces, and is counted."""
    decoder = Decoder(encodings)
    assert decoded(decoder, [b"a" * 100_000, b"", b"b"]) == b"a" * 100_000 + b"b"
    assert decoder.decoded_bytes == decoder.raw_bytes == 100_001


def test_what_is_not_encoded_can_pass_uncut() -> None:
    """A large piece stays one, and is counted; what is encoded is decoded in small ones all the same."""
    body = b"a" * 100_000
    whole = Decoder(split=False)
    assert list(whole.decode(body)) == [body]
    assert whole.decoded_bytes == len(body)
    assert max(map(len, Decoder(["gzip"], split=False).decode(gzip.compress(body)))) == PIECE


@every_encoding
def test_empty_body(name: str, encode: Callable[[bytes], bytes]) -> None:
    """A body that is not there (HEAD, 204, 304) is complete, whatever encoding its headers name."""
    assert decoded(Decoder([name]), []) == b""
    assert decoded(Decoder([name, name]), [b""]) == b""


@every_encoding
@given(data=st.data())
def test_truncated(name: str, encode: Callable[[bytes], bytes], data: st.DataObject) -> None:
    """A body cut anywhere but at its start is an error, not a short body."""
    whole = encode(b"some text, some text, some more text")
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(DecodeError, match=r"ends in the middle of its \S+ data, after \d+ bytes"):
        decoded(Decoder([name]), [whole[:cut]])


@every_encoding
def test_corrupt(name: str, encode: Callable[[bytes], bytes]) -> None:
    """Bytes that are not the encoding end in our error, chained to the library's."""
    with pytest.raises(DecodeError, match=f"not the {name.removeprefix('x-')} data") as caught:
        decoded(Decoder([name]), [b"<html>this is not compressed at all</html>" * 3])
    assert caught.value.__cause__ is not None


@every_encoding
@given(junk=st.binary(max_size=60), at=st.integers(0, 40), sizes=splits)
def test_any_bytes_end_in_our_tree(
    name: str, encode: Callable[[bytes], bytes], junk: bytes, at: int, sizes: list[int]
) -> None:
    """Whatever is sent, only our own errors come out."""
    data = encode(b"some text, some text, some more text")
    with suppress(DecodeError):
        decoded(Decoder([name]), chunks_of(data[:at] + junk + data[at + len(junk) :], sizes))


SKIPPABLE = struct.pack("<II", 0x184D2A53, 3) + b"abc"


@pytest.mark.parametrize(
    ("name", "data", "body"),
    [
        (
            "gzip",
            gzip.compress(b"one ", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"two", mtime=0),
            b"one two",
        ),
        ("gzip", gzip.compress(b"one", mtime=0) + b"\0" * 512, b"one"),
        ("gzip", gzip.compress(b"one", mtime=0) + b"\r\n", b"one"),
        ("gzip", gzip.compress(b"one", mtime=0) + b"\x1f", b"one"),
        ("gzip", gzip.compress(b"one", mtime=0) + b"\x1fstray", b"one"),
        ("deflate", zlib.compress(b"one") + zlib.compress(b"two"), b"one"),
        ("zstd", zstandard.compress(b"one ") + SKIPPABLE + zstandard.compress(b"two"), b"one two"),
        ("zstd", SKIPPABLE, b""),
        ("zstd", zstandard.compress(b"one") + b"stray bytes", b"one"),
    ],
)
@given(sizes=splits)
@example(sizes=[])
@example(sizes=[1] * 80)
def test_what_follows_a_stream(name: str, data: bytes, body: bytes, sizes: list[int]) -> None:
    """A stream may follow another; bytes that begin none are ignored, wherever the chunks end."""
    assert decoded(Decoder([name]), chunks_of(data, sizes)) == body


def test_broken_second_member() -> None:
    """What begins like another gzip member is held to be one."""
    with pytest.raises(DecodeError):
        decoded(Decoder(["gzip"]), [gzip.compress(b"one", mtime=0) + b"\x1f\x8bnot a member"])


@pytest.mark.parametrize("chunks", [[b"one", b"two"], [b"one" + b"two"]], ids=["later", "at once"])
def test_bytes_behind_brotli(chunks: list[bytes]) -> None:
    """Bytes behind a brotli stream are an error, in the same chunk and in a later one."""
    one = brotli.compress(b"one")
    assert decoded(Decoder(["br"]), [one]) == b"one"
    with pytest.raises(DecodeError):
        decoded(Decoder(["br"]), [chunk.replace(b"one", one) for chunk in chunks])


@every_encoding
def test_bomb_stops_at_the_size_limit(name: str, encode: Callable[[bytes], bytes]) -> None:
    """The decoder never gives a byte beyond the limit, and says which option to raise."""
    limits = BodyLimits(max_decoded_bytes=1_000_000, max_ratio=None)
    given_out: list[int] = []
    with pytest.raises(ResponseTooLarge, match=r"larger than 1000000 bytes .* BodyLimits\(max_decoded_bytes"):
        given_out.extend(map(len, Decoder([name], limits).decode(encode(b"\0" * 20_000_000))))
    assert max(given_out) <= PIECE
    assert 1_000_000 - PIECE <= sum(given_out) <= 1_000_000


@every_encoding
def test_bomb_stops_at_the_ratio(name: str, encode: Callable[[bytes], bytes]) -> None:
    """A stream, which may be of any size, is stopped when it grows beyond all reason."""
    data = encode(b"\0" * 20_000_000)
    limits = BodyLimits(ratio_after=500_000).for_stream()
    bound = max(500_000, 200 * len(data))
    given_out: list[int] = []
    with pytest.raises(ResponseTooLarge, match=r"over 200 to 1.*BodyLimits\(max_ratio"):
        given_out.extend(map(len, Decoder([name], limits).decode(data)))
    assert bound - PIECE <= sum(given_out) <= bound


@every_encoding
def test_step_is_small(name: str, encode: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside, too, no more than 2 MiB stand at once, although 20 KB here stand for 64 MiB."""
    largest = 0
    gather = decoding._gather

    def watch(pieces: Iterator[bytes]) -> Iterator[bytes]:
        def watched() -> Iterator[bytes]:
            nonlocal largest
            for piece in pieces:
                largest = max(largest, len(piece))
                yield piece

        return gather(watched())

    monkeypatch.setattr(decoding, "_gather", watch)
    assert sum(map(len, Decoder([name], UNLIMITED).decode(encode(b"\0" * (64 << 20))))) == 64 << 20
    assert 0 < largest <= 2 << 20


def test_bomb_in_the_middle() -> None:
    """A chain that blows up and shrinks again is stopped by what the middle produced."""
    inner = gzip.compress(b"", mtime=0) * 100_000
    limits = BodyLimits(max_decoded_bytes=500_000)
    with pytest.raises(ResponseTooLarge):
        list(Decoder(["gzip", "gzip"], limits).decode(gzip.compress(inner)))


def test_thirty_encodings_are_refused() -> None:
    """A long chain is refused before a byte of it is decoded."""
    with pytest.raises(ResponseTooLarge, match=r"encoded 30 times, more than 5.*max_encodings"):
        Decoder(["gzip"] * 30)
    assert Decoder(["identity"] * 30 + ["gzip"] * 5).left == ()
    assert Decoder(["gzip"] * 6, BodyLimits(max_encodings=None)).left == ()


def test_unknown_encoding_is_left() -> None:
    """From an unknown encoding inwards the body is left as it is, and `left` says so."""
    decoder = Decoder(["gzip", "rot13", "gzip"])
    assert decoder.left == ("gzip", "rot13")
    assert decoded(decoder, [gzip.compress(b"uryyb", mtime=0)]) == b"uryyb"


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_decoded_bytes": 0},
        {"max_ratio": float("nan")},
        {"ratio_after": None},
        {"max_encodings": True},
        {"max_ratio": "9"},
    ],
)
def test_limits_are_checked(wrong: dict[str, object]) -> None:
    """A limit that cannot work is refused with its name and value."""
    ((name, value),) = wrong.items()
    with pytest.raises(ConfigurationError, match=rf"BodyLimits\({name}={value!r}\)"):
        BodyLimits(**wrong)  # type: ignore[arg-type]


def test_meter_counts() -> None:
    """The meter lets a body pass up to its limit exactly."""
    meter = BodyMeter(BodyLimits(max_decoded_bytes=100))
    meter.received(10)
    meter.produced(100)
    assert (meter.raw, meter.decoded) == (10, 100)
    with pytest.raises(ResponseTooLarge):
        meter.produced(1)


@pytest.mark.parametrize(
    ("limits", "passes"),
    [
        (BodyLimits(max_decoded_bytes=None), True),
        (BodyLimits(max_decoded_bytes=None, max_ratio=None), True),
        (BodyLimits(max_decoded_bytes=30), True),
        (BodyLimits(max_decoded_bytes=29), False),
        (BodyLimits(max_decoded_bytes=None, max_ratio=0.5, ratio_after=9), False),
    ],
)
def test_a_body_in_no_encoding_is_held_to_the_same_limits(limits: BodyLimits, passes: bool) -> None:
    """What is given on as it came is counted on both sides; only a ratio below 1 can mean it."""
    decoder = Decoder([], limits)
    with nullcontext() if passes else pytest.raises(ResponseTooLarge):
        pieces = [piece for _ in range(3) for piece in decoder.decode(b"0123456789")]
        assert pieces == [b"0123456789"] * 3
        assert (decoder.raw_bytes, decoder.decoded_bytes) == (30, 30)


def test_content_encodings() -> None:
    """Several fields and lists in them make one chain, in any case and with any blanks."""
    assert content_encodings(["GZip ,\tbr", "", " , zstd"]) == ("gzip", "br", "zstd")
    assert content_encodings([]) == ()


@pytest.fixture
def fresh_libraries() -> Iterator[None]:
    decoding._brotli.cache_clear()
    decoding._zstandard.cache_clear()
    yield
    decoding._brotli.cache_clear()
    decoding._zstandard.cache_clear()


@pytest.mark.usefixtures("fresh_libraries")
def test_without_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, br and zstd are not asked for; a body that comes so all the same says what to install."""
    assert accept_encoding() == "gzip, deflate, br, zstd"
    decoding._brotli.cache_clear()
    decoding._zstandard.cache_clear()
    monkeypatch.setitem(sys.modules, "brotli", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert accept_encoding() == "gzip, deflate"
    for name in ("br", "zstd"):
        assert decoded(Decoder([name]), []) == b""
        with pytest.raises(DecodeError, match=r"install 'rest-api-client-kit\[compression\]'"):
            list(Decoder([name]).decode(b"some bytes"))


@pytest.mark.usefixtures("fresh_libraries")
def test_brotli_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """A brotli that cannot be bounded is not used."""

    class Old:
        class Decompressor:
            pass

    monkeypatch.setitem(sys.modules, "brotli", Old)  # type: ignore[arg-type]
    assert "br" not in accept_encoding()


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("gzip", gzip.compress(b"", mtime=0)),
        ("gzip", gzip.compress(b"a", mtime=0)),
        ("zstd", struct.pack("<II", 0x184D2A50, 0)),
        ("zstd", zstandard.compress(b"a")),
        ("identity", b"a"),
    ],
    ids=["empty gzip", "gzip", "empty zstd", "zstd", "identity"],
)
def test_steps_are_linear(name: str, unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the input takes ten times the steps, not a hundred: hostile runs of tiny streams included."""

    def steps(size: int) -> int:
        count = 0

        def trace(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += 1

        data = unit * (size // len(unit))
        decoder = Decoder([name])
        sys.setprofile(trace)
        try:
            sum(map(len, decoder.decode(data)))
        finally:
            sys.setprofile(None)
        return count

    assert steps(100_000) < 12 * steps(10_000) + 100
