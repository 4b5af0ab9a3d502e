"""The application without a server, on a clock that the test moves: requests are performed by hand."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from mockserver.asgi import perform
from mockserver.resources import application
from mockserver.seen import Seen
from rest_api_client.http.headers import Headers
from rest_api_client.script import Chunk, Head, Script


@dataclass
class Answer:
    """What came back."""

    script: Script

    @property
    def head(self) -> Head:
        return next(step for step in self.script.steps if isinstance(step, Head))

    @property
    def status(self) -> int:
        return self.head.status

    @property
    def headers(self) -> Headers:
        return Headers(self.head.headers)

    @property
    def body(self) -> bytes:
        return b"".join(step.data for step in self.script.steps if isinstance(step, Chunk))

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    @property
    def links(self) -> dict[str, str]:
        parts = [part.split("; ") for part in self.headers["link"].split(", ")]
        return {rel.removeprefix('rel="').rstrip('"'): url.strip("<>") for url, rel in parts}


class Site:
    """One application."""

    def __init__(self, resources: dict[str, int] | None = None, **options: Any) -> None:
        self.now = 1000.0
        self.wall = 1_800_000_000.0
        sizes = {"users": 10, "orders": 5} if resources is None else resources
        self.app = application(sizes, now=lambda: self.now, wall=lambda: self.wall, **options)

    def ask(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
        *,
        json: Any = None,
        form: Any = None,
        body: bytes = b"",
        basic: str | None = None,
    ) -> Answer:
        fields = [*(headers.items() if isinstance(headers, dict) else headers or ())]
        if json is not None:
            fields, body = [*fields, ("content-type", "application/json")], dump(json)
        if form is not None:
            fields, body = [*fields, ("content-type", "application/x-www-form-urlencoded")], urlencode(form).encode()
        if basic is not None:
            fields.append(("authorization", f"Basic {base64.b64encode(basic.encode()).decode()}"))
        parts = urlsplit(target)
        fields.append(("host", "site.test"))
        return Answer(
            perform(self.app, Seen(method=method, path=parts.path, query=parts.query, fields=tuple(fields), body=body))
        )

    def get(self, target: str, headers: Any = None, **options: Any) -> Answer:
        return self.ask("GET", target, headers, **options)


def dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
