"""What may go wrong on purpose: faults, rules and schedules that say when they strike, and latency.

All of it is data and plain functions of the time and the request; nothing here waits or sends.
"""

from mockserver.faults.decide import Faults, Strike
from mockserver.faults.fault import EMPTY, Catalogue, Effect, Fault, Named, parse_fault
from mockserver.faults.known import KNOWN, fault
from mockserver.faults.latency import (
    LATENCIES,
    ConstantLatency,
    EvenLatency,
    Latency,
    LogNormalLatency,
    NormalLatency,
    ParetoLatency,
    Slowness,
)
from mockserver.faults.plan import Plan
from mockserver.faults.rules import FaultRule, NamedMatcher, Place
from mockserver.faults.scenarios import (
    SCENARIOS,
    brownout,
    flapping,
    outage,
    rate_limit_storm,
    rolling_restart,
    slow_recovery,
)
from mockserver.faults.schedule import Door, Phase, Schedule
from mockserver.faults.settings import Errors, Outage

__all__ = [
    "EMPTY",
    "KNOWN",
    "LATENCIES",
    "SCENARIOS",
    "Catalogue",
    "ConstantLatency",
    "Door",
    "Effect",
    "Errors",
    "EvenLatency",
    "Fault",
    "FaultRule",
    "Faults",
    "Latency",
    "LogNormalLatency",
    "Named",
    "NamedMatcher",
    "NormalLatency",
    "Outage",
    "ParetoLatency",
    "Phase",
    "Place",
    "Plan",
    "Schedule",
    "Slowness",
    "Strike",
    "brownout",
    "fault",
    "flapping",
    "outage",
    "parse_fault",
    "rate_limit_storm",
    "rolling_restart",
    "slow_recovery",
]
