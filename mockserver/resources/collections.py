"""Collections to work on: list by pages, read, create, replace, change, delete.

    GET /users?page=2&per_page=20     a JSON array, with Link (RFC 8288) and X-Total-Count
    POST /users                       201, Location
    GET PUT PATCH DELETE /users/7     PATCH is a JSON merge patch (RFC 7396); DELETE answers 204

Records are made when first asked for (see `people`); only what a client changed is kept. A field of a made record
must keep its JSON type, or the answer is 422.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mockserver.problems import Problem
from mockserver.resources.bodies import read_object, whole_number
from mockserver.resources.people import Population, Record

MOST_RECORDS = 100_000
MOST_PER_PAGE = 100
RESERVED = frozenset({"echo", "status", "delay", "health", "sse", "ndjson"})
REFERENCES = {"orders": {"userId": "users"}}
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


class Collection:
    """The records of one resource, by id from 1; those a client makes are numbered after them."""

    def __init__(self, name: str, size: int, population: Population) -> None:
        self.name = name
        self._made = functools.lru_cache(maxsize=10_000)(lambda number: population.make(name, number))
        self._rows: dict[int, Record | None] = dict.fromkeys(range(1, size + 1))
        self._next = size + 1
        self.references: Mapping[str, Collection] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, number: object) -> bool:
        return number in self._rows

    def page(self, page: int, per_page: int) -> list[Record]:
        """The records of this page, counted from 1; none beyond the last."""
        start = (page - 1) * per_page
        return [self.read(number) for number in islice(self._rows, start, start + per_page)]

    def read(self, number: int) -> Record:
        """The record; KeyError when there is none."""
        return self._rows[number] or self._made(number)

    def create(self, record: Record) -> Record:
        """Keep this record under the next id."""
        number, self._next = self._next, self._next + 1
        return self.write(number, record)

    def write(self, number: int, record: Record) -> Record:
        """Keep this record in place of what was there."""
        self._rows[number] = stored = {**record, "id": number}
        return stored

    def delete(self, number: int) -> None:
        """Forget the record; KeyError when there is none."""
        del self._rows[number]

    def specimen(self) -> Record:
        """What a record of this resource looks like."""
        return self._made(1)


class Resources:
    """All collections of a server, and the routes to them."""

    def __init__(self, sizes: Mapping[str, int], seed: int) -> None:
        for name, size in sizes.items():
            _check(name, size)
        population = Population(seed, sizes)
        self.collections = {name: Collection(name, size, population) for name, size in sizes.items()}

        for name, collection in self.collections.items():
            wanted = REFERENCES.get(name, {})
            collection.references = {field: self.collections[other] for field, other in wanted.items()}

    def routes(self) -> list[Route]:
        """Two routes per collection: the whole, and one record of it."""
        return [
            Route(path, _by_method(collection, handlers), methods=list(handlers))
            for collection in self.collections.values()
            for path, handlers in ((f"/{collection.name}", MANY), (f"/{collection.name}/{{id}}", ONE))
        ]


Handler = Callable[[Collection, Request], Awaitable[Response]]


def _by_method(collection: Collection, handlers: Mapping[str, Handler]) -> Callable[[Request], Awaitable[Response]]:
    # One route per path, so that a 405 names every method allowed there.
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](collection, request)

    return endpoint


async def list_records(collection: Collection, request: Request) -> Response:
    """One page, with Link and X-Total-Count. A page beyond the last is empty."""
    page = whole_number("page", request.query_params.get("page", "1"), 1, 10**9)
    per_page = whole_number("per_page", request.query_params.get("per_page", "20"), 1, MOST_PER_PAGE)
    headers = {"x-total-count": str(len(collection)), "link": _links(request, page, per_page, len(collection))}
    return JSONResponse(collection.page(page, per_page), headers=headers)


def _links(request: Request, page: int, per_page: int, total: int) -> str:
    last = max(1, -(-total // per_page))
    pages = {"first": 1, "prev": min(page - 1, last), "next": page + 1, "last": last}
    return ", ".join(
        f'<{request.url.include_query_params(page=number, per_page=per_page)}>; rel="{name}"'
        for name, number in pages.items()
        if 1 <= number <= last
    )


async def create_record(collection: Collection, request: Request) -> Response:
    """201, with the place of the new record."""
    sent = await read_object(request)
    if "id" in sent:
        raise Problem(422, "leave out id: the server gives it")
    _check_fields(collection, sent)
    if len(collection) >= MOST_RECORDS:
        raise Problem(507, f"a resource holds at most {MOST_RECORDS} records")
    record = collection.create(sent)
    return JSONResponse(record, 201, {"location": f"/{collection.name}/{record['id']}"})


async def read_record(collection: Collection, request: Request) -> Response:
    """The record."""
    return JSONResponse(collection.read(_number(collection, request)))


async def replace_record(collection: Collection, request: Request) -> Response:
    """The record as it is now: what was sent, nothing of what was there."""
    return await _store(collection, request, merge=False)


async def change_record(collection: Collection, request: Request) -> Response:
    """The record as it is now: RFC 7396 on its top level, so null removes a field."""
    return await _store(collection, request, merge=True)


async def _store(collection: Collection, request: Request, *, merge: bool) -> Response:
    number = _number(collection, request)
    sent = await read_object(request)
    if sent.setdefault("id", number) != number:
        raise Problem(422, f"id is {number} and cannot become {sent['id']!r}")
    _check_fields(collection, sent)
    number = _number(collection, request)  # it may have been deleted while the body came
    before = collection.read(number) if merge else {}
    merged = {name: value for name, value in {**before, **sent}.items() if not (merge and value is None)}
    return JSONResponse(collection.write(number, merged))


async def delete_record(collection: Collection, request: Request) -> Response:
    """204, and 404 from then on."""
    collection.delete(_number(collection, request))
    return Response(status_code=204)


MANY: dict[str, Handler] = {"GET": list_records, "POST": create_record}
ONE: dict[str, Handler] = {
    "GET": read_record,
    "PUT": replace_record,
    "PATCH": change_record,
    "DELETE": delete_record,
}


def _number(collection: Collection, request: Request) -> int:
    text = request.path_params["id"]
    if text.isascii() and text.isdigit() and len(text) <= 18 and int(text) in collection:
        return int(text)
    raise Problem(404, f"there is no {collection.name}/{text[:40]}")


def _check_fields(collection: Collection, sent: Record) -> None:
    specimen = collection.specimen()
    for name, value in sent.items():
        if name in specimen and value is not None and type(value) is not type(specimen[name]):
            raise Problem(422, f"{name} must be of type {type(specimen[name]).__name__}, not {type(value).__name__}")
    for name, other in collection.references.items():
        if name in sent and sent[name] not in other:
            raise Problem(422, f"{name} refers to {other.name}/{sent[name]}, which there is not")


def _check(name: str, size: int) -> None:
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"a resource is named by small letters, digits, - and _, not {name!r}; "
            f"taken are {', '.join(sorted(RESERVED))}"
        )
    if not 0 <= size <= MOST_RECORDS:
        raise ValueError(f"resource {name} must have from 0 to {MOST_RECORDS} records, not {size!r}")
