"""Answers in stub files, both ways.

    status: 201                    headers: {location: "/users/{path.id}"}, or pairs: [[set-cookie, a=1], [etag, b]]
    json: {...} | text: ... | base64: ... | body_file: bodies/user.json | chunks: [a, {base64: ...}]
    every: 0.5                     seconds between chunks
    delay: 0.2                     fault: "truncate(after=10)"       template: false
    script: [{step: delay, seconds: 1}, {step: head, status: 200}, {step: chunk, text: hello}, {step: reset}]

A script's steps are those of `rest_api_client.script`; a chunk, raw or garbage step may say `text` in place of `data`,
which is base64.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

from mockserver.faults.fault import Catalogue, Named, parse_fault
from mockserver.stubs.documents import plain
from mockserver.stubs.inside import read_inside
from mockserver.stubs.reply import Reply
from mockserver.stubs.sections import Place, Section, bytes_of, kind_of, text_of
from mockserver.stubs.stub import Answer
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.script import VERSION, Script
from rest_api_client.typing import UNSET

_PLAIN: Final = ("status", "json", "text", "every", "delay", "template")
_BODIES: Final = ("json", "text", "base64", "body_file", "chunks")
_KEYS: Final = (*_PLAIN, "headers", "base64", "body_file", "chunks", "fault", "script")
_KINDS: Final = {
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".xml": "application/xml",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".ndjson": "application/x-ndjson",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
}


def read_answer(data: object, place: Place, faults: Catalogue, folder: Path | None) -> Answer:
    """The answer that a mapping describes.

    Args:
        data: the mapping.
        place: where it stands, for messages.
        faults: what a fault's name stands for.
        folder: what files are named from; None refuses all.

    Raises:
        StubFileError: it says where.
    """
    section = Section(data, place, _KEYS)
    if "script" in section:
        if len(section.data) > 1:
            raise place.error("a script is the whole answer: give nothing beside it")
        with section.at("script")():
            return Script.from_dict(_script(section.get("script")))
    bodies = [key for key in _BODIES if key in section]
    if len(bodies) > 1:
        raise section.at(bodies[1]).error(f"give one body, not {' and '.join(bodies)}")
    options: dict[str, Any] = section.given(*_PLAIN)
    options["headers"] = _headers(section)
    for key in ("base64", "body_file", "chunks", "fault"):
        if key in section:
            with section.at(key)():
                _READ[key](section, options, faults, folder)
    with section.options():
        return Reply(**options)


def _headers(section: Section) -> list[tuple[str, str]]:
    if "headers" not in section:
        return []
    if not isinstance(section.data["headers"], list):
        return [(name, text_of(value, place)) for name, value, place in section.members("headers")]
    pairs: list[tuple[str, str]] = []
    for pair, place in section.elements("headers"):
        if not isinstance(pair, list) or len(cast("list[object]", pair)) != 2:
            raise place.error("give pairs: [name, value]")
        name, value = (text_of(each, place) for each in cast("list[object]", pair))
        pairs.append((name, value))
    return pairs


def _read_base64(section: Section, options: dict[str, Any], faults: Catalogue, folder: Path | None) -> None:
    options["body"] = bytes_of(section.get("base64"), section.at("base64"))


def _read_file(section: Section, options: dict[str, Any], faults: Catalogue, folder: Path | None) -> None:
    name = section.get("body_file")
    if folder is None:
        raise ConfigurationError("only a stub in a file can name files")
    options["body"] = read_inside(folder, name)
    kind = _KINDS.get(PurePosixPath(name).suffix.lower())
    if kind is not None and not any(field.lower() == "content-type" for field, _ in options["headers"]):
        options["headers"] = [("content-type", kind), *options["headers"]]


def _read_chunks(section: Section, options: dict[str, Any], faults: Catalogue, folder: Path | None) -> None:
    pieces: list[str | bytes] = []
    for piece, place in section.elements("chunks"):
        if isinstance(piece, dict):
            inner = Section(piece, place, ("base64",))
            pieces.append(bytes_of(inner.get("base64"), inner.at("base64")))
        else:
            pieces.append(text_of(piece, place))
    options["chunks"] = tuple(pieces)


def _read_fault(section: Section, options: dict[str, Any], faults: Catalogue, folder: Path | None) -> None:
    text = section.get("fault")
    if not isinstance(text, str):
        raise ConfigurationError(f"give one fault as a text, such as 'truncate(after=10)', not {kind_of(text)}")
    options["fault"] = parse_fault(text, faults)


_READ: Final = {"base64": _read_base64, "body_file": _read_file, "chunks": _read_chunks, "fault": _read_fault}


def _script(data: Any) -> Mapping[str, Any]:
    script = {"version": VERSION, "steps": data} if isinstance(data, list) else data
    if isinstance(script, dict) and isinstance(script.get("steps"), list):
        return {**script, "steps": [_step(step) for step in script["steps"]]}
    return cast("Mapping[str, Any]", script)


def _step(step: Any) -> Any:
    if not isinstance(step, dict) or "text" not in step:
        return step
    data = base64.b64encode(str(step["text"]).encode()).decode("ascii")
    return {**{key: value for key, value in step.items() if key != "text"}, "data": data}


def write_answer(answer: Answer) -> dict[str, Any]:
    """The mapping that `read_answer` makes the same answer of.

    Raises:
        ConfigurationError: it is a function, or has a fault that is one.
    """
    if isinstance(answer, Script):
        return {"script": answer.to_dict()}
    if not isinstance(answer, Reply):
        raise ConfigurationError(f"{answer!r} cannot be written to a file: it is a function")
    written: dict[str, Any] = {"status": answer.status}
    if answer.headers:
        written["headers"] = _written_headers(cast("tuple[tuple[str, str], ...]", answer.headers))
    if answer.json is not UNSET:
        written["json"] = plain(answer.json)
    if answer.text is not None:
        written["text"] = answer.text
    if answer.body is not None:
        written["base64"] = base64.b64encode(answer.body).decode("ascii")
    if answer.chunks is not None:
        written["chunks"] = [_written_piece(piece) for piece in answer.chunks]
    written |= {key: value for key in ("every", "delay") if (value := getattr(answer, key))}
    if answer.fault is not None:
        written["fault"] = _written_fault(answer.fault)
    return written if answer.template else {**written, "template": False}


def _written_headers(headers: tuple[tuple[str, str], ...]) -> Any:
    single = dict(headers)
    return single if len(single) == len(headers) else [[name, value] for name, value in headers]


def _written_piece(piece: str | bytes) -> Any:
    return piece if isinstance(piece, str) else {"base64": base64.b64encode(piece).decode("ascii")}


def _written_fault(fault: object) -> str:
    if isinstance(fault, Named):
        return fault.text
    raise ConfigurationError(
        f"the fault {fault!r} cannot be written to a file: make it with mockserver.faults.known.fault"
    )
