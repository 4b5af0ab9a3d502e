"""Stub files: YAML or JSON, one stub, a list of them, or `{version: 1, stubs: [...]}`; a file or a folder of files.

    version: 1
    stubs:
      - name: one user
        when: {method: GET, path: "/users/{id}"}
        answer: {json: {id: "{path.id}"}}
      - when: {method: POST, path: /users}
        answer: [{status: 503}, {status: 201}]
        state: {name: signup, next: done}

What `when` may hold is said in `conditions`, `answer` in `answers`. A key that is not known is an error naming file,
line and key. A folder's own files are read in the order of their names; bodies belong in folders below it.

Other formats are read by a `Loader` of their own: any function from a path to a list of stubs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from mockserver.faults.fault import Catalogue
from mockserver.faults.known import KNOWN
from mockserver.stubs.answers import read_answer, write_answer
from mockserver.stubs.conditions import read_matcher, write_matcher
from mockserver.stubs.documents import ENDINGS, read_document, write_document
from mockserver.stubs.sections import Place, Section, elements
from mockserver.stubs.stub import State, Stub
from rest_api_client.exceptions import ConfigurationError

VERSION: Final = 1

Loader: TypeAlias = Callable[[Path], list[Stub]]
"""Reads stubs of whatever format."""

_PLAIN: Final = ("id", "name", "priority", "times", "nth", "cycle")
_KEYS: Final = ("id", "name", "when", "answer", "cycle", "priority", "times", "nth", "state")
_STATE: Final = ("name", "required", "next")


def load(path: Path | str, *more: Path | str, faults: Catalogue = KNOWN) -> list[Stub]:
    """The stubs of a file, or of all files of a folder.

    Args:
        path: a file, or a folder with files that end in .yaml, .yml or .json.
        more: others, to be read as if all were one.
        faults: what a fault's name stands for.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong; the message names file, line and key.
    """
    taken: dict[str, Place] = {}
    stubs: list[Stub] = []
    for file in [file for each in (path, *more) for file in _files(Path(each))]:
        stubs += read_stubs(read_document(file), file.name, faults=faults, folder=file.parent, taken=taken)
    return stubs


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        files = sorted(each for each in path.iterdir() if each.suffix.lower() in ENDINGS)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    if not files:
        raise ConfigurationError(f"{path}: no file in this folder ends in {', '.join(ENDINGS)}")
    for file in files:
        if file.is_symlink():
            raise ConfigurationError(f"{file.name}: a link; put the file itself into the folder")
        if not file.is_file():  # reading a pipe waits for ever
            raise ConfigurationError(f"{file.name}: no ordinary file; name it otherwise, or put it elsewhere")
    return files


def read_stubs(
    data: Any,
    name: str,
    *,
    faults: Catalogue = KNOWN,
    folder: Path | None = None,
    taken: dict[str, Place] | None = None,
) -> list[Stub]:
    """The stubs that plain data describes.

    Args:
        data: what a file would hold.
        name: what messages call it.
        faults: what a fault's name stands for.
        folder: what `body_file` is named from; None refuses files.
        taken: the ids that stubs read before have, and where; those of this file are added.

    Raises:
        StubFileError: it says where.
    """
    taken = {} if taken is None else taken
    stubs: list[Stub] = []
    for each, place in _placed(data, Place(name)):
        section = Section(each, place, _KEYS)
        stubs.append(_stub(section, faults, folder))
        if (known := stubs[-1].id) in taken:
            raise section.at("id").error(f"the id {known!r} has a stub already ({taken[known]}); each has its own")
        if known:
            taken[known] = section.at("id")
    return stubs


def _placed(data: Any, place: Place) -> Iterable[tuple[Any, Place]]:
    if isinstance(data, list):
        return elements(data, place)
    if not isinstance(data, dict) or {"stubs", "version"}.isdisjoint(cast("dict[str, Any]", data)):
        return [(data, place)]
    bundle = Section(cast("object", data), place, ("version", "stubs"))
    if bundle.get("version", VERSION) != VERSION:
        raise bundle.at("version").error(f"version {bundle.get('version')!r}: this release reads version {VERSION}")
    if not isinstance(bundle.get("stubs"), list):
        raise bundle.at("stubs").error("give a list of stubs")
    return bundle.elements("stubs")


def _stub(section: Section, faults: Catalogue, folder: Path | None) -> Stub:
    parts: dict[str, Any] = section.given(*_PLAIN)
    if "when" in section:
        parts["when"] = read_matcher(section.data["when"], section.at("when"))
    if "answer" in section:
        answers = tuple(read_answer(each, at, faults, folder) for each, at in section.elements("answer"))
        parts["answer"] = answers if isinstance(section.data["answer"], list) else answers[0]
    if "state" in section:
        state = Section(section.data["state"], section.at("state"), _STATE)
        parts["state"] = tuple(state.get(key) for key in _STATE)
    for key in ("when", "answer"):  # said last, or it would hide mistakes in what is there
        if key not in section:
            raise section.place.error(f"a stub has when and answer; {key} is missing")
    with section.options():
        return Stub(**parts)


def dump(stubs: Iterable[Stub]) -> str:
    """The stubs as a YAML file that `load` makes equal stubs of.

    Raises:
        ConfigurationError: a stub holds a function, or a matcher of a class of the user's own.
    """
    return write_document(write_stubs(stubs))


def write_stubs(stubs: Iterable[Stub]) -> dict[str, Any]:
    """The same as plain data, for JSON."""
    return {"version": VERSION, "stubs": [_written(stub) for stub in stubs]}


def _written(stub: Stub) -> dict[str, Any]:
    several = isinstance(stub.answer, tuple)
    answers = [write_answer(answer) for answer in stub.answers]
    written: dict[str, Any] = {key: value for key in ("id", "name") if (value := getattr(stub, key))}
    written |= {"when": write_matcher(stub.when), "answer": answers if several else answers[0]}
    written |= {key: value for key in ("cycle", "priority", "times") if (value := getattr(stub, key))}
    if stub.nth is not None:
        written["nth"] = stub.nth if isinstance(stub.nth, int) else list(stub.nth)
    if isinstance(stub.state, State):
        written["state"] = {key: value for key, value in stub.state._asdict().items() if value is not None}
    return written
