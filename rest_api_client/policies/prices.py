"""What a request costs: from what the user wrote to one whole number per dimension.

A price is an amount (`5`, or `{"tokens": 1200}`) or a function that gives one. A plain number is meant for the only
dimension there is. In a dict, what is left out of a cost is 1 for "requests" and 0 for anything else; what is left out
of a true cost stays as it was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from rest_api_client.events import report
from rest_api_client.exceptions import ConfigurationError, HookError
from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.models import Request, Response
from rest_api_client.policies.quotas import Costs

Amount: TypeAlias = int | Mapping[str, int]
"""Units of the only dimension, or of several by their names."""

Cost: TypeAlias = Amount | Callable[[Request], Amount]
"""What a request is expected to cost."""

TrueCost: TypeAlias = Callable[[Request, Response], Amount | None]
"""What a request cost, once it is answered; None leaves it at what was expected."""


MOST: Final = 10**15
"""Units that one request may cost: enough for bytes, and exact in a float, in which a bucket counts seconds."""


def _is_units(units: object) -> bool:
    return isinstance(units, int) and not isinstance(units, bool) and 0 <= units <= MOST


@dataclass(frozen=True)
class Prices:
    """The prices of one limit.

    Raises:
        ConfigurationError: the amount of `cost` does not fit the dimensions.
    """

    names: tuple[str, ...]
    cost: Cost | None
    true_cost: TrueCost | None

    def __post_init__(self) -> None:
        if self.cost is not None and not callable(self.cost):
            self.read(self.cost)

    @property
    def usual(self) -> Costs:
        """What a request costs of which nothing else is said."""
        plain = tuple(int(name == "requests") for name in self.names)
        return plain if self.cost is None or callable(self.cost) else self.read(self.cost, plain)

    def of(self, request: Request) -> Costs:
        """What this request is expected to cost.

        Raises:
            HookError: the `cost` function gave no amount, or raised.
        """
        if not callable(self.cost):
            return self.usual
        try:
            said = self.cost(request)
        except Exception as error:
            message = f"{request.label}: RateLimit(cost=...) raised {type(error).__name__}: {error}"
            raise HookError(message, request=request) from error
        return self._asked("cost", said, request, self.usual)

    def paid(self, request: Request, response: Response, taken: Costs) -> Costs:
        """What this request cost in truth.

        A function that raises, as for an answer without the figure it looks for, must not lose the answer: what was
        taken stands, and the error is reported.

        Raises:
            HookError: the `true_cost` function gave no amount.
        """
        try:
            said = None if self.true_cost is None else self.true_cost(request, response)
        except Exception as error:
            report(error, self.true_cost, "RateLimit(true_cost=...) failed: what was taken stands")
            return taken
        return taken if said is None else self._asked("true_cost", said, request, taken)

    def shown(self, costs: Iterable[int]) -> str:
        """Costs for people."""
        return ", ".join(f"{cost} {name}" for name, cost in zip(self.names, costs, strict=True))

    def _asked(self, name: str, said: Any, request: Request, default: Costs) -> Costs:
        try:
            return self.read(said, default)
        except ConfigurationError as error:
            raise HookError(f"{request.label}: RateLimit({name}=...) gave {error}", request=request) from error

    def read(self, amount: Amount, default: Costs | None = None) -> Costs:
        """An amount in the order of the dimensions.

        Raises:
            ConfigurationError: it is no amount, or names a dimension that is not there.
        """
        named = amount if isinstance(amount, Mapping) else {self.names[0]: amount}
        whole = all(_is_units(units) for units in named.values())
        fits = whole and set(named) <= set(self.names) and (named is amount or len(self.names) == 1)
        if not fits:
            number = "a whole number, 0 or more, or " if len(self.names) == 1 else ""
            known = ", ".join(f'"{name}": ...' for name in self.names)
            raise ConfigurationError(f"cost {amount!r}: give {number}whole numbers by name, as {{{known}}}")
        return tuple(named.get(name, usual) for name, usual in zip(self.names, default or self.usual, strict=True))
