"""The YAML of stub files: its safe loader, with bounds and lines, less what stubs need not; and its dumper, exact.

No merge keys, no names twice; names are text, and so is whatever is not quoted and would not be a number, true, false
or null in JSON (see `scalars`). Aliases are allowed, fifty of them, but the file with all aliases written out stays
bounded, so that a few lines cannot stand for a billion nodes; an alias of what it stands in is refused.

Imported with the first YAML file: the library takes its time, and JSON does without.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final, cast

import yaml
from yaml.events import AliasEvent, Event
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mockserver.matching.comparing import DEEPEST
from mockserver.stubs.documents import Located
from mockserver.stubs.places import is_place
from mockserver.stubs.scalars import quote_for_both, read_core_schema
from rest_api_client.exceptions import ConfigurationError

MOST_ALIASES: Final = 50
MOST_NODES: Final = 100_000
"""Values in a file, with all aliases written out."""


def read_yaml(data: bytes, name: str) -> Any:
    """What it holds.

    Raises:
        ConfigurationError: it is malformed, or holds what is refused; the message names the line.
        RecursionError: it is nested too deeply.
    """
    try:
        return _load(data)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark is not None else ""
        why = ", ".join(each for each in (error.context, error.problem) if each)
        raise ConfigurationError(f"{name}{line}: {why}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def write_yaml(data: object) -> str:
    """The YAML of plain data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _load(data: bytes) -> Any:
    loader = _Loader(data)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """The safe loader, with bounds and lines."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._depth = 0
        self._aliases = 0
        self._nodes = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, AliasEvent):
            self._aliases += 1
            if self._aliases > MOST_ALIASES:
                raise _refused(f"more than {MOST_ALIASES} aliases", event)
        self._nodes += 1
        if self._nodes > MOST_NODES:  # said at once: to read on would take ten times as long
            raise _refused(f"more than {MOST_NODES} values", event)
        self._depth += 1
        if self._depth > DEEPEST:
            raise _refused(f"nested more than {DEEPEST} deep", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, ArithmeticError) as error:
            raise _refused(
                f"no value of {node.tag.rpartition(':')[2]} ({error}); quote it if it is text", node
            ) from error

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        pairs: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            name = self._name(key_node)
            if name in pairs:
                raise _refused(f"{name!r} stands twice", key_node)
            if key_node.end_mark.index == value_node.start_mark.index and is_place(f"{{{name}}}"):  # without a colon
                raise _refused(f"{{{name}}} is a mapping in YAML: quote it, '{{{name}}}'", key_node)
            pairs[name] = self.construct_object(value_node, deep=True)
            lines[name] = key_node.start_mark.line + 1
        return cast("dict[Hashable, Any]", Located(pairs.items(), lines))

    def _name(self, node: Node) -> str:
        if isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:str":
            return str(node.value)
        if node.tag == "tag:yaml.org,2002:merge":
            raise _refused("merge keys are not read: write it out", node)
        raise _refused("names are text: quote this one", node)


def _refused(why: str, at: Node | Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=why, problem_mark=cast("yaml.Mark", at.start_mark))


read_core_schema(_Loader)
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_mapping)


class _Dumper(yaml.SafeDumper):
    """The safe dumper, and exact."""

    def represent_str(self, data: str) -> ScalarNode:
        # Line ends that only YAML 1.1 knows would be written as they are, and folded to spaces when they are read.
        exact = '"' if any(char in data for char in "\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=exact)

    def ignore_aliases(self, data: object) -> bool:
        return True


quote_for_both(_Dumper)
_Dumper.add_representer(str, _Dumper.represent_str)


def _check_size(root: Node) -> None:
    """Refuse a document that is too large or too deep with its aliases written out, or that holds itself."""
    sizes: dict[int, tuple[int, int]] = {}

    def measure(node: Node) -> tuple[int, int]:
        key = id(node)
        if key not in sizes:
            sizes[key] = (0, 0)  # while it is being measured
            inner = [measure(child) for child in _children(node)]
            sizes[key] = 1 + sum(size for size, _ in inner), 1 + max((depth for _, depth in inner), default=0)
        if not sizes[key][0]:
            raise _refused("an alias stands for what it stands in", node)
        return sizes[key]

    size, depth = measure(root)
    if size > MOST_NODES or depth > DEEPEST:
        raise _refused(f"more than {MOST_NODES} values, or {DEEPEST} deep, with all aliases written out", root)


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []
