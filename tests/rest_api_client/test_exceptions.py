"""Errors travel: between processes, into copies, with everything they carry."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import TypeVar

import pytest

from rest_api_client import exceptions
from rest_api_client.exceptions import (
    APIError,
    CircuitOpenError,
    ClientError,
    ConfigurationError,
    DeadlineExceeded,
    PoolTimeout,
    RateLimitError,
    ReadTimeout,
    RequestTimeout,
    ServerError,
    StatusError,
    TransportError,
    status_error_class,
)
from rest_api_client.http.bodies import raw_body
from rest_api_client.http.headers import Headers
from rest_api_client.http.urls import URL
from rest_api_client.models import Attempt, Request, Response

EVERY_CLASS = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, APIError)]
REQUEST = Request(method="POST", url=URL.parse("https://api.test/users?token=hunter2"))
PROBLEM = b'{"title": "Out of credit", "balance": 30}'

ErrorT = TypeVar("ErrorT", bound=APIError)
Duplicate = Callable[[APIError], APIError]


def pickled(error: ErrorT) -> ErrorT:
    return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return]


class PaymentRequired(StatusError):
    """A user's error, made in its own way."""

    def __init__(self, amount: int, *, currency: str) -> None:
        super().__init__(f"pay {amount} {currency}")
        self.amount = amount
        self.currency = currency


def answer(status: int = 503) -> Response:
    headers = Headers({"content-type": "application/problem+json", "retry-after": "7"})
    return Response(status, headers=headers, content=PROBLEM, request=REQUEST)


def full(kind: type[ErrorT]) -> ErrorT:
    error = kind("what happened", request=REQUEST, response=answer())
    error.attempts = (Attempt(number=1, started=0.0, elapsed=0.5, url="https://api.test/"),)
    error.__cause__ = OSError(104, "reset by peer")
    error.add_note("seen in the night")
    return error


@pytest.mark.parametrize("duplicate", [pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", EVERY_CLASS)
def test_every_class_travels_whole(kind: type[APIError], duplicate: Duplicate) -> None:
    """A duplicate of any error has its class, text, cause, notes, request, response and attempts."""
    error = full(kind)
    twin = duplicate(error)
    assert twin is not error
    assert type(twin) is kind
    assert twin.args == ("what happened",)
    assert str(twin) == "what happened"
    assert isinstance(twin.__cause__, OSError)
    assert twin.__cause__.args == (104, "reset by peer")
    assert twin.__suppress_context__
    assert twin.__notes__ == ["seen in the night"]
    assert twin.request == REQUEST
    assert twin.response is not None
    assert twin.response.content == PROBLEM
    assert twin.attempts == error.attempts
    assert twin.side == error.side


@pytest.mark.parametrize("duplicate", [pickled, copy.copy, copy.deepcopy])
def test_a_subclass_with_its_own_arguments_travels(duplicate: Duplicate) -> None:
    """A user's subclass whose __init__ takes other arguments is rebuilt without calling it."""
    twin = duplicate(PaymentRequired(30, currency="EUR"))
    assert isinstance(twin, PaymentRequired)
    assert (twin.amount, twin.currency, str(twin)) == (30, "EUR", "pay 30 EUR")


def test_an_error_about_an_upload_travels() -> None:
    """A body that cannot leave the process does not keep its error from doing so."""
    request = REQUEST.replace(body=raw_body(chunk for chunk in (b"a", b"b")))
    twin = pickled(ReadTimeout("slow", request=request))
    assert twin.request is not None
    assert not twin.request.body.replayable
    with pytest.raises(exceptions.ClosedError, match="process"):
        twin.request.body.open()


@pytest.mark.parametrize("kind", [RequestTimeout, ReadTimeout, PoolTimeout, DeadlineExceeded])
def test_timeouts_are_builtin_timeouts(kind: type[APIError]) -> None:
    """Code that catches TimeoutError catches ours, and sees the message."""
    with pytest.raises(TimeoutError, match=r"^slow$"):
        raise kind("slow")


def test_a_configuration_error_is_a_value_error() -> None:
    """Code that validates with ValueError works with ours."""
    assert issubclass(ConfigurationError, ValueError)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"), (401, "AuthenticationError"), (402, "ClientError"), (403, "PermissionDeniedError"),
        (404, "NotFoundError"), (409, "ConflictError"), (422, "ValidationError"), (429, "RateLimitError"),
        (499, "ClientError"), (500, "ServerError"), (599, "ServerError"), (999, "ServerError"),
    ],
)  # fmt: skip
def test_a_status_has_its_class(status: int, name: str) -> None:
    """Each 4xx and 5xx status raises the class that the tree names for it."""
    kind = status_error_class(status)
    assert kind.__name__ == name
    assert issubclass(kind, ServerError if status >= 500 else ClientError)


def test_a_status_error_shows_status_and_problem() -> None:
    """The answer's status and problem details stand on the error itself."""
    error = answer(429).error()
    assert isinstance(error, RateLimitError)
    assert (error.status_code, error.retry_after) == (429, 7.0)
    assert error.problem is not None
    assert error.problem.extensions == {"balance": 30}
    assert pickled(error).problem == error.problem


def test_a_status_error_without_a_response_is_harmless() -> None:
    """A status error made by hand has status 0 and no problem."""
    error = StatusError("odd")
    assert (error.status_code, error.problem, error.response) == (0, None, None)


def test_the_attributes_have_defaults() -> None:
    """What an engine does not know is said as unknown."""
    assert TransportError().processed == "unknown"
    assert CircuitOpenError().retry_after is None
    assert APIError().attempts == ()


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Each class stands in the module's drawing, at the depth of its place in the tree."""
    drawing = (exceptions.__doc__ or "").split("APIError\n", 1)[1].splitlines()
    depths = {line.split("-- ", 1)[1].split()[0]: line.index("-- ") // 4 for line in drawing if "-- " in line}
    for kind in EVERY_CLASS:
        if kind is not APIError:
            lineage = [k for k in kind.__mro__[1:] if issubclass(k, APIError)]
            assert depths[kind.__name__] == len(lineage), kind


def test_nothing_shows_the_token() -> None:
    """A secret in the URL is masked wherever an error shows it."""
    error = answer(404).error()
    assert "hunter2" not in f"{error} {error!r} {error.request!r} {error.response!r}"
