"""All routes as one ASGI application, which waits for nothing: `mockserver.asgi.perform` plays it without a loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mockserver.chance import Chance
from mockserver.problems import answer_crash, answer_gone, answer_problem
from mockserver.resource_names import check_resources
from mockserver.resources import looking, streams
from mockserver.resources.answering import Answering
from mockserver.resources.auth import Auth
from mockserver.resources.idempotency import IdempotencyKeys
from mockserver.resources.oauth import OAuth
from mockserver.resources.octets import Octets
from mockserver.resources.openapi import openapi
from mockserver.resources.records import Resources
from mockserver.resources.setting import Setting

HANDLERS = {HTTPException: answer_problem, ClientDisconnect: answer_gone, Exception: answer_crash}


def application(
    resources: Mapping[str, int],
    seed: int = 0,
    *,
    now: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
    hold_keys: bool = False,
) -> Starlette:
    """Everything the server serves.

    Args:
        resources: how many records each collection has at first.
        seed: decides every value that looks like chance.
        now: seconds, never going back: what expires goes by it.
        wall: seconds since 1970, for dates.
        hold_keys: whether an Idempotency-Key stays "in progress" until somebody calls
            `app.state.idempotency.complete(method, path, key)`, as a player does when the answer has left.

    Raises:
        ValueError: a resource with a senseless name or size.
    """
    check_resources(resources)
    keys = IdempotencyKeys(now, hold=hold_keys)
    setting = Setting(chance=Chance(seed), now=now, wall=wall)
    families = (Answering(setting), Octets(setting), Auth(setting), OAuth(setting))
    fixed = [*looking.ROUTES, *streams.ROUTES, *(each for family in families for each in family.routes())]
    records = Resources(resources, seed, wall=wall, keys=keys)
    described = openapi(records.collections.values())
    app = Starlette(routes=[*fixed, described, *records.routes()], exception_handlers=HANDLERS)
    app.state.idempotency = keys
    return app
