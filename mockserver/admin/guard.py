"""Who may use the admin API: whoever has the token, on this machine, and no web page.

A page in a browser can send requests to 127.0.0.1, and by DNS rebinding under a name of its own, too. So a request must
name this listener in its one Host field, may not come from another origin (Origin and Sec-Fetch-Site, which pages
cannot forge), and must bring the token in Authorization, where neither a form nor an image nor a link can put it. No
CORS field is ever sent, so a page cannot read what it might get. Nothing of a body is read before all that is right.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from mockserver.problems import problem


class Guard:
    """An ASGI application that lets through to another what may pass.

    Args:
        app: the other.
        token: what `Authorization: Bearer` must bring.
        hosts: with their port, what Host may be.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str]) -> None:
        self._app = app
        self._token = token.encode("ascii")
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer with a problem."""
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, detail = refusal
        headers = {"connection": "close"} | ({"www-authenticate": "Bearer"} if status == 401 else {})
        await problem(status, detail, headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        host = _only(scope, b"host")
        if host is None or host.decode("latin-1").lower() not in self._hosts:
            return 421, f"Host must be one of {', '.join(sorted(self._hosts))}"
        origins = _all(scope, b"origin")
        if any(origin != b"http://" + host for origin in origins) or len(origins) > 1:
            return 403, "requests from another origin are not taken: leave out Origin"
        if any(site not in (b"same-origin", b"none") for site in _all(scope, b"sec-fetch-site")):
            return 403, "requests from another site are not taken: leave out Sec-Fetch-Site"
        if not self._knows(scope):
            return 401, "bring the token that was told at the start: Authorization: Bearer ..."
        return None

    def _knows(self, scope: Scope) -> bool:
        scheme, _, token = (_only(scope, b"authorization") or b"").partition(b" ")
        # In constant time; of a guess only its length could show.
        return hmac.compare_digest(token, self._token) and scheme.lower() == b"bearer"


def _all(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _only(scope: Scope, name: bytes) -> bytes | None:
    """The value of a field that stands there exactly once."""
    values = _all(scope, name)
    return values[0] if len(values) == 1 else None
