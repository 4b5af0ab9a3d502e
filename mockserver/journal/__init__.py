"""What really arrived, when, and what came of it.

entry     Entry: one request, as plain data
scribe    makes an entry of a request: who sent it, which credential it brought (as a digest), what its body was
ring      Journal: the entries, the counters, looking things up, waiting for silence
"""

from mockserver.journal.entry import Entry, Wanted
from mockserver.journal.ring import REMEMBERED_CALLS, REMEMBERED_TARGETS, Journal, busiest
from mockserver.journal.scribe import CREDENTIAL_FIELDS, Scribe

__all__ = [
    "CREDENTIAL_FIELDS",
    "REMEMBERED_CALLS",
    "REMEMBERED_TARGETS",
    "Entry",
    "Journal",
    "Scribe",
    "Wanted",
    "busiest",
]
