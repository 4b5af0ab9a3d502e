"""Hooks that are called for every test: registered only in a run that has tests to watch, or that writes a page."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from pytest_plugin.watch import kept


def attend(config: pytest.Config) -> None:
    """Be called for every test from now on. Does nothing the second time."""
    name = "rest_api_client_during"
    if not config.pluginmanager.hasplugin(name):
        config.pluginmanager.register(sys.modules[__name__], name)


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
