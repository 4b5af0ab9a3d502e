"""What stays clear of everything that goes wrong on purpose: /health and /__journal."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mockserver.journal import Journal
from mockserver.limits import Limits
from mockserver.problems import Problem, answer_problem
from mockserver.stage import HEALTH_PATH, JOURNAL_PATH


def control(journal: Journal, seed: int, limits: Callable[[], Limits | None]) -> Starlette:
    """Both as one ASGI application."""

    async def show(request: Request) -> Response:
        # Whoever listens on all interfaces need not show everybody what his clients sent.
        if request.client is not None and not ipaddress.ip_address(request.client.host).is_loopback:
            raise Problem(403, "the journal is shown on the loopback interface only")
        there = limits()
        described = [] if there is None else there.describe()
        staging = {"seed": seed, "limit": described[0] if described else None}
        return JSONResponse(staging | journal.to_json())

    routes = [Route(HEALTH_PATH, _health), Route(JOURNAL_PATH, show)]
    return Starlette(routes=routes, exception_handlers={HTTPException: answer_problem})


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})
