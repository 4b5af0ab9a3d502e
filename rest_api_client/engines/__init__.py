"""The engines: what sends a request and brings an answer."""
