"""URLs: normalised and encoded once, then only compared and sent.

A `URL` is what goes on the wire: lower-case scheme, IDNA host, port, and the encoded target (path and query). httpx's
parser does the normalising; whatever it refuses is a `ConfigurationError` here. User name and password never stay in a
URL: `parse` hands them out beside it, and authentication decides where they go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

import httpx

from .exceptions import ConfigurationError
from .redaction import redact_url
from .typing import ParamTypes, Scalar

DEFAULT_PORTS: Mapping[str, int] = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port: what credentials belong to (RFC 6454)."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Userinfo(NamedTuple):
    """User name and password, as written before the @ of a URL."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Userinfo(***)"


@dataclass(frozen=True, slots=True, repr=False)
class URL:
    """An absolute http or https URL, encoded as it is sent. `str()` gives it back; `repr` masks secrets in it."""

    scheme: str
    host: str
    port: int
    target: str
    fragment: str = ""

    @classmethod
    def parse(cls, text: str) -> URL:
        """Normalise an absolute URL; a user name and password in it are dropped (`split_userinfo` keeps them).

        Raises:
            ConfigurationError: not an absolute http(s) URL, or one with characters that cannot be sent.
        """
        return split_userinfo(text)[0]

    @property
    def origin(self) -> Origin:
        """What credentials belong to."""
        return Origin(self.scheme, self.host, self.port)

    @property
    def netloc(self) -> str:
        """Host, and port where it is not the scheme's own: the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if DEFAULT_PORTS.get(self.scheme) == self.port else f"{host}:{self.port}"

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
        return replace(
            self, target=f"{self.target}{'&' if self.query else '?' if '?' not in self.target else ''}{added}"
        )

    def resolve(self, reference: str) -> URL:
        """Where a Location or Link of this URL's answer points (RFC 3986, section 5).

        Raises:
            ConfigurationError: the reference is no http(s) URL.
        """
        try:
            target = httpx.URL(str(self)).join(reference)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise ConfigurationError(f"cannot resolve {redact_url(reference)!r}: {error}") from error
        return URL.parse(str(target))

    def __str__(self) -> str:
        fragment = f"#{self.fragment}" if self.fragment else ""
        return f"{self.scheme}://{self.netloc}{self.target}{fragment}"

    def __repr__(self) -> str:
        return f"URL({redact_url(str(self))!r})"


@lru_cache(maxsize=1024)
def split_userinfo(text: str) -> tuple[URL, Userinfo | None]:
    """Parse a URL, and give what stood before its @ beside it."""
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii")
        target = url.raw_path.decode("ascii")
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise ConfigurationError(f"not a URL that can be sent: {redact_url(str(text))!r} ({error})") from error
    if url.scheme not in DEFAULT_PORTS or not host:
        raise ConfigurationError(
            f"{redact_url(text)!r} is not an absolute http or https URL: give one, or set base_url on the client"
        )
    userinfo = Userinfo(unquote(url.username), unquote(url.password)) if url.userinfo else None
    return URL(url.scheme, host, url.port or DEFAULT_PORTS[url.scheme], target, url.fragment), userinfo


def join(base: str | None, reference: str) -> str:
    """A call's URL: absolute as it is, else put behind the base URL, whose path prefix stays.

    Raises:
        ConfigurationError: relative without a base URL, or `//host/path`, which would leave the base's host unseen.
    """
    if "://" in reference.partition("?")[0].partition("#")[0]:
        return reference
    if reference.startswith("//"):
        raise ConfigurationError(f"{redact_url(reference)!r} names a host without a scheme: write http:// or https://")
    if base is None:
        raise ConfigurationError(f"{redact_url(reference)!r} is relative: give the client a base_url, or a whole URL")
    stem, question, query = base.partition("#")[0].partition("?")
    if not reference:
        return base
    if reference.startswith("?"):
        return f"{stem}{reference}{'&' + query if query else ''}"
    joined = f"{stem.rstrip('/')}/{reference.lstrip('/')}"
    if not question or not query:
        return joined
    return f"{joined}{'&' if '?' in reference else '?'}{query}"


def encode_params(params: ParamTypes) -> str:
    """A query string: True becomes `true`, None is dropped, lists repeat the name; UTF-8, space as %20."""
    if isinstance(params, str):
        return quote(params.removeprefix("?"), safe="!$&'()*+,;=:@/?%-._~")
    pairs: list[str] = []
    for name, value in params.items() if isinstance(params, Mapping) else params:
        values: Sequence[Scalar] = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
        pairs += [
            f"{quote(str(name), safe='')}={quote(text, safe='')}"
            for v in values
            if (text := scalar(name, v)) is not None
        ]
    return "&".join(pairs)


def scalar(name: str, value: Scalar) -> str | None:
    """One value of a query or form, as text; None is left out."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ConfigurationError(
        f"parameter {name!r}: {type(value).__name__} cannot be sent; give str, int, float, bool, None or a list"
    )
