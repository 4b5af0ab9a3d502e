"""What a number given as an option must be: said once, so that every option refuses the same values.

An option is refused when it is made, before anything is sent, by an error that shows it as it was written and says what
to give: `RateLimit(calls=True): give a whole number, 1 or more`. Neither a bool nor a text is a number here, although
Python would count with the one and compare the other only later; nor is what no float can hold: NaN, the infinities,
an int of 400 digits. What has no end is said by None, where an option may have none.

Each function takes the owner's name ("" for a keyword that stands alone) and the options by their names. `off` says
what None means ("no limit"); without it None is refused. `hint` is added where a range alone explains too little.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Literal, TypeAlias

from rest_api_client.exceptions import ConfigurationError

Unit: TypeAlias = Literal["seconds", "a number"]

_LARGEST = sys.float_info.max


def check_whole(
    owner: str, least: int, /, *, most: float = math.inf, off: str = "", hint: str = "", **options: object
) -> None:
    """Refuse what is no whole number of at least `least`, and of at most `most`.

    Raises:
        ConfigurationError: it names owner, option and value, as those of all checks here.
    """

    def fits(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= min(most, _LARGEST)

    give = f"a whole number, {least} or more" if most == math.inf else f"a whole number from {least} to {most}"
    _check(owner, options, fits, give, off, hint)


def check_above_zero(
    owner: str, /, *, unit: Unit = "seconds", off: str = "", hint: str = "", **options: object
) -> None:
    """Refuse what is no finite number above 0."""
    _check(owner, options, lambda value: _lies(value, 0) and value != 0, f"{unit} above 0", off, hint)


def check_at_least(
    owner: str, least: float, /, *, unit: Unit = "seconds", off: str = "", hint: str = "", **options: object
) -> None:
    """Refuse what is no finite number of at least `least`."""
    _check(owner, options, lambda value: _lies(value, least), f"{unit}, {least} or more", off, hint)


def check_share(owner: str, /, *, zero: bool, hint: str = "", **options: object) -> None:
    """Refuse what is no share of a whole, up to 1; `zero` says whether none at all is one."""
    give = "a share from 0 to 1" if zero else "a share above 0, at most 1"
    _check(owner, options, lambda value: _lies(value, 0, 1) and (zero or value != 0), give, "", hint)


def check_flag(owner: str, /, **options: object) -> None:
    """Refuse what is neither True nor False: "false" would count as True, and switch on what it was to switch off."""
    _check(owner, options, lambda value: isinstance(value, bool), "True or False", "", "")


def check_function(owner: str, /, **options: object) -> None:
    """Refuse what cannot be called, and what has to be awaited: asked without an await, it would count as True."""
    for name, function in options.items():
        shown = f"{owner}({name}={function!r})" if owner else f"{name}={function!r}"
        if not callable(function):
            raise ConfigurationError(f"{shown} cannot be called: give a function")
        if iscoroutinefunction(function):
            raise ConfigurationError(f"{shown} is async: give a plain function")


def check_mapping(name: str, value: object) -> None:
    """Refuse what is neither None nor a dict or the like. The message shows no value: it may hold a secret."""
    if value is not None and not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} of type {type(value).__name__}: give a dict of names and values")


def _lies(value: object, least: float, most: float = _LARGEST) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _check(
    owner: str, options: Mapping[str, object], fits: Callable[[object], bool], give: str, off: str, hint: str
) -> None:
    for name, value in options.items():
        if fits(value) or (off and value is None):
            continue
        shown = f"{owner}({name}={value!r})" if owner else f"{name}={value!r}"
        none = f", or None for {off}" if off else ""
        raise ConfigurationError(f"{shown}: give {give}{none}{f'; {hint}' if hint else ''}")
