"""Several pieces of work at once, under any runtime: threads for a sync one, tasks for the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from rest_api_client.runtime import Runtime


async def together(runtime: Runtime, *works: tuple[Callable[..., Awaitable[Any]], Any]) -> list[Any]:
    """Start each (function, argument) in turn, wait for all, and give their results or errors in that order."""
    with runtime.clock.hold():
        tasks = [runtime.spawn(function, argument) for function, argument in works]
    return [await _result(task) for task in tasks]


async def _result(task: Any) -> Any:
    try:
        return await task.join()
    except Exception as error:
        return error
