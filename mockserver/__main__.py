"""`python -m mockserver`."""

import gc
import sys


def start() -> int:
    """Import the rest, and serve."""
    gc.disable()  # all of that stays: to look for garbage in it takes a tenth of the start
    from mockserver.cli import main

    gc.freeze()
    gc.enable()
    return main()


sys.exit(start())
