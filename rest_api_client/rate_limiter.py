"""Rate limits, under their published name: the client's own limit, and pacing by the server's."""

from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.server_pacing import ServerPacing

__all__ = ["RateLimit", "ServerPacing"]
