"""From what the caller says to a request: URL, headers, body, and what must not travel to a foreign origin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

from rest_api_client.checks import check_mapping
from rest_api_client.context import Random
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.bodies import EMPTY, Body, ProgressBody
from rest_api_client.http.cookies import cookie_pair
from rest_api_client.http.decoding import accept_encoding
from rest_api_client.http.encoding import content_headers, encode_body
from rest_api_client.http.headers import Headers
from rest_api_client.http.serializers import Serializer
from rest_api_client.http.urls import URL, Origin, Userinfo, join, quoted, scalar, split_userinfo
from rest_api_client.idempotency import IdempotencyKey, KeyStyle, as_key
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import IDEMPOTENCY_KEY, Request
from rest_api_client.options import RequestOptions
from rest_api_client.policies.credentials import withhold_echo, withhold_headers, withhold_params
from rest_api_client.typing import ParamTypes, Scalar

_ORIGIN = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/]*")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(slots=True)
class Built:
    """A request, and what was found or left out while building it.

    Attributes:
        request: ready for the chain.
        userinfo: user name and password that stood in the URL.
        withheld: names of client-level credentials that do not belong to where the request goes.
    """

    request: Request
    userinfo: Userinfo | None
    withheld: tuple[str, ...]


class RequestBuilder:
    """Builds requests for one client.

    Args:
        base_url: what relative URLs stand behind.
        allow_origins: more origins that the client's credentials belong to.
        serializer: writes `json=`.
        random: makes idempotency keys and multipart boundaries.
        user_agent: the User-Agent field, or None.
        key_style: how idempotency keys are written that do not say it themselves.
    """

    def __init__(
        self,
        *,
        base_url: str | None,
        allow_origins: Iterable[str],
        serializer: Serializer,
        random: Random,
        user_agent: str | None,
        key_style: KeyStyle = "plain",
    ) -> None:
        self._base_url = base_url
        self.home = _origins(base_url, allow_origins)
        self.base_userinfo = split_userinfo(base_url)[1] if base_url is not None else None
        self._serializer = serializer
        self._random = random
        self._key_style: KeyStyle = key_style
        agent = [("User-Agent", user_agent)] if user_agent is not None else []
        self._defaults = Headers([("Accept", "*/*"), ("Accept-Encoding", accept_encoding()), *agent])
        self._merged = Headers(), self._defaults

    def build(
        self, method: str, url: str, options: RequestOptions, headers: Headers, params: ParamTypes | None
    ) -> Built:
        """A request for one call, on top of the client's headers and params.

        Raises:
            ConfigurationError: anything in the options that cannot be sent.
        """
        for name in ("path_params", "cookies") if options else ():
            check_mapping(name, options.get(name))
        template, target, userinfo = self._locate(url, options.get("path_params"))
        home = self.home or frozenset({target.origin})
        withheld: tuple[str, ...] = ()
        if target.origin not in home:
            target, echoed = withhold_echo(target, target.with_params(params))
            headers, left_headers = withhold_headers(headers)
            params, left_params = withhold_params(params)
            withheld = tuple(dict.fromkeys((*left_headers, *left_params, *echoed)))
        if params:
            target = target.with_params(params)
        body: Body = EMPTY
        key = None
        if not options:
            fields = self._standing(headers).copy()
        else:
            target = target.with_params(options.get("params"))
            body, described = self._body(options)
            key = as_key(options.get("idempotency_key"))
            fields = self._headers(self._standing(headers), described, options, key)
        request = Request(
            method=method.upper() if isinstance(method, str) and method.islower() else method,
            url=target,
            headers=fields,
            body=body,
            template=template,
            home=home,
            key_header=key.header if key is not None else IDEMPOTENCY_KEY,
        )
        return Built(request, userinfo, withheld)

    def _locate(self, url: str, values: Mapping[str, Scalar] | None) -> tuple[str, URL, Userinfo | None]:
        if not isinstance(url, str):
            raise ConfigurationError(f"url= is no text: give a str, got {type(url).__name__}")
        templated = values is not None or ("{" in url and _PLACEHOLDER.search(url))
        return _template(url), *_target(self._base_url, fill_template(url, values or {}) if templated else url)

    def _headers(
        self, standing: Headers, content: Mapping[str, str], options: RequestOptions, key: IdempotencyKey | None
    ) -> Headers:
        merged = content_headers(standing, content, options.get("headers"))
        cookies = options.get("cookies")
        if cookies:
            own = [merged["cookie"]] if "cookie" in merged else []
            merged["Cookie"] = "; ".join([*own, *(cookie_pair(name, value) for name, value in cookies.items())])
        if key is not None:
            merged[key.header] = key.written(self._random, self._key_style)
        return merged

    def _standing(self, client: Headers) -> Headers:
        """The client's fields over the defaults: merged anew only where the client's were changed."""
        seen, merged = self._merged
        if not seen.twin_of(client):
            if seen != client:
                merged = self._defaults.merged(client)
            self._merged = client.copy(), merged  # a twin: next time no fields are compared
        return merged

    def _body(self, options: RequestOptions) -> tuple[Body, Mapping[str, str]]:
        named = cast("Mapping[str, Any]", options)
        given = {name: named[name] for name in ("content", "json", "data", "files") if name in named}
        if not given:
            return EMPTY, {}
        body, headers = encode_body(**given, serializer=self._serializer, random=self._random)
        progress = options.get("progress")
        return (ProgressBody(body, progress) if progress is not None else body), headers


@lru_cache(maxsize=256)
def _target(base: str | None, text: str) -> tuple[URL, Userinfo | None]:
    return split_userinfo(join(base, text))


@lru_cache(maxsize=256)
def _template(url: str) -> str:
    path = _ORIGIN.sub("", url.partition("?")[0].partition("#")[0])
    return f"/{path.lstrip('/')}"


def fill_template(template: str, values: Mapping[str, Scalar]) -> str:
    """A URL template with its `{names}` filled in, each value encoded as one path segment.

    Raises:
        ConfigurationError: a name without a value, a value without a name, or a value that is empty or a dot segment.
    """
    names = set(_PLACEHOLDER.findall(template))
    if names != set(values):
        odd = sorted(names ^ set(values))
        raise ConfigurationError(f"path_params do not fit {template!r}: {', '.join(odd)} stands on one side only")
    return _PLACEHOLDER.sub(lambda found: _segment(found[1], values[found[1]]), template)


def _segment(name: str, value: Scalar) -> str:
    text = scalar(name, value)
    if text is None or text in {"", ".", ".."}:
        raise ConfigurationError(f"path_params[{name!r}]={value!r} would change the path: give a non-empty segment")
    return quoted(text)


def _origins(base_url: str | None, allowed: Iterable[str]) -> frozenset[Origin]:
    if isinstance(allowed, str):
        raise ConfigurationError(f"allow_origins={allowed!r}: give a list of URLs")
    return frozenset(URL.parse(url).origin for url in [*([base_url] if base_url is not None else []), *allowed])
