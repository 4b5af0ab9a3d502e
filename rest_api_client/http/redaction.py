"""What may be shown: URLs and header fields with their secrets masked.

Everything that reaches a log, a repr or an exception's text goes through here. The rule is by name. A name is compared
in lower case without `-`, `_` and `.`, so that `X-API-Key`, `api_key` and `apiKey` are one. It is secret when it stands
in the closed list below, ends in "token", or contains one of a few words; names of page and sync tokens are not, since
they steer pagination and are what one looks for in a log. Names under which authentication sends a key are secret too,
from the moment it is told them. Values are never looked at: a secret under an innocent name (`?q=hunter2`)
stays visible.

In a URL the user name and password go too, and in its fragment the same names as in its query: OAuth's implicit flow
puts tokens there. `AWSAccessKeyId`, `Signature`, `sig` and `X-Goog-Signature` are the names OpenTelemetry's HTTP
conventions ask to redact from `url.full`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

MASK = "***"

# fmt: off
_SECRET_NAMES = frozenset({
    "accesskey", "apikey", "assertion", "auth", "authkey", "authorization", "awsaccesskeyid", "clientassertion",
    "code", "codeverifier", "cookie", "creds", "csrf", "devicecode", "googleaccessid", "jwt", "key", "otp", "pass",
    "passphrase", "pin", "proxyauthorization", "pwd", "samlrequest", "samlresponse", "session", "sessionid",
    "setcookie", "sid", "sig", "ticket", "usercode", "xsrf",
})
_SECRET_WORDS = (
    "accesskey", "apikey", "appkey", "credential", "masterkey", "passwd", "password", "privatekey", "secret",
    "signature", "subscriptionkey",
)
_INNOCENT_TOKENS = frozenset({
    "continuationtoken", "maxtoken", "nextpagetoken", "nextsynctoken", "nexttoken", "pagetoken", "paginationtoken",
    "synctoken",
})
_SCHEMES = frozenset({
    "apikey", "aws4-hmac-sha256", "basic", "bearer", "digest", "dpop", "gnap", "hmac", "hoba", "mutual", "negotiate",
    "ntlm", "oauth", "privatetoken", "scram-sha-1", "scram-sha-256", "token", "vapid",
})
# fmt: on
_SHOWN = 80
_JSON_STARTS = (b"{", b"[", b'"')
_URL_HEADERS = frozenset({"location", "content-location", "referer", "origin"})

_PUNCTUATION = str.maketrans("", "", "-_. ")
# Up to the last "@" of the authority. Where it has none and its port is no number, a password with a raw slash, "?" or
# "#" has probably ended it early: then everything up to the last "@" goes.
_USERINFO = re.compile(
    r"\A(\s*+(?:[A-Za-z][A-Za-z0-9+.\-]*+:)?+[/\\]{2})(?:[^/?#]*@|[^/?#@\[:]*+:(?![0-9]*+(?:[/?#]|\Z)).*@)", re.DOTALL
)
_PAIR = re.compile(r"([?&;#])([^=&;#?]*)=")
_TARGET = re.compile(r"<([^>]*)")


_LEARNT: set[str] = set()


def learn_secret_name(name: str) -> None:
    """Have a header field or query parameter masked in this process, since a user's key travels under that name."""
    _LEARNT.add(name.lower().translate(_PUNCTUATION))


def is_secret_name(name: str) -> bool:
    """Whether a header field, query parameter, form field or JSON member of this name holds a secret."""
    plain = name.lower().translate(_PUNCTUATION)
    if plain in _SECRET_NAMES or plain in _LEARNT or any(word in plain for word in _SECRET_WORDS):
        return True
    return plain.endswith("token") and plain not in _INNOCENT_TOKENS


def redact_url(url: str) -> str:
    """The URL with its user name and password, and the values of secret query and fragment parameters, as `***`.

    Takes any text, relative references and broken URLs too, and never raises.
    """
    if "@" not in url and "=" not in url:
        return url
    url = _USERINFO.sub(rf"\1{MASK}@", url)
    kept: list[str] = []
    done = 0
    for pair in _PAIR.finditer(url):
        if pair.start() >= done and is_secret_name(unquote_plus(pair[2])):
            kept += url[done : pair.end()], MASK
            done = pair.end()
            while done < len(url) and url[done] not in "&#":
                done += 1
    return "".join(kept) + url[done:]


def body_start(body: bytes) -> str:
    """How a body that should have been JSON begins, for a message. Of what looks like JSON only the first byte: there
    the parser's own words say where it breaks off, and behind that byte may stand a token that a server was giving out.
    """
    start = body.lstrip(b" \t\r\n")[:_SHOWN]
    return f"{start[:1]!r} and has {len(body)} bytes" if start[:1] in _JSON_STARTS else repr(start)


def redact_headers(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Header fields, in order, with the values of secret ones as `***`.

    `Authorization` and `Proxy-Authorization` keep a well-known scheme word (`Bearer ***`); URLs in `Location`,
    `Content-Location`, `Referer`, `Origin` and `Link` are masked as `redact_url` does.
    """
    return [(name, _redact_value(name.lower(), value)) for name, value in items]


def _redact_value(name: str, value: str) -> str:
    if name in _URL_HEADERS:
        return redact_url(value)
    if name == "link":
        return _TARGET.sub(lambda target: f"<{redact_url(target[1])}", value)
    if name in {"authorization", "proxy-authorization"}:
        scheme, space, _ = value.strip().partition(" ")
        return f"{scheme} {MASK}" if space and scheme.lower() in _SCHEMES else MASK
    return MASK if is_secret_name(name) else value
