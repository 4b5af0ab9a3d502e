"""What is rehearsed: a crowd, a server, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.outage.server import Plan

CLIENTS = 100
OUTAGE = (30.0, 90.0)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A rehearsal.

    Attributes:
        name: one word.
        title: a heading.
        text: what happens, in plain words.
        plan: the server.
        clients: how many clients there are, each with objects of its own.
        every: seconds; in each such time each client starts one call, at a random moment of it.
        calls_until: seconds; until then calls are started.
        watched: from when to when requests are counted.
    """

    name: str
    title: str
    text: str
    plan: Plan
    clients: int = CLIENTS
    every: float = 1.0
    calls_until: float
    watched: tuple[float, float]

    def with_clients(self, clients: int) -> Scenario:
        """The same with fewer or more clients, and a server (workers, queue, quota) that fits them."""
        share = clients / self.clients
        plan = replace(
            self.plan,
            workers=max(1, round(self.plan.workers * share)),
            queue=round(self.plan.queue * share),
            quota=None if self.plan.quota is None else round(self.plan.quota * share),
        )
        return replace(self, clients=clients, plan=plan)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="gone",
            title="The server is gone for a minute",
            text="From second 30 to second 60 every connection is refused; from second 60 to second 90 a load balancer "
            "answers 503, at once and without a Retry-After. Then the server is back, as strong as before.",
            plan=Plan(outage=OUTAGE),
            calls_until=130,
            watched=OUTAGE,
        ),
        Scenario(
            name="brownout",
            title="The server works at half speed for a minute",
            text="From second 30 to second 90 all work takes twice as long: the server manages 80 requests a second, "
            "and is asked for 100. The queue grows (1000 may wait, one more is answered 503), answers come too late, "
            "clients give up and ask again, and the server works on what nobody waits for. After second 90 it manages "
            "160 a second again. Whether it recovers is up to the clients.",
            plan=Plan(outage=OUTAGE, trouble="slow"),
            calls_until=180,
            watched=OUTAGE,
        ),
        Scenario(
            name="quota",
            title="A quota below the demand",
            text="A limiter lets 800 requests pass in each window of 10 seconds, for all clients together; they want "
            "1000. What is over is answered 429, with a Retry-After of the whole seconds until the next window.",
            plan=Plan(quota=800),
            calls_until=100,
            watched=(0.0, 100.0),
        ),
        Scenario(
            name="tail",
            title="A slow tail",
            text="Nothing fails, but one request in a hundred takes twenty times as long.",
            plan=Plan(slow_share=0.01, slow_factor=20.0),
            calls_until=60,
            watched=(0.0, 60.0),
        ),
    )
}
