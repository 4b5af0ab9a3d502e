"""Everything a client can be told, and the defaults, in one place.

`APIConfig` holds the policies as values: each is a frozen dataclass of options, None where it is off. Beside them stand
flat keywords for what people change most (`max_retries=5`, `rate_limit_calls=100`): see `keywords`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, fields, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack, cast

from rest_api_client.auth.schemes import AuthTypes
from rest_api_client.checks import check_above_zero, check_flag, check_mapping
from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.connection import Cert, ConnectionOptions, Resolver, Verify
from rest_api_client.context import Random
from rest_api_client.events import Sink
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.body_limits import BodyLimits
from rest_api_client.http.headers import Headers
from rest_api_client.http.redaction import redact_url
from rest_api_client.http.serializers import Serializer
from rest_api_client.http.urls import encode_params
from rest_api_client.idempotency import KeyStyle, check_key_style
from rest_api_client.keywords import FLAT, read_variables, refuse_contradictions, wholes_of
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.middleware import MiddlewareTypes
from rest_api_client.outcome import Classify, classify_http
from rest_api_client.pipeline import Policy
from rest_api_client.policies.attempt_times import AttemptTimes
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.deadline import Deadline, DeadlineHeader
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.redirects import Redirects
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.policies.server_pacing import ServerPacing
from rest_api_client.transport import Timeouts, Transport
from rest_api_client.typing import CookieTypes, HeaderTypes, ParamTypes
from rest_api_client.utils import unknown

if TYPE_CHECKING:
    import httpx

    from rest_api_client.policies.bulkhead import Bulkhead
    from rest_api_client.policies.coalesce import Coalesce
    from rest_api_client.policies.concurrency import AdaptiveConcurrency
    from rest_api_client.policies.fallback import Fallback
    from rest_api_client.policies.hedging import Hedging

Engine: TypeAlias = "str | Transport | httpx.BaseTransport | httpx.AsyncBaseTransport"


@dataclass(frozen=True, kw_only=True)
class APIConfig:
    """A client's settings. None turns a policy off.

    The flat keywords of a client (`max_retries`, `rate_limit_calls` ...: `ClientOptions` lists them) go to
    `APIConfig.build`, which gives a config.

    Attributes:
        base_url: what relative URLs stand behind; its path is kept as a prefix. Credentials belong to its origin.
        timeout: seconds for each phase of an attempt (`Timeouts`); a number sets all four.
        deadline: seconds for a whole call, with waits, retries and redirects. A stream has none unless given one.
        retry: what is sent again, and when.
        rate_limit: the client's own limit; off.
        pacing: obeys the server's own limits (429, Retry-After, RateLimit fields).
        circuit_breaker: stops calling an origin that fails.
        bulkhead: how many attempts may be under way at once, fixed or learned; off.
        hedging: sends a slow request again; off.
        coalesce: makes one request of identical ones made at the same time; off.
        fallback: what to answer where the call failed in the end; off.
        attempt_times: does not start an attempt that cannot finish in the time left.
        deadline_header: tells the server how much time is left; off.
        redirects: how many redirects are followed.
        limits: how large an answer may be.
        connection: how connections are made.
        headers: sent with each request; those that carry credentials, only to `base_url`'s origin and `allow_origins`.
        params: query parameters for each request.
        cookies: cookies for `base_url`'s origin.
        auth: (user, password), an `Auth`, an `httpx.Auth`, a function of the request, or a plugin's name.
        allow_origins: more origins that credentials may go to, as URLs.
        engine: "httpx", "httpx2", "pyreqwest", a transport, or any `httpx.BaseTransport`.
        policies: more policies; one at a stage that has a default takes its place.
        middleware: functions round each call, or `Middleware(function, scope="attempt")` round each attempt.
        serializer: "json", "orjson", "msgspec", a plugin's name, or a `Serializer`.
        raise_for_status: whether 4xx and 5xx raise.
        attempt_headers: whether `x-call-id` and `x-attempt` are sent.
        user_agent: the User-Agent field; None sends none.
        idempotency_key_style: "plain", or "quoted" as a structured string (RFC 9651), for servers that want that.
        events: sinks for events (`MetricsCollector` is one).
        classify: what an attempt's end means.
        clock: the clock everything waits on.
        random: the source of chance; a number seeds it, None takes the system's.
    """

    base_url: str | None = None
    timeout: Timeouts = field(default_factory=Timeouts)
    deadline: float | None = 60.0
    retry: RetryConfig | None = field(default_factory=RetryConfig)
    rate_limit: RateLimit | None = None
    pacing: ServerPacing | None = field(default_factory=ServerPacing)
    circuit_breaker: CircuitBreaker | None = field(default_factory=CircuitBreaker)
    bulkhead: Bulkhead | AdaptiveConcurrency | None = None
    hedging: Hedging | None = None
    coalesce: Coalesce | None = None
    fallback: Fallback | None = None
    attempt_times: AttemptTimes | None = field(default_factory=AttemptTimes)
    deadline_header: DeadlineHeader | None = None
    redirects: Redirects | None = field(default_factory=Redirects)
    limits: BodyLimits = field(default_factory=BodyLimits)
    connection: ConnectionOptions = field(default_factory=ConnectionOptions)
    headers: HeaderTypes | None = field(default=None, repr=False)
    params: ParamTypes | None = field(default=None, repr=False)
    cookies: CookieTypes | None = field(default=None, repr=False)
    auth: AuthTypes | str | None = field(default=None, repr=False)
    allow_origins: Sequence[str] = ()
    engine: Engine = "httpx"
    policies: Sequence[Policy | str] = ()
    middleware: Sequence[MiddlewareTypes] = ()
    serializer: str | Serializer = "json"
    raise_for_status: bool = True
    attempt_headers: bool = False
    user_agent: str | None = "rest-api-client-kit/0.1"
    idempotency_key_style: KeyStyle = "plain"
    events: Sequence[Sink] = ()
    classify: Classify = classify_http
    clock: Clock = SYSTEM
    random: Random | int | None = None

    def __repr__(self) -> str:
        shown = (f"{option.name}={_masked(getattr(self, option.name))!r}" for option in fields(self) if option.repr)
        return f"{type(self).__name__}({', '.join(shown)})"

    def __post_init__(self) -> None:
        object.__setattr__(self, "timeout", as_timeouts(self.timeout))
        _check_types(self)
        Headers(self.headers)
        if self.deadline is not None:
            Deadline(seconds=self.deadline)

    @classmethod
    def build(cls, config: APIConfig | None = None, **options: Unpack[ClientOptions]) -> APIConfig:
        """A config from nested and flat options, on top of another.

        Raises:
            ConfigurationError: an unknown name (with a suggestion), a bad value, or two options that contradict.
        """
        if config is not None and not isinstance(cast("object", config), APIConfig):
            raise ConfigurationError(
                f"config of type {type(config).__name__}: give an APIConfig, or a base URL as a str"
            )
        given: dict[str, Any] = {**options}
        refuse_unknown(given, option_names(), "option")
        whole = {name: value for name, value in given.items() if name not in FLAT}
        refuse_contradictions(given)
        base = replace(config, **whole) if config is not None else cls(**whole)
        flat = {name: value for name, value in given.items() if name in FLAT}
        return replace(base, **wholes_of(flat, base)) if flat else base

    @classmethod
    def from_env(
        cls,
        prefix: str = "REST_API_CLIENT_",
        environ: Mapping[str, str] | None = None,
        **options: Unpack[ClientOptions],
    ) -> APIConfig:
        """A config from environment variables such as REST_API_CLIENT_MAX_RETRIES=5, below what `options` says.

        Read are the flat options, and `base_url`, `deadline`, `engine`, `serializer`, `user_agent`, `raise_for_status`,
        `attempt_headers`. Numbers, `true` / `false` and `none` are understood.

        Raises:
            ConfigurationError: a variable with the prefix that names no option, or a value that cannot be read.
        """
        merged: Any = {**read_variables(prefix, os.environ if environ is None else environ), **options}
        return cls.build(**merged)


class ClientOptions(TypedDict, total=False):
    """The keywords of a client: those of `APIConfig`, and the flat ones of `FLAT`."""

    base_url: str | None
    timeout: float | Timeouts | None
    deadline: float | None
    retry: RetryConfig | None
    rate_limit: RateLimit | None
    pacing: ServerPacing | None
    circuit_breaker: CircuitBreaker | None
    bulkhead: Bulkhead | AdaptiveConcurrency | None
    hedging: Hedging | None
    coalesce: Coalesce | None
    fallback: Fallback | None
    attempt_times: AttemptTimes | None
    deadline_header: DeadlineHeader | None
    redirects: Redirects | None
    limits: BodyLimits
    connection: ConnectionOptions
    headers: HeaderTypes | None
    params: ParamTypes | None
    cookies: CookieTypes | None
    auth: AuthTypes | str | None
    allow_origins: Sequence[str]
    engine: Engine
    policies: Sequence[Policy | str]
    middleware: Sequence[MiddlewareTypes]
    serializer: str | Serializer
    raise_for_status: bool
    attempt_headers: bool
    user_agent: str | None
    idempotency_key_style: KeyStyle
    events: Sequence[Sink]
    classify: Classify
    clock: Clock
    random: Random | int | None
    max_retries: int
    retry_unsafe: bool
    rate_limit_calls: int | None
    rate_limit_period: float
    follow_redirects: bool
    max_redirects: int
    max_connections: int | None
    max_connections_per_host: int | None
    keepalive_expiry: float
    http2: bool
    verify: Verify
    cert: Cert | None
    proxy: str | Mapping[str, str | None] | None
    trust_env: bool
    uds: str | None
    resolver: Resolver | None


def _masked(value: object) -> object:
    """A setting as it may be shown: user names and passwords may stand in its URLs."""
    if isinstance(value, str):
        return redact_url(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_masked, cast("Iterable[object]", value)))
    return value


def option_names() -> frozenset[str]:
    """Every name `APIConfig.build` takes."""
    return frozenset(f.name for f in fields(APIConfig)) | FLAT.keys()


_SYNONYMS = {
    "allow_redirects": "follow_redirects",
    "mounts": "engine",
    "proxies": "proxy",
    "query": "params",
    "retries": "max_retries",
    "transport": "engine",
}
"""What other clients call an option."""


def refuse_unknown(given: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    """Raise for an option name that is not known, with the nearest that is."""
    for name in given:
        if name not in known:
            synonym = _SYNONYMS.get(name)
            raise ConfigurationError(unknown(what, name, known, synonym if synonym in known else None))


def as_timeouts(value: object) -> Timeouts:
    """Seconds for all phases, None for no limits, or `Timeouts` as they are."""
    if isinstance(value, Timeouts):
        return value
    check_above_zero("", off="no limit", hint="for each phase its own, Timeouts(connect=..., read=...)", timeout=value)
    return Timeouts.all(cast("float | None", value))


_KINDS: Mapping[str, tuple[str, ...]] = {
    "retry": ("RetryConfig",),
    "rate_limit": ("RateLimit",),
    "pacing": ("ServerPacing",),
    "circuit_breaker": ("CircuitBreaker",),
    "bulkhead": ("Bulkhead", "AdaptiveConcurrency"),
    "hedging": ("Hedging",),
    "coalesce": ("Coalesce",),
    "fallback": ("Fallback",),
    "attempt_times": ("AttemptTimes",),
    "deadline_header": ("DeadlineHeader",),
    "redirects": ("Redirects",),
    "limits": ("BodyLimits",),
    "connection": ("ConnectionOptions",),
}
"""What a setting may be: names of the package, which imports nothing that is off."""
_LISTS = ("allow_origins", "events", "middleware", "policies")
_REQUIRED = frozenset({"limits", "connection"})


def _check_types(config: APIConfig) -> None:
    package = import_module("rest_api_client")
    for name, kinds in _KINDS.items():
        value = getattr(config, name)
        if value is None and name not in _REQUIRED:
            continue
        if not isinstance(value, tuple(getattr(package, kind) for kind in kinds)):
            off = "" if name in _REQUIRED else ", or None to turn it off"
            raise ConfigurationError(f"{name}={value!r}: give a {' or '.join(kinds)}{off}")
    for name in _LISTS:
        value = getattr(config, name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ConfigurationError(f"{name}: give a list, got {type(value).__name__}")
    if not all(callable(getattr(config.clock, name, None)) for name in ("monotonic", "time", "sleep")):
        raise ConfigurationError(f"clock={config.clock!r}: give SYSTEM or a VirtualClock()")
    if config.base_url is not None and not isinstance(cast("object", config.base_url), str):
        given = type(config.base_url).__name__  # it may hold a password: not shown
        raise ConfigurationError(f"base_url is of type {given}: give a str such as 'https://api.example.com/v1'")
    check_flag("", raise_for_status=config.raise_for_status, attempt_headers=config.attempt_headers)
    check_key_style("idempotency_key_style=", config.idempotency_key_style)
    _check_callables(config)
    check_mapping("cookies", config.cookies)
    if config.random is not None and not isinstance(cast("object", config.random), Random | int):
        raise ConfigurationError(f"random={config.random!r}: give a random.Random, a whole number as seed, or None")
    encode_params(config.params or {})


def _check_callables(config: APIConfig) -> None:
    for name, value in (("classify", config.classify), *(("events", sink) for sink in config.events)):
        if not callable(value):
            raise ConfigurationError(f"{name}: {value!r} cannot be called; give a function")
