"""What one text must be like: a field's value, a parameter, a body.

A value pattern is asked about a list of texts, those that a name has in the request: none where the name is absent,
several where it is repeated. One that fits is enough. A plain text given for a value stands for `Equal(text)`, None for
`Present()`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from mockserver.matching.patterns import LONGEST_SUBJECT, MOST_SECONDS, compile_pattern, find
from rest_api_client.checks import check_flag
from rest_api_client.exceptions import ConfigurationError
from rest_api_client.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    import regex


class Value(ABC):
    """What a text must be like. Extend it for conditions of your own."""

    @abstractmethod
    def fits(self, text: str) -> bool:
        """Whether one text is as wanted. Fast, and never raises."""

    def fits_one(self, texts: Sequence[str]) -> bool:
        """Whether one of the texts that a name has is as wanted."""
        return any(map(self.fits, texts))

    def remark(self, texts: Sequence[str]) -> str:
        """What is to be said of texts that do not fit, beyond showing them."""
        return ""


@dataclass(frozen=True, slots=True)
class Equal(Value):
    """Exactly this text."""

    text: str
    ignore_case: bool = False

    def __post_init__(self) -> None:
        _check_text("Equal", self.text, self.ignore_case)

    def fits(self, text: str) -> bool:
        """Whether it is the text."""
        return text == self.text or (self.ignore_case and text.casefold() == self.text.casefold())

    def __str__(self) -> str:
        return f"{self.text!r}{_case(self.ignore_case)}"


@dataclass(frozen=True, slots=True)
class Contains(Value):
    """This text somewhere in it."""

    text: str
    ignore_case: bool = False

    def __post_init__(self) -> None:
        _check_text("Contains", self.text, self.ignore_case)

    def fits(self, text: str) -> bool:
        """Whether the text is in it."""
        return self.text in text or (self.ignore_case and self.text.casefold() in text.casefold())

    def __str__(self) -> str:
        return f"containing {self.text!r}{_case(self.ignore_case)}"


@dataclass(frozen=True, slots=True)
class Regex(Value):
    """A regular expression, found anywhere in the text or, with `whole`, matching all of it.

    The pattern has at most 1,000 characters and only what is bounded (see `patterns`); a text of more than 65,536
    characters is no match, and all patterns together have 0.05 s for one request. What is late counts as no match, is
    said in the log, and in the explanation of a miss.

    Raises:
        ConfigurationError: the pattern is malformed or refused.
    """

    pattern: str
    ignore_case: bool = False
    whole: bool = False
    _compiled: regex.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_flag("Regex", ignore_case=self.ignore_case, whole=self.whole)
        object.__setattr__(self, "_compiled", compile_pattern(self.pattern, ignore_case=self.ignore_case))

    def fits(self, text: str) -> bool:
        """Whether the pattern is found in it in time."""
        try:
            return find(self._compiled, text, whole=self.whole)
        except TimeoutError:
            return False

    def remark(self, texts: Sequence[str]) -> str:
        """That a text is too long, or the search was."""
        if any(len(text) > LONGEST_SUBJECT for text in texts):
            return f"longer than the {LONGEST_SUBJECT} characters that are searched"
        try:
            for text in texts:
                find(self._compiled, text, whole=self.whole)
        except TimeoutError:
            return f"given up: patterns have {MOST_SECONDS:g} s for one request"
        return ""

    def __str__(self) -> str:
        return f"matching {self.pattern!r}{_case(self.ignore_case)}"

    def __reduce__(self) -> tuple[type[Regex], tuple[str, bool, bool]]:
        return (Regex, (self.pattern, self.ignore_case, self.whole))


@dataclass(frozen=True, slots=True)
class OneOf(Value):
    """One of several; each a text or a value pattern."""

    values: tuple[Value, ...]

    def __init__(self, *values: Value | str) -> None:
        object.__setattr__(self, "values", tuple(map(value_of, values)))
        if not values or any(isinstance(value, Absent) for value in self.values):
            raise ConfigurationError(
                "OneOf(...): give one value or more, and not Absent; join matchers with | for that"
            )

    def fits(self, text: str) -> bool:
        """Whether one of them fits."""
        return any(value.fits(text) for value in self.values)

    def __str__(self) -> str:
        return "one of " + ", ".join(map(str, self.values))


@dataclass(frozen=True, slots=True)
class Present(Value):
    """Any text, but there must be one."""

    def fits(self, text: str) -> bool:
        """True."""
        return True

    def __str__(self) -> str:
        return "present"


@dataclass(frozen=True, slots=True)
class Absent(Value):
    """The name must not occur."""

    def fits(self, text: str) -> bool:
        """False."""
        return False

    def fits_one(self, texts: Sequence[str]) -> bool:
        """Whether there is no text."""
        return not texts

    def __str__(self) -> str:
        return "absent"


def value_of(given: object) -> Value:
    """A text as `Equal`, None as `Present`, a value pattern as it is.

    Raises:
        ConfigurationError: it is something else.
    """
    if isinstance(given, Value):
        return given
    if given is None:
        return Present()
    if isinstance(given, str):
        return Equal(given)
    raise ConfigurationError(f"value {given!r}: give a text, or Equal, Contains, Regex, OneOf, Present or Absent")


def _check_text(owner: str, text: object, ignore_case: object) -> None:
    if not isinstance(text, str):
        raise ConfigurationError(f"{owner}({text!r}): give a text")
    check_flag(owner, ignore_case=ignore_case)


def _case(ignored: bool) -> str:
    return " in any case" if ignored else ""
