"""URLs: normalised and encoded once, then only compared and sent.

A `URL` is what goes on the wire: lower-case scheme, IDNA host, port, and the encoded target (path and query). httpx's
parser does the normalising; whatever it refuses is a `ConfigurationError` here. User name and password never stay in a
URL: `parse` hands them out beside it, and authentication decides where they go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from functools import lru_cache
from typing import Any, NamedTuple, cast
from urllib.parse import quote, unquote

import httpx

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.redaction import redact_url
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.typing import ParamTypes, ParamValue, Scalar

DEFAULT_PORTS: Mapping[str, int] = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port: what credentials belong to (RFC 6454)."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return _written(self)


@lru_cache(maxsize=1024)
def _written(origin: Origin) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{origin.scheme}://{host}:{origin.port}"


_origin = lru_cache(maxsize=1024)(Origin)


class Userinfo(NamedTuple):
    """User name and password, as written before the @ of a URL."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Userinfo(***)"


@dataclass(frozen=True, slots=True, repr=False)
class URL:
    """An absolute http or https URL, encoded as it is sent. `str()` gives it back; `repr` masks secrets in it.

    Attributes:
        scheme: "http" or "https".
        host: a name in ASCII, or an address (IPv6 without brackets).
        port: always given.
        target: the encoded path and query.
        fragment: what is not sent.
        text: the whole, as `str()` gives it.
        netloc: host, and port where it is not the scheme's own: the Host header.
        origin: what credentials belong to.
        origin_text: the origin as text: the name of most states.
    """

    scheme: str
    host: str
    port: int
    target: str
    fragment: str = ""
    text: str = field(init=False, compare=False)
    netloc: str = field(init=False, compare=False)
    origin: Origin = field(init=False, compare=False)
    origin_text: str = field(init=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> URL:
        """Normalise an absolute URL; a user name and password in it are dropped (`split_userinfo` keeps them).

        Raises:
            ConfigurationError: not an absolute http(s) URL, or one with characters that cannot be sent.
        """
        return split_userinfo(text)[0]

    def __getattr__(self, name: str) -> Any:
        # Only what was not set yet is asked for here: it is made once, and then simply read.
        if name not in _VIEWS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, name, view := _VIEWS[name](self))
        return view

    @property
    def path(self) -> str:
        """The encoded path."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The encoded query, without the question mark."""
        return self.target.partition("?")[2]

    def with_params(self, params: ParamTypes | None) -> URL:
        """This URL with more query parameters behind those it has."""
        added = encode_params(params) if params else ""
        if not added:
            return self
        if len(self.target) + len(added) > LONGEST_TARGET:
            raise ConfigurationError(
                f"the query would make the URL longer than {LONGEST_TARGET} characters: send the parameters in a body"
            )
        return replace(
            self, target=f"{self.target}{'&' if self.query else '?' if '?' not in self.target else ''}{added}"
        )

    def resolve(self, reference: str) -> URL:
        """Where a Location or Link of this URL's answer points (RFC 3986, section 5).

        Raises:
            ConfigurationError: the reference is no http(s) URL.
        """
        try:
            target = str(httpx.URL(str(self)).join(reference))
        except (httpx.InvalidURL, ValueError, TypeError):
            # The parser's own words may quote a password that it took for a port.
            raise ConfigurationError(f"{_shown(reference)!r} cannot be resolved: it is no URL") from None
        return URL.parse(target)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"URL({redact_url(self.text)!r})"


def _text(url: URL) -> str:
    return f"{url.scheme}://{url.netloc}{url.target}{'#' if url.fragment else ''}{url.fragment}"


def _netloc(url: URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return host if DEFAULT_PORTS.get(url.scheme) == url.port else f"{host}:{url.port}"


def _origin_of(url: URL) -> Origin:
    return _origin(url.scheme, url.host, url.port)


def _origin_text(url: URL) -> str:
    return str(url.origin)


_VIEWS: Mapping[str, Callable[[URL], object]] = {
    "text": _text,
    "netloc": _netloc,
    "origin": _origin_of,
    "origin_text": _origin_text,
}


LONGEST_TARGET = 60_000
"""Characters. Engines refuse URLs from 65,534 on, each with words of its own; many servers do from 8,000."""

_HOST = re.compile(r"[A-Za-z0-9._~-]+|[0-9a-f.]*:[0-9a-f:.]*(?:%25[A-Za-z0-9._~-]+)?")
_AUTHORITY = re.compile(r"[^/?#]*//([^/?#]*)")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_RAW = str.maketrans({"\\": "%5C", "^": "%5E", "|": "%7C", "{": "%7B", "}": "%7D", "`": "%60"})
"""What the parser leaves raw in a target, although no URL may hold it (RFC 3986, appendix A)."""


@lru_cache(maxsize=1024)
def split_userinfo(text: str) -> tuple[URL, Userinfo | None]:
    """Parse a URL, and give what stood before its @ beside it.

    Raises:
        ConfigurationError: not an absolute http(s) URL, or one with characters that cannot be sent.
    """
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii")
        target = url.raw_path.decode("ascii").translate(_RAW)
    except (httpx.InvalidURL, ValueError, TypeError):
        # The parser's own words may quote a password that it took for a port.
        raise ConfigurationError(
            f"{_shown(text)!r} is no URL that can be sent: look for control characters, "
            "a port that is no number, or a host name with characters of no name"
        ) from None
    if url.scheme not in DEFAULT_PORTS or not host:
        raise ConfigurationError(
            f"{_shown(text)!r} is not an absolute http or https URL: give one, or set base_url on the client"
        )
    _check_authority(text, host, url.port)
    userinfo = Userinfo(unquote(url.username), unquote(url.password)) if url.userinfo else None
    port = DEFAULT_PORTS[url.scheme] if url.port is None else url.port
    return URL(url.scheme, host, port, target, url.fragment), userinfo


def _check_authority(text: str, host: str, port: int | None) -> None:
    if port is not None and not 0 < port < 65536:
        raise ConfigurationError(f"{_shown(text)!r}: port {port} does not exist; give 1 to 65535")
    authority = _AUTHORITY.match(text)
    # Browsers read a backslash as a slash, so that two readers would see two hosts.
    if not _HOST.fullmatch(host) or (authority is not None and "\\" in authority[1]):
        raise ConfigurationError(
            f"{_shown(text)!r}: the host is no name and no address; letters, digits, '-', '.' and '_' can be sent"
        )


def _shown(text: object) -> str:
    return redact_url(str(text))[:200]


def join(base: str | None, reference: str) -> str:
    """A call's URL: absolute as it is, else put behind the base URL, whose path prefix and query stay.

    Raises:
        ConfigurationError: relative without a base URL, or `//host/path`, which would leave the base's host unseen.
    """
    if _ABSOLUTE.match(reference):
        return reference
    if reference.startswith("//"):
        raise ConfigurationError(f"{_shown(reference)!r} names a host without a scheme: write http:// or https://")
    if base is None:
        raise ConfigurationError(f"{_shown(reference)!r} is relative: give the client a base_url, or a whole URL")
    stem, _, query = base.partition("#")[0].partition("?")
    path, _, own = reference.partition("#")[0].partition("?")
    if path:
        stem = f"{stem.rstrip('/')}/{path.lstrip('/')}"
    queries = "&".join(part for part in (own, query) if part)
    return f"{stem}?{queries}" if queries else stem


def encode_params(params: ParamTypes) -> str:
    """A query string: True becomes `true`, None is dropped, lists repeat the name; UTF-8, space as %20.

    Raises:
        ConfigurationError: a value that cannot be sent; the message names the parameter.
    """
    if isinstance(params, str):
        return quoted(params.removeprefix("?"), safe="!$&'()*+,;=:@/?%-._~")
    pairs: list[str] = []
    for name, value in _items(params):
        values = value if isinstance(value, list | tuple) else [cast("Scalar", value)]
        pairs += [f"{quoted(str(name))}={quoted(text)}" for v in values if (text := scalar(name, v)) is not None]
    return "&".join(pairs)


def _items(params: Mapping[str, ParamValue] | Sequence[tuple[str, ParamValue]]) -> Iterable[tuple[str, ParamValue]]:
    if isinstance(params, Mapping):
        return params.items()
    if isinstance(params, list | tuple) and all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in params):
        return params
    raise ConfigurationError(f"parameters of type {type(params).__name__}: give a dict, a list of pairs, or a str")


def quoted(text: str, safe: str = "") -> str:
    """Text percent-encoded as UTF-8.

    Raises:
        ConfigurationError: half a surrogate pair, which has no UTF-8.
    """
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"{text[:80]!r} has half a surrogate pair and no UTF-8: repair the text") from error


def scalar(name: str, value: Scalar) -> str | None:
    """One value of a query or form, as text; None is left out.

    Raises:
        ConfigurationError: a value that cannot be sent.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ConfigurationError(
        f"parameter {name!r}: {type(value).__name__} cannot be sent; give str, int, float, bool, None or a list"
    )
