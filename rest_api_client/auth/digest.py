"""Digest authentication (RFC 7616): the password itself never travels.

The server's 401 brings a challenge with a nonce; the request is sent again with a hash over user, password, nonce,
method and target. The challenge is then kept per origin and used at once for the next request, with a count that rises
by one, until the server says that the nonce is stale. A flow asks at most twice: once for want of a challenge, once
more because a nonce went stale. A 401 to a fresh nonce means that the credentials are wrong.

The first challenge with an algorithm known here is taken, as section 3.7 asks: MD5, SHA-256 or SHA-512-256, each with
or without "-sess". The quality "auth" is done, and the older form without any; "auth-int" alone is not, and such a 401
stands as it is. The server's own proof (`rspauth`) is not checked.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import field
from random import Random  # noqa: TID251  the type only: the generator itself is handed in
from typing import TYPE_CHECKING
from urllib.parse import quote

from rest_api_client.auth.flow import Auth, Flow, checked_text, fingerprint
from rest_api_client.http.urls import Origin
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response

if TYPE_CHECKING:
    from rest_api_client.context import Context

Hash = Callable[[bytes], str]


def _hash(name: str) -> Hash:
    return lambda data: hashlib.new(name, data, usedforsecurity=False).hexdigest()


_HASHES: dict[str, Hash] = {"MD5": _hash("md5"), "SHA-256": _hash("sha256"), "SHA-512-256": _hash("sha512_256")}
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_SCHEME = re.compile(rf"[\s,]*+({_NAME})(?:[ \t]++|\Z|(?=,))")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]++=*+[ \t]*+(?=,|\Z)")
_QUOTED = r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\x20-\x7e\x80-\xff])*+)"'
_PARAMETER = re.compile(rf"[ \t,]*+({_NAME})[ \t]*+=[ \t]*+(?:{_QUOTED}|({_NAME}))[ \t]*+(?=,|\Z)")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One Digest challenge, in the characters it came in (latin-1, so that hashing sees the server's bytes)."""

    realm: str
    nonce: str
    algorithm: str
    qop: bool
    opaque: str | None
    stale: bool
    userhash: bool
    counter: Iterator[int] = field(default_factory=lambda: itertools.count(1), compare=False)

    @classmethod
    def read(cls, values: Iterable[str]) -> Challenge | None:
        """The first challenge that can be answered, out of all WWW-Authenticate fields."""
        for scheme, parameters in (each for value in values for each in parse_challenges(value)):
            if scheme == "digest" and (challenge := cls._of(parameters)) is not None:
                return challenge
        return None

    @classmethod
    def _of(cls, parameters: dict[str, str]) -> Challenge | None:
        algorithm = parameters.get("algorithm", "MD5").upper()
        qualities = {quality.strip().lower() for quality in parameters.get("qop", "").split(",")} - {""}
        known = algorithm.removesuffix("-SESS") in _HASHES and (not qualities or "auth" in qualities)
        if not known or "nonce" not in parameters or "realm" not in parameters:
            return None
        return cls(
            realm=parameters["realm"],
            nonce=parameters["nonce"],
            algorithm=parameters.get("algorithm", "MD5"),
            qop=bool(qualities),
            opaque=parameters.get("opaque"),
            stale=parameters.get("stale", "").lower() == "true",
            userhash=parameters.get("userhash", "").lower() == "true",
        )


def parse_challenges(value: str) -> list[tuple[str, dict[str, str]]]:
    """Schemes, in lower case, with their parameters, out of one WWW-Authenticate field (RFC 9110, section 11.6.1).

    Reading ends where the field stops making sense; it takes time in proportion to its length and never raises.
    """
    found: list[tuple[str, dict[str, str]]] = []
    place = 0
    while (scheme := _SCHEME.match(value, place)) is not None:
        parameters: dict[str, str] = {}
        found.append((scheme[1].lower(), parameters))
        place = scheme.end()
        if (opaque := _TOKEN68.match(value, place)) is not None:
            place = opaque.end()
            continue
        while (parameter := _PARAMETER.match(value, place)) is not None:
            name, quoted, token = parameter.groups()
            parameters.setdefault(name.lower(), token if quoted is None else _ESCAPED.sub(r"\1", quoted))
            place = parameter.end()
    return found


@dataclass(frozen=True, repr=False)
class DigestAuth(Auth):
    """User name and password by Digest.

    Raises:
        ConfigurationError: control characters in either.
    """

    username: str
    password: str
    _challenges: dict[Origin, Challenge] = field(default_factory=dict, init=False, compare=False)

    def __post_init__(self) -> None:
        checked_text("DigestAuth: the user name", self.username)
        checked_text("DigestAuth: the password", self.password)

    def begin(self, request: Request, context: Context) -> Flow:
        """The requests with client nonces from the client's own source of chance."""
        return self._flow(request, context.random)

    def _flow(self, request: Request, random: Random) -> Generator[Request, Response, None]:
        origin = request.url.origin
        known = self._challenges.get(origin)
        response = yield request if known is None else self._signed(request, known, random)
        fresh = False
        for _ in range(2):
            challenge = (
                Challenge.read(response.headers.get_list("www-authenticate")) if response.status_code == 401 else None
            )
            if challenge is None or (fresh and not challenge.stale):
                return
            fresh = True
            # Replaced as a whole, and counted by one atomic step, so that threads need no lock.
            self._challenges[origin] = challenge
            response = yield self._signed(request, challenge, random)

    def _signed(self, request: Request, challenge: Challenge, random: Random) -> Request:
        client_nonce = f"{random.getrandbits(128):032x}"
        return request.with_headers(
            Authorization=self.answer(challenge, request, client_nonce, next(challenge.counter))
        )

    def answer(self, challenge: Challenge, request: Request, client_nonce: str, count: int) -> str:
        """The Authorization field for a request (RFC 7616, section 3.4)."""
        digest = _HASHES[challenge.algorithm.upper().removesuffix("-SESS")]
        user, realm, nonce = self.username.encode(), _raw(challenge.realm), _raw(challenge.nonce)
        secret = digest(b":".join((user, realm, self.password.encode())))
        if challenge.algorithm.upper().endswith("-SESS"):
            secret = digest(b":".join((secret.encode(), nonce, client_nonce.encode())))
        asked = digest(f"{request.method}:{request.url.target}".encode())
        counted = f"{count:08x}"
        middle = f"{counted}:{client_nonce}:auth:".encode() if challenge.qop else b""
        proof = digest(secret.encode() + b":" + nonce + b":" + middle + asked.encode())
        name = digest(user + b":" + realm) if challenge.userhash else self.username
        fields = [
            _named(name),
            f'realm="{_quoted(challenge.realm)}"',
            f'nonce="{_quoted(challenge.nonce)}"',
            f'uri="{request.url.target}"',
            f'response="{proof}"',
            f"algorithm={challenge.algorithm}",
        ]
        if challenge.opaque is not None:
            fields.append(f'opaque="{_quoted(challenge.opaque)}"')
        if challenge.qop:
            fields += ["qop=auth", f"nc={counted}"]
        if challenge.qop or challenge.algorithm.upper().endswith("-SESS"):
            fields.append(f'cnonce="{client_nonce}"')
        if challenge.userhash:
            fields.append("userhash=true")
        return f"Digest {', '.join(fields)}"

    def identity(self) -> str:
        """A name for user and password together."""
        return fingerprint("digest", self.username, self.password)

    def __reduce__(self) -> tuple[type[DigestAuth], tuple[str, str]]:
        """Challenges stay behind: their counters must not run twice."""
        return DigestAuth, (self.username, self.password)


def _named(name: str) -> str:
    """The user name; one that no quoted string can hold goes by RFC 8187, as RFC 7616 section 3.4 says."""
    return f'username="{_quoted(name)}"' if name.isascii() else f"username*=UTF-8''{quote(name, safe='')}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _raw(text: str) -> bytes:
    return text.encode("latin-1", errors="replace")
