"""The chain mounted under an SDK's httpx client, in virtual time."""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from rest_api_client import exceptions as ours
from rest_api_client.auth.schemes import Authentication, BearerAuth
from rest_api_client.context import CallOptions, Context
from rest_api_client.engines.mount import TRANSLATION, as_httpx_transport
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.http.urls import Origin
from rest_api_client.middleware import Middleware
from rest_api_client.models import Request, Response
from rest_api_client.policies.backoff import ExponentialBackoff
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.reading import Decode, Read
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.script import Chunk, Delay, End, Head, Refuse, Reset, Script, Stall
from rest_api_client.transport import Timeouts
from rest_api_client.typing import Proceed
from tests.conftest import World

RETRY = RetryConfig(max_attempts=3, strategy=ExponentialBackoff(base=1, jitter="none"), budget=None)


class Mounted:
    """An httpx client over the chain over scripts, driven alike in all three runtimes."""

    def __init__(self, world: World[Any], scripts: Any, *policies: Any, **options: Any) -> None:
        self.world = world
        self.engine = ScriptedTransport(scripts, runtime=world.runtime)
        self.transport: Any = as_httpx_transport(
            [*policies, Read(), Decode()],
            self.engine,
            world.runtime,
            face="sync" if world.name == "sync" else "async",
            random=random.Random(1),
            **options,
        )

    def run(self, work: Callable[[Any], Any], **settings: Any) -> Any:
        """Run `work(sdk)`, whose calls are awaitable in either face."""

        async def whole() -> Any:
            if self.world.name == "sync":
                with httpx.Client(transport=self.transport, base_url="http://api.test", **settings) as client:
                    return await work(_Awaitable(client))
            async with httpx.AsyncClient(transport=self.transport, base_url="http://api.test", **settings) as client:
                return await work(client)

        return self.world.run(whole)

    def get(self, method: str = "GET", path: str = "/x", settings: Any = None, **options: Any) -> httpx.Response:
        async def work(sdk: Any) -> httpx.Response:
            response: httpx.Response = await sdk.request(method, path, **options)
            return response

        answer: httpx.Response = self.run(work, **(settings or {}))
        return answer


class _Awaitable:
    """A sync httpx client behind `async def`s."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    async def request(self, *args: Any, **options: Any) -> httpx.Response:
        return self.client.request(*args, **options)


def test_the_sdk_gets_its_answer_undecoded(world: World[Any]) -> None:
    """Method, target, fields and body go down, status, fields and the encoded body come up; httpx decodes."""
    packed = gzip.compress(b"hello")
    script = Script(Head(207, (("content-encoding", "gzip"), ("Set-Cookie", "a=1")), "Many"), Chunk(packed), End())
    mounted = Mounted(world, script)
    answer = mounted.get("REPORT", "/a%20b?q=1", content=b"abc", headers={"X-Name": "é".encode("latin-1")})
    assert (answer.status_code, answer.reason_phrase, answer.http_version) == (207, "Many", "HTTP/1.1")
    assert answer.content == b"hello"
    assert answer.cookies["a"] == "1"
    (arrived,) = mounted.engine.requests
    assert arrived.request.method == "REPORT"
    assert str(arrived.request.url) == "http://api.test/a%20b?q=1"
    assert arrived.request.headers["host"] == "api.test"
    assert arrived.request.headers["x-name"] == "é"
    assert arrived.body == b"abc"


def test_retries_are_ours_and_statuses_are_not_raised(world: World[Any]) -> None:
    """A 503 is tried again with our back-off; the last answer goes to the SDK, whatever its status."""
    mounted = Mounted(world, [respond(503), respond(503), respond(500, content="no")], RETRY)
    assert mounted.get().text == "no"
    assert [arrival.at for arrival in mounted.engine.requests] == [0, 1, 3]


def test_a_body_in_memory_is_sent_again(world: World[Any]) -> None:
    """What httpx holds whole is replayed."""
    mounted = Mounted(world, [Script(Refuse()), respond(200)], RETRY)
    assert mounted.get("POST", json={"a": 1}).status_code == 200
    assert mounted.engine.requests[1].body == b'{"a":1}'


@pytest.mark.parametrize("length", [None, "3"])
def test_a_streamed_body_is_sent_once(world: World[Any], length: str | None) -> None:
    """What httpx would stream is gone once read, so a failure stands."""

    def pieces() -> Iterator[bytes]:
        yield b"ab"
        yield b"c"

    async def async_pieces() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    mounted = Mounted(world, [respond(503), respond(200)], RETRY)
    body = pieces() if world.name == "sync" else async_pieces()
    headers = {"content-length": length} if length else {}
    assert mounted.get("PUT", content=body, headers=headers).status_code == 503
    assert [arrival.body for arrival in mounted.engine.requests] == [b"abc"]
    assert mounted.engine.requests[0].request.body.length == (3 if length else None)


def test_the_sdks_timeouts_count(world: World[Any]) -> None:
    """The limits of the httpx client, or of the call, bound each attempt."""
    mounted = Mounted(world, Script(Stall()))
    with pytest.raises(httpx.ReadTimeout) as caught:
        mounted.get(timeout=httpx.Timeout(9, read=2))
    assert isinstance(caught.value.__cause__, ours.ReadTimeout)
    assert caught.value.request.url == "http://api.test/x"
    assert world.clock.monotonic() == 2


def test_our_timeouts_count_where_httpx_names_none(world: World[Any]) -> None:
    """Without timeouts in the request those of the options hold; a transport can be asked without a client."""
    mounted = Mounted(world, Script(Delay(9), Head(200), End()), options=CallOptions(timeouts=Timeouts(read=4)))

    async def work(sdk: object) -> None:
        request = httpx.Request("GET", "https://api.test:8443/")
        if world.name == "sync":
            mounted.transport.handle_request(request)
        else:
            await mounted.transport.handle_async_request(request)

    with pytest.raises(httpx.ReadTimeout):
        mounted.run(work)
    assert world.clock.monotonic() == 4
    assert str(mounted.engine.requests[0].request.url) == "https://api.test:8443/"


def test_a_body_that_breaks_off_is_told_in_httpx_words(world: World[Any]) -> None:
    """An error behind the head reaches the SDK as httpx's own, and is not tried again."""
    mounted = Mounted(world, Script(Head(200), Chunk(b"abc"), Reset()), RETRY)
    with pytest.raises(httpx.ReadError) as caught:
        mounted.get()
    assert isinstance(caught.value.__cause__, ours.ReadError)
    assert len(mounted.engine.requests) == 1


def test_an_open_breaker_is_a_connect_error(world: World[Any]) -> None:
    """A call that the breaker refuses looks like a connection that did not come about, and sends nothing."""
    mounted = Mounted(world, respond(500), CircuitBreaker(min_calls=1, failure_ratio=1))

    async def work(sdk: Any) -> None:
        assert (await sdk.request("GET", "/x")).status_code == 500
        with pytest.raises(httpx.ConnectError) as caught:
            await sdk.request("GET", "/x")
        assert isinstance(caught.value.__cause__, ours.CircuitOpenError)

    mounted.run(work)
    assert len(mounted.engine.requests) == 1


@pytest.mark.parametrize(("ours_kind", "theirs"), TRANSLATION)
def test_each_error_has_its_word(world: World[Any], ours_kind: type[ours.APIError], theirs: type[Exception]) -> None:
    """Every error of the table leaves as that one of httpx's, with ours as its cause and the attempts in it."""

    async def fail(request: Request, context: Context, proceed: Proceed) -> Response:
        raise ours_kind("why")

    mounted = Mounted(world, respond(), Middleware(fail, scope="attempt"))
    with pytest.raises(theirs, match="why") as caught:
        mounted.get()
    assert type(caught.value) is theirs
    cause = caught.value.__cause__
    assert type(cause) is ours_kind
    assert len(cause.attempts) == 1


def test_mistakes_in_the_set_up_stay_ours(world: World[Any]) -> None:
    """What is no failure of the network is not dressed up as one."""
    mounted = Mounted(world, [])
    with pytest.raises(ours.ConfigurationError, match="scripts were given"):
        mounted.get()


def test_the_clients_credentials_go_home_only(world: World[Any]) -> None:
    """The client's authentication is added for its own origins, and for no other."""
    home = frozenset({Origin("http", "api.test", 80)})
    mounted = Mounted(world, respond(), Authentication(auth=BearerAuth("secret")), home=home)

    async def work(sdk: Any) -> None:
        await sdk.request("GET", "/x")
        await sdk.request("GET", "http://other.test/x")

    mounted.run(work)
    sent = [arrival.request.headers.get("authorization") for arrival in mounted.engine.requests]
    assert sent == ["Bearer secret", None]


def test_call_level_middleware_is_left_out(world: World[Any]) -> None:
    """What httpx's client does itself, and what stands above retry, is not run; an attempt's middleware is."""
    ran = []

    def noting(name: Any) -> Any:
        async def middleware(request: Request, context: Context, proceed: Proceed) -> Response:
            ran.append(name)
            return await proceed(request, context)

        return middleware

    Mounted(world, respond(), *(Middleware(noting(scope), scope=scope) for scope in ("call", "attempt"))).get()
    assert ran == ["attempt"]


def test_a_middleware_may_answer_itself(world: World[Any]) -> None:
    """An answer that was made up whole, without a stream, is passed on as it is."""

    async def answer(request: Request, context: Context, proceed: Proceed) -> Response:
        return Response(203, content=b"made up")

    mounted = Mounted(world, [], Middleware(answer, scope="attempt"))
    assert mounted.get().content == b"made up"
