"""A fault: a function from the script of an answer to the script that is played instead.

    truncated = fault("truncate(after=10)")        # by its name, from the catalogue
    def late(script): return Script(Delay(2), *script.steps)    # or any function

Some faults spoil an answer, others need none: a reset is a reset, whatever the application would have said. That
decides what a fault does to the *effect* of a request unless one says otherwise:

    effect "done"    the application acts, its answer is spoiled: the request was processed, the client cannot know
    effect "none"    the application never sees the request

A fault that gives the same script for two different answers needs none, so its effect is "none"; any other's is "done".
A reset with effect "done" is the one that finds doubled charges.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final, Literal, TypeAlias

from mockserver.faults.answers import problem_script
from mockserver.faults.text import Call, build, read, write
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.script import Chunk, End, Head, Refuse, Reset, Script
from rest_api_client.utils import unknown

Fault: TypeAlias = Callable[[Script], Script]
"""Pure: it waits for nothing, draws nothing, and may be asked twice."""

Catalogue: TypeAlias = Mapping[str, Callable[..., Fault]]
"""Names, and what makes the fault of each from its arguments."""

Effect: TypeAlias = Literal["done", "none"]

_PROBES = (
    Script(Head(200, (("content-type", "text/plain"), ("content-length", "6"))), Chunk(b"abcdef"), End()),
    Script(Head(201, (("content-type", "text/html"), ("content-length", "9"))), Chunk(b"123456789"), End()),
)


@dataclass(frozen=True)
class Named:
    """A fault that knows how it is written. Two that are written alike are equal."""

    text: str
    fault: Fault = field(compare=False, repr=False)

    def __call__(self, script: Script) -> Script:
        """The script that is played instead."""
        return self.fault(script)


def error(status: int = 503, retry_after: int | None = None) -> Fault:
    """Answer with this status, 400 to 599, in place of the application."""
    if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
        raise ValueError(f"status must be one from 400 to 599, not {status!r}")
    if retry_after is not None and (type(retry_after) is not int or retry_after < 0):
        raise ValueError(f"retry_after must be whole seconds, 0 or more, not {retry_after!r}")
    fields = [] if retry_after is None else [("retry-after", str(retry_after))]
    answer = problem_script(status, "an error injected by the mock server", fields)
    return lambda script: answer


def reset() -> Fault:
    """Reset the connection before any byte."""
    return lambda script: Script(Reset())


def refuse() -> Fault:
    """Refuse the connection, as if nobody listened."""
    return lambda script: Script(Refuse())


EMPTY: Final = Script(Head(200, (("content-length", "0"),)), End())
"""What a fault is given to spoil where the application never saw the request."""


def unchanged(script: Script) -> Script:
    """The answer as it is: for rules that only delay."""
    return script


BASIC: Catalogue = {"error": error, "reset": reset, "refuse": refuse}


def usual_effect(fault: Fault) -> Effect:
    """What a fault does to the effect of a request unless one says otherwise."""
    try:
        first, second = (fault(probe) for probe in _PROBES)
    except Exception:
        return "done"  # it asks more of an answer than the probes have, so it needs one
    return "none" if first == second else "done"


def parse_fault(text: str, catalogue: Catalogue) -> Named:
    """The fault that a text names: `truncate(after=10)`.

    Raises:
        ValueError: malformed, unknown, or with arguments that it does not take; the message says what is known.
    """
    if not text.strip():
        raise ValueError("no fault is named; give one, such as truncate(after=10)")
    call = read(text)
    if isinstance(call, Call) and call.name == "rule":
        raise ValueError("a rule is not taken here: give the fault alone, such as truncate(after=10)")
    if not isinstance(call, Call) or call.name not in catalogue:
        name = call.name if isinstance(call, Call) else text
        raise ValueError(unknown("fault", name, catalogue))
    found: Named = build(call, naming(catalogue), "fault")
    return found


class Naming:
    """Makes faults that know how they are written."""

    def __init__(self, name: str, make: Callable[..., Fault]) -> None:
        self.name = name
        self.make = make
        self.__signature__ = inspect.signature(make)

    def __call__(self, *arguments: Any, **options: Any) -> Named:
        """The fault, with its text."""
        told = [*map(write, arguments), *(f"{key}={write(value)}" for key, value in options.items())]
        made = self.make(*arguments, **options)
        _check_works(made)
        return Named(f"{self.name}({', '.join(told)})" if told else self.name, made)


def _check_works(fault: Fault) -> None:
    """Try it: arguments that make no sense should show now, not when a request is struck."""
    try:
        fault(_PROBES[0])
    except Exception as error:
        raise ValueError(f"with these arguments it fails ({error})") from error


def naming(catalogue: Catalogue) -> dict[str, Callable[..., Named]]:
    """A vocabulary of faults."""
    return {name: Naming(name, make) for name, make in catalogue.items()}
