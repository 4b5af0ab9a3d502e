"""All routes as one ASGI application."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mockserver.problems import answer_crash, answer_gone, answer_problem
from mockserver.resources.collections import Resources
from mockserver.resources.routes import ROUTES

HANDLERS = {HTTPException: answer_problem, ClientDisconnect: answer_gone, Exception: answer_crash}


def application(resources: Mapping[str, int], seed: int = 0) -> Starlette:
    """Everything the server serves.

    Raises:
        ValueError: a resource with a senseless name or size.
    """
    routes = [*ROUTES, *Resources(resources, seed).routes()]
    return Starlette(routes=routes, exception_handlers=HANDLERS)
