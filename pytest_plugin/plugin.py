"""What pytest calls: options and marks are told, fixtures are here to be found, and a run is looked through for tests
that use them.

Nothing else is done until there is one. What this module imports is pytest and a few small files of this package;
`tests/pytest_plugin/test_start.py` holds it to that. A test without a fixture or a mark of this plugin is left alone.
"""

from __future__ import annotations

import pytest

from pytest_plugin import options
from pytest_plugin.fixtures import (
    _api_watch,
    api_cassette_config,
    api_cassette_dir,
    api_client,
    api_client_class,
    api_client_config,
    api_fault_replay,
    async_api_client,
    async_api_client_class,
    http_cassette,
    http_faults,
    make_api_client,
    make_async_api_client,
    make_mock_server,
    make_virtual_clock,
    mock_server,
    mock_server_config,
    mock_server_session,
    virtual_clock,
)
from pytest_plugin.markers import add_markers
from pytest_plugin.summary import Session

__all__ = [
    "_api_watch",
    "api_cassette_config",
    "api_cassette_dir",
    "api_client",
    "api_client_class",
    "api_client_config",
    "api_fault_replay",
    "async_api_client",
    "async_api_client_class",
    "http_cassette",
    "http_faults",
    "make_api_client",
    "make_async_api_client",
    "make_mock_server",
    "make_virtual_clock",
    "mock_server",
    "mock_server_config",
    "mock_server_session",
    "virtual_clock",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell of our options, all of which begin with `--api-` or `api_`."""
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check what was given, and be ready for the run."""
    options.check_options(config)
    add_markers(config)
    config.pluginmanager.register(Session(config), "rest_api_client_session")
