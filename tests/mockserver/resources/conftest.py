"""Fixtures of the resources' tests."""

import pytest

from tests.mockserver.resources.site import Site


@pytest.fixture
def site() -> Site:
    """Ten users and five orders."""
    return Site()
