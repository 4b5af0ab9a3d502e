"""Values without quotes in YAML, read as version 1.2 has them (core schema, YAML 1.2.2, section 10.3.2).

PyYAML reads version 1.1, where the country `NO` is false, half past twelve is 750 and the number `012` is ten: a stub
would answer what nobody wrote, without a word. Here a value that JSON would not take for a number, true, false or null
is a text; merge keys are still known, in order to be refused.
"""

from __future__ import annotations

import re
from typing import Final

import yaml
from yaml.nodes import ScalarNode

_PREFIX: Final = "tag:yaml.org,2002:"
_CORE: Final = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "merge": (r"<<", "<"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}


def read_core_schema(loader: type[yaml.SafeLoader]) -> None:
    """Let this loader read values so, and no others without quotes."""
    loader.yaml_implicit_resolvers = {}
    _resolve(loader)
    loader.add_constructor(f"{_PREFIX}int", _whole)


def quote_for_both(dumper: type[yaml.SafeDumper]) -> None:
    """Let this dumper quote each text that either version takes for something else."""
    _resolve(dumper)


def _resolve(resolver: type[yaml.SafeLoader | yaml.SafeDumper]) -> None:
    for name, (pattern, first) in _CORE.items():
        resolver.add_implicit_resolver(f"{_PREFIX}{name}", re.compile(rf"(?:{pattern})\Z"), list(first))


def _whole(loader: yaml.SafeLoader, node: ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text[2:], 8 if text[1] == "o" else 16) if text[1:2] in ("o", "x") else int(text)
