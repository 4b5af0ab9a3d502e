"""A fault: a function from the script of an answer to the script that is played instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from rest_api_client.script import Script

Fault: TypeAlias = Callable[[Script], Script]
"""Pure: it waits for nothing, draws nothing, and may be asked twice."""
