"""Authentication: who the client is, said to its own servers and to nobody else.

The schemes are flows (`flow`): basic, bearer, API key, a function of the request, any `httpx.Auth`, and `digest`. The
policy `Authentication` drives one flow per attempt. It stands below breaker and limiter and never sends by itself: a
second round trip is asked for by `context.resend`, comes down the attempt level like any other request, and meets here
the flow that waits for it in the attempt's memory. How many there may be is the attempt level's limit, so no 401 loops.

A request that is not at home (`Request.at_home`) passes untouched, whatever the credential; an event says so.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias, cast

from rest_api_client.attempts import close
from rest_api_client.auth.flow import AsyncFlow, Auth, Flow, checked_text, fingerprint
from rest_api_client.auth.httpx import HttpxAuth, HttpxFlows
from rest_api_client.events import CredentialsWithheld, report
from rest_api_client.exceptions import APIError, ClosedError, ConfigurationError, HookError
from rest_api_client.forecast import Forecast
from rest_api_client.http.headers import Headers
from rest_api_client.http.redaction import learn_secret_name
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.credentials import without_parameter
from rest_api_client.policies.reading import read
from rest_api_client.reasons import OK, WITHHELD
from rest_api_client.typing import UNSET, Proceed

if TYPE_CHECKING:
    from rest_api_client.context import Context

__all__ = [
    "ApiKeyAuth",
    "AsyncFlow",
    "Auth",
    "AuthTypes",
    "Authentication",
    "BasicAuth",
    "BearerAuth",
    "CallableAuth",
    "Flow",
    "HttpxAuth",
    "as_auth",
]

AuthTypes: TypeAlias = Auth | tuple[str, str] | HttpxFlows | Callable[[Request], Request]
"""What `auth=` takes: a scheme, (user name, password), an `httpx.Auth`, or a function that gives back a request."""


@dataclass(frozen=True, slots=True, repr=False)
class BasicAuth(Auth):
    """User name and password in the clear (RFC 7617), in UTF-8.

    Raises:
        ConfigurationError: a colon in the user name, or control characters in either.
    """

    username: str
    password: str

    def __post_init__(self) -> None:
        if ":" in checked_text("BasicAuth: the user name", self.username):
            raise ConfigurationError(
                "BasicAuth: the user name contains a colon, which this scheme cannot carry (RFC 7617)"
            )
        checked_text("BasicAuth: the password", self.password)

    def flow(self, request: Request) -> Flow:
        """The request with its Authorization field."""
        pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")
        yield request.with_headers(Authorization=f"Basic {pair}")

    def identity(self) -> str:
        """A name for user and password together."""
        return fingerprint("basic", self.username, self.password)


@dataclass(frozen=True, slots=True, repr=False)
class BearerAuth(Auth):
    """A token that whoever has it may use (RFC 6750). Give it without the word "Bearer".

    Raises:
        ConfigurationError: an empty token, or one with spaces, control characters or characters outside ASCII.
    """

    token: str

    def __post_init__(self) -> None:
        token = checked_text("BearerAuth: the token", self.token)
        if token.lower().startswith("bearer "):
            raise ConfigurationError(
                "BearerAuth: the token starts with the word Bearer, which is added here: leave it out"
            )
        if not token or " " in token or not token.isascii():
            raise ConfigurationError("BearerAuth: the token must be ASCII without spaces, and not empty")

    def flow(self, request: Request) -> Flow:
        """The request with its Authorization field."""
        yield request.with_headers(Authorization=f"Bearer {self.token}")

    def identity(self) -> str:
        """A name for the token."""
        return fingerprint("bearer", self.token)


@dataclass(frozen=True, slots=True, repr=False)
class ApiKeyAuth(Auth):
    """A key in a header field, or in a query parameter.

    Args:
        key: the key.
        header: the field's name; X-API-Key where neither is given.
        query: the parameter's name. URLs end up in logs of servers and proxies: prefer a header.

    Raises:
        ConfigurationError: both names, or a key that cannot be sent.
    """

    key: str
    header: str | None = field(default=None, kw_only=True)
    query: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.header is not None and self.query is not None:
            raise ConfigurationError(f"ApiKeyAuth(header={self.header!r}, query={self.query!r}): give one of the two")
        if not checked_text("ApiKeyAuth: the key", self.key):
            raise ConfigurationError("ApiKeyAuth: the key is empty: is the variable it comes from set?")
        Headers({self._header: self.key if self.query is None else ""})
        learn_secret_name(self.query or self._header)

    @property
    def _header(self) -> str:
        return self.header or "X-API-Key"

    def flow(self, request: Request) -> Flow:
        """The request with the key on it; a parameter of that name which is there already is replaced."""
        if self.query is None:
            yield request.replace(headers=request.headers.merged({self._header: self.key}))
        else:
            yield request.replace(url=without_parameter(request.url, self.query).with_params({self.query: self.key}))

    def identity(self) -> str:
        """A name for the key."""
        return fingerprint("apikey", self.key)


@dataclass(frozen=True, slots=True, repr=False)
class CallableAuth(Auth):
    """A function that is given the request and gives back the one to send."""

    function: Callable[[Request], Request]

    def flow(self, request: Request) -> Flow:
        """What the function makes of the request."""
        yield self.function(request)


def as_auth(value: object) -> Auth | None:
    """A scheme out of whatever `auth=` takes; None for none.

    Raises:
        ConfigurationError: anything else. The message shows its type, never its value.
    """
    if value is None or isinstance(value, Auth):
        return _usable(value) if value is not None else None
    if isinstance(value, tuple | list) and len(cast("list[object]", value)) == 2:
        return BasicAuth(*cast("tuple[str, str]", tuple(cast("list[object]", value))))
    if isinstance(value, type):
        raise ConfigurationError(f"auth={value.__name__} is a class: make one of it, for example {value.__name__}(...)")
    if isinstance(value, HttpxFlows):
        return HttpxAuth(value)
    if callable(value):
        return CallableAuth(cast("Callable[[Request], Request]", value))
    raise ConfigurationError(
        f"auth is of type {type(value).__name__}: give (user name, password), BearerAuth(token), ApiKeyAuth(key), "
        "another Auth, an httpx.Auth or a function of the request"
    )


def _usable(auth: Auth) -> Auth:
    kind = type(auth)
    if kind.flow is Auth.flow and kind.begin is Auth.begin:
        raise ConfigurationError(f"{kind.__name__} defines neither flow() nor begin(): define one of them")
    return auth


_MEMORY = "authentication"
_OVER = object()


@dataclass(frozen=True, kw_only=True)
class Authentication:
    """Puts the client's credential on requests to its own servers.

    Args:
        auth: whatever `as_auth` takes; None leaves requests as they are unless a call brings its own.
    """

    auth: AuthTypes | None = None
    stage = Stage.AUTH

    def __post_init__(self) -> None:
        object.__setattr__(self, "auth", as_auth(self.auth))

    def __call__(self, request: Request, context: Context, proceed: Proceed) -> Awaitable[Response]:
        """Send the request with its credential, and have it sent again where the scheme asks for that."""
        if self.auth is None and context.options.auth is UNSET:
            return proceed(request, context)
        return self._authenticated(request, context, proceed)

    async def _authenticated(self, request: Request, context: Context, proceed: Proceed) -> Response:
        running: RunningFlow | None = None if context.memory is None else context.memory.get(_MEMORY)
        if running is None:
            auth = self._chosen(request, context)
            if auth is None:
                return await proceed(request, context)
            running = RunningFlow(auth, request, context)
            context.keep(_MEMORY, running)
            request = await running.first()
        response = await proceed(request, context)
        if running.auth.requires_response_body:
            response = await read(response)
        try:
            again = await running.after(request, response)
        except BaseException:
            await close(response)
            raise
        if again is not None:
            context.resend(again)
        return response

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """Which credential would go along, by the name of its scheme."""
        auth = self._given(context)
        if auth is None:
            return Forecast(
                policy="Authentication", text="no credential is added", facts={"scheme": None, "withheld": False}
            )
        scheme, withheld = type(auth).__name__, not request.at_home
        text = f"{scheme} is withheld: not its origin" if withheld else f"{scheme} is added"
        reason = WITHHELD if withheld else OK
        facts = {"scheme": scheme, "withheld": withheld}
        return Forecast(policy="Authentication", reason=reason, text=text, facts=facts)

    def _given(self, context: Context) -> Auth | None:
        given = context.options.auth
        return cast("Auth | None", self.auth) if given is UNSET else as_auth(given)

    def _chosen(self, request: Request, context: Context) -> Auth | None:
        auth = self._given(context)
        if auth is None or request.at_home:
            return auth
        context.tell(CredentialsWithheld, request, origin=str(request.url.origin), names=("auth",))
        return None


class RunningFlow:
    """The flow of one attempt, sync or async, between its round trips."""

    def __init__(self, auth: Auth, request: Request, context: Context) -> None:
        self.auth = auth
        self._request = request
        self._context = context
        self._flow: Flow | AsyncFlow | None = None

    async def first(self) -> Request:
        """The first request.

        Raises:
            HookError: the flow failed, or yielded something else.
        """
        asked = await self._step(None)
        if asked is None:
            raise HookError(f"auth {self._name} yielded no request: it must yield at least one", request=self._request)
        return asked

    async def after(self, sent: Request, response: Response) -> Request | None:
        """The next request after an answer, or None when the flow is over.

        Raises:
            HookError: the flow failed, or yielded something else.
            ClosedError: it wants a body sent again that can be read only once.
        """
        asked = await self._step(response)
        if asked is not None and asked.body is sent.body and not asked.body.replayable:
            raise ClosedError(
                f"auth {self._name} asks to send the request again after {response.status_code}, but its body can be "
                "read only once: give bytes, a file that seeks, or a callable that makes it anew",
                request=sent,
                response=response,
            )
        return asked

    async def _step(self, response: Response | None) -> Request | None:
        try:
            asked = await self._advance(response)
        except APIError:
            raise
        except Exception as error:
            # Its text may hold the credential, so it is left to the cause.
            message = f"auth {self._name} failed with {type(error).__name__}"
            raise HookError(message, request=self._request) from error
        if asked is _OVER:
            return None
        if not isinstance(asked, Request):
            raise HookError(f"auth {self._name} gave {type(asked).__name__}, not a Request", request=self._request)
        return asked

    async def _advance(self, response: Response | None) -> object:
        if self._flow is None:
            self._flow = self.auth.begin(self._request, self._context)
        answer = cast("Response", response)
        try:
            return await self._flow.asend(answer) if isinstance(self._flow, AsyncGenerator) else self._flow.send(answer)
        except (StopIteration, StopAsyncIteration):
            return _OVER

    async def aclose(self) -> None:
        """End the flow where it stands. The attempt has failed by then, so what goes wrong here is only reported."""
        try:
            if isinstance(self._flow, AsyncGenerator):
                await self._flow.aclose()
            elif self._flow is not None:
                self._flow.close()
        except Exception as error:
            report(error, self._name, "closing an auth flow failed")

    @property
    def _name(self) -> str:
        function = self.auth.function if isinstance(self.auth, CallableAuth) else None
        wrapped = self.auth.auth if isinstance(self.auth, HttpxAuth) else self.auth
        return str(getattr(function, "__name__", "")) or type(wrapped).__name__
