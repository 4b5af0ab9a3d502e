"""Files and names made to do harm."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

_CODE = (
    "!!python/object/apply:os.system ['touch TRAP']",
    "!!python/object/new:os.system ['touch TRAP']",
    "!!python/object/apply:builtins.open ['TRAP', 'w']",
    "!!python/object/apply:subprocess.Popen [[touch, TRAP]]",
    '!!python/object/apply:builtins.exec [\'open("TRAP", "w")\']',
    "!!python/name:os.system ''",
    "!!python/module:os ''",
    "!!python/object:cassettes.interaction.Asked {method: GET}",
    '!!python/object/new:tuple [!!python/object/new:map [!!python/name:eval , [\'open("TRAP","w")\']]]',
    "!!python/object/new:_io.BytesIO {state: !!python/object/apply:os.system ['touch TRAP']}",
    "!!python/object/apply:builtins.iter {args: [!!python/object/apply:os.system ['touch TRAP']]}",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch TRAP']",
    "!custom {a: 1}",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!!timestamp 2026-11-23",
    "!!binary '====='",
)
_WHERE = (
    "{}",
    "interactions: {}",
    "interactions: [{{request: {}}}]",
    "interactions: [{{request: {{method: GET, uri: u, body: {}, headers: {{}}}}, response: {{}}}}]",
    "interactions: [{{request: {{method: GET, uri: u, body: '', headers: {{a: {}}}}}, response: {{}}}}]",
    "interactions: []\nmetadata: {}",
    "interactions: []\nx_rest_api_client: {{failures: [{}]}}",
    "? {}\n: 1",
)


def hostile_yaml(count: int) -> list[str]:
    """So many files: tags that name code, growth, depth, and noise."""
    chance = random.Random(3)
    made = [where.format(code) for where in _WHERE for code in _CODE]
    made += ["%TAG ! tag:yaml.org,2002:python/object/apply:\n---\n!os.system ['touch TRAP']", _laughs(9), _laughs(30)]
    made += [opening * size for opening in ("[", "{a: ", "- ", "? ", "[a: ") for size in (100, 5_000)]
    made += ["a: " + "x" * 200_000, "- &a a\n" * 20_000, "&a " * 1000, "a: '" * 3000, "? a\n" * 20_000, "!" * 50_000]
    made += ['"' + "\\x41" * 50_000 + '"', "[" + "a: b, " * 30_000 + "]", "#" * 100_000, "<<: *a\n", "---\n" * 20_000]
    chance.shuffle(made)
    while len(made) < count:
        made.append(_noise(chance))
    return made[:count]


def _laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + f"\ninteractions: *a{levels - 1}"


def _noise(chance: random.Random) -> str:
    words = [
        *_CODE,
        "interactions:",
        "- ",
        "  ",
        "\n",
        "request:",
        "&x ",
        "*x",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "|\n",
        ">\n",
        "'",
    ]
    words += ["\t", "%YAML 1.1\n", "---\n", "...\n", "\x00", "\ud7ff", "!!", "? ", "<<: "]
    return "".join(chance.choice(words) for _ in range(chance.randrange(5, 200)))


_PIECES = (
    "..", ".", "/", "\\", "a", "A", "test", "[", "]", "::", "\x00", "\n", " ", "~", "$HOME", "%2e%2e", "con", "NUL",
    "aux.txt", "\u00e9", "e\u0301", "\U0001f600", "\u202e",
    "*", "?", "|", "<", ">", '"', "'", ";", "&", "-", "_",
    ".yaml",
    "-0123456789abcdef0123", "x" * 300, "\ud800", "C:", "//server/share", "file://",
    "etc/passwd", ".git", "LPT1", ".tmp",
)  # fmt: skip


def hostile_names(count: int) -> list[str]:
    """So many names, all different, each of some of these pieces."""
    chance = random.Random(5)
    made: dict[str, None] = dict.fromkeys(
        ("..", "../x", "/etc/passwd", "a/../../b", "a", "a/b", "a-b", "a b", ".hidden")
    )
    while len(made) < count:
        made["".join(chance.choice(_PIECES) for _ in range(chance.randrange(1, 7)))] = None
    return list(made)


_VALUES = (
    None, "", 0, -1, 1.5, True, [], {}, "x", "\ud800", "\u20ac", "a\r\nb", ["a"], {"a": "b"}, 10**30, [[]], "nan",
    {"base64": "!!"}, {"json": 1}, {"zz": 1}, [1, 2, 3],
)  # fmt: skip


def mutated(chance: random.Random, tree: Any) -> Any:
    """A tree of plain values with one to three of them changed, or gone."""
    tree = copy.deepcopy(tree)
    for _ in range(chance.randrange(1, 4)):
        holder, key = chance.choice(list(_places(tree)))
        if isinstance(holder, dict) and chance.random() < 0.3:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(chance.choice(_VALUES))
    return tree


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    keys: Any = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])
