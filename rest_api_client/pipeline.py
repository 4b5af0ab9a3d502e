"""The chain: policies in one fixed order, on two levels, down to the transport.

    call:     telemetry > middleware > deadline > fallback > redirect > cookies > cache > coalesce > retry > hedge
    attempt:  telemetry > circuit breaker > rate limit > bulkhead > middleware > auth > read > decode > transport

What happens once per call stands above; what happens for each request on the wire, whoever caused it (a retry, a hedge,
an authentication round trip), stands below, so that nothing escapes the limiter and the breaker. `Stage` is that order.
At the cache's place nothing shipped stands yet; a user's own policies may stand anywhere (`policies=`).

A policy is any `async def (request, context, proceed) -> Response`. One with state has `bind`, which gives the same
policy with a fresh state; a pipeline binds each policy once, when it is made. What is off is not in the chain.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from copy import copy
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import IntEnum
from functools import partial
from inspect import isawaitable
from itertools import pairwise
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from rest_api_client.attempts import AttemptLevel, Terminal
from rest_api_client.exceptions import ConfigurationError, HookError
from rest_api_client.forecast import Forecast, Foresighted
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.transport import Transport
from rest_api_client.typing import Proceed

if TYPE_CHECKING:
    from rest_api_client.context import Context
    from rest_api_client.runtime import Runtime


class Stage(IntEnum):
    """Where in the chain a policy stands, outermost first."""

    CALL_TELEMETRY = 0
    CALL_MIDDLEWARE = 1
    DEADLINE = 2
    FALLBACK = 3
    REDIRECT = 4
    COOKIES = 5
    CACHE = 6
    COALESCE = 7
    RETRY = 8
    HEDGE = 9
    ATTEMPT_TELEMETRY = 20
    CIRCUIT_BREAKER = 21
    RATE_LIMIT = 22
    BULKHEAD = 23
    ATTEMPT_MIDDLEWARE = 24
    AUTH = 25
    READ = 26
    DECODE = 27

    @property
    def per_attempt(self) -> bool:
        """Whether it runs for each request on the wire."""
        return self >= Stage.ATTEMPT_TELEMETRY


class Policy(Protocol):
    """One unit of behaviour in the chain."""

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        ...

    def __call__(self, request: Request, context: Context, proceed: Proceed) -> Awaitable[Response]:
        """Handle the request: usually by awaiting `proceed(request, context)`, once, never, or several times."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A policy with a memory."""

    def bind(self, runtime: Runtime) -> Policy:
        """The same policy with a fresh state, or itself where the state was given (`state=`)."""
        ...


@dataclass(frozen=True, slots=True)
class StageDescription:
    """One line of `describe()`: the stage, the policy's name, and the options that are not the default."""

    stage: Stage | None
    name: str
    options: dict[str, Any]

    def __str__(self) -> str:
        level = "attempt" if self.stage is None or self.stage.per_attempt else "call"
        shown = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{level:8} {self.name}({shown})"


class Pipeline:
    """Policies and a transport, bound together.

    Args:
        policies: in any order; each is put at its stage, several of one stage stay as given.
        transport: where the chain ends.
        runtime: what the policies wait on; their states are made for its clock.
        end: what stands at the end instead of the transport's `send`.

    Raises:
        ConfigurationError: two policies where one stage takes only one, or something that is no policy.
    """

    def __init__(
        self, policies: Iterable[Policy], transport: Transport, runtime: Runtime, end: Proceed | None = None
    ) -> None:
        self.transport = transport
        self._end = end or Terminal(transport)
        self._join(bound(policy, runtime) for policy in policies)

    def _join(self, policies: Iterable[Policy]) -> None:
        self.policies: Sequence[Policy] = sorted(policies, key=lambda policy: policy.stage)
        _refuse_doubles(self.policies)
        calls = [policy for policy in self.policies if not policy.stage.per_attempt]
        attempts = [policy for policy in self.policies if policy.stage.per_attempt]
        self._handle = _chain(calls, AttemptLevel(_chain(attempts, self._end)))

    def replacing(self, old: Policy, new: Policy) -> Pipeline:
        """The same chain, its states included, with one policy in the place of another."""
        other = copy(self)
        other._join(new if policy is old else policy for policy in self.policies)  # noqa: SLF001  one of ours
        return other

    def __call__(self, request: Request, context: Context) -> Awaitable[Response]:
        """Send a request through the chain."""
        context.call.chain = self
        return self._handle(request, context)

    async def forecast(self, request: Request, context: Context, *, attempt: bool = False) -> list[Forecast]:
        """What the policies that can say so would do with a request now, outermost first; nothing is changed.

        Args:
            request: what would be sent.
            context: the path it would take.
            attempt: leaves out the policies of the call.
        """
        asked = [policy for policy in self.policies if policy.stage.per_attempt or not attempt]
        return [await policy.forecast(request, context) for policy in asked if isinstance(policy, Foresighted)]

    def describe(self) -> list[StageDescription]:
        """The chain as it is, outermost first, the transport last; `str()` of a line reads well."""
        lines = [StageDescription(policy.stage, type(policy).__name__, _options(policy)) for policy in self.policies]
        return [*lines, StageDescription(None, self.transport.name, {})]


_REPEATABLE = frozenset({Stage.CALL_MIDDLEWARE, Stage.ATTEMPT_TELEMETRY, Stage.ATTEMPT_MIDDLEWARE, Stage.RATE_LIMIT})


def bound(policy: Policy, runtime: Runtime) -> Policy:
    """A policy with a state of its own, if it has any, ready to stand in a chain.

    Raises:
        ConfigurationError: it is no policy.
    """
    ready = policy.bind(runtime) if isinstance(policy, Stateful) and not isinstance(policy, type) else policy
    if isinstance(ready, type) or not callable(ready) or not isinstance(getattr(ready, "stage", None), Stage):
        raise ConfigurationError(
            f"{ready!r} is no policy: it needs a `stage` and `async __call__(request, context, proceed)`; "
            "a plain function goes to middleware="
        )
    return ready


def _refuse_doubles(policies: Sequence[Policy]) -> None:
    for one, other in pairwise(policies):
        if one.stage == other.stage and one.stage not in _REPEATABLE:
            raise ConfigurationError(
                f"two policies at stage {one.stage.name}: {type(one).__name__} and {type(other).__name__}; give one"
            )


def _chain(policies: Sequence[Policy], end: Proceed) -> Proceed:
    handler = end
    for policy in reversed(policies):
        ours = type(policy).__module__.startswith("rest_api_client.")
        handler = _link(policy, handler) if ours else _guarded(policy, handler)
    return handler


_ARGUMENTS = 4  # self, request, context, proceed


def _link(policy: Policy, proceed: Proceed) -> Proceed:
    """The policy's own method, with what follows it as the default of its last argument: a call less per policy."""
    method = type(policy).__call__
    if not isinstance(method, FunctionType) or method.__code__.co_argcount != _ARGUMENTS:  # wrapped, by a tracer say
        return partial(policy.__call__, proceed=proceed)
    linked = FunctionType(method.__code__, method.__globals__, method.__name__, (proceed,), method.__closure__)
    return MethodType(linked, policy)


def _guarded(policy: Policy, proceed: Proceed) -> Proceed:
    """A user's own policy, whose answer is looked at before ours rely on it."""

    async def handle(request: Request, context: Context) -> Response:
        return await answered(f"policy {type(policy).__name__}", policy(request, context, proceed), request)

    return handle


async def answered(what: str, answer: object, request: Request) -> Response:
    """What a function of the user's gave back, awaited where it must be.

    Raises:
        HookError: it is no response.
    """
    response = await answer if isawaitable(answer) else answer
    if not isinstance(response, Response):
        raise HookError(
            f"{what} must return the Response that proceed(request, context) gives, "
            f"got {type(response).__name__}: is a `return` or an `await` missing?",
            request=request,
        )
    return response


def _default(option: Field[Any]) -> Any:
    if option.default_factory is not MISSING:
        return option.default_factory()
    return option.default


def _options(policy: Policy) -> dict[str, Any]:
    if not is_dataclass(policy):
        return {}
    defaults = _defaults(type(policy))
    shown = {option.name: getattr(policy, option.name) for option in fields(policy) if option.repr}
    return {name: value for name, value in shown.items() if value != defaults[name]}


def _defaults(kind: type[Any]) -> dict[str, Any]:
    """The options of a policy that was given none; as they are declared, where some must be given."""
    try:
        plain = kind()
    except (TypeError, ConfigurationError):
        return {option.name: _default(option) for option in fields(kind)}
    return {option.name: getattr(plain, option.name) for option in fields(kind)}
