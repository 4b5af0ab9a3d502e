"""Faults that the caller asks for, in header fields of the request. Off unless the server allows it.

x-fault: truncate(after=10)      the fault, by its name
x-fault-status: 503              in place of `x-fault: error(503)`
x-fault-delay: 0.2               seconds before the answer begins; `200ms` as well
x-fault-probability: 0.5         1 unless given; a miss falls through to the server's rules
x-fault-effect: done             or none: did the application act?
"""

from __future__ import annotations

from typing import Final

from mockserver.faults.fault import Catalogue, Fault, error, parse_fault
from mockserver.faults.latency import ConstantLatency
from mockserver.faults.rules import FaultRule
from mockserver.faults.text import Call, read
from mockserver.seen import Seen

PREFIX: Final = "x-fault"
LONGEST_DELAY: Final = 3600.0
LARGEST: Final = 250_000
"""No number in `x-fault` may be larger."""

_KNOWN: Final = ("x-fault", "x-fault-status", "x-fault-delay", "x-fault-probability", "x-fault-effect")


class CallerFaultError(ValueError):
    """What the caller asked for makes no sense; the message says what would."""


def asked_fault(seen: Seen, catalogue: Catalogue) -> FaultRule | None:
    """The rule that a request asks for, or None where it asks for nothing.

    Raises:
        CallerFaultError: it asks for something that there is not.
    """
    asked = {name: ", ".join(values) for name, values in seen.headers.items() if name.startswith(PREFIX)}
    if not asked:
        return None
    odd = sorted(set(asked) - set(_KNOWN))
    if odd:
        raise CallerFaultError(f"there is no field {odd[0]}; there are {', '.join(_KNOWN)}")
    try:
        return _rule(asked, catalogue)
    except ValueError as wrong:
        raise CallerFaultError(str(wrong)) from wrong


def _rule(asked: dict[str, str], catalogue: Catalogue) -> FaultRule:
    delay = asked.get("x-fault-delay")
    effect = asked.get("x-fault-effect")
    if effect not in (None, "done", "none"):
        raise ValueError(f"x-fault-effect: {effect!r}: give done (the application acts first) or none")
    return FaultRule(
        _fault(asked, catalogue),
        delay=None if delay is None else ConstantLatency(_number("x-fault-delay", delay, LONGEST_DELAY)),
        probability=_number("x-fault-probability", asked.get("x-fault-probability", "1"), 1.0),
        effect=effect,  # type: ignore[arg-type]  # checked above
        name="asked by the caller",
    )


def _fault(asked: dict[str, str], catalogue: Catalogue) -> Fault | None:
    text, status = asked.get("x-fault"), asked.get("x-fault-status")
    if text is not None and status is not None:
        raise ValueError("give x-fault or x-fault-status, not both")
    if status is not None:
        return _status(status)
    if text is None:
        return None
    _check_size(read(text))
    return parse_fault(text, catalogue)


def _status(text: str) -> Fault:
    try:
        return error(read(text))  # type: ignore[arg-type]  # it checks
    except ValueError as wrong:
        raise ValueError(f"x-fault-status: {wrong}") from wrong


def _check_size(term: object) -> None:
    """A request must not make the server build a header of a terabyte."""
    if isinstance(term, Call):
        for each in (*term.arguments, *(value for _, value in term.options)):
            _check_size(each)
    elif isinstance(term, int | float) and abs(term) > LARGEST:
        raise ValueError(f"x-fault: numbers up to {LARGEST} are taken here, not {term!r}")


def _number(field: str, text: str, most: float) -> float:
    value = read(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{field}: {text[:40]!r} is no number")
    if not 0 <= value <= most:
        raise ValueError(f"{field}: {text[:40]!r} does not lie between 0 and {most:g}")
    return float(value)
