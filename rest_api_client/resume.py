"""Going on with a body that broke off: the same request again, for the bytes that are missing.

A download that breaks off is an attempt that failed, and whether another one follows is the retry policy's to say: it
is shown the error, and asks its vetoes, its back-off and its budget as for any other (`Resuming` stands in its place in
the chain of a download). What is then sent passes breaker, limiter and authentication, and leaves a record like every
attempt.

    what was met so far                                       what is sent next
    a strong ETag, or a Last-Modified older than a minute     Range: bytes=n- with If-Range
    neither; an encoded body; Accept-Ranges: none             the request as it was, from the first byte

    what comes back                                           what is done
    206, the same validator, Content-Range from n             the body goes on
    200                                                       it starts anew: the server ignores ranges, or it changed
    416 that says the length is n, with the same validator    it was complete
    any other 206 or 416                                      the next attempt starts anew
    4xx, 5xx                                                  raised, from the error that broke the body off

Two representations are never joined: without a validator, or with another one in the answer, nothing is kept.

Attempts are counted from the last one that brought `PROGRESS` bytes more than any before it. So a large file may break
off many times, while a server that never gets any further is left after as many attempts as any call makes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from copy import copy
from dataclasses import replace
from typing import Final, NamedTuple

from rest_api_client.attempts import drain
from rest_api_client.context import Context
from rest_api_client.events import DownloadResumed
from rest_api_client.exceptions import APIError, RemoteProtocolError, TransportError
from rest_api_client.http.bodies import finish_both
from rest_api_client.http.dates import parse_http_date
from rest_api_client.http.headers import Headers
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.pipeline import Policy, Stage
from rest_api_client.policies.deadline import Deadline
from rest_api_client.policies.retry import DEFAULT_ATTEMPTS
from rest_api_client.reasons import CONTINUED, MISFIT, STARTED_ANEW, WAS_COMPLETE
from rest_api_client.transport import ByteStream
from rest_api_client.typing import Proceed, Unset

PROGRESS: Final = 65536
"""Bytes beyond the furthest so far that make an attempt count as the first again."""

AGE: Final = 60.0
"""Seconds before the answer that a Last-Modified must lie to be sure of: what changed twice in a second has one date.

RFC 9110, section 8.8.2.2, asks for one second, its predecessor RFC 7232 for a minute.
"""

_NAME: Final = "Download"
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")
_UNTIMED: Final = Deadline(seconds=None)
"""Obeys the deadline that the call has, and sets none."""


class Part(NamedTuple):
    """A Content-Range: first and last byte, both None where none could be given, and bytes in all, None if not said."""

    first: int | None
    last: int | None
    total: int | None


def content_range(value: str) -> Part | None:
    """What a Content-Range says (RFC 9110, section 14.4), or None where it says nothing that can be."""
    found = _CONTENT_RANGE.fullmatch(value.strip())
    if found is None:
        return None
    first, last, total = (None if text in {None, "*"} else int(text) for text in found.groups())
    if first is not None and last is not None and (last < first or (total is not None and last >= total)):
        return None
    return Part(first, last, total)


def whole_length(headers: Headers) -> int | None:
    """Bytes of the body, where the answer tells: an encoded body's length is not what will be saved."""
    length = headers.get("content-length", "")
    return int(length) if not _encoded(headers) and _LENGTH.fullmatch(length) else None


def validator(request: Request, response: Response) -> str | None:
    """What tells this representation from every other (RFC 9110, section 13.1.5), or None: then it cannot go on.

    A weak ETag is none, and a date beside it is no better: the server says that the bytes may differ.
    """
    headers = response.headers
    if response.status_code != 200 or _encoded(headers) or "range" in request.headers:
        return None
    if headers.get("accept-ranges", "").strip().lower() == "none":
        return None
    etag = headers.get("etag")
    if etag is not None:
        return etag if _STRONG_ETAG.fullmatch(etag) else None
    changed = headers.get("last-modified", "")
    moment, sent = parse_http_date(changed), parse_http_date(headers.get("date", ""))
    return changed if moment is not None and sent is not None and sent - moment >= AGE else None


def _encoded(headers: Headers) -> bool:
    return headers.get("content-encoding", "identity").strip().lower() not in {"identity", ""}


@dataclass(frozen=True)
class Resuming:
    """The retry policy of a download: as the one it holds, and a body that breaks off is a failed attempt too."""

    retry: Policy
    stage = Stage.RETRY

    async def __call__(self, request: Request, context: Context, proceed: Proceed) -> Response:
        """Send the request; the answer's body can go on (`ResumableBody`)."""
        response = await self.retry(request, context, proceed)
        if response.stream is not None and response.status_code < 300:
            response.stream = ResumableBody(_Again(self.retry, request, context, proceed), response, response.stream)
        return response


class ResumableBody:
    """A body, and how it goes on: after a `TransportError`, `resume` says from which byte there will be more.

    Attributes:
        at: bytes given out of the representation that is being read.
        total: bytes in all, where that is known.
    """

    def __init__(self, again: _Again, response: Response, stream: ByteStream) -> None:
        self.at = 0
        self._again = again
        self._response = response
        self._begin(response, stream)

    def _begin(self, response: Response, stream: ByteStream) -> None:
        self.at = 0
        self.total = whole_length(response.headers)
        self._end = self.total
        self._validator = validator(self._again.request, response)
        self._read_from(stream)

    def _read_from(self, stream: ByteStream) -> None:
        self._stream = stream
        self._chunks = aiter(stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await anext(self._chunks, None)
        if piece is None:
            if self._end is not None and self.at < self._end:
                raise self._broken(f"ended after {self.at} of {self._end} bytes")
            raise StopAsyncIteration
        if self._end is not None and self.at + len(piece) > self._end:
            self._validator = None
            raise self._broken(f"is longer than the {self._end} bytes that were announced")
        self.at += len(piece)
        return piece

    def _broken(self, how: str) -> RemoteProtocolError:
        request = self._again.request
        return RemoteProtocolError(f"{request.label}: the body {how}", request=request, response=self._response)

    async def resume(self, error: TransportError) -> int:
        """Have the rest sent, or all of it again.

        Args:
            error: what broke the body off.

        Returns:
            The byte that comes next: `at`, or 0 where everything comes anew.

        Raises:
            TransportError: the retry policy says no: `error` itself, or that of the last attempt.
            StatusError: the server answered with 4xx or 5xx.
        """
        await self.aclose()
        self._again.broke(error, self.at)
        while True:
            fields = self._range() if self.at and self._validator is not None else {}
            response = await self._again.send(error, fields)
            if self._take(response, ranged=bool(fields)):
                self._response.attempts = tuple(self._again.context.call.attempts)
                return self.at
            self._validator = None
            self._again.note(MISFIT, self.at)
            await drain(response, self._again.context)

    def _range(self) -> dict[str, str]:
        assert self._validator is not None
        return {"Range": f"bytes={self.at}-", "If-Range": self._validator}

    def _take(self, response: Response, *, ranged: bool) -> bool:
        """Read on from this answer, if it fits."""
        if ranged and response.status_code == 206:
            return self._go_on(response)
        if ranged and response.status_code == 416:
            return self._is_complete(response)
        assert response.stream is not None
        self._replace_head(response)
        self._begin(response, response.stream)
        self._again.note(STARTED_ANEW, 0)
        return True

    def _go_on(self, response: Response) -> bool:
        part = content_range(response.headers.get("content-range", ""))
        if part is None or part.last is None or part.first != self.at or not self._same(response, part):
            return False
        length = whole_length(response.headers)
        if response.stream is None or _encoded(response.headers) or length not in {None, part.last + 1 - self.at}:
            return False
        self.total = self._end = part.total if self.total is None else self.total
        if self.total is None:  # nobody says where it ends
            return False
        self._read_from(response.stream)
        self._again.note(CONTINUED, self.at)
        return True

    def _is_complete(self, response: Response) -> bool:
        """Whether there is no more to come: the connection broke between the last byte and the body's end."""
        part = content_range(response.headers.get("content-range", ""))
        if part is None or part.total != self.at or not self._same(response, part, strictly=True):
            return False
        self._read_from(_Nothing())
        self._again.note(WAS_COMPLETE, self.at)
        return True

    def _same(self, response: Response, part: Part, *, strictly: bool = False) -> bool:
        """Whether the part is one of the representation that was begun. A 206 must name its ETag, if it has one."""
        if part.total is not None and self.total is not None and part.total != self.total:
            return False
        etag, changed = response.headers.get("etag"), response.headers.get("last-modified")
        if self._validator is not None and self._validator.startswith('"'):
            return etag == self._validator
        return changed == self._validator or (changed is None and not strictly)

    def _replace_head(self, response: Response) -> None:
        ours = self._response
        ours.status_code, ours.reason, ours.headers = response.status_code, response.reason, response.headers
        ours.request, ours.http_version = response.request, response.http_version
        ours.sent_at, ours.received_at = response.sent_at, response.received_at

    async def aclose(self) -> None:
        """Give the connection back, or drop it where the body was not read to its end. Idempotent."""
        await finish_both(self._chunks, self._stream)


class _Nothing:
    """The rest of a body that is complete."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Hold nothing."""


class _Again:
    """The way down, once more: through the retry policy, which is shown first what broke the body off."""

    def __init__(self, retry: Policy, request: Request, context: Context, proceed: Proceed) -> None:
        self.request = request
        self.context = context
        self._retry = retry
        self._proceed = proceed
        self._furthest = 0
        self._tries = 0

    def broke(self, error: TransportError, at: int) -> None:
        """Write down that the latest attempt failed after all, and count anew if it brought enough.

        From here on every byte counts that comes: no engine is to hold any back, which would be lost with the line.
        """
        context = self.context
        call, outcome = context.call, context.classify(self.request, error)
        call.options = replace(call.options, bulk=False)
        if 0 <= context.record < len(call.attempts):
            record = call.attempts[context.record]
            record.error, record.reason = type(error).__name__, outcome.reason
            record.elapsed = call.runtime.now() - call.started - record.started
        if at >= self._furthest + PROGRESS:
            self._furthest, self._tries = at, 0

    async def send(self, error: TransportError, fields: dict[str, str]) -> Response:
        """The answer to another attempt, if the retry policy allows one.

        Raises:
            APIError: it does not, or the attempt failed for good.
        """
        call = self.context.call
        context = self.context = copy(self.context)
        context.options = replace(call.options, max_retries=max(0, self._most() - self._tries))
        call.last = error
        shown = False

        async def proceed(request: Request, context: Context) -> Response:
            nonlocal shown
            if not shown:
                shown = True
                raise error
            self._tries += 1
            return await self._proceed(request, context)

        async def retried(request: Request, context: Context) -> Response:
            return await self._retry(request, context, proceed)

        request = self.request.with_headers(fields) if fields else self.request
        try:
            response = await _UNTIMED(request, context, retried)
            return await self._refuse_failed(response, error, ranged=bool(fields))
        except APIError as failed:
            failed.attempts = tuple(call.attempts)
            if failed is error or failed.__cause__ is not None:
                raise
            raise failed from error
        finally:
            call.last = None

    async def _refuse_failed(self, response: Response, error: TransportError, *, ranged: bool) -> Response:
        if response.status_code >= 400 and not (ranged and response.status_code == 416):
            raise response.error()
        if not self._usable(response, ranged=ranged):
            await drain(response, self.context)
            raise error
        return response

    def _usable(self, response: Response, *, ranged: bool) -> bool:
        """Whether it is an answer that can be read on from: no redirect, and no part that was not asked for."""
        if response.status_code == 206:
            return response.stream is not None and (ranged or "range" in self.request.headers)
        return response.status_code == 416 or (response.status_code < 300 and response.stream is not None)

    def _most(self) -> int:
        asked = self.context.call.options.max_retries
        return getattr(self._retry, "max_attempts", DEFAULT_ATTEMPTS) - 1 if isinstance(asked, Unset) else asked

    def note(self, what: str, at: int) -> None:
        """Write into the latest attempt's record what became of its answer, and tell listeners."""
        self.context.note(_NAME, what)
        self.context.tell(DownloadResumed, self.request, what=what, at_byte=at)
