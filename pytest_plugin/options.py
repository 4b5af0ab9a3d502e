"""The command line's options and the ini file's, all named `api...`, so that no other plugin's are touched.

The command line goes before marks, marks before configuration fixtures, those before the ini file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODES = ("none", "once", "new", "all", "refresh")


def add_options(parser: pytest.Parser) -> None:
    """Tell pytest of them."""
    group = parser.getgroup("rest_api_client", "rest_api_client: mock server, cassettes, faults, virtual time")
    group.addoption(
        "--api-cassettes",
        choices=MODES,
        metavar="MODE",
        help="what cassettes do: none (play only), once, new, all, refresh; default: none where CI is set, else once",
    )
    group.addoption(
        "--api-fault-seed",
        type=int,
        metavar="SEED",
        help="decides all that looks like chance: faults, latency, data and jitter; default: ini api_fault_seed",
    )
    group.addoption(
        "--api-fault-replay",
        metavar="TOKEN",
        help="replay what a failed test printed: the line of its faults, or the token of a rehearsal",
    )
    group.addoption(
        "--api-report",
        metavar="PATH",
        help="write one self-contained HTML page with the timelines of failed tests (ini api_report_tests: or of all)",
    )
    parser.addini("api_cassette_mode", "mode of cassettes where nothing else says; see --api-cassettes", default="")
    parser.addini("api_cassette_max_age", "days after which a cassette has expired; empty: never", default="")
    parser.addini("api_cassette_on_expiry", "what an expired cassette does: warn or fail", default="warn")
    parser.addini(
        "api_cassette_on_unused", "recordings that were not played: report, or fail the test", default="report"
    )
    parser.addini("api_fault_seed", "decides all that looks like chance", default="0")
    parser.addini(
        "api_network", "the real network in tests with fixtures of this plugin: block or allow", default="block"
    )
    parser.addini(
        "api_report_tests", "whose timelines are in the page of --api-report: failed or all", default="failed"
    )


_WORDS = {
    "api_cassette_mode": ("", *MODES),
    "api_cassette_on_expiry": ("warn", "fail"),
    "api_cassette_on_unused": ("report", "fail"),
    "api_network": ("block", "allow"),
    "api_report_tests": ("failed", "all"),
}


def check_options(config: pytest.Config) -> None:
    """Refuse values that mean nothing, before any test runs.

    Raises:
        UsageError: with the name, the value, and what it may be.
    """
    for name, known in _WORDS.items():
        if (value := config.getini(name)) not in known:
            raise pytest.UsageError(f"{name} = {value!r}: give one of {', '.join(filter(None, known))}")
    _check_number(config, "api_cassette_max_age", lambda value: not value or float(value) > 0, "a number above 0")
    _check_number(config, "api_fault_seed", lambda value: isinstance(int(value), int), "a whole number")
    path = config.getoption("--api-report")
    if path is not None and Path(path).is_dir():
        raise pytest.UsageError(
            f"--api-report={path} is a directory: give the name of a file, report.html for instance"
        )


def _check_number(config: pytest.Config, name: str, fits: Callable[[str], bool], what: str) -> None:
    value = config.getini(name)
    try:
        good = fits(value)
    except ValueError:
        good = False
    if not good:
        raise pytest.UsageError(f"{name} = {value!r}: give {what}")


def fault_seed(config: pytest.Config) -> int:
    """The seed of this run."""
    given: int | None = config.getoption("--api-fault-seed")
    return int(config.getini("api_fault_seed")) if given is None else given


def fault_replay(config: pytest.Config) -> str | None:
    """The token or the line that is to be replayed."""
    token: str | None = config.getoption("--api-fault-replay")
    return token


def cassette_options(config: pytest.Config) -> dict[str, Any]:
    """What the ini file says of cassettes, as options of `use_cassette`."""
    options: dict[str, Any] = {"on_expiry": config.getini("api_cassette_on_expiry")}
    if mode := config.getini("api_cassette_mode"):
        options["mode"] = mode
    if age := config.getini("api_cassette_max_age"):
        from datetime import timedelta

        options["expires_after"] = timedelta(days=float(age))
    return options
