"""Servers to compare with, each run as a process of its own: `python -m tests.benchmarks.servers.NAME PORT`."""
