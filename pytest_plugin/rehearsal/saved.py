"""Failing schedules as cassettes: kept on disk, played first next time, committed, served on a real socket.

    @rehearsed(fault_schedules(), saved="tests/rehearsals")
    def test_orders_survive(schedule):
        rehearse(make_client, schedule).raise_()

`rehearsed` is `given`, and keeps the simplest schedule that failed in a file named after the test. It is played first
from then on, for as long as the file is there: by everybody who has it, if it is committed.

The file is a cassette in vcrpy's form: what the clients sent and what came of it, secrets replaced; the schedule stands
in it as a token. So it is read by `cassettes`, played again by `rehearse(make, Path("..."))`, and served by a mock
server, `MockServer(stubs=stubs_of("..."))`, to programs that are not in Python.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hypothesis import example, given
from hypothesis.strategies import SearchStrategy

import pytest_plugin.rehearsal.extra  # noqa: F401  first
from cassettes import CassetteError, Interaction, cassette_path, files, load, scan, vcr_form
from cassettes.limits import DEFAULT_LIMITS
from cassettes.redaction import Redaction, Vault
from cassettes.yaml_form import dump
from cassettes.yaml_form import load as load_yaml
from mockserver.matching.matcher import Matcher, Mismatch
from mockserver.seen import Seen
from mockserver.stubs import Stub
from pytest_plugin.rehearsal.report import RehearsalFailed, Report
from pytest_plugin.rehearsal.schedule import FaultSchedule
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.script import Refuse, Reset, Script, Stale

FOLDER = ".rehearsals"
_UNDER = "rehearsal"


def save(report: Report, path: Path | str) -> Path:
    """Write a rehearsal down. It is played once more, so that what is written is whole.

    Raises:
        CassetteError: it cannot be written, or a secret would stand in it.
        ValueError: the schedule has a part that cannot be written, a function for instance.
    """
    target = Path(path)
    if target.suffix not in (".yaml", ".yml"):
        raise CassetteError(f"{target}: a rehearsal's name ends in .yaml")
    token = report.token
    redaction = Redaction()
    vault = Vault(redaction)
    clean = vault.scrubbed(report.interactions())
    scan.check(clean, vault.secrets() or redaction.known(), target)
    tree = vcr_form.write_tree(clean, {})
    ours = tree.setdefault(vcr_form.OURS, {"version": vcr_form.VERSION})
    ours[_UNDER] = token
    files.replace(target, dump(tree, DEFAULT_LIMITS))
    return target


def saved_schedule(path: Path | str) -> FaultSchedule:
    """The schedule of a file that `save` wrote.

    Raises:
        CassetteError: it cannot be read, or no rehearsal stands in it.
    """
    try:
        tree = load_yaml(Path(path).read_text("utf-8"))
    except OSError as error:
        raise CassetteError(f"cannot read {path}: {error.strerror}") from error
    ours = tree.get(vcr_form.OURS) if isinstance(tree, dict) else None
    token = ours.get(_UNDER) if isinstance(ours, dict) else None
    if not isinstance(token, str):
        raise CassetteError(f"{path} is no rehearsal: it has no {vcr_form.OURS}.{_UNDER}; delete it, or save it anew")
    try:
        return FaultSchedule.from_token(token)
    except ValueError as error:
        raise CassetteError(f"{path}: {error}") from error


def rehearsed(
    schedules: SearchStrategy[FaultSchedule], *, saved: Path | str = FOLDER
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`given(schedules)` that remembers: the simplest schedule that failed is kept, and played first from then on.

    Args:
        schedules: `fault_schedules()` for instance; the test takes a schedule as its last argument.
        saved: the folder of the files, relative to where the tests are started.
    """

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        path = cassette_path(saved, f"{test.__module__}.{test.__qualname__}".replace(".<locals>.", "."))
        known = saved_schedule(path) if path.exists() else None
        made: Callable[..., Any] = given(schedules)(test)
        if known is not None:
            made = example(known)(made)

        @functools.wraps(made)
        def kept(*arguments: Any, **options: Any) -> Any:
            # What was put on top of this function, @settings for instance, is meant for that one.
            made.__dict__.update({name: value for name, value in vars(kept).items() if name != "__wrapped__"})
            try:
                return made(*arguments, **options)
            except RehearsalFailed as failed:
                failed.report.saved = path
                if failed.report.schedule != known:
                    save(failed.report, path)
                raise

        return kept

    return decorate


@dataclass(frozen=True)
class _Asks(Matcher):
    """The method and the target of a recorded request."""

    method: str
    path: str
    query: str

    def __call__(self, seen: Seen) -> bool:
        return (seen.method, seen.path, seen.query) == (self.method, self.path, self.query)

    def mismatches(self, seen: Seen) -> list[Mismatch]:
        """What differs."""
        pairs = (
            ("method", self.method, seen.method),
            ("path", self.path, seen.path),
            ("query", self.query, seen.query),
        )
        return [Mismatch(name, wanted, got) for name, wanted, got in pairs if wanted != got]


def stubs_of(cassette: Path | str | Iterable[Interaction]) -> list[Stub]:
    """A cassette's answers for a mock server: `MockServer(stubs=stubs_of("tests/rehearsals/orders.yaml"))`.

    For each method and target its answers in the order of the recording, the last for ever. A connection that was
    refused is reset, for a server that has read the request cannot refuse it.

    Raises:
        CassetteError: it cannot be read.
    """
    interactions = load(Path(cassette))[0] if isinstance(cassette, str | Path) else cassette
    found: dict[_Asks, list[Script]] = {}
    for each in interactions:
        url = urlsplit(each.asked.uri)
        asks = _Asks(each.asked.method, unquote(url.path), url.query)
        found.setdefault(asks, []).append(_servable(each.script))
    return [Stub(when=asks, answer=tuple(scripts)) for asks, scripts in found.items()]


def _servable(script: Script) -> Script:
    return Script(*script.steps[:-1], Reset()) if isinstance(script.ending, Refuse | Stale) else script
