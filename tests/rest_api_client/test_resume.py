"""Downloads that break off: when they go on, when they start anew, and when they are given up; in virtual time."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client import (
    CircuitOpenError,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    ExponentialBackoff,
    ReadError,
    ReadTimeout,
    RetryConfig,
    StatusError,
)
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.events import DownloadResumed, Event, RetryDecided
from rest_api_client.exceptions import APIError
from rest_api_client.http.headers import Headers
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.budget import RetryBudget
from rest_api_client.resume import PROGRESS, content_range, validator
from rest_api_client.script import Chunk, Close, Delay, End, Head, Reset, Script, Stall
from tests.conftest import World
from tests.rest_api_client.chain import a_request
from tests.rest_api_client.faces import any_client

AnyWorld = World[Any]


def head_of(status: int, fields: dict[str, str]) -> Head:
    """A head with these fields."""
    return Head(status, tuple(fields.items()))


DATA = bytes(range(256)) * 1200
TAG = '"v1"'
PLAIN = RetryConfig(strategy=ExponentialBackoff(base=1.0), budget=None)


@dataclass
class Files:
    """A server of one file that breaks off after so many bytes, attempt by attempt, and then no more.

    `change` alters an answer's head before it goes out, by the number of the request.
    """

    breaks: list[int] = field(default_factory=list)
    data: bytes = DATA
    headers: dict[str, str] = field(default_factory=lambda: {"etag": TAG})
    change: Callable[[int, Head], Head | Script] | None = None
    asked: list[str | None] = field(default_factory=list)

    def __call__(self, request: Request, index: int) -> Script:
        wanted = request.headers.get("range")
        self.asked.append(wanted)
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted is not None else 0  # type: ignore[index]
        if wanted is not None:
            assert request.headers["if-range"] == self.headers.get("etag", self.headers.get("last-modified"))
        size = len(self.data)
        if start >= size:
            head = head_of(416, {**self.headers, "content-range": f"bytes */{size}", "content-length": "0"})
        elif wanted is not None:
            part = f"bytes {start}-{size - 1}/{size}"
            head = head_of(206, {**self.headers, "content-range": part, "content-length": str(size - start)})
        else:
            head = head_of(200, {**self.headers, "content-length": str(size)})
        changed = self.change(index, head) if self.change is not None else head
        if isinstance(changed, Script):
            return changed
        start = 0 if changed.status == 200 else start
        body = [] if start >= size else [Chunk(self.data[start:])]
        if index < len(self.breaks):
            return Script(changed, Chunk(self.data[start : start + self.breaks[index]]), Reset())
        return Script(changed, *body, End())


class Told:
    """What a client's sink and a progress function were told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.progress: list[tuple[int, int | None]] = []

    def saved(self, done: int, total: int | None) -> None:
        self.progress.append((done, total))

    @property
    def resumed(self) -> list[tuple[str, int]]:
        return [(event.what, event.at_byte) for event in self.events if isinstance(event, DownloadResumed)]


def fetch(world: AnyWorld, server: Any, target: Path, told: Told | None = None, **options: Any) -> Any:
    """One download; gives the response."""
    told = told or Told()
    settings: dict[str, Any] = {"retry": PLAIN, "circuit_breaker": None, "events": [told.events.append]}
    call = options.pop("call", {})

    async def body() -> Any:
        async with any_client(world, engine=ScriptedTransport(server), **(settings | options)) as client:
            return await client.download("/f", target, on_progress=told.saved, **call)

    return world.run(body)


def failing(world: AnyWorld, server: Any, target: Path, kind: type[APIError], **options: Any) -> Any:
    """One download that fails; nothing is left of it. Gives the error."""
    with pytest.raises(kind) as caught:
        fetch(world, server, target, **options)
    assert list(target.parent.iterdir()) == []
    return caught.value


def test_a_body_that_breaks_off_goes_on(world: AnyWorld, tmp_path: Path) -> None:
    """From the next byte, with the ETag as condition; each attempt has its record, decision and reason."""
    server, told = Files([100_000, 50_000]), Told()
    response = fetch(world, server, tmp_path / "f", told)
    assert (tmp_path / "f").read_bytes() == DATA
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]
    assert told.resumed == [("continued", 100_000), ("continued", 150_000)]
    assert [(a.reason, a.error, a.decision) for a in response.attempts] == [
        ("read error", "ReadError", "retry"),
        ("read error", "ReadError", "retry"),
        ("ok", None, "return"),
    ]
    assert [[note.reason for note in a.notes] for a in response.attempts] == [[], ["continued"], ["continued"]]
    assert response.status_code == 200
    assert told.progress[-1] == (len(DATA), len(DATA))
    assert told.progress == sorted(told.progress)
    assert [e.delay is not None for e in told.events if isinstance(e, RetryDecided)] == [True, True]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"etag": 'W/"v1"'},
        {"etag": "v1"},
        {"etag": TAG, "accept-ranges": "none"},
        {"last-modified": "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"last-modified": "Sun, 06 Nov 1994 08:49:37 GMT", "date": "Sun, 06 Nov 1994 08:49:50 GMT"},
        {"etag": 'W/"v1"', "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT", "date": "Mon, 07 Nov 1994 08:49:37 GMT"},
    ],
)
def test_without_a_strong_validator_it_starts_anew(world: AnyWorld, tmp_path: Path, headers: dict[str, str]) -> None:
    """Nobody could tell whether the rest belongs to the beginning; progress says that it goes back."""
    server, told = Files([100_000], headers=headers), Told()
    fetch(world, server, tmp_path / "f", told)
    assert (tmp_path / "f").read_bytes() == DATA
    assert server.asked == [None, None]
    assert told.resumed == [("started anew", 0)]
    assert (0, len(DATA)) in told.progress


def test_an_old_date_is_a_validator(world: AnyWorld, tmp_path: Path) -> None:
    """A Last-Modified a minute before the answer's own date."""
    dates = {"last-modified": "Sun, 06 Nov 1994 08:49:37 GMT", "date": "Sun, 06 Nov 1994 08:50:37 GMT"}
    server = Files([5], headers=dates)
    fetch(world, server, tmp_path / "f")
    assert server.asked == [None, "bytes=5-"]
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_file_that_changed_comes_whole(world: AnyWorld, tmp_path: Path) -> None:
    """If-Range fails, the server sends 200: the new version alone is kept, its head is the response's."""
    old, new = Files([100_000]), Files(data=b"new" * 1000, headers={"etag": '"v2"'})
    told = Told()

    def serve(request: Request, index: int) -> Script:
        if index == 0:
            return old(request, index)
        assert request.headers["if-range"] == TAG
        return new(a_request(), index)

    response = fetch(world, serve, tmp_path / "f", told)
    assert (tmp_path / "f").read_bytes() == b"new" * 1000
    assert response.headers["etag"] == '"v2"'
    assert told.progress[-1] == (3000, 3000)


def altered(**fields: str | None) -> Callable[[int, Head], Head]:
    """The second answer with other fields; None leaves one out."""

    def change(index: int, head: Head) -> Head:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        merged = {**dict(head.headers), **named}
        kept = {name: value for name, value in merged.items() if value is not None}
        return head_of(head.status, kept) if index == 1 else head

    return change


@pytest.mark.parametrize(
    "change",
    [
        altered(etag='"v2"'),
        altered(etag=None),
        altered(content_range=None),
        altered(content_range="bytes 99-307199/307200"),
        altered(content_range="bytes 101-307199/307200"),
        altered(content_range="bytes 100-307199/400000"),
        altered(content_range="bytes */307200"),
        altered(content_range="items 1-2/3"),
        altered(content_range="bytes 100-307198/307200"),
        altered(content_encoding="gzip"),
    ],
)  # fmt: skip
def test_a_part_that_does_not_fit_is_never_joined(world: AnyWorld, tmp_path: Path, change: Any) -> None:
    """Another version, another place, another length, no word of which: everything comes anew."""
    server, told = Files([100], change=change), Told()
    response = fetch(world, server, tmp_path / "f", told)
    assert (tmp_path / "f").read_bytes() == DATA
    assert server.asked == [None, "bytes=100-", None]
    assert told.resumed == [("does not fit", 100), ("started anew", 0)]
    assert [a.decision for a in response.attempts] == ["retry", "retry", "return"]


def test_a_part_by_date_may_leave_the_date_out(world: AnyWorld, tmp_path: Path) -> None:
    """A 206 need not repeat Last-Modified; another one does not fit."""
    dates = {"last-modified": "Sun, 06 Nov 1994 08:49:37 GMT", "date": "Mon, 07 Nov 1994 08:49:37 GMT"}
    for value, asked in ((None, 2), ("Mon, 07 Nov 1994 00:00:00 GMT", 3)):
        server = Files([100], headers=dates, change=altered(last_modified=value))
        fetch(world, server, tmp_path / "f")
        assert len(server.asked) == asked
        assert (tmp_path / "f").read_bytes() == DATA


def test_a_part_that_ends_early_is_gone_on_from(world: AnyWorld, tmp_path: Path) -> None:
    """A server may send less than was asked for: the rest is fetched as after any break."""

    def short(index: int, head: Head) -> Head | Script:
        if index != 1:
            return head
        fields = {"etag": TAG, "content-range": f"bytes 100-199/{len(DATA)}", "content-length": "100"}
        return Script(head_of(206, fields), Chunk(DATA[100:200]), End())

    server = Files([100], change=short)
    response = fetch(world, server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA
    assert server.asked == [None, "bytes=100-", "bytes=200-"]
    assert response.attempts[1].error == "RemoteProtocolError"


CHUNKED = {"etag": TAG, "transfer-encoding": "chunked"}


def test_a_part_that_runs_over_starts_anew(world: AnyWorld, tmp_path: Path) -> None:
    """More bytes than the range that was announced: nothing of it can be trusted."""

    def long(index: int, head: Head) -> Head | Script:
        fields = {**CHUNKED, "content-range": f"bytes 100-{len(DATA) - 1}/{len(DATA)}"}
        return Script(head_of(206, fields), Chunk(DATA), End()) if index == 1 else head

    server = Files([100], change=long)
    fetch(world, server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA
    assert server.asked == [None, "bytes=100-", None]


def chunked(then: Callable[[Request], Script]) -> Callable[[Request, int], Script]:
    """All of the data in chunks, but no last one; then what `then` says."""

    def serve(request: Request, index: int) -> Script:
        return Script(head_of(200, CHUNKED), Chunk(DATA), Close()) if index == 0 else then(request)

    return serve


def test_a_length_that_was_met_is_the_end(world: AnyWorld, tmp_path: Path) -> None:
    """416 with the same ETag and the very length: only the end of the body was lost."""
    told = Told()
    size = len(DATA)
    head = head_of(416, {"etag": TAG, "content-range": f"bytes */{size}", "content-length": "0"})
    response = fetch(world, chunked(lambda request: Script(head, End())), tmp_path / "f", told)
    assert (tmp_path / "f").read_bytes() == DATA
    assert told.resumed == [("was complete", size)]
    assert response.status_code == 200
    assert [a.status_code for a in response.attempts] == [200, 416]


@pytest.mark.parametrize(
    "fields",
    [
        {"etag": TAG},
        {"content-range": f"bytes */{len(DATA)}"},
        {"etag": TAG, "content-range": f"bytes */{len(DATA) - 1}"},
        {"etag": '"v2"', "content-range": f"bytes */{len(DATA)}"},
    ],
)
def test_another_416_starts_anew(world: AnyWorld, tmp_path: Path, fields: dict[str, str]) -> None:
    """The file became shorter, or nobody says that it is the same."""

    def then(request: Request) -> Script:
        if "range" in request.headers:
            return Script(head_of(416, {**fields, "content-length": "0"}), End())
        return respond(200, content=b"new")

    fetch(world, chunked(then), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"new"


def test_a_part_whose_whole_nobody_knows_does_not_fit(world: AnyWorld, tmp_path: Path) -> None:
    """`bytes 5-9/*` behind a body in chunks: it may end there or not. With a length it goes on."""
    for total, asked in (("*", 3), ("10", 2)):
        seen: list[str | None] = []

        def serve(request: Request, index: int, total: str = total, seen: list[str | None] = seen) -> Script:
            seen.append(request.headers.get("range"))
            if "range" in request.headers:
                return Script(head_of(206, {**CHUNKED, "content-range": f"bytes 5-9/{total}"}), Chunk(b"56789"), End())
            return Script(
                head_of(200, CHUNKED), Chunk(b"01234"), *([Close()] if index == 0 else [Chunk(b"56789"), End()])
            )

        fetch(world, serve, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == b"0123456789"
        assert len(seen) == asked


def test_attempts_are_counted_from_the_last_that_got_further(world: AnyWorld, tmp_path: Path) -> None:
    """Ten breaks, each 64 KiB further, are not too many for two retries; the third that brings less is."""
    server = Files([PROGRESS] * 10, data=bytes(PROGRESS * 11))
    response = fetch(world, server, tmp_path / "f")
    assert len(response.attempts) == 11
    assert {a.delay is not None and a.delay <= 1.0 for a in response.attempts[:-1]} == {True}
    (tmp_path / "f").unlink()
    server = Files([PROGRESS, *[10] * 10])
    error = failing(world, server, tmp_path / "f", ReadError)
    assert [a.decision for a in error.attempts] == ["retry", "retry", "attempts exhausted"]
    assert server.asked == [None, f"bytes={PROGRESS}-", f"bytes={PROGRESS + 10}-"]


def test_starting_anew_is_no_progress(world: AnyWorld, tmp_path: Path) -> None:
    """A server without validators that always breaks off at the same place is left after three attempts."""
    server = Files([200_000] * 50, headers={})
    error = failing(world, server, tmp_path / "f", ReadError)
    assert len(error.attempts) == len(server.asked) == 3


@pytest.mark.parametrize(("option", "retry"), [({"max_retries": 0}, PLAIN), ({}, None)])
def test_without_retries_nothing_goes_on(world: AnyWorld, tmp_path: Path, option: Any, retry: Any) -> None:
    """The error stands, one request was sent."""
    server = Files([100])
    failing(world, server, tmp_path / "f", ReadError, retry=retry, call=option)
    assert len(server.asked) == 1


def test_the_budget_is_asked(world: AnyWorld, tmp_path: Path) -> None:
    """One token: the second break ends the download, with the body's own error."""
    budget = RetryBudget(ratio=0.0, min_per_second=0.0, burst=1.0)
    retry = RetryConfig(strategy=ExponentialBackoff(base=1.0), budget=budget)
    server = Files([PROGRESS] * 5)
    error = failing(world, server, tmp_path / "f", ReadError, retry=retry)
    assert [a.decision for a in error.attempts] == ["retry", "budget"]


def test_the_deadline_bounds_it_all(world: AnyWorld, tmp_path: Path) -> None:
    """A wait that does not fit is not begun; an answer that does not come is given up at the deadline."""
    slow = RetryConfig(strategy=ExponentialBackoff(base=50.0, cap=60.0), budget=None)

    def serve(request: Request, index: int) -> Script:
        return Script(head_of(200, CHUNKED), Chunk(b"x"), Delay(1), Reset()) if index == 0 else Script(Stall())

    failing(world, serve, tmp_path / "f", ReadError, retry=slow, call={"deadline": 2.0})
    began = world.clock.monotonic()
    error = failing(world, serve, tmp_path / "f", DeadlineExceeded, call={"deadline": 10.0})
    assert world.clock.monotonic() - began == pytest.approx(10.0)
    assert isinstance(error.__cause__, ReadError)
    assert [a.reason for a in error.attempts] == ["read error", "deadline"]


def test_a_slow_refusal_to_answer_ends_with_what_was_met(world: AnyWorld, tmp_path: Path) -> None:
    """No deadline: the read timeout of the attempts that went on."""

    def serve(request: Request, index: int) -> Script:
        return Script(head_of(200, CHUNKED), Chunk(b"x"), Reset()) if index == 0 else Script(Stall())

    error = failing(world, serve, tmp_path / "f", ReadTimeout)
    assert isinstance(error.__cause__, ReadError)
    assert len(error.attempts) == 3


@pytest.mark.parametrize("status", [403, 503])
def test_an_error_answer_ends_it(world: AnyWorld, tmp_path: Path, status: int) -> None:
    """The signed address expired, or the server is down: that is raised, from what broke the body off."""
    server = Files([100], change=lambda index, head: head if index == 0 else respond(status))
    error = failing(world, server, tmp_path / "f", StatusError)
    assert error.status_code == status
    assert isinstance(error.__cause__, ReadError)
    assert len(error.attempts) == (2 if status == 403 else 3)


@pytest.mark.parametrize("status", [302, 206, 304])
def test_an_answer_of_another_kind_ends_it(world: AnyWorld, tmp_path: Path, status: int) -> None:
    """A redirect, or a part that was not asked for: the body's own error stands."""
    server = Files(
        [100], headers={}, change=lambda index, head: head if index == 0 else respond(status, headers={"location": "/"})
    )
    failing(world, server, tmp_path / "f", ReadError)


class SecondRefused:
    """A breaker that opens after the first attempt."""

    stage = Stage.CIRCUIT_BREAKER

    def __init__(self) -> None:
        self.seen: list[str | None] = []

    async def __call__(self, request: Request, context: Any, proceed: Any) -> Response:
        self.seen.append(request.headers.get("range"))
        if len(self.seen) > 1:
            raise CircuitOpenError("open")
        return await proceed(request, context)  # type: ignore[no-any-return]


def test_the_breaker_stands_in_the_way(world: AnyWorld, tmp_path: Path) -> None:
    """What goes on passes the attempt level like everything: an open circuit refuses it, from the body's error."""
    breaker = SecondRefused()
    error = failing(world, Files([100]), tmp_path / "f", CircuitOpenError, policies=[breaker])
    assert breaker.seen == [None, "bytes=100-"]
    assert isinstance(error.__cause__, ReadError)


class Half:
    """A store that has half of the body and then nothing: no attempt brought it, so none has a record of it."""

    stage = Stage.HEDGE

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, request: Request, context: Any, proceed: Any) -> Response:
        self.asked += 1
        if self.asked > 1:
            return await proceed(request, context)  # type: ignore[no-any-return]
        return Response(200, headers=Headers({"content-length": "9"}), stream=Torn(), request=request)


class Torn:
    """Half a body."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"half"
        raise ReadError("torn")

    async def aclose(self) -> None:
        pass


def test_a_body_that_no_attempt_brought_starts_anew_too(world: AnyWorld, tmp_path: Path) -> None:
    """A policy that answers by itself leaves no record, and its body may break all the same."""
    response = fetch(world, Files([]), tmp_path / "f", policies=[Half()])
    assert (tmp_path / "f").read_bytes() == DATA
    assert [a.reason for a in response.attempts] == ["ok"]


def test_nobody_need_be_told(world: AnyWorld, tmp_path: Path) -> None:
    """Without a progress function it starts anew all the same."""

    async def body() -> None:
        engine = ScriptedTransport(Files([100], headers={}))
        async with any_client(world, engine=engine, retry=PLAIN) as client:
            await client.download("/f", tmp_path / "f")

    world.run(body)
    assert (tmp_path / "f").read_bytes() == DATA


def test_an_encoded_body_starts_anew(world: AnyWorld, tmp_path: Path) -> None:
    """Ranges would count encoded bytes, and what was saved is decoded."""
    packed = gzip.compress(DATA)
    head = head_of(200, {"etag": TAG, "content-encoding": "gzip", "content-length": str(len(packed))})
    asked: list[bool] = []

    def serve(request: Request, index: int) -> Script:
        asked.append("range" in request.headers)
        return Script(head, Chunk(packed[:900]), Reset()) if index == 0 else Script(head, Chunk(packed), End())

    told = Told()
    fetch(world, serve, tmp_path / "f", told)
    assert (tmp_path / "f").read_bytes() == DATA
    assert asked == [False, False]


def test_garbage_is_not_fetched_again(world: AnyWorld, tmp_path: Path) -> None:
    """A body that came whole and cannot be decoded is the server's mistake: another copy would be the same."""
    broken = respond(200, headers={"content-encoding": "gzip"}, content=b"no gzip at all")
    error = failing(world, lambda request, index: broken, tmp_path / "f", DecodeError)
    assert error.request is not None


def test_a_range_of_ones_own_starts_anew(world: AnyWorld, tmp_path: Path) -> None:
    """Who asked for a part gets that part, from its beginning if it broke off."""
    fields = {"etag": TAG, "content-range": "bytes 5-9/100", "content-length": "5"}
    asked: list[str] = []

    def serve(request: Request, index: int) -> Script:
        asked.append(request.headers["range"])
        return Script(head_of(206, fields), Chunk(b"56"), *([Reset()] if index == 0 else [Chunk(b"789"), End()]))

    response = fetch(world, serve, tmp_path / "f", call={"headers": {"Range": "bytes=5-9"}})
    assert (tmp_path / "f").read_bytes() == b"56789"
    assert asked == ["bytes=5-9"] * 2
    assert response.status_code == 206


def test_after_a_redirect_it_goes_on_where_the_body_came_from(world: AnyWorld, tmp_path: Path) -> None:
    """The validator belongs to that address; where the redirect points by now may be another server."""
    files, places = Files([100]), []

    def serve(request: Request, index: int) -> Script:
        places.append(request.url.path)
        return respond(302, headers={"location": "/mirror"}) if request.url.path == "/f" else files(request, index - 1)

    response = fetch(world, serve, tmp_path / "f")
    assert places == ["/f", "/mirror", "/mirror"]
    assert (tmp_path / "f").read_bytes() == DATA
    assert [a.status_code for a in response.attempts] == [302, 200, 206]


def test_a_progress_that_cannot_be_called_is_refused(world: AnyWorld, tmp_path: Path) -> None:
    """Before anything is sent."""
    server = Files()

    async def body() -> None:
        async with any_client(world, engine=ScriptedTransport(server)) as client:
            with pytest.raises(ConfigurationError, match="on_progress=5 cannot be called"):
                await client.download("/f", tmp_path / "f", on_progress=5)

    world.run(body)
    assert server.asked == []


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("bytes 0-9/10", (0, 9, 10)), ("BYTES 5-9/*", (5, 9, None)), ("bytes */10", (None, None, 10)),
        (" bytes 0-0/1 ", (0, 0, 1)), ("bytes */*", (None, None, None)),
        ("bytes 9-5/10", None), ("bytes 0-10/10", None), ("bytes 0-9", None), ("0-9/10", None), ("bytes -5/10", None),
        ("bytes 0-9/10, bytes 1-2/3", None), ("bytes 0-9/²", None), (f"bytes 0-9/{'9' * 19}", None), ("", None),
    ],
)  # fmt: skip
def test_content_range(value: str, found: tuple[Any, ...] | None) -> None:
    """Both forms of RFC 9110, section 14.4; what cannot be is nothing."""
    assert content_range(value) == found


@given(st.text(max_size=60))
def test_content_range_takes_any_text(value: str) -> None:
    """Nothing raises."""
    part = content_range(value)
    assert part is None or part.first is None or part.first <= (part.last or 0)


def test_a_validator_is_one_strong_tag() -> None:
    """Two ETag fields, or one with a space in it, are none; an empty one is one."""
    for etags, found in (([TAG], TAG), (['""'], '""'), ([TAG, TAG], None), (['"a b"'], None), (['"a'], None)):
        response = Response(200, headers=Headers([("ETag", etag) for etag in etags]))
        assert validator(a_request(), response) == found
