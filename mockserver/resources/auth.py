"""Routes that want to know who asks. A 401 always names the scheme (RFC 9110, section 11.6.1).

GET /basic-auth/{user}/{password}                RFC 7617
GET /bearer                                      any bearer token (RFC 6750)
GET /api-key, /api-key/{key}                     X-API-Key, any or that one
GET /digest-auth/{qop}/{user}/{password}         RFC 7616; qop auth or auth-int; offers SHA-256, then MD5
GET /digest-auth/{qop}/{user}/{password}/{algorithm}   MD5, MD5-sess, SHA-256, SHA-256-sess

A digest nonce is the time it was made and a MAC over it. It lives 300 s on the server's clock, then it is stale; each
of its counts is good once, so that a replayed request is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections import OrderedDict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mockserver.problems import Problem, problem
from mockserver.resources.answers import ANY, dump, route
from mockserver.resources.bodies import read_bytes
from mockserver.resources.setting import Setting

REALM = "mockserver"
NONCE_LIFE = 300.0
MOST_NONCES = 10_000
ALGORITHMS = {"SHA-256": "sha256", "SHA-256-sess": "sha256", "MD5": "md5", "MD5-sess": "md5"}
_PARAMETER = re.compile(r'\s*([a-zA-Z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')
_MOST_HEADER = 8_192


class Auth:
    """The routes that ask for credentials."""

    def __init__(self, setting: Setting) -> None:
        self._now = setting.now
        self._key = setting.chance.number("nonce").to_bytes(8, "big")
        self._counts: OrderedDict[str, int] = OrderedDict()

    def routes(self) -> list[Route]:
        """All of them."""
        digest = "/digest-auth/{qop}/{user}/{password}"
        return [
            route("/basic-auth/{user}/{password}", basic, ANY),
            route("/bearer", bearer, ANY),
            route("/api-key", api_key, ANY),
            route("/api-key/{key}", api_key, ANY),
            route(digest, self.digest, ANY),
            route(digest + "/{algorithm}", self.digest, ANY),
        ]

    async def digest(self, request: Request) -> Response:
        """The answer for who knows the password; the password itself does not travel."""
        wanted = request.path_params
        algorithm = wanted.get("algorithm")
        if wanted["qop"] not in ("auth", "auth-int"):
            raise Problem(400, f"qop must be auth or auth-int, not {wanted['qop'][:40]!r}")
        if algorithm is not None and algorithm not in ALGORITHMS:
            raise Problem(400, f"algorithm must be one of {', '.join(ALGORITHMS)}, not {algorithm[:40]!r}")
        offered = ["SHA-256", "MD5"] if algorithm is None else [algorithm]
        given = _digest_fields(request)
        if given.get("algorithm", "MD5") not in offered or not await self._proves(request, given):
            return self._challenge(wanted["qop"], offered, stale=False)
        if not self._fresh(given):
            return self._challenge(wanted["qop"], offered, stale=True)
        return _welcome(user=wanted["user"])

    async def _proves(self, request: Request, given: dict[str, str]) -> bool:
        wanted = request.path_params
        if given.get("qop") != wanted["qop"] or given.get("realm") != REALM or given.get("username") != wanted["user"]:
            return False
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if given.get("uri") not in (target, request.scope["path"] + target[len(request.url.path) :]):
            return False
        body = await read_bytes(request)
        expected = digest_response(given, wanted["password"], request.method, body)
        return hmac.compare_digest(expected.encode(), given.get("response", "").encode()) and self._ours(given)

    def _ours(self, given: dict[str, str]) -> bool:
        made, _, mac = given.get("nonce", "").partition("-")
        return hmac.compare_digest(mac.encode(), self._mac(made).encode())

    def _fresh(self, given: dict[str, str]) -> bool:
        nonce, count = given["nonce"], given.get("nc", "")
        if self._now() - float(nonce.partition("-")[0]) > NONCE_LIFE:
            return False
        if not re.fullmatch(r"[0-9a-fA-F]{8}", count) or int(count, 16) <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = int(count, 16)
        if len(self._counts) > MOST_NONCES:
            self._counts.popitem(last=False)
        return True

    def _challenge(self, qop: str, algorithms: list[str], *, stale: bool) -> Response:
        made = f"{self._now():.6f}"
        fields = f'realm="{REALM}", qop="{qop}", nonce="{made}-{self._mac(made)}", charset=UTF-8'
        fields += ", stale=true" if stale else ""
        answer = problem(401, "a digest of user and password, please")
        for algorithm in algorithms:
            answer.headers.append("www-authenticate", f"Digest {fields}, algorithm={algorithm}")
        return answer

    def _mac(self, made: str) -> str:
        return hashlib.blake2b(made.encode(), key=self._key, digest_size=12).hexdigest()


def _digest_fields(request: Request) -> dict[str, str]:
    scheme, _, rest = request.headers.get("authorization", "")[:_MOST_HEADER].partition(" ")
    if scheme.lower() != "digest":
        return {}
    return {each[1].lower(): each[3] or re.sub(r"\\(.)", r"\1", each[2] or "") for each in _PARAMETER.finditer(rest)}


def digest_response(given: dict[str, str], password: str, method: str, body: bytes = b"") -> str:
    """The `response` that belongs to these fields (RFC 7616, section 3.4.1)."""
    algorithm = given.get("algorithm", "MD5")

    def digest(*parts: str) -> str:
        return hashlib.new(ALGORITHMS[algorithm], ":".join(parts).encode(), usedforsecurity=False).hexdigest()

    nonce, client_nonce = given.get("nonce", ""), given.get("cnonce", "")
    secret = digest(given.get("username", ""), given.get("realm", ""), password)
    if algorithm.endswith("-sess"):
        secret = digest(secret, nonce, client_nonce)
    about = [method, given.get("uri", "")]
    if given.get("qop") == "auth-int":
        about.append(hashlib.new(ALGORITHMS[algorithm], body, usedforsecurity=False).hexdigest())
    return digest(secret, nonce, given.get("nc", ""), client_nonce, given.get("qop", ""), digest(*about))


async def basic(request: Request) -> Response:
    """The answer for this user with this password."""
    wanted = f"{request.path_params['user']}:{request.path_params['password']}"
    given = basic_credentials(request)
    if given is None or not hmac.compare_digest(given.encode(), wanted.encode()):
        challenge = f'Basic realm="{REALM}", charset="UTF-8"'
        return problem(401, "user and password, please", {"www-authenticate": challenge})
    return _welcome(user=request.path_params["user"])


def basic_credentials(request: Request) -> str | None:
    """`user:password` of a Basic Authorization; None where there is none that can be read."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(text.strip(), validate=True).decode()
    except ValueError:
        return None


def bearer_token(request: Request) -> str | None:
    """The token of a Bearer Authorization."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def bearer(request: Request) -> Response:
    """The answer for any token."""
    token = bearer_token(request)
    if token is None:
        return problem(401, "a bearer token, please", {"www-authenticate": f'Bearer realm="{REALM}"'})
    return _welcome(token=token)


async def api_key(request: Request) -> Response:
    """The answer for the key, or for any where none is named."""
    given, wanted = request.headers.get("x-api-key", ""), request.path_params.get("key")
    if not given or (wanted is not None and not hmac.compare_digest(given.encode(), wanted.encode())):
        return problem(401, "the key in X-API-Key, please", {"www-authenticate": f'ApiKey realm="{REALM}"'})
    return _welcome(key=given)


def _welcome(**about: str) -> Response:
    return Response(dump({"authenticated": True, **about}), media_type="application/json")
