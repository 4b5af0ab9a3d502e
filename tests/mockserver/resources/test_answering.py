"""Answers made to order, and what is said of a request."""

import hashlib
import struct
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.problems import Problem
from mockserver.resources.multipart import split
from rest_api_client.script import Chunk, Delay, End, Head
from tests.mockserver.resources.site import Site


def test_a_weighted_status_is_chance_but_the_same_again() -> None:
    """Three of four; the n-th request of a run is answered like the n-th of the next."""
    runs = [[site.get("/status/200:3,503:1").status for _ in range(400)] for site in (Site(), Site())]
    assert runs[0] == runs[1]
    assert 60 < Counter(runs[0])[503] < 140
    assert Site(seed=1).get("/status/200:0,418").status == 418


def test_what_others_ask_for_changes_nothing() -> None:
    """The count is that of one target."""
    alone, among = Site(), Site()
    wanted = [alone.get("/status/200,500").status for _ in range(20)]
    got = []
    for _ in range(20):
        among.get("/status/200,501")
        got.append(among.get("/status/200,500").status)
    assert got == wanted


def test_a_uuid_is_one_and_comes_again() -> None:
    """Version 4, another for each request, the same in the next run."""
    site = Site()
    first, second = site.get("/uuid").data["uuid"], site.get("/uuid").data["uuid"]
    assert first != second
    assert (first[14], Site().get("/uuid").data["uuid"]) == ("4", first)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("absolute", ["true", "false"])
def test_redirects_lead_to_get_in_the_end(site: Site, status: int, absolute: str) -> None:
    """As many as asked, each with the status asked for, relative or absolute."""
    url, steps = f"/redirect/3?status={status}&absolute={absolute}", 0
    while (answer := site.get(url)).status == status:
        url, steps = answer.headers["location"], steps + 1
        assert url.startswith("http://site.test/" if absolute == "true" else "/")
    assert (answer.status, steps) == (200, 3)
    assert url.endswith("/get")


def test_a_loop_leads_to_itself(site: Site) -> None:
    """For ever."""
    assert site.get("/redirect-loop").headers["location"] == "/redirect-loop"


@pytest.mark.parametrize("url", ["/get", "https://other.test/a?b=c#d", "//other.test/x", "ümlaut", "a b"])
def test_a_redirect_names_any_address_and_fetches_none(site: Site, url: str) -> None:
    """3xx with Location, no body."""
    answer = site.get(f"/redirect-to?url={url.replace('#', '%23')}&status=307")
    assert (answer.status, answer.body) == (307, b"")
    assert answer.headers["location"].isascii()


@pytest.mark.parametrize("query", ["", "url=", "url=javascript:alert(1)", "url=a%0d%0ab", "url=file:///etc/passwd",
                                   "url=http://[x", "url=/&status=200", "url=/&status=304",
                                   "url=" + "a" * 2001])  # fmt: skip
def test_a_redirect_to_nonsense_is_a_400(site: Site, query: str) -> None:
    """No other scheme, no line breaks, no other status."""
    assert site.get(f"/redirect-to?{query}").status == 400


def test_header_fields_can_be_ordered(site: Site) -> None:
    """Repeated ones too, and another content type."""
    answer = site.get("/response-headers?x-a=1&x-a=2&content-type=text/plain")
    assert answer.headers.get_list("x-a") == ["1", "2"]
    assert answer.headers.get_list("content-type") == ["text/plain"]
    assert answer.data == [["x-a", "1"], ["x-a", "2"], ["content-type", "text/plain"]]


@pytest.mark.parametrize(
    "query", ["a=b%0d%0ac:d", "a%0a=b", "=b", "x=%F0%9F%98%80", "Content-Length=5", "transfer-encoding=x"]
)
def test_what_is_no_header_field_is_refused(site: Site, query: str) -> None:
    """And what would break the framing."""
    assert site.get(f"/response-headers?{query}").status == 400


def test_cookies_are_set_shown_and_deleted(site: Site) -> None:
    """By redirects, as a browser would."""
    assert site.get("/cookies/set?a=1&b=2").headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    assert site.get("/cookies", {"cookie": "a=1; b=2"}).data == {"cookies": {"a": "1", "b": "2"}}
    (gone,) = site.get("/cookies/delete?a").headers.get_list("set-cookie") or [""]
    assert "a=;" in gone
    assert "Max-Age=0" in gone
    for bad in ("a%3Bb=1", "a=1%3B%20x", "a=%0d%0a", "=1"):
        assert site.get(f"/cookies/set?{bad}").status == 400


def test_small_things_are_what_they_say(site: Site) -> None:
    """Formats, caches, links, base64."""
    assert site.get("/html").headers["content-type"] == "text/html; charset=utf-8"
    assert site.get("/xml").body.startswith(b"<?xml")
    assert site.get("/json").data["shop"]["items"][0]["name"] == "umbrella"
    assert "שלום" in site.get("/encoding/utf8").body.decode()
    png = site.get("/image/png").body
    assert (png[:8], struct.unpack(">II", png[16:24])) == (b"\x89PNG\r\n\x1a\n", (16, 16))
    assert site.get("/cache/60").headers["cache-control"] == "public, max-age=60"
    assert site.get("/base64/aGk_").body == b"hi?"
    assert site.get("/base64/aGk/").body == b"hi?"
    assert site.get("/base64/!!").status == 400
    assert site.get("/links/3").body.count(b"<a ") == 3


def test_what_was_seen_of_a_request(site: Site) -> None:
    """Taken apart: what repeats is a list."""
    form = site.ask("POST", "/post?a=1&a=2", {"x-b": "3"}, form=[("c", "4"), ("c", "5"), ("d", "")]).data
    assert (form["args"], form["form"], form["data"]) == ({"a": ["1", "2"]}, {"c": ["4", "5"], "d": ""}, "")
    assert (form["headers"]["x-b"], form["origin"], form["url"]) == ("3", "127.0.0.1", "http://site.test/post?a=1&a=2")
    assert site.ask("PUT", "/anything/x/y", json={"a": [1]}).data["json"] == {"a": [1]}
    assert site.ask("PATCH", "/patch", body=b"\xff").data["data"] == "\ufffd"
    assert site.ask("DELETE", "/get").status == 405
    assert site.get("/headers", [("a", "1"), ("a", "2")]).data["headers"]["a"] == ["1", "2"]
    assert site.get("/ip").data == {"origin": "127.0.0.1"}
    assert site.get("/user-agent", {"user-agent": "me"}).data == {"user-agent": "me"}


@pytest.mark.parametrize("body", [b"NaN", b"[" * 100_000, b"1e999", b'"\\ud800"', b"\xff"])
def test_json_that_cannot_be_sent_back_is_null(site: Site, body: bytes) -> None:
    """And no crash."""
    assert site.ask("POST", "/post", body=body).data["json"] is None


def parts(*each: tuple[str, bytes], boundary: bytes = b"XX") -> bytes:
    body = b"".join(b"--" + boundary + b"\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in each)
    return body + b"--" + boundary + b"--\r\n"


MULTIPART = {"content-type": 'multipart/form-data; boundary="XX"'}


def test_an_upload_is_counted_and_digested(site: Site) -> None:
    """Fields and files in their order, and the body as a whole."""
    body = parts(
        ('Content-Disposition: form-data; name="title"', "Grüße".encode()),
        ('content-disposition: form-data; name="f"; filename="a \\"b\\".bin"\r\ncontent-type: image/png', b"\0\r\n--X"),
        ('content-disposition: form-data; name="f"; filename=""', b""),
    )
    told = site.ask("POST", "/upload", MULTIPART, body=body).data
    assert (told["size"], told["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert told["fields"] == [["title", "Grüße"]]
    assert told["files"][0] == {
        "name": "f", "filename": 'a \\"b\\".bin', "content_type": "image/png", "size": 6,
        "sha256": hashlib.sha256(b"\0\r\n--X").hexdigest(),
    }  # fmt: skip
    assert told["files"][1]["size"] == 0
    raw = site.ask("PUT", "/upload", {"content-type": "text/plain"}, body=b"abc").data
    assert (raw["size"], raw["fields"], raw["files"]) == (3, [], [])


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=" + "x" * 71, b""),
        ("multipart/form-data; boundary=XX", b""),
        ("multipart/form-data; boundary=XX", b"--XX\r\n"),
        ("multipart/form-data; boundary=XX", parts(("a: b", b""))),
        ("multipart/form-data; boundary=XX", parts(("content-disposition: form-data", b""))),
        (
            "multipart/form-data; boundary=XX",
            parts(("content-disposition: form-data; name=a\r\nx: " + "y" * 9000, b"")),
        ),
        ("multipart/form-data; boundary=XX", b"--XXnonsense\r\n\r\n\r\n--XX--"),
        ("multipart/form-data; boundary=XX", parts(*[("content-disposition: form-data; name=a", b"")] * 1001)),
        ("application/x-www-form-urlencoded", b"a=1&" * 1001),
    ],
)
def test_an_upload_that_cannot_be_read_is_a_400(site: Site, content_type: str, body: bytes) -> None:
    """With the reason."""
    assert site.ask("POST", "/upload", {"content-type": content_type}, body=body).status == 400


def test_too_much_is_a_413(site: Site) -> None:
    """8 MiB of upload, 1 MiB of echo."""
    assert site.ask("POST", "/upload", body=b"x" * ((8 << 20) + 1)).status == 413
    assert site.ask("POST", "/echo", body=b"x" * ((1 << 20) + 1)).status == 413


@given(st.binary(max_size=200).map(lambda data: b"--XX" + data + b"\r\n--XX--"))
def test_any_bytes_are_parts_or_a_problem(body: bytes) -> None:
    """Nothing else comes of them."""
    with suppress(Problem):
        assert sum(len(part.data) for part in split(body, b"XX")) <= len(body)


def test_a_delay_stands_in_the_script(site: Site) -> None:
    """Nobody waits here; a delay of zero is none."""
    assert site.get("/delay/2.5").script.steps[0] == Delay(2.5)
    assert isinstance(site.get("/delay/0").script.steps[0], Head)


def test_lines_come_at_their_interval(site: Site) -> None:
    """A delay between two, none before the first or behind the last."""
    steps = site.get("/ndjson?count=3&interval=2").script.steps[1:]
    assert [type(step) for step in steps] == [Chunk, Delay, Chunk, Delay, Chunk, End]


def test_events_go_on_where_the_client_stopped(site: Site) -> None:
    """By Last-Event-ID; 204 tells who has seen all not to come back."""
    first = site.get("/sse?count=5&batch=2&retry=1500").body
    assert first == b'retry: 1500\n\nid: 1\ndata: {"n": 1}\n\nid: 2\ndata: {"n": 2}\n\n'
    second = site.get("/sse?count=5&batch=2", {"last-event-id": "2"}).body
    assert second.startswith(b"id: 3\n")
    assert site.get("/sse?count=5&batch=2", {"last-event-id": "4"}).body.count(b"id:") == 1
    assert site.get("/sse?count=5", {"last-event-id": "5"}).status == 204
    assert site.get("/sse", {"last-event-id": "x"}).status == 400
