"""What counts as a secret, by its name and by its looks, and what stands in its place.

The rule by name is the client's own (`rest_api_client.http.redaction`). Some of its names are ambiguous in a body or a
query: `code`, `key`, `session` name credentials and a hundred other things. Under them only what looks random is a
secret. Some secrets have no name: those are known by their form (JSON Web Tokens, tokens with a maker's prefix).

In a cassette `<token-1>` stands for a secret. It is numbered in order of first sight and equal secrets share one;
nothing in it is a function of the secret, so that no dictionary can be tried on it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rest_api_client.http.redaction import is_secret_name

WILD = "<*>"
"""What a secret is for a comparison."""

_NUMBERED = "((?:token|password|cookie|key|code|jwt|secret|credentials)-[0-9]{1,7})"
PLACEHOLDER = re.compile(f"<{_NUMBERED}>")
ENCODED_PLACEHOLDER = re.compile(f"%3C{_NUMBERED}%3E", re.IGNORECASE)

TOKENS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      (?P<jwt>eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2})
    | (?P<token>(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,}
        |xox[abeoprs]-[A-Za-z0-9-]{10,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}|dop_v1_[a-f0-9]{64}
        |ya29\.[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}
        |(?:bot)?[0-9]{8,10}:AA[A-Za-z0-9_-]{33}))
    | (?P<key>(?:sk|rk|pk)[_-](?:live|test|proj|ant|or)[A-Za-z0-9_-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}
        |AIza[A-Za-z0-9_-]{35}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|key-[a-f0-9]{32}
        |-----BEGIN\ [A-Z ]{0,20}PRIVATE\ KEY-----[A-Za-z0-9+/=\s\\]{32,20000}-----END\ [A-Z ]{0,20}PRIVATE\ KEY-----)
    )(?![A-Za-z0-9])""",
    re.VERBOSE,
)
"""Forms by which a secret is known whatever its name is."""

_HINTS = (
    "eyJ", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "npm_", "pypi-", "dop_v1_", "ya29.",
    "hf_", "shpat_", "shpca_", "shppa_", "shpss_", ":AA", "sk_", "sk-", "rk_", "rk-", "pk_", "pk-", "AKIA", "ASIA",
    "AIza", "SG.", "key-", "-----BEGIN",
)  # fmt: skip
"""One of these is in every such secret: a look for plain text costs a tenth of a look for the forms."""

_AMBIGUOUS = frozenset({
    "assertion", "auth", "code", "creds", "key", "pass", "pin", "session", "sessionid", "sid", "sig", "signature",
    "ticket", "token", "credential", "credentials", "secret",
})  # fmt: skip
_MORE_NAMES = frozenset({
    "accountkey", "encryptionkey", "functionskey", "masterkey", "sessionkey", "sharedkey", "signingkey", "storagekey",
    "xfunctionskey",
})  # fmt: skip
_ALWAYS_IN_CONTEXT = frozenset({"pass", "token", "secret", "credential", "credentials", "creds"})
_PUNCTUATION = str.maketrans("", "", "-_. ")
_MASKED = re.compile(r"[*xX.#\u2022-]+|\[?(?:filtered|redacted|removed|hidden|dummy|masked)\]?|<[^<>]*>", re.IGNORECASE)
_RANDOM = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])(?!https?:)[!-~]+")


def looks_random(value: str, least: int = 8) -> bool:
    """Whether a value is long enough, and of letters and digits, so that it stands for nothing but itself."""
    return least <= len(value) and _RANDOM.fullmatch(value) is not None


def is_masked(value: str) -> bool:
    """Whether somebody put this in the place of a secret already."""
    return _MASKED.fullmatch(value) is not None


def forget_names() -> None:
    """Look names up anew: a client may have learnt one since."""
    named.cache_clear()


@lru_cache(maxsize=8192)
def named(name: str) -> tuple[bool, bool]:
    """(whether a value of this name is a secret, whether only where it looks like one)."""
    plain = name.lower().translate(_PUNCTUATION)
    return is_secret_name(name) or plain in _MORE_NAMES, plain in _AMBIGUOUS - _ALWAYS_IN_CONTEXT


def is_secret(name: str, value: str, *, loose: bool = False) -> bool:
    """Whether a value of this name, in a query, a form or a body, is a secret.

    Args:
        name: of the parameter or member.
        value: decoded.
        loose: take any value under an ambiguous name for one.
    """
    secret, ambiguous = named(name)
    if not secret:
        return False
    return loose or not ambiguous or looks_random(value, 12) or PLACEHOLDER.fullmatch(value) is not None


def masked_text(text: str) -> str:
    """The text with placeholders, and secrets that are known by their form, as `<*>`."""
    if "-" in text and ("<" in text or "%3" in text):
        text = ENCODED_PLACEHOLDER.sub(WILD, PLACEHOLDER.sub(WILD, text))
    return TOKENS.sub(WILD, text) if has_tokens(text) else text


def has_tokens(text: str) -> bool:
    """Whether a secret may be in the text that is known by its form: a cheap first look."""
    return _seen(text) if len(text) <= _SHORT else _hinted(text)


def _hinted(text: str) -> bool:
    return len(text) >= _SHORTEST and any(map(text.__contains__, _HINTS))


_SHORT, _SHORTEST = 128, 14
_seen = lru_cache(maxsize=4096)(_hinted)


def kind(where: str, name: str) -> str:
    """The word in the placeholder: what sort of secret it is."""
    plain = name.lower().translate(_PUNCTUATION)
    if "cookie" in where:
        return "cookie"
    for word, named in (("pass", "password"), ("pwd", "password"), ("token", "token"), ("key", "key")):
        if word in plain:
            return named
    if plain in {"authorization", "proxyauthorization"}:
        return "token"
    return "code" if plain in {"code", "otp", "pin", "usercode", "devicecode", "codeverifier"} else "secret"
