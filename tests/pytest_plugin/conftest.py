"""Suites that the plugin is tried on: written into a directory of their own, run in this process.

pytester takes back what a run imported, and the next one would import it anew: so whatever the fixtures need is
imported here, once.
"""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies  # noqa: F401
import pytest

import pytest_plugin.rehearsal  # noqa: F401
from mockserver import MockServer
from pytest_plugin import faults, looped, parts, recorded, report, timeline_page, timeline_text  # noqa: F401
from rest_api_client import APIClient
from rest_api_client.engines import mount  # noqa: F401
from rest_api_client.virtual import loop, trio_run  # noqa: F401

Run = Callable[..., pytest.RunResult]

INI = """
[pytest]
addopts = --strict-markers --strict-config -p no:cacheprovider
filterwarnings = error
"""


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    with MockServer(rules=None) as server, APIClient(base_url=server.url) as client:
        client.get("/users/1")


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A directory with an ini file in which warnings are errors, and no CI around it."""
    monkeypatch.delenv("CI", raising=False)
    pytester.makeini(INI)
    return pytester


@pytest.fixture
def run(suite: pytest.Pytester) -> Run:
    """Run a test module, given as text, in this process."""

    def run(source: str, *options: str, name: str = "test_it") -> pytest.RunResult:
        suite.makepyfile(**{name: source})
        return suite.runpytest_inprocess(*options)

    return run


def text_of(result: pytest.RunResult) -> str:
    """All that a run printed."""
    return "\n".join(result.outlines)
