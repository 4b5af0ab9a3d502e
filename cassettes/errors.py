"""What can go wrong with a cassette. All are configuration errors of the client's tree: no policy retries them."""

from __future__ import annotations

from rest_api_client.exceptions import ConfigurationError


class CassetteError(ConfigurationError):
    """A cassette cannot be read, written or played; the message says what to do next."""


class CassetteMiss(CassetteError):
    """A request that no recording answers, or one that comes out of turn."""


class SecretFound(CassetteError):
    """A secret would stand in the file. Nothing was written; the message says where it is, and never what it is."""


class CassetteExpired(CassetteError, UserWarning):
    """The recordings are older than they may be; a warning, or an error where `on_expiry="fail"`."""
