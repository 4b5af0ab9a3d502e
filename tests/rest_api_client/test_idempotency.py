"""Idempotency keys: one per call, in the form and under the name that the server wants, or refused before sending."""

from __future__ import annotations

import random
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_api_client import ConfigurationError, ConflictError, ExponentialBackoff, RetryConfig
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import APIError, ValidationError
from rest_api_client.idempotency import IdempotencyKey
from rest_api_client.models import Response
from rest_api_client.outcome import Kind, classify_http
from rest_api_client.script import Reset, Script
from tests.conftest import World
from tests.rest_api_client.faces import any_client

AnyWorld = World[Any]
RETRY = RetryConfig(strategy=ExponentialBackoff(base=0.1))
KEY = "Idempotency-Key"


def post(world: AnyWorld, scripts: Any, *keys: Any, **options: Any) -> list[Any]:
    """One POST for each key; gives what the server received, answered or not."""
    engine = ScriptedTransport(scripts)
    settings: dict[str, Any] = {"retry": RETRY, **options}

    async def body() -> None:
        async with any_client(world, engine=engine, **settings) as client:
            for key in keys:
                await client.post("/orders", json={"n": 1}, idempotency_key=key)

    world.run(body)
    return [arrival.request for arrival in engine.requests]


def values(requests: list[Any], name: str = KEY) -> list[str | None]:
    return [request.headers.get(name) for request in requests]


def test_a_key_stays_for_the_call_and_no_longer(world: AnyWorld) -> None:
    """T21: over a lost answer, a 503 and a redirect at home it is the same; the next call has another."""
    scripts = [
        Script(Reset()), respond(503), respond(307, headers={"location": "/there"}), respond(201), respond(201),
    ]  # fmt: skip
    requests = post(world, scripts, True, True)
    keys = values(requests)
    assert len(set(keys[:4])) == 1
    assert keys[3] != keys[4]
    assert {len(key or "") for key in keys} == {32}
    assert str(requests[3].url) == "https://api.test/there"


def test_a_key_stays_over_an_authentication_round_trip(world: AnyWorld) -> None:
    """T21: the request that authentication sends again is the same order."""

    class Twice(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            yield request
            request.headers["authorization"] = "fresh"
            yield request

    keys = values(post(world, [respond(401), respond(201)], True, auth=Twice()))
    assert len(keys) == 2
    assert keys[0] is not None
    assert keys[0] == keys[1]


def test_the_style_is_the_clients_or_the_keys_own(world: AnyWorld) -> None:
    """T21: plain as most servers want it, or a structured string in quotes (RFC 9651)."""
    plain, quoted = IdempotencyKey(value="k", style="plain"), IdempotencyKey(value="k", style="quoted")
    assert values(post(world, respond(201), "k", plain, quoted)) == ["k", "k", '"k"']
    keys = values(post(world, respond(201), "k", plain, True, 'a"b\\c', idempotency_key_style="quoted"))
    assert keys[:2] == ['"k"', "k"]
    assert keys[2] is not None
    assert len(keys[2]) == 34
    assert keys[3] == r'"a\"b\\c"'


def test_a_key_under_another_name_makes_a_post_repeatable(world: AnyWorld) -> None:
    """The field's name is the key's own; a redirect that turns the POST into a GET leaves it behind."""
    key = IdempotencyKey(header="X-Request-Token")
    requests = post(world, [Script(Reset()), respond(303, headers={"location": "/o"}), respond(200)], key)
    sent = values(requests, "x-request-token")
    assert sent[0] == sent[1] is not None
    assert sent[2] is None
    assert values(requests) == [None] * 3
    assert [request.idempotency_key for request in requests] == sent


def test_no_key_is_no_key(world: AnyWorld) -> None:
    """False and None send none; a field that was set empty by hand is none either, so a POST goes out once."""
    assert values(post(world, respond(201), False, None)) == [None, None]
    engine = ScriptedTransport([Script(Reset())])

    async def body() -> None:
        async with any_client(world, engine=engine, retry=RETRY) as client:
            with pytest.raises(APIError):
                await client.post("/orders", headers={KEY: ""})

    world.run(body)
    assert len(engine.requests) == 1


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        "a\r\nb",
        "a\nb",
        "a\x00",
        "schlüssel",
        " a",
        "a ",
        "a\tb",
        "x" * 256,
        "\u2028" * 100,
        5,
        b"bytes",
        ["k"],
    ],
)
def test_a_key_that_cannot_be_sent_is_refused(world: AnyWorld, key: Any) -> None:
    """Before anything is sent, with what to give instead; also in an `IdempotencyKey`."""
    engine = ScriptedTransport(respond(201))

    async def body() -> None:
        async with any_client(world, engine=engine) as client:
            with pytest.raises(ConfigurationError, match="idempotency_key"):
                await client.post("/orders", idempotency_key=key)

    world.run(body)
    assert engine.requests == []
    if isinstance(key, str):
        with pytest.raises(ConfigurationError, match="idempotency_key"):
            IdempotencyKey(value=key)


def test_a_name_or_a_style_that_cannot_be_is_refused(world: AnyWorld) -> None:
    """When the key, or the client, is made; a key with quotes of its own is refused where style adds them."""
    bad: list[dict[str, Any]] = [{"header": "no token"}, {"header": ""}, {"style": "fancy"}, {"value": 5}]
    for options in bad:
        with pytest.raises(ConfigurationError):
            IdempotencyKey(**options)
    with pytest.raises(ConfigurationError, match="idempotency_key_style='fancy': give 'plain' or 'quoted'"):
        post(world, respond(201), idempotency_key_style="fancy")
    with pytest.raises(ConfigurationError, match="quotes already"):
        post(world, respond(201), '"k"', idempotency_key_style="quoted")
    assert values(post(world, respond(201), '"k"')) == ['"k"']


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255))
def test_a_quoted_key_reads_back_as_it_was(value: str) -> None:
    """Only quotes and backslashes are escaped, and nothing ends the string early."""
    try:
        written = IdempotencyKey(value=value, style="quoted").written(random.Random(1), "plain")
    except ConfigurationError:
        assert value[0] == value[-1] == '"'
        return
    inner = written[1:-1]
    assert written[0] == written[-1] == '"'
    read, escaped = "", False
    for letter in inner:
        assert escaped or letter != '"'
        if escaped or letter != "\\":
            read, escaped = read + letter, False
        else:
            escaped = True
    assert read == value


def test_a_key_still_in_progress_is_asked_again(world: AnyWorld) -> None:
    """T21: 409 to a key means that the first one is at work: waited for as long as asked, no mark for the breaker."""
    engine = ScriptedTransport([respond(409, headers={"retry-after": "3"}), respond(409), respond(201)])
    began = world.clock.monotonic()

    async def body() -> Any:
        async with any_client(world, engine=engine, retry=RETRY) as client:
            return await client.post("/orders", idempotency_key="k")

    response = world.run(body)
    assert [(a.status_code, a.reason) for a in response.attempts] == [
        (409, "in progress"),
        (409, "in progress"),
        (201, "ok"),
    ]
    assert world.clock.monotonic() - began >= 3
    assert classify_http(engine.requests[0].request, Response(409)).kind is Kind.THROTTLED


@pytest.mark.parametrize(("status", "key", "kind"), [(409, None, ConflictError), (422, "k", ValidationError)])
def test_other_conflicts_stand(world: AnyWorld, status: int, key: str | None, kind: type[APIError]) -> None:
    """409 without a key is a conflict; 422 says that the key was used for something else."""
    engine = ScriptedTransport([respond(status)])

    async def body() -> None:
        async with any_client(world, engine=engine, retry=RETRY) as client:
            with pytest.raises(kind):
                await client.post("/orders", idempotency_key=key)

    world.run(body)
    assert len(engine.requests) == 1


def test_a_409_that_lasts_is_what_is_raised(world: AnyWorld) -> None:
    """The last answer stands."""
    engine = ScriptedTransport(respond(409))

    async def body() -> None:
        async with any_client(world, engine=engine, retry=RETRY) as client:
            with pytest.raises(ConflictError) as caught:
                await client.post("/orders", idempotency_key=True)
        assert len(caught.value.attempts) == 3

    world.run(body)
