"""What a server is given, looked at before anything is made or bound: each mistake says what to give instead.

Values that check themselves (`Latency`, `Errors`, limits, rules) are only asked for their kind here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from types import UnionType
from typing import Final, TypeVar

from mockserver.faults import Errors, Faults, Outage, Plan, Slowness
from mockserver.limits import Limit, Limits
from mockserver.rules import Rules
from mockserver.stubs import Stub
from rest_api_client.checks import check_function, check_whole

LARGEST_PORT: Final = 65535
LARGEST_JOURNAL: Final = 10_000_000
MOST_SPACES: Final = 100_000

_Kind = TypeVar("_Kind")

_KINDS: Final[Mapping[str, tuple[type | UnionType, str]]] = {
    "resources": (Mapping, "give {'users': 500}"),
    "limit": (Limit | Limits, "give SlidingWindow(calls, period) or TokenBucket(rate, burst)"),
    "errors": (Errors, "give Errors(probability=0.1)"),
    "latency": (Slowness, "give Latency(p50=0.05) or EvenLatency(low=0.01, high=0.1)"),
    "faults": (Faults | Plan, "give a Plan(rules=[...]) or the Faults of one"),
    "rules": (Rules, "give Rules(...), or None for no check at the end of a test"),
}


def check_kinds(**given: object) -> None:
    """Refuse what is of another kind than these arguments of a server have; None is of every kind.

    Raises:
        ValueError: it names argument and value, as those of all checks here.
    """
    for name, value in given.items():
        kind, mend = _KINDS[name]
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{name}={value!r}: {mend}")


def check_functions(**given: Callable[..., object] | None) -> None:
    """Refuse what is neither None nor a plain function."""
    check_function("", **{name: function for name, function in given.items() if function is not None})


def check_numbers(*, seed: object, journal_size: object, most_spaces: object) -> None:
    """Refuse what cannot be a seed, which is any whole number, or a count."""
    check_whole("", 1, most=LARGEST_JOURNAL, journal_size=journal_size)
    check_whole("", 0, most=MOST_SPACES, most_spaces=most_spaces)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f"seed={seed!r:.80}: give a whole number, the same one for the same run")


def check_address(host: object, port: object, owner: str = "") -> None:
    """Refuse what cannot be an address, whichever this machine has."""
    check_whole(owner, 0, most=LARGEST_PORT, hint="0 takes a free one", port=port)
    if not isinstance(host, str) or not host.isascii() or not host.isprintable() or not host.strip() or len(host) > 253:
        shown = f"{owner}(host={host!r:.80})" if owner else f"host={host!r:.80}"
        raise ValueError(f"{shown}: give an address of this machine, such as '127.0.0.1', or '0.0.0.0' for all of them")


def check_outages(outages: object) -> tuple[Outage, ...]:
    """The dead periods as a tuple."""
    return _each("outages", outages, Outage, "give [Outage(start=3, duration=2)]")


def check_stubs(stubs: object) -> tuple[Stub, ...]:
    """The stubs as a tuple."""
    return _each("stubs", stubs, Stub, "give [stub('GET', '/x', json=1)], load('stubs.yaml'), or Stubs")


def check_choice(name: str, value: object, known: Collection[str]) -> None:
    """Refuse what is none of these texts."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}={value!r}: give one of {', '.join(map(repr, known))}")


def _each(name: str, given: object, kind: type[_Kind], mend: str) -> tuple[_Kind, ...]:
    values = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else None
    if values is None or not all(isinstance(value, kind) for value in values):
        raise ValueError(f"{name}={given!r:.200}: {mend}")
    return values
