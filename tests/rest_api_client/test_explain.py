"""What a client says would happen to a request, without sending it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from rest_api_client import APIClient, APIConfig, AsyncAPIClient, Fallback, RateLimit, ServerError, VirtualClock
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.exceptions import CircuitOpenError, ConfigurationError, RateLimitExceeded
from rest_api_client.explain import explained
from rest_api_client.forecast import Forecast
from rest_api_client.http.urls import URL
from rest_api_client.models import Request
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from tests.rest_api_client.chain import a_request


def client_of(server: ScriptedTransport, **options: object) -> APIClient:
    """A client on virtual time over a scripted server."""
    return APIClient("https://api.test", engine=server, clock=VirtualClock(), **options)  # type: ignore[arg-type]


def test_a_request_that_would_be_sent_says_so_and_is_not_sent() -> None:
    """Nothing reaches the server; text and data say what each policy would do."""
    server = ScriptedTransport(respond(200))
    with client_of(server, auth=("ada", "pw"), cookies={"sid": "1"}) as client:
        told = client.explain("GET", "/users/7")
    assert (told.fate, told.by, told.reason, told.wait) == ("send", None, "ok", 0)
    assert server.requests == []
    text = str(told)
    assert text.startswith("GET https://api.test/users/7\n  would be sent at once\n")
    assert "BasicAuth is added" in text
    assert "these cookies are sent: sid" in text
    assert "pw" not in text
    assert "pw" not in json.dumps(told.as_dict())


def test_a_wait_is_told_and_takes_no_token() -> None:
    """A limit that is used up says how long; asking does not use it up further."""
    server = ScriptedTransport(lambda request, context: respond(200))
    with client_of(server, rate_limit=RateLimit(calls=1, period=60)) as client:
        client.get("/")
        first, second = client.explain("GET", "/"), client.explain("GET", "/")
    assert (first.fate, first.by) == ("refuse", "RateLimit")  # the default deadline is no longer than the wait
    with client_of(server, rate_limit=RateLimit(calls=1, period=30)) as client:
        client.get("/")
        first, second = client.explain("GET", "/"), client.explain("GET", "/")
    assert (first.fate, second.fate) == ("send", "send")
    assert first.wait == second.wait == pytest.approx(30)
    assert "would be sent after 30 s" in str(first)


def test_a_refusal_is_foretold_with_the_reason_that_follows() -> None:
    """An open breaker and a limit that does not wait: what is explained is what then happens."""
    server = ScriptedTransport(lambda request, context: respond(500))
    with client_of(server, max_retries=0, circuit_breaker=CircuitBreaker(min_calls=1, open_for=5)) as client:
        with pytest.raises(ServerError):
            client.get("/")
        told = client.explain("GET", "/")
        with pytest.raises(CircuitOpenError):
            client.get("/")
    assert (told.fate, told.by, told.reason) == ("refuse", "CircuitBreaker", "circuit open")
    assert told.wait == pytest.approx(5)
    assert "would be refused by CircuitBreaker (circuit open, for 5 s)" in str(told)
    server = ScriptedTransport(lambda request, context: respond(200))
    with client_of(server, rate_limit=RateLimit(calls=1, period=60, max_wait=0)) as client:
        client.get("/")
        assert client.explain("GET", "/").by == "RateLimit"
        with pytest.raises(RateLimitExceeded):
            client.get("/")


def test_credentials_that_would_stay_at_home_are_named() -> None:
    """An absolute URL elsewhere goes without the auth object."""
    with client_of(ScriptedTransport(respond(200)), auth=("ada", "pw")) as client:
        told = client.explain("GET", "https://other.test/")
        off = client.explain("GET", "/", auth=None, follow_redirects=False)
    assert {forecast.policy: forecast.reason for forecast in told.forecasts}["Authentication"] == "credentials withheld"
    assert "redirects are not followed" in str(off)
    assert "no credential is added" in str(off)


def test_what_a_client_does_to_its_requests_is_explained_as_well() -> None:
    """A client's own `prepare_request` is called: here it sends them elsewhere."""

    class Moved(APIClient):
        def prepare_request(self, request: Request) -> Request:
            return replace(request, url=URL.parse("https://moved.test/"))

    with Moved("https://api.test", engine=ScriptedTransport(respond(200)), clock=VirtualClock()) as client:
        assert str(client.explain("GET", "/a")).startswith("GET https://moved.test/\n")


def test_the_async_client_explains_the_same() -> None:
    """Both faces run the same code."""

    async def main() -> dict[str, object]:
        config = APIConfig(base_url="https://api.test", engine=ScriptedTransport(respond(200)))
        async with AsyncAPIClient(config) as client:
            return str(await client.explain("GET", "/a"))

    with APIClient("https://api.test", engine=ScriptedTransport(respond(200))) as client:
        assert str(client.explain("GET", "/a")) == asyncio.run(main())


def test_an_impossible_option_is_refused() -> None:
    """As the call itself would."""
    with client_of(ScriptedTransport(respond(200))) as client, pytest.raises(ConfigurationError, match="retires"):
        client.explain("GET", "/", retires=3)  # type: ignore[call-arg]


def test_waits_add_up_and_an_answer_ends_them() -> None:
    """Every wait above the policy that answers counts; what stands below it is not reached."""
    told = explained(
        a_request(),
        [
            Forecast(policy="A", verdict="wait", reason="queued", wait=1.0),
            Forecast(policy="B", verdict="wait", reason="queued", wait=2.0, takes=0.5),
        ],
    )
    assert (told.fate, told.wait, told.takes) == ("send", 3.0, 0.5)
    told = explained(
        a_request(),
        [Forecast(policy="A", verdict="answer", reason="cached"), Forecast(policy="B", verdict="refuse")],
    )
    assert (told.fate, told.by) == ("answer", "A")
    told = explained(
        a_request(),
        [Forecast(policy="Deadline", facts={"left": 2.0}), Forecast(policy="AttemptTimes", takes=3.0)],
    )
    assert (told.fate, told.by, told.reason) == ("refuse", "Deadline", "deadline")
    told = explained(
        a_request(),
        [Forecast(policy="A", verdict="answer", reason="cached"), Forecast(policy="B", verdict="refuse")],
    )
    assert "would be answered by A (cached)" in str(told)


def test_a_fallback_answers_for_a_refusal() -> None:
    """What is foretold is what then happens: the fallback's answer, for the reason of the policy that refused."""
    server = ScriptedTransport(lambda request, context: respond(500))
    breaker = CircuitBreaker(min_calls=1, open_for=5)
    with client_of(server, max_retries=0, circuit_breaker=breaker, fallback=Fallback(json=[])) as client:
        client.get("/")
        told = client.explain("GET", "/")
        assert (told.fate, told.by, told.reason) == ("answer", "Fallback", "circuit open")
        assert client.get("/").data == []
        assert client.explain("POST", "/").by == "CircuitBreaker"
