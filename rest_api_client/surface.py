"""What both clients show and what never waits: their settings, their chain, their light copies."""

from __future__ import annotations

import sys
import warnings
from typing import NoReturn, Self, Unpack

from rest_api_client.client_core import ClientCore
from rest_api_client.config import APIConfig, ClientOptions
from rest_api_client.http.cookies import CookieJar
from rest_api_client.http.headers import Headers
from rest_api_client.http.redaction import redact_url
from rest_api_client.pipeline import StageDescription
from rest_api_client.transport import Transport
from rest_api_client.typing import ParamTypes


class Surface:
    """The part of a client that is the same in both faces."""

    _core: ClientCore

    @property
    def config(self) -> APIConfig:
        """The settings this client was made with."""
        return self._core.config

    @property
    def headers(self) -> Headers:
        """Fields sent with each request; change them at will."""
        return self._core.settings.headers

    @property
    def params(self) -> ParamTypes | None:
        """Query parameters sent with each request."""
        return self._core.settings.params

    @params.setter
    def params(self, value: ParamTypes | None) -> None:
        self._core.settings.params = value

    @property
    def cookies(self) -> CookieJar:
        """The cookie jar."""
        return self._core.settings.cookies

    @property
    def transport(self) -> Transport:
        """The engine; its `capabilities` say what it can do."""
        return self._core.transport

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._core.closed

    def describe(self) -> list[StageDescription]:
        """The chain a request passes, outermost stage first."""
        return self._core.pipeline.describe()

    def with_options(self, **options: Unpack[ClientOptions]) -> Self:
        """A light copy with other settings; connections, cookies and the state of unchanged policies are shared.

        Closing the copy leaves the original open.

        Raises:
            ConfigurationError: an option of the connections themselves (`verify`, `proxy`, `engine` ...).
        """
        copy = object.__new__(type(self))
        copy.__dict__.update({name: value for name, value in self.__dict__.items() if name != "_core"})
        copy._core = self._core.copy(copy, **options)
        return copy

    def __del__(self) -> None:
        core: ClientCore | None = self.__dict__.get("_core")
        if core is not None and not core.closed and core.owns_transport and not sys.is_finalizing():
            warnings.warn(
                f"{self!r} was left open: use a `with` block, or close it", ResourceWarning, stacklevel=2, source=self
            )

    def __repr__(self) -> str:
        core: ClientCore | None = self.__dict__.get("_core")
        base = core.config.base_url if core is not None else None
        closed = ", closed" if core is not None and core.closed else ""
        return f"<{type(self).__name__} {redact_url(base) if base else 'without base_url'}{closed}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a client does not travel, its connections cannot: pickle client.config and make a new one there"
        )
