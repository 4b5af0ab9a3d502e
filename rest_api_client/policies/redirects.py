"""Redirects: followed by the rules of RFC 9110, section 15.4, without carrying credentials to another origin.

    301, 302      POST becomes GET, as every client does; other methods stay
    303           becomes GET; HEAD stays
    307, 308      method and body stay

Other 3xx answers (300, 304 ...) are given to the caller, and so is every redirect where following is off.

Each hop is made from the request as the caller meant it. At home, or at the origin the call itself went to, it carries
what the caller gave it; anywhere else it goes without credentials (`credentials`), and a body is never sent there at
all. So a detour through a foreign origin costs that hop its credentials, not the next one. Below this stage cookies and
authentication judge each hop for themselves.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import field, replace
from typing import TYPE_CHECKING, NoReturn

from rest_api_client.attempts import drain
from rest_api_client.checks import check_flag, check_whole
from rest_api_client.events import CredentialsWithheld, Redirected
from rest_api_client.exceptions import ConfigurationError, RedirectError, TooManyRedirects
from rest_api_client.forecast import Forecast
from rest_api_client.http.bodies import EMPTY
from rest_api_client.http.headers import Headers
from rest_api_client.http.redaction import redact_url
from rest_api_client.http.urls import URL
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.policies.credentials import withhold_echo, withhold_headers
from rest_api_client.reasons import REDIRECTED
from rest_api_client.typing import UNSET, Proceed

if TYPE_CHECKING:
    from rest_api_client.context import Context

FOLLOWED = frozenset({301, 302, 303, 307, 308})
_LOOP = 3
"""Times one request may be sent in a call: twice happens where a server sets a cookie or wakes something in between."""

_OF_THE_BODY = frozenset({"transfer-encoding", "expect", "digest", "repr-digest", "idempotency-key"})
"""Fields that speak of a body or of the action it asks for, as those that begin with `content-` do, and as the one in
which the idempotency key was sent."""


@dataclass(frozen=True, kw_only=True)
class Redirects:
    """Follows redirects.

    Args:
        max_redirects: most hops of one call.
        follow: whether they are followed where a call says nothing of its own (`follow_redirects=`).

    Raises:
        TooManyRedirects: more hops than that, or one request for the third time.
        RedirectError: a target that is missing or cannot be reached by http(s), a body that can be read only once, or
            one that would go to an origin it was not meant for.
    """

    max_redirects: int = 10
    follow: bool = True
    stage = Stage.REDIRECT

    def __post_init__(self) -> None:
        check_whole("Redirects", 0, max_redirects=self.max_redirects)
        check_flag("Redirects", follow=self.follow)

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request, and follow where its answers point."""
        response = await proceed(request, context)
        wanted = context.options.follow_redirects
        if response.status_code not in FOLLOWED or not (self.follow if wanted is UNSET else wanted):
            return response
        return await self._follow(_Journey(request), response, context, proceed)

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """How far redirects would be followed."""
        wanted = context.options.follow_redirects
        follow = self.follow if wanted is UNSET else wanted
        text = f"redirects are followed, at most {self.max_redirects}" if follow else "redirects are not followed"
        return Forecast(policy="Redirects", text=text, facts={"follow": follow, "max_redirects": self.max_redirects})

    async def _follow(self, journey: _Journey, response: Response, context: Context, proceed: Proceed) -> Response:
        while response.status_code in FOLLOWED:
            await drain(response, context)
            hop, names = journey.next(response, self.max_redirects)
            context.note("Redirects", REDIRECTED)
            context.tell(Redirected, hop, status_code=response.status_code, url=redact_url(str(hop.url)))
            if names:
                context.tell(CredentialsWithheld, hop, origin=str(hop.url.origin), names=names)
            response = await proceed(hop, context)
        response.history = tuple(journey.history)
        return response


@dataclass(slots=True)
class _Journey:
    """Where a call has been, and the request as the caller meant it, moved along."""

    request: Request
    history: list[Response] = field(default_factory=list)
    _visits: Counter[tuple[str, str]] = field(default_factory=Counter)
    _start: URL = field(init=False)

    def __post_init__(self) -> None:
        self._start = self.request.url
        self._visits[_place(self.request)] = 1

    def next(self, response: Response, most: int) -> tuple[Request, tuple[str, ...]]:
        """The request to send after a redirect, and the names of what is left out of it."""
        response.history = tuple(self.history)
        if len(self.history) >= most:
            self._refuse_more(response, f"more than {most} redirects: raise max_redirects, or see response.history")
        target = self._target(response)
        moved = _moved(self.request, target, response.status_code)
        self._visits[_place(moved)] += 1
        if self._visits[_place(moved)] >= _LOOP:
            self._refuse_more(response, f"redirects turn in a circle: {moved.label} for the third time")
        hop, names = self._fit(moved, response)
        self.request = moved.replace(url=hop.url)
        self.history.append(response)
        return hop, names

    def _refuse_more(self, response: Response, why: str) -> NoReturn:
        raise TooManyRedirects(f"{self.request.label}: {why}", request=self.request, response=response)

    def _refuse(self, response: Response, why: str) -> RedirectError:
        return RedirectError(
            f"{self.request.label}: {response.status_code} {why}", request=self.request, response=response
        )

    def _target(self, response: Response) -> URL:
        locations = list(dict.fromkeys(response.headers.get_list("location")))
        if len(locations) != 1 or not locations[0].strip():
            raise self._refuse(response, f"names {len(locations)} targets" if locations[1:] else "names no target")
        try:
            target = self.request.url.resolve(_decoded(locations[0].strip()))
        except ConfigurationError as error:
            raise self._refuse(response, f"has a target that cannot be followed: {error}") from error
        # RFC 9110, section 10.2.2: a target without a fragment takes over that of the URL before.
        return target if target.fragment else replace(target, fragment=self.request.url.fragment)

    def _fit(self, moved: Request, response: Response) -> tuple[Request, tuple[str, ...]]:
        """The moved request, as it may go to where it goes now."""
        origin = moved.url.origin
        familiar = moved.at_home or origin == self._start.origin
        if not familiar and moved.body.length != 0:
            why = f"would send the body to {origin}, where it does not belong: if it does, add that to allow_origins"
            raise self._refuse(response, why)
        if not moved.body.replayable:
            raise self._refuse(response, "asks for the body again, which can be read only once: give bytes or a Path")
        if familiar:
            return moved, ()
        headers, names = withhold_headers(moved.headers)
        before = response.request.url if response.request is not None else self.request.url
        url, echoed = withhold_echo(moved.url, before)
        return moved.replace(headers=headers, url=url), (*names, *echoed)


def _moved(request: Request, target: URL, status: int) -> Request:
    """The request at its new place, by the rules of its status. A Host field set by hand goes with its origin."""
    headers = request.headers if target.origin == request.url.origin else request.headers.without(["host"])
    to_get = (status == 303 and request.method not in {"GET", "HEAD"}) or (
        status in {301, 302} and request.method == "POST"
    )
    if to_get:
        return request.replace(method="GET", url=target, headers=_without_body(headers, request), body=EMPTY)
    if status == 303:
        return request.replace(url=target, headers=_without_body(headers, request), body=EMPTY)
    return request.replace(url=target, headers=headers)


def _without_body(headers: Headers, request: Request) -> Headers:
    gone = [name for name in headers if name in _OF_THE_BODY or name.startswith("content-")]
    return headers.without([*gone, request.key_header])


def _place(request: Request) -> tuple[str, str]:
    return request.method, str(replace(request.url, fragment=""))


def _decoded(location: str) -> str:
    """The target's characters: fields are read as latin-1, and what is not ASCII in them is UTF-8 nearly always."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location
