"""Stub files as plain data: JSON, or YAML (see `yaml_form`), read with bounds. YAML remembers the line of each key."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

from mockserver.matching.comparing import DEEPEST, check_json
from rest_api_client.exceptions import ConfigurationError

LARGEST_FILE: Final = 1 << 20
"""Bytes of a stub file."""
ENDINGS: Final = (".yaml", ".yml", ".json")


class Located(dict[str, Any]):
    """An object that knows the line of each of its keys."""

    def __init__(self, pairs: Iterable[tuple[str, Any]], lines: dict[str, int]) -> None:
        super().__init__(pairs)
        self.lines = lines


def read_document(path: Path) -> Any:
    """What a file holds, as JSON could hold it.

    Raises:
        ConfigurationError: it cannot be read, is too large, malformed, or holds what JSON does not have.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"{path.name}: cannot be read: {error.strerror}") from error
    return parse_document(data, path.name, is_json=path.suffix.lower() == ".json")


def parse_document(data: bytes, name: str, *, is_json: bool = False) -> Any:
    """The same of bytes; `name` is for messages."""
    if len(data) > LARGEST_FILE:
        raise ConfigurationError(f"{name}: larger than {LARGEST_FILE} bytes; divide it")
    try:
        document = json.loads(data, object_pairs_hook=_object) if is_json else _yaml(data, name)
    except ConfigurationError:  # it names file and line already
        raise
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{name}, line {error.lineno}: {error.msg} (column {error.colno})") from error
    except RecursionError as error:
        raise ConfigurationError(f"{name}: nested more than {DEEPEST} deep") from error
    except (ValueError, ArithmeticError) as error:
        raise ConfigurationError(f"{name}: {error}") from error
    check_json(name, document)
    return document


def write_document(data: object) -> str:
    """The YAML of it."""
    from mockserver.stubs.yaml_form import write_yaml

    return write_yaml(data)


def plain(value: Any) -> Any:
    """A value without its lines."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in cast("dict[str, Any]", value).items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def _yaml(data: bytes, name: str) -> Any:
    from mockserver.stubs.yaml_form import read_yaml

    return read_yaml(data, name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return made
