"""Fixtures for the engines on real sockets."""

from __future__ import annotations

import pytest

from tests.rest_api_client.engines.rigs import Rig

FLAVOURS = ("httpx", "httpx2")
LIBRARIES = ("sync", "asyncio", "trio")


@pytest.fixture(params=[f"{flavour}-{library}" for flavour in FLAVOURS for library in LIBRARIES])
def rig(request: pytest.FixtureRequest) -> Rig:
    """Each flavour with each face."""
    return Rig(*request.param.split("-"))
