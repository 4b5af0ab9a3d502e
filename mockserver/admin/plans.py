"""A plan as JSON: its text, and the same in parts.

    {"text": "seed=7 scenario=brownout(duration=30s) rule=rule(reset, nth=(2,))"}
    {"seed": 7, "scenario": "brownout(duration=30s)", "rules": ["rule(reset, nth=(2,))"]}

Both are read by the language of `faults.text`; nothing is evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from mockserver.faults import Plan
from mockserver.faults.decide import Faults
from mockserver.faults.plan import write_schedule
from mockserver.faults.text import read_line, write
from rest_api_client.utils import unknown

_PARTS: Final = ("seed", "zero", "caller_faults", "latency", "scenario", "schedule", "rules")


def plan_of(given: Mapping[str, Any]) -> Plan:
    """The plan that is described.

    Raises:
        ValueError: something in it makes no sense, or is not known.
    """
    if "text" in given:
        if len(given) > 1 or not isinstance(given["text"], str):
            raise ValueError("give text, or the parts, not both")
        return Plan.parse(given["text"])
    return Plan.parse(" ".join(_pair(name, value) for name, value in _pairs(given)))


def _pairs(given: Mapping[str, Any]) -> list[tuple[str, Any]]:
    for name in given:
        if name not in _PARTS:
            raise ValueError(unknown("part of a plan", name, ("text", *_PARTS)))
    rules = given.get("rules", [])
    if not isinstance(rules, list):
        raise ValueError("rules must be a list of texts")
    return [(name, value) for name, value in given.items() if name != "rules"] + [("rule", rule) for rule in rules]


def _pair(name: str, value: object) -> str:
    if name in ("seed", "caller_faults"):
        wanted = "a whole number" if name == "seed" else "true or false"
        if not isinstance(value, int) or isinstance(value, bool) == (name == "seed"):
            raise ValueError(f"{name}={value!r:.80}: give {wanted}")
        return f"{name}={write(value)}"
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name}={value!r:.80}: give a text, or leave it out")
    text = f"{name}={value}"
    if len(read_line(text)) != 1:  # or a rule could set the seed
        raise ValueError(f"{value!r}: give one value")
    return text


def shown(faults: Faults | None) -> dict[str, Any]:
    """The same of a server's faults."""
    plan = Plan() if faults is None else faults.plan
    try:
        text = plan.describe()
    except ValueError as error:  # made in Python, with a function in it
        return {"text": None, "unwritten": str(error)}
    rules = [_value(replace(Plan(), rules=(rule,)), "rule") for rule in plan.rules]
    parts: dict[str, Any] = {"seed": plan.seed, "zero": plan.zero, "caller_faults": plan.caller_faults, "rules": rules}
    if plan.latency is not None:
        parts["latency"] = _value(replace(Plan(), latency=plan.latency), "latency")
    if plan.schedule.phases:
        parts["schedule"] = write_schedule(plan.schedule)
    return {"text": text, **parts}


def _value(plan: Plan, name: str) -> str:
    return plan.describe().partition(f" {name}=")[2]


def show_phases(faults: Faults | None, now: float) -> dict[str, Any]:
    """The scenario, its phases, and which are going on."""
    plan = Plan() if faults is None else faults.plan
    since = 0.0 if faults is None else faults.since(now)
    going_on = {number for number, _, _ in plan.schedule.at(since)}
    phases = [
        {"name": each.name, "start": each.start, "end": each.end, "door": each.connection, "now": number in going_on}
        for number, each in enumerate(plan.schedule.phases)
    ]
    return {"scenario": plan.schedule.text or None, "since": since, "phases": phases}
