"""A chain of policies over scripted servers, for the tests of policies: no client, no socket, virtual time."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from rest_api_client.context import Call, CallOptions, Context
from rest_api_client.engines.scripted import Answer, ScriptedTransport
from rest_api_client.events import Event
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Pipeline, Policy
from rest_api_client.policies.reading import Read
from rest_api_client.runtime import Runtime
from rest_api_client.script import Script


def a_request(method: str = "GET", url: str = "https://api.test/things", **fields: Any) -> Request:
    """A request as a client would build it; `headers` may be a plain dict."""
    headers = Headers(fields.pop("headers", None))
    return Request(method=method, url=URL.parse(url), headers=headers, **fields)


class Chain:
    """Policies over a transport, with what happened: `events`, and `call` for the latest call."""

    def __init__(
        self, runtime: Runtime, policies: Iterable[Policy], scripts: Script | Iterable[Script] | Answer
    ) -> None:
        self.runtime = runtime
        self.server = ScriptedTransport(scripts, runtime=runtime)
        self.pipeline = Pipeline([*policies, Read()], self.server, runtime)
        self.events: list[Event] = []
        self.random = random.Random(7)
        self.call: Call | None = None

    async def send(self, request: Request | None = None, **options: Any) -> Response:
        """One logical call."""
        call = self.call = Call(self.runtime, self.random, options=CallOptions(**options), emit=self.events.append)
        return await self.pipeline(request or a_request(), Context(call))

    @property
    def arrivals(self) -> list[float]:
        """When the server had each request."""
        return [arrival.at for arrival in self.server.requests]

    @property
    def decisions(self) -> list[str]:
        """What the retry policy made of each attempt of the latest call."""
        assert self.call is not None
        return [attempt.decision for attempt in self.call.attempts]
