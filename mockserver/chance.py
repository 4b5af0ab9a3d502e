"""Keyed chance: the same question always gets the same answer.

A seeded *stream* of random numbers is reproducible only while nobody draws one more or draws in another order: one
extra or one concurrent request shifts every later verdict. Here nothing is drawn. A number is computed from the seed
and from what it is about:

    value = blake2b(seed, (field, method, target, call, attempt))

so two runs agree request by request, whatever the order, the concurrency or the speed of the client.
"""

from __future__ import annotations

import hashlib


class Chance:
    """Answers questions about luck from a seed alone; holds no state."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def unit(self, *about: object) -> float:
        """A float in [0, 1), evenly spread over all `about`. `unit(...) < p` is never true for 0, always for 1."""
        return (self.number(*about) >> 11) * 2.0**-53

    def number(self, *about: object) -> int:
        """An integer of 64 bits."""
        return int.from_bytes(self._digest(about), "big")

    def name(self, *about: object) -> str:
        """Eight hexadecimal digits, for a name that can be quoted and looked up again."""
        return self._digest(about)[:4].hex()

    def _digest(self, about: tuple[object, ...]) -> bytes:
        # repr() of a tuple of str and int is unambiguous: ("a", "bc") and ("ab", "c") differ.
        return hashlib.blake2b(repr((self.seed, about)).encode(), digest_size=8).digest()
