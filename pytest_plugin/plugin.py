"""What pytest calls: options and marks are told, fixtures are here to be found, and tests that use them are watched.

Nothing else is done until a test asks for it. What this module imports is pytest and a few small files of this package;
`tests/pytest_plugin/test_start.py` holds it to that. A test without a fixture or a mark of this plugin is left alone.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_plugin import options
from pytest_plugin.fixtures import (
    _api_watch,
    api_cassette_config,
    api_cassette_dir,
    api_client,
    api_client_class,
    api_client_config,
    api_fault_replay,
    async_api_client,
    async_api_client_class,
    http_cassette,
    http_faults,
    make_api_client,
    make_async_api_client,
    make_mock_server,
    make_virtual_clock,
    mock_server,
    mock_server_config,
    mock_server_session,
    virtual_clock,
)
from pytest_plugin.markers import add_markers
from pytest_plugin.summary import Session
from pytest_plugin.watch import kept

__all__ = [
    "_api_watch",
    "api_cassette_config",
    "api_cassette_dir",
    "api_client",
    "api_client_class",
    "api_client_config",
    "api_fault_replay",
    "async_api_client",
    "async_api_client_class",
    "http_cassette",
    "http_faults",
    "make_api_client",
    "make_async_api_client",
    "make_mock_server",
    "make_virtual_clock",
    "mock_server",
    "mock_server_config",
    "mock_server_session",
    "virtual_clock",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell of our options, all of which begin with `--api-` or `api_`."""
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check what was given, and be ready for the run."""
    options.check_options(config)
    add_markers(config)
    config.pluginmanager.register(Session(config), "rest_api_client_session")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Hand a virtual clock to whoever runs an async test."""
    watch = kept(item)
    if watch is not None and watch.clock is not None:
        from pytest_plugin.looped import hand_clock

        hand_clock(item, watch.clock)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run async tests that have a virtual clock."""
    watch = kept(pyfuncitem)
    if watch is None or watch.clock is None:
        return None
    from pytest_plugin.looped import run_virtually

    return run_virtually(pyfuncitem, watch, watch.clock)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a failed test show its timeline."""
    report = yield
    watch = kept(item)
    if watch is not None:
        from pytest_plugin.report import tell

        tell(watch, report)
    elif call.excinfo is not None and item.config.getoption("--api-report") is not None:
        from pytest_plugin.report import tell_rehearsal

        tell_rehearsal(call.excinfo.value, report)
    return report
