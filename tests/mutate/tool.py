"""mutmut, without its changes of texts: a literal with a blank in it is for people, and no test is to repeat it.

Hypothesis, whose settings the workers inherit, draws the same examples each time, and stops at the first that fails: to
look for the shortest one would take longer than all the rest.

A script, run in a copy of the tree: the copy's packages must not be imported before mutmut has made its own copy.
"""

from __future__ import annotations

from collections.abc import Iterable

import libcst
from hypothesis import Phase, settings
from mutmut.__main__ import cli
from mutmut.mutation import mutators


def words(literal: libcst.BaseString) -> Iterable[libcst.BaseString]:
    """mutmut's changes of a literal that is one word."""
    if not (isinstance(literal, libcst.SimpleString) and " " in literal.value):
        yield from mutators.operator_string(literal)


mutators.mutation_operators[:] = [  # type: ignore[index]
    (kind, words if change is mutators.operator_string else change) for kind, change in mutators.mutation_operators
]
settings.register_profile(
    "mutants",
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    derandomize=True,
    database=None,
    deadline=None,
)
settings.load_profile("mutants")
cli()
