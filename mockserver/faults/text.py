"""A small language for what may go wrong, read by hand: nothing in it is ever evaluated.

    value   = number ["ms" | "s" | "m" | "h"]        a number with a unit is seconds
            | "text" | 'text' | b"bytes"             escapes as in JSON, between double quotes only
            | true | false | none | word
            | "(" [value {"," value} [","]] ")"      a tuple
            | call
    call    = word "(" [item {"," item}] ")"         item = [word "="] value
    line    = {word "=" value}                       separated by spaces

`truncate(after=10)`, `brownout(duration=30s, errors=0.2)`, `seed=7 rule=rule(reset, nth=(2, 5))`. The same text stands
in stub files, on the command line, in request headers and in the line that replays a run. A word is a call without
arguments where the vocabulary knows it, and otherwise a text.

`read` and `read_line` give plain data, `build` makes objects of it by a vocabulary (name -> what to call), and `write`
gives text that reads as the same again. Bounded in length and depth, because requests bring such text, too.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, NoReturn, TypeAlias

from rest_api_client.lazy_dataclasses import dataclass
from rest_api_client.utils import unknown

LONGEST: Final = 10_000
DEEPEST: Final = 8

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?P<unit>ms|s|m|h)?(?![\w.])
    | (?P<text>b?"(?:[^"\\]|\\.)*"|b?'[^'\\]*')
    | (?P<word>[A-Za-z_][\w-]*)
    | (?P<sign>[(),=])
    )""",
    re.VERBOSE | re.ASCII,
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_WORDS: dict[str, object] = {"true": True, "false": False, "none": None}


@dataclass(frozen=True, slots=True)
class Call:
    """A word with or without arguments, not looked up yet."""

    name: str
    arguments: tuple[object, ...] = ()
    options: tuple[tuple[str, object], ...] = ()
    bare: bool = False


Vocabulary: TypeAlias = Mapping[str, Callable[..., Any]]


def read(text: str) -> object:
    """One value.

    Raises:
        ValueError: it is malformed, too long or too deep; the message says where.
    """
    reader = _Reader(text)
    value = reader.value()
    reader.end()
    return value


def read_line(text: str) -> list[tuple[str, object]]:
    """The pairs of a line, in order.

    Raises:
        ValueError: as `read`.
    """
    reader = _Reader(text)
    pairs = list(reader.pairs())
    reader.end()
    return pairs


class _Reader:
    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"{text[:40]!r}... has {len(text)} characters: {LONGEST} at most")
        self.text = text.rstrip()
        self.place = 0
        self.depth = 0

    def peek(self) -> re.Match[str] | None:
        return _TOKEN.match(self.text, self.place)

    def take(self, sign: str) -> bool:
        token = self.peek()
        if token is None or token["sign"] != sign:
            return False
        self.place = token.end()
        return True

    def need(self, sign: str) -> None:
        if not self.take(sign):
            self.fail(f"{sign!r} is missing")

    def fail(self, what: str) -> NoReturn:
        raise ValueError(f"{self.text!r}: {what} at {self.text[self.place :][:20]!r} (character {self.place + 1})")

    def end(self) -> None:
        if self.place < len(self.text):
            self.fail("something is left over")

    def pairs(self) -> Iterator[tuple[str, object]]:
        while (token := self.peek()) is not None and token["word"]:
            self.place = token.end()
            self.need("=")
            yield token["word"], self.value()

    def value(self) -> object:
        token = self.peek()
        if token is None:
            self.fail("a value is missing")
        if token["sign"]:
            self.need("(")
            return tuple(each for _, each in self.items(named=False))
        self.place = token.end()
        if token["number"]:
            return self.number(token)
        return self.string(token["text"]) if token["text"] else self.word(token["word"])

    def number(self, token: re.Match[str]) -> int | float:
        digits = token["number"]
        value = float(digits) * _UNITS.get(token["unit"], 1.0)
        if not math.isfinite(value):
            self.fail(f"{digits} is too large")
        if token["unit"]:
            return value
        return int(digits) if digits.lstrip("-").isdigit() else float(digits)

    def string(self, text: str) -> str | bytes:
        quoted = text.removeprefix("b")
        try:
            plain = quoted[1:-1] if quoted[0] == "'" else str(json.loads(quoted))
            return plain.encode("latin-1") if text[0] == "b" else plain
        except ValueError as error:
            raise ValueError(f"{text} is no text: escapes are those of JSON, bytes are below \\u0100") from error

    def word(self, name: str) -> object:
        if name.lower() in _WORDS:
            return _WORDS[name.lower()]
        if not self.take("("):
            return Call(name, bare=True)
        arguments: list[object] = []
        options: dict[str, object] = {}
        for key, each in self.items(named=True):
            if key is None and options:
                self.fail("a value without a name stands behind one with a name")
            if key in options:
                self.fail(f"{key} is given twice")
            if key is None:
                arguments.append(each)
            else:
                options[key] = each
        return Call(name, tuple(arguments), tuple(options.items()))

    def items(self, *, named: bool) -> Iterator[tuple[str | None, object]]:
        """The items up to the closing parenthesis; the opening one has been read."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"more than {DEEPEST} parentheses inside each other")
        while not self.take(")"):
            yield self.key() if named else None, self.value()
            if not self.take(","):
                self.need(")")
                break
        self.depth -= 1

    def key(self) -> str | None:
        token = self.peek()
        if token is None or not token["word"]:
            return None
        start, self.place = self.place, token.end()
        if self.take("="):
            return token["word"]
        self.place = start
        return None


def build(term: object, vocabulary: Vocabulary, what: str = "word") -> Any:
    """What a value that was read stands for.

    Args:
        term: from `read`.
        vocabulary: what each word makes.
        what: the words' common name, for the error message.

    Raises:
        ValueError: an unknown word, or arguments that it does not take; the message says which it does.
    """
    if isinstance(term, tuple):
        return tuple(build(each, vocabulary, what) for each in term)
    if not isinstance(term, Call):
        return term
    make = vocabulary.get(term.name)
    if make is None:
        if term.bare:
            return term.name
        raise ValueError(unknown(what, term.name, vocabulary))
    arguments = [build(each, vocabulary, what) for each in term.arguments]
    options = {key: build(each, vocabulary, what) for key, each in term.options}
    return _called(term.name, make, arguments, options)


def _called(name: str, make: Callable[..., Any], arguments: list[Any], options: dict[str, Any]) -> Any:
    signature = inspect.signature(make)
    try:
        signature.bind(*arguments, **options)
        return make(*arguments, **options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}; it is written {name}({_shown(signature)})") from error


def _shown(signature: inspect.Signature) -> str:
    empty = inspect.Parameter.empty
    return ", ".join(
        each.name if each.default is empty else f"{each.name}={_default(each.default)}"
        for each in signature.parameters.values()
    )


def _default(value: object) -> str:
    try:
        text = write(value)
    except ValueError:
        return "..."
    return text if len(text) < 40 else "..."


def write(value: object, names: Mapping[type, str] | None = None) -> str:
    """The text that reads as this value.

    Args:
        value: plain data, or an object with a `text`, or a frozen dataclass of one of the types in `names`.
        names: the word for each type.

    Raises:
        ValueError: it cannot be written; the message says what to do.
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, bytes):
        return f"b{json.dumps(value.decode('latin-1'))}"
    if isinstance(value, tuple | list):
        return f"({''.join(f'{write(each, names)}, ' for each in value).rstrip()})"
    return _write_object(value, names or {})


def _write_object(value: object, names: Mapping[type, str]) -> str:
    text = getattr(value, "text", None)
    if isinstance(text, str) and text:
        return text
    name = names.get(type(value))
    if name is None or not is_dataclass(value):
        raise ValueError(f"{value!r} cannot be written down: give it by its name, as text")
    told = [(each.name, getattr(value, each.name)) for each in fields(value) if each.init and each.repr]
    defaults = {each.name: each.default for each in fields(value)}
    return f"{name}({', '.join(f'{key}={write(each, names)}' for key, each in told if each != defaults[key])})"
