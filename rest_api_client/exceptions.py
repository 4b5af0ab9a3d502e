"""Every way a call can end badly, as one tree.

    APIError
    |-- ConfigurationError (ValueError)     ours: an option or argument that cannot work; nothing was sent
    |   `-- CapabilityError                 the chosen engine cannot do what was asked
    |-- ClosedError                         ours: the client, or the body that was asked for, is closed or used up
    |-- HookError                           ours: a hook, middleware or auth plugin gave back something unusable
    |-- TransportError                      the network's: no (whole) answer came
    |   |-- ConnectError                    no connection: name, route, refusal, TLS
    |   |   |-- NameResolutionError
    |   |   |-- TLSError
    |   |   `-- ProxyError
    |   |-- ReadError                       the connection broke while the answer was awaited or read
    |   |-- WriteError                      the connection broke while the request was written
    |   |-- RemoteProtocolError             what came is not HTTP
    |   `-- RequestTimeout (TimeoutError)   one phase took longer than its own limit
    |       |-- ConnectTimeout
    |       |-- ReadTimeout
    |       |-- WriteTimeout
    |       `-- PoolTimeout                 no free connection in time
    |-- DeadlineExceeded (TimeoutError)     the whole call's time is used up
    |-- RefusedError                        ours: a policy did not let the call through
    |   |-- CircuitOpenError
    |   |-- RateLimitExceeded               the client's own limit; the server's is RateLimitError
    |   `-- BulkheadFull                    too many calls at once, and no room to wait
    |       `-- LoadShed                    its place in the queue went to something more important
    |-- RedirectError                       a redirect that cannot or must not be followed
    |   `-- TooManyRedirects
    |-- DecodeError                         the answer came whole, but cannot be read as what it says it is
    |-- ResponseTooLarge                    the answer is larger than the client accepts
    `-- StatusError                         the server's: a 4xx or 5xx answer
        |-- ClientError                     4xx
        |   |-- BadRequestError             400
        |   |-- AuthenticationError         401
        |   |-- PermissionDeniedError       403
        |   |-- NotFoundError               404
        |   |-- ConflictError               409
        |   |-- ValidationError             422
        |   `-- RateLimitError              429
        `-- ServerError                     5xx

Each carries `request`, `response` (where there is one) and `attempts`, the history of what was sent; each survives
pickling and copying with its cause. Nothing in their text or repr shows a credential.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from rest_api_client.http.problems import Problem
    from rest_api_client.models import Attempt, Request, Response

Side = Literal["ours", "network", "server"]
Processed = Literal["yes", "no", "unknown"]


class APIError(Exception):
    """What every error of this library is.

    Attributes:
        request: the request that failed, as it was sent last, or None where none was built.
        response: the answer, where one came.
        attempts: one record per request put on the wire for this call, oldest first.
        side: whose failure it is: "ours", the "network"'s or the "server"'s.
    """

    side: ClassVar[Side] = "ours"

    def __init__(self, message: str = "", *, request: Request | None = None, response: Response | None = None) -> None:
        super().__init__(message)
        self.request = request
        self.response = response
        self.attempts: tuple[Attempt, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild without calling __init__, whose arguments a subclass is free to choose; the cause comes along."""
        links = {"__cause__": self.__cause__, "__suppress_context__": self.__suppress_context__}
        return _rebuild, (type(self), self.args, self.__dict__ | links)


def _rebuild(kind: type[APIError], args: tuple[object, ...], attributes: Mapping[str, object]) -> APIError:
    error = copyreg.__newobj__(kind, *args)  # type: ignore[attr-defined]
    error.args = args  # OSError, behind the timeouts, sets them in __init__ only
    for name, value in attributes.items():
        setattr(error, name, value)
    return error  # type: ignore[no-any-return]


class ConfigurationError(APIError, ValueError):
    """An option or an argument that cannot work. Raised before anything is sent; the message says what to do."""


class CapabilityError(ConfigurationError):
    """The chosen engine cannot do what was asked; `client.transport.capabilities` lists what it can."""


class ClosedError(APIError):
    """The client or the response body was used after it was closed or used up."""


class HookError(APIError):
    """A hook, a middleware or an auth plugin gave back something that cannot be used."""


class TransportError(APIError):
    """No whole answer came.

    Attributes:
        processed: "no" where the exchange proves that the server has not acted on the request, else "unknown". The
            class proves nothing: some engines report a request that was read whole as a connect timeout.
    """

    side: ClassVar[Side] = "network"
    processed: Processed = "unknown"


class ConnectError(TransportError):
    """No connection could be made."""


class NameResolutionError(ConnectError):
    """The host's name has no address."""


class TLSError(ConnectError):
    """The TLS handshake failed: certificate, host name or protocol."""


class ProxyError(ConnectError):
    """The proxy refused or broke the connection."""


class ReadError(TransportError):
    """The connection broke while the answer was awaited or read."""


class WriteError(TransportError):
    """The connection broke while the request was written."""


class RemoteProtocolError(TransportError):
    """The server's bytes are not HTTP, or it closed before the answer was complete."""


class RequestTimeout(TransportError, TimeoutError):
    """One phase of the exchange took longer than its limit (`Timeouts`)."""


class ConnectTimeout(RequestTimeout):
    """No connection within `Timeouts.connect` seconds."""


class ReadTimeout(RequestTimeout):
    """No byte of the answer for `Timeouts.read` seconds."""


class WriteTimeout(RequestTimeout):
    """No byte of the request accepted for `Timeouts.write` seconds."""


class PoolTimeout(RequestTimeout):
    """No free connection within `Timeouts.pool` seconds: all `max_connections` were in use. Nothing was sent."""

    side: ClassVar[Side] = "ours"
    processed: Processed = "no"


class DeadlineExceeded(APIError, TimeoutError):
    """The whole call, with its waits, retries, redirects and body, would take or took longer than its deadline."""

    side: ClassVar[Side] = "network"


class RefusedError(APIError):
    """A policy of this client did not let the call through; nothing was sent.

    Attributes:
        retry_after: seconds until another call may be let through, where that is known.
    """

    retry_after: float | None = None


class CircuitOpenError(RefusedError):
    """The circuit breaker is open: the server failed too often lately."""


class RateLimitExceeded(RefusedError):
    """The client's own rate limit would make this call wait longer than it may."""


class BulkheadFull(RefusedError):
    """As many calls as allowed are under way, and the queue is full or the wait would be too long."""


class LoadShed(BulkheadFull):
    """The call waited for its turn, and had to make room for a more important one."""


class RedirectError(APIError):
    """A redirect that cannot be followed (no target, a one-shot body) or must not be (a body to another origin)."""

    side: ClassVar[Side] = "server"


class TooManyRedirects(RedirectError):
    """More redirects than `max_redirects`, or a loop."""


class DecodeError(APIError):
    """The body is not what its headers or the caller's type say."""

    side: ClassVar[Side] = "server"


class ResponseTooLarge(APIError):
    """The body, once decoded, is larger than the client accepts; the rest was not read."""

    side: ClassVar[Side] = "server"


class StatusError(APIError):
    """The server answered 4xx or 5xx.

    Attributes:
        status_code: the answer's status.
        problem: the answer's RFC 9457 problem details, or None.
        retry_after: seconds the server asked to wait, counted from the answer's arrival, or None.
    """

    retry_after: float | None = None
    side: ClassVar[Side] = "server"

    def __init__(self, message: str = "", *, request: Request | None = None, response: Response | None = None) -> None:
        super().__init__(message, request=request, response=response)
        self.status_code = response.status_code if response is not None else 0
        self.problem: Problem | None = response.problem if response is not None else None


class ClientError(StatusError):
    """4xx: the server refuses this request; the same request will be refused again."""

    side: ClassVar[Side] = "ours"


class BadRequestError(ClientError):
    """400."""


class AuthenticationError(ClientError):
    """401: no credentials, or credentials that the server does not accept."""


class PermissionDeniedError(ClientError):
    """403."""


class NotFoundError(ClientError):
    """404."""


class ConflictError(ClientError):
    """409."""


class ValidationError(ClientError):
    """422: the body was understood, its content refused."""


class RateLimitError(ClientError):
    """429: the server's rate limit. `retry_after` says when to come back, if the server did."""


class ServerError(StatusError):
    """5xx: the server failed."""


_BY_STATUS: dict[int, type[StatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationError,
    429: RateLimitError,
}


def status_error_class(status_code: int) -> type[StatusError]:
    """The class raised for a 4xx or 5xx status."""
    return _BY_STATUS.get(status_code) or (ServerError if status_code >= 500 else ClientError)
