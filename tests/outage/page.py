"""docs/outage.md, made of the figures and of the very code that made them."""

from __future__ import annotations

import re

from tests.outage.results import Result, rows
from tests.outage.scenarios import CLIENTS, SCENARIOS
from tests.outage.table import ENTRIES
from tests.outage.wire import TIMEOUT

PAGE = """\
# An outage, rehearsed

What becomes of a server in trouble depends on its clients: whether they ask again, how often, and when. This page lets
a crowd of {clients} clients meet the same trouble with this library's defaults, and with what else is in use for
retries. The server is a model and time is virtual, so that the figures are the same in every run:

```sh
make outage
```

makes the tables, this page and its picture anew. {made}

![Requests per second that arrive at the server, by library](outage.svg)

## The rehearsals

Each of the {clients} clients has objects of its own (client, pool, budget, breaker) and starts one call in every
second, at a random moment of it, whether its earlier calls have ended or not. An attempt waits {timeout:g} seconds for
its answer. The server works on 8 requests at a time, 50 ms each (25 to 75), first come, first served: at most 160 a
second. It does not notice when a client has given up.

{scenarios}
## How to read it

- **requests per call**: all that arrives at the server while the trouble lasts (without an outage: during the whole
  run), for each call that is started in that time. 1 is what a client without retries sends. Below 1: calls were
  ended by the client itself, without a request, as an open circuit breaker does.
- **repeats per call**: of these, the requests beyond the first of a call.
- **wasted requests**: those that brought nothing to anybody: refused, answered 429 or 503, or given up by the client.
- **recovered after**: seconds after the trouble from which on, in any 5 seconds, 99 % of the calls that ended had
  succeeded. "not seen": not before the run ended.
- **success, first 10 s after**: of the calls started in the 10 seconds after the trouble, the share that succeeded.
- **calls lost**: of all calls of the run, the share that did not bring the answer. A client that waits long before
  it asks again loses fewer in an outage that ends soon, and keeps its caller waiting: see p99.
- **p50, p99, p99.9**: seconds until a call ended, well or not.
- **fairness**: Jain's index of successful calls per client; 1 is equal shares.

## What is compared

{libraries}

{configurations}
## Limits of the comparison

- It is one model of a server, with one crowd of equals. Its queue is longer than clients are patient (1000 requests are
  6 seconds of work); a server that turns away earlier recovers more easily, whatever the clients do.
- Calls come on their own time. A program that starts its next call only when the last one has ended sends less while
  it waits.
- Retries are what is compared. Connection pools, their limits, name resolution and TLS are not part of the model.
- Each library runs as it is installed. What it would send goes to the model instead of a socket: by a transport (httpx
  and what stands on it, this library), by a stand-in for aiohttp's session with the one method that aiohttp-retry
  calls, by a pool whose `_make_request` is overridden (urllib3, whose blocking calls run in greenlets). Its clock and
  its sleep are the virtual ones.
- A configuration is a choice. Most of these libraries can be told to do more, or less, than is shown here, and a budget
  or a breaker of one's own can be put beside any of them. This library is shown with its defaults alone: hedging, which
  would shorten a slow tail, is off.
- Each client of the crowd is on its own. Many callers behind one client object share its budget and breaker, which then
  learn faster.
"""


def page(results: list[Result], made: str) -> str:
    """The whole page."""
    return PAGE.format(
        clients=CLIENTS,
        timeout=TIMEOUT,
        made=made,
        scenarios="\n".join(_scenario(name, results) for name in SCENARIOS),
        libraries="Titles as in the tables; the code is the code that ran.",
        configurations="\n".join(_configurations()),
    )


def layout(text: str) -> str:
    """A page without what changes from run to run: the cells of its tables, and when it was made."""
    lines = [line.split("|")[1] if re.match(r"\| [a-z]", line) else line for line in text.splitlines()]
    return "\n".join(line for line in lines if not line.startswith("makes the tables, this page"))


def _scenario(name: str, results: list[Result]) -> str:
    scenario = SCENARIOS[name]
    head, *body = rows(scenario, results)
    ruler = ["---", *["---:"] * (len(head) - 1)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *body))
    return f"### {scenario.title}\n\n{scenario.text}\n\n{table}\n"


def _configurations() -> list[str]:
    return [f"{entry.title}:\n\n```py\n{entry.code()}\n```\n" for entry in ENTRIES]
