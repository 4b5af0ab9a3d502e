"""An ASGI application performed by hand."""

import asyncio
import json
import logging
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mockserver.asgi import NeedsLoop, perform, processed, script_of, status_of
from mockserver.resources.script_response import ScriptResponse
from mockserver.seen import Seen
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.script import Chunk, Delay, End, Head, Refuse, Reset, Script

GET = Seen(method="GET", path="/")


def app_of(handler: Any) -> Starlette:
    return Starlette(routes=[Route("/", handler, methods=["GET", "POST"])])


def body_of(script: Script) -> bytes:
    return b"".join(step.data for step in script.steps if isinstance(step, Chunk))


def test_an_answer_becomes_a_script() -> None:
    """Head, one chunk, end; nothing is run twice."""

    async def handler(request: Request) -> Response:
        return PlainTextResponse("hello", 201, {"x-a": "é"})

    script = perform(app_of(handler), GET)
    assert script.steps == (
        Head(201, (("x-a", "é"), ("content-length", "5"), ("content-type", "text/plain; charset=utf-8"))),
        Chunk(b"hello"),
        End(),
    )


def test_the_application_sees_the_whole_request() -> None:
    """Method, address, repeated fields, query, body, and who sent it."""

    async def handler(request: Request) -> Response:
        return JSONResponse(
            {
                "url": str(request.url),
                "q": request.query_params.getlist("q"),
                "a": request.headers.getlist("a"),
                "client": request.client.host if request.client else None,
                "body": (await request.body()).decode(),
                "gone": await request.is_disconnected() if request.url.path == "/never" else None,
            }
        )

    seen = Seen(
        method="POST",
        path="/",
        query="q=1&q=2",
        fields=(("host", "x.test"), ("a", "1"), ("a", "2")),
        body=b"hi",
        scheme="https",
        client="10.0.0.1",
    )
    assert json.loads(body_of(perform(app_of(handler), seen))) == {
        "url": "https://x.test/?q=1&q=2",
        "q": ["1", "2"],
        "a": ["1", "2"],
        "client": "10.0.0.1",
        "body": "hi",
        "gone": None,
    }


def test_a_stream_that_waits_for_nothing_keeps_its_chunks() -> None:
    """An asynchronous generator is played to its end."""

    async def parts() -> Any:
        yield b"a"
        yield b""
        yield "b"

    async def handler(request: Request) -> Response:
        return StreamingResponse(parts())

    assert perform(app_of(handler), GET).steps[1:] == (Chunk(b"a"), Chunk(b"b"), End())


def test_a_script_response_is_taken_as_it_is() -> None:
    """Waits and endings stay; what a middleware added to the head stays too."""
    script = Script(Delay(5), Head(200, (("x-a", "1"),)), Chunk(b"a"), Delay(60), Reset())

    async def handler(request: Request) -> Response:
        answer = ScriptResponse(script)
        answer.headers["x-b"] = "2"
        return answer

    steps = perform(app_of(handler), GET).steps
    assert steps == (Delay(5), Head(200, (("x-a", "1"), ("x-b", "2"))), Chunk(b"a"), Delay(60), Reset())


def test_a_script_response_on_an_ordinary_server_sleeps_there() -> None:
    """Head, chunks and delays, on the server's own loop."""
    script = Script(Head(200, (("x-a", "1"),)), Chunk(b"a"), Delay(0.001), Chunk(b"b"), End())

    async def run() -> httpx.Response:
        async def handler(request: Request) -> Response:
            return ScriptResponse(script)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app_of(handler)), base_url="http://x") as client:
            return await client.get("/")

    answer = asyncio.run(run())
    assert (answer.text, answer.headers["x-a"]) == ("ab", "1")


def test_a_script_without_a_head_is_no_response() -> None:
    """Said when it is made."""
    with pytest.raises(ConfigurationError, match="final Head"):
        ScriptResponse(Script(Refuse()))


@pytest.mark.parametrize("inside_a_loop", [False, True])
@pytest.mark.parametrize("how", ["asyncio", "anyio", "pool", "checkpoint", "task group", "stream"])
def test_an_application_that_waits_is_refused(how: str, inside_a_loop: bool) -> None:
    """NeedsLoop names the request and says what to do, whether a loop runs or not; what was begun is closed."""
    closed = []

    async def wait() -> None:
        if how == "asyncio":
            await asyncio.sleep(60)
        elif how == "anyio":
            await anyio.sleep(60)
        elif how == "task group":
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 60)
        else:
            await asyncio.sleep(0)

    async def handler(request: Request) -> Response:
        try:
            await wait()
        finally:
            closed.append(True)
        return Response()

    def plain(request: Request) -> Response:
        return Response()

    async def streaming(request: Request) -> Response:
        return StreamingResponse(iter([b"a"]))

    app = app_of({"pool": plain, "stream": streaming}.get(how, handler))

    async def inside() -> None:
        perform(app, GET)

    with pytest.raises(NeedsLoop, match=r"GET /: .* ScriptResponse"):
        asyncio.run(inside()) if inside_a_loop else perform(app, GET)
    assert closed == ([] if how in {"pool", "stream"} else [True])


def test_one_that_waits_even_when_it_is_closed_is_refused_all_the_same() -> None:
    """A `finally` with an await cannot hide the refusal."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)

    with pytest.raises(NeedsLoop):
        perform(app, GET)


async def raising(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("boom")


async def raising_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    raise ValueError("boom")


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    return


async def unfinished(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})


async def twice(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})
    await send({"type": "http.response.body"})


async def headless(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.body"})


async def two_lines(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"1\r\nb: 2")]})


@pytest.mark.parametrize("app", [raising, raising_late, silent, unfinished, twice, headless, two_lines])
def test_an_application_that_breaks_is_a_500_problem(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it had sent before; the log has the traceback."""
    with caplog.at_level(logging.ERROR, "mockserver"):
        script = perform(app, GET)
    assert status_of(script) == 500
    assert json.loads(body_of(script))["detail"].startswith("the mock server itself failed: ")
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_reading_on_behind_the_body_meets_a_disconnect() -> None:
    """As from a client that has nothing more to send."""
    kinds = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kinds.extend([(await receive())["type"], (await receive())["type"]])
        await PlainTextResponse("x")(scope, receive, send)

    perform(app, GET)
    assert kinds == ["http.request", "http.disconnect"]


@pytest.mark.parametrize(("status", "done"), [(200, True), (303, True), (399, True), (400, False), (500, False)])
def test_an_answer_below_400_means_done(status: int, done: bool) -> None:
    """What the journal calls processed."""
    assert processed(script_of(Response(status_code=status))) is done


def test_no_answer_means_nothing_done() -> None:
    """As far as anybody can tell from the script."""
    assert processed(Script(Refuse())) is False


def test_a_raw_byte_in_the_query_is_percent_encoded() -> None:
    """Starlette would fail on it."""

    async def handler(request: Request) -> Response:
        return PlainTextResponse(request.url.query)

    assert body_of(perform(app_of(handler), Seen(method="GET", path="/", query="a=\xe9&b=%20"))) == b"a=%E9&b=%20"


def test_a_stored_answer_given_again_did_nothing() -> None:
    """The effect was that of the first."""
    assert processed(script_of(Response(headers={"idempotency-replayed": "true"}))) is False
