"""GET /openapi.json: the collections described in OpenAPI 3.1, from the records themselves.

Only what is there is described: the schema of a resource has the fields and types that its records keep, all optional,
since a record may be sent without them; whatever else a client sends is kept too. The small routes are not described.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mockserver.resources.answers import dump, route
from mockserver.resources.collection import Collection
from mockserver.resources.paging import MOST_PER_PAGE

JSONObject = dict[str, object]
_TYPES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_MEANINGS = {
    200: "What is there now",
    201: "Made",
    204: "Gone",
    304: "Not modified",
    400: "A parameter, or the body, cannot be read",
    404: "There is none",
    406: "No content coding is accepted",
    409: "Something refers to it, or the first request with this Idempotency-Key is in progress",
    412: "The resource is not in the state asked for",
    413: "The body is too long",
    415: "The body is not JSON",
    422: "The body is JSON, but not a record; or there are too many records to search",
    507: "There is no room for more",
}


def openapi(collections: Iterable[Collection]) -> Route:
    """The route; the description is made when asked for."""
    listed = list(collections)

    async def handler(request: Request) -> Response:
        return Response(dump(describe(listed)), media_type="application/json")

    return route("/openapi.json", handler)


def describe(collections: Iterable[Collection]) -> JSONObject:
    """The description as plain data."""
    listed = list(collections)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Resources of the mock server", "version": "1"},
        "paths": {path: item for each in listed for path, item in _paths(each).items()},
        "components": {"schemas": {"Problem": _PROBLEM_SCHEMA, **{each.name: _schema(each) for each in listed}}},
    }


_PROBLEM_SCHEMA: JSONObject = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


def _schema(collection: Collection) -> JSONObject:
    properties: JSONObject = {
        name: {"type": [_TYPES[type(value)], "null"]} for name, value in collection.specimen.items() if name != "id"
    }
    return {"type": "object", "properties": properties}


def _paths(collection: Collection) -> dict[str, JSONObject]:
    name = collection.name
    paths: dict[str, JSONObject] = {
        f"/{name}": _many(collection),
        f"/{name}/{{id}}": {
            "parameters": [_ID],
            "get": _operation(f"get-{name}", _record(name), (304, 400, 404, 406, 412), [_FIELDS]),
            "put": _operation(f"put-{name}", _record(name), _WRITES, body=name),
            "patch": _operation(f"patch-{name}", _record(name), _WRITES, body=name),
            "delete": _operation(f"delete-{name}", {204: None}, (400, 404, 409, 412), [_CASCADE]),
        },
    }
    for other, field in collection.referring:
        paths[f"/{name}/{{id}}/{other.name}"] = {"parameters": [_ID], **_many(other, f"-by-{field}")}
    return paths


def _many(collection: Collection, suffix: str = "") -> JSONObject:
    name = collection.name
    many: JSONObject = {"type": "array", "items": _reference(name)}
    parameters = [*_LIST, *(_parameter(field, "string") for field in sorted(collection.specimen))]
    refusals = (304, 400, 404, 406, 412, 422) if suffix else (304, 400, 406, 412, 422)
    wrong = (400, 404, 409, 413, 415, 422, 507) if suffix else (400, 409, 413, 415, 422, 507)
    return {
        "get": _operation(f"list-{name}{suffix}", {200: many}, refusals, parameters),
        "post": _operation(f"create-{name}{suffix}", {201: _reference(name)}, wrong, [_KEY], body=name),
    }


_WRITES = (400, 404, 406, 412, 413, 415, 422, 507)


def _operation(
    name: str,
    good: Mapping[int, JSONObject | None],
    bad: Iterable[int],
    parameters: Iterable[JSONObject] = (),
    body: str | None = None,
) -> JSONObject:
    responses: JSONObject = {str(status): _response(status, schema) for status, schema in good.items()}
    for status in bad:
        responses[str(status)] = {"description": _MEANINGS[status]} | ({} if status == 304 else {"content": _PROBLEM})
    operation: JSONObject = {"operationId": name, "parameters": list(parameters), "responses": responses}
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _reference(body)}}}
    return operation


def _response(status: int, schema: JSONObject | None) -> JSONObject:
    content = {} if schema is None else {"content": {"application/json": {"schema": schema}}}
    return {"description": _MEANINGS[status], **content}


def _record(name: str) -> dict[int, JSONObject | None]:
    return {200: _reference(name)}


def _reference(name: str) -> JSONObject:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameter(name: str, kind: str, place: str = "query", **bounds: object) -> JSONObject:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": kind, **bounds}}


_ID = _parameter("id", "integer", "path", minimum=1)
_FIELDS = _parameter("fields", "string")
_CASCADE = _parameter("cascade", "boolean")
_KEY = _parameter("Idempotency-Key", "string", "header", minLength=1, maxLength=255)
_LIST = [
    _parameter("page", "integer", minimum=1, maximum=10**9),
    _parameter("per_page", "integer", minimum=1, maximum=MOST_PER_PAGE),
    _parameter("offset", "integer", minimum=0, maximum=10**9),
    _parameter("limit", "integer", minimum=1, maximum=MOST_PER_PAGE),
    _parameter("cursor", "string"),
    _parameter("sort", "string"),
    _parameter("q", "string"),
    _FIELDS,
]
