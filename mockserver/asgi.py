"""An ASGI application played by hand: request in, script out, no event loop.

An ASGI application is a coroutine that awaits `receive` and `send`. Where neither of them ever waits, the whole run is
one `coroutine.send(None)`: no loop, no thread, no time. What the application sends is collected into a script, and
whatever is to take time stands in that script as a step, so that the same answer is played on a socket and in virtual
time.

A handler that wants time, or an ending of its own, returns a `ScriptResponse`. A handler that really waits (a sleep, a
thread pool, a task group) cannot be played and is refused; with Starlette that means: `async def` handlers only, and no
StreamingResponse over a plain iterator. An asynchronous generator that does not wait is fine.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.parse import quote

from mockserver.faults.answers import problem_script
from mockserver.seen import Seen
from rest_api_client.script import Chunk, End, Head, Script

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_App = TypeVar("_App", bound="ASGIApp")

EXTENSION = "mockserver.script"
_ASCII = "".join(map(chr, range(128)))
_LOG = logging.getLogger("mockserver")


class NeedsLoop(RuntimeError):
    """The application waits for something that only an event loop could bring."""


class Unfinished(RuntimeError):
    """The application returned before its answer was complete."""


def perform(app: ASGIApp, seen: Seen) -> Script:
    """What the application answers, as a script. One that raises, or answers nothing, is answered for: a 500 problem.

    Args:
        app: an ASGI 3 application.
        seen: the request with its whole body.

    Raises:
        NeedsLoop: the application waits. Its coroutine has been closed.
    """
    collected = _Collected(seen.body)
    run = cast("Coroutine[Any, Any, None]", app(scope_of(seen), collected.receive, collected.send))
    try:
        _run(run, seen)
        return collected.script()
    except NeedsLoop:
        raise
    except Exception as error:
        if _wants_loop(error):
            raise NeedsLoop(f"{_refusal(seen)}: {error}") from error
        _LOG.exception("%s %s: the application failed", seen.method, seen.target)
        return problem_script(500, f"the mock server itself failed: {error!r}")


def script_of(response: Response) -> Script:
    """A finished response as a script; not for streaming ones."""
    body = bytes(response.body)
    return Script(_head(response.status_code, response.raw_headers), *((Chunk(body),) if body else ()), End())


def status_of(script: Script) -> int | None:
    """The final status a script answers with; None where it never answers."""
    return None if script.head is None else script.head.status


def processed(script: Script) -> bool:
    """Whether an application that answered this has done what it was asked: a status below 400.

    A stored answer that is given again (`idempotency-replayed: true`) did nothing this time.
    """
    head = script.head
    return head is not None and head.status < 400 and ("idempotency-replayed", "true") not in head.headers


def scope_of(seen: Seen) -> Scope:
    """The ASGI scope of a request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},  # 2.4: nobody listens for a disconnect beside the answer
        "http_version": "1.1",
        "method": seen.method,
        "scheme": seen.scheme,
        "path": seen.path,
        "raw_path": quote(seen.path).encode("ascii"),
        # A raw byte beyond ASCII has no business in a query; frameworks fail on it, so it comes percent-encoded.
        "query_string": quote(seen.query, safe=_ASCII, encoding="latin-1", errors="replace").encode("ascii"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in seen.fields],
        "client": (seen.client, 0),
        "server": ("localhost", 443 if seen.scheme == "https" else 80),
        "extensions": {EXTENSION: {}},
    }


class Later(Generic[_App]):
    """An application that is made with its first request: what it takes to make one, many servers never need."""

    def __init__(self, make: Callable[[], _App]) -> None:
        self._make = make

    @cached_property
    def app(self) -> _App:
        """The application, made now where it has not been."""
        return self._make()

    @property
    def made(self) -> _App | None:
        """The application; None where nobody has asked for it yet."""
        return vars(self).get("app")

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request."""
        return self.app(scope, receive, send)


class _Collected:
    """Both ends of one request: the body it brings, and what is sent in answer."""

    def __init__(self, body: bytes) -> None:
        self._messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._head: Head | None = None
        self._chunks: list[Chunk] = []
        self._script: Script | None = None

    async def receive(self) -> Message:
        return self._messages.pop() if self._messages else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self._script is not None or (self._head is not None) != (kind == "http.response.body"):
            raise RuntimeError(f"an ASGI message out of turn: {kind}")
        if kind == EXTENSION:
            # A middleware may have changed status and headers on the way.
            head = _head(*message["head"])
            steps = (
                head if isinstance(step, Head) and step.status >= 200 else step for step in message["script"].steps
            )
            self._script = Script(*steps)
        elif kind == "http.response.start":
            self._head = _head(message["status"], message.get("headers", ()))
        else:
            self._take(message)

    def _take(self, message: Message) -> None:
        if body := bytes(message.get("body", b"")):
            self._chunks.append(Chunk(body))
        if not message.get("more_body", False):
            assert self._head is not None  # `send` saw to it
            self._script = Script(self._head, *self._chunks, End())

    def script(self) -> Script:
        if self._script is None:
            raise Unfinished("the application returned before its answer was complete")
        return self._script


def _head(status: int, headers: Any) -> Head:
    return Head(status, tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers))


def _run(run: Coroutine[Any, Any, None], seen: Seen) -> None:
    try:
        waited_for = run.send(None)
    except StopIteration:
        return
    with suppress(RuntimeError):  # a `finally` that waits too: closed all the same
        run.close()
    raise NeedsLoop(f"{_refusal(seen)} ({waited_for!r})")


def _refusal(seen: Seen) -> str:
    return (
        f"{seen.method} {seen.path}: the application waits, and here is no event loop; "
        "make its handlers `async def` that wait for nothing, and return a ScriptResponse for what takes time"
    )


def _wants_loop(error: Exception) -> bool:
    # asyncio says so itself; anyio and sniffio find no library running.
    return "no running event loop" in str(error) or type(error).__name__ in {
        "NoEventLoopError",
        "AsyncLibraryNotFoundError",
    }
