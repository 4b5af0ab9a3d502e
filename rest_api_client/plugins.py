"""Plugins: policies, authentication and serializers, found by name.

A plugin is a callable registered here, or an entry point of the group `rest_api_client.plugins` whose name is
`kind.name`: `auth.sigv4 = "my_package:make_auth"`. It is loaded when somebody asks for it by name, and never just
because it is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.serializers import JSON_SERIALIZER, Serializer, msgspec_serializer, orjson_serializer
from rest_api_client.utils import unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Kind: TypeAlias = Literal["policy", "auth", "serializer"]
Make: TypeAlias = Callable[[], Any]

GROUP = "rest_api_client.plugins"

_REGISTERED: dict[tuple[str, str], Make] = {
    ("serializer", "json"): lambda: JSON_SERIALIZER,
    ("serializer", "orjson"): orjson_serializer,
    ("serializer", "msgspec"): msgspec_serializer,
}


def register(kind: Kind, name: str, make: Make) -> None:
    """Make a plugin known under a name: `make()` gives a policy, an `Auth` or a `Serializer`.

    Raises:
        ConfigurationError: the name is taken.
    """
    if kind not in get_args(Kind) or not callable(make):
        raise ConfigurationError(
            f"register({kind!r}, {name!r}, {make!r}): give 'policy', 'auth' or 'serializer', a name, a callable"
        )
    if (kind, name) in _REGISTERED:
        raise ConfigurationError(f"the {kind} {name!r} is registered already: choose another name")
    _REGISTERED[kind, name] = make


def find(kind: Kind, name: str) -> Any:
    """A new plugin of this kind and name.

    Raises:
        ConfigurationError: there is none; the message lists those that are.
    """
    make = _REGISTERED.get((kind, name)) or _installed(kind, name)
    if make is None:
        hint = unknown(kind, name, available(kind))
        raise ConfigurationError(f"{hint} (register it, or install the package that brings it)")
    return make()


def available(kind: Kind) -> list[str]:
    """The names of all plugins of a kind, registered or installed; nothing is loaded."""
    installed = [e.name.partition(".")[2] for e in _entry_points() if e.name.startswith(f"{kind}.")]
    return sorted({name for k, name in _REGISTERED if k == kind} | set(installed))


def _installed(kind: str, name: str) -> Make | None:
    for entry in _entry_points():
        if entry.name != f"{kind}.{name}":
            continue
        try:
            return entry.load()  # type: ignore[no-any-return]
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(f"the {kind} {name!r} ({entry.value}) cannot be loaded: {error}") from error
    return None


def _entry_points() -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points  # only names that are not ours need it

    return entry_points(group=GROUP)


def as_serializer(value: str | Serializer) -> Serializer:
    """The serializer a setting names, or the one it is."""
    return find("serializer", value) if isinstance(value, str) else value
