"""The end of a run: which recordings were not played, which have expired, which belong to no test any more; the page.

What became of a cassette travels with the report of its test, so that workers of xdist need nothing of their own. Which
cassettes the tests of a run would have is known to whoever collected them: with xdist a worker, which sends the list
home in its `workeroutput`.

Orphans are only looked for when a whole run happened: all tests of each module were collected, none was deselected, and
the run came to its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pytest_plugin import fixtures
from pytest_plugin.during import attend
from pytest_plugin.fixtures import MARKED, SHARED
from pytest_plugin.markers import merged

OUTPUT = "rest_api_client"
SUFFIXES = {".yaml", ".yml", ".json", ".jsonl"}
_SHOWN = 10


class Collected:
    """The cassettes that the tests of a run would have.

    Attributes:
        expected: their files.
        folders: where to look for others.
        whole: whether all tests were collected.
    """

    def __init__(self) -> None:
        self.expected: set[str] = set()
        self.folders: set[str] = set()
        self.whole = True

    def of(self, items: Iterable[pytest.Item]) -> None:
        """Take in what was collected."""
        items = list(items)
        homes = {item.path.parent for item in items if "http_cassette" in getattr(item, "fixturenames", ())}
        if not homes:
            return
        from cassettes.session import path_of
        from pytest_plugin.recorded import folder_of, name_of

        for item in items:
            if item.path.parent in homes:
                names, _ = merged(item, "api_cassette", most=1)
                self.expected.add(str(path_of(names[0] if names else name_of(item), folder_of(item))))
        self.folders |= {str(home / "cassettes") for home in homes}

    def join(self, told: dict[str, Any]) -> None:
        """Take in what a worker tells."""
        self.expected |= set(told["expected"])
        self.folders |= set(told["folders"])
        self.whole = self.whole and told["whole"]

    def to_json(self) -> dict[str, Any]:
        """What a worker tells."""
        return {"expected": sorted(self.expected), "folders": sorted(self.folders), "whole": self.whole}

    def orphans(self, used: set[str]) -> list[str]:
        """Cassettes that belong to no test."""
        found = {str(file) for folder in self.folders for file in Path(folder).rglob("*") if _is_cassette(file)}
        return sorted(found - self.expected - used)


def _is_cassette(file: Path) -> bool:
    return file.suffix in SUFFIXES and file.is_file()


class Session:
    """What a run adds up to: a plugin that is registered for its length."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.collected = Collected()
        self.cassettes: list[dict[str, Any]] = []
        self.parts: list[str] = []
        self.finished = False
        self.is_worker = hasattr(config, "workerinput")
        if not self.is_worker and config.pluginmanager.hasplugin("xdist"):
            config.pluginmanager.register(_Controller(self), "rest_api_client_controller")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Have tests with our fixtures or marks watched, and be there when they run."""
        self._watch(items)

    def _watch(self, items: list[pytest.Item]) -> None:
        watched = [_watch(item) for item in items if isinstance(item, pytest.Function)]
        if any(watched) or self.config.getoption("--api-report") is not None:
            attend(self.config)

    @pytest.hookimpl
    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Not a whole run."""
        self.collected.whole = self.collected.whole and not items

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which cassettes there ought to be. anyio's plugin has put tests of its own making in until now."""
        self._watch(session.items)
        if _is_part(self.config):
            self.collected.whole = False
        self.collected.of(session.items)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what reports brought along."""
        self.cassettes += getattr(report, "api_cassettes", ())
        if (part := getattr(report, "api_part", None)) is not None:
            self.parts.append(part)

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Send home what a worker knows, or write the page."""
        self.finished = exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} and not (
            session.shouldstop or session.shouldfail
        )
        if self.is_worker:
            session.config.workeroutput[OUTPUT] = self.collected.to_json()  # type: ignore[attr-defined]
            return
        path = self.config.getoption("--api-report")
        if path is not None:
            from pytest_plugin.report import write

            write(Path(path), self.parts)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell what is to be told, and nothing where there is nothing."""
        lines = [*_unused(self.cassettes), *_expired(self.cassettes), *self._orphans()]
        path = self.config.getoption("--api-report")
        if path is not None:
            lines.append(f"timelines: {path}")
        if lines:
            terminalreporter.section("rest_api_client")
            for line in lines:
                terminalreporter.line(line)

    def _orphans(self) -> list[str]:
        if not self.finished or not self.collected.whole:
            return []
        orphans = self.collected.orphans({each["path"] for each in self.cassettes})
        return [f"{_count(orphans, 'cassette')} of no test:", *_listed(orphans)] if orphans else []


class _Controller:
    """Hears workers of xdist out; registered only where xdist is there."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @pytest.hookimpl
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker is done, or has crashed: then nobody knows what it had collected."""
        told = getattr(node, "workeroutput", {}).get(OUTPUT)
        if told is None or error:
            self._session.collected.whole = False
        else:
            self._session.collected.join(told)


def _is_part(config: pytest.Config) -> bool:
    """Whether only some of the tests were asked for: files, single tests, those that failed last, not all files."""
    here = config.invocation_params.dir
    chosen = any("::" in argument or (here / argument).is_file() for argument in config.args)
    narrowed = ("collectonly", "lf", "stepwise", "ignore", "ignore_glob")
    return chosen or any(getattr(config.option, name, None) for name in narrowed)


_WATCHED: pytest.StashKey[bool] = pytest.StashKey()


def _watch(item: pytest.Function) -> bool:
    """Have the test's own fixtures begin with ours that watches it, and those made that its marks stand for."""
    if _WATCHED in item.stash:
        return True
    marked = [MARKED[mark.name] for mark in item.iter_markers() if mark.name in MARKED]
    if not marked and "_api_watch" not in item.fixturenames and not _shares(item):
        return False
    item.stash[_WATCHED] = True
    names = [name for name in item.fixturenames if name != "_api_watch"]
    known = item._fixtureinfo.name2fixturedefs  # noqa: SLF001  there is no public way to a fixture's scope
    wide = [name for name in names if name in known and known[name][-1].scope != "function"]
    place = max((names.index(name) + 1 for name in wide), default=0)
    added = [name for name in dict.fromkeys(marked) if name not in names]
    item.fixturenames = [*names[:place], "_api_watch", *names[place:], *added]
    return True


def _shares(item: pytest.Function) -> bool:
    """Whether the test uses one of the session's fixtures, and it is ours: others may call theirs the same."""
    known = item._fixtureinfo.name2fixturedefs  # noqa: SLF001  as above
    used = SHARED.intersection(item.fixturenames, known)
    return any(known[name][-1].func.__module__ == fixtures.__name__ for name in used)


def _unused(cassettes: list[dict[str, Any]]) -> list[str]:
    some = [each for each in cassettes if each["unused"]]
    lines = [f"{each['path']}: {label}" for each in some for label in each["unused"]]
    return [f"{_count(lines, 'recording')} not played:", *_listed(lines)] if lines else []


def _expired(cassettes: list[dict[str, Any]]) -> list[str]:
    lines = [f"{each['path']}: {each['expired']} days old" for each in cassettes if each["expired"] is not None]
    head = f"{_count(lines, 'cassette')} expired, record anew with --api-cassettes=refresh:"
    return [head, *_listed(lines)] if lines else []


def _listed(lines: list[str]) -> list[str]:
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [*(f"  {line}" for line in lines[:_SHOWN]), *more]


def _count(lines: list[str], word: str) -> str:
    return f"{len(lines)} {word}" if len(lines) == 1 else f"{len(lines)} {word}s"
