"""vcrpy's cassette, version 1, as a tree of plain values: what the YAML and the JSON form both hold.

    interactions:   [{request: {method, uri, body, headers}, response: {status, headers, body: {string}}}]
    version:        1

What vcrpy has no place for stands where it does not look, and where other readers do not trip:

    interactions[i].response.x_rest_api_client    the timing and the pieces of a body; it survives vcrpy's own saving
    x_rest_api_client                             failures with their positions, and the date; vcrpy drops it when it
                                                  saves, and plays the answers without the failures
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from cassettes.errors import CassetteError
from cassettes.interaction import Asked, Failure, Fields, Interaction, check_text
from cassettes.messages import decoded
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.script import Chunk, Delay, End, Head, Script, Stall, Step

OURS = "x_rest_api_client"
VERSION = 1
Tree: TypeAlias = dict[str, Any]
_PIECE = re.compile(r"([0-9]+)(?:@([0-9.]+))?")


# ---------------------------------------------------------------------- reading


def read_tree(tree: object) -> tuple[list[Interaction], Tree]:
    """The interactions of a tree, in order, and what else it says of itself (`recorded`, `metadata`).

    Raises:
        CassetteError: it is no cassette of version 1; the message names the place.
    """
    if tree is None:
        return [], {}
    listed = tree.get("interactions") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or not isinstance(listed, list):
        raise CassetteError(_no_cassette(tree))
    answers = [_interaction(place, each) for place, each in enumerate(listed)]
    ours = tree.get(OURS) or {}
    if not isinstance(ours, dict):
        raise CassetteError(f"{OURS} is {type(ours).__name__}: it must be a mapping")
    if ours.get("version", VERSION) != VERSION:
        raise CassetteError(f"{OURS} has version {ours['version']!r}: this release reads version {VERSION}")
    about = {"recorded": ours.get("recorded"), "metadata": tree.get("metadata")}
    return _merged(answers, ours.get("failures") or []), {key: value for key, value in about.items() if value}


def _no_cassette(tree: object) -> str:
    if isinstance(tree, dict) and "http_interactions" in tree:
        return "this is a cassette of Ruby's VCR (http_interactions), and not of vcrpy: record it again"
    if isinstance(tree, list):
        return "this cassette is older than vcrpy 1.0: migrate it with `python -m vcr.migration`, or record it again"
    return "no cassette: it needs a list of `interactions`"


def _interaction(place: int, entry: object) -> Interaction:
    try:
        given = cast("Tree", entry)
        asked, response = read_asked(given["request"]), given["response"]
        ours = response.get(OURS) or {}
        abandoned = bool(ours.get("abandoned")) if isinstance(ours, dict) else False
        started = float(ours.get("started", 0.0)) if isinstance(ours, dict) else 0.0
        _status(response)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CassetteError(f"interaction {place} is none of vcrpy's, version 1: {error!r}") from error
    script = partial(_script, place, response)
    return Interaction(asked, script, abandoned=abandoned, started=started, source=given)


def _merged(answers: list[Interaction], failures: object) -> list[Interaction]:
    """Answers and failures in the order in which they were recorded."""
    if not isinstance(failures, list):
        raise CassetteError(f"{OURS}.failures is {type(failures).__name__}: it must be a list")
    placed: dict[int, Interaction] = {}
    for number, entry in enumerate(failures):
        try:
            placed[int(entry["position"])] = read_failure(entry)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise CassetteError(f"{OURS}.failures[{number}] cannot be read: {error}") from error
    merged, left = list[Interaction](), iter(answers)
    for place in range(len(answers) + len(placed)):
        if place in placed:
            merged.append(placed.pop(place))
        elif (answer := next(left, None)) is not None:
            merged.append(answer)
    return [*merged, *(placed[place] for place in sorted(placed))]


def read_failure(entry: Tree) -> Interaction:
    """One attempt that is more than an answer."""
    failure = None
    if entry.get("error") is not None:
        failure = Failure(str(entry["error"]), entry.get("unsent", False))
    return Interaction(
        read_asked(entry["request"]),
        Script.from_dict(entry["script"]),
        failure=failure,
        abandoned=bool(entry.get("abandoned")),
        started=float(entry.get("started", 0.0)),
    )


def read_asked(request: Any) -> Asked:
    """A request of the tree."""
    asked = Asked(str(request["method"]), str(request["uri"]), _fields(request.get("headers")), _body(request["body"]))
    check_text(asked)
    return asked


def _body(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, list | tuple) and all(isinstance(each, bytes | str) for each in value):  # an iterator's pieces
        return b"".join(map(_body, value))
    if isinstance(value, dict | list | tuple):  # what aiohttp was given as `json=`
        return json.dumps(value).encode()
    return str(value).encode("utf-8", "surrogatepass")


def _fields(headers: Any) -> Fields:
    found: list[tuple[str, str]] = []
    for name, values in (headers or {}).items():
        for value in values if isinstance(values, list | tuple) else [values]:
            text = value.decode("latin-1") if isinstance(value, bytes) else _word(value)
            found.append((str(name).lower(), text))
    return tuple(found)


def _word(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else "" if value is None else str(value)


def _status(response: Tree) -> tuple[int, str | None]:
    if "status_code" in response:  # vcrpy before 6, for httpx
        return int(response["status_code"]), None
    status = response["status"]
    return int(status["code"]), status.get("message") or None


def _script(place: int, response: Tree) -> Script:
    try:
        return read_answer(response)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CassetteError(f"the response of interaction {place} cannot be read: {error}") from error


def read_answer(response: Tree) -> Script:
    """The script of a response of the tree."""
    status, reason = _status(response)
    headers = [(name, _line(value)) for name, value in _fields(response.get("headers"))]
    if "status_code" in response:
        data = _body(response.get("content"))
        # That dialect kept bodies decoded or not, beside the fields of the encoded ones.
        data = decoded(tuple(headers), data) or data
        headers = [field for field in headers if field[0] not in {"content-encoding", "content-length"}]
    else:
        data = _body((response.get("body") or {}).get("string"))
    ours = response.get(OURS) or {}
    head = Head(status, tuple(headers), _line(reason) if reason else None)
    return Script(*_timed(head, data, str(ours.get("pieces", ""))), Stall() if ours.get("abandoned") else End())


def _line(text: str) -> str:
    """A field's text as a server could have sent it: UTF-8 by its bytes, and on one line."""
    if not text.isascii():
        try:
            text.encode("latin-1")
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode("latin-1")
    return " ".join(text.splitlines()) if "\n" in text or "\r" in text else text


def _timed(head: Head, data: bytes, pieces: str) -> list[Step]:
    """Head and body, in the pieces and at the moments that `pieces` tells: `0@0.1 512@0.1 300@2.5`, the head first."""
    if not pieces:
        return [head, Chunk(data)] if data else [head]
    steps: list[Step] = []
    now, begin = 0.0, 0
    for place, word in enumerate(pieces.split()):
        found = _PIECE.fullmatch(word)
        if found is None:
            raise CassetteError(f"{word!r} in `pieces` is not SIZE@SECONDS")
        at = float(found[2]) if found[2] else now
        if at > now:
            steps.append(Delay(round(at - now, 6)))
            now = at
        size = int(found[1])
        steps.append(Chunk(data[begin : begin + size]) if place else head)
        begin += size if place else 0
    if begin < len(data):  # edited by hand
        steps.append(Chunk(data[begin:]))
    return steps


# ---------------------------------------------------------------------- writing


def write_tree(interactions: Sequence[Interaction], about: Mapping[str, Any], *, timing: bool = True) -> Tree:
    """The tree of these interactions; exactly vcrpy's where all are answers in one piece and without a time."""
    tree: Tree = {"interactions": [], "version": VERSION}
    failures: list[Tree] = []
    for place, each in enumerate(interactions):
        if each.plain or (each.abandoned and each.head is not None):
            tree["interactions"].append(each.source or _entry(each, timing=timing))
        else:
            failures.append({"position": place, **write_failure(each)})
    if about.get("metadata"):
        tree["metadata"] = about["metadata"]
    ours = {"recorded": about.get("recorded"), "failures": failures}
    if any(ours.values()):
        tree[OURS] = {"version": VERSION, **{key: value for key, value in ours.items() if value}}
    return tree


def write_failure(each: Interaction) -> Tree:
    """An attempt that is more than an answer."""
    entry: Tree = {"request": write_asked(each.asked), "script": each.script.to_dict()}
    if each.failure is not None:
        entry |= {"error": each.failure.error, "unsent": each.failure.unsent}
    if each.abandoned:
        entry["abandoned"] = True
    if each.started:
        entry["started"] = round(each.started, 6)
    return entry


def write_asked(asked: Asked) -> Tree:
    """A request of the tree. vcrpy keeps one value of a field: several are joined, as httpx joins them."""
    joined: dict[str, str] = {}
    for name, value in asked.headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    headers = {name: [value] for name, value in joined.items()}
    return {"method": asked.method, "uri": asked.uri, "body": text_or_bytes(asked.body), "headers": headers}


def text_or_bytes(data: bytes) -> str | bytes:
    """As text where it is UTF-8: a cassette is read by people."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def _entry(each: Interaction, *, timing: bool) -> Tree:
    response = write_answer(each)
    response["body"] = {"string": text_or_bytes(each.body)}
    ours: Tree = {"pieces": _pieces(each.script)} if timing else {}
    if each.abandoned:
        ours["abandoned"] = True
    if each.started and timing:
        ours["started"] = round(each.started, 6)
    if ours := {key: value for key, value in ours.items() if value}:
        response[OURS] = ours
    return {"request": write_asked(each.asked), "response": response}


def write_answer(each: Interaction) -> Tree:
    """A response of the tree, its body as bytes; without what vcrpy has no place for."""
    head = each.head
    if head is None:
        raise ConfigurationError("an answer without a head")  # `plain` says otherwise
    headers: dict[str, list[str]] = {}
    for name, value in head.headers:
        headers.setdefault(name, []).append(value)
    status = {"code": head.status, "message": head.reason or ""}
    return {"status": status, "headers": headers, "body": {"string": each.body}}


def _pieces(script: Script) -> str:
    """Where the body's pieces begin and when; "" where one piece came at once."""
    now = 0.0
    words: list[str] = []
    for step in script.steps:
        if isinstance(step, Delay):
            now += step.seconds
        elif isinstance(step, Head | Chunk):
            size = len(step.data) if isinstance(step, Chunk) else 0
            words.append(f"{size}@{now:.6f}".rstrip("0").rstrip(".") if now else str(size))
    return "" if len(words) <= 2 and not now else " ".join(words)
