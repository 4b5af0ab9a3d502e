"""Coalescing: identical safe requests made at the same time are one request, and share its answer.

The first caller starts a flight; whoever asks for the same while it is under way waits for it. A flight belongs to no
caller: it runs in a task (in a sync client, a thread) of the client's own, so that a caller that is cancelled or whose
deadline passes leaves the others alone, whoever came first. When the last one has left, the flight is ended. Once it
has landed nothing is kept: this is no cache.

Two requests are the same if nothing that can make their answers differ differs: the chain they go through, method, URL,
template, every header field, the options of the call, and whose they are. Cookies are fields by then. The credential
that authentication adds below is known by its `identity()`; where it has none, or where hooks, middleware or policies
of the user's own stand below that may add what cannot be seen here, nothing is shared unless `identity=` says whose a
request is. Requests with a body, methods that are not safe, and streams are never shared.

Every caller gets a response, or an error, of its own: the body is one object, the rest copies. The flight's attempts
stand in each caller's record, with a note. Each waits no longer than its own deadline; the flight itself has none, but
no retry is waited for that would come too late for everybody. If a flight ends for a reason that was not everybody's (a
deadline round the first caller, a loop that was closed), those who are left fly again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rest_api_client.auth.schemes import Authentication, as_auth
from rest_api_client.checks import check_function
from rest_api_client.context import Call, Context
from rest_api_client.events import Coalesced
from rest_api_client.exceptions import ConfigurationError, DeadlineExceeded, HookError
from rest_api_client.forecast import Forecast
from rest_api_client.forks import in_child
from rest_api_client.function_calls import FunctionCall
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Note, Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.credentials import is_credential_header
from rest_api_client.reasons import ALONE, COALESCED
from rest_api_client.runtime import Runtime, Task, TaskCancelled
from rest_api_client.typing import UNSET, Proceed

if TYPE_CHECKING:
    from rest_api_client.pipeline import Pipeline, Policy

NAME: Final = "Coalesce"
SHAREABLE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

Result: TypeAlias = Response | Exception


class Flight:
    """One request under way for several callers.

    Attributes:
        call: what the chain below knows of them. It has no deadline: an attempt under way is everybody's.
        latest: the last moment at which somebody still waits; None is no limit.
        aboard: how many wait.
        task: what runs it.
    """

    __slots__ = ("aboard", "call", "latest", "task")

    def __init__(self, call: Call) -> None:
        self.call = _call_of(call)
        self.latest = call.deadline
        self.aboard = 1
        self.task: Task[Result] | None = None


class _Path(Context):
    """The flight's path through the policies of the call, which ask what time is left before they wait."""

    __slots__ = ("_flight",)

    def __init__(self, flight: Flight) -> None:
        super().__init__(flight.call)
        self._flight = flight

    @property
    def remaining(self) -> float | None:
        """Seconds until nobody waits any more, or None."""
        latest = self._flight.latest
        return None if latest is None else max(0.0, latest - self.runtime.now())


class Flights:
    """What is under way in this process. Travels empty, like a place in a line."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight] = {}
        self._renew_lock()
        in_child(self.forget)

    def _renew_lock(self) -> None:
        # Re-entrant: a loop that starts tasks eagerly may run, and land, a flight while it is being started.
        self._lock = threading.RLock()

    def forget(self) -> None:
        """Start afresh, as all do in a forked child: the flights' threads and loops are not here."""
        self._flights = {}
        self._renew_lock()

    def board(self, key: Hashable, call: Call, start: Callable[[Flight], Task[Result]]) -> Flight:
        """Join the flight of a key, or start it.

        Raises:
            RuntimeError: none can be started: the client is closed, or the system has no thread left.
        """
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                flight.aboard += 1
                flight.latest = _later(flight.latest, call.deadline)
                return flight
            flight = self._flights[key] = Flight(call)
            try:
                flight.task = start(flight)
            except BaseException:
                del self._flights[key]
                raise
            return flight

    def land(self, key: Hashable, flight: Flight) -> None:
        """It is over: whoever asks now starts another."""
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]

    def leave(self, key: Hashable, flight: Flight) -> None:
        """One caller waits no more, served or not. If it was the last one, the flight is ended."""
        with self._lock:
            flight.aboard -= 1
            deserted = flight.aboard == 0
            if deserted:
                self.land(key, flight)
        if deserted and flight.task is not None:
            flight.call.deadline = flight.latest  # if that has passed, it is what cuts the attempt off
            flight.task.cancel()

    def aboard(self, key: Hashable) -> int:
        """How many wait for the flight of a key."""
        with self._lock:
            flight = self._flights.get(key)
            return 0 if flight is None else flight.aboard

    def __len__(self) -> int:
        return len(self._flights)

    def __reduce__(self) -> tuple[type[Flights], tuple[()]]:
        return Flights, ()


def _call_of(call: Call) -> Call:
    """The flight's call: the first caller's name, clock and options, and a record of its own."""
    flight = Call(call.runtime, call.random, options=call.options, classify=call.classify, emit=call.emit)
    flight.only, flight.chain = call.only, call.chain
    flight._id = call.id  # noqa: SLF001  what the flight tells is told under the name of the call that began it
    return flight


def _later(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


@dataclass(frozen=True, kw_only=True)
class Coalesce:
    """Makes identical safe requests that are under way at the same time one.

    Attributes:
        identity: says whose a request is, where authentication cannot: two requests share an answer only if this gives
            equal values. Without it, requests whose owner cannot be known are sent each by itself.
        ignore_headers: names of fields that may differ between requests which are the same all the same, as
            "x-request-id"; the first caller's are sent. None that may hold a credential.
    """

    identity: Callable[[Request], Hashable] | None = None
    ignore_headers: tuple[str, ...] = ()
    flights: Flights | None = field(default=None, compare=False, repr=False)
    stage = Stage.COALESCE

    def __post_init__(self) -> None:
        if self.identity is not None:
            check_function(NAME, identity=self.identity)
        if isinstance(self.ignore_headers, str) or not all(isinstance(name, str) for name in self.ignore_headers):
            raise ConfigurationError(
                f"Coalesce(ignore_headers={self.ignore_headers!r}): give names, as ('x-request-id',)"
            )
        secret = [name for name in self.ignore_headers if is_credential_header(name)]
        if secret:
            raise ConfigurationError(
                f"Coalesce(ignore_headers={self.ignore_headers!r}): {secret[0]!r} may hold a credential, and two users "
                "would share an answer; leave it out"
            )
        object.__setattr__(self, "ignore_headers", tuple(name.lower() for name in self.ignore_headers))

    def bind(self, runtime: Runtime) -> Coalesce:
        """This policy with flights of its own."""
        return self if self.flights is not None else replace(self, flights=Flights())

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request, or share the answer to the same one that is under way."""
        key = self._key(request, context)
        if key is None:
            return await proceed(request, context)
        response = await self._fly(key, request, context, proceed, again=True)
        while response is None:
            response = await self._fly(key, request, context, proceed, again=False)
        return response

    async def _fly(
        self, key: Hashable, request: Request, context: Context, proceed: Proceed, *, again: bool
    ) -> Response | None:
        """The answer by way of a flight; None if it ended for a reason that was not this caller's."""
        flights = self.flights
        assert flights is not None, "bind() first: a pipeline does"

        def start(flight: Flight) -> Task[Result]:
            return context.runtime.spawn(_travel, flights, key, flight, request, proceed)

        try:
            flight = flights.board(key, context.call, start)
        except RuntimeError:
            return await proceed(request, context)
        began = flight.call.id == context.call.id
        if not began:
            context.tell(Coalesced, request, leader=flight.call.id)
        assert flight.task is not None
        try:
            result = await flight.task.join()
        except TaskCancelled:
            return None
        finally:
            flights.leave(key, flight)
            _write_down(flight.call, context.call, shared=not began)
        if isinstance(result, DeadlineExceeded) and again and not began:
            return None
        if isinstance(result, Response):
            return _own_response(result)
        raise _own_error(result)

    def _key(self, request: Request, context: Context) -> Hashable | None:
        """What makes two requests the same; None for one that is sent by itself."""
        if isinstance(request, FunctionCall):
            return None if self.identity is None else (request.function, _hashable(self.identity(request), request))
        if request.method not in SHAREABLE or context.options.stream or request.body.length != 0:
            return None
        chain = context.call.chain
        whose = self._whose(request, context, chain)
        if chain is None or whose is None:
            return None
        fields = request.headers.multi_items()
        ignored = self.ignore_headers
        kept = tuple(pair for pair in fields if pair[0].lower() not in ignored) if ignored else tuple(fields)
        options = context.options if context.options.auth is UNSET else replace(context.options, auth=UNSET)
        return (chain, request.method, request.url, request.template, request.home, kept, options, whose)

    def _whose(self, request: Request, context: Context, chain: Pipeline | None) -> Hashable | None:
        """Whose request it is: as the user says, or by the credential; None where that cannot be known."""
        if self.identity is not None:
            return ("identity", _hashable(self.identity(request), request), _own_credential(context.options.auth))
        if chain is None or any(_unknown(policy) for policy in chain.policies):
            return None
        asked: Any = context.options.auth
        if asked is UNSET:
            asked = next((policy.auth for policy in chain.policies if isinstance(policy, Authentication)), None)
        auth = as_auth(asked)
        if auth is None:
            return ("nobody",)
        name = auth.identity()
        return None if name is None else ("credential", name)

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """Whether the request would share the answer of one under way."""
        assert self.flights is not None, "bind() first: a pipeline does"
        key = self._key(request, context)
        if key is None:
            return Forecast(policy=NAME, reason=ALONE, text="the request is sent by itself, whatever else is under way")
        aboard = self.flights.aboard(key)
        if not aboard:
            return Forecast(policy=NAME, text="the answer is shared by all who ask the same meanwhile")
        waiting = "1 call waits" if aboard == 1 else f"{aboard} calls wait"
        text = f"the answer is shared that {waiting} for"
        return Forecast(policy=NAME, reason=COALESCED, text=text, facts={"aboard": aboard})


def _own_credential(auth: Any) -> Hashable:
    """What a call was given in place of the client's credential, by name: whatever `identity=` says, two calls with
    different ones share no answer. One that has no name is the user's to tell apart."""
    own = None if auth is UNSET else as_auth(auth)
    return auth is UNSET, None if own is None else ("credential", own.identity())


def _hashable(value: Hashable, request: Request) -> Hashable:
    try:
        hash(value)
    except TypeError as error:
        raise HookError(
            f"Coalesce(identity=...) gave a {type(value).__name__}: give text or a tuple of texts", request=request
        ) from error
    return value


async def _travel(flights: Flights, key: Hashable, flight: Flight, request: Request, proceed: Proceed) -> Result:
    """The flight itself: an error is a result here, since everybody is to get one of its own."""
    try:
        return await proceed(request, _Path(flight))
    except Exception as error:
        return error
    finally:
        flights.land(key, flight)


def _unknown(policy: Policy) -> bool:
    """Whether a policy below may add what is not seen here: whatever of the user's own stands there."""
    ours = type(policy).__module__.startswith("rest_api_client.") and policy.stage is not Stage.ATTEMPT_MIDDLEWARE
    return policy.stage > Stage.COALESCE and not ours


def _write_down(flight: Call, call: Call, *, shared: bool) -> None:
    """Enter the flight's attempts in a caller's record, by the caller's own count and clock."""
    note = (Note(NAME, COALESCED),) if shared else ()
    late = flight.started - call.started
    with flight.lock:
        attempts = list(flight.attempts)
    with call.lock:
        first = len(call.attempts)
        call.attempts += [
            replace(one, number=first + place, started=one.started + late, notes=(*one.notes, *note))
            for place, one in enumerate(attempts, 1)
        ]
    call.last = flight.last


def _own_response(response: Response) -> Response:
    """A caller's own: headers may be changed, the body is one object."""
    twin = copy(response)
    twin.headers = response.headers.copy()
    return twin


def _own_error(error: Exception) -> Exception:
    """A caller's own, with the cause and the way of the flight's; the flight's where a class cannot be copied."""
    try:
        twin = copy(error)
    except Exception:
        return error
    if type(twin) is not type(error):
        return error
    twin.__cause__, twin.__context__ = error.__cause__, error.__context__
    twin.__suppress_context__ = error.__suppress_context__
    return twin.with_traceback(error.__traceback__)
