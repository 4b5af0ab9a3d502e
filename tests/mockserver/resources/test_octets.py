"""Bytes, parts of them, slow ones, and content codings."""

import email
import email.policy
import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mockserver.resources.coding import choose
from mockserver.resources.octets import read_ranges
from rest_api_client.script import Chunk, Delay, End, Head
from tests.mockserver.resources.site import Site

DECODERS = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


def test_bytes_are_the_seed_s() -> None:
    """The same seed, the same bytes; a longer answer begins with the shorter one."""
    assert Site().get("/bytes/40000").body == Site().get("/bytes/40000").body
    assert Site().get("/bytes/40000").body[:100] == Site().get("/bytes/100").body
    assert Site(seed=1).get("/bytes/100").body != Site().get("/bytes/100").body
    assert len(Site().get("/bytes/40000").body) == 40000


WHOLE = Site().get("/bytes/40000").body


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=0-", 0, 40000), ("bytes=16000-33000", 16000, 33001), ("bytes=-5", 39995, 40000),
     ("bytes=-99999", 0, 40000), ("bytes=39999-99999", 39999, 40000), ("BYTES=5-9", 5, 10), ("bytes= 5-9 ", 5, 10)],
)  # fmt: skip
def test_a_range_is_that_part(site: Site, header: str, start: int, stop: int) -> None:
    """206 with the place; over the borders of the blocks the bytes are made in."""
    answer = site.get("/range/40000", {"range": header})
    assert (answer.status, answer.body) == (206, WHOLE[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/40000"
    assert answer.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-1", "bytes=1-2,x", "lines=1-2", "bytes=1--2",
     "bytes=0-,0-", "bytes=" + ",".join("0-1" for _ in range(17)), "bytes=" + "9" * 5000 + "-"],
)  # fmt: skip
def test_a_range_that_cannot_be_followed_means_the_whole(site: Site, header: str) -> None:
    """200, as section 14.2 allows; no small request gets an answer longer than the thing."""
    answer = site.get("/range/40000", {"range": header})
    assert (answer.status, len(answer.body), answer.headers["accept-ranges"]) == (200, 40000, "bytes")


@pytest.mark.parametrize("header", ["bytes=40000-", "bytes=40000-40001,50000-", "bytes=-0"])
def test_a_range_behind_the_end_is_a_416(site: Site, header: str) -> None:
    """It tells the length."""
    answer = site.get("/range/40000", {"range": header})
    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */40000")
    assert site.get("/range/0", {"range": "bytes=0-"}).status == 416


def test_several_ranges_come_as_parts_of_one_body(site: Site) -> None:
    """multipart/byteranges, in the order asked; those behind the end are left out."""
    answer = site.get("/range/40000", {"range": "bytes=100-109, 0-4, 99999-, -3"})
    message = email.message_from_bytes(
        b"content-type: " + answer.headers["content-type"].encode() + b"\r\n\r\n" + answer.body,
        policy=email.policy.HTTP,
    )
    parts = [(part["content-range"], part.get_payload(decode=True)) for part in message.iter_parts()]
    assert parts == [
        ("bytes 100-109/40000", WHOLE[100:110]),
        ("bytes 0-4/40000", WHOLE[:5]),
        ("bytes 39997-39999/40000", WHOLE[-3:]),
    ]


def test_a_part_of_another_state_is_the_whole(site: Site) -> None:
    """If-Range wants the same strong tag, or exactly the same date."""
    first = site.get("/range/100")
    tag, date = first.headers["etag"], first.headers["last-modified"]
    statuses = {
        given: site.get("/range/100", {"range": "bytes=0-4", "if-range": given}).status
        for given in (tag, date, f"W/{tag}", '"x"', "Thu, 01 Jan 1970 00:00:00 GMT", "nonsense")
    }
    assert list(statuses.values()) == [206, 206, 200, 200, 200, 200]


def test_a_head_or_a_304_has_no_range(site: Site) -> None:
    """Section 14.2: Range means something for GET only, and preconditions come first."""
    tag = site.get("/range/100").headers["etag"]
    assert site.ask("HEAD", "/range/100", {"range": "bytes=0-4"}).status == 200
    assert site.get("/range/100", {"range": "bytes=0-4", "if-none-match": tag}).status == 304


@given(st.text("0123456789-, =bytes", max_size=40), st.integers(0, 50))
def test_ranges_lie_within_and_are_no_longer_than_the_whole(header: str, size: int) -> None:
    """Whatever is asked for."""
    ranges = read_ranges(header, size) or []
    assert all(0 <= start < stop <= size for start, stop in ranges)
    assert sum(stop - start for start, stop in ranges) <= size


def test_a_drip_is_a_script_of_pauses(site: Site) -> None:
    """After the delay the head, then bytes over the duration, in at most 1,000 pieces."""
    script = site.get("/drip?numbytes=3&duration=6&delay=1&code=206").script
    head = Head(206, (("content-type", "application/octet-stream"), ("content-length", "3")))
    one = (Chunk(b"*"), Delay(2))
    assert script.steps == (Delay(1), head, *one, *one, *one, End())
    many = site.get("/drip?numbytes=100000&duration=60")
    assert (len(many.script.steps), len(many.body)) == (2002, 100_000)
    assert site.get("/drip?numbytes=0").body == b""


def test_a_stream_comes_in_lines(site: Site) -> None:
    """Each a chunk of its own, of no length told beforehand."""
    answer = site.get("/stream/3")
    assert next(step for step in answer.script.steps if isinstance(step, Chunk)).data.startswith(b'{"id":0,')
    assert (len(answer.script.steps), answer.headers["transfer-encoding"]) == (5, "chunked")


@pytest.mark.parametrize("path", ["/bytes/x", "/bytes/8388609", "/range/-1", "/stream/10001", "/drip?duration=-1",
                                  "/drip?numbytes=9999999", "/drip?code=99"])  # fmt: skip
def test_a_size_out_of_bounds_is_a_400(site: Site, path: str) -> None:
    """Everything is bounded."""
    assert site.get(path).status == 400


@pytest.mark.parametrize(
    ("path", "coding"), [("/gzip", "gzip"), ("/deflate", "deflate"), ("/brotli", "br"), ("/zstd", "zstd")]
)
def test_a_coding_can_be_had_unasked(site: Site, path: str, coding: str) -> None:
    """Whatever the client accepts."""
    answer = site.get(path, {"accept-encoding": "identity"})
    assert answer.headers["content-encoding"] == coding
    assert DECODERS[coding](answer.body).startswith(b'{"' + path[1:].encode())


@pytest.mark.parametrize("coding", list(DECODERS))
@pytest.mark.parametrize("path", ["/users?per_page=10", "/bytes/600"])
def test_a_body_is_compressed_for_who_accepts_it(site: Site, coding: str, path: str) -> None:
    """With its own length and Vary; the same bytes come out."""
    plain, answer = site.get(path), site.get(path, {"accept-encoding": coding})
    assert DECODERS[coding](answer.body) == plain.body
    assert answer.headers["content-length"] == str(len(answer.body))
    assert plain.headers["vary"] == answer.headers["vary"] == "accept-encoding"
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize(
    ("accepted", "size", "coding"),
    [
        (None, 9999, None),
        ("", 9999, None),
        ("gzip", 9999, "gzip"),
        ("gzip", 499, None),
        ("gzip, identity;q=0", 10, "gzip"),
        ("gzip;q=0", 9999, None),
        ("*", 9999, "br"),
        ("*;q=0.5, zstd", 9999, "zstd"),
        ("gzip;q=0.5, deflate;q=0.6", 9999, "deflate"),
        ("gzip, deflate, br, zstd", 9999, "br"),
        ("identity, gzip;q=0.5", 9999, None),
        ("identity;q=0.5, gzip", 9999, "gzip"),
        ("*, br;q=0, zstd;q=0", 9999, "gzip"),
        ("GZIP ; Q=1.000", 9999, "gzip"),
        ("gzip;q=2, nonsense nonsense, x", 9999, None),
        ("snappy", 9999, None),
        ("br, *;q=0", 10, "br"),
    ],
)
def test_the_coding_liked_best_is_taken(accepted: str | None, size: int, coding: str | None) -> None:
    """RFC 9110, section 12.5.3."""
    assert choose(accepted, size) == coding


@pytest.mark.parametrize("accepted", ["identity;q=0", "*;q=0", "snappy, identity;q=0"])
def test_who_accepts_nothing_gets_a_406(site: Site, accepted: str) -> None:
    """Also for a small body."""
    assert site.get("/users/1", {"accept-encoding": accepted}).status == 406


def test_a_range_is_of_the_thing_itself(site: Site) -> None:
    """Not of a compressed copy, whatever the client accepts."""
    answer = site.get("/range/40000", {"range": "bytes=0-999", "accept-encoding": "gzip"})
    assert (answer.status, answer.body) == (206, WHOLE[:1000])
    assert "content-encoding" not in answer.headers
