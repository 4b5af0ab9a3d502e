"""Recorded traffic as test data: a client's attempts, kept with their failures and their timing, and played again.

    with use_cassette("login") as cassette, APIClient(base_url="https://api.example.com", engine=cassette) as client:
        client.get("/users")

Nothing is patched: the cassette is an engine. The files are vcrpy's, version 1, and hold no secret.
"""

from cassettes.cassette import Cassette, Strictness
from cassettes.errors import CassetteError, CassetteExpired, CassetteMiss, SecretFound
from cassettes.files import load
from cassettes.interaction import Asked, Failure, Interaction
from cassettes.limits import Limits
from cassettes.matching import Matching
from cassettes.names import cassette_path
from cassettes.recording import RecordingTransport
from cassettes.redaction import Redaction
from cassettes.replay import ReplayTime, ReplayTransport
from cassettes.session import Mode, default_mode
from cassettes.use import CassetteEngine, use_cassette
from cassettes.vcr_use import vcr

__all__ = [
    "Asked",
    "Cassette",
    "CassetteEngine",
    "CassetteError",
    "CassetteExpired",
    "CassetteMiss",
    "Failure",
    "Interaction",
    "Limits",
    "Matching",
    "Mode",
    "RecordingTransport",
    "Redaction",
    "ReplayTime",
    "ReplayTransport",
    "SecretFound",
    "Strictness",
    "cassette_path",
    "default_mode",
    "load",
    "use_cassette",
    "vcr",
]
