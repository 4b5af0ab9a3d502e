"""Both clients, end to end over scripted servers: one body for sync, asyncio and trio."""

from __future__ import annotations

import asyncio
import gc
import pickle
import random
import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest

from rest_api_client.async_client import AsyncAPIClient
from rest_api_client.auth.schemes import BearerAuth
from rest_api_client.client import APIClient
from rest_api_client.config import APIConfig
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import (
    APIError,
    ClosedError,
    ConfigurationError,
    DecodeError,
    HookError,
    NotFoundError,
    RateLimitError,
    ReadError,
    ServerError,
)
from rest_api_client.http.serializers import StandardJSON
from rest_api_client.middleware import Middleware
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.script import Chunk, Delay, End, Head, Reset, Script
from rest_api_client.telemetry import MetricsCollector
from rest_api_client.virtual.clock import VirtualClock
from tests.conftest import World
from tests.rest_api_client.faces import any_client

Any_World = World[Any]


def played(*scripts: Script) -> ScriptedTransport:
    """An engine that answers with these scripts, in turn."""
    return ScriptedTransport(scripts)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_each_verb_sends_its_method(world: Any_World, method: str) -> None:
    """`client.get` sends GET, and so on; the answer comes back with status and request."""
    engine = played(respond(200))

    async def body() -> Response:
        async with any_client(world, engine=engine) as client:
            return await getattr(client, method)("/things")

    response = world.run(body)
    assert response.status_code == 200
    assert engine.requests[0].request.method == method.upper()
    assert response.url == "https://api.test/things"


def test_a_response_has_what_callers_look_for(world: Any_World) -> None:
    """Status, parsed body, headers in any case, seconds elapsed, one attempt, the request."""
    engine = played(respond(200, json={"id": 7}, headers={"X-Kind": "user"}, delay=0.5))

    async def body() -> Response:
        async with any_client(world, engine=engine) as client:
            return await client.get("/users/7", params={"active": True, "team": None, "tag": ["a", "b"]})

    response = world.run(body)
    assert response.data == {"id": 7}
    assert response.headers["x-kind"] == "user"
    assert response.elapsed == pytest.approx(0.5)
    assert response.ok
    assert [attempt.reason for attempt in response.attempts] == ["ok"]
    assert engine.requests[0].request.url.target == "/users/7?active=true&tag=a&tag=b"


@pytest.mark.parametrize(
    ("base", "url", "sent"),
    [
        ("https://api.test/v1", "/users", "https://api.test/v1/users"),
        ("https://api.test/v1/", "users", "https://api.test/v1/users"),
        ("https://api.test/v1", "", "https://api.test/v1"),
        ("https://api.test/v1?key=1", "/users?x=2", "https://api.test/v1/users?x=2&key=1"),
        ("https://api.test/v1", "https://api.test/other", "https://api.test/other"),
    ],
)
def test_a_base_url_keeps_its_prefix(world: Any_World, base: str, url: str, sent: str) -> None:
    """Relative URLs stand behind the base URL, path and all; absolute ones stand alone."""
    engine = played(respond(200))

    async def body() -> None:
        async with any_client(world, engine=engine, base_url=base) as client:
            await client.get(url)

    world.run(body)
    assert str(engine.requests[0].request.url) == sent


def test_default_headers_are_ours_and_can_be_replaced(world: Any_World) -> None:
    """Accept, Accept-Encoding and User-Agent are sent; the client's and the call's own fields win, in that order."""
    engine = played(respond(200), respond(200))

    async def body() -> None:
        async with any_client(world, engine=engine, headers={"X-A": "client", "User-Agent": "mine"}) as client:
            client.headers["X-B"] = "later"
            await client.get("/")
            await client.get("/", headers={"x-a": "call", "accept": "text/csv"})

    world.run(body)
    first, second = (arrival.request.headers for arrival in engine.requests)
    assert first["accept"] == "*/*"
    assert "gzip" in first["accept-encoding"]
    assert first["user-agent"] == "mine"
    assert (first["x-a"], first["x-b"]) == ("client", "later")
    assert (second["x-a"], second["accept"]) == ("call", "text/csv")


def test_bodies_of_every_kind_arrive(world: Any_World, tmp_path: Path) -> None:
    """JSON, form, multipart, bytes, text, a path, a factory and a generator arrive byte for byte."""
    file = tmp_path / "data.bin"
    file.write_bytes(b"from a file")
    engine = ScriptedTransport(respond(200))

    async def body() -> None:
        async with any_client(world, engine=engine) as client:
            await client.post("/", json={"name": "Ada"})
            await client.post("/", data={"a": "1", "b": ["x", "y"], "ok": True})
            await client.post("/", content=b"raw")
            await client.post("/", content="text")
            await client.post("/", content=file)
            await client.post("/", content=lambda: [b"made ", b"anew"])
            await client.post("/", content=(piece for piece in [b"once ", b"only"]))
            await client.post("/", files={"f": ("a.txt", b"part", "text/plain")})

    world.run(body)
    bodies = [arrival.body for arrival in engine.requests]
    assert bodies[:7] == [
        b'{"name":"Ada"}', b"a=1&b=x&b=y&ok=true", b"raw", b"text", b"from a file", b"made anew", b"once only",
    ]  # fmt: skip
    assert b'filename="a.txt"' in bodies[7]
    kinds = [arrival.request.headers.get("content-type") for arrival in engine.requests]
    assert kinds[0] == "application/json"
    assert kinds[1] == "application/x-www-form-urlencoded"
    assert str(kinds[7]).startswith("multipart/form-data; boundary=")


def test_two_bodies_or_an_unknown_option_are_refused_before_anything_is_sent(world: Any_World) -> None:
    """What cannot be sent raises at once, and names the mistake."""
    engine = ScriptedTransport(respond(200))

    async def body() -> None:
        async with any_client(world, engine=engine) as client:
            with pytest.raises(ConfigurationError, match="json"):
                await client.post("/", json={}, content=b"x")
            with pytest.raises(ConfigurationError, match="did you mean 'params'"):
                await client.get("/", parms={"a": 1})
            with pytest.raises(ConfigurationError, match="str"):
                await client.get(7)
            with pytest.raises(ConfigurationError, match="control character"):
                await client.get("/", headers={"x": "a\r\nevil: 1"})
            with pytest.raises(ConfigurationError, match="method"):
                await client.request("GE T", "/")
            with pytest.raises(ConfigurationError, match="timeout"):
                await client.get("/", timeout=-1)

    world.run(body)
    assert engine.requests == []


def test_path_params_are_encoded_and_counted_under_their_template(world: Any_World) -> None:
    """T24: values fill the template, one segment each; events and metrics count under the template, not under ids."""
    engine, metrics = ScriptedTransport(respond(200)), MetricsCollector()

    async def body() -> None:
        async with any_client(world, engine=engine, events=[metrics]) as client:
            await client.get("/users/{id}/files/{name}", path_params={"id": 7, "name": "a/b c"})
            with pytest.raises(ConfigurationError, match="name"):
                await client.get("/users/{id}", path_params={"name": 1})
            with pytest.raises(ConfigurationError, match="segment"):
                await client.get("/users/{id}", path_params={"id": ".."})

    world.run(body)
    assert engine.requests[0].request.url.target == "/users/7/files/a%2Fb%20c"
    assert dict(metrics.calls) == {("GET", "/users/{id}/files/{name}", "200"): 1}


def test_a_status_raises_its_class_with_everything_in_it(world: Any_World) -> None:
    """A final 4xx or 5xx raises, with response, request, attempts and problem details."""
    problem = {"type": "https://err.test/gone", "title": "Gone fishing", "detail": "no such user"}
    engine = played(respond(404, json=problem, headers={"content-type": "application/problem+json"}))

    async def body() -> NotFoundError:
        async with any_client(world, engine=engine) as client:
            with pytest.raises(NotFoundError) as caught:
                await client.get("/users/9", params={"token": "hunter2"})
            return caught.value

    error = world.run(body)
    assert error.problem is not None
    assert error.problem.detail == "no such user"
    assert "no such user" in str(error)
    assert "hunter2" not in str(error)
    assert error.response is not None
    assert [attempt.status_code for attempt in error.attempts] == [404]


def test_raising_can_be_switched_off_by_client_and_by_call(world: Any_World) -> None:
    """`raise_for_status=False` gives the response."""
    engine = ScriptedTransport(respond(404))

    async def body() -> None:
        async with any_client(world, engine=engine, raise_for_status=False) as client:
            assert (await client.get("/")).status_code == 404
            with pytest.raises(NotFoundError):
                await client.get("/", raise_for_status=True)
        async with any_client(world, engine=engine) as client:
            assert not (await client.get("/", raise_for_status=False)).ok

    world.run(body)


def test_failures_are_retried_and_recorded(world: Any_World) -> None:
    """A reset and a 503 are tried again; the record tells each attempt and what followed."""
    engine = played(Script(Reset()), respond(503), respond(200, json=1))

    async def body() -> Response:
        async with any_client(world, engine=engine) as client:
            return await client.get("/")

    response = world.run(body)
    assert [(a.number, a.reason, a.decision) for a in response.attempts] == [
        (1, "read error", "retry"), (2, "status 503", "retry"), (3, "ok", "return"),
    ]  # fmt: skip
    assert response.elapsed == pytest.approx(sum(a.delay or 0 for a in response.attempts), abs=1e-9)


def test_the_last_failure_is_what_the_caller_sees(world: Any_World) -> None:
    """When attempts run out, the last answer or error is raised, with all attempts."""

    async def body() -> None:
        async with any_client(world, engine=ScriptedTransport(respond(503)), max_retries=1) as client:
            with pytest.raises(ServerError) as caught:
                await client.get("/")
            assert len(caught.value.attempts) == 2
            with pytest.raises(ServerError) as caught:
                await client.get("/", max_retries=0)
            assert len(caught.value.attempts) == 1
        async with any_client(world, engine=ScriptedTransport(Script(Reset()))) as client:
            with pytest.raises(ReadError) as error:
                await client.get("/")
            assert len(error.value.attempts) == 3

    world.run(body)


def test_a_post_is_sent_once_unless_it_has_a_key(world: Any_World) -> None:
    """A POST that may have been processed is not repeated; with an idempotency key it is, under one key."""
    engine = ScriptedTransport(Script(Reset()))

    async def body() -> None:
        async with any_client(world, engine=engine) as client:
            with pytest.raises(ReadError):
                await client.post("/orders", json={})
            assert len(engine.requests) == 1
            with pytest.raises(ReadError):
                await client.post("/orders", json={}, idempotency_key=True)
            with pytest.raises(ReadError):
                await client.post("/orders", json={}, idempotency_key="mine")

    world.run(body)
    keys = [arrival.request.headers.get("idempotency-key") for arrival in engine.requests]
    assert len(keys) == 7
    assert keys[0] is None
    assert len({*keys[1:4]}) == 1
    assert len(str(keys[1])) == 32
    assert keys[4:] == ["mine"] * 3


def test_retry_after_comes_with_the_error(world: Any_World) -> None:
    """A 429 that is not waited out carries the seconds the server asked for."""

    async def body() -> None:
        engine = ScriptedTransport(respond(429, headers={"retry-after": "7200"}))
        async with any_client(world, engine=engine) as client:
            with pytest.raises(RateLimitError) as caught:
                await client.get("/")
            assert caught.value.retry_after == 7200
            assert len(caught.value.attempts) == 1

    world.run(body)


def test_attempt_headers_name_call_and_attempt(world: Any_World) -> None:
    """T10: with `attempt_headers` each request says which call and attempt it is; nested retries can be seen."""
    engine = played(respond(503), respond(200), respond(200))

    async def body() -> None:
        async with any_client(world, engine=engine) as client:
            await client.get("/", attempt_headers=True)
            await client.get("/")

    world.run(body)
    first, second, plain = (arrival.request.headers for arrival in engine.requests)
    assert first["x-call-id"] == second["x-call-id"]
    assert (first["x-attempt"], second["x-attempt"]) == ("1", "2")
    assert "x-call-id" not in plain


def test_the_chain_describes_itself(world: Any_World) -> None:
    """`describe` lists what is on, outermost first; what is off is not in it."""

    async def body() -> list[str]:
        async with any_client(
            world, engine=played(), rate_limit=RateLimit(calls=5, period=1), redirects=None
        ) as client:
            return [line.name for line in client.describe()]

    names = world.run(body)
    assert names.index("RetryConfig") < names.index("CircuitBreaker") < names.index("RateLimit")
    assert "Redirects" not in names
    assert names[-1] == "scripted"


def test_one_middleware_serves_both_clients(world: Any_World) -> None:
    """An async function runs round each call, or round each attempt."""
    seen: list[str] = []

    async def per_call(request: Request, context: Any, proceed: Any) -> Response:
        seen.append("call")
        return await proceed(request.with_headers(x_tag="blue"), context)

    async def per_attempt(request: Request, context: Any, proceed: Any) -> Response:
        seen.append("attempt")
        return await proceed(request, context)

    engine = played(respond(503), respond(200))

    async def body() -> None:
        middleware = [per_call, Middleware(per_attempt, scope="attempt")]
        async with any_client(world, engine=engine, middleware=middleware) as client:
            await client.get("/")

    world.run(body)
    assert seen == ["call", "attempt", "attempt"]
    assert {arrival.request.headers["x-tag"] for arrival in engine.requests} == {"blue"}


def test_a_plain_function_is_middleware_in_the_sync_client_only() -> None:
    """`def` middleware works where nothing has to be awaited; the async client refuses it when it is made."""

    def plain(request: Request, context: Any, proceed: Any) -> Response:
        response = proceed(request, context)
        response.headers["x-seen"] = "yes"
        return response

    with APIClient(base_url="https://api.test", engine=played(respond(200)), middleware=[plain]) as client:
        assert client.get("/").headers["x-seen"] == "yes"
    with pytest.raises(ConfigurationError, match="async def"):
        AsyncAPIClient(engine=played(), middleware=[plain])
    with pytest.raises(ConfigurationError, match="cannot be called"):
        APIClient(engine=played(), middleware=["plain"])


def test_middleware_that_returns_nothing_is_named() -> None:
    """A forgotten `return` in a plain middleware or a hook is said to be one."""

    def forgetful(request: Request, context: Any, proceed: Any) -> None:
        proceed(request, context)

    client = APIClient(base_url="https://api.test", engine=played(respond(200)), middleware=[forgetful])
    with client, pytest.raises(HookError, match="middleware forgetful must return the Response"):
        client.get("/")


class Hooked(APIClient):
    """Every hook, noted."""

    def __init__(self, **options: Any) -> None:
        self.seen: list[str] = []
        super().__init__(**options)

    def prepare_request(self, request: Request) -> Request:
        self.seen.append("prepare")
        return super().prepare_request(request).with_headers(x_tenant="acme")

    def process_response(self, response: Response) -> Response:
        self.seen.append("process")
        return super().process_response(response)

    def handle_error(self, response: Response) -> None:
        self.seen.append("error")
        if response.status_code == 402:
            raise PaymentRequired("pay first", response=response)
        if response.status_code != 418:
            super().handle_error(response)

    def check_rate_limit(self, request: Request) -> None:
        self.seen.append("check")
        super().check_rate_limit(request)

    def send_request(self, request: Request) -> Response:
        self.seen.append("send")
        return super().send_request(request)


class AsyncHooked(AsyncAPIClient):
    """The same, async."""

    def __init__(self, **options: Any) -> None:
        self.seen: list[str] = []
        super().__init__(**options)

    async def prepare_request(self, request: Request) -> Request:
        self.seen.append("prepare")
        return (await super().prepare_request(request)).with_headers(x_tenant="acme")

    async def process_response(self, response: Response) -> Response:
        self.seen.append("process")
        return await super().process_response(response)

    async def handle_error(self, response: Response) -> None:
        self.seen.append("error")
        if response.status_code == 402:
            raise PaymentRequired("pay first", response=response)
        if response.status_code != 418:
            await super().handle_error(response)

    async def check_rate_limit(self, request: Request) -> None:
        self.seen.append("check")
        await super().check_rate_limit(request)

    async def send_request(self, request: Request) -> Response:
        self.seen.append("send")
        return await super().send_request(request)


class PaymentRequired(APIError):
    """A user's own error."""


def test_hooks_run_once_per_call_or_once_per_attempt(world: Any_World) -> None:
    """prepare, process and error run once per call; check and send once per attempt."""
    engine = played(respond(503), respond(200))

    async def body() -> list[str]:
        async with any_client(world, Hooked, AsyncHooked, engine=engine) as client:
            await client.get("/")
            return list(client.seen)

    assert world.run(body) == ["prepare", "check", "send", "check", "send", "process"]
    assert {arrival.request.headers["x-tenant"] for arrival in engine.requests} == {"acme"}


def test_handle_error_decides_what_an_error_becomes(world: Any_World) -> None:
    """It may raise an error of its own, the default one, or none at all."""

    async def body() -> None:
        scripts = played(respond(402), respond(404), respond(418))
        async with any_client(world, Hooked, AsyncHooked, engine=scripts) as client:
            with pytest.raises(PaymentRequired):
                await client.get("/")
            with pytest.raises(NotFoundError):
                await client.get("/")
            assert (await client.get("/")).status_code == 418

    world.run(body)


def test_hooks_of_the_wrong_kind_are_refused_when_the_class_is_made() -> None:
    """`async def` in APIClient, or `def` in AsyncAPIClient, is an error of the class statement."""
    with pytest.raises(ConfigurationError, match="must be `def`"):

        class Wrong(APIClient):
            async def prepare_request(self, request: Request) -> Request:  # type: ignore[override]
                return request

    with pytest.raises(ConfigurationError, match="must be `async def`"):

        class AlsoWrong(AsyncAPIClient):
            def handle_error(self, response: Response) -> None:  # type: ignore[override]
                return None


def test_send_request_outside_an_attempt_says_what_to_call(world: Any_World) -> None:
    """The hook's default works only inside an attempt."""
    with APIClient(engine=played()) as client, pytest.raises(HookError, match="request"):
        client.send_request(None)  # type: ignore[arg-type]


def test_a_login_in_a_subclass_sets_the_header_for_later_calls(world: Any_World) -> None:
    """The documented pattern: `authenticate` posts, and keeps the token in `client.headers`."""

    class MyAPIClient(APIClient):
        def authenticate(self, username: str, password: str) -> None:
            response = self.post("/auth", json={"username": username, "password": password})
            self.headers["Authorization"] = f"Bearer {response.data['token']}"

    engine = played(respond(200, json={"token": "t-1"}), respond(200))
    with MyAPIClient(base_url="https://api.test", engine=engine) as client:
        client.authenticate("ada", "secret")
        client.get("/me")
    assert engine.requests[1].request.headers["authorization"] == "Bearer t-1"


def test_a_light_copy_shares_connections_and_the_state_of_what_stayed(world: Any_World) -> None:
    """`with_options` changes what it is told; the limiter of the original still counts."""
    engine = ScriptedTransport(respond(200))

    async def body() -> float:
        async with any_client(world, engine=engine, rate_limit=RateLimit(calls=1, period=10)) as client:
            copy = client.with_options(headers={"X-A": "copy"}, deadline=None)
            plain = getattr(copy, "plain", copy)
            assert plain.transport is client.transport
            await client.get("/")
            await (_awaited(copy) if world.name == "sync" else copy.get("/"))
            await client.get("/")
            return world.runtime.now()

    assert world.run(body) == pytest.approx(20, abs=0.5)
    assert [arrival.request.headers.get("x-a") for arrival in engine.requests] == [None, "copy", None]


async def _awaited(client: APIClient) -> Response:
    return client.get("/")


def test_a_light_copy_does_not_close_the_original() -> None:
    """Only the client that opened the connections closes them."""
    engine = ScriptedTransport(respond(200))
    with APIClient(base_url="https://api.test", engine=engine) as client:
        with client.with_options(max_retries=0) as copy:
            copy.get("/")
        assert copy.closed
        assert client.get("/").ok
        with pytest.raises(ConfigurationError, match="connection"):
            client.with_options(verify=False)


def test_a_closed_client_says_so(world: Any_World) -> None:
    """Closing twice is fine; a call afterwards raises before anything is sent."""

    async def body() -> None:
        async with any_client(world, engine=ScriptedTransport(respond(200))) as client:
            pass
        assert client.closed
        with pytest.raises(ClosedError):
            await client.get("/")

    world.run(body)
    client = APIClient(engine=played())
    client.close()
    client.close()
    with pytest.raises(ClosedError), client:
        pass


def test_a_closed_async_client_cannot_be_entered_again(world: Any_World) -> None:
    """`async with` on a closed client raises."""

    async def body() -> None:
        client = AsyncAPIClient(engine=played(), clock=world.clock)
        await client.aclose()
        await client.aclose()
        with pytest.raises(ClosedError):
            async with client:
                pass

    if world.name != "sync":
        world.run(body)


@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient])
def test_a_client_left_open_warns(kind: Any) -> None:
    """A client that is collected without being closed is a ResourceWarning that says what to do."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kind(base_url="https://ada:pw@api.test", engine=ScriptedTransport(respond(200)))
        gc.collect()
    assert [w.category for w in caught] == [ResourceWarning]
    assert "close" in str(caught[0].message)
    assert "pw" not in str(caught[0].message)


def test_a_client_that_could_not_be_made_does_not_warn() -> None:
    """A refused option leaves nothing open."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConfigurationError):
            APIClient(max_retrys=5)
        gc.collect()


def test_a_base_url_or_a_config_can_come_first() -> None:
    """`APIClient("https://...")` and `APIClient(config)` are short for the keywords."""
    with APIClient("https://api.test", engine=ScriptedTransport(respond(200)), max_retries=4) as client:
        assert client.config.base_url == "https://api.test"
        assert "api.test" in repr(client)
    with APIClient(APIConfig(engine=ScriptedTransport(respond(200)))) as client:
        assert client.get("https://other.test/").ok
        assert "without base_url" in repr(client)
    client_of_both = AsyncAPIClient(
        "https://api.test", engine=ScriptedTransport(respond(200)), base_url="https://b.test"
    )
    assert client_of_both.config.base_url == "https://b.test"
    asyncio.run(client_of_both.aclose())


def test_settings_can_be_changed_on_a_living_client() -> None:
    """Headers and params are read for each call."""
    engine = ScriptedTransport(respond(200))
    with APIClient(base_url="https://api.test", engine=engine, params={"v": 1}) as client:
        assert client.params == {"v": 1}
        client.params = {"v": 2}
        client.get("/", params={"x": 3})
    assert engine.requests[0].request.url.query == "v=2&x=3"


def test_streams_are_read_as_they_come(world: Any_World) -> None:
    """Bytes, text, lines, NDJSON and events come piece by piece; the connection goes back at the end of the block."""
    pieces = (Chunk(b'{"n":1}\n'), Delay(1), Chunk(b'{"n":2}\n'))
    engine = ScriptedTransport(Script(Head(200, {"content-type": "application/x-ndjson"}), *pieces, End()))

    async def body() -> list[tuple[float, Any]]:
        async with any_client(world, engine=engine) as client:
            if world.name == "sync":
                with client.stream("GET", "/") as stream:
                    return [(world.runtime.now(), value) for value in stream.iter_ndjson()]
            async with client.stream("GET", "/") as stream:
                return [(world.runtime.now(), value) async for value in stream.aiter_ndjson()]

    assert world.run(body) == [(0.0, {"n": 1}), (1.0, {"n": 2})]


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        ("iter_bytes", [b"a\nb\n"]),
        ("iter_text", ["a\nb\n"]),
        ("iter_lines", ["a", "b"]),
    ],
)
def test_each_reader_reads(world: Any_World, reader: str, expected: list[Any]) -> None:
    """The same body by each of the readers; a second reading is an error."""

    async def body() -> list[Any]:
        async with any_client(world, engine=ScriptedTransport(respond(200, content=b"a\nb\n"))) as client:
            if world.name == "sync":
                with client.stream("GET", "/") as stream:
                    seen = list(getattr(stream, reader)())
                    with pytest.raises(ClosedError):
                        list(stream.iter_bytes())
                    return seen
            async with client.stream("GET", "/") as stream:
                seen = [piece async for piece in getattr(stream, f"a{reader}")()]
                with pytest.raises(ClosedError):
                    [piece async for piece in stream.aiter_bytes()]
                return seen

    assert world.run(body) == expected


def test_events_and_whole_bodies_from_a_stream(world: Any_World) -> None:
    """Server-sent events are parsed; `read` gives the rest as a whole response."""

    async def body() -> tuple[list[str], bytes]:
        async with any_client(
            world, engine=ScriptedTransport(respond(200, content=b"data: x\n\ndata: y\n\n"))
        ) as client:
            if world.name == "sync":
                with client.stream("GET", "/") as stream:
                    events = [event.data for event in stream.iter_events()]
                with client.stream("GET", "/") as stream:
                    assert (stream.status_code, stream.ok, stream.reason is not None) == (200, True, True)
                    return events, stream.read().content
            async with client.stream("GET", "/") as stream:
                events = [event.data async for event in stream.aiter_events()]
            async with client.stream("GET", "/") as stream:
                return events, (await stream.aread()).content

    assert world.run(body) == (["x", "y"], b"data: x\n\ndata: y\n\n")


def test_a_stream_has_no_deadline_unless_given_one(world: Any_World) -> None:
    """A body that takes longer than the client's deadline is fine in a stream."""
    engine = ScriptedTransport(Script(Head(200), Chunk(b"a"), Delay(20), Chunk(b"b"), Delay(20), Chunk(b"c"), End()))

    async def body() -> bytes:
        async with any_client(world, engine=engine, deadline=5) as client:
            if world.name == "sync":
                with client.stream("GET", "/") as stream:
                    return b"".join(stream.iter_bytes())
            async with client.stream("GET", "/") as stream:
                return b"".join([piece async for piece in stream.aiter_bytes()])

    assert world.run(body) == b"abc"


def test_an_error_status_of_a_stream_raises_with_its_body(world: Any_World) -> None:
    """A 4xx answer to `stream` raises before the block runs, its body read."""

    async def enter_stream(client: Any) -> None:
        if world.name == "sync":
            with client.stream("GET", "/"):
                pytest.fail("the block must not run")
        else:
            async with client.stream("GET", "/"):
                pytest.fail("the block must not run")

    async def body() -> None:
        async with any_client(world, engine=ScriptedTransport(respond(404, json={"why": "gone"}))) as client:
            with pytest.raises(NotFoundError) as caught:
                await enter_stream(client)
            assert caught.value.response is not None
            assert caught.value.response.data == {"why": "gone"}

    world.run(body)


def test_downloads_are_whole_or_not_there(world: Any_World, tmp_path: Path) -> None:
    """A finished download replaces the file and reports progress; a broken one leaves the old file and nothing else."""
    target = tmp_path / "file.bin"
    broken = Script(Head(200, {"content-length": "9"}), Chunk(b"abc"), Reset())
    engine = played(respond(200, content=b"abcdef", headers={"content-length": "6"}), broken)
    progress: list[tuple[int, int | None]] = []

    async def body() -> None:
        async with any_client(world, engine=engine, max_retries=0) as client:
            await client.download("/f", target, on_progress=lambda done, total: progress.append((done, total)))
            with pytest.raises(ReadError):
                await client.download("/f", target)

    world.run(body)
    assert target.read_bytes() == b"abcdef"
    assert progress[-1] == (6, 6)
    assert list(tmp_path.iterdir()) == [target]


def test_uploads_tell_how_far_they_are(world: Any_World) -> None:
    """`progress` sees the bytes as they are handed over."""
    seen: list[tuple[int, int | None]] = []

    async def body() -> None:
        async with any_client(world, engine=ScriptedTransport(respond(200))) as client:
            await client.post(
                "/", content=lambda: [b"abc", b"de"], progress=lambda done, total: seen.append((done, total))
            )

    world.run(body)
    assert [done for done, _ in seen] == [3, 5]


def test_broken_json_raises_on_data_not_on_arrival(world: Any_World) -> None:
    """A 200 with broken JSON is a response; reading `data` raises."""
    engine = ScriptedTransport(respond(200, content=b"{oops", headers={"content-type": "application/json"}))

    async def body() -> Response:
        async with any_client(world, engine=engine) as client:
            return await client.get("/")

    response = world.run(body)
    with pytest.raises(DecodeError):
        _ = response.data


def test_the_serializer_writes_and_reads(world: Any_World) -> None:
    """A serializer given by name or as an object is used both ways."""

    class Shouting(StandardJSON):
        def dumps(self, value: Any) -> bytes:
            return super().dumps(value).upper()

        def loads(self, data: bytes) -> Any:
            return ["read", super().loads(data)]

    engine = ScriptedTransport(respond(200, json="x"))
    with APIClient(base_url="https://api.test", engine=engine, serializer=Shouting()) as client:
        assert client.post("/", json="a").data == ["read", "x"]
    assert engine.requests[0].body == b'"A"'
    for name in ("orjson", "msgspec"):
        with APIClient(base_url="https://api.test", engine=engine, serializer=name) as client:
            assert client.post("/", json={"a": 1}).data == "x"
    assert engine.requests[-1].body == b'{"a":1}'


def test_a_policy_given_by_the_user_takes_the_place_of_the_default(world: Any_World) -> None:
    """A policy at a stage that has a default replaces it."""

    class Never:
        stage = Stage.RETRY

        async def __call__(self, request: Request, context: Any, proceed: Any) -> Response:
            return await proceed(request, context)

    async def body() -> None:
        engine = ScriptedTransport(respond(503))
        async with any_client(world, engine=engine, policies=[Never()]) as client:
            with pytest.raises(ServerError):
                await client.get("/")
            assert len(engine.requests) == 1

    world.run(body)


def test_any_httpx_transport_can_be_the_engine() -> None:
    """An `httpx.MockTransport` serves the sync client, with everything round it."""

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"path": request.url.path})

    with APIClient(base_url="https://api.test", engine=httpx.MockTransport(handler)) as client:
        assert client.get("/x").data == {"path": "/x"}


def test_a_seed_makes_a_run_repeatable(world: Any_World) -> None:
    """The same seed gives the same keys and the same back-off; a generator of the user's is used as it is."""

    async def run(chance: Any) -> tuple[float, str]:
        engine = played(respond(503), respond(200))
        async with any_client(world, engine=engine, random=chance) as client:
            response = await client.get("/", idempotency_key=True)
            return response.attempts[0].delay, engine.requests[0].request.headers["idempotency-key"]

    one, same, other = world.run(run, 7), world.run(run, random.Random(7)), world.run(run, 8)
    assert one == same
    assert one != other


def test_credentials_for_a_foreign_origin_must_be_meant(world: Any_World) -> None:
    """`auth=` in a call to another origin is refused unless that is allowed; a user in the URL counts as auth."""
    engine = ScriptedTransport(respond(200))

    async def body() -> None:
        async with any_client(world, engine=engine) as client:
            with pytest.raises(ConfigurationError, match="allow_origins"):
                await client.get("https://other.test/", auth=("ada", "pw"))
            with pytest.raises(ConfigurationError, match="allow_origins"):
                await client.get("https://ada:pw@other.test/")
            await client.get("https://other.test/", auth=None)
        async with any_client(world, engine=engine, allow_origins=["https://other.test"]) as client:
            await client.get("https://other.test/", auth=("ada", "pw"))
        async with any_client(world, engine=engine, base_url="https://ada:pw@api.test/v1") as client:
            await client.get("/x")
        async with any_client(world, engine=engine, base_url=None) as client:
            await client.get("https://ada:pw@any.test/")

    world.run(body)
    sent = [arrival.request.headers.get("authorization") for arrival in engine.requests]
    assert sent == [None, "Basic YWRhOnB3", "Basic YWRhOnB3", "Basic YWRhOnB3"]


def test_cookies_of_the_client_belong_to_its_base_url(world: Any_World) -> None:
    """Cookies given to the client, set by the server and given to the call are sent; elsewhere they are not."""
    engine = played(respond(200, headers={"set-cookie": "b=2"}), respond(200), respond(200))

    async def body() -> None:
        async with any_client(world, engine=engine, cookies={"a": "1"}) as client:
            await client.get("/")
            await client.get("/", cookies={"c": "3"})
            await client.get("https://other.test/")
            assert (client.cookies.get("a"), client.cookies.get("b")) == ("1", "2")
        with pytest.raises(ConfigurationError, match="base_url"):
            APIClient(cookies={"a": "1"}, engine=played())

    world.run(body)
    sent = [set(str(arrival.request.headers.get("cookie")).split("; ")) for arrival in engine.requests]
    assert sent == [{"a=1"}, {"a=1", "b=2", "c=3"}, {"None"}]


def test_redirects_are_followed_as_client_and_call_say(world: Any_World) -> None:
    """A call may follow where its client does not, and the other way round."""
    moved = respond(302, headers={"location": "/new"})
    engine = played(moved, moved, respond(200, json="new"), moved, respond(200), moved)

    async def body() -> None:
        async with any_client(world, engine=engine, follow_redirects=False) as client:
            assert (await client.get("/old")).status_code == 302
            followed = await client.get("/old", follow_redirects=True)
            assert (followed.data, [hop.status_code for hop in followed.history]) == ("new", [302])
        async with any_client(world, engine=engine) as client:
            assert (await client.get("/old")).status_code == 200
            assert (await client.get("/old", follow_redirects=False)).is_redirect

    world.run(body)


def test_a_next_link_to_another_origin_does_not_carry_the_key_it_repeats(world: Any_World) -> None:
    """A server that echoes our secret query parameter into a link elsewhere does not make us send it there."""
    link = '<https://other.test/items?page=2&api_key=hunter2>; rel="next"'
    engine = played(respond(200, headers={"link": link}), respond(200))

    async def body() -> None:
        async with any_client(world, engine=engine, params={"api_key": "hunter2"}) as client:
            first = await client.get("/items")
            await client.get(first.links["next"].url)

    world.run(body)
    assert [arrival.request.url.query for arrival in engine.requests] == ["api_key=hunter2", "page=2"]


def test_a_cookie_of_a_call_is_one_cookie(world: Any_World) -> None:
    """A value that would be read as more cookies, or that is no text, is refused."""

    async def body() -> None:
        async with any_client(world, engine=played()) as client:
            for value in ("a; admin=1", "a\r\nx: y", 7):
                with pytest.raises(ConfigurationError, match="cookie"):
                    await client.get("/", cookies={"c": value})

    world.run(body)


def test_a_token_given_as_auth_is_not_shown(world: Any_World) -> None:
    """A bare str as `auth=` names a plugin; one that does not may be a token, and the error keeps it to itself."""

    async def body() -> None:
        async with any_client(world, engine=played()) as client:
            with pytest.raises(ConfigurationError, match="BearerAuth") as caught:
                await client.get("/", auth="sk-live-1234567890")
            assert "sk-live" not in str(caught.value)

    world.run(body)


def test_a_template_without_values_is_refused(world: Any_World) -> None:
    """`/users/{id}` without path_params would be a 404 at best."""

    async def body() -> None:
        async with any_client(world, engine=played()) as client:
            with pytest.raises(ConfigurationError, match="path_params"):
                await client.get("/users/{id}")

    world.run(body)


def test_a_virtual_clock_on_an_engine_with_sockets_is_refused() -> None:
    """Virtual time would run ahead of the wire, so the client is not made."""
    for kind in (APIClient, AsyncAPIClient):
        for engine in ("httpx", "httpx2", "pyreqwest"):
            with pytest.raises(ConfigurationError, match="virtual"):
                kind(engine=engine, clock=VirtualClock())


def test_a_client_says_that_it_does_not_travel() -> None:
    """Pickling a client is refused with what to do instead."""
    with APIClient(engine=played()) as client, pytest.raises(TypeError, match=r"pickle client\.config"):
        pickle.dumps(client)
    assert "closed" in repr(client)


def test_async_middleware_that_forgets_return_or_await_is_named(world: Any_World) -> None:
    """The error says which function it was and what is missing."""

    async def forgets_return(request: Request, context: Any, proceed: Any) -> None:
        await proceed(request, context)

    async def forgets_await(request: Request, context: Any, proceed: Any) -> Any:
        pending = proceed(request, context)
        pending.close()
        return pending

    async def body() -> None:
        for function in (forgets_return, forgets_await):
            async with any_client(world, engine=ScriptedTransport(respond(200)), middleware=[function]) as client:
                with pytest.raises(HookError, match=function.__name__):
                    await client.get("/")

    world.run(body)


def test_a_policy_class_in_the_place_of_a_policy_is_refused() -> None:
    """`policies=[Deadline]` says that an object is wanted."""
    with pytest.raises(ConfigurationError, match="no policy"):
        APIClient(engine=played(), policies=[Deadline])  # type: ignore[list-item]


def test_an_error_above_the_attempts_names_its_request(world: Any_World) -> None:
    """An error raised by a middleware carries the request of its call."""

    async def refuses(request: Request, context: Any, proceed: Any) -> Response:
        raise APIError("not today")

    async def body() -> None:
        async with any_client(world, engine=played(), middleware=[refuses]) as client:
            with pytest.raises(APIError) as caught:
                await client.get("/x")
            assert caught.value.request is not None

    world.run(body)


def test_the_chain_can_be_mounted_under_httpx_clients() -> None:
    """`as_httpx_transport` gives an httpx client this client's retries; closing it leaves the client open."""
    engine = played(respond(503), respond(200, json="sync"))
    with APIClient(base_url="https://api.test", engine=engine) as client:
        with httpx.Client(transport=client.as_httpx_transport()) as sdk:
            assert sdk.get("https://api.test/x").json() == "sync"
        assert not client.closed
    assert len(engine.requests) == 2

    async def body() -> None:
        async with (
            AsyncAPIClient(base_url="https://api.test", engine=played(respond(200, json="async"))) as client,
            httpx.AsyncClient(transport=client.as_httpx_transport()) as sdk,
        ):
            assert (await sdk.get("https://api.test/x")).json() == "async"

    asyncio.run(body())


def test_authentication_can_be_a_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registered name as `auth=` is asked for its scheme."""
    monkeypatch.setattr("rest_api_client.plugins._REGISTERED", {("auth", "company"): lambda: BearerAuth("t-9")})
    engine = ScriptedTransport(respond(200))
    with APIClient(base_url="https://api.test", engine=engine, auth="company", serializer=StandardJSON()) as client:
        client.get("/")
    assert engine.requests[0].request.headers["authorization"] == "Bearer t-9"


def test_connection_options_beside_a_transport_are_refused() -> None:
    """T9: a transport brings its own connections; settings that it would silently drop are an error."""
    for kind in (APIClient, AsyncAPIClient):
        with pytest.raises(ConfigurationError, match="transport itself"):
            kind(engine=played(), verify=False)


def test_a_download_needs_a_path(world: Any_World) -> None:
    """None in the place of a path is refused before anything is sent."""
    engine = played()

    async def body() -> None:
        async with any_client(world, engine=engine) as client:
            with pytest.raises(ConfigurationError, match="path"):
                await client.download("/f", None)

    world.run(body)
    assert engine.requests == []
