"""Cookies: taken from each answer, put on each request, and kept within their origin.

The stage stands below redirects, so each hop stores and sends its own, and above retry: of an attempt that was answered
and tried again (a 503, the 401 that authentication answers) the cookies are not kept; the last answer's are.

The client's jar belongs to its home (`Request.home`): there the rules of RFC 6265 hold. They know no ports, and let a
plain http server set what https sends; so a foreign origin neither sees that jar nor writes to it. What such an origin
sets is kept apart for exactly that origin and goes back to it alone, at home or not: signing in by way of another host
works, and nothing crosses. A Cookie field that the caller gave wins over a stored cookie of the same name.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING

from rest_api_client.events import CredentialsWithheld
from rest_api_client.forecast import Forecast
from rest_api_client.forks import in_child
from rest_api_client.http.cookies import CookieJar
from rest_api_client.http.urls import URL, Origin
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Stage
from rest_api_client.typing import Proceed

if TYPE_CHECKING:
    from rest_api_client.context import Context
    from rest_api_client.runtime import Runtime

MAX_FOREIGN_ORIGINS = 64
"""Foreign origins whose cookies are kept; the one not met for longest is forgotten first."""


class ForeignJars:
    """One jar for each foreign origin."""

    def __init__(self) -> None:
        self.held: OrderedDict[Origin, CookieJar] = OrderedDict()
        self._renew_lock()
        in_child(self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.held)

    def find(self, origin: Origin) -> CookieJar | None:
        """The origin's jar, if it ever set a cookie while it was foreign."""
        return self.held.get(origin)

    def make(self, origin: Origin) -> CookieJar:
        """The origin's jar."""
        with self._lock:
            jar = self.held.setdefault(origin, CookieJar())
            self.held.move_to_end(origin)
            if len(self.held) > MAX_FOREIGN_ORIGINS:
                self.held.popitem(last=False)
            return jar


@dataclass(frozen=True, kw_only=True)
class Cookies:
    """Keeps cookies.

    Args:
        jar: the client's own, for its home.
        foreign: what other origins set; made when the policy is bound.
    """

    jar: CookieJar = field(repr=False)
    foreign: ForeignJars | None = field(default=None, repr=False, compare=False)
    stage = Stage.COOKIES

    def bind(self, runtime: Runtime) -> Cookies:
        """The policy with jars of its own for foreign origins."""
        return self if self.foreign is not None else replace(self, foreign=ForeignJars())

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request with its cookies, and store those of the answer."""
        foreign = self.foreign
        if self.jar.held or (foreign is not None and foreign.held):
            now = context.runtime.time()
            self._tell_withheld(request, context, now)
            request = self._with_cookies(request, now)
        response = await proceed(request, context)
        if "set-cookie" in response.headers:
            self._store(request, response.headers.get_list("set-cookie"), context.runtime.time())
        return response

    async def forecast(self, request: Request, context: Context) -> Forecast:
        """Which cookies would go along."""
        now = context.runtime.time()
        headers = [_header(jar, request.url, now) for jar in self._readable(request)]
        names = sorted({_name(pair).strip() for header in headers for pair in header.split(";") if pair.strip()})
        text = f"these cookies are sent: {', '.join(names)}" if names else "no cookies are sent"
        return Forecast(policy="Cookies", text=text, facts={"names": names})

    def _with_cookies(self, request: Request, now: float) -> Request:
        stored = [header for jar in self._readable(request) if (header := _header(jar, request.url, now))]
        if not stored:
            return request
        return request.with_headers(Cookie=merge_cookies("; ".join(request.headers.get_list("cookie")), *stored))

    def _readable(self, request: Request) -> list[CookieJar]:
        apart = self.foreign.find(request.url.origin) if self.foreign is not None else None
        return [*([self.jar] if request.at_home else []), *([apart] if apart is not None else [])]

    def _store(self, request: Request, values: Sequence[str], now: float) -> None:
        url = request.url
        jars = self._readable(request)
        if not request.at_home and self.foreign is not None:
            jars = [self.foreign.make(url.origin)]
        for jar in jars:
            jar.store(url.scheme, url.host, url.path, values, now, port=url.port)

    def _tell_withheld(self, request: Request, context: Context, now: float) -> None:
        if context.emit is not None and not request.at_home and _header(self.jar, request.url, now):
            context.tell(CredentialsWithheld, request, origin=str(request.url.origin), names=("cookie",))


def merge_cookies(*headers: str) -> str:
    """Several Cookie fields as one; of a name that stands in two of them, the earlier field's pairs hold."""
    taken: set[str] = set()
    merged: list[str] = []
    for header in headers:
        pairs = [pair for part in header.split(";") if (pair := part.strip())]
        merged += [pair for pair in pairs if _name(pair) not in taken]
        taken.update(_name(pair) for pair in pairs)
    return "; ".join(merged)


def _name(pair: str) -> str:
    return pair.partition("=")[0].rstrip()


def _header(jar: CookieJar, url: URL, now: float) -> str:
    return jar.header(url.scheme, url.host, url.path, now, port=url.port) or ""
