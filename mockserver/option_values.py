"""What the command line's options hold, read from text. Each reader says how it would be right."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TypeVar, cast

from mockserver.arguments import check_address
from mockserver.faults import LATENCIES, SCENARIOS, EvenLatency, FaultRule, Latency, Outage, Plan, Schedule, Slowness
from mockserver.faults.text import build, read

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_Parsed = TypeVar("_Parsed")


def port(text: str) -> int:
    """0 to 65535."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)


def admin_port(text: str) -> int | None:
    """The same, or "off"."""
    return None if text == "off" else port(text)


def host(text: str) -> str:
    """What can be an address, whichever this machine has."""
    return valid(lambda: _address(text))


def _address(text: str) -> str:
    check_address(text, 0)
    return text


def probability(text: str) -> float:
    """0 to 1."""
    value = float(_match(rf"({_NUMBER}|\.[0-9]+)", text, "a probability: a number from 0 to 1, such as 0.1")[0])
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a probability: a number from 0 to 1, 0.1 for one in ten")
    return value


def error_status(text: str) -> int:
    """500 to 599."""
    return int(
        _match(r"(5[0-9]{2})", text, "a 5xx status: a number from 500 to 599; --fault 'error(404)' does others")[0]
    )


def seed(text: str) -> int:
    """Any whole number."""
    return int(_match(r"(-?[0-9]{1,100})", text, "a seed: a whole number, the same one for the same run")[0])


def resource(text: str) -> tuple[str, int]:
    """A name and how many records: users:500."""
    name, count = _match(r"([^:]+):([0-9]{1,9})", text, "NAME:COUNT, such as users:500")
    return name, int(count)


def rate(text: str) -> tuple[int, float]:
    """Calls and a period: 50/1s."""
    calls, number, unit = _match(
        rf"([0-9]{{1,9}})/({_NUMBER})?(ms|s|m|h)", text, "CALLS/PERIOD, such as 50/1s, 100/m or 5/250ms"
    )
    return int(calls), float(number or 1) * _UNITS[unit]


def latency(text: str) -> Slowness:
    """Percentiles, two ends, or a distribution by its name."""
    if text.partition("(")[0] in LATENCIES:
        return valid(lambda: cast("Slowness", build(read(text), LATENCIES, "latency")))
    p50, p95, p99, high = _match(
        rf"({_NUMBER})(?:/({_NUMBER})(?:/({_NUMBER}))?|-({_NUMBER}))?",
        text,
        "seconds: 0.02 (p50), 0.02/0.1 (p50/p95), 0.02/0.1/0.5 (and p99) or 0.01-0.05 (evenly), or one of "
        f"{', '.join(f'{name}(...)' for name in LATENCIES)}",
    )
    if high:
        return valid(lambda: EvenLatency(low=float(p50), high=float(high)))
    return valid(lambda: Latency(p50=float(p50), p95=float(p95) if p95 else None, p99=float(p99) if p99 else None))


def outage(text: str) -> Outage:
    """A dead period: 3:2, 3:2:reset."""
    start, duration, reset = _match(
        rf"({_NUMBER}):({_NUMBER})(:reset)?", text, "START:SECONDS or START:SECONDS:reset, such as 3:2"
    )
    return valid(lambda: Outage(start=float(start), duration=float(duration), reset=bool(reset)))


def _plan_of(given: dict[str, object]) -> Plan:
    from mockserver.admin.plans import plan_of  # the admin API's language; most servers start without a fault

    return plan_of(given)


def fault_rule(text: str) -> FaultRule:
    """A rule in the language of faults."""
    _check_said(text, "a fault, such as 'truncate(after=10)'")
    return valid(lambda: _plan_of({"rules": [text]}).rules[0])


def scenario(text: str) -> Schedule:
    """A scenario in the language of faults."""
    _check_said(text, f"one of {', '.join(SCENARIOS)}")
    return valid(lambda: _plan_of({"scenario": text}).schedule)


def replay(text: str) -> Plan:
    """A whole plan in one line."""
    _check_said(text, "the line in which a server told its faults, such as 'seed=7 rule=reset'")
    return valid(lambda: Plan.parse(text))


def _check_said(text: str, mend: str) -> None:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r}: give {mend}")


def workers(text: str) -> int:
    """One. More would be several servers, of which each knows a part."""
    if text != "1":
        raise argparse.ArgumentTypeError(
            f"{text!r}: one process is all there is. Rate limits, the journal, the rules of good behaviour, states of "
            "stubs, records and the numbers by which faults are drawn would each exist once per process, and each "
            "would be wrong. For more load start several servers, each on a port of its own"
        )
    return 1


def valid(make: Callable[[], _Parsed]) -> _Parsed:
    """What `make` gives. argparse shows the message of its own error only, not that of a ValueError."""
    try:
        return make()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _match(pattern: str, text: str, form: str) -> tuple[str, ...]:
    found = re.fullmatch(pattern, text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
    return found.groups(default="")
