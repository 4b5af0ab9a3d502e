"""Benchmarks: how fast it is beside others, in one run on one machine. `make bench` runs all of them."""
