"""Coalescing in the chain: who shares, who does not, and what a caller who leaves takes along."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from typing import Any

import pytest

from rest_api_client import APIClient, AsyncAPIClient, BasicAuth, BearerAuth, Middleware
from rest_api_client.auth.schemes import Authentication, CallableAuth
from rest_api_client.clock import SYSTEM
from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.engines.scripted import ScriptedTransport, respond
from rest_api_client.events import AttemptEnded, Coalesced
from rest_api_client.exceptions import (
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    HookError,
    ReadError,
    ServerError,
)
from rest_api_client.http.bodies import BytesBody
from rest_api_client.models import Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.backoff import LinearBackoff
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.coalesce import Coalesce, Flights
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.script import Refuse, Reset, Script, Stall
from tests.conftest import World
from tests.patience import HANGS
from tests.rest_api_client.chain import Chain, a_request
from tests.rest_api_client.faces import any_client
from tests.rest_api_client.together import together

AnyWorld = World[Any]
SLOW = respond(200, json={"id": 7}, delay=5)


def sharing(world: AnyWorld, scripts: Any, *more: Any, **options: Any) -> Chain:
    """A chain that coalesces."""
    return Chain(world.runtime, [Coalesce(**options), *more], scripts)


def flights_of(chain: Chain) -> Flights:
    """What is under way in a chain."""
    found = next(policy for policy in chain.pipeline.policies if isinstance(policy, Coalesce)).flights
    assert found is not None
    return found


async def ask(chain: Chain, *requests: Any, **options: Any) -> list[Any]:
    """Send these at once; their responses or errors."""

    async def one(request: Any) -> Response:
        return await chain.send(request, **options)

    return await together(chain.runtime, *((one, request) for request in requests))


def test_the_same_request_at_the_same_time_is_sent_once(world: AnyWorld) -> None:
    """Eight callers, one arrival, eight answers of their own; afterwards nothing is kept, and the next one is sent."""
    chain = sharing(world, SLOW)

    async def body() -> list[Any]:
        answers = await ask(chain, *(a_request() for _ in range(8)))
        answers.append(await chain.send())
        return answers

    answers = world.run(body)
    assert [answer.data for answer in answers] == [{"id": 7}] * 9
    assert len({id(answer) for answer in answers}) == len({id(answer.headers) for answer in answers}) == 9
    assert chain.arrivals == [0, 5]
    assert len(flights_of(chain)) == 0


def test_one_who_comes_later_waits_only_for_what_is_left(world: AnyWorld) -> None:
    """A caller 3 s after the first has its answer after 2 s; its record says whose request it was."""
    chain = sharing(world, SLOW)

    async def body() -> tuple[Any, float, Call]:
        first = world.runtime.spawn(chain.send)
        await world.runtime.sleep(3)
        answer = await chain.send()
        call = chain.call
        await first.join()
        assert call is not None
        return answer, world.runtime.now(), call

    answer, now, call = world.run(body)
    assert (answer.status_code, now) == (200, 5)
    [attempt] = call.attempts
    assert (attempt.number, attempt.started, attempt.elapsed) == (1, -3, 5)
    assert [(note.policy, note.reason) for note in attempt.notes] == [("Coalesce", "coalesced")]
    [event] = [event for event in chain.events if isinstance(event, Coalesced)]
    [ended] = [event for event in chain.events if isinstance(event, AttemptEnded)]
    assert event.call_id == call.id
    assert event.leader == ended.call_id != call.id


DIFFERENT: list[tuple[Any, Any]] = [
    (a_request(), a_request(url="https://api.test/things?page=2")),
    (a_request(), a_request("HEAD")),
    (a_request(headers={"Authorization": "Bearer a"}), a_request(headers={"Authorization": "Bearer b"})),
    (a_request(headers={"Cookie": "session=1"}), a_request(headers={"Cookie": "session=2"})),
    (a_request(headers={"Accept": "text/html"}), a_request()),
    (a_request(template="/things"), a_request(template="/{kind}")),
    (a_request("POST"), a_request("POST")),
    (a_request("DELETE"), a_request("DELETE")),
    (a_request(body=BytesBody(b"x")), a_request(body=BytesBody(b"x"))),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_differs_or_changes_something_is_sent_by_itself(world: AnyWorld, one: Any, other: Any) -> None:
    """T20: another URL, method, user, cookie, field, route; anything unsafe; anything with a body."""
    chain = sharing(world, SLOW)

    async def body() -> None:
        await ask(chain, one, other)

    world.run(body)
    assert chain.arrivals == [0, 0]


def test_calls_of_other_options_do_not_share(world: AnyWorld) -> None:
    """Another deadline, number of retries or priority is another call; a stream is never shared."""
    chain = sharing(world, SLOW)

    async def body() -> None:
        works = [{}, {"deadline": 9.0}, {"max_retries": 7}, {"priority": 4}, {"stream": True}, {"stream": True}]

        async def one(options: Any) -> None:
            response = await chain.send(**options)
            if response.stream is not None:
                await response.stream.aclose()

        await together(world.runtime, *((one, options) for options in works))

    world.run(body)
    assert len(chain.arrivals) == 6


def test_fields_that_make_no_difference_may_be_named(world: AnyWorld) -> None:
    """Two request ids, one request; the first caller's goes out."""
    chain = sharing(world, SLOW, ignore_headers=("X-Request-ID",))

    async def body() -> None:
        await ask(chain, *(a_request(headers={"x-request-id": name, "a": "1"}) for name in ("one", "two")))

    world.run(body)
    [arrival] = chain.server.requests
    assert arrival.request.headers["x-request-id"] == "one"


def test_a_cancelled_first_caller_leaves_the_others_alone(world: AnyWorld) -> None:
    """T20: the flight is nobody's own; it goes on for those who wait."""
    chain = sharing(world, SLOW)

    async def body() -> Any:
        first = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        other = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        first.cancel()
        return await other.join(), world.runtime.now()

    answer, now = world.run(body)
    assert (answer.status_code, now) == (200, 5)
    assert chain.arrivals == [0]
    assert len(flights_of(chain)) == 0


def test_a_cancelled_other_leaves_the_first_alone(world: AnyWorld) -> None:
    """T20: the same the other way round."""
    chain = sharing(world, SLOW)

    async def body() -> Any:
        first = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        other = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        other.cancel()
        return await first.join()

    assert world.run(body).status_code == 200
    assert chain.arrivals == [0]


def test_when_the_last_one_has_left_the_request_is_ended(world: AnyWorld) -> None:
    """Its attempt is cancelled, its key free at once: who asks next is not given what was ended."""
    chain = sharing(world, [Script(Stall()), respond(204)])

    async def body() -> Any:
        callers = [world.runtime.spawn(chain.send) for _ in range(2)]
        await world.runtime.sleep(1)
        for caller in callers:
            caller.cancel()
        await world.runtime.sleep(0.5)
        assert len(flights_of(chain)) == 0
        return await chain.send()

    assert world.run(body).status_code == 204
    ended = [event.attempt.reason for event in chain.events if isinstance(event, AttemptEnded)]
    assert ended == ["cancelled", "ok"]


def test_each_waits_no_longer_than_its_own_deadline(world: AnyWorld) -> None:
    """The first one's passes; the second, who came later, has its answer. The error says how far the request was."""
    chain = sharing(world, SLOW, Deadline(seconds=4))

    async def body() -> Any:
        first = world.runtime.spawn(chain.send)
        await world.runtime.sleep(2)
        other = world.runtime.spawn(chain.send)
        with pytest.raises(DeadlineExceeded, match="in flight") as caught:
            await first.join()
        return caught.value, world.runtime.now(), await other.join(), world.runtime.now()

    error, ended, answer, answered = world.run(body)
    assert (ended, answer.status_code, answered) == (4, 200, 5)
    assert error.attempts[0].reason == "in flight"
    assert chain.arrivals == [0]


def test_the_flight_may_last_as_long_as_the_latest_deadline(world: AnyWorld) -> None:
    """A retry that would come too late for the first caller, but not for the second, is made."""
    retry = RetryConfig(max_retries=1, strategy=LinearBackoff(base=3.0, jitter="none"), budget=None)
    chain = sharing(world, [respond(503, delay=2), respond(200)], Deadline(seconds=4), retry)

    async def body() -> Any:
        first = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1.5)
        other = world.runtime.spawn(chain.send)
        with pytest.raises(DeadlineExceeded) as caught:
            await first.join()
        return caught.value, await other.join()

    error, answer = world.run(body)
    assert answer.status_code == 200
    assert isinstance(error.__cause__, ServerError)
    assert chain.arrivals == [0, 5]


def test_everybody_gets_an_error_of_his_own(world: AnyWorld) -> None:
    """T26: equal, but not the same object, each with the cause and the place where it happened."""
    chain = sharing(world, Script(Refuse()))

    async def body() -> list[Any]:
        return await ask(chain, *(a_request() for _ in range(3)))

    errors = world.run(body)
    assert {type(error) for error in errors} == {ConnectError}
    assert len({id(error) for error in errors}) == 3
    assert {str(error) for error in errors} == {"connection to api.test refused"}
    assert all(error.request is not None for error in errors)


def test_the_cause_of_an_error_comes_along(world: AnyWorld) -> None:
    """T26: what the transport chained is chained for all."""

    def answer(request: Any, index: int) -> Script:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            raise ReadError("gone") from error

    chain = sharing(world, answer)

    async def body() -> list[Any]:
        return await ask(chain, a_request(), a_request())

    errors = world.run(body)
    assert [type(error.__cause__) for error in errors] == [ZeroDivisionError] * 2
    assert all(error.__traceback__ is not None for error in errors)


class Stubborn(Exception):
    """Cannot be copied: it wants two arguments and tells of one."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


class Shifty(Exception):
    """A copy of it is something else."""

    def __copy__(self) -> str:
        return "not an error"


@pytest.mark.parametrize("error", [Stubborn("a", "b"), Shifty("a")])
def test_an_error_that_cannot_be_copied_is_raised_as_it_is(world: AnyWorld, error: Exception) -> None:
    """It is the same for all, rather than none or another."""

    def answer(request: Any, index: int) -> Script:
        raise error

    chain = sharing(world, answer)

    async def body() -> list[Any]:
        return await ask(chain, a_request(), a_request())

    assert {type(one) for one in world.run(body)} == {type(error)}


class Hasty:
    """A user's own policy that knows a deadline of its own: so many calls fail by it after 2 s."""

    stage = Stage.ATTEMPT_MIDDLEWARE

    def __init__(self, times: int) -> None:
        self.times = times

    async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
        self.times -= 1
        if self.times >= 0:
            await context.runtime.sleep(2)
            raise DeadlineExceeded("a deadline round the first caller")
        return await proceed(request, context)


@pytest.mark.parametrize(("times", "expected"), [(1, [None, 200]), (9, [None, None])])
def test_who_joined_does_not_fail_by_the_deadline_of_who_began(world: AnyWorld, times: int, expected: Any) -> None:
    """Whoever has time left asks anew, once; a second such end is taken for everybody's."""
    chain = sharing(world, respond(200), Hasty(times), identity=lambda request: "me")

    async def body() -> list[Any]:
        return await ask(chain, a_request(), a_request())

    assert [getattr(answer, "status_code", None) for answer in world.run(body)] == expected
    assert len(flights_of(chain)) == 0


def test_a_server_that_outlasts_every_deadline_looks_ill_to_the_breaker(world: AnyWorld) -> None:
    """T11: the flight has no deadline of its own, and yet what its callers' deadlines cut off is a failure."""
    breaker = CircuitBreaker(consecutive_failures=1)
    chain = sharing(world, Script(Stall()), Deadline(seconds=3), breaker)

    async def body() -> list[Any]:
        first = await ask(chain, a_request(), a_request())
        await world.runtime.sleep(0.1)
        return [type(error).__name__ for error in (*first, *await ask(chain, a_request()))]

    assert world.run(body) == ["DeadlineExceeded", "DeadlineExceeded", "CircuitOpenError"]


def test_no_retry_is_waited_for_that_comes_too_late_for_all(world: AnyWorld) -> None:
    """The answer stands at once, as it does for a call by itself."""
    retry = RetryConfig(max_retries=1, budget=None)
    chain = sharing(world, respond(503, headers={"retry-after": "9"}), Deadline(seconds=4), retry)

    async def body() -> Any:
        answers = await ask(chain, a_request(), a_request())
        return [answer.status_code for answer in answers], world.runtime.now()

    assert world.run(body) == ([503, 503], 0)
    assert chain.decisions == ["deadline"]


def test_a_flight_that_was_ended_from_outside_is_flown_again(world: AnyWorld) -> None:
    """A loop that closes takes its flights along; who waits in another one asks anew."""
    chain = sharing(world, [Script(Stall()), respond(200)])

    async def body() -> Any:
        caller = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        [flight] = flights_of(chain)._flights.values()
        assert flight.task is not None
        flight.task.cancel()
        return await caller.join()

    assert world.run(body).status_code == 200
    assert chain.arrivals == [0, 1]


def test_where_no_task_can_be_started_the_request_goes_by_itself(world: AnyWorld) -> None:
    """A closed runtime spawns nothing, and no key is left behind."""
    chain = sharing(world, respond(200))

    async def body() -> Any:
        await world.runtime.aclose()
        return await chain.send()

    assert world.run(body).status_code == 200
    assert len(flights_of(chain)) == 0


def test_attempts_before_the_shared_one_keep_their_numbers(world: AnyWorld) -> None:
    """What a call did before it joined stays; the shared attempts follow."""

    class Twice:
        stage = Stage.CALL_MIDDLEWARE

        async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
            await proceed(request, context)
            return await proceed(request, context)

    chain = sharing(world, respond(200), Twice())

    async def body() -> None:
        await chain.send()

    world.run(body)
    assert chain.call is not None
    assert [attempt.number for attempt in chain.call.attempts] == [1, 2]
    assert all(not attempt.notes for attempt in chain.call.attempts)


AUTHS: list[tuple[Any, Any, int]] = [
    (None, None, 1),
    (BasicAuth("ada", "x"), BasicAuth("ada", "x"), 1),
    (BearerAuth("a"), BearerAuth("b"), 2),
    (BearerAuth("a"), None, 2),
    (CallableAuth(lambda request: request), None, 2),
]


@pytest.mark.parametrize(("one", "other", "sent"), AUTHS)
def test_credentials_decide_who_shares(world: AnyWorld, one: Any, other: Any, sent: int) -> None:
    """T20: two users never share an answer, and a credential without a name is nobody's to share."""
    chain = sharing(world, SLOW, Authentication())

    async def body() -> None:
        async def send(auth: Any) -> None:
            await chain.send(auth=auth)

        await together(world.runtime, (send, one), (send, other))

    world.run(body)
    assert len(chain.arrivals) == sent


@pytest.mark.parametrize(
    ("auth", "identity", "sent"),
    [
        (BearerAuth("t"), None, 1),
        (lambda request: request, None, 2),
        (lambda request: request, lambda request: "all", 1),
        (BearerAuth("t"), lambda request: request.headers.get("x-user"), 1),
    ],
)
def test_the_clients_own_credential_counts(world: AnyWorld, auth: Any, identity: Any, sent: int) -> None:
    """T20: a function may add anything, so nothing is shared below it unless the user says whose a request is."""
    server = ScriptedTransport(SLOW)

    async def body() -> None:
        policies = [Coalesce(identity=identity)]
        async with any_client(world, engine=server, auth=auth, policies=policies) as client:
            if world.name == "sync":
                await together(world.runtime, (client.get, "/"), (client.get, "/"))
            else:
                await together(client._core.runtime, (client.get, "/"), (client.get, "/"))

    world.run(body)
    assert len(server.requests) == sent


class Unseen:
    """A user's own policy."""

    stage = Stage.ATTEMPT_MIDDLEWARE

    async def __call__(self, request: Any, context: Any, proceed: Any) -> Any:
        return await proceed(request, context)


def test_below_a_policy_of_the_users_own_nothing_is_shared(world: AnyWorld) -> None:
    """T20: it may add a credential that is not seen; `identity` says that it does not."""
    alone, shared = sharing(world, SLOW, Unseen()), sharing(world, SLOW, Unseen(), identity=lambda request: "me")

    async def body() -> None:
        for chain in (alone, shared):
            await ask(chain, a_request(), a_request())

    world.run(body)
    assert (len(alone.arrivals), len(shared.arrivals)) == (2, 1)


def test_an_identity_that_cannot_be_compared_is_refused(world: AnyWorld) -> None:
    """The message says what to give."""
    chain = sharing(world, SLOW, identity=lambda request: [])

    async def body() -> None:
        with pytest.raises(HookError, match="gave a list: give text"):
            await chain.send()

    world.run(body)


def test_without_a_chain_a_request_goes_by_itself(world: AnyWorld) -> None:
    """Whoever calls the policy directly gets what it proceeds to."""
    policy = Coalesce(identity=lambda request: "me").bind(world.runtime)
    chain = Chain(world.runtime, [], respond(200))

    async def body() -> Any:
        context = Context(Call(world.runtime, chain.random))
        for one in (policy, Coalesce().bind(world.runtime)):
            response = await one(a_request(), context, _answer)
        return response

    async def _answer(request: Any, context: Any) -> Response:
        return Response(299)

    assert world.run(body).status_code == 299


def test_light_copies_of_a_client_do_not_share(world: AnyWorld) -> None:
    """T20: another chain may have another user's credential."""
    chain = sharing(world, SLOW)
    policy = next(policy for policy in chain.pipeline.policies if isinstance(policy, Coalesce))
    other = Chain(world.runtime, [policy], SLOW)

    async def body() -> None:
        async def send(chain: Chain) -> None:
            await chain.send()

        await together(world.runtime, (send, chain), (send, other))

    world.run(body)
    assert len(chain.arrivals) == len(other.arrivals) == 1


def test_it_foretells_whether_an_answer_would_be_shared(world: AnyWorld) -> None:
    """And changes nothing by it."""
    chain = sharing(world, SLOW)
    policy: Any = next(policy for policy in chain.pipeline.policies if isinstance(policy, Coalesce))

    async def body() -> list[Any]:
        call = Call(world.runtime, chain.random, options=CallOptions())
        call.chain = chain.pipeline
        told = [await policy.forecast(a_request(), Context(call))]
        callers = [world.runtime.spawn(chain.send) for _ in range(2)]
        await world.runtime.sleep(1)
        told.append(await policy.forecast(a_request(), Context(call)))
        told.append(await policy.forecast(a_request("POST"), Context(call)))
        for caller in callers:
            await caller.join()
        return told

    told = world.run(body)
    assert [forecast.reason for forecast in told] == ["ok", "coalesced", "not coalesced"]
    assert "2 calls wait" in told[1].text
    assert {forecast.verdict for forecast in told} == {"pass"}
    assert chain.arrivals == [0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"identity": "me"}, "cannot be called"),
        ({"ignore_headers": "x-request-id"}, "give names"),
        ({"ignore_headers": (7,)}, "give names"),
        ({"ignore_headers": ("Authorization",)}, "may hold a credential"),
        ({"ignore_headers": ("cookie",)}, "may hold a credential"),
    ],
)
def test_an_impossible_policy_is_refused(options: dict[str, Any], text: str) -> None:
    """The message says what to give."""
    with pytest.raises(ConfigurationError, match=text):
        Coalesce(**options)


def test_it_is_a_value_and_its_flights_stay_at_home(world: AnyWorld) -> None:
    """It compares and pickles; a bound one keeps its flights, a copy of those is empty."""
    assert pickle.loads(pickle.dumps(Coalesce(ignore_headers=("A",)))) == Coalesce(ignore_headers=("a",))
    bound = Coalesce().bind(world.runtime)
    assert bound.bind(world.runtime) is bound
    assert len(copy.deepcopy(Flights())) == 0


def test_a_child_process_starts_without_flights(world: AnyWorld) -> None:
    """T14: the threads of the parent's flights are not there, and its lock may be held."""
    chain = sharing(world, [SLOW, respond(204)])

    async def body() -> tuple[int, Any]:
        first = world.runtime.spawn(chain.send)
        await world.runtime.sleep(1)
        flights_of(chain).forget()
        return (await chain.send()).status_code, (await first.join()).status_code

    assert world.run(body) == (204, 200)
    assert len(flights_of(chain)) == 0


def test_a_broken_answer_is_retried_once_for_all(world: AnyWorld) -> None:
    """The flight has retries of its own; every record shows both attempts."""
    retry = RetryConfig(max_retries=1, strategy=LinearBackoff(base=1.0, jitter="none"), budget=None)
    chain = sharing(world, [Script(Reset()), respond(200)], retry)

    async def body() -> list[Any]:
        return await ask(chain, *(a_request() for _ in range(3)))

    assert [answer.status_code for answer in world.run(body)] == [200] * 3
    assert chain.arrivals == [0, 1]
    assert chain.decisions == ["retry", "return"]


def test_thirty_two_threads_make_one_request() -> None:
    """On the system clock, with threads that really run at once: one arrival, thirty-two answers."""
    gate, arrived = threading.Event(), threading.Event()
    asked: list[int] = []

    def answer(request: Any, index: int) -> Script:
        asked.append(index)
        arrived.set()
        assert gate.wait(HANGS)
        return respond(200, json={"index": index})

    answers: list[Any] = []
    policy = Coalesce()
    with APIClient(base_url="https://api.test", engine=ScriptedTransport(answer), policies=[policy]) as client:
        bound: Any = next(p for p in client._core.pipeline.policies if isinstance(p, Coalesce))
        threads = [threading.Thread(target=lambda: answers.append(client.get("/").data)) for _ in range(32)]
        for thread in threads:
            thread.start()
        assert arrived.wait(HANGS)
        while sum(flight.aboard for flight in list(bound.flights._flights.values())) < 32:
            assert SYSTEM.monotonic() > 0
        gate.set()
        for thread in threads:
            thread.join(HANGS)
        assert len(bound.flights) == 0
    assert answers == [{"index": 0}] * 32
    assert asked == [0]


def test_two_event_loops_make_one_request() -> None:
    """T13: a caller in another thread's loop joins the flight of the first, and is woken there."""
    joined, asked = threading.Event(), []

    async def hold(request: Any, context: Any, proceed: Any) -> Any:
        asked.append(request)
        while not joined.is_set():
            await context.runtime.sleep(0.001)
        return await proceed(request, context)

    def listen(event: Any) -> None:
        if isinstance(event, Coalesced):
            joined.set()

    options: dict[str, Any] = {
        "base_url": "https://api.test",
        "engine": ScriptedTransport(respond(200, json=7)),
        "policies": [Coalesce(identity=lambda request: "me")],
        "middleware": [Middleware(hold, scope="attempt")],
        "events": [listen],
    }
    client = AsyncAPIClient(**options)
    answers: list[Any] = []

    async def call() -> None:
        answers.append((await client.get("/")).data)

    threads = [threading.Thread(target=lambda: asyncio.run(call())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANGS)
    asyncio.run(client.aclose())
    assert answers == [7, 7]
    assert len(asked) == 1
