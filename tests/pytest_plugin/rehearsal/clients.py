"""A small client that does it right, and six that each get one thing wrong, as people do."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from pytest_plugin.rehearsal import Backstage

RETRYABLE = frozenset({429, 500, 502, 503, 504})
DEADLINE = 20.0


class CircuitOpen(httpx.TransportError):
    """Not sent: the breaker is open."""


class Careful:
    """httpx with three attempts, full jitter, a retry budget, Retry-After, a deadline, permits and a breaker."""

    attempts = 3
    opens_after = 3
    rests = 5.0

    def __init__(self, stage: Backstage) -> None:
        transport = stage.async_httpx_transport()
        self._http = httpx.AsyncClient(base_url=stage.url, transport=transport, timeout=5.0)
        self._random = stage.random
        self._now = stage.clock.monotonic
        self._not_before: dict[tuple[str, str], float] = {}
        self._permits = asyncio.Semaphore(100)
        self._budget = 3.0
        self._failures = 0
        self._open_until = 0.0
        self._probing = False
        self.held = 0

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call."""
        try:
            async with self.in_time():
                return await self._call(method, path, options)
        except TimeoutError as error:
            raise httpx.ReadTimeout("the deadline passed") from error

    def in_time(self) -> Any:
        return asyncio.timeout(DEADLINE)

    async def _call(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        self._budget = min(10.0, self._budget + 0.1)
        for attempt in range(1, self.attempts + 1):
            while (wait := self._not_before.get((method, path), 0.0) - self._now()) > 1e-6:  # noqa: ASYNC110  a time, no event
                await asyncio.sleep(wait)  # and look again: others may have been told more meanwhile
            final = attempt == self.attempts
            try:
                response = await self._guarded(method, path, options)
            except httpx.HTTPError as error:
                if final or isinstance(error, CircuitOpen) or not self.may_repeat(method, error) or not self.afford():
                    raise
            else:
                self._pace(method, path, response)
                if final or response.status_code not in RETRYABLE or not self.idempotent(method) or not self.afford():
                    return response
            await asyncio.sleep(self._random.uniform(0.1, 2.0**attempt))
        raise AssertionError("the last attempt returns or raises")

    def _pace(self, method: str, path: str, response: httpx.Response) -> None:
        asked = response.headers.get("retry-after")
        if asked is not None:
            until = self._now() + self.believed(float(asked))
            self._not_before[method, path] = max(until, self._not_before.get((method, path), 0.0))

    def believed(self, asked: float) -> float:
        return asked

    def idempotent(self, method: str) -> bool:
        return method == "GET"

    def may_repeat(self, method: str, error: httpx.HTTPError) -> bool:
        return self.idempotent(method)

    def afford(self) -> bool:
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

    async def _guarded(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        probe = self._failures >= self.opens_after
        if probe and (self._probing or self._now() < self._open_until):
            raise CircuitOpen("the breaker is open")
        self._probing = probe
        try:
            response = await self.permitted(method, path, options)
        except httpx.HTTPError:
            self._failed()
            self.probed()
            raise
        except BaseException:
            self._probing = False
            raise
        self._probing = False
        if response.status_code >= 500:
            self._failed()
        else:
            self._failures = 0
        return response

    def probed(self) -> None:
        self._probing = False

    def _failed(self) -> None:
        self._failures += 1
        self._open_until = self._now() + self.rests

    async def permitted(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        async with self._permits:
            self.held += 1
            try:
                return await self._http.request(method, path, **options)
            finally:
                self.held -= 1


class RepeatsPosts(Careful):
    """POST is retried after a reset."""

    def may_repeat(self, method: str, error: httpx.HTTPError) -> bool:
        return True


class CapsRetryAfter(Careful):
    """Waits are capped, those that the server asked for too."""

    def believed(self, asked: float) -> float:
        return min(asked, 3.0)


class NoBudget(Careful):
    """Each call has its own five attempts, whatever the others go through; and no breaker to stop them."""

    attempts = 5
    opens_after = 10**9

    def afford(self) -> bool:
        return True


class IgnoresDeadline(Careful):
    """The deadline is looked at by nobody."""

    def in_time(self) -> Any:
        return asyncio.timeout(None)


class LeaksOnCancel(Careful):
    """The permit comes back when the request ends or fails; a cancellation is neither."""

    async def permitted(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        await self._permits.acquire()
        self.held += 1
        try:
            response = await self._http.request(method, path, **options)
        except Exception:
            self._give_back()
            raise
        self._give_back()
        return response

    def _give_back(self) -> None:
        self.held -= 1
        self._permits.release()


class WedgesBreaker(Careful):
    """A probe that fails by an error is never over, and no other is let through."""

    opens_after = 2

    def probed(self) -> None:
        pass
