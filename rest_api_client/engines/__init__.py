"""The engines: what sends a request and brings an answer, found by name and imported only when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, cast

from rest_api_client.clock import SYSTEM, Clock
from rest_api_client.connection import ConnectionOptions
from rest_api_client.exceptions import CapabilityError, ConfigurationError
from rest_api_client.transport import Capability, Transport
from rest_api_client.utils import unknown

ENGINES = ("httpx", "httpx2", "pyreqwest")
"""The names of the engines that come with this library."""

Face = Literal["sync", "async"]

_SERVES = {"sync": {Capability.SYNC}, "async": {Capability.ASYNCIO, Capability.TRIO}}


def open_engine(engine: Any, *, face: Face, options: ConnectionOptions, clock: Clock = SYSTEM) -> Transport:
    """The engine of that name, made for these options.

    A `Transport` is given back as it is, with whatever options it was made with; a transport of httpx or httpx2 comes
    in an adapter, and the options are its maker's affair as well.

    Raises:
        ConfigurationError: no such engine, its package is not installed, or an option that it cannot work with.
        CapabilityError: a transport that serves only the other kind of client.
    """
    if isinstance(engine, str):
        return _named(engine, face, options, clock)
    if not hasattr(engine, "capabilities"):
        return _adapted(engine, face)
    if not _SERVES[face] & engine.capabilities:
        raise CapabilityError(f"{engine!r} cannot serve {'a' if face == 'sync' else 'an'} {face} client")
    return cast("Transport", engine)


def _named(name: str, face: Face, options: ConnectionOptions, clock: Clock) -> Transport:
    if name not in ENGINES:
        given = ", ".join(map(repr, ENGINES))
        raise ConfigurationError(f"{unknown('engine', name, ENGINES)} (give {given} or a transport)")
    if name == "pyreqwest":
        return _pyreqwest(face, options, clock)
    if face == "sync":
        kind = import_module(f"{__name__}.httpx.engine").HttpxEngine
    else:
        kind = import_module(f"{__name__}.httpx.async_engine").AsyncHttpxEngine
    return cast("Transport", kind(options, flavour=name, clock=clock))


def _pyreqwest(face: Face, options: ConnectionOptions, clock: Clock) -> Transport:
    try:
        module = import_module(f"{__name__}.pyreqwest")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "engine='pyreqwest' needs an extra: pip install 'rest-api-client-kit[fast]'"
        ) from error
    kind = module.SyncPyreqwestEngine if face == "sync" else module.AsyncPyreqwestEngine
    return cast("Transport", kind(options, clock=clock))


def _adapted(transport: Any, face: Face) -> Transport:
    module = import_module(f"{__name__}.adapter")
    kind = module.HttpxAdapter if face == "sync" else module.AsyncHttpxAdapter
    return cast("Transport", kind(transport))
