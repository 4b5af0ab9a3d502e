"""Hostile replies: bytes that a broken, careless or malicious server may send, made from a number.

    reply_number(n)     always the same bytes and the same ending for the same n

Each is put together from parts that are odd in one way or another (status line, fields, framing, body, ending), so that
2,000 of them meet in ways nobody thought of; a part of them is plain noise. `serve` sends reply n to whoever asks for
`/<split>/<n>`: whole, byte by byte, or split at random. `attack` asks for many of them at once through one client, and
says what went wrong: an exception that is not ours, or a call that lasted longer than it may.
"""

from __future__ import annotations

import gzip
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import anyio

from rest_api_client import APIError, Response, ServerPacing, Timeouts
from tests.rest_api_client.cells import Cell
from tests.wire import Connection, Handler

Split = Literal["whole", "bytes", "random"]
SPLITS: tuple[Split, ...] = ("whole", "bytes", "random")
DEADLINE = 1.0
READ = 0.2
"""Seconds. A reply that falls silent costs one of them."""
HURRIED: dict[str, Any] = {
    "timeout": Timeouts(connect=DEADLINE, read=READ, write=READ, pool=DEADLINE),
    "pacing": ServerPacing(key=lambda request: request.url.path),
}
"""Options of an attacked client: what one reply teaches about limits holds for that reply alone."""

_STATUS = [
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 206 Partial Content", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Upgrade",
    b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 199 Odd", b"HTTP/1.1 299 Odd", b"HTTP/1.1 302 Found",
    b"HTTP/1.1 301 Moved", b"HTTP/1.1 303 See", b"HTTP/1.1 307 T", b"HTTP/1.1 308 P", b"HTTP/1.1 401 U",
    b"HTTP/1.1 407 P", b"HTTP/1.1 429 Slow", b"HTTP/1.1 403 No", b"HTTP/1.1 500 Oh", b"HTTP/1.1 503 Busy",
    b"HTTP/1.1 599 Odd", b"HTTP/1.1 600 Beyond", b"HTTP/1.1 999 Beyond", b"HTTP/1.1 099 Low", b"HTTP/1.1 2000 Long",
    b"HTTP/1.1 20 Short", b"HTTP/1.1 -1 Minus", b"HTTP/1.1 2e2 Float", b"HTTP/1.1 two Word", b"HTTP/1.1", b"HTTP/1.1 ",
    b"HTTP/2.0 200 OK", b"HTTP/3 200 OK", b"HTTP/9.9 200 OK", b"HTTP/0.9 200 OK", b"http/1.1 200 ok", b"HTTPS/1.1 200",
    b"ICY 200 OK", b"RTSP/1.0 200 OK", b"SSH-2.0-OpenSSH_9", b"220 mail ready", b"GET / HTTP/1.1", b"", b" ", b"\x00",
    b"HTTP/1.1  200  OK", b"HTTP/1.1\t200\tOK", b" HTTP/1.1 200 OK", b"HTTP/1.1 200 \xff\xfe", b"HTTP/1.1 200 O\x00K",
    b"HTTP/1.1 200 OK\r", b"HTTP/1.1 200 " + b"x" * 70_000, "HTTP/1.1 200 Über".encode(), b"HTTP/1.1 \xb2\xb0\xb0 OK",
]  # fmt: skip
_FIELDS = [
    b"Content-Type: application/json", b"Content-Type: text/plain; charset=nonsense", b"Content-Type:", b"Content-Type",
    b'Content-Type: text/html; charset="utf-8', b"Content-Type: application/problem+json", b"Content-Type: ;;;=;",
    b"Content-Encoding: gzip", b"Content-Encoding: deflate", b"Content-Encoding: br", b"Content-Encoding: zstd",
    b"Content-Encoding: gzip, gzip", b"Content-Encoding: " + b"gzip," * 30, b"Content-Encoding: nonsense",
    b"Content-Encoding: identity", b"Content-Encoding:", b"Set-Cookie: a=b", b"Set-Cookie: =", b"Set-Cookie: a" * 400,
    b"Set-Cookie: a=b; Domain=com; Expires=nonsense; Max-Age=1e9", b"Set-Cookie: a=\x01", b"Set-Cookie: \xff=\xff",
    b"Location: /ok", b"Location:", b"Location: http://[", b"Location: http://127.0.0.1:1/", b"Location: //",
    b"Location: javascript:alert(1)", b"Location: http://\xff/", b"Location: http://a b/", b"Location: ?",
    b"Location: #",
    b"Location: http://127.0.0.1:99999/", b"Location: " + b"/a" * 5000, b"Location: /\x00", b"Location: file:///etc/hosts",
    b"Retry-After: 0", b"Retry-After: -1", b"Retry-After: nan", b"Retry-After: inf", b"Retry-After: 1e400",
    b"Retry-After: " + b"9" * 5000, b"Retry-After: Wed, 21 Oct 2099 07:28:00 GMT", b"Retry-After: 1, 2",
    b"Retry-After: x",
    b"Retry-After: Sun, 06 Nov 1994 08:49:37", b'RateLimit: "a";r=-1;t=nan', b"RateLimit: " + b'"a";r=1,' * 400,
    b'RateLimit-Policy: "a";q=0;w=0', b"RateLimit-Policy: ;;;", b"X-RateLimit-Remaining: 0", b"X-RateLimit-Reset: -5",
    b"X-RateLimit-Limit: 1e99", b"X-RateLimit-Remaining: \xff", b"x-ratelimit-reset-requests: 6m0s",
    b"retry-after-ms: -9",
    b"anthropic-ratelimit-requests-reset: never", b"Stripe-Should-Retry: maybe", b"X-Should-Retry: true",
    b"WWW-Authenticate: Digest", b"WWW-Authenticate: Digest realm=", b"WWW-Authenticate: \xa0" + b"a" * 3000,
    b'WWW-Authenticate: Digest realm="x", nonce="', b"Link: <", b"Link: <>; rel=", b"Link: " + b"<a>;" * 800,
    b"Link: <http://[>; rel=next", b'ETag: "', b"Date: nonsense", b"Date: Thu, 01 Jan 1970 00:00:00 GMT", b"Age: -1",
    b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: h2c", b"Keep-Alive: timeout=-1",
    b"Trailer: X", b"Expect: 100-continue", b"Via: 1.1 x", b"X: " + b"y" * 9000, b"X" * 9000 + b": y", b": empty name",
    b"No colon here", b"Space : before", b" Folded: start", b"X: a\r\n folded", b"X: a\x00b", b"X: a\rb",
    b"\xff\xfe: x",
    b"X:\tv", b'Content-Disposition: attachment; filename="../../x"', b"Transfer-Encoding: identity",
    *([b"X-%d: y" % n for n in range(3)]), b"\r\n".join(b"X-%d: y" % n for n in range(300)),
]  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """What goes over the wire, and how it ends: "keep" waits for the next request."""

    data: bytes
    ending: Literal["keep", "fin", "rst", "silence"]


def reply_number(n: int) -> Reply:
    """The reply of this number."""
    chance = random.Random(n)
    ending = chance.choices(("keep", "fin", "rst", "silence"), (6, 6, 3, 1))[0]
    if chance.random() < 0.08:
        return Reply(chance.randbytes(chance.choice((0, 1, 3, 17, 200, 5000))), ending)  # type: ignore[arg-type]
    status = chance.choice(_STATUS) if chance.random() < 0.25 else chance.choice(_STATUS[:24])
    fields = chance.choices(_FIELDS, k=chance.choice((0, 0, 1, 1, 2, 3, 5)))
    body = _body(chance, fields)
    fields += _framing(chance, body)
    if b"chunked" in b"".join(fields).lower():
        body = _chunked(chance, body)
    line = chance.choices((b"\r\n", b"\n", b"\r", b"\r\r\n"), (60, 2, 1, 1))[0]
    data = line.join([status, *fields]) + line * 2 + body
    if chance.random() < 0.15:
        data = data[: chance.randrange(len(data) + 1)]
    if chance.random() < 0.1:
        data += chance.choice((b"\r\n", b"extra", data, b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"))
    if chance.random() < 0.1:
        at = chance.randrange(len(data) + 1)
        data = data[:at] + chance.randbytes(1) + data[at + 1 :]
    if chance.random() < 0.03:
        data = b"HTTP/1.1 100 Continue\r\n\r\n" * chance.choice((1, 5, 200)) + data
    return Reply(data, ending)  # type: ignore[arg-type]


def _body(chance: random.Random, fields: list[bytes]) -> bytes:
    plain = chance.choice(
        (b"", b"{}", b'{"a": 1}', b'{"a": ', b"[" * 3000, b"\xff\xfe\x00", b"x" * 4096, b"null", b'"\\ud800"', b"1e999")
    )
    encodings = b",".join(field for field in fields if field.startswith(b"Content-Encoding")).lower()
    if b"gzip" in encodings and chance.random() < 0.7:
        plain = gzip.compress(plain, mtime=0)
        plain = gzip.compress(plain, mtime=0) if b"gzip, gzip" in encodings else plain
    elif b"deflate" in encodings and chance.random() < 0.7:
        plain = zlib.compress(plain)
    if plain and chance.random() < 0.2:
        plain = plain[: chance.randrange(len(plain))]
    return plain


def _framing(chance: random.Random, body: bytes) -> list[bytes]:
    right = b"Content-Length: %d" % len(body)
    odd = [
        [right, right], [right, b"Content-Length: 7"], [b"Content-Length: -1"], [b"Content-Length: 1e3"], [],
        [b"Content-Length: " + b"9" * 30], [b"Content-Length: %d" % (len(body) + 5)], [b"Content-Length: +3"],
        [b"Content-Length: %d" % max(0, len(body) - 2)], [b"Content-Length: 0x10"], [b"Content-Length:"],
        [b"Transfer-Encoding: chunked"], [b"Transfer-Encoding: chunked", right], [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked, chunked"], [b"Transfer-Encoding: xchunked"], [b"Transfer-Encoding:\x0bchunked"],
        [b"Content-Length: 3, 3"], [b"Content-Length: \xb2"], [b"Transfer-Encoding: chunked;q=1"],
    ]  # fmt: skip
    return [right] if chance.random() < 0.5 else chance.choice(odd)


def _chunked(chance: random.Random, body: bytes) -> bytes:
    size = b"%x" % len(body)
    end = b"0\r\n\r\n" if body else b"\r\n"
    return chance.choice(
        (
            size + b"\r\n" + body + b"\r\n" + end,
            size + b";ext=1\r\n" + body + b"\r\n0\r\nTrailer: x\r\n\r\n",
            size + b"\r\n" + body + b"\r\n",
            size + b"\n" + body + b"\n0\n\n",
            b"-1\r\n" + body + b"\r\n" + end,
            b"f" * 40 + b"\r\n" + body,
            b"zz\r\n" + body + b"\r\n" + end,
            size + b"\r\n" + body + end,
            size + b" \r\n" + body + b"\r\n0\r\n" + b"T: y\r\n" * 500 + b"\r\n",
            b"0x" + size + b"\r\n" + body + b"\r\n" + end,
        )
    )


def pieces(data: bytes, split: Split, n: int) -> Iterable[bytes]:
    """The reply's bytes as they are sent. Long ones are cut into at most 300 pieces."""
    chance = random.Random(n)
    if split == "whole" or len(data) < 2:
        return [data]
    if split == "bytes":
        return [data[i : i + 1] for i in range(min(299, len(data)))] + ([data[299:]] if len(data) > 299 else [])
    cuts = sorted({0, len(data), *(chance.randrange(len(data)) for _ in range(chance.choice((1, 2, 5, 20))))})
    return [data[a:b] for a, b in pairwise(cuts)]


def serve() -> Handler:
    """A handler that sends the reply that is asked for, and "ok" to anything else."""

    def handle(connection: Connection) -> None:
        while not connection.over and (request := connection.read()) is not None:
            _, _, rest = request.target.partition("/hostile/")
            if not rest:
                connection.answer(200, b"ok")
                continue
            split, _, number = rest.partition("/")
            reply = reply_number(int(number))
            for piece in pieces(reply.data, split, int(number)):  # type: ignore[arg-type]
                connection.send(piece)
            with suppress(OSError):
                {"fin": connection.finish, "rst": connection.reset, "silence": connection.silence}.get(
                    reply.ending, _nothing
                )()

    return handle


def _nothing() -> None:
    pass


_LOOKS: tuple[Callable[[Response], object], ...] = (
    lambda response: response.data,
    lambda response: response.text,
    lambda response: response.json(),
    lambda response: (response.links, response.cookies, response.problem, response.retry_after),
    lambda response: (repr(response), response.url, response.is_redirect, response.headers.multi_items()),
)


@dataclass
class Damage:
    """What an attack did: lines that each name a reply; and the longest call beyond the deadline, in seconds."""

    foreign: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    slowest: float = 0.0
    answers: int = 0
    errors: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, name: str, took: float, result: Response | BaseException, patience: float) -> None:
        """Judge one call."""
        problems = [] if isinstance(result, APIError) else list(_problems(result))
        with self.lock:
            self.answers += isinstance(result, Response)
            self.errors += isinstance(result, APIError)
            self.slowest = max(self.slowest, took - DEADLINE)
            self.foreign += [f"{name}: {problem}" for problem in problems]
            if took > DEADLINE + patience:
                self.late.append(f"{name}: {took:.2f} s")


def _problems(result: Response | BaseException) -> Iterable[str]:
    if not isinstance(result, Response):
        yield repr(result)
        return
    for look in _LOOKS:
        try:
            look(result)
        except APIError:
            pass
        except Exception as error:
            yield f"looking at the answer: {error!r}"


async def attack(
    cell: Cell, client: Any, numbers: Iterable[int], splits: Iterable[Split], *, patience: float, at_once: int = 16
) -> Damage:
    """Ask for these replies, so many at once, and judge each call."""
    damage = Damage()
    jobs = [(n, split) for n in numbers for split in splits]

    async def one(n: int, split: Split) -> None:
        began = time.perf_counter()
        result: Response | BaseException
        try:
            result = await client.get(f"/hostile/{split}/{n}", max_retries=0, deadline=DEADLINE)
        except Exception as error:
            result = error
        damage.note(f"{cell} {split} {n}", time.perf_counter() - began, result, patience)

    if cell.runtime == "sync":
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda job: cell.run(one, *job), jobs))
        return damage

    async def worker() -> None:
        while jobs:
            await one(*jobs.pop())

    async with anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(worker)
    return damage
