"""Hypothesis is an extra: whoever lacks it is told what to install, and whoever does not rehearse does not load it."""

from __future__ import annotations

import subprocess
import sys

HIDDEN = """
import importlib.util as util, sys
real = util.find_spec
util.find_spec = lambda name, *rest: None if name == "hypothesis" else real(name, *rest)
import pytest_plugin.plugin
assert "hypothesis" not in sys.modules
try:
    import pytest_plugin.rehearsal
except ModuleNotFoundError as error:
    print(error)
"""


def test_a_missing_hypothesis_says_what_to_install() -> None:
    """At once, when rehearsals are imported; the plugin alone does without."""
    done = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "rehearsals need hypothesis: pip install 'rest-api-client-kit[rehearsal]'"
