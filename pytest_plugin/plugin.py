"""What pytest calls."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Nothing yet."""
