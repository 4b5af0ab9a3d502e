"""http_cassette: where a test's cassette lies, in which mode it is used, and what became of it.

The file is {test dir}/cassettes/{module}/{Class.}{test[param]}.yaml. Whatever the test is called, `cassettes.names`
keeps it in its folder, and apart from every other. A test that has failed already gets no second error from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cassettes import Cassette, CassetteEngine, CassetteError, use_cassette
from cassettes.session import path_of, recorded_age, resolved
from pytest_plugin.markers import merged
from pytest_plugin.options import cassette_options
from pytest_plugin.watch import Watch


class _TestFailed(Exception):
    """Goes through a cassette's block in place of the test's own error, which pytest has taken."""


def folder_of(node: pytest.Item) -> Path:
    """Where the cassettes of a test's module lie."""
    return node.path.parent / "cassettes" / node.path.stem


def name_of(node: pytest.Item) -> str:
    """The name of a test's cassette. A slash in it makes no folder."""
    kind: type | None = getattr(node, "cls", None)
    name = node.name if kind is None else f"{kind.__qualname__}.{node.name}"
    return name.replace("/", "\0")


@contextmanager
def cassette(watch: Watch, node: pytest.Item, folder: Path, config: Mapping[str, Any]) -> Iterator[Any]:
    """The cassette of a test: an engine, or, where vcrpy patches other libraries, the cassette itself."""
    names, options = merged(node, "api_cassette", most=1)
    options = {**cassette_options(watch.config), **config, **options}
    patched = options.pop("patched", False)
    path = path_of(names[0] if names else name_of(node), folder)
    options["mode"] = mode = resolved(watch.config.getoption("--api-cassettes") or options.get("mode"), path)
    if mode != "none":
        watch.open_network()  # what is recorded comes from there
    block = _patched(path, options) if patched else use_cassette(path, **_timed(options, watch))
    with _once(watch), block as given:
        tape: Cassette = given.cassette if isinstance(given, CassetteEngine) else given
        yield given
        watch.cassettes.append(_became(watch, tape, path, options))
        if watch.failed:
            raise _TestFailed
    unused = watch.cassettes[-1]["unused"]
    if unused and watch.config.getini("api_cassette_on_unused") == "fail":
        lines = "\n".join(f"  {label}" for label in unused)
        pytest.fail(f"{path}: not all recordings were played:\n{lines}", pytrace=False)


def _timed(options: dict[str, Any], watch: Watch) -> dict[str, Any]:
    return options if watch.clock is None else {"time": "virtual", **options}


def _patched(path: Path, options: dict[str, Any]) -> AbstractContextManager[Cassette]:
    from cassettes.vcr_use import vcr

    return vcr(path, **options)


@contextmanager
def _once(watch: Watch) -> Iterator[None]:
    """What is wrong with a cassette fails the test, with words and no traceback, unless something else did already."""
    try:
        yield
    except _TestFailed:
        pass
    except CassetteError as error:
        if not watch.failed:
            pytest.fail(str(error), pytrace=False)


def _became(watch: Watch, tape: Cassette, path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the summary says of it, as plain data."""
    age, limit = recorded_age(tape.about), options.get("expires_after")
    playing = options["mode"] in {"none", "new"}
    return {
        "test": watch.nodeid,
        "path": str(path),
        "mode": options["mode"],
        "recorded": len(tape.recorded),
        "unused": [each.label for each in tape.unplayed] if playing and not watch.failed else [],
        "expired": age.days if playing and age is not None and limit is not None and age > limit else None,
    }
