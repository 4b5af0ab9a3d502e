"""docs/wire-faults.md: one table per group, one row per fault."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.clients import BRIEF, PEERS
from tests.faults.rows import GROUPS, Row

PAGE = """\
# Faults: what is sent, and what clients raise

Every fault of the [mock server](mockserver.md) met on a real socket: what a raw socket read, how the connection ended,
and what each client made of it. [Faults](mock-faults.md) says how to call them up.

```sh
make faults
```

makes this page anew; it takes under a minute. Made on {made}.

How to read it:

- **On the wire**: what came, in one line. `\\r` and `\\n` are written out, other bytes as `\\x..`; `date` and the like
  are left out, long answers are cut in the middle. Then the end: FIN, RST, or silence, where the connection stays open.
- **Ours**: this library with one attempt and no retry. One word is the outcome on every engine, sync and async alike;
  where engines differ, each is named. It is always a response or one exception of `rest_api_client`.
- **Others**: one attempt as they come, with no retry set up by us. The class of what was raised, or the status and the
  length of the body that the caller got. httpx, httpx2 and aiohttp are asked through their async clients.
- Where nothing ever comes, all clients wait {brief} s; elsewhere longer than any of this takes.
- "A or B": chance decides, by whether the end comes before or after the request is written.
- Two outcomes in a cell are those of two requests by one client, the first with the fault, the second without.

The answer that is spoiled is a 200 with 10 bytes. A row where a client shows "200" was not an error to that client:
it took what came, or sent the request again by itself. Neither is wrong in itself; RFC 9112 leaves several of these
to the recipient.

{tables}
"""


@dataclass(frozen=True)
class Found:
    """One row's outcomes: the wire's, ours by "engine face", the others' by name."""

    row: Row
    wire: str
    ours: dict[str, str]
    peers: dict[str, str]


def page(found: list[Found], made: str) -> str:
    """The whole page."""
    tables = "\n\n".join(_table(group, [each for each in found if each.row.group == group]) for group in GROUPS)
    return PAGE.format(made=made, brief=BRIEF, tables=tables)


def settled(row: Row, outcome: str) -> str:
    """The outcome, or all between which chance decides."""
    return next((" or ".join(each) for each in row.either if outcome in each), outcome)


def ours(row: Row, outcomes: dict[str, str]) -> str:
    """One outcome where all agree; otherwise each with the engines that had it."""
    by_outcome: dict[str, list[str]] = {}
    for who, outcome in outcomes.items():
        by_outcome.setdefault(settled(row, outcome), []).append(who)
    if len(by_outcome) == 1:
        return next(iter(by_outcome))
    return "<br>".join(f"{outcome} ({', '.join(who)})" for outcome, who in by_outcome.items())


def _table(group: str, found: list[Found]) -> str:
    lines = [
        f"## {group[0].upper()}{group[1:]}", "", f"| fault | on the wire | ours | {' | '.join(PEERS)} |",
        "|---|---|---|" + "---|" * len(PEERS),
    ]  # fmt: skip
    for each in found:
        peers = (settled(each.row, each.peers[name]) for name in PEERS)
        cells = [f"`{each.row.name}`", each.wire, ours(each.row, each.ours), *peers]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
