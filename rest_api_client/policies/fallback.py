"""The fallback: what a call that failed in the end is answered with instead.

A call has failed where nothing below could mend it: its last answer or error is classified "failed" or "throttled", or
the client itself refused it (open circuit, full bulkhead, rate limit). A 4xx is an answer, not a failure, and passes as
it is; a cancelled call is over. The fallback stands above retry, redirects and cookies, so it is asked once per call;
and below the deadline: once that has passed there is no time for anything. A `DeadlineExceeded` raised early, because
the next wait would not fit, leaves time, and is fallen back from.

By default only calls that change nothing (GET, HEAD, OPTIONS, TRACE, QUERY; functions) are answered so: a failed POST
that looks like a success is worse than an error. `when=` decides otherwise.

A replica gets the request as the caller meant it, moved to another origin, through the rest of the chain: with retries,
breaker and limits of its own, and without credentials unless the replica is among `allow_origins`. The rules of retry
and redirects hold: what cannot safely be sent twice is not, and no body goes to a foreign origin.

Nothing is hidden: an event and a note in the last attempt's record say that the answer is a fallback's. If the fallback
fails as well, the first failure stands: its error is raised with the fallback's as its context and in its notes, its
answer is returned, and event and note tell of the other.
"""

from __future__ import annotations

import json as plain_json
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from inspect import isawaitable
from typing import Any, Final, TypeAlias

from rest_api_client.attempts import close
from rest_api_client.checks import check_function
from rest_api_client.context import Context
from rest_api_client.events import CredentialsWithheld, FellBack
from rest_api_client.exceptions import ConfigurationError, HookError, RefusedError
from rest_api_client.forecast import Forecast
from rest_api_client.function_calls import FunctionCall, Returned
from rest_api_client.http.headers import Headers
from rest_api_client.http.redaction import redact_url
from rest_api_client.http.serializers import JSON_SERIALIZER
from rest_api_client.http.urls import URL, split_userinfo
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.outcome import Kind
from rest_api_client.pipeline import Stage
from rest_api_client.policies.credentials import withhold_echo, withhold_headers
from rest_api_client.reasons import FALLBACK_FAILED, FELL_BACK
from rest_api_client.typing import UNSET, JSONValue, Proceed, Unset

NAME: Final = "Fallback"
CHANGES_NOTHING: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "CALL"})
"""The safe methods (RFC 9110, section 9.2.1, and QUERY's own specification), and calls of guarded functions."""

Result: TypeAlias = Response | Exception
Answer: TypeAlias = Callable[[Request, Result], Any]
"""(request, the last answer or error) -> a Response, or what a guarded function is to return; it may be async."""


@dataclass(frozen=True, kw_only=True)
class Fallback:
    """Answers calls that failed in the end. Give one of the first four.

    Attributes:
        json: the answer is a 200 with this as its body; a guarded function returns it. Each call gets its own copy.
        response: the answer is a copy of this one.
        call: a function of the request and the last answer or error, sync or async, gives the answer; what it raises
            is a failure of the fallback.
        replica: the origin, as "https://replica.example.com", that the same path and query are asked of. It answers
            for the client's own origins alone: of a foreign server's resources it has no copy.
        when: a function of the same two says whether a call is fallen back from, in place of the rules above.
    """

    json: JSONValue = UNSET
    response: Response | None = None
    call: Answer | None = None
    replica: str | None = None
    when: Callable[[Request, Result], bool] | None = None
    stage = Stage.FALLBACK

    def __post_init__(self) -> None:
        given = [name for name in ("response", "call", "replica") if getattr(self, name) is not None]
        given += [] if isinstance(self.json, Unset) else ["json"]
        if len(given) != 1:
            raise ConfigurationError(
                f"Fallback({', '.join(f'{name}=...' for name in given)}): give one of json, response, call and replica"
            )
        if self.call is not None and not callable(self.call):
            raise ConfigurationError(f"Fallback(call={self.call!r}) cannot be called: give a function")
        if self.when is not None:
            check_function(NAME, when=self.when)
        self._check_response()
        if self.replica is not None:
            self._place()

    def _check_response(self) -> None:
        if self.response is None:
            self._json()
        elif not isinstance(self.response, Response) or not self.response.buffered:
            raise ConfigurationError(
                f"Fallback(response={self.response!r}): give a Response with its body, as Response(200, content=b'')"
            )

    def _json(self) -> bytes:
        try:
            return b"" if isinstance(self.json, Unset) else JSON_SERIALIZER.dumps(self.json)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"Fallback(json={type(self.json).__name__}) is no JSON: {error}") from error

    def _place(self) -> URL:
        url, userinfo = split_userinfo(str(self.replica))
        if userinfo is not None or url.target != "/" or url.fragment:
            shown = redact_url(str(url))
            raise ConfigurationError(
                f"Fallback(replica={shown!r}): give scheme, host and port alone; for another path give call="
            )
        return url

    @property
    def how(self) -> str:
        """What it answers with: "value", "function" or "replica"."""
        return "function" if self.call is not None else "replica" if self.replica is not None else "value"

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request, and answer in its place where that failed.

        Raises:
            Exception: the call's own failure, where it is not fallen back from, or the fallback failed too.
            ConfigurationError: a replica for a function.
        """
        if self.replica is not None and isinstance(request, FunctionCall):
            raise ConfigurationError(f"{request.label} has no origin, so no replica: give Fallback(call=...)")
        result: Result
        try:
            result = await proceed(request, context)
        except Exception as error:
            if not self._wanted(request, context, error):
                raise
            return await self._answer(request, context, proceed, error)
        try:
            wanted = self._wanted(request, context, result)
            answer = await self._answer(request, context, proceed, result) if wanted else result
        except BaseException:
            await close(result)
            raise
        if answer is not result:
            await close(result)
        return answer

    def _wanted(self, request: Request, context: Context, result: Result) -> bool:
        if context.remaining == 0 or not self._stands_in(request):
            return False
        if self.when is not None:
            return self.when(request, result)
        if request.method not in CHANGES_NOTHING:
            return False
        return isinstance(result, RefusedError) or _failed(request, context, result)

    def _stands_in(self, request: Request) -> bool:
        """Whether it can answer for that origin: a replica only for the client's own, whose copy it is."""
        return self.replica is None or request.at_home or not request.home

    async def _answer(self, request: Request, context: Context, proceed: Proceed, result: Result) -> Response:
        """The fallback's answer, or else the call's own end."""
        try:
            answer = await self._fall_back(request, context, proceed, result)
        except Exception as second:
            self._tell(request, context, result, second)
            return _stand(result, second)
        self._tell(request, context, result, None)
        return answer

    def _tell(self, request: Request, context: Context, result: Result, second: Exception | None) -> None:
        context.note(NAME, FELL_BACK if second is None else FALLBACK_FAILED)
        if context.emit is not None:
            reason = context.classify(request, result).reason
            error = None if second is None else type(second).__name__
            context.tell(FellBack, request, how=self.how, reason=reason, error=error)

    async def _fall_back(self, request: Request, context: Context, proceed: Proceed, result: Result) -> Response:
        if self.replica is not None:
            return await self._ask_replica(self._moved(request, context, result), context, proceed)
        if self.call is not None:
            answer = self.call(request, result)
            return _as_response(await answer if isawaitable(answer) else answer, request, result)
        if isinstance(request, FunctionCall) and self.response is None:
            return Returned(plain_json.loads(self._json()))
        made = Response(200, content=self._json(), headers=_JSON) if self.response is None else self.response
        return _own(made, request)

    async def _ask_replica(self, request: Request, context: Context, proceed: Proceed) -> Response:
        response = await proceed(request, context)
        if not _failed(request, context, response):
            return response
        await close(response)
        raise response.error()

    def _moved(self, request: Request, context: Context, result: Result) -> Request:
        """The request as it may go to the replica.

        Raises:
            RefusedError: it may not.
        """
        place = self._place()
        url = replace(request.url, scheme=place.scheme, host=place.host, port=place.port)
        headers = request.headers.without(["host"])
        moved = request.replace(url=url, headers=headers)
        self._check_safe(moved, context, result)
        if moved.at_home:
            return moved
        headers, names = withhold_headers(headers)
        url, echoed = withhold_echo(url, request.url)
        if names or echoed:
            context.tell(CredentialsWithheld, moved, origin=str(url.origin), names=(*names, *echoed))
        return moved.replace(url=url, headers=headers)

    def _check_safe(self, moved: Request, context: Context, result: Result) -> None:
        outcome = context.classify(moved, result)
        repeatable = moved.idempotent or moved.idempotency_key is not None or outcome.processed == "no"
        if not moved.body.replayable or not (repeatable or context.options.retry_unsafe is True):
            raise RefusedError(f"{moved.label}: not sent to the replica, it may have been acted on", request=moved)
        if not moved.at_home and moved.body.length != 0:
            raise RefusedError(
                f"{moved.label}: no body is sent to a foreign origin; if it belongs there, add it to allow_origins",
                request=moved,
            )

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """Whether a failure of this call would be answered, as far as its method says."""
        ready = self._stands_in(request) and (self.when is not None or request.method in CHANGES_NOTHING)
        text = f"if the call fails, a {self.how} answers" if ready else f"a failed {request.method} is not answered"
        return Forecast(policy=NAME, text=text, facts={"how": self.how, "ready": ready})


_JSON: Final = Headers({"content-type": JSON_SERIALIZER.content_type})


def _failed(request: Request, context: Context, result: Result) -> bool:
    return context.classify(request, result).kind in (Kind.FAILED, Kind.THROTTLED)


def _stand(result: Result, second: Exception) -> Response:
    """What the call came to; its error gets the fallback's, which is being handled, for a context."""
    if isinstance(result, Response):
        return result
    if result is not second:
        result.add_note(f"the fallback failed too: {type(second).__name__}: {second}")
    raise result


def _own(answer: Response, request: Request) -> Response:
    """This call's own copy: the answer may be kept, and given to other calls at the same time."""
    response = copy(answer)
    response.headers = answer.headers.copy()
    response.request = request
    return response


def _as_response(answer: object, request: Request, result: Result) -> Response:
    if isinstance(answer, Response) and (answer is result or isinstance(request, FunctionCall)):
        return answer
    if isinstance(answer, Response):
        return _own(answer, answer.request or request)
    if isinstance(request, FunctionCall):
        return Returned(answer)
    raise HookError(f"Fallback(call=...) must give a Response, got {type(answer).__name__}", request=request)
