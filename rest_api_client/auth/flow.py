"""What an authentication scheme is: a generator that yields requests and is sent their answers.

    def flow(self, request):
        response = yield sign(request)
        if response.status_code == 401:
            yield sign_again(request, response)

A flow is pure: it sends nothing and waits for nothing, so one serves both clients. Each request it yields goes through
breaker and limiter like any other. The first must be yielded in any case; when the flow returns, the answer to its last
request is the answer. One flow serves one attempt; a retry starts another. However it goes on, the flow is closed.

A scheme that needs chance, the clock, or to wait (a token that must be fetched once for many callers) defines `begin`
instead. That gets the attempt's context too, and may give an async generator; in it nothing may be awaited but the
methods of the context's runtime.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Generator
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.models import Request, Response

if TYPE_CHECKING:
    from rest_api_client.context import Context

Flow: TypeAlias = Generator[Request, Response, None]
AsyncFlow: TypeAlias = AsyncGenerator[Request, Response]


class Auth:
    """An authentication scheme with its credential. `repr` and `str` never show the credential.

    Attributes:
        requires_response_body: the flow looks at `response.content`, so a streamed answer is read before it gets it.
    """

    __slots__ = ()

    requires_response_body: bool = False

    def flow(self, request: Request) -> Flow:
        """Yield the request with the credential on it; for each answer yield the next request, or return."""
        raise NotImplementedError(f"{type(self).__name__} defines neither flow() nor begin()")

    def begin(self, request: Request, context: Context) -> Flow | AsyncFlow:
        """The flow of one attempt; `flow(request)` unless a scheme needs more than the request."""
        return self.flow(request)

    def identity(self) -> str | None:
        """A stable name for the credential, by which a cache keeps users apart; None where it has none.

        It tells two credentials apart and does not give the credential away.
        """
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


_ROUNDS = 20_000


@lru_cache(maxsize=64)
def fingerprint(scheme: str, *secrets: str) -> str:
    """A name for a credential. Made by PBKDF2, since a password could be guessed from a plain hash; 10 ms, once."""
    joined = "".join(f"{len(secret)}:{secret}" for secret in secrets).encode("utf-8", errors="surrogatepass")
    digest = hashlib.pbkdf2_hmac("sha256", joined, f"rest_api_client {scheme}".encode(), _ROUNDS, dklen=16)
    return f"{scheme}:{digest.hex()}"


def checked_text(what: str, value: object) -> str:
    """A user name, password, key or token that can be sent.

    Raises:
        ConfigurationError: no str, or one with control characters (RFC 7617, section 2). The message does not show it.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{what} must be a str, got {type(value).__name__}; decode or convert it")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
        raise ConfigurationError(f"{what} contains a control character, perhaps a line end read from a file: strip it")
    if any(0xD800 <= ord(character) < 0xE000 for character in value):
        raise ConfigurationError(f"{what} contains half a surrogate pair: decode it with the right charset")
    return value
