"""How connections are made: values that cannot work are refused before anything is opened."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from rest_api_client.connection import ConnectionOptions
from rest_api_client.exceptions import ConfigurationError


@pytest.mark.parametrize("name", ["max_connections", "max_connections_per_host"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "5", True, float("nan")])
def test_a_limit_is_a_whole_number_above_0(name: str, value: Any) -> None:
    """The message gives name and value, and the way to no limit."""
    with pytest.raises(ConfigurationError, match=rf"{name}=.*None for no limit"):
        ConnectionOptions(**{name: value})
    assert getattr(ConnectionOptions(**{name: None}), name) is None


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "5", None, True])
def test_keepalive_is_seconds(value: Any) -> None:
    """0 is allowed: it keeps nothing alive."""
    with pytest.raises(ConfigurationError, match="keepalive_expiry="):
        ConnectionOptions(keepalive_expiry=value)
    assert ConnectionOptions(keepalive_expiry=0).keepalive_expiry == 0


def test_a_unix_socket_has_no_proxy() -> None:
    """The two contradict each other."""
    with pytest.raises(ConfigurationError, match="exclude each other"):
        ConnectionOptions(uds="/run/x", proxy="http://proxy")


def test_options_are_values_without_secrets_in_their_repr() -> None:
    """Equal, picklable; certificate and proxy may hold passwords and stay out of sight."""
    options = ConnectionOptions(proxy="http://user:hunter2@proxy", cert=("c.pem", "k.pem", "hunter2"))
    assert options == copy.copy(options) == pickle.loads(pickle.dumps(options))
    assert "hunter2" not in repr(options)
