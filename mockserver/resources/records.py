"""Collections to work on: list, read, create, replace, change, delete.

    GET /users?status=paid&amount_gte=10&q=ada&sort=-createdAt,name&fields=id,name
    POST /users                       201, Location
    GET PUT PATCH DELETE /users/7     PATCH is a JSON merge patch (RFC 7396); DELETE answers 204
    GET POST /users/7/orders          the orders whose userId is 7

A list refuses (400) a query parameter that it does not know: a filter that is passed over gives wrong data without a
word. Elsewhere unknown parameters mean nothing. A field of a made record must keep its JSON type, or the answer is 422.
DELETE takes along whatever refers to the record; `?cascade=false` makes that a 409 instead.

Every representation has validators (see `conditional`), and preconditions are checked before a body is looked at, so
that If-Match on PUT, PATCH and DELETE is optimistic locking. A PUT is answered with an ETag only where what is stored
is, byte for byte, what was sent: RFC 9110, section 9.3.4.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mockserver.problems import Problem
from mockserver.resources.answers import dump, route
from mockserver.resources.bodies import read_bytes, read_object
from mockserver.resources.collection import Collection, Space
from mockserver.resources.conditional import Validators, tag_of
from mockserver.resources.idempotency import IdempotencyKeys
from mockserver.resources.paging import PARAMETERS, Cursors, Listed, cut
from mockserver.resources.people import Population, Record
from mockserver.resources.values import Condition, Order, condition, contains, merge, select
from rest_api_client.lazy_dataclasses import dataclass

MOST_SEARCHED = 20_000
MOST_PARAMETERS = 50
MOST_SORTED = 5
_JSON = "application/json"


@dataclass(frozen=True)
class _Wish:
    """What a list is asked for."""

    conditions: tuple[Condition, ...]
    words: tuple[str, ...]
    order: Order
    fields: tuple[str, ...]

    @property
    def searches(self) -> bool:
        return bool(self.conditions or self.words or self.order.fields)

    def holds(self, record: Record) -> bool:
        return all(each.holds(record) for each in self.conditions) and contains(record, self.words)


class Resources:
    """All collections of a server, and the routes to them."""

    def __init__(
        self,
        sizes: Mapping[str, int],
        seed: int,
        *,
        wall: Callable[[], float],
        keys: IdempotencyKeys,
    ) -> None:
        population, space = Population(seed, sizes), Space()
        self.collections = {name: Collection(name, size, population, space, wall) for name, size in sizes.items()}
        self._cursors = Cursors(seed)
        self._keys = keys
        for name, wanted in population.references.items():
            for field, other in wanted.items():
                self.collections[name].references[field] = self.collections[other]
                self.collections[other].referring.append((self.collections[name], field))

    def routes(self) -> list[Route]:
        """Per collection: the whole, one record, and what refers to one."""
        return [each for collection in self.collections.values() for each in self._routes(collection)]

    def _routes(self, collection: Collection) -> list[Route]:
        many = _Many(collection, self._cursors)
        one = _One(collection)
        return [
            route(f"/{collection.name}", {"GET": many.show, "POST": self._keys.guard(many.create)}),
            route(
                f"/{collection.name}/{{id}}",
                {"GET": one.show, "PUT": one.replace, "PATCH": one.change, "DELETE": one.delete},
            ),
            *(self._nested(collection, other, field) for other, field in collection.referring),
        ]

    def _nested(self, collection: Collection, other: Collection, field: str) -> Route:
        many = _Many(other, self._cursors, (collection, field))
        path = f"/{collection.name}/{{id}}/{other.name}"
        return route(path, {"GET": many.show, "POST": self._keys.guard(many.create)})


class _Many:
    """A collection, or those records of it that refer to one parent."""

    def __init__(self, collection: Collection, cursors: Cursors, parent: tuple[Collection, str] | None = None) -> None:
        self._collection = collection
        self._cursors = cursors
        self._parent = parent

    async def show(self, request: Request) -> Response:
        """One part, with Link and X-Total-Count. A part beyond the end is empty."""
        wish = _wish(self._collection, request.query_params)
        ids = self._find(wish, self._ids(request))
        part = cut(self._listed(ids, wish, request), request.query_params, self._cursors)
        body = dump([select(self._collection.read(number), wish.fields) for number in part.ids])
        headers = {"x-total-count": str(len(ids)), "link": part.link(request.url)}
        if part.cursor is not None:
            headers["x-next-cursor"] = part.cursor
        validators = Validators(tag_of(body, *(value.encode() for value in headers.values())), self._collection.changed)
        headers |= validators.headers
        return validators.check(request) or Response(body, headers=headers, media_type=_JSON)

    async def create(self, request: Request) -> Response:
        """201, with the place of the new record."""
        given = self._given(request)
        sent = await read_object(request)
        if "id" in sent:
            raise Problem(422, "leave out id: the server gives it")
        for field, number in given.items():
            if sent.setdefault(field, number) != number:
                raise Problem(422, f"{field} is {number} here and cannot be {sent[field]!r:.40}")
        _check_fields(self._collection, sent)
        record = self._collection.create(sent)
        number = cast("int", record["id"])
        body, validators = _represent(self._collection, number)
        headers = {"location": f"/{self._collection.name}/{number}", **validators.headers}
        return Response(body, 201, headers, _JSON)

    def _given(self, request: Request) -> dict[str, int]:
        return {} if self._parent is None else {self._parent[1]: _number(self._parent[0], request)}

    def _ids(self, request: Request) -> Sequence[int]:
        if self._parent is None:
            return list(self._collection.ids)
        return self._collection.of(self._parent[1], _number(self._parent[0], request))

    def _find(self, wish: _Wish, ids: Sequence[int]) -> Sequence[int]:
        if not wish.searches:
            return ids
        if len(ids) > MOST_SEARCHED:
            raise Problem(
                422, f"{len(ids)} records are too many to filter or sort: at most {MOST_SEARCHED}; read them by pages"
            )
        records = (self._collection.read(number) for number in ids)
        return [cast("int", each["id"]) for each in wish.order.sort([each for each in records if wish.holds(each)])]

    def _listed(self, ids: Sequence[int], wish: _Wish, request: Request) -> Listed:
        read, order = self._collection.read, wish.order

        def after(position: Sequence[object]) -> int:
            return bisect.bisect_left(ids, True, key=lambda number: order.after(read(number), position))

        about = f"{request.url.path} {wish.conditions} {wish.words} {order}"
        return Listed(ids, about, lambda number: order.position(read(number)), after)


class _One:
    """One record of a collection."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def show(self, request: Request) -> Response:
        """The record; `?fields=` shows some of it."""
        number = _number(self._collection, request)
        fields = _fields(self._collection, request.query_params)
        body, validators = _represent(self._collection, number, fields)
        return validators.check(request) or Response(body, headers=validators.headers, media_type=_JSON)

    async def replace(self, request: Request) -> Response:
        """The record as it is now: what was sent, nothing of what was there."""
        number, sent = await self._sent(request)
        self._collection.write(number, sent)
        body, validators = _represent(self._collection, number)
        headers = validators.headers if body == await read_bytes(request) else {}
        return Response(body, headers=headers, media_type=_JSON)

    async def change(self, request: Request) -> Response:
        """The record as it is now: null removes a field."""
        number, sent = await self._sent(request)
        self._collection.write(number, cast("Record", merge(self._collection.read(number), sent)))
        body, validators = _represent(self._collection, number)
        return Response(body, headers=validators.headers, media_type=_JSON)

    async def delete(self, request: Request) -> Response:
        """204, and 404 from then on."""
        number = self._checked(request)
        cascade = request.query_params.get("cascade", "true")
        if cascade not in ("true", "false"):
            raise Problem(400, f"cascade must be true or false, not {cascade[:40]!r}")
        for other, field in self._collection.referring if cascade == "false" else ():
            if count := len(other.of(field, number)):
                raise Problem(409, f"{count} {other.name} refer to {self._collection.name}/{number}")
        self._collection.delete(number)
        return Response(status_code=204)

    async def _sent(self, request: Request) -> tuple[int, Record]:
        await read_bytes(request)  # whole, before anything is looked at: nothing comes between check and write
        number = self._checked(request)
        sent = await read_object(request)
        if sent.setdefault("id", number) != number or type(sent["id"]) is not int:
            raise Problem(422, f"id is {number} and cannot become {sent['id']!r:.40}")
        _check_fields(self._collection, sent)
        return number, sent

    def _checked(self, request: Request) -> int:
        number = _number(self._collection, request)
        _, validators = _represent(self._collection, number)
        validators.check(request)
        return number


def _represent(collection: Collection, number: int, fields: Sequence[str] = ()) -> tuple[bytes, Validators]:
    body = dump(select(collection.read(number), fields))
    return body, Validators(tag_of(body), collection.modified(number))


def _wish(collection: Collection, query: QueryParams) -> _Wish:
    names = list(dict.fromkeys(query))
    if len(query.multi_items()) > MOST_PARAMETERS:
        raise Problem(400, f"at most {MOST_PARAMETERS} query parameters, not {len(query.multi_items())}")
    conditions = [_condition(collection, name, query) for name in names if name not in {*PARAMETERS, *_WORDS}]
    return _Wish(
        tuple(conditions),
        tuple(query.get("q", "").lower().split()),
        _order(collection, query),
        _fields(collection, query),
    )


_WORDS = {"q", "sort", "fields"}


def _condition(collection: Collection, name: str, query: QueryParams) -> Condition:
    found = condition(name, query.getlist(name), collection.fields)
    if found is None:
        raise _unknown(collection, f"query parameter {name[:40]!r}", sorted(PARAMETERS | _WORDS))
    return found


def _order(collection: Collection, query: QueryParams) -> Order:
    wanted = [name for name in query.get("sort", "").split(",") if name]
    if len(wanted) > MOST_SORTED:
        raise Problem(400, f"sort by at most {MOST_SORTED} fields, not {len(wanted)}")
    for name in wanted:
        _known(collection, "sort", name.removeprefix("-"))
    return Order(tuple((name.removeprefix("-"), name.startswith("-")) for name in wanted))


def _fields(collection: Collection, query: QueryParams) -> tuple[str, ...]:
    wanted = [name for name in query.get("fields", "").split(",") if name]
    for name in wanted:
        _known(collection, "fields", name)
    return tuple(wanted)


def _known(collection: Collection, parameter: str, name: str) -> None:
    if name not in collection.fields:
        raise _unknown(collection, f"{parameter}={name[:40]!r}", [])


def _unknown(collection: Collection, what: str, more: list[str]) -> Problem:
    known = [*more, *sorted(collection.fields)][:40]
    return Problem(400, f"{what} is unknown to {collection.name}; known are {', '.join(known)}")


def _number(collection: Collection, request: Request) -> int:
    text = request.path_params["id"]
    if text.isascii() and text.isdigit() and len(text) <= 18 and int(text) in collection:
        return int(text)
    raise Problem(404, f"there is no {collection.name}/{text[:40]}")


def _check_fields(collection: Collection, sent: Record) -> None:
    specimen = collection.specimen
    for name, value in sent.items():
        if name in specimen and value is not None and type(value) is not type(specimen[name]):
            raise Problem(422, f"{name} must be of type {type(specimen[name]).__name__}, not {type(value).__name__}")
    for name, other in collection.references.items():
        if sent.get(name) is not None and sent[name] not in other:
            raise Problem(422, f"{name} refers to {other.name}/{sent[name]!r:.40}, which there is not")
