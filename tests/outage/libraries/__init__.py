"""The libraries compared.

Each is driven as it is, unmodified; only what it would send over a socket goes by the wire of the rehearsal, and what
it asks of the clock is answered by the virtual one.
"""
