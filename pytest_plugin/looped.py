"""Async tests in virtual time: whoever runs them, their loop keeps the test's clock.

An `async def` test with `virtual_clock` and no async plugin's mark is run here, on asyncio. One that is marked `anyio`
or `trio` stays with its plugin, which is given the clock by the means it has for that. pytest-asyncio offers none for a
single test, so its tests are run here as well; its async fixtures keep their own loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

import pytest

from pytest_plugin.watch import Watch
from rest_api_client.virtual.clock import VirtualClock


def hand_clock(item: pytest.Item, clock: VirtualClock) -> None:
    """Tell anyio's plugin and pytest-trio, before they look, by what clock this test goes."""
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    backend = arguments.get("anyio_backend")
    if isinstance(backend, str):
        arguments["anyio_backend"] = (backend, clock.backend_options(backend))
    if item.get_closest_marker("trio") is not None:

        def run(function: Callable[[], Awaitable[Any]], **_: Any) -> Any:
            return clock.run_trio(function)

        item.add_marker(pytest.mark.trio(run=run), append=False)


def run_virtually(item: pytest.Function, watch: Watch, clock: VirtualClock) -> bool | None:
    """Run the test where it is ours to run; None leaves it to the others."""
    others = "anyio_backend" in item.funcargs or item.get_closest_marker("trio") is not None
    if others or not iscoroutinefunction(watch.function):
        return None
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # noqa: SLF001  as all runners do

    clock.run_asyncio(partial(watch.function, **arguments))
    return True
