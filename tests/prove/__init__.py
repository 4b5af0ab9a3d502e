"""Figures of time and memory, and long runs: `make prove`. Each proof prints what it measured beside its bound."""
