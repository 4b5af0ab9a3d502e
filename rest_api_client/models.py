"""The values a call is made of: what is asked, what came back, and what happened in between.

They are light and slotted. A policy changes a request by `request.replace(...)`; nothing shares a mutable part. A
response is buffered (its `content` is there) unless the call asked for a stream, and carries the body still unread
while it travels up the chain.
"""

from __future__ import annotations

import dataclasses
import json
import re
from contextlib import suppress
from dataclasses import field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, overload

from rest_api_client.exceptions import (
    ClosedError,
    ConfigurationError,
    DecodeError,
    Side,
    StatusError,
    status_error_class,
)
from rest_api_client.http.bodies import EMPTY, Body
from rest_api_client.http.content_types import charset, media_type
from rest_api_client.http.headers import Headers, HeaderTypes
from rest_api_client.http.problems import Problem, one_line
from rest_api_client.http.rate_limit_fields import asked_wait
from rest_api_client.http.redaction import body_start, redact_url
from rest_api_client.http.serializers import JSON_SERIALIZER, Serializer, convert
from rest_api_client.http.urls import URL, Origin
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.reasons import IN_FLIGHT, OK, RETURN

if TYPE_CHECKING:
    from rest_api_client.http.links import Link
    from rest_api_client.transport import ByteStream, Exchange

__all__ = ["IDEMPOTENT_METHODS", "Attempt", "Note", "Request", "Response", "charset", "media_type"]

T = TypeVar("T")

_is_method = lru_cache(maxsize=64)(re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch)
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"})
"""RFC 9110, section 9.2.2, and the QUERY method's own specification."""
IDEMPOTENCY_KEY = "Idempotency-Key"
"""The field that carries the key by which a server recognises a repeat, where a call names no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, ready to be sent.

    Attributes:
        method: upper-case as given; a token (RFC 9110, section 9.1).
        url: absolute and encoded.
        headers: the fields this call sends, checked.
        body: bytes, replayable or one-shot (`http.bodies`).
        template: the path as the caller wrote it ("/users/{id}"), the name under which this request is counted.
        home: the origins that this call's credentials belong to; anywhere else it goes without them.
        key_header: the name of the field that carries its idempotency key, where it has one.
    """

    method: str
    url: URL
    headers: Headers = field(default_factory=Headers)
    body: Body = EMPTY
    template: str | None = None
    home: frozenset[Origin] = frozenset()
    key_header: str = IDEMPOTENCY_KEY

    def __post_init__(self) -> None:
        method = self.method
        if not isinstance(method, str) or not _is_method(method):
            raise ConfigurationError(f"method {self.method!r} is not a token: use letters, for example GET or PURGE")
        if not isinstance(self.url, URL):
            raise ConfigurationError(f"Request(url={type(self.url).__name__}): give a URL, as URL.parse('https://...')")
        if not isinstance(self.headers, Headers):
            raise ConfigurationError(f"Request(headers={type(self.headers).__name__}): give Headers({{...}})")
        if not hasattr(self.body, "replayable"):
            raise ConfigurationError(f"Request(body={type(self.body).__name__}): give a body, as BytesBody(b'...')")

    def replace(self, **changes: Any) -> Request:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def with_headers(self, headers: HeaderTypes | None = None, /, **fields: str) -> Request:
        """A copy with header fields set, by a mapping or by keywords, whose underscores stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        return self.replace(headers=self.headers.merged(headers).merged(named))

    @property
    def at_home(self) -> bool:
        """Whether the request goes to an origin that its credentials belong to."""
        return self.url.origin in self.home

    @property
    def idempotent(self) -> bool:
        """Whether sending it twice does what sending it once does (RFC 9110, section 9.2.2)."""
        return self.method in IDEMPOTENT_METHODS

    @property
    def idempotency_key(self) -> str | None:
        """The key by which the server recognises a repeat, where the request carries one."""
        return self.headers.get(self.key_header) or None

    @property
    def label(self) -> str:
        """Method and masked URL, for people."""
        return f"{self.method} {redact_url(str(self.url))}"

    def __repr__(self) -> str:
        return f"<Request {self.label}>"


@dataclass(frozen=True, slots=True)
class Note:
    """One decision that a policy made about an attempt.

    Attributes:
        policy: who made it.
        reason: a fixed word or two ("rate limit", "probe", "hedge lost" ...).
        wait: seconds it held the attempt back.
    """

    policy: str
    reason: str
    wait: float = 0.0


class _Sent:
    """Where an attempt went: few ever read that, so it is masked and written out when somebody does."""

    sent_to: URL | None = None

    def __getattr__(self, name: str) -> str:
        if name != "url":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.url = "" if self.sent_to is None else redact_url(str(self.sent_to))
        return self.url


@dataclass(kw_only=True)
class Attempt(_Sent):
    """One request that was put on the wire, or that the chain stopped just before.

    Written while the call runs; what `response.attempts` gives is finished.

    Attributes:
        number: counts from 1; a resend for authentication or a redirect has a number of its own.
        started: seconds after the call began.
        elapsed: seconds until its answer was complete (or its head, for a stream) or it failed.
        status_code: the answer's status, or None.
        error: the class name of the error that ended it, or None.
        reason: why it ended so, in a fixed vocabulary ("ok", "status 503", "read timeout" ...).
        decision: what the retry policy made of it ("return", "retry", or why not).
        delay: seconds until the next attempt, where there is one.
        sent: bytes of the request that left the machine.
        url: where it went, masked.
        peer: address and port of the other end, where the engine tells.
        http_version: "HTTP/1.1", "HTTP/2" or None.
        notes: what policies decided about it: held it back, let it pass as a probe, answered in its place.
    """

    number: int
    started: float
    elapsed: float
    url: str
    status_code: int | None = None
    error: str | None = None
    reason: str = OK
    decision: str = RETURN
    delay: float | None = None
    sent: int = 0
    peer: str | None = None
    http_version: str | None = None
    notes: tuple[Note, ...] = ()

    @classmethod
    def begun(cls, number: int, started: float) -> Attempt:
        """A record of what has just begun. Only what is known is set; the rest are the class's defaults."""
        record = cls.__new__(cls)
        record.number, record.started = number, started
        record.elapsed, record.reason = 0.0, IN_FLIGHT
        return record


class Response:
    """What came back.

    Attributes:
        status_code: the status.
        reason: the reason phrase, "" where the protocol has none.
        headers: the fields as received.
        request: the request this answers (after redirects: the last one).
        http_version: "HTTP/1.1", "HTTP/2", or None where the engine does not tell.
        stream: the body while it is unread, else None.
        exchange: the attempt that it came by, as the engine saw it; None where no engine did.
        elapsed: seconds from the start of the call to the end of the body (of the head, for a stream), waits included.
        history: the redirects that led here, oldest first.
        attempts: one record per request put on the wire for this call.
    """

    __slots__ = (
        "_content",
        "_parsed",
        "_retry_after",
        "attempts",
        "elapsed",
        "exchange",
        "headers",
        "history",
        "http_version",
        "raw_size",
        "reason",
        "received_at",
        "request",
        "sent_at",
        "serializer",
        "status_code",
        "stream",
    )

    def __init__(
        self,
        status_code: int,
        *,
        headers: Headers | None = None,
        content: bytes | None = None,
        stream: ByteStream | None = None,
        request: Request | None = None,
        reason: str = "",
        http_version: str | None = None,
    ) -> None:
        self.status_code = status_code
        self.headers = headers if headers is not None else Headers()
        self.request = request
        self.reason = reason
        self.http_version = http_version
        self.stream = stream
        self.exchange: Exchange | None = None
        self.serializer: Serializer = JSON_SERIALIZER
        self.elapsed = 0.0
        self.history: tuple[Response, ...] = ()
        self.attempts: tuple[Attempt, ...] = ()
        self.sent_at = 0.0
        self.received_at = 0.0
        self.raw_size = 0
        self._content = content if content is not None or stream is not None else b""
        self._parsed: Any = _UNPARSED
        self._retry_after: float | None = None

    @property
    def content(self) -> bytes:
        """The decoded body.

        Raises:
            ClosedError: the call asked for a stream and the body was not read.
        """
        if self._content is None:
            raise ClosedError("the body was not read: call read() inside the `with client.stream(...)` block")
        return self._content

    def fill(self, content: bytes) -> None:
        """Take the whole decoded body; the stream is used up."""
        self._content = content
        self._parsed = _UNPARSED
        self.stream = None

    @property
    def buffered(self) -> bool:
        """Whether the body is here."""
        return self._content is not None

    @property
    def encoding(self) -> str:
        """The charset of the content type, if Python knows it, else UTF-8."""
        return charset(self.headers.get("content-type"))

    @property
    def text(self) -> str:
        """The body as text; bytes that do not fit the charset become U+FFFD."""
        return self.content.decode(self.encoding, errors="replace")

    @property
    def data(self) -> Any:
        """The body as its content type says: parsed JSON, text, bytes for the rest; None where there is none.

        What the client's serializer writes, it reads too, JSON or not.

        Raises:
            DecodeError: the content type says JSON and the body is not.
            ClosedError: the call asked for a stream and the body was not read.
        """
        if self._parsed is _UNPARSED:
            self._parsed = self._parse()
        return self._parsed

    def _parse(self) -> Any:
        if not self.content or self.status_code == 204 or (self.request and self.request.method == "HEAD"):
            return None
        kind = media_type(self.headers.get("content-type"))
        if kind in {"application/json", media_type(self.serializer.content_type)} or kind.endswith("+json"):
            return self.json()
        return self.text if kind.startswith("text/") or kind == "application/xml" else self.content

    def json(self) -> Any:
        """The body parsed by the client's serializer, as JSON unless it was given another, whatever its content type.

        Raises:
            DecodeError: the body is no JSON; the message shows where.
            ClosedError: the call asked for a stream and the body was not read.
        """
        try:
            return self.serializer.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise DecodeError(
                f"{self._label}: the body is no JSON ({one_line(str(error))}); "
                f"it starts with {body_start(self.content)}",
                request=self.request,
                response=self,
            ) from error

    @overload
    def parse(self, kind: type[T]) -> T: ...

    @overload
    def parse(self, kind: Any) -> Any: ...

    def parse(self, kind: Any) -> Any:
        """The body as a dataclass, TypedDict, list of these ... or, where installed, a pydantic or msgspec type.

        Raises:
            DecodeError: the body does not fit the type; the message names the field.
            ConfigurationError: the type is of no kind that can be parsed into.
        """
        try:
            return convert(self.json(), kind)
        except ConfigurationError:
            raise
        except ValueError as error:
            raise DecodeError(f"{self._label}: {error}", request=self.request, response=self) from error

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < 400

    @property
    def url(self) -> str:
        """Where the answer came from, after redirects."""
        return str(self.request.url) if self.request is not None else ""

    @property
    def cookies(self) -> dict[str, str]:
        """Names and values of the cookies this answer sets."""
        pairs = (value.partition(";")[0].partition("=") for value in self.headers.get_list("set-cookie"))
        return {name.strip(): value.strip() for name, equals, value in pairs if equals}

    @property
    def links(self) -> dict[str, Link]:
        """The answer's links by relation (RFC 8288), absolute: `response.links["next"].url`.

        The first of each relation; links with an `anchor` are left out, since they speak of another resource.
        """
        from rest_api_client.http.links import parse_link_header  # few ask

        found: dict[str, Link] = {}
        for value in self.headers.get_list("link"):
            for link in parse_link_header(value):
                for relation in link.rel if "anchor" not in link.params else ():
                    found.setdefault(relation, self._absolute(link))
        return found

    def _absolute(self, link: Link) -> Link:
        with suppress(ConfigurationError):
            return replace(link, url=str(self.request.url.resolve(link.url))) if self.request is not None else link
        return link

    @property
    def is_redirect(self) -> bool:
        """Whether this is a redirect that could be followed."""
        return self.status_code in {301, 302, 303, 307, 308} and "location" in self.headers

    @property
    def problem(self) -> Problem | None:
        """The answer's problem details (RFC 9457), or None where it has none."""
        if self._content is None or media_type(self.headers.get("content-type")) != "application/problem+json":
            return None
        try:
            return Problem.read(json.loads(self._content))
        except (ValueError, RecursionError):
            return None

    def raise_for_status(self) -> Response:
        """Return this response, or raise what its status stands for.

        Raises:
            StatusError: 4xx or 5xx; the subclass says which.
        """
        if self.status_code >= 400:
            raise self.error()
        return self

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asked to wait, counted from the answer's arrival, or None.

        What the client obeys: Retry-After (RFC 9110, section 10.2.3) or `retry-after-ms`, a date read against the
        answer's own `Date`; and whatever else its classifier found, as the reset of a quota of which nothing is left.
        """
        return asked_wait(self.headers, self.received_at) if self._retry_after is None else self._retry_after

    @retry_after.setter
    def retry_after(self, seconds: float | None) -> None:
        self._retry_after = seconds

    def error(self) -> StatusError:
        """The exception this 4xx or 5xx answer stands for."""
        problem = self.problem
        detail = (problem.detail or problem.title) if problem else None
        message = f"{self._label}{': ' + one_line(detail) if detail else ''}"
        error = status_error_class(self.status_code)(message, request=self.request, response=self)
        error.attempts = self.attempts
        error.retry_after = self.retry_after
        return error

    @property
    def side(self) -> Side:
        """Whose failure the status reports."""
        return "server" if self.status_code >= 500 else "ours"

    @property
    def _label(self) -> str:
        asked = self.request.label if self.request is not None else "response"
        return f"{asked}: {self.status_code} {one_line(self.reason)}".rstrip()

    def __repr__(self) -> str:
        return f"<Response {self._label}>"

    def __getstate__(self) -> dict[str, Any]:
        """All but the unread body and its exchange: a connection cannot be pickled."""
        kept = {name: getattr(self, name) for name in self.__slots__ if name not in _LOCAL}
        return kept | {"stream": None, "exchange": None, "_parsed": _UNPARSED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


_LOCAL = frozenset({"stream", "exchange", "_parsed"})


class _Unparsed:
    def __reduce__(self) -> str:
        return "_UNPARSED"


_UNPARSED = _Unparsed()
