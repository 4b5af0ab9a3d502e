"""A REST client for the day of the outage, sync and async."""
