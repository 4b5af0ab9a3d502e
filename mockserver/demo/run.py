"""The client's side of the demo: the same work through the sync client on threads, and the async one on tasks.

`settings` is what a person would write who wants all of a job done, outages or not; the demo shows its source.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mockserver.demo.records import Record, Result, Witness
from rest_api_client.async_client import AsyncAPIClient
from rest_api_client.client import APIClient
from rest_api_client.config import APIConfig
from rest_api_client.connection import ConnectionOptions
from rest_api_client.exceptions import APIError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Response
from rest_api_client.options import RequestOptions
from rest_api_client.policies.backoff import ExponentialBackoff
from rest_api_client.policies.budget import RetryBudget
from rest_api_client.policies.circuit_breaker import CircuitBreaker
from rest_api_client.policies.retry import RetryConfig
from rest_api_client.telemetry import MetricsCollector

ORDER_EVERY = 25
"""One order among so many users."""


def settings(url: str, engine: str, workers: int) -> APIConfig:
    """What both clients are told."""
    return APIConfig(
        base_url=url,
        engine=engine,
        connection=ConnectionOptions(max_connections=workers, trust_env=False),  # no proxy on the way to oneself
        retry=RetryConfig(
            max_retries=8,  # a dead period costs a call two to five of them
            strategy=ExponentialBackoff(cap=1.0),
            budget=RetryBudget(ratio=1.0, burst=200),  # to lose nothing may cost more than a tenth on top
        ),
        circuit_breaker=CircuitBreaker(failure_ratio=0.8),  # one dead second is no reason to rest for five
        attempt_headers=True,  # x-call-id and x-attempt, so that the server's journal can be asked
        # The rest is as everybody has it: Retry-After is obeyed, the server's rate limit learned and kept.
    )


@dataclass(frozen=True, kw_only=True)
class Work:
    """One call to make, and how to tell whether its answer is the one that was wanted."""

    method: str
    url: str
    options: RequestOptions
    wanted: dict[str, Any]

    def __str__(self) -> str:
        values = self.options.get("path_params", {})
        return f"{self.method} {self.url.format_map(values)}" if values else f"{self.method} {self.url} {self.wanted}"

    def fault(self, data: object) -> str | None:
        """What is wrong with an answer's data, or None."""
        if isinstance(data, dict) and self.wanted.items() <= data.items():
            return None
        return f"the answer is {data!r:.80}"


def plan(users: int) -> list[Work]:
    """Every user to be fetched, and an order for every 25th of them."""
    work: list[Work] = []
    for number in range(1, users + 1):
        work.append(
            Work(method="GET", url="/users/{id}", options={"path_params": {"id": number}}, wanted={"id": number})
        )
        if number % ORDER_EVERY == 0:
            order = {"userId": number, "item": "a new umbrella", "quantity": 1}
            work.append(
                Work(method="POST", url="/orders", options={"json": order, "idempotency_key": True}, wanted=order)
            )
    return work


class Trial:
    """One client's run, noted down."""

    def __init__(self, client: str, work: Sequence[Work], on_change: Callable[..., None]) -> None:
        self.client = client
        self.work = work
        self.collector = MetricsCollector()
        self.witness = Witness(on_change)
        self._results: list[Result] = []
        self._began = time.monotonic()

    @property
    def events(self) -> list[Any]:
        """The sinks for the client under trial."""
        return [self.collector, self.witness]

    def note_answer(self, work: Work, response: Response) -> None:
        """The call ended well; its data may still be wrong."""
        self._results.append(Result(work=str(work), call=_call_of(response), error=work.fault(response.data)))

    def note_error(self, work: Work, error: APIError) -> None:
        """The call ended badly."""
        self._results.append(Result(work=str(work), call="", error=f"{type(error).__name__}: {error}"))

    def record(self) -> Record:
        """All of it, when the last call has ended."""
        return Record(
            client=self.client,
            work=tuple(map(str, self.work)),
            results=tuple(self._results),
            attempts=tuple(self.witness.attempts),
            durations=tuple(self.witness.durations),
            retries=dict(self.collector.retries),
            waited=self.collector.waited,
            seconds=time.monotonic() - self._began,
        )


def _call_of(response: Response) -> str:
    sent = response.request
    return sent.headers.get("x-call-id", "") if sent is not None else ""


def run_sync(trial: Trial, workers: int, config: APIConfig) -> Record:
    """All the work through one `APIClient`, shared by so many threads."""
    with APIClient(config, events=trial.events) as client:

        def do(work: Work) -> None:
            try:
                trial.note_answer(work, client.request(work.method, work.url, **work.options))
            except APIError as error:
                trial.note_error(work, error)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(do, trial.work))
    return trial.record()


def run_async(trial: Trial, workers: int, config: APIConfig) -> Record:
    """All the work through one `AsyncAPIClient`, shared by so many tasks."""
    return asyncio.run(_run_async(trial, workers, config))


async def _run_async(trial: Trial, workers: int, config: APIConfig) -> Record:
    async with AsyncAPIClient(config, events=trial.events) as client:
        waiting = iter(trial.work)

        async def do_some() -> None:
            for work in waiting:
                try:
                    trial.note_answer(work, await client.request(work.method, work.url, **work.options))
                except APIError as error:
                    trial.note_error(work, error)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(do_some())
    return trial.record()
