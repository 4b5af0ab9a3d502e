"""docs/behaviour.md: who breaks which rule."""

from __future__ import annotations

from mockserver.rules import Violation
from tests.behaviour.clients import CLIENTS
from tests.behaviour.scenes import SCENES

Found = dict[tuple[str, str], list[Violation]]

PAGE = """\
# Good behaviour, compared

What clients do to a server that is in trouble, seen by the server: each is set up as its own documentation recommends
for retries, meets the same scenes on a real socket, and is judged by the [rules of good behaviour](good-behaviour.md).

```sh
make behaviour
```

makes this page anew; it takes about a minute. Made on {made}.

{table}

"kept": no rule was broken in that scene. Otherwise the rules that were.

## The scenes

{scenes}

All calls of a scene are made at once by one client, and each brings an `x-call-id`, so that the server knows which
requests belong together.

## The configurations

{setups}

## What was seen

{seen}

## Limits of the comparison

- A configuration is a choice: most of these clients can be told to do more, or less. What each does about a POST, a
  429 or the first wait is an option of its own.
- A rule is an opinion. A first retry that comes at once, for instance, is a design that helps where a single connection
  broke, and hurts where a server is overloaded.
- One run. Times on a busy machine shift by milliseconds; the rules leave room for that.
"""


def table(found: Found) -> str:
    """Clients down, scenes across."""
    lines = [f"| | {' | '.join(SCENES)} |", f"|---|{'---|' * len(SCENES)}"]
    for client in CLIENTS:
        cells = [_cell(found[name, client.title]) for name in SCENES]
        lines.append(f"| {client.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(found: Found, made: str) -> str:
    """The whole page."""
    return PAGE.format(
        made=made,
        table=table(found),
        scenes="\n".join(f"- **{name}**: {scene.says}." for name, scene in SCENES.items()),
        setups="\n".join(f"- {client.title}: {client.setup}" for client in CLIENTS),
        seen="\n".join(_seen(found)) or "Nothing.",
    )


def _cell(violations: list[Violation]) -> str:
    broken = dict.fromkeys(each.rule for each in violations if not each.warning)
    return ", ".join(f"`{rule}`" for rule in broken) or "kept"


def _seen(found: Found) -> list[str]:
    first: dict[tuple[str, str, str], list[Violation]] = {}
    for (scene, client), violations in found.items():
        for each in violations:
            if not each.warning:
                first.setdefault((client, scene, each.rule), []).append(each)
    return [
        f"- {client}, {scene}, `{rule}` ({len(each)} {'time' if len(each) == 1 else 'times'}): {each[0].text}"
        for (client, scene, rule), each in sorted(first.items())
    ]
