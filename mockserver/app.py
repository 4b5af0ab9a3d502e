"""The application: resources and small routes, wrapped in the layers that were asked for."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mockserver.chance import Chance
from mockserver.faults import Errors, Outage, Slowness
from mockserver.journal import Entry, Journal
from mockserver.layers import Clock, Dying, Failing, Limiting, Processing, Recording, Slowing
from mockserver.limits import Limit
from mockserver.problems import Problem, answer_crash, answer_gone, answer_problem
from mockserver.resources import application
from mockserver.resources.routes import health

HEALTH_PATH = "/health"
JOURNAL_PATH = "/__journal"
HANDLERS = {HTTPException: answer_problem, ClientDisconnect: answer_gone, Exception: answer_crash}


@dataclass(frozen=True, kw_only=True)
class Staging:
    """What a server serves, and what goes wrong on it. `None` or empty: nothing of the kind.

    The arguments are described at `MockServer`.
    """

    resources: Mapping[str, int]
    seed: int = 0
    limit: Limit | None = None
    key: Callable[[Scope], str] | None = None
    errors: Errors | None = None
    latency: Slowness | None = None
    outages: tuple[Outage, ...] = ()

    def build(self, journal: Journal, clock: Clock, on_entry: Callable[[Entry], None] | None = None) -> ASGIApp:
        """The whole as one ASGI application."""
        chance = Chance(self.seed)
        app: ASGIApp = Processing(self._application())
        if self.errors is not None:
            app = Failing(app, self.errors, chance)
        if self.latency is not None:
            app = Slowing(app, self.latency, chance)
        if self.limit is not None:
            app = Limiting(app, self.limit, self.key)
        if self.outages:
            app = Dying(app, self.outages, chance)
        app = Recording(app, journal, clock, on_entry)
        return Control(app, self._control(journal))

    def _application(self) -> Starlette:
        return application(self.resources, self.seed)

    def _control(self, journal: Journal) -> Starlette:
        staging = {"seed": self.seed, "limit": self.limit.describe() if self.limit is not None else None}

        async def show(request: Request) -> Response:
            # Whoever listens on all interfaces need not show everybody what his clients sent.
            if request.client is not None and not ipaddress.ip_address(request.client.host).is_loopback:
                raise Problem(403, "the journal is shown on the loopback interface only")
            return JSONResponse(staging | journal.to_json())

        routes = [Route(HEALTH_PATH, health), Route(JOURNAL_PATH, show)]
        return Starlette(routes=routes, exception_handlers=HANDLERS)


class Control:
    """Keeps health and journal clear of everything that goes wrong on purpose."""

    def __init__(self, app: ASGIApp, control: ASGIApp) -> None:
        self.app = app
        self.control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = self.control if scope["path"] in (HEALTH_PATH, JOURNAL_PATH) else self.app
        await app(scope, receive, send)
