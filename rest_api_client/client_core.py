"""What both clients are made of: settings, the chain, and how one call runs.

`ClientCore` holds the one `async def call` that the async client awaits and the sync client runs with a runner that
refuses to suspend. Nothing here knows which of the two it serves, but for the engine it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from random import Random, SystemRandom  # noqa: TID251  the one place where a client's source of chance is made
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack, cast

from rest_api_client.auth.schemes import Authentication, BasicAuth, as_auth
from rest_api_client.building import RequestBuilder
from rest_api_client.checks import check_flag, check_whole
from rest_api_client.clock import SYSTEM
from rest_api_client.config import APIConfig, ClientOptions, Engine, as_timeouts, refuse_unknown
from rest_api_client.connection import ConnectionOptions
from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.engines import open_engine
from rest_api_client.exceptions import APIError, CapabilityError, ClosedError, ConfigurationError
from rest_api_client.hooks import attempt_hooks, checked, overridden, settle
from rest_api_client.http.cookies import CookieJar
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import Userinfo
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.middleware import as_middleware
from rest_api_client.models import Request, Response
from rest_api_client.options import OPTION_NAMES, RequestOptions
from rest_api_client.pipeline import Pipeline, Policy, Stage
from rest_api_client.plugins import as_serializer, available, find
from rest_api_client.policies.cookies import Cookies
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.reading import Decode, Read
from rest_api_client.runtime import Runtime
from rest_api_client.telemetry import Telemetry
from rest_api_client.transport import Capability, Transport
from rest_api_client.typing import UNSET, ParamTypes

if TYPE_CHECKING:
    from rest_api_client.explain import Explanation

Face: TypeAlias = Literal["sync", "async"]

_FIXED = frozenset({"connection", "engine", "clock", "random"})
"""What a light copy shares with its original and so cannot change."""


@dataclass(slots=True)
class Settings:
    """What a user may change on a living client."""

    headers: Headers
    params: ParamTypes | None
    cookies: CookieJar


class ClientCore:
    """One client, whichever its face."""

    def __init__(self, client: object, face: type[Any], config: APIConfig, runtime: Runtime, which: Face) -> None:
        self.client, self.face = client, face
        self.which: Face = which
        self.runtime = runtime
        self.random = _random(config)
        self.closed = False
        self.owns_transport = True
        self.settings = Settings(Headers(config.headers), config.params, CookieJar())
        self.transport = _open(config.engine, which, config, runtime)
        self._configure(config, [])

    def _configure(self, config: APIConfig, living: Sequence[Policy]) -> None:
        self.config = config
        self.serializer = as_serializer(config.serializer)
        self.builder = RequestBuilder(
            base_url=config.base_url,
            allow_origins=config.allow_origins,
            serializer=self.serializer,
            random=self.random,
            user_agent=config.user_agent,
            key_style=config.idempotency_key_style,
        )
        self._keep_cookies(config)
        self._defaults = CallOptions(timeouts=config.timeout, attempt_headers=config.attempt_headers)
        given = self._policies()
        policies = [_living(policy, living) for policy in given]
        if any(getattr(policy, "stage", None) is Stage.HEDGE for policy in given):
            from rest_api_client.policies.hedging import settle_hedging  # few hedge

            policies = settle_hedging(given, policies, self.transport, self.runtime)
        self.pipeline = Pipeline(policies, self.transport, self.runtime)
        self._prepare = overridden(self.client, self.face, "prepare_request")
        self._process = overridden(self.client, self.face, "process_response")
        self._handle_error = overridden(self.client, self.face, "handle_error")

    def _keep_cookies(self, config: APIConfig) -> None:
        if not config.cookies:
            return
        if config.base_url is None:
            raise ConfigurationError("cookies= needs a base_url to belong to; or give cookies to the call itself")
        base = self.builder.build("GET", "", {}, Headers(), None).request.url
        for name, value in config.cookies.items():
            self.settings.cookies.set(name, value, domain=base.host, port=base.port, secure=base.scheme == "https")

    def _policies(self) -> list[Policy]:
        config = self.config
        auth = as_auth(_named_auth(config.auth))
        if auth is None and self.builder.base_userinfo is not None:
            auth = BasicAuth(*self.builder.base_userinfo)
        stages: list[Policy | None] = [
            Telemetry(tuple(config.events)),
            Deadline(seconds=config.deadline),
            config.fallback,
            config.redirects,
            Cookies(jar=self.settings.cookies),
            config.coalesce,
            config.retry,
            config.hedging,
            config.attempt_times,
            config.circuit_breaker,
            *attempt_hooks(self.client, self.face),
            config.pacing,
            config.rate_limit,
            config.bulkhead,
            config.deadline_header,
            Authentication(auth=auth),
            Read(),
            Decode(limits=config.limits),
        ]
        added = [cast("Policy", find("policy", p)) if isinstance(p, str) else p for p in config.policies]
        taken = {getattr(policy, "stage", None) for policy in added}
        functions = [as_middleware(function, self.which) for function in config.middleware]
        return [*(p for p in stages if p is not None and p.stage not in taken), *added, *functions]

    def copy(self, client: object, **options: Unpack[ClientOptions]) -> ClientCore:
        """A light copy with other settings: the same connections, and the same state wherever a policy stays as it was.

        Raises:
            ConfigurationError: an option that the shared connections depend on.
        """
        config = APIConfig.build(self.config, **options)
        changed = [name for name in _FIXED if getattr(config, name) != getattr(self.config, name)]
        if changed:
            raise ConfigurationError(
                f"with_options() shares the connections, so {changed[0]} cannot change: make a new client"
            )
        core = object.__new__(ClientCore)
        core.__dict__.update(self.__dict__)
        core.client, core.owns_transport = client, False
        core.settings = Settings(
            Headers(config.headers) if "headers" in options else self.settings.headers.copy(),
            config.params if "params" in options else self.settings.params,
            self.settings.cookies,
        )
        core._configure(config, self.pipeline.policies)
        return core

    # One call ----------------------------------------------------------------------------------------------------

    async def call(
        self, method: str, url: str, options: RequestOptions, *, stream: bool = False, bulk: bool = False
    ) -> Response:
        """Run one call from its options to a response that is ready for the caller."""
        request, call, withheld = self._begin(method, url, options, stream=stream)
        if bulk:
            call.options = replace(call.options, bulk=True)
        if self._prepare is not None:
            request = await _prepared(self._prepare, request)
        response = await self._send(request, call, withheld)
        if self._process is not None:
            response = checked(await settle(self._process(response)), Response, "process_response")
        if response.status_code >= 400 and options.get("raise_for_status", self.config.raise_for_status):
            if self._handle_error is None:
                raise response.error()
            await settle(self._handle_error(response))
        return response

    async def explain(self, method: str, url: str, options: RequestOptions) -> Explanation:
        """What would happen to a call now."""
        request, call, withheld = self._begin(method, url, options, stream=False)
        if self._prepare is not None:
            request = await _prepared(self._prepare, request)
        from rest_api_client.explain import explained  # few ask

        context = Context(call)
        context.withheld = withheld
        deadline = next((policy for policy in self.pipeline.policies if isinstance(policy, Deadline)), None)
        call.deadline = None if deadline is None else deadline.moment(context)  # what would wait asks what is left
        return explained(request, await self.pipeline.forecast(request, context))

    def _begin(
        self, method: str, url: str, options: RequestOptions, *, stream: bool
    ) -> tuple[Request, Call, tuple[str, ...]]:
        """The request, the call it is for, and the names of what was left out of it."""
        if self.closed:
            raise ClosedError("this client is closed: make a new one, or do the call inside its `with` block")
        if options:
            refuse_unknown(options, OPTION_NAMES, "request option")
        built = self.builder.build(method, url, options, self.settings.headers, self.settings.params)
        call = Call(
            self.runtime,
            self.random,
            options=self._call_options(options, built.userinfo, stream=stream),
            classify=self.config.classify,
        )
        request = built.request
        if call.options.auth is not UNSET and call.options.auth is not None and request.home and not request.at_home:
            raise ConfigurationError(
                f"auth for {request.url.origin}, not this client's own: add it to allow_origins, or use another client"
            )
        return request, call, built.withheld

    async def _send(self, request: Request, call: Call, withheld: tuple[str, ...]) -> Response:
        context = Context(call)
        context.withheld = withheld
        try:
            response = await self.pipeline(request, context)
        except APIError as error:
            error.attempts = tuple(call.attempts)
            error.request = error.request or request
            raise
        response.attempts = tuple(call.attempts)
        response.elapsed = self.runtime.now() - call.started
        response.serializer = self.serializer
        return response

    def _call_options(self, options: RequestOptions, userinfo: Userinfo | None, *, stream: bool) -> CallOptions:
        if not options and userinfo is None and not stream:
            return self._defaults
        changes: dict[str, Any] = {name: options[name] for name in _PER_CALL if name in options}  # type: ignore[literal-required]
        _check_values(options)
        if "timeout" in options:
            changes["timeouts"] = as_timeouts(options["timeout"])
        if userinfo is not None and "auth" not in options:
            changes["auth"] = BasicAuth(*userinfo)
        elif "auth" in options:
            changes["auth"] = as_auth(_named_auth(options["auth"]))
        if stream:
            changes["stream"] = True
        return replace(self._defaults, **changes) if changes else self._defaults

    def mounted(self) -> Any:
        """The chain as a transport of httpx."""
        from rest_api_client.engines.mount import as_httpx_transport  # only those who mount need it

        return as_httpx_transport(
            self.pipeline.policies,
            self.transport,
            self.runtime,
            face=self.which,
            random=self.random,
            options=self._defaults,
            home=self.builder.home,
            classify=self.config.classify,
        )

    async def aclose(self) -> None:
        """Close the connections, unless another client owns them. Idempotent."""
        if not self.closed:
            self.closed = True
            if self.owns_transport:
                await self.transport.aclose()
                await self.runtime.aclose()


async def _prepared(prepare: Callable[[Any], Any], request: Request) -> Request:
    return checked(await settle(prepare(request)), Request, "prepare_request")


_FLAGS = ("retry_unsafe", "follow_redirects", "raise_for_status", "attempt_headers")


def _check_values(options: RequestOptions) -> None:
    """Refuse what only the middle of a call would stumble over, or what would count as True without being it."""
    named = cast("Mapping[str, object]", options)
    for name in _FLAGS:
        if name in named:
            check_flag("", **{name: named[name]})
    if "max_retries" in named:
        check_whole("", 0, max_retries=named["max_retries"])
    if "priority" in named:
        check_whole("", 0, most=4, hint="0 is shed first", priority=named["priority"])
    if not callable(named.get("progress", print)):
        raise ConfigurationError(f"progress={named['progress']!r} cannot be called: give a function of (sent, total)")


_PER_CALL = frozenset(f.name for f in fields(CallOptions)) & OPTION_NAMES - {"auth"}


def _living(policy: Policy, living: Sequence[Policy]) -> Policy:
    """The policy of a living chain that has the same options, with its state; else this one."""
    return next((bound for bound in living if type(bound) is type(policy) and bound == policy), policy)


def _named_auth(auth: Any) -> Any:
    if not isinstance(auth, str):
        return auth
    known = available("auth")
    if auth not in known:  # it may be a token: not shown
        raise ConfigurationError(
            f"auth= is a str that names no plugin (known: {', '.join(known) or 'none'}); "
            "for a token give BearerAuth(token), for a key ApiKeyAuth(key), for a password (user, password)"
        )
    return find("auth", auth)


def _random(config: APIConfig) -> Random:
    if isinstance(config.random, Random):
        return config.random
    return SystemRandom() if config.random is None else Random(config.random)


def _open(engine: Engine, which: Face, config: APIConfig, runtime: Runtime) -> Transport:
    if not isinstance(engine, str) and config.connection != ConnectionOptions():
        raise ConfigurationError(
            f"engine={engine!r} was made with its own connections, so connection options (verify=, proxy=, "
            "max_connections= ...) would do nothing: give them to the transport itself"
        )
    transport = open_engine(engine, face=which, options=config.connection, clock=config.clock)
    if isinstance(engine, str) and config.clock is not SYSTEM and Capability.VIRTUAL_TIME not in transport.capabilities:
        raise CapabilityError(
            f"engine={engine!r} waits for real sockets, on which a virtual clock would run ahead: "
            "take a ScriptedTransport, or leave clock= out"
        )
    bind = getattr(transport, "bind", None)
    return cast("Transport", bind(runtime)) if bind is not None else transport
