"""What can be asked of the admin API. The same paths stand under /spaces/{name} for that space.

    GET /health                                 it lives, and what it serves
    GET, POST, DELETE /stubs                    all; add one or several; take all away
    GET, PUT, DELETE /stubs/{id}                one
    GET, PUT /faults                            the plan, as text and in parts
    GET, PUT /phases                            its scenario, and what is going on now
    GET, DELETE /journal                        entries, by ?method= ?path= ?status= ?call_id= ?since= ?limit=
    GET /metrics, GET /check                    figures of the traffic; broken rules of good behaviour
    POST /reset                                 begin again
    GET, POST /spaces, DELETE /spaces/{name}    the spaces; make one; remove one

Bodies and answers are JSON, errors problem details (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mockserver.admin.plans import plan_of, show_phases, shown
from mockserver.admin.reading import no_body, only, read_object, valid
from mockserver.faults import Plan
from mockserver.journal import Wanted
from mockserver.metrics import measure
from mockserver.problems import Problem, answer_crash, answer_problem
from mockserver.scene import Scene
from mockserver.spaces import TooManySpacesError
from mockserver.stubs import Stub, Stubs
from mockserver.stubs.files import read_stubs, write_stubs

if TYPE_CHECKING:
    from mockserver.server import MockServer

MOST_STUBS: Final = 10_000
_NUMBERS: Final = frozenset({"status", "attempt", "call"})
_PICKED: Final = tuple(sorted(("method", "path", "query", "call_id", "status", "attempt", "idempotency_key")))

_Handler: TypeAlias = Callable[[Scene, Request], Awaitable[Response]]
_Subject = TypeVar("_Subject")


def admin_application(server: MockServer) -> Starlette:
    """The admin API of this server, without its guard."""

    def scene_of(request: Request) -> Scene:
        name: str = request.path_params.get("space", "")
        scene = server.spaces.find(name) if name else server
        if scene is None:
            raise Problem(404, f"there is no space {name[:80]!r}: POST /spaces makes one")
        return scene

    routes = [Route(path, _by_method(handlers, lambda _: server), methods=[*handlers]) for path, handlers in _SERVER]
    for prefix in ("", "/spaces/{space}"):
        routes += [
            Route(prefix + path, _by_method(handlers, scene_of), methods=[*handlers]) for path, handlers in _SCENE
        ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: answer_problem, Exception: answer_crash})
    app.router.redirect_slashes = False
    return app


def _by_method(
    handlers: Mapping[str, Callable[[_Subject, Request], Awaitable[Response]]], subject: Callable[[Request], _Subject]
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        if method in ("GET", "DELETE"):
            await no_body(request)
        return await handlers[method](subject(request), request)

    return handle


# --- the server ---


async def _health(server: MockServer, request: Request) -> Response:
    return JSONResponse({"status": "ok", "url": server.url, "now": server.now(), "door": server.gate.door})


async def _list_spaces(server: MockServer, request: Request) -> Response:
    return JSONResponse({"spaces": [{"name": name, "url": server.space(name).url} for name in server.spaces.names]})


async def _make_space(server: MockServer, request: Request) -> Response:
    given = await read_object(request)
    only(given, ("name",), "member")
    if not isinstance(given.get("name"), str):
        raise Problem(400, 'give {"name": "..."}')
    try:
        space = valid(lambda: server.space(given["name"]))
    except TooManySpacesError as error:
        raise Problem(507, str(error)) from error
    return JSONResponse({"name": space.name, "url": space.url}, 201, {"location": f"/spaces/{space.name}"})


async def _remove_space(server: MockServer, request: Request) -> Response:
    name = request.path_params["name"]
    if server.spaces.find(name) is None:
        raise Problem(404, f"there is no space {name[:80]!r}")
    server.spaces.remove(name)
    return Response(status_code=204)


# --- stubs ---


async def _list_stubs(scene: Scene, request: Request) -> Response:
    return JSONResponse({"stubs": [_show(scene.stubs, stub) for stub in scene.stubs.list()]})


async def _add_stubs(scene: Scene, request: Request) -> Response:
    given = await read_object(request)
    stubs = valid(lambda: read_stubs(given, "body"))
    if len(scene.stubs.list()) + len(stubs) > MOST_STUBS:
        raise Problem(507, f"there may be {MOST_STUBS} stubs: remove those that are done")
    ids = valid(lambda: scene.stubs.add(*stubs))
    where = {"location": f"{request.url.path}/{quote(ids[0], safe='')}"} if len(ids) == 1 else {}
    return JSONResponse({"ids": ids}, 201, where)


async def _remove_stubs(scene: Scene, request: Request) -> Response:
    scene.stubs.clear()
    return Response(status_code=204)


async def _read_stub(scene: Scene, request: Request) -> Response:
    return JSONResponse(_show(scene.stubs, _found(scene.stubs, request)))


async def _replace_stub(scene: Scene, request: Request) -> Response:
    there = _found(scene.stubs, request)
    given = await read_object(request)
    stubs = valid(lambda: read_stubs(given, "body"))
    if len(stubs) != 1:
        raise Problem(400, "give one stub")
    valid(lambda: scene.stubs.replace(there.id, stubs[0]))
    return JSONResponse(_show(scene.stubs, _found(scene.stubs, request)))


async def _remove_stub(scene: Scene, request: Request) -> Response:
    there = _found(scene.stubs, request)
    scene.stubs.remove(there.id)
    return Response(status_code=204)


def _found(stubs: Stubs, request: Request) -> Stub:
    wanted = request.path_params["id"]
    found = next((stub for stub in stubs.list() if stub.id == wanted), None)
    if found is None:
        raise Problem(404, f"there is no stub {wanted[:80]!r}")
    return found


def _show(stubs: Stubs, stub: Stub) -> dict[str, Any]:
    count = stubs.count(stub.id)
    done = {"met": count.met, "answered": count.answered}
    try:
        (written,) = write_stubs([stub])["stubs"]
    except ValueError as error:  # made in Python, with a function in it
        return {"id": stub.id, "name": stub.name, "text": str(stub), "unwritten": str(error), "count": done}
    return {**written, "id": stub.id, "count": done}


# --- what goes wrong ---


async def _read_faults(scene: Scene, request: Request) -> Response:
    return JSONResponse(shown(scene.faults))


async def _set_faults(scene: Scene, request: Request) -> Response:
    given = await read_object(request)
    scene.faults = valid(lambda: plan_of(given))
    return JSONResponse(shown(scene.faults))


async def _read_phases(scene: Scene, request: Request) -> Response:
    return JSONResponse(show_phases(scene.faults, scene.now()))


async def _set_phases(scene: Scene, request: Request) -> Response:
    given = await read_object(request)
    only(given, ("scenario", "schedule"), "member")
    before = Plan() if scene.faults is None else scene.faults.plan
    scene.faults = replace(before, schedule=valid(lambda: plan_of(given)).schedule)
    return JSONResponse(show_phases(scene.faults, scene.now()))


# --- what happened ---


async def _read_journal(scene: Scene, request: Request) -> Response:
    wanted, since, limit = _filters(request)
    journal = scene.journal
    found = [entry for entry in journal.find(**wanted) if entry.index >= since]
    return JSONResponse(
        {
            "version": 1,
            "counts": journal.counts,
            "statuses": {str(status): count for status, count in journal.statuses.items()},
            "next": journal.mark,
            "entries": [entry.to_json() for entry in (found if limit is None else found[:limit])],
        }
    )


def _filters(request: Request) -> tuple[Wanted, int, int | None]:
    given = request.query_params
    only(given, (*_PICKED, "since", "limit"), "filter")
    if len(given.multi_items()) > len(given):
        raise Problem(400, "a filter is given twice")
    numbers = {name: _number(name, given[name]) for name in ("since", "limit", *_NUMBERS) if name in given}
    texts = {name: given[name] for name in _PICKED if name in given and name not in _NUMBERS}
    wanted: Any = {**texts, **{name: number for name, number in numbers.items() if name in _NUMBERS}}
    return wanted, numbers.get("since", 0), numbers.get("limit")


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Problem(400, f"{name}={text[:40]!r}: give a whole number")
    return int(text)


async def _clear_journal(scene: Scene, request: Request) -> Response:
    scene.journal.clear()
    return Response(status_code=204)


async def _read_metrics(scene: Scene, request: Request) -> Response:
    return JSONResponse(measure(scene.journal).to_json())


async def _check(scene: Scene, request: Request) -> Response:
    found = scene.check()
    broken = any(not each.warning for each in found)
    return JSONResponse({"ok": not broken, "violations": [each.to_json() for each in found]})


async def _reset(scene: Scene, request: Request) -> Response:
    only(await read_object(request, optional=True), (), "member")
    scene.reset()
    return Response(status_code=204)


_SERVER: Final = (
    ("/health", {"GET": _health}),
    ("/spaces", {"GET": _list_spaces, "POST": _make_space}),
    ("/spaces/{name}", {"DELETE": _remove_space}),
)
_SCENE: Final[tuple[tuple[str, Mapping[str, _Handler]], ...]] = (
    ("/stubs", {"GET": _list_stubs, "POST": _add_stubs, "DELETE": _remove_stubs}),
    ("/stubs/{id:path}", {"GET": _read_stub, "PUT": _replace_stub, "DELETE": _remove_stub}),
    ("/faults", {"GET": _read_faults, "PUT": _set_faults}),
    ("/phases", {"GET": _read_phases, "PUT": _set_phases}),
    ("/journal", {"GET": _read_journal, "DELETE": _clear_journal}),
    ("/metrics", {"GET": _read_metrics}),
    ("/check", {"GET": _check}),
    ("/reset", {"POST": _reset}),
)
