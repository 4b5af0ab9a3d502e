"""A cookie jar: RFC 6265 with what its revision (draft-ietf-httpbis-rfc6265bis) made safer.

The standard library's jar asks the system clock itself, so that expiry cannot be rehearsed; this one is told the time.
It is a value: no file, no network, a lock held for a few lines, and pickled as plain data.

What it does beyond RFC 6265, each time on the side of sending less:

- A cookie set over https counts as Secure, said or not: it never goes out over plain http.
- A cookie that came with a port and names no Domain goes back to that port alone (Chromium calls such cookies
  origin-bound). Leave `port` out everywhere for the RFC's behaviour, where all ports of a host share their cookies.
- The `__Secure-` and `__Host-` prefixes, Secure cookies that plain http cannot overwrite, and the limits are the
  revision's: 4,096 bytes for name and value, 50 per domain, 3,000 in all, 400 days. The least recently used goes first.
- Domains under which strangers register names are refused (`public_suffixes`).
- A cookie without a name is ignored. SameSite, Partitioned and HttpOnly mean nothing outside a browser.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from ipaddress import ip_address
from typing import Any, NamedTuple

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.forks import in_child
from rest_api_client.http.dates import parse_cookie_date
from rest_api_client.http.public_suffixes import is_public_suffix
from rest_api_client.lazy_dataclasses import dataclass

MAX_BYTES = 4096
MAX_ATTRIBUTE = 1024
MAX_PER_DOMAIN = 50
MAX_COOKIES = 3000
MAX_AGE = 400 * 24 * 3600.0
_MAX_HOST = 253

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e](?:[\x20-\x3a\x3c-\x7e]*[\x21-\x3a\x3c-\x7e])?|")
_PATH = re.compile(r"/[\x20-\x3a\x3c-\x7e]*")
_AGE = re.compile(r"-?[0-9]+")
_SECURE_SCHEMES = frozenset({"https", "wss"})


class _Key(NamedTuple):
    domain: str
    path: str
    name: str
    host_only: bool
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """One cookie.

    Attributes:
        name: its name.
        value: its value; not shown in the repr.
        domain: the host it belongs to, and all below it unless `host_only`.
        path: the path at and below which it is sent.
        host_only: whether it goes to exactly that host.
        secure: whether it goes out over https and wss alone.
        port: the one port it goes to, or None for all.
        expires: wall time when it ends, or None: with the jar.
    """

    name: str
    value: str = field(repr=False)
    domain: str
    path: str = "/"
    host_only: bool = True
    secure: bool = False
    port: int | None = None
    expires: float | None = None
    created: int = field(default=0, repr=False, compare=False)


def _key(cookie: Cookie) -> _Key:
    return _Key(cookie.domain, cookie.path, cookie.name, cookie.host_only, cookie.port)


class CookieJar:
    """Cookies of many hosts, for any number of threads.

    Cookies that have expired leave when their host is next asked for; until then they are counted and iterated over.

    Args:
        public_suffix: says whether a domain is one under which strangers register names.
    """

    def __init__(self, *, public_suffix: Callable[[str], bool] = is_public_suffix) -> None:
        self._public_suffix = public_suffix
        self._renew_lock()
        in_child(self._renew_lock)
        self.held: OrderedDict[_Key, Cookie] = OrderedDict()  # least recently used first
        self._domains: dict[str, OrderedDict[_Key, None]] = {}  # the same, by domain
        self._secure: dict[str, set[_Key]] = {}  # those that are Secure, by name
        self._created = 0

    def store(
        self, scheme: str, host: str, path: str, set_cookie: Iterable[str], now: float, *, port: int | None = None
    ) -> None:
        """Keep what an answer's Set-Cookie fields ask for; what is malformed or not allowed is ignored.

        Args:
            scheme: of the request's URL.
            host: of the request's URL.
            path: of the request's URL, without the query.
            set_cookie: the fields' values, one each.
            now: wall time.
            port: of the request's URL, to bind host-only cookies to it.
        """
        source = _Source(scheme in _SECURE_SCHEMES, _canonical(host), path, port)
        if len(source.host) > _MAX_HOST:
            return
        for line in set_cookie:
            received = _parse(line, now)
            cookie = received and self._admitted(received, source)
            if cookie:
                with self._lock:
                    self._keep(cookie, now, source.secure)

    def header(self, scheme: str, host: str, path: str, now: float, *, port: int | None = None) -> str | None:
        """The Cookie field for a request, longer paths and older cookies first, or None where there is none to send."""
        source = _Source(scheme in _SECURE_SCHEMES, _canonical(host), path or "/", port)
        with self._lock:
            found = [cookie for cookie in self._alive(source.host, now) if source.gets(cookie)]
            for cookie in found:
                self.held.move_to_end(_key(cookie))
                self._domains[cookie.domain].move_to_end(_key(cookie))
        found.sort(key=lambda cookie: (-len(cookie.path), cookie.created))
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in found) or None

    def set(
        self,
        name: str,
        value: str,
        *,
        domain: str,
        path: str = "/",
        secure: bool = False,
        port: int | None = None,
        subdomains: bool = False,
        expires: float | None = None,
        now: float = 0.0,
    ) -> None:
        """Keep a cookie of one's own. It goes to exactly `domain`, and to hosts below it only with `subdomains=True`.

        Raises:
            ConfigurationError: a name, value, domain or path that cannot be sent; too large; or `subdomains` of an
                address or a public suffix.
        """
        domain = _canonical(domain)
        _check(name, value, domain, path)
        if subdomains and (_is_address(domain) or self._public_suffix(domain)):
            raise ConfigurationError(f"cookie {name!r}: domain={domain!r} has no subdomains of one owner")
        cookie = Cookie(
            name=name,
            value=value,
            domain=domain,
            path=path,
            host_only=not subdomains,
            secure=secure,
            port=port,
            expires=expires,
        )
        with self._lock:
            self._keep(cookie, now, secure=True)

    def get(self, name: str, default: str | None = None, *, domain: str | None = None) -> str | None:
        """The value of the cookie of that name, of that domain where one is given; of several the newest."""
        wanted = None if domain is None else _canonical(domain)
        found = [cookie for cookie in self if cookie.name == name and wanted in {None, cookie.domain}]
        return max(found, key=lambda cookie: cookie.created).value if found else default

    def clear(self, *, domain: str | None = None, name: str | None = None) -> None:
        """Forget all cookies, or those of a domain, or those of a name, or those of both."""
        wanted = None if domain is None else _canonical(domain)
        with self._lock:
            for key in list(self.held):
                if wanted in {None, key.domain} and name in {None, key.name}:
                    self._drop(key)

    def __iter__(self) -> Iterator[Cookie]:
        with self._lock:
            cookies = list(self.held.values())
        return iter(sorted(cookies, key=lambda cookie: cookie.created))

    def __len__(self) -> int:
        return len(self.held)

    def __repr__(self) -> str:
        return f"<CookieJar of {len(self)}>"

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"public_suffix": self._public_suffix, "cookies": list(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        CookieJar.__init__(self, public_suffix=state["public_suffix"])
        for cookie in state["cookies"]:
            self._keep(cookie, 0.0, secure=True)

    def _admitted(self, received: _Received, source: _Source) -> Cookie | None:
        """The cookie, where its source may set it (RFC 6265bis, section 5.7)."""
        domain = received.domain
        if domain and domain == source.host and (_is_address(domain) or self._public_suffix(domain)):
            domain = ""
        if domain and (not _domain_match(source.host, domain) or self._public_suffix(domain)):
            return None
        path = received.path if received.path.startswith("/") else _default_path(source.path)
        prefix = received.name.lower()
        if (received.secure or prefix.startswith(("__secure-", "__host-"))) and not (received.secure and source.secure):
            return None
        if prefix.startswith("__host-") and (domain or received.path != "/"):
            return None
        return Cookie(
            name=received.name,
            value=received.value,
            domain=domain or source.host,
            path=path,
            host_only=not domain,
            secure=source.secure,
            port=None if domain else source.port,
            expires=received.expires,
        )

    def _keep(self, cookie: Cookie, now: float, secure: bool) -> None:
        """Under the lock: replace, add or, where it has expired, remove a cookie; then make room."""
        if not secure and self._shadows_secure(cookie):
            return
        key = _key(cookie)
        known = self.held.get(key)
        if known is not None:
            self._drop(key)
        if cookie.expires is not None and cookie.expires <= now:
            return
        self._created += 1
        self.held[key] = replace(cookie, created=known.created if known else self._created)
        keys = self._domains.setdefault(cookie.domain, OrderedDict())
        keys[key] = None
        if cookie.secure:
            self._secure.setdefault(cookie.name, set()).add(key)
        if len(keys) > MAX_PER_DOMAIN:
            self._drop(next((key for key in keys if _expired(self.held[key], now)), next(iter(keys))))
        if len(self.held) > MAX_COOKIES:
            self._drop(next(iter(self.held)))

    def _shadows_secure(self, cookie: Cookie) -> bool:
        """Whether a cookie from plain http would stand in for a Secure one (RFC 6265bis, section 5.7, step 16)."""
        return any(
            (_domain_match(other.domain, cookie.domain) or _domain_match(cookie.domain, other.domain))
            and _path_match(cookie.path, other.path)
            for other in self._secure.get(cookie.name, ())
        )

    def _alive(self, host: str, now: float) -> list[Cookie]:
        """Under the lock: cookies of a host and its parents; those that have expired are dropped."""
        keys = [key for domain in _with_parents(host) for key in self._domains.get(domain, ())]
        for key in keys:
            if _expired(self.held[key], now):
                self._drop(key)
        return [self.held[key] for key in keys if key in self.held]

    def _drop(self, key: _Key) -> None:
        del self.held[key]
        keys = self._domains[key.domain]
        del keys[key]
        if not keys:
            del self._domains[key.domain]
        secure = self._secure.get(key.name, set())
        secure.discard(key)
        if not secure:
            self._secure.pop(key.name, None)


def cookie_pair(name: str, value: str) -> str:
    """`name=value` for a Cookie field.

    Raises:
        ConfigurationError: a name or value that cannot be sent, or would be read as more than one cookie.
    """
    _check(name, value, "call", "/")
    return f"{name}={value}"


def _check(name: str, value: str, domain: str, path: str) -> None:
    for what, text, pattern in (("name", name, _NAME), ("value", value, _VALUE), ("path", path, _PATH)):
        if not isinstance(text, str) or not pattern.fullmatch(text):
            shown = "" if what == "value" else f"={text!r}"
            raise ConfigurationError(
                f"cookie {name!r}: {what}{shown} cannot be sent: percent-encode what is not printable ASCII, and ;"
            )
    if len(name) + len(value) > MAX_BYTES:
        raise ConfigurationError(f"cookie {name!r} has more than {MAX_BYTES} bytes: shorten it")
    if not domain or len(domain) > _MAX_HOST:
        raise ConfigurationError(f"cookie {name!r}: domain={domain!r} is no host name")


class _Source(NamedTuple):
    """Where an answer came from, or where a request goes."""

    secure: bool
    host: str
    path: str
    port: int | None

    def gets(self, cookie: Cookie) -> bool:
        """Whether a cookie of this host or a parent is sent here (RFC 6265, section 5.4)."""
        return (
            (not cookie.host_only or cookie.domain == self.host)
            and cookie.port in {None, self.port}
            and (self.secure or not cookie.secure)
            and _path_match(self.path, cookie.path)
        )


class _Received(NamedTuple):
    name: str
    value: str
    domain: str
    path: str
    secure: bool
    expires: float | None


def _parse(line: str, now: float) -> _Received | None:
    """A Set-Cookie field (RFC 6265, section 5.2), or None where it is to be ignored."""
    first, *rest = line.split(";")
    name, equals, value = (part.strip(" \t") for part in first.partition("="))
    if not equals or not name or len(name) + len(value) > MAX_BYTES or _CONTROLS.search(line):
        return None
    attributes: dict[str, str] = {}
    times: dict[str, float] = {}
    for attribute in rest:
        key, _, text = (part.strip(" \t") for part in attribute.partition("="))
        if len(text) > MAX_ATTRIBUTE:
            continue
        attributes[key.lower()] = text
        if (moment := _expiry(key.lower(), text, now)) is not None:
            times[key.lower()] = moment
    expires = times.get("max-age", times.get("expires"))
    domain = _canonical(attributes.get("domain", "").removeprefix("."))
    return _Received(name, value, domain, attributes.get("path", ""), "secure" in attributes, expires)


def _expiry(key: str, text: str, now: float) -> float | None:
    """When an attribute ends the cookie; Max-Age and Expires alike reach 400 days ahead at most."""
    if key == "max-age" and _AGE.fullmatch(text):
        age = -1.0 if text.startswith("-") else MAX_AGE if len(text.lstrip("0")) > 10 else float(text)
        return now + min(age, MAX_AGE) if age > 0 else float("-inf")
    moment = parse_cookie_date(text) if key == "expires" else None
    return None if moment is None else min(moment, now + MAX_AGE)


def _expired(cookie: Cookie, now: float) -> bool:
    return cookie.expires is not None and cookie.expires <= now


def _canonical(host: str) -> str:
    return host.lower().removeprefix("[").removesuffix("]")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _domain_match(host: str, domain: str) -> bool:
    """RFC 6265, section 5.1.3."""
    return host == domain or (host.endswith("." + domain) and not _is_address(host))


def _with_parents(host: str) -> list[str]:
    if len(host) > _MAX_HOST or _is_address(host):
        return [host]
    labels = host.split(".")
    return [".".join(labels[i:]) for i in range(len(labels))]


def _default_path(path: str) -> str:
    """RFC 6265, section 5.1.4."""
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"


def _path_match(path: str, cookie_path: str) -> bool:
    """RFC 6265, section 5.1.4."""
    return path == cookie_path or (
        path.startswith(cookie_path) and (cookie_path.endswith("/") or path[len(cookie_path)] == "/")
    )
