"""Rate limits, under their published name: the client's own limit, pacing by the server's, and a limit alone."""

from rest_api_client.limiter import AsyncLimiter, Limiter, Permit
from rest_api_client.policies.dimensions import Bucket, Window
from rest_api_client.policies.rate_limiter import RateLimit
from rest_api_client.policies.server_pacing import ServerPacing

__all__ = ["AsyncLimiter", "Bucket", "Limiter", "Permit", "RateLimit", "ServerPacing", "Window"]
