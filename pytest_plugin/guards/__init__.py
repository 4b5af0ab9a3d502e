"""Guards: what a test must not do fails, and says what to do instead.

no_network      nothing leaves this process but to addresses that were allowed
virtual_time    no real sleep, no real socket, no chance without a seed, while a test goes by a virtual clock

Both are context managers, for fixtures and for anybody. They may be nested and may overlap, in threads as well.
"""

from pytest_plugin.guards.network import NetworkBlocked, RealWorld, no_network
from pytest_plugin.guards.real_world import virtual_time

__all__ = ["NetworkBlocked", "RealWorld", "no_network", "virtual_time"]
