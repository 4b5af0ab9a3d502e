"""Matchers in stub files, both ways: a mapping of conditions that all must hold.

    method: [GET, HEAD]                    path: /users/{id}         exact_path: /a/{b}        path_regex: "/users/.+"
    query: {page: "2", q: {contains: a}}   headers: {...}            cookies: {...}            form: {...}
    body: text or a value                  json: equal to this       json_partial: holds this  json_any_order: the same
    json_path: [$.a, {path: $.b, equals: 1}, {path: $.c, text: {regex: "^x"}}]
    all: [...]                             any: [...]                not: {...}

A value is a text, or one of {equal: a, ignore_case: true}, {contains: a}, {regex: a, whole: true}, {one_of: [a, b]},
{present: true}, {absent: true}; a list of values means that each must be met.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from mockserver.matching.bodies import Body, Json, JsonPartial
from mockserver.matching.fields import Cookie, Form, Header, Method, Named, Path, PathRegex, Query
from mockserver.matching.jsonpath import JsonPath
from mockserver.matching.matcher import And, Anything, Matcher, Not, Or
from mockserver.matching.values import Absent, Contains, Equal, OneOf, Present, Regex, Value
from mockserver.stubs.documents import plain
from mockserver.stubs.sections import Place, Section, bytes_of, text_of
from rest_api_client.exceptions import ConfigurationError

_Read: TypeAlias = Callable[[Section, str], Iterator[Matcher]]

_NAMED: Final[dict[str, type[Named]]] = {"query": Query, "headers": Header, "cookies": Cookie, "form": Form}
_VALUES: Final = ("equal", "contains", "regex", "one_of", "present", "absent", "ignore_case", "whole")


def read_matcher(data: object, place: Place) -> Matcher:
    """The matcher that a mapping describes; an empty one is every request.

    Raises:
        StubFileError: it says where.
    """
    section = Section(data, place, _READ)
    parts = [part for key, read in _READ.items() if key in section for part in _placed(section, key, read)]
    if len(parts) > 1:
        return And(*parts)
    return parts[0] if parts else Anything()


def _placed(section: Section, key: str, read: _Read) -> list[Matcher]:
    with section.at(key)():
        return list(read(section, key))


def _methods(section: Section, key: str) -> Iterator[Matcher]:
    yield Method(*(text_of(name, place) for name, place in section.elements(key)))


def _path(section: Section, key: str) -> Iterator[Matcher]:
    yield Path(section.get(key), exact=key == "exact_path")


def _path_regex(section: Section, key: str) -> Iterator[Matcher]:
    yield PathRegex(section.get(key))


def _named(section: Section, key: str) -> Iterator[Matcher]:
    for name, values, place in section.members(key):
        for value in values if isinstance(values, list) else (values,):
            with place():
                yield _NAMED[key](name, read_value(value, place))


def _body(section: Section, key: str) -> Iterator[Matcher]:
    value = section.get(key)
    if isinstance(value, dict) and "base64" in value:
        inner = Section(value, section.at(key), ("base64",))
        yield Body(bytes_of(inner.get("base64"), inner.at("base64")))
    else:
        yield Body(read_value(value, section.at(key)))


def _json(section: Section, key: str) -> Iterator[Matcher]:
    value = section.get(key)
    yield Json(value) if key == "json" else JsonPartial(value, any_order=key == "json_any_order")


def _json_path(section: Section, key: str) -> Iterator[Matcher]:
    for each, place in section.elements(key):
        with place():
            if isinstance(each, str):
                yield JsonPath(each)
                continue
            entry = Section(each, place, ("path", "equals", "text"))
            if "equals" in entry and "text" in entry:
                raise place.error("give equals or text, not both")
            value = read_value(entry.get("text"), entry.at("text")) if "text" in entry else Present()
            yield JsonPath(entry.get("path"), entry.get("equals", value))


def _joined(section: Section, key: str) -> Iterator[Matcher]:
    parts = [read_matcher(each, place) for each, place in section.elements(key)]
    yield And(*parts) if key == "all" else Or(*parts)


def _not(section: Section, key: str) -> Iterator[Matcher]:
    yield Not(read_matcher(section.data[key], section.at(key)))


_READ: Final[dict[str, _Read]] = {
    "method": _methods,
    "path": _path,
    "exact_path": _path,
    "path_regex": _path_regex,
    "query": _named,
    "headers": _named,
    "cookies": _named,
    "form": _named,
    "body": _body,
    "json": _json,
    "json_partial": _json,
    "json_any_order": _json,
    "json_path": _json_path,
    "all": _joined,
    "any": _joined,
    "not": _not,
}


def read_value(data: object, place: Place) -> Value:
    """The value pattern that a text or a mapping describes; nothing means that the name must be there."""
    if data is None:
        return Present()
    if not isinstance(data, dict):
        return Equal(text_of(data, place))
    section = Section(data, place, _VALUES)
    kinds = [key for key in _VALUES[:6] if key in section]
    if len(kinds) != 1:
        raise place.error(f"give one of {', '.join(_VALUES[:6])}")
    kind, options = kinds[0], section.given("ignore_case", "whole")
    if kind in {"present", "absent"} and (section.get(kind) is not True or options):
        raise place.error(f"write {kind}: true")
    value = section.get(kind)
    if kind == "one_of":
        if not isinstance(value, list) or options:
            raise place.error("write one_of: [a, b]; ignore_case belongs to its values")
        return OneOf(*(read_value(each, place) for each in value))
    made: dict[str, Callable[..., Value]] = {"equal": Equal, "contains": Contains, "regex": Regex}
    with place():
        if kind in made:
            return made[kind](text_of(value, place), **options)
    return Present() if kind == "present" else Absent()


def write_matcher(matcher: Matcher) -> dict[str, Any]:
    """The mapping that `read_matcher` makes the same matcher of.

    Raises:
        ConfigurationError: it is of a class of the user's own.
    """
    if not isinstance(matcher, And):
        return _write(matcher)
    together: dict[str, Any] = {}
    try:
        for part in matcher.parts:
            _merge(together, _write(part))
        if read_matcher(together, Place("")) == matcher:
            return together
    except _Clash:
        pass
    return {"all": [_write(part) for part in matcher.parts]}


class _Clash(Exception):
    """Two parts need the same key."""


def _merge(together: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if key not in together:
            together[key] = value
        elif key in _NAMED and not together[key].keys() & value.keys():
            together[key] = {**together[key], **value}
        elif key == "json_path":
            together[key] = [*together[key], *value]
        else:
            raise _Clash


def _write(matcher: Matcher) -> dict[str, Any]:
    for key, kind in _NAMED.items():
        if isinstance(matcher, kind):
            return {key: {matcher.name: write_value(matcher.value)}}
    match matcher:
        case Anything():
            return {}
        case Method(names):
            return {"method": names[0] if len(names) == 1 else list(names)}
        case Path(template, exact):
            return {"exact_path" if exact else "path": template}
        case PathRegex(pattern):
            return {"path_regex": pattern}
        case Body(bytes(value)):
            return {"body": {"base64": base64.b64encode(value).decode("ascii")}}
        case Body(Value() as value):
            return {"body": write_value(value)}
        case Json(value):
            return {"json": plain(value)}
        case JsonPartial(value):
            return {"json_any_order" if matcher.any_order else "json_partial": plain(value)}
        case JsonPath(path, value):
            shown = {"text": write_value(value)} if isinstance(value, Value) else {"equals": plain(value)}
            return {"json_path": [path if value == Present() else {"path": path, **shown}]}
        case And(parts):
            return {"all": [_write(part) for part in parts]}
        case Or(parts):
            return {"any": [write_matcher(part) for part in parts]}
        case Not(part):
            return {"not": write_matcher(part)}
        case _:
            raise ConfigurationError(f"{matcher!r} cannot be written to a file: it is of a class of your own")


def write_value(value: Value) -> Any:
    """What `read_value` makes the same value pattern of."""
    match value:
        case Equal(text, ignore_case):
            return {"equal": text, "ignore_case": True} if ignore_case else text
        case Contains(text, ignore_case):
            return {"contains": text, **({"ignore_case": True} if ignore_case else {})}
        case Regex(pattern):
            flags = {name: True for name in ("ignore_case", "whole") if getattr(value, name)}
            return {"regex": pattern, **flags}
        case OneOf():
            return {"one_of": [write_value(each) for each in value.values]}
        case Present():
            return {"present": True}
        case Absent():
            return {"absent": True}
        case _:
            raise ConfigurationError(f"{value!r} cannot be written to a file: it is of a class of your own")
