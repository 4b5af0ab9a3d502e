"""What marks on a test say. Marks farther out (module, class) are overlaid by nearer ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

MARKERS = (
    (
        "api_cassette(name=None, *, patched=False, **options): record the test's traffic, or play it; options of "
        "use_cassette. patched=True plays to requests, httpx, aiohttp ... through vcrpy"
    ),
    (
        "api_faults(fault, **options): what goes wrong on mock_server: a fault with the options of FaultRule "
        "('error(503)', first=2), a FaultRule, a Plan, or a plan's line"
    ),
    "api_client(client_class=None, **options): options of api_client and async_api_client",
    "api_allow_network(*addresses): let the test use the real network, or only these of it: '127.0.0.1:5432'",
)


def add_markers(config: pytest.Config) -> None:
    """Register them, for --strict-markers and --markers."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)


def outermost_first(node: pytest.Item, name: str) -> Iterator[pytest.Mark]:
    """The marks of that name, the test's own last."""
    return reversed(list(node.iter_markers(name)))


def merged(node: pytest.Item, name: str, most: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional arguments of the nearest mark that has any, and all keywords, nearer ones first.

    Raises:
        UsageError: more positional arguments than `most`.
    """
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = {}
    for mark in outermost_first(node, name):
        if len(mark.args) > most:
            raise pytest.UsageError(
                f"{node.nodeid}: @pytest.mark.{name} takes at most {most} positional argument, not {len(mark.args)}"
            )
        arguments = mark.args or arguments
        options |= mark.kwargs
    return arguments, options
