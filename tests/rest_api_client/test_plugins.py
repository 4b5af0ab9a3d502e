"""Plugins: found by name, listed without being loaded, and never loaded because they are installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rest_api_client import plugins
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.http.serializers import JSON_SERIALIZER
from rest_api_client.plugins import as_serializer, available, find, register


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plugins, "_REGISTERED", dict(plugins._REGISTERED))
    yield
    sys.modules.pop("fake_plugin", None)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that brings plugins, good and broken."""
    info = tmp_path / "fake_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[rest_api_client.plugins]\nauth.fake = fake_plugin:make\nauth.gone = no_such_module:make\n"
        "policy.odd = fake_plugin:missing\n"
    )
    (tmp_path / "fake_plugin.py").write_text("def make():\n    return ['made']\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("installed")
def test_an_installed_plugin_is_found_by_name() -> None:
    """Each `find` makes a new one."""
    assert find("auth", "fake") == ["made"]
    assert find("auth", "fake") is not find("auth", "fake")


@pytest.mark.usefixtures("installed")
def test_an_installed_plugin_is_not_loaded_until_asked_for() -> None:
    """Listing, and finding others, imports nothing of it."""
    assert available("auth") == ["fake", "gone"]
    assert find("serializer", "json") is JSON_SERIALIZER
    assert "fake_plugin" not in sys.modules
    find("auth", "fake")
    assert "fake_plugin" in sys.modules


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("kind", "name", "why"), [("auth", "gone", "no_such_module"), ("policy", "odd", "missing")])
def test_a_plugin_that_cannot_be_loaded_says_why(kind: Any, name: str, why: str) -> None:
    """The message names the plugin, the object, and what is missing."""
    with pytest.raises(ConfigurationError, match=f"{name}.*cannot be loaded.*{why}"):
        find(kind, name)


def test_a_registered_plugin_is_found() -> None:
    """Under its kind alone."""
    register("policy", "mine", lambda: "policy")
    assert find("policy", "mine") == "policy"
    assert "mine" in available("policy")
    assert "mine" not in available("auth")
    with pytest.raises(ConfigurationError, match="registered already"):
        register("policy", "mine", lambda: "other")


@pytest.mark.parametrize(("kind", "make"), [("polcy", list), ("auth", None), (None, list)])
def test_a_wrong_registration_is_refused(kind: Any, make: Any) -> None:
    """An unknown kind, or something that cannot be called."""
    with pytest.raises(ConfigurationError, match="register"):
        register(kind, "x", make)


def test_an_unknown_name_is_an_error_that_helps() -> None:
    """With the nearest name, or all there are, or the news that there are none."""
    with pytest.raises(ConfigurationError, match="did you mean 'orjson'"):
        find("serializer", "orjsn")
    with pytest.raises(ConfigurationError, match="known: json, msgspec, orjson"):
        find("serializer", "zzz")
    with pytest.raises(ConfigurationError, match="known: none"):
        find("policy", "zzz")


def test_a_serializer_by_name_or_as_it_is() -> None:
    """A setting may be either."""
    assert as_serializer("json") is JSON_SERIALIZER
    assert as_serializer(JSON_SERIALIZER) is JSON_SERIALIZER
    assert as_serializer("orjson").dumps([1]) == as_serializer("msgspec").dumps([1]) == b"[1]"
