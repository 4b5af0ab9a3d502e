"""The policies' pure objects decide as their models do."""

from __future__ import annotations

import pytest

from tests.rest_api_client.policies.machines import VITAL, drive, machines


@pytest.mark.parametrize("name", machines())
def test_it_decides_as_its_model_does(name: str) -> None:
    """Whatever commands come, in whatever order and at whatever time, object and model give the same answers."""
    drive(machines()[name], 500 if name in VITAL else 100)
