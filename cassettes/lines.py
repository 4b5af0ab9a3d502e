"""The native form: JSON Lines, two lines to an attempt, only ever appended to.

    {"cassette": 1, "recorded": "2026-11-23T04:46:57Z"}
    {"n": 0, "method": "GET", "uri": "https://api.test/things?x=1", "headers": [["accept", "*/*"]], "body": ""}
    {"n": 0, "steps": [[0.012, "head", 200, "OK", [["content-type", "text/plain"]]], [0, "chunk", "hello"], ["end"]]}

To find an answer only the first lines are parsed; the second is when it is asked for. Fields keep their order and their
repetitions, a body its bytes: text as it is, JSON as JSON where writing that again gives the same bytes, else base64.
A last line without its line feed was being written when the process was killed; it does not count.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from cassettes.errors import CassetteError
from cassettes.interaction import Asked, Failure, Interaction, check_text
from rest_api_client.script import Chunk, Delay, End, Head, Reset, Script, Stall, Step

VERSION = 1
_STYLES: dict[str, Any] = {
    "json": {"separators": (",", ":"), "allow_nan": False},
    "json, spaced": {"allow_nan": False},
}
_ENDINGS: dict[str, Any] = {"end": End, "reset": Reset, "stall": Stall}
_NAMES = {kind: name for name, kind in _ENDINGS.items()}


def write_lines(
    interactions: Sequence[Interaction], about: Mapping[str, Any], *, first: int = 0, timing: bool = True
) -> str:
    """The lines of these interactions, with the head line where the first of them begins the cassette."""
    written = [] if first else [_line({"cassette": VERSION, **about})]
    for number, each in enumerate(interactions, first):
        written += _line(_asked(number, each, timing=timing)), _line(_told(number, each, timing=timing))
    return "".join(written)


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _asked(number: int, each: Interaction, *, timing: bool) -> dict[str, Any]:
    asked = each.asked
    line: dict[str, Any] = {"n": number, "method": asked.method, "uri": asked.uri, "headers": asked.headers}
    if asked.body:
        line["body"] = _body(asked.body, asked.header("content-type"))
    if each.started and timing:
        line["started"] = each.started
    return line


def _told(number: int, each: Interaction, *, timing: bool) -> dict[str, Any]:
    kind = None if each.head is None else dict(each.head.headers).get("content-type")
    steps = _steps(each.script, kind, timing=timing)
    line: dict[str, Any] = {"n": number, **({"script": each.script.to_dict()} if steps is None else {"steps": steps})}
    if each.failure is not None:
        line |= {"error": each.failure.error, "unsent": each.failure.unsent}
    if each.abandoned:
        line["abandoned"] = True
    return line


def _steps(script: Script, kind: str | None, *, timing: bool) -> list[Any] | None:
    """The short form of a script; None where it has steps that a recording never has."""
    found: list[Any] = []
    wait = 0.0
    for step in script.steps:
        if isinstance(step, Delay):
            wait += step.seconds if timing else 0
        elif isinstance(step, Head):
            found.append([round(wait, 6), "head", step.status, step.reason, step.headers])
            wait = 0.0
        elif isinstance(step, Chunk):
            found.append([round(wait, 6), "chunk", _body(step.data, kind)])
            wait = 0.0
        elif type(step) in _NAMES:
            found.append([round(wait, 6), _NAMES[type(step)]])
        else:
            return None
    return found


def _body(data: bytes, kind: str | None) -> Any:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}
    if kind is not None and "json" in kind:
        try:
            value = json.loads(text)
            for style, options in _STYLES.items():
                if json.dumps(value, ensure_ascii=False, **options) == text:
                    return {style: value}
        except (ValueError, RecursionError):
            pass
    return text


# ---------------------------------------------------------------------- reading


def read_lines(text: str) -> tuple[list[Interaction], dict[str, Any]]:
    """The interactions, in order, and what the head line says.

    Raises:
        CassetteError: no cassette of this form; the message names the line.
    """
    lines = text.split("\n")
    lines.pop()  # what follows the last line feed: nothing, or a line that was never finished
    if not lines:
        return [], {}
    about = _object(1, lines[0])
    if about.get("cassette") != VERSION:
        raise CassetteError(f"line 1: no cassette of version {VERSION}: it says {str(about.get('cassette'))[:40]!r}")
    about.pop("cassette")
    answered = range(1, len(lines) - 1, 2)
    found = [_pair(n, lines[n + 1], given) for n, given in zip(answered, _requests(lines, answered), strict=True)]
    return [each for _, each in sorted(found, key=_place)], about


def _place(found: tuple[int, Interaction]) -> int:
    return found[0]


def _requests(lines: list[str], places: range) -> list[dict[str, Any]]:
    """The first lines, parsed as one text: that takes half the time. Line by line where that gives no list of them."""
    try:
        found = _decode(f"[{','.join([lines[place] for place in places])}]")
        if len(found) == len(places) and all(type(each) is dict for each in found):
            return cast("list[dict[str, Any]]", found)
    except (ValueError, RecursionError):
        pass
    return [_object(place + 1, lines[place]) for place in places]


def _pair(number: int, answer: str, given: dict[str, Any]) -> tuple[int, Interaction]:
    try:
        fields = tuple([(n, v) for n, v in cast("Iterable[tuple[str, str]]", given["headers"])])
        body = _bytes(given["body"]) if "body" in given else b""
        asked = Asked(given["method"], given["uri"], fields, body)
        check_text(asked)
        place, started = int(given["n"]), float(given.get("started", 0.0))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CassetteError(f"line {number + 1} is no request: {error!r}") from error
    each = Interaction(asked, partial(_script, number + 2, answer), started=started)
    if not answer.endswith('["end"]]}') and not answer.endswith(',"end"]]}'):
        _read_failure(each, number + 2, _object(number + 2, answer))
    return place, each


def _read_failure(each: Interaction, number: int, told: Mapping[str, Any]) -> None:
    each.abandoned = bool(told.get("abandoned"))
    if told.get("error") is not None:
        each.failure = Failure(str(told["error"]), told.get("unsent", False))


_decode = json.JSONDecoder().decode


def _object(number: int, line: str) -> dict[str, Any]:
    try:
        value: Any = _decode(line)
    except (ValueError, RecursionError) as error:
        raise CassetteError(f"line {number} is no JSON: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise CassetteError(f"line {number} is {type(value).__name__}: each line is an object")
    return cast("dict[str, Any]", value)


def _script(number: int, line: str) -> Script:
    told = _object(number, line)
    try:
        if "script" in told:
            return Script.from_dict(told["script"])
        return Script(*(step for entry in told["steps"] for step in _step(entry)))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise CassetteError(f"line {number} is no answer: {error}") from error


def _step(entry: list[Any]) -> list[Step]:
    wait, name, *rest = entry
    waited: list[Step] = [Delay(wait)] if wait else []
    if name == "head":
        status, reason, headers = rest
        return [*waited, Head(status, headers, reason)]
    if name == "chunk":
        return [*waited, Chunk(_bytes(rest[0]))]
    return [*waited, _ENDINGS[name]()]


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    (style, content), *_ = value.items()
    if style == "base64":
        return base64.b64decode(content, validate=True)
    return json.dumps(content, ensure_ascii=False, **_STYLES[style]).encode()
