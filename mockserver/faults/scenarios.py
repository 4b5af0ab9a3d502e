"""Scenarios: schedules that are ready made, with parameters. `SCENARIOS` has them by name, for files and command line.

All times are seconds. `start` counts from time zero; what was not asked for goes on as usual before and after.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal, ParamSpec, TypeAlias

from mockserver.faults.fault import BASIC, Named, naming
from mockserver.faults.latency import Latency
from mockserver.faults.rules import FaultRule
from mockserver.faults.schedule import Phase, Schedule
from mockserver.faults.text import write
from rest_api_client.checks import check_above_zero, check_whole

_P = ParamSpec("_P")
_FAULTS = naming(BASIC)
_RESET: Final[Named] = _FAULTS["reset"]()

MOST_TIMES: Final = 1000
"""Flaps, or instances: a schedule holds a phase or two for each."""

HowDead: TypeAlias = Literal["refused", "error", "reset"]

SCENARIOS: Final[dict[str, Callable[..., Schedule]]] = {}


def _scenario(make: Callable[_P, Schedule]) -> Callable[_P, Schedule]:
    """Enter it into the table, and let its schedules know how they are written."""
    signature = inspect.signature(make)

    @functools.wraps(make)
    def written(*arguments: _P.args, **options: _P.kwargs) -> Schedule:
        bound = signature.bind(*arguments, **options)
        schedule = make(*arguments, **options)
        told = ", ".join(f"{name}={write(value)}" for name, value in bound.arguments.items())
        return replace(schedule, text=f"{make.__name__}({told})")

    SCENARIOS[make.__name__] = written
    return written


@_scenario
def brownout(
    start: float = 0.0,
    duration: float = 30.0,
    errors: float = 0.1,
    slow: float = 0.5,
    p50: float = 0.5,
    p95: float = 2.0,
) -> Schedule:
    """Overloaded, not dead: a share of the requests gets 503, and of the rest a share is slow."""
    rules = (
        FaultRule(_FAULTS["error"](503), probability=errors, name="overloaded"),
        FaultRule(delay=Latency(p50=p50, p95=p95), probability=slow, name="slow"),
    )
    return Schedule((Phase(start=start, duration=duration, rules=rules, name="brownout"),))


@_scenario
def outage(start: float = 0.0, duration: float = 30.0, how: HowDead = "refused", status: int = 503) -> Schedule:
    """Dead: every connection is refused, or every request answered with an error, or cut by a reset."""
    return Schedule((_dead(start, duration, how, status),))


@_scenario
def rolling_restart(
    start: float = 0.0, instances: int = 4, each: float = 5.0, drain: float = 1.0, status: int = 503
) -> Schedule:
    """One instance after the other restarts, behind a load balancer that spreads the attempts evenly.

    Each takes `each` seconds. In the first `drain` of these whatever meets it is reset, afterwards the balancer
    answers `status` for it. Every attempt meets the restarting instance with probability 1 / instances.
    """
    check_whole("", 1, most=MOST_TIMES, instances=instances)
    if not 0 < drain < each:
        raise ValueError(f"drain must lie between 0 and each ({each!r}), not {drain!r}")
    cut, gone = _RESET, _FAULTS["error"](status)
    phases: list[Phase] = []
    for number in range(instances):
        begin, name = start + number * each, f"instance {number + 1}"
        rules = [FaultRule(fault, probability=1 / instances, name=name) for fault in (cut, gone)]
        phases += [
            Phase(start=begin, duration=drain, rules=(rules[0],), name=f"{name} stops"),
            Phase(start=begin + drain, duration=each - drain, rules=(rules[1],), name=f"{name} starts"),
        ]
    return Schedule(tuple(phases))


@_scenario
def slow_recovery(
    start: float = 0.0, dead: float = 5.0, duration: float = 30.0, errors: float = 0.9, status: int = 503
) -> Schedule:
    """Dead for a while; then the probability of an error falls evenly from `errors` to none."""
    back = FaultRule(_FAULTS["error"](status), probability=errors, fading_to=0.0, name="recovering")
    recovery = Phase(start=start + dead, duration=duration, rules=(back,), name="recovery")
    return Schedule((_dead(start, dead, "error", status), recovery))


@_scenario
def rate_limit_storm(start: float = 0.0, duration: float = 30.0, share: float = 0.1) -> Schedule:
    """Of every limit only a share holds, a tenth unless told otherwise. Needs a server with a limit."""
    return Schedule((Phase(start=start, duration=duration, limit_share=share, name="rate limit storm"),))


@_scenario
def flapping(
    start: float = 0.0, up: float = 2.0, down: float = 1.0, times: int = 10, how: HowDead = "error", status: int = 503
) -> Schedule:
    """Down and up again, so many times; it begins with being down."""
    check_whole("", 1, most=MOST_TIMES, times=times)
    check_above_zero("", up=up)
    return Schedule(tuple(_dead(start + number * (up + down), down, how, status) for number in range(times)))


def _dead(start: float, duration: float, how: HowDead, status: int) -> Phase:
    if how == "refused":
        return Phase(start=start, duration=duration, connection="refused", name="dead")
    if how not in ("error", "reset"):
        raise ValueError(f"how={how!r}: give one of refused, error, reset")
    fault = _RESET if how == "reset" else _FAULTS["error"](status)
    return Phase(start=start, duration=duration, rules=(FaultRule(fault, name="dead"),), name="dead")
