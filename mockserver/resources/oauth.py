"""An OAuth 2 token endpoint whose tokens expire and whose refresh tokens rotate.

POST /oauth/token      grant_type=client_credentials | password | refresh_token (RFC 6749); ?expires_in=60 for all
POST /oauth/revoke     RFC 7009: 200, known or not
ANY  /oauth/resource   wants an access token that lives (RFC 6750)

Any client with a secret is a client, by Basic or in the form, and any user's password is right unless it is "wrong":
what is tested is the client's handling, not a directory. A refresh token is good once. Used again it is taken for
stolen: every token of its family, that is of the same login, is revoked (RFC 9700, section 4.14.2). Tokens are keyed
by the seed and counted, so that a run repeats; times are the server's clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mockserver.problems import problem
from mockserver.resources.answers import ANY, dump, route
from mockserver.resources.auth import REALM, basic_credentials, bearer_token
from mockserver.resources.bodies import read_bytes, whole_number
from mockserver.resources.setting import Setting
from rest_api_client.lazy_dataclasses import dataclass

MOST_TOKENS = 10_000
LIFETIME = 3600
REFRESH_LIFETIME = 30 * 86_400.0
_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}


class OAuthError(Exception):
    """An error of RFC 6749, section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


@dataclass
class _Token:
    kind: str
    family: str
    client: str
    scope: str
    expires: float
    used: bool = False


class OAuth:
    """The token endpoint and what it protects."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._tokens: OrderedDict[str, _Token] = OrderedDict()
        self._issued = 0

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/oauth/token", self.token, ("POST",)),
            route("/oauth/revoke", self.revoke, ("POST",)),
            route("/oauth/resource", self.resource, ANY),
        ]

    async def token(self, request: Request) -> Response:
        """An access token, with a refresh token for a user's login."""
        lifetime = whole_number("expires_in", request.query_params.get("expires_in", str(LIFETIME)), 0, 86_400)
        try:
            form = await _form(request)
            client = _client(request, form)
            content = self._grant(client, form, lifetime)
        except OAuthError as error:
            return _refusal(error)
        return Response(dump(content), 200, _NO_STORE, "application/json")

    def _grant(self, client: str, form: Mapping[str, str], lifetime: int) -> dict[str, object]:
        grant, scope = form.get("grant_type"), form.get("scope", "")[:1_000]
        if grant == "client_credentials":
            return self._answer(_Login(self._name("family"), client, scope), lifetime, refresh=False)
        if grant == "password":
            if not form.get("username") or form.get("password", "wrong") == "wrong":
                raise OAuthError("invalid_grant", "the user's name or password is wrong")
            return self._answer(_Login(self._name("family"), client, scope), lifetime, refresh=True)
        if grant == "refresh_token":
            return self._refresh(client, form, lifetime)
        if grant is None:
            raise OAuthError("invalid_request", "grant_type is missing")
        raise OAuthError("unsupported_grant_type", "grant_type: client_credentials, password or refresh_token")

    def _refresh(self, client: str, form: Mapping[str, str], lifetime: int) -> dict[str, object]:
        old = self._tokens.get(form.get("refresh_token", ""))
        if old is None or old.kind != "refresh" or old.client != client:
            raise OAuthError("invalid_grant", "no refresh token of this client")
        if old.used:
            self._revoke_family(old.family)
            raise OAuthError("invalid_grant", "the refresh token was used before: all tokens of its login are revoked")
        if old.expires <= self._setting.now():
            raise OAuthError("invalid_grant", "the refresh token has expired")
        scope = form.get("scope", old.scope)
        if not set(scope.split()) <= set(old.scope.split()):
            raise OAuthError("invalid_scope", "a refresh cannot widen the scope")
        old.used = True
        return self._answer(_Login(old.family, client, scope), lifetime, refresh=True)

    def _answer(self, login: _Login, lifetime: int, *, refresh: bool) -> dict[str, object]:
        content: dict[str, object] = {
            "access_token": self._issue("access", login, lifetime),
            "token_type": "Bearer",
            "expires_in": lifetime,
        }
        if refresh:
            content["refresh_token"] = self._issue("refresh", login, REFRESH_LIFETIME)
        return content | ({"scope": login.scope} if login.scope else {})

    def _issue(self, kind: str, login: _Login, lifetime: float) -> str:
        name = self._name(kind)
        expires = self._setting.now() + lifetime
        self._tokens[name] = _Token(kind, login.family, login.client, login.scope, expires)
        if len(self._tokens) > MOST_TOKENS:
            self._tokens.popitem(last=False)
        return name

    def _name(self, kind: str) -> str:
        self._issued += 1
        number = self._setting.chance.number
        return f"{kind}-{number('oauth', self._issued, 0):016x}{number('oauth', self._issued, 1):016x}"

    def _revoke_family(self, family: str) -> None:
        for name in [name for name, token in self._tokens.items() if token.family == family]:
            del self._tokens[name]

    async def revoke(self, request: Request) -> Response:
        """Revoke the token, and with a refresh token its whole login."""
        try:
            form = await _form(request)
            client = _client(request, form)
            if not form.get("token"):
                raise OAuthError("invalid_request", "token is missing")
        except OAuthError as error:
            return _refusal(error)
        token = self._tokens.get(form["token"])
        if token is not None and token.client == client:
            if token.kind == "refresh":
                self._revoke_family(token.family)
            else:
                del self._tokens[form["token"]]
        return Response(status_code=200)

    async def resource(self, request: Request) -> Response:
        """What the token is good for."""
        given = bearer_token(request)
        if given is None:
            return problem(401, "an access token, please", {"www-authenticate": f'Bearer realm="{REALM}"'})
        token = self._tokens.get(given)
        if token is None or token.kind != "access" or token.expires <= self._setting.now():
            told = 'error="invalid_token", error_description="the token is expired, revoked or unknown"'
            return problem(401, "the token is not good", {"www-authenticate": f'Bearer realm="{REALM}", {told}'})
        content = {"client_id": token.client, "scope": token.scope, "expires_in": token.expires - self._setting.now()}
        return Response(dump(content), media_type="application/json")


@dataclass(frozen=True)
class _Login:
    """Who all tokens of one family were given to."""

    family: str
    client: str
    scope: str


async def _form(request: Request) -> dict[str, str]:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "send application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl((await read_bytes(request)).decode("ascii"), errors="strict", max_num_fields=50)
    except ValueError as error:
        raise OAuthError("invalid_request", "the form cannot be read") from error
    if len(dict(pairs)) != len(pairs):
        raise OAuthError("invalid_request", "a parameter is there twice")
    return dict(pairs)


def _client(request: Request, form: Mapping[str, str]) -> str:
    basic = basic_credentials(request)
    if basic is None:
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
    elif "client_secret" in form:
        raise OAuthError("invalid_request", "the client's secret is there twice: in the header and in the form")
    else:
        name, secret = (unquote_plus(part) for part in (basic + ":").split(":")[:2])
    if not name or not secret or secret == "wrong":  # noqa: S105 - a word of the mock, no secret
        raise OAuthError("invalid_client", "a client_id and its client_secret, please", 401)
    return name


def _refusal(error: OAuthError) -> Response:
    headers = dict(_NO_STORE)
    if error.status == 401:
        headers["www-authenticate"] = f'Basic realm="{REALM}"'
    content = {"error": error.error, "error_description": error.description}
    return Response(dump(content), error.status, headers, "application/json")
