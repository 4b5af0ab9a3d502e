"""Errors for clients to read: RFC 9457 problem details, `application/problem+json`."""

from __future__ import annotations

import http
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Problem(HTTPException):
    """Raised by a handler: the answer is this status, saying in `detail` what to do about it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer as RFC 9457 has it. The type is "about:blank", so the title is the status's own phrase."""
    content = {"type": "about:blank", "title": phrase(status), "status": status, "detail": detail}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def phrase(status: int) -> str:
    """The registered reason phrase, or the number where there is none."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


async def answer_problem(request: Request, error: Exception) -> Response:
    """Exception handler for every HTTPException, Starlette's own 404 and 405 included."""
    assert isinstance(error, HTTPException)  # Starlette's type for handlers is wider than its calls
    detail = error.detail
    if not isinstance(error, Problem):
        detail = f"{request.method} {request.scope['path']}: {error.detail.lower()}"
    return problem(error.status_code, detail, error.headers)


async def answer_gone(request: Request, error: Exception) -> Response:
    """Exception handler for a client that went away while sending. Nobody reads this; the journal shows it."""
    return Response(status_code=499)


async def answer_crash(request: Request, error: Exception) -> Response:
    """Exception handler of last resort. A crash of the mock server is our defect, and says so."""
    return problem(500, f"the mock server itself failed: {error!r}")
