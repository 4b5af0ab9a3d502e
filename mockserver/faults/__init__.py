"""What may go wrong on purpose."""

from mockserver.faults.settings import Errors, EvenLatency, Latency, Outage, Slowness

__all__ = ["Errors", "EvenLatency", "Latency", "Outage", "Slowness"]
