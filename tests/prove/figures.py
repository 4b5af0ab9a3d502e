"""What a proof is: a function that measures, and gives figures with bounds. Each module here registers its own."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value and the most it may be; None for a bound means that it is only reported."""

    what: str
    value: float
    unit: str
    bound: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it is within its bound."""
        return self.bound is None or self.value <= self.bound

    def __str__(self) -> str:
        bound = "" if self.bound is None else f" (at most {self.bound:g})"
        return f"{self.what}: {self.value:.3g} {self.unit}{bound}"


Proof = Callable[[], list[Figure]]
PROOFS: dict[str, Proof] = {}


def proof(function: Proof) -> Proof:
    """Register a proof under its function's name."""
    PROOFS[function.__name__.replace("_", " ")] = function
    return function


def run_one(name: str) -> None:
    """Run a proof; its figures go to standard output as the last line."""
    load()
    print(json.dumps([asdict(figure) for figure in PROOFS[name]()]))


def load() -> None:
    """Import every module of proofs."""
    package = importlib.import_module("tests.prove")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "__main__":
            importlib.import_module(f"tests.prove.{module.name}")
