"""What the mock server serves: collections of keyed data, and the small routes that people test clients against."""

from mockserver.resources.application import application

__all__ = ["application"]
