"""All faults by name."""

from __future__ import annotations

from mockserver.faults.catalogue import CATALOGUE
from mockserver.faults.fault import BASIC, Catalogue, Named, parse_fault

KNOWN: Catalogue = {**BASIC, **CATALOGUE}


def fault(text: str) -> Named:
    """The fault that a text names: `fault("truncate(after=10)")`.

    Raises:
        ValueError: malformed, unknown, or with arguments that it does not take; the message says what is known.
    """
    return parse_fault(text, KNOWN)
