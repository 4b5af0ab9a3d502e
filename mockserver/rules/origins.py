"""No credential goes to another origin.

A redirect, a link to the next page, an absolute URL out of an answer: all may lead away from the server that a
credential belongs to. The journals of two servers are compared: a credential that both have seen was carried over. They
hold digests only; equal ones are made of the same credential. What only the other origin saw may be its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mockserver.journal import Entry
from mockserver.rules.violation import Violation
from rest_api_client.lazy_dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CredentialsKept:
    """What this server was given is shown to no other.

    Attributes:
        elsewhere: what arrived at other origins; `check(other_origin=...)` adds to it.
    """

    elsewhere: tuple[Entry, ...] = ()

    def __call__(self, entries: Sequence[Entry]) -> Iterable[Violation]:
        """One violation per request at another origin that carried one."""
        if not self.elsewhere:
            return
        given: dict[str, Entry] = {}
        for entry in entries:
            for credential in entry.credentials:
                given.setdefault(_value(credential), entry)
        for other in self.elsewhere:
            leaked = [each for each in other.credentials if _value(each) in given]
            if leaked:
                origin = given[_value(leaked[0])]
                names = ", ".join(sorted({each.partition(":")[0] for each in leaked}))
                yield Violation(
                    rule="credentials",
                    text=f"{names} of {origin.origin} was also sent to {other.origin}: {other.method} {other.target}.",
                    mend="bind credentials to their origin (scheme, host and port), "
                    "and drop them on redirects and links that lead elsewhere",
                    entries=(origin, other),
                )


def _value(credential: str) -> str:
    return credential.partition(":")[2]
