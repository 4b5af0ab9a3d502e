"""Promise 11: attacks on the admin API, over raw sockets. None is accepted, and nothing on the server has changed."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from mockserver import MockServer
from mockserver.asgi import status_of
from mockserver.seen import Seen
from mockserver.stubs import stub
from tests.patience import HANGS

BODY = b'{"when":{"path":"/evil"},"answer":{"status":200}}'
"""What every attack wants: a stub of its own."""


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(admin=True, stubs=[stub("GET", "/kept", json=1, id="kept")]) as running:
        httpx.get(f"{running.url}/kept")
        yield running


class Request:
    """A request as bytes, which would be taken if nothing in it were changed."""

    def __init__(self, server: MockServer) -> None:
        self.port = server.admin.url.rpartition(":")[2]
        self.line = "POST /stubs HTTP/1.1"
        self.fields: list[tuple[str, str]] = [
            ("host", f"127.0.0.1:{self.port}"),
            ("authorization", f"Bearer {server.admin.token}"),
            ("content-type", "application/json"),
            ("connection", "close"),
        ]
        self.body = BODY
        self.length: str | None = None

    def set(self, name: str, value: str | None) -> None:
        """Put another value in a field's place, or take the field away."""
        self.fields = [each for each in self.fields if each[0] != name]
        if value is not None:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        self.fields.append((name, value))

    def head(self) -> str:
        length = str(len(self.body)) if self.length is None else self.length
        fields = self.fields if length == "" else [*self.fields, ("content-length", length)]
        return "\r\n".join([self.line, *(f"{name}: {value}" for name, value in fields)]) + "\r\n\r\n"

    def send(self) -> bytes:
        kept_open = "connection" not in dict(self.fields)
        received = bytearray()
        with socket.create_connection(("127.0.0.1", int(self.port)), timeout=HANGS) as sock:
            try:
                sock.sendall(self.head().encode("latin-1") + self.body)
                while data := sock.recv(65536):
                    received += data
                    sock.settimeout(0.3 if kept_open else HANGS)
            except (ConnectionError, TimeoutError):
                assert kept_open or not received
        return bytes(received)


Attack = Callable[[Request], Any]


def token(change: Callable[[str], str | None]) -> Attack:
    return lambda request: request.set("authorization", change(dict(request.fields)["authorization"]))


def field(name: str, value: str | None) -> Attack:
    return lambda request: request.set(name, value and value.replace("PORT", request.port))


def more(name: str, value: str) -> Attack:
    return lambda request: request.add(name, value.replace("PORT", request.port))


def line(text: str) -> Attack:
    return lambda request: setattr(request, "line", text.replace("PORT", request.port))


def body(data: bytes) -> Attack:
    return lambda request: setattr(request, "body", data)


def token_in_query(request: Request) -> None:
    bearer = dict(request.fields)["authorization"].partition(" ")[2]
    request.line = f"POST /stubs?access_token={bearer}&token={bearer} HTTP/1.1"
    request.set("authorization", None)


def token_in_cookie(request: Request) -> None:
    bearer = dict(request.fields)["authorization"].partition(" ")[2]
    request.set("authorization", None)
    request.add("cookie", f"token={bearer}; authorization=Bearer {bearer}")


def token_in_body(request: Request) -> None:
    bearer = dict(request.fields)["authorization"].partition(" ")[2]
    request.set("authorization", None)
    request.body = json.dumps({"token": bearer, **json.loads(BODY)}).encode()


def smuggled(request: Request) -> None:
    request.set("connection", None)
    inner = request.head().encode() + request.body
    request.set("authorization", "Bearer wrong")
    request.add("transfer-encoding", "chunked")
    request.length = "5"
    request.body = b"0\r\n\r\n" + inner


def behind_a_refusal(request: Request) -> None:
    request.set("connection", None)
    # A pipelined request of the same connection would need a token of its own.
    second = request.head().replace("Bearer ", "Bearer x").encode() + request.body
    request.set("authorization", None)
    request.body += second
    request.length = str(len(BODY))


ATTACKS: dict[str, Attack] = {
    "no token": token(lambda _: None),
    "empty token": token(lambda _: "Bearer "),
    "no scheme": token(lambda right: right.removeprefix("Bearer ")),
    "another scheme": token(lambda right: right.replace("Bearer", "Basic")),
    "wrong token": token(lambda right: f"Bearer {'x' * 43}"),
    "prefix of the token": token(lambda right: right[:-1]),
    "token with more behind": token(lambda right: right + "x"),
    "token in another case": token(lambda right: "Bearer " + right[7:].swapcase()),
    "token twice": lambda request: request.add("authorization", dict(request.fields)["authorization"]),
    "token after a wrong one": lambda request: request.fields.insert(0, ("authorization", "Bearer wrong")),
    "token in the query": token_in_query,
    "token in a cookie": token_in_cookie,
    "token in the body": token_in_body,
    "token that is not ASCII": token(lambda _: "Bearer \xff\xfe"),
    "host foreign": field("host", "evil.example"),
    "host foreign, right port": field("host", "evil.example:PORT"),
    "host rebound below localhost": field("host", "localhost.evil.example:PORT"),
    "host with userinfo": field("host", "127.0.0.1:PORT@evil.example"),
    "host behind userinfo": field("host", "evil@127.0.0.1:PORT"),
    "host with another port": field("host", "127.0.0.1:1"),
    "host without port": field("host", "127.0.0.1"),
    "host in another notation": field("host", "2130706433:PORT"),
    "host of all addresses": field("host", "0.0.0.0:PORT"),
    "host empty": field("host", ""),
    "no host": field("host", None),
    "host twice": more("host", "evil.example"),
    "HTTP/1.0 without host": lambda request: (line("POST /stubs HTTP/1.0")(request), request.set("host", None)),
    "origin foreign": more("origin", "http://evil.example"),
    "origin null": more("origin", "null"),
    "origin with another port": more("origin", "http://127.0.0.1:1"),
    "origin with another scheme": more("origin", "https://127.0.0.1:PORT"),
    "origin twice": lambda request: [more("origin", "http://127.0.0.1:PORT")(request) for _ in range(2)],
    "from another site": more("sec-fetch-site", "cross-site"),
    "from the same site, another origin": more("sec-fetch-site", "same-site"),
    "text/plain": field("content-type", "text/plain"),
    "form": field("content-type", "application/x-www-form-urlencoded"),
    "multipart form": field("content-type", "multipart/form-data; boundary=x"),
    "no content type": field("content-type", None),
    "another charset": field("content-type", "application/json; charset=utf-7"),
    "content encoding": more("content-encoding", "gzip"),
    "oversized": body(b'{"name":"' + b"x" * (1 << 20) + b'"}'),
    "deep JSON": body(b'{"when":' * 40 + b"1" + b"}" * 40),
    "very deep JSON": body(b"[" * 200_000),
    "key twice": body(b'{"when":{"path":"/a"},"when":{"path":"/evil"},"answer":{"status":200}}'),
    "NaN": body(b'{"when":{"path":"/evil"},"answer":{"json":NaN}}'),
    "number of a million digits": body(b'{"when":{"path":"/evil"},"priority":' + b"9" * 900_000 + b',"answer":{}}'),
    "UTF-16": body(BODY.decode().encode("utf-16")),
    "byte order mark": body(b"\xef\xbb\xbf" + BODY),
    "JSON and more": body(BODY + BODY),
    "a list": body(b"[]"),
    "file of the server": body(b'{"when":{"path":"/evil"},"answer":{"body_file":"../../etc/passwd"}}'),
    "method override, reset": lambda request: (line("GET /reset HTTP/1.1")(request), body(b"")(request),
        more("x-http-method-override", "POST")(request)),
    "method override, delete": lambda request: (line("POST /stubs/kept HTTP/1.1")(request),
        more("x-method-override", "DELETE")(request)),
    "method in the query": line("PATCH /stubs?_method=POST HTTP/1.1"),
    "GET with a body": line("GET /stubs HTTP/1.1"),
    "preflight": lambda request: (line("OPTIONS /stubs HTTP/1.1")(request), body(b"")(request)),
    "path up": line("POST /health/../stubs HTTP/1.1"),
    "path up, encoded": line("POST /health/%2e%2e/stubs HTTP/1.1"),
    "path with two slashes": line("POST //stubs HTTP/1.1"),
    "path with a slash at the end": line("POST /stubs/ HTTP/1.1"),
    "path with an encoded slash": line("POST /spaces/a%2fstubs HTTP/1.1"),
    "path with NUL": line("POST /stubs%00 HTTP/1.1"),
    "space that is not there": line("POST /spaces/..%2f/stubs HTTP/1.1"),
    "absolute target elsewhere": line("POST http://evil.example/stubs HTTP/1.1"),
    "absolute target here": line("POST http://127.0.0.1:PORT/stubs HTTP/1.1"),
    "tunnel": line("CONNECT 127.0.0.1:PORT HTTP/1.1"),
    "header injection": more("x-a", "b\r\n\r\nPOST /reset HTTP/1.1\r\nhost: 127.0.0.1:PORT"),
    "bare line feed in a field": more("x-a", "b\nhost: evil.example"),
    "field with a space before the colon": lambda request: request.fields.insert(1, ("authorization ", "Bearer x")),
    "two content lengths": more("content-length", "1"),
    "smuggling": smuggled,
    "behind a refusal": behind_a_refusal,
}  # fmt: skip


def state(server: MockServer) -> object:
    evil = status_of(server.stage.serve(Seen(method="GET", path="/evil")))
    first = server.journal.entries[0].index
    return server.stubs.list(), server.faults, server.spaces.names, first, evil


def test_there_are_enough_of_them() -> None:
    """Forty were promised."""
    assert len(ATTACKS) >= 40


def test_the_same_request_without_an_attack_is_taken() -> None:
    """Or the attacks would prove nothing. Names of loopback are as good as its address."""
    for change in (lambda _: None, field("host", "LOCALHOST:PORT"), field("host", "[::1]:PORT"),
                   more("origin", "http://127.0.0.1:PORT"), more("sec-fetch-site", "same-origin")):  # fmt: skip
        with MockServer(admin=True) as server:
            request = Request(server)
            change(request)
            assert request.send().startswith(b"HTTP/1.1 201 ")
            assert httpx.get(f"{server.url}/evil").status_code == 200


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused(name: str, server: MockServer) -> None:
    """No 2xx, no redirect and no 5xx, no field that lets a page read the answer, and nothing has changed."""
    before = state(server)
    request = Request(server)
    ATTACKS[name](request)
    answer = request.send()
    for status in [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]:
        assert status.startswith(b"4"), answer
    assert b"access-control" not in answer.lower()
    assert server.admin.token.encode() not in answer
    assert state(server) == before


def test_a_wrong_token_is_told_how_to_bring_the_right_one(server: MockServer) -> None:
    """401 with the scheme, and the connection closed."""
    answer = httpx.get(f"{server.admin.url}/health")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["connection"] == "close"
