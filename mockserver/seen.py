"""A request as the server saw it: pure data, whichever way it came in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from urllib.parse import parse_qsl

from rest_api_client.lazy_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request.

    Attributes:
        method: as sent.
        path: without the query, percent-decoded.
        query: as sent, without the question mark.
        fields: the header fields in the order they came, their names in lower case.
        body: all of it; empty while only the head has been received.
        scheme: "http" or "https".
        client: the address it came from, without the port.
        connection: a number for the connection it came on; 0 where there is none (in process).
    """

    method: str
    path: str
    query: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    scheme: str = "http"
    client: str = "127.0.0.1"
    connection: int = 0

    def __init__(
        self,
        *,
        method: str,
        path: str,
        query: str = "",
        fields: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        scheme: str = "http",
        client: str = "127.0.0.1",
        connection: int = 0,
    ) -> None:
        own = vars(self)  # made for every request, and this is less than half of what a frozen dataclass does
        own["method"], own["path"], own["query"] = method, path, query
        own["fields"], own["body"] = fields, body
        own["scheme"], own["client"], own["connection"] = scheme, client, connection

    def header(self, name: str) -> str | None:
        """The value of a header field, by its name in lower case; several are joined by ", "; None without any."""
        values = self.headers.get(name)
        return None if values is None else ", ".join(values)

    @cached_property
    def headers(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each header field, by its name in lower case."""
        found: dict[str, tuple[str, ...]] = {}
        for name, value in self.fields:
            found[name] = (*found.get(name, ()), value)
        return MappingProxyType(found)

    @cached_property
    def params(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each query parameter, decoded."""
        found: dict[str, tuple[str, ...]] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            found[name] = (*found.get(name, ()), value)
        return MappingProxyType(found)

    @cached_property
    def cookies(self) -> Mapping[str, str]:
        """The cookies it brought; none where they cannot be read."""
        from http.cookies import CookieError, SimpleCookie  # few requests are asked for theirs

        try:
            jar = SimpleCookie(self.header("cookie") or "")
        except CookieError:
            return MappingProxyType({})
        return MappingProxyType({name: morsel.value for name, morsel in jar.items()})

    @cached_property
    def json(self) -> object:
        """The body read as JSON.

        Raises:
            ValueError: it is none, or nested too deeply.
        """
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("the body is nested too deeply") from error

    @property
    def target(self) -> str:
        """Path and query, for people to read."""
        return f"{self.path}?{self.query}" if self.query else self.path
