"""The fallback in the chain: what it answers, what it leaves alone, and that it hides nothing."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from rest_api_client.auth.schemes import Authentication, BearerAuth
from rest_api_client.context import Call, Context
from rest_api_client.engines.scripted import respond
from rest_api_client.events import CredentialsWithheld, FellBack
from rest_api_client.exceptions import (
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    HookError,
    RefusedError,
    ServerError,
)
from rest_api_client.guard import Guard
from rest_api_client.http.bodies import BytesBody
from rest_api_client.http.cookies import CookieJar
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.policies.backoff import LinearBackoff
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.cookies import Cookies
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.fallback import Fallback
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.script import Refuse, Script, Stall
from tests.conftest import World
from tests.rest_api_client.chain import Chain, a_request

AnyWorld = World[Any]
OK, FAIL = respond(200, json="live"), respond(503)
REPLICA = "https://replica.test"


def falling(world: AnyWorld, scripts: Any, *more: Any, **options: Any) -> Chain:
    """A chain with a fallback, to the JSON text "spare" unless another is given."""
    return Chain(world.runtime, [Fallback(**(options or {"json": "spare"})), *more], scripts)


def fell(chain: Chain) -> list[tuple[str, str, str | None]]:
    """What listeners are told of it."""
    return [(event.how, event.reason, event.error) for event in chain.events if isinstance(event, FellBack)]


def notes(chain: Chain) -> list[tuple[str, str]]:
    """What stands in the last attempt's record."""
    assert chain.call is not None
    return [(note.policy, note.reason) for note in chain.call.attempts[-1].notes]


@pytest.mark.parametrize(
    ("script", "reason"),
    [(FAIL, "status 503"), (respond(429), "status 429"), (Script(Refuse()), "connect error")],
)
def test_a_call_that_failed_is_answered_by_a_value(world: AnyWorld, script: Script, reason: str) -> None:
    """Failed, throttled, unreachable: 200 with the JSON; event and record say that it is the fallback's."""
    chain = falling(world, script)
    answer = world.run(chain.send)
    assert (answer.status_code, answer.data) == (200, "spare")
    assert answer.request is not None
    assert fell(chain) == [("value", reason, None)]
    assert notes(chain) == [("Fallback", "fell back")]


def test_an_answer_that_is_one_is_left_alone(world: AnyWorld) -> None:
    """A 200 and a 404 pass; nothing is told."""
    chain = falling(world, [OK, respond(404)])

    async def body() -> list[int]:
        return [(await chain.send()).status_code for _ in range(2)]

    assert world.run(body) == [200, 404]
    assert fell(chain) == []


def test_it_is_asked_once_after_all_retries(world: AnyWorld) -> None:
    """It stands outside retry."""
    chain = falling(world, FAIL, RetryConfig(max_retries=2, strategy=LinearBackoff(base=1.0, jitter="none")))
    assert world.run(chain.send).data == "spare"
    assert len(chain.arrivals) == 3
    assert len(fell(chain)) == 1


def test_a_refusal_of_this_client_is_fallen_back_from(world: AnyWorld) -> None:
    """An open circuit: nothing is sent, and the caller has an answer."""
    chain = falling(world, FAIL, CircuitBreaker(consecutive_failures=1))

    async def body() -> list[Any]:
        return [(await chain.send()).data for _ in range(2)]

    assert world.run(body) == ["spare", "spare"]
    assert len(chain.arrivals) == 1
    assert fell(chain)[1] == ("value", "circuit open", None)
    assert notes(chain)[-1] == ("Fallback", "fell back")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_failed_change_is_not_covered_up(world: AnyWorld, method: str) -> None:
    """Only what changes nothing is answered, unless `when` says otherwise."""
    chain = falling(world, FAIL)
    willing = falling(world, FAIL, json=None, when=lambda request, result: True)

    async def body() -> tuple[int, int]:
        request = a_request(method)
        return (await chain.send(request)).status_code, (await willing.send(request)).status_code

    assert world.run(body) == (503, 200)


def test_when_decides_alone(world: AnyWorld) -> None:
    """It may take in a 404, and leave out a 503."""

    def missing(request: Request, result: Response | Exception) -> bool:
        return isinstance(result, Response) and result.status_code == 404

    chain = falling(world, [respond(404), FAIL, Script(Refuse())], json=[], when=missing)

    async def body() -> list[int]:
        statuses = [(await chain.send()).status_code for _ in range(2)]
        with pytest.raises(ConnectError):
            await chain.send()
        return statuses

    assert world.run(body) == [200, 503]


def test_each_caller_gets_a_response_of_his_own(world: AnyWorld) -> None:
    """Of a given Response: what one changes in its headers, the next does not see."""
    spare = Response(203, headers=Headers({"x-spare": "yes"}), content=b"stored")
    chain = falling(world, FAIL, response=spare)

    async def body() -> list[Response]:
        first = await chain.send()
        first.headers["x-spare"] = "changed"
        return [first, await chain.send()]

    first, second = world.run(body)
    assert (second.status_code, second.content, second.headers["x-spare"]) == (203, b"stored", "yes")
    assert spare.headers["x-spare"] == "yes"
    assert first is not second


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_function_may_answer(world: AnyWorld, asynchronous: bool) -> None:
    """Sync or async, it is given the request and the last answer or error."""
    seen: list[Any] = []

    def spare(request: Request, result: Response | Exception) -> Response:
        seen.append((request.method, result))
        return Response(200, content=b"made")

    async def spare_later(request: Request, result: Response | Exception) -> Response:
        return spare(request, result)

    chain = falling(world, [FAIL, Script(Refuse())], call=spare_later if asynchronous else spare)

    async def body() -> list[bytes]:
        return [(await chain.send()).content for _ in range(2)]

    assert world.run(body) == [b"made"] * 2
    assert seen[0][1].status_code == 503
    assert isinstance(seen[1][1], ConnectError)
    assert fell(chain)[0] == ("function", "status 503", None)


def by_host(**scripts: Script) -> Any:
    """The script of each host's first label."""
    return lambda request, index: scripts[request.url.host.partition(".")[0]]


def test_a_replica_is_asked_for_the_same(world: AnyWorld) -> None:
    """Same path and query at another origin; its attempt follows in the record, and says why it was made."""
    chain = falling(world, by_host(api=FAIL, replica=OK), replica=REPLICA)
    answer = world.run(chain.send, a_request(url="https://api.test/a%20b?page=2", headers={"Host": "api.test"}))
    assert answer.data == "live"
    assert str(chain.server.requests[1].request.url) == "https://replica.test/a%20b?page=2"
    assert "host" not in chain.server.requests[1].request.headers
    assert fell(chain) == [("replica", "status 503", None)]
    assert chain.call is not None
    assert [attempt.status_code for attempt in chain.call.attempts] == [503, 200]
    assert notes(chain) == [("Fallback", "fell back")]


def test_a_foreign_replica_gets_no_credentials(world: AnyWorld) -> None:
    """T4: neither fields nor secret parameters nor cookies nor auth; an event says so. A 302 there keeps to that."""
    url = URL.parse("https://api.test/things?api_key=s3cret&page=2")
    jar = CookieJar()
    jar.set("session", "1", domain="api.test", port=443, secure=True)
    more = (Cookies(jar=jar), Authentication(auth=BearerAuth("t0ken")))
    request = a_request(url=str(url), headers={"X-API-Key": "s3cret"}, home=frozenset({url.origin}))
    chain = falling(world, by_host(api=FAIL, replica=OK), *more, replica=REPLICA)
    world.run(chain.send, request)
    sent = [arrival.request for arrival in chain.server.requests]
    assert {"x-api-key", "cookie", "authorization"} <= set(sent[0].headers)
    assert not {"x-api-key", "cookie", "authorization"} & set(sent[1].headers)
    assert str(sent[1].url) == "https://replica.test/things?page=2"
    told = [event.names for event in chain.events if isinstance(event, CredentialsWithheld)]
    assert ("x-api-key", "api_key") in told


def test_a_replica_of_ones_own_gets_the_credentials(world: AnyWorld) -> None:
    """One of `allow_origins` is home."""
    home = frozenset({URL.parse("https://api.test").origin, URL.parse(REPLICA).origin})
    chain = falling(world, by_host(api=FAIL, replica=OK), Authentication(auth=BearerAuth("t0ken")), replica=REPLICA)
    world.run(chain.send, a_request(home=home))
    assert chain.server.requests[1].request.headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("request_", "options", "arrivals"),
    [
        (a_request("POST"), {}, 1),
        (a_request("POST"), {"retry_unsafe": True}, 2),
        (a_request("POST", headers={"Idempotency-Key": "k"}), {}, 2),
        (a_request("PUT"), {}, 2),
        (a_request("PUT", body=BytesBody(b"x")), {}, 1),
    ],
)
def test_a_replica_gets_only_what_may_be_sent_twice(
    world: AnyWorld, request_: Request, options: dict[str, Any], arrivals: int
) -> None:
    """T6: a POST that may have been acted on is not sent again, no body to a foreign origin."""
    chain = falling(world, by_host(api=FAIL, replica=OK), replica=REPLICA, when=lambda request, result: True)

    async def body() -> int:
        return (await chain.send(request_, **options)).status_code

    assert world.run(body) == (200 if arrivals == 2 else 503)
    assert len(chain.arrivals) == arrivals
    assert fell(chain)[0][2] == (None if arrivals == 2 else "RefusedError")


@pytest.mark.parametrize(("replica", "error"), [(FAIL, "ServerError"), (Script(Refuse()), "ConnectError")])
def test_where_the_replica_fails_too_the_first_answer_stands(world: AnyWorld, replica: Script, error: str) -> None:
    """T26: its failure is told, and its attempt is in the record."""
    chain = falling(world, by_host(api=respond(500), replica=replica), replica=REPLICA)
    assert world.run(chain.send).status_code == 500
    assert fell(chain) == [("replica", "status 500", error)]
    assert notes(chain) == [("Fallback", "fallback failed")]


def test_where_the_fallback_fails_too_the_first_error_stands(world: AnyWorld) -> None:
    """T26: with the second as its context and in its notes, so that a mistake in the function is found."""

    def broken(request: Request, result: Response | Exception) -> Response:
        raise ZeroDivisionError("oops")

    chain = falling(world, Script(Refuse()), call=broken)
    with pytest.raises(ConnectError) as caught:
        world.run(chain.send)
    assert caught.value.__notes__ == ["the fallback failed too: ZeroDivisionError: oops"]
    assert isinstance(caught.value.__context__, ZeroDivisionError)
    assert pickle.loads(pickle.dumps(caught.value)).__notes__ == caught.value.__notes__
    assert fell(chain) == [("function", "connect error", "ZeroDivisionError")]


def test_a_function_may_raise_what_it_was_given(world: AnyWorld) -> None:
    """It has no answer to this one: the error is the call's own, without a note about itself."""

    def give_up(request: Request, result: Response | Exception) -> Response:
        assert isinstance(result, Exception)
        raise result

    chain = falling(world, Script(Refuse()), call=give_up)
    with pytest.raises(ConnectError) as caught:
        world.run(chain.send)
    assert not hasattr(caught.value, "__notes__")


def test_a_function_that_gives_no_response_has_failed(world: AnyWorld) -> None:
    """The message is in the notes of the error that stands."""
    chain = falling(world, Script(Refuse()), call=lambda request, result: {"id": 7})
    with pytest.raises(ConnectError) as caught:
        world.run(chain.send)
    assert "must give a Response, got dict" in caught.value.__notes__[0]
    assert isinstance(caught.value.__context__, HookError)


def test_after_the_deadline_there_is_no_fallback(world: AnyWorld) -> None:
    """The time is up for everything."""
    chain = falling(world, Script(Stall()), Deadline(seconds=3))
    with pytest.raises(DeadlineExceeded):
        world.run(chain.send)
    assert fell(chain) == []
    assert world.clock.monotonic() == 3


def test_an_error_at_the_very_deadline_is_not_fallen_back_from(world: AnyWorld) -> None:
    """A transport that tells of the passed deadline by itself changes nothing."""

    async def late(request: Any, context: Any) -> Response:
        context.call.deadline = context.runtime.now()
        raise DeadlineExceeded("late")

    async def body() -> None:
        with pytest.raises(DeadlineExceeded):
            await Fallback(json=1)(a_request(), Context(Call(world.runtime, None)), late)  # type: ignore[arg-type]

    world.run(body)


def test_a_deadline_met_early_leaves_time_for_a_fallback(world: AnyWorld) -> None:
    """The wait for the limiter would not fit, so nothing was begun: the spare answer comes at once."""

    class Wait:
        stage = RetryConfig.stage

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            await context.sleep(60)

    chain = falling(world, OK, Deadline(seconds=3), Wait())
    assert world.run(chain.send).data == "spare"
    assert fell(chain) == [("value", "deadline", None)]
    assert world.clock.monotonic() == 0


def test_a_cancelled_call_is_over(world: AnyWorld) -> None:
    """T26: no fallback swallows a cancellation, neither of the call nor of the fallback itself."""
    gone: list[str] = []

    async def slow(request: Request, result: Response | Exception) -> Response:
        try:
            await world.runtime.sleep(60)
        except BaseException:
            gone.append("fallback")
            raise
        return Response(200)

    chain = falling(world, [Script(Stall()), FAIL], call=slow)

    async def body() -> None:
        for _ in range(2):
            task = world.runtime.spawn(chain.send)
            await world.runtime.sleep(1)
            task.cancel()
            with pytest.raises(RuntimeError, match="cancelled"):
                await task.join()

    world.run(body)
    assert gone == ["fallback"]
    assert fell(chain) == []


def test_a_streamed_failure_is_closed_when_another_answer_takes_its_place(world: AnyWorld) -> None:
    """T8: no connection stays with an answer that nobody gets; where that stands, it can still be read."""
    refused: list[Any] = []

    def choose(request: Request, result: Response | Exception) -> Response:
        refused.append(result)
        if len(refused) == 2:
            raise ZeroDivisionError
        return Response(200, content=b"spare")

    chain = falling(world, respond(200, content=b"sorry"), call=choose, when=lambda request, result: True)

    async def body() -> tuple[bytes, bytes]:
        first = await chain.send(stream=True)
        second = await chain.send(stream=True)
        assert second.stream is not None
        return first.content, b"".join([chunk async for chunk in second.stream])

    assert world.run(body) == (b"spare", b"sorry")
    assert refused[0].stream is None


def test_a_condition_that_fails_leaves_no_stream_open(world: AnyWorld) -> None:
    """T8: the error is the condition's own."""
    seen: list[Any] = []

    def broken(request: Request, result: Response | Exception) -> bool:
        seen.append(result)
        raise ZeroDivisionError

    chain = falling(world, OK, json=1, when=broken)

    async def body() -> None:
        with pytest.raises(ZeroDivisionError):
            await chain.send(stream=True)

    world.run(body)
    assert seen[0].stream is None


def test_a_guarded_function_has_a_spare_value(world: AnyWorld) -> None:
    """JSON, each time anew; or whatever a function says, of the call's own arguments."""

    def fetch(number: int) -> Any:
        raise ConnectError("down")

    def negative(request: Any, error: Any) -> int:
        return -int(request.args[0])

    listed = Guard(Fallback(json=[1]))
    first = listed.call(fetch, 7)
    first.append(2)
    assert listed.call(fetch, 7) == [1]
    assert Guard(Fallback(call=negative)).call(fetch, 7) == -7
    assert Guard(Fallback(response=Response(204))).call(fetch, 7).status_code == 204
    with pytest.raises(ConfigurationError, match="no replica"):
        Guard(Fallback(replica=REPLICA)).call(fetch, 7)


def test_it_foretells_whether_a_failure_would_be_answered(world: AnyWorld) -> None:
    """By the method, as far as that says it."""

    async def body() -> list[str]:
        context = Context(Call(world.runtime, None))  # type: ignore[arg-type]
        policy = Fallback(json=1)
        return [(await policy.forecast(a_request(method), context)).text for method in ("GET", "POST")]

    assert world.run(body) == ["if the call fails, a value answers", "a failed POST is not answered"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "give one of"),
        ({"json": None, "replica": REPLICA}, r"Fallback\(replica=..., json=...\): give one of"),
        ({"json": {1, 2}}, "Fallback\\(json=set\\) is no JSON"),
        ({"response": 200}, "give a Response"),
        ({"call": "spare"}, "cannot be called"),
        ({"json": 1, "when": True}, "cannot be called"),
        ({"replica": "replica.test"}, "replica.test"),
        ({"replica": "https://replica.test/v2"}, "scheme, host and port alone"),
        ({"replica": "https://me:pw@replica.test"}, "scheme, host and port alone"),
    ],
)
def test_an_impossible_fallback_is_refused(options: dict[str, Any], text: str) -> None:
    """Before anything is sent, by the option's name; no password is shown."""
    with pytest.raises(ConfigurationError, match=text) as caught:
        Fallback(**options)
    assert "pw" not in str(caught.value)


def test_a_fallback_is_a_value() -> None:
    """It compares and pickles."""
    fallback = Fallback(json={"items": []})
    assert pickle.loads(pickle.dumps(fallback)) == fallback != Fallback(json=None)


def test_the_final_error_is_the_calls_own(world: AnyWorld) -> None:
    """A spare answer that is itself a 503 is given out as such."""
    chain = falling(world, FAIL, response=Response(503))
    answer = world.run(chain.send)
    with pytest.raises(ServerError):
        answer.raise_for_status()
    assert not isinstance(answer.error(), RefusedError)


def test_nothing_is_told_where_nobody_listens(world: AnyWorld) -> None:
    """The answer is the same."""
    chain = falling(world, FAIL)

    async def body() -> Any:
        return (await chain.pipeline(a_request(), Context(Call(world.runtime, chain.random)))).data

    assert world.run(body) == "spare"
    assert chain.events == []
